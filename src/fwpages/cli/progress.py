"""The progress of reading long files: a bar on standard error, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from fwpages.readers.inputs import Watch

#: bytes of a file that is read before anybody would look for a bar
LONG = 8 << 20


@contextmanager
def reading(files: Sequence[str]) -> Iterator[Watch | None]:
    """A function to call while files are read, which moves a bar on; None where there is no terminal to show it."""
    if not sys.stderr.isatty():
        yield None
        return
    several = len(files) > 1
    with Progress(
        TextColumn("reading"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=None, visible=False)

        def watch(name: str, done: int, size: int) -> None:
            words = f"file {files.index(name) + 1} of {len(files)}" if several and name in files else ""
            bar.update(task, completed=done, total=size, description=words, visible=size >= LONG)

        yield watch
