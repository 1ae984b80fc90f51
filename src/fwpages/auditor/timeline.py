"""The time line of an audited session: the counts of each function as they change, marks, and gaps of the input.

The three ways of counting (``books.py``) each have a record of their own, as only the end decides which of them holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from fwpages.auditor.books import Book
from fwpages.custody.records import Record
from fwpages.custody.series import MAX_MARKS, MarkKind, Point, Recorder
from fwpages.readers.clocks import seconds_of
from fwpages.readers.observations import LinkEvent, Place

_LINK: Mapping[LinkEvent, tuple[MarkKind, str]] = MappingProxyType(
    {
        LinkEvent.RESET: ("reset", "the host asks for a reset"),
        LinkEvent.FENCED: ("reset", "a fence: the device can no longer touch memory"),
        LinkEvent.LOST: ("link", "the link is lost"),
        LinkEvent.BACK: ("link", "the link is back"),
        LinkEvent.HEALTH: ("health", "firmware reports a fatal state"),
    }
)


class Way(Enum):
    """A way of counting pages (``books.py``)."""

    LEDGER = "page by page"
    LINES = "by the driver's lines"
    NUMBERS = "by the commands' own counts"


@dataclass(slots=True)
class Timeline:
    """The changes of one session, by each way of counting that its input has shown so far."""

    recorders: dict[Way, Recorder] = field(default_factory=dict)
    marks: list[tuple[Point, MarkKind, str]] = field(default_factory=list)
    gaps: list[tuple[Point, Point, str]] = field(default_factory=list)

    def moved(self, row: Record, at: Place) -> None:
        """The ledger's count of a function has changed."""
        self._by(Way.LEDGER).note(row.number, row.outstanding, point(at))

    def counted(self, book: Book, at: Place) -> None:
        """The counts of a function by lines, or by the commands' own numbers, may have changed."""
        if book.lines is not None:
            self._by(Way.LINES).note(book, book.lines.out, point(at))
        if book.numbers is not None:
            self._by(Way.NUMBERS).note(book, book.numbers.out, point(at))

    def joined(self, book: Book, at: Place) -> None:
        """The function's other book, which this one replaces, counts nothing any more."""
        for way, tally in ((Way.LINES, book.lines), (Way.NUMBERS, book.numbers)):
            if tally is not None:
                self._by(way).note(book, 0, point(at))

    def _by(self, way: Way) -> Recorder:
        return self.recorders.setdefault(way, Recorder())

    def mark(self, kind: MarkKind, text: str, at: Place) -> None:
        """Note an event of the whole session."""
        if len(self.marks) < MAX_MARKS:
            self.marks.append((point(at), kind, text))

    def changed(self, what: LinkEvent, detail: str, at: Place) -> None:
        """Note an event of the link, or of the device as a whole."""
        if what in _LINK:
            kind, text = _LINK[what]
            self.mark(kind, f"{text}: {detail}" if detail else text, at)

    def gap(self, after: Place, before: Place, text: str) -> None:
        """Lines of the input are missing between these two."""
        known = bool(self.gaps) and self.gaps[-1][1].line >= before.line
        if not known and len(self.gaps) < MAX_MARKS:
            self.gaps.append((point(after), point(before), text))


def point(at: Place) -> Point:
    """A line's place in the time of its session."""
    return Point(seconds_of(at.time) if isinstance(at.time, str) else at.time, at.line)
