"""Lines about events as they happen, of which many alike in a row are summed up.

A driver gives and takes back pages in many commands, one right after the other. Those of one function and one direction
are a row: its first command is a line at once, all further ones are one line, when the row ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

#: receives what happens: seconds since the start, and a line of text
OnEvent: TypeAlias = Callable[[float, str], None]

#: lines of one kind in a row that are passed on; further ones are counted
MOST_ALIKE = 20
#: kinds that may alternate in one row: a page request, the answer to it, and an offence
KINDS = 3
#: seconds without another command of a row after which it has ended
PAUSE = 0.5


@dataclass(slots=True)
class _Row:
    """Page commands after the first of a row: pages and commands so far, the time of the last, and its line."""

    name: str
    pages: int = 0
    commands: int = 0
    last: float = 0.0
    words: Callable[[int, int], str] | None = None


class EventLines:
    """Passes lines on to ``on_event``; of a row of many alike the first, and how many more there were.

    Lines are alike when they are of one kind: equal, or given the same ``kind``. A row ends with a line of another
    kind, or with ``flush``.
    """

    def __init__(self, on_event: OnEvent | None) -> None:
        self._on_event = on_event
        self._said: dict[str, int] = {}
        #: by kind: the lines that were counted only, and the last of them
        self._more: dict[str, tuple[int, str]] = {}
        self._row: _Row | None = None

    @property
    def due(self) -> float | None:
        """The time at which to call ``settle``; None for never."""
        return None if self._row is None or not self._row.commands else self._row.last + PAUSE

    def settle(self, t: float) -> None:
        """Pass on the line of a row that has ended by now."""
        if self.due is not None and t >= self.due:
            self._end_row()

    def move(self, t: float, name: str, pages: int, words: Callable[[int, int], str], kind: str) -> None:
        """Report pages that moved by one command of the row ``name``; ``words`` are given pages and commands."""
        if self._on_event is None:
            return
        if self._row is None or self._row.name != name:
            self.say(t, words(pages, 1), kind)
            self._row = _Row(name)
            return
        self._row.pages += pages
        self._row.commands += 1
        self._row.last, self._row.words = t, words

    def _end_row(self) -> None:
        row, self._row = self._row, None
        if row is not None and row.words is not None:
            self.say(row.last, row.words(row.pages, row.commands), row.name)

    def say(self, t: float, words: str, kind: str = "") -> None:
        """Pass this line on, or count it. ``t`` is seconds since the start."""
        if self._on_event is None:
            return
        self._end_row()
        kind = kind or words
        if kind not in self._said:
            self.flush(t)
            if len(self._said) == KINDS:
                self._said.clear()
        self._said[kind] = self._said.get(kind, 0) + 1
        if self._said[kind] <= MOST_ALIKE:
            self._on_event(t, words)
        else:
            n, _ = self._more.get(kind, (0, ""))
            self._more[kind] = n + 1, words

    def flush(self, t: float) -> None:
        """Pass on how many lines of each kind were counted only, and the line of a row."""
        self._end_row()
        more, self._more = self._more, {}
        for n, last in more.values():
            assert self._on_event is not None
            self._on_event(t, f"{n:,} more like this one: {last}")
