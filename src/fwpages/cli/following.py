"""Following a log that grows: waiting for it, a live table on a terminal, and the end upon Ctrl-C."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live

from fwpages.auditor.following import follow
from fwpages.custody.accounts import Report
from fwpages.readers.growing import Wait
from fwpages.report.live import live_table

#: seconds between two looks at a file for more lines
_MOMENT = 0.25


def followed(path: str, hosts: set[str]) -> Report:
    """Follow the input until SIGINT, SIGTERM or its end; returns the report. InputError as ``audit``."""
    with _until_signal() as wait, _shown() as show:
        return follow(path, wait, show, hosts=hosts)


@contextmanager
def _until_signal() -> Iterator[Wait]:
    """A function that waits for more, or until SIGINT or SIGTERM."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True

    def wait(fd: int | None) -> bool:
        if not asked:
            files = [reader] if fd is None else [reader, fd]
            select.select(files, [], [], _MOMENT if fd is None else None)
        return not asked

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    # a signal that comes just before select is waited for in vain otherwise
    wakeup = signal.set_wakeup_fd(writer)
    try:
        yield wait
    finally:
        signal.set_wakeup_fd(wakeup)
        for s, handler in before.items():
            signal.signal(s, handler)
        os.close(reader)
        os.close(writer)


@contextmanager
def _shown() -> Iterator[Callable[[Report], None] | None]:
    """A function that shows the accounts on standard error; None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    console = Console(stderr=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda report: live.update(live_table(report, console.height), refresh=True)
