"""Facts that the input of a session does not show, as the notes that say so in the report."""

from __future__ import annotations

from collections.abc import Iterator

from fwpages.auditor.session import AuditedSession, Counted
from fwpages.custody.accounts import End
from fwpages.custody.findings import FindingName
from fwpages.pages.words import many

#: complaints that are shown, one by one
MAX_UNEXPLAINED = 8


def unknowns(s: AuditedSession, end: End) -> Iterator[str]:
    """All facts of this session that its input does not show."""
    e = s.evidence
    if not e.from_start and e.used:
        yield from _beginning(s)
    yield from _counts(s)
    if e.log and (e.by_lines or not e.page_commands):
        yield from _returned(s, end)
    unmatched = s.counts[Counted.UNMATCHED]
    if unmatched:
        yield f"answers to commands that were not seen: {unmatched}"
    for text in s.unexplained[:MAX_UNEXPLAINED]:
        yield f"a complaint that no rule here explains: {text}"
    if end is End.OPEN and e.used:
        yield "the input ends with the device open"


def _beginning(s: AuditedSession) -> Iterator[str]:
    yield "the input begins in the middle of this session: what was given before is not known, so no counts"
    if not s.naming.mode_shown:
        yield "nothing shows in which mode functions are named: their names are those of FUNC_ID"


def _counts(s: AuditedSession) -> Iterator[str]:
    e = s.evidence
    if e.blind:
        yield f"no counts: {e.blind}"
    for book in s.books:
        if book.counted_only:
            yield f"{book.identity}: {book.unsure}"
        elif book.unsure:
            yield f"{book.identity}: no counts: {book.unsure}"
    unjudged = s.counts[Counted.UNJUDGED]
    if unjudged and e.uncounted:
        yield f"single pages that look wrong and are not judged, as lines are missing: {unjudged}"
    if e.by_lines and e.uncounted_lines:
        yield f"no counts: {e.uncounted_lines}"


def _returned(s: AuditedSession, end: End) -> Iterator[str]:
    """A log without dumps that can be used shows no TAKE's answer."""
    if not s.evidence.lines:
        return
    why = "the dumps cannot be used" if s.evidence.ambiguous else "no command dumps"
    yield f"{why}: what a TAKE returned is not known, so neither is what is held after one"
    if end is End.CLOSED and s.books.sweeping and not s.findings.has(FindingName.PAGES_LEFT):
        quiet = not s.complained and not s.findings
        yield f"the driver took everything back{' and complained of nothing' if quiet else ''}: taken as closed"


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
