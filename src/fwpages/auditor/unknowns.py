"""Facts that the input of a session does not show, each with its kind and the note that says so in the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from fwpages.auditor.books import CUT
from fwpages.auditor.session import AuditedSession, Counted
from fwpages.custody.accounts import End
from fwpages.custody.findings import FindingName
from fwpages.pages.words import many


class Missing(Enum):
    """A kind of fact that an input can leave out."""

    BEGINNING = "pages that were given before the input begins"
    MODE = "the mode in which functions are named"
    ALL_COUNTS = "the counts of every function"
    COUNTS = "the counts of one function"
    ADDRESSES = "the addresses of one function's pages, which are counted all the same"
    SINGLE_PAGES = "single pages that look wrong"
    PAGES_AT_ALL = "anything about pages"
    RETURNED = "the pages that TAKEs brought back"
    CLOSE = "the close, which is concluded from the driver's lines"
    COMMANDS = "commands that answers belong to"
    END = "the session's end"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that is not known, and the note that says so."""

    missing: Missing
    note: str


def unknowns(s: AuditedSession, end: End) -> Iterator[Unknown]:
    """All facts of this session that its input does not show."""
    e = s.evidence
    if not e.from_start and e.used:
        yield from _beginning(s)
    yield from _counts(s)
    if e.log and (e.by_lines or not e.page_commands):
        yield from _returned(s, end)
    unmatched = s.counts[Counted.UNMATCHED]
    if unmatched:
        yield Unknown(Missing.COMMANDS, f"answers to commands that were not seen: {unmatched}")
    if end is End.OPEN and e.used:
        yield Unknown(Missing.END, "the input ends with the device open")


def _beginning(s: AuditedSession) -> Iterator[Unknown]:
    words = "the input begins in the middle of this session: what was given before is not known, so no counts"
    yield Unknown(Missing.BEGINNING, words)
    if not s.naming.mode_shown:
        yield Unknown(Missing.MODE, "nothing shows in which mode functions are named: taken as FUNC_ID")


def _counts(s: AuditedSession) -> Iterator[Unknown]:
    e = s.evidence
    if e.blind:
        yield Unknown(Missing.ALL_COUNTS, f"no counts: {e.blind}")
    for book in s.books:
        if book.unsure == CUT:
            yield Unknown(Missing.ADDRESSES, f"{book.identity}: {book.unsure}")
        elif book.unsure:
            yield Unknown(Missing.COUNTS, f"{book.identity}: no counts: {book.unsure}")
    unjudged = s.counts[Counted.UNJUDGED]
    if unjudged and e.uncounted:
        words = f"single pages that look wrong and are not judged, as lines are missing: {unjudged}"
        yield Unknown(Missing.SINGLE_PAGES, words)
    if e.by_lines and s.books.broken:
        yield Unknown(Missing.ALL_COUNTS, f"no counts: {s.books.broken}")


def _returned(s: AuditedSession, end: End) -> Iterator[Unknown]:
    """A log without dumps that can be used shows no TAKE's answer."""
    if not s.evidence.lines:
        words = "nothing about pages: mlx5_core says it at debug level (dynamic debug: module mlx5_core +p)"
        yield Unknown(Missing.PAGES_AT_ALL, words)
        return
    why = "the dumps cannot be used" if s.evidence.ambiguous else "no command dumps"
    words = f"{why}: what a TAKE returned is not known, so neither is what is held after one"
    yield Unknown(Missing.RETURNED, words)
    if end is End.CLOSED and s.books.sweeping and not s.findings.has(FindingName.PAGES_LEFT):
        words = "the driver took everything back and complained of nothing: taken as closed"
        yield Unknown(Missing.CLOSE, words)


def seen_all_the_same(s: AuditedSession) -> Iterator[str]:
    """Notes of what the input shows of functions whose counts are not known."""
    e = s.evidence
    if not e.from_start and e.used:
        yield from _seen_by_ledger(s)
        yield from _seen_otherwise(s)
    elif e.from_start and e.blind and not e.log:
        yield from _seen_by_ledger(s)


def _seen_otherwise(s: AuditedSession) -> Iterator[str]:
    for book, tally in s.books.counted() if s.evidence.by_lines else ():
        yield f"{book.identity}: seen here: given {tally.given}, released {tally.released}"
    for book in s.books:
        if book.before:
            yield f"{book.identity}: {many(book.before)} came back that were given before the input begins"


def _seen_by_ledger(s: AuditedSession) -> Iterator[str]:
    for r in s.ledger.records:
        fresh = r.identity in s.books.rows and s.books.rows[r.identity].fresh
        if r.generation == 0 and r.given and (s.evidence.blind or not fresh):
            yield f"{r.identity}: seen here: given {r.given}, returned {r.returned}, released {r.released}"
