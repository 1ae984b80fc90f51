"""The progress of long work on standard error: a bar for files that are read, rows of a campaign that are played."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fwpages.cli.streams import complain
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


@contextmanager
def playing(total: int) -> Iterator[Callable[[str, int], None]]:
    """A function to call with the words of each row that is finished, and how many are: it moves a bar on a terminal.

    Elsewhere it prints a line for each row, as an hour without a word would look like a machine that hangs.
    """
    if not sys.stderr.isatty():
        yield lambda words, n: complain(f"{n}/{total} {words}")
        return
    with Progress(
        TextColumn("playing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda words, n: bar.update(task, completed=n, description=words)
