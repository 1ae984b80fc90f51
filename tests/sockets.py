"""Folders whose names leave room for a UNIX socket's, which has 107 bytes for all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

#: what tests put behind: "/one/machine12/port" is among the longest
ROOM = 80


@contextmanager
def short(folder: Path) -> Iterator[Path]:
    """``folder`` by a name that is short enough: its own, or a link to it under /tmp for the time being."""
    if len(bytes(folder)) <= ROOM:
        yield folder
        return
    with TemporaryDirectory(prefix="fwpages-", dir="/tmp") as links:
        link = Path(links, "t")
        link.symlink_to(folder)
        yield link
