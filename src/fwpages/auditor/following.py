"""The audit of an input that still grows, and its accounts as they stand.

What is known so far is judged on a copy: to end a session changes it. A copy costs time, so that none is made while
there are lines to read, nor more often than ``COPY_SHARE`` of the time.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

from fwpages.auditor.audit import Audit, audit_source
from fwpages.custody.accounts import Report
from fwpages.readers.growing import Wait, growing
from fwpages.readers.inputs import Source

#: seconds between two accounts at least, and the share of the time that making them may take
LEAST = 0.5
COPY_SHARE = 0.1


class _Viewer:
    """Shows the accounts of an audit whenever its input has been read so far."""

    def __init__(self, wait: Wait, show: Callable[[Report], None], clock: Callable[[], float]) -> None:
        self._wait, self._show, self._clock = wait, show, clock
        self._audit: Audit | None = None
        self._source: Source | None = None
        self._next = 0.0
        #: lines that were read when the accounts were last shown
        self._lines = 0

    def begin(self, audit: Audit, source: Source) -> None:
        """The audit of this input begins."""
        self._audit, self._source = audit, source

    def wait(self, fd: int | None) -> bool:
        """Everything that is there has been read: show it, and wait for more."""
        now = self._clock()
        if self._audit is not None and now >= self._next and self._news():
            self._show(copy.deepcopy(self._audit).report())
            spent = self._clock() - now
            self._next = now + max(LEAST, spent / COPY_SHARE)
        return self._wait(fd)

    def _news(self) -> bool:
        """Lines came since the accounts were last shown."""
        lines = 0 if self._source is None else self._source.lines
        before, self._lines = self._lines, lines
        return lines > before


def follow(
    path: str,
    wait: Wait,
    show: Callable[[Report], None] | None = None,
    *,
    hosts: set[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Audit the input at ``path`` (``-`` is standard input) as it grows, until ``wait`` returns False or a pipe ends.

    ``show`` gets the accounts as they stand, each time that everything has been read. Returns the report at the end,
    which is that of ``audit``. InputError as ``audit``.
    """
    viewer = None if show is None else _Viewer(wait, show, clock)
    with growing(path, wait if viewer is None else viewer.wait) as source:
        begun = None if viewer is None else lambda audit: viewer.begin(audit, source)
        return audit_source(source, set() if hosts is None else hosts, begun)
