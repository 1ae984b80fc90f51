"""The pages of an audited session over its time, by the way of counting that its accounts go by."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from fwpages.auditor.session import AuditedSession
from fwpages.auditor.timeline import Way, point
from fwpages.custody.accounts import FunctionAccount
from fwpages.custody.series import Label, Series, Span, series
from fwpages.readers.observations import Place


def history(s: AuditedSession, functions: Sequence[FunctionAccount], first: Place) -> Series:
    """The series of a session that is over; ``functions`` are its accounts, ``first`` is its first line."""
    way, labels = _counted(s, functions)
    line = s.timeline
    origin = first.time if isinstance(first.time, str) else None
    span = Span(point(first), point(s.last), origin)
    return series(line.recorders.get(way), labels, span, marks=line.marks, gaps=line.gaps)


def _counted(s: AuditedSession, functions: Sequence[FunctionAccount]) -> tuple[Way, Mapping[Hashable, Label]]:
    """The session's way of counting, and the function of each of its columns."""
    labels = {(f.identity, f.generation): _label(f) for f in functions}
    books = _labelled((book, labels.get((str(book.identity), 0))) for book in s.books)
    if s.evidence.by_lines:
        return Way.LINES, books
    if any(book.counted_only for book in s.books):
        return Way.NUMBERS, books
    return Way.LEDGER, _labelled((r.number, labels.get((str(r.identity), r.generation))) for r in s.ledger.records)


def _labelled(columns: Iterable[tuple[Hashable, Label | None]]) -> dict[Hashable, Label]:
    """The columns of functions that have an account."""
    return {column: label for column, label in columns if label is not None}


def _label(f: FunctionAccount) -> Label:
    return Label(f.identity, f.generation, f.type, f.name, proven=f.given is not None)
