"""Lines about events as they happen, of which many alike in a row are summed up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

#: receives what happens: seconds since the start, and a line of text
OnEvent: TypeAlias = Callable[[float, str], None]

#: lines of one kind in a row that are passed on; further ones are counted
MOST_ALIKE = 20
#: kinds that may alternate in one row: a page request, the answer to it, and an offence
KINDS = 3


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

    def say(self, t: float, words: str, kind: str = "") -> None:
        """Pass this line on, or count it. ``t`` is seconds since the start."""
        if self._on_event is None:
            return
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
        """Pass on how many lines of each kind were counted only."""
        more, self._more = self._more, {}
        for n, last in more.values():
            assert self._on_event is not None
            self._on_event(t, f"{n:,} more like this one: {last}")
