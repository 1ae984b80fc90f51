"""The accounts of a session that is over: by its ledger, by the commands' own counts, or by the driver's lines.

A function's counts are shown only where the input proves them; else each of them is None. The sums follow the
functions: one unknown count makes the sum unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import structs

from fwpages.auditor.books import Book
from fwpages.auditor.judgement import releases_shown
from fwpages.auditor.session import AuditedSession, Counted
from fwpages.custody.accounts import COLUMNS, UNKNOWN, Count, FunctionAccount, Totals, by_type, counters, total
from fwpages.custody.ledger import State
from fwpages.custody.records import Record
from fwpages.prm.identity import FunctionType, Identity


@dataclass(frozen=True, slots=True)
class Balance:
    """A session's counts: of each function, and their sums."""

    functions: list[FunctionAccount]
    totals: Totals
    by_type: dict[str, Totals]
    counters: dict[str, Count]


def balance(s: AuditedSession) -> Balance:
    """The session's counts, as far as its input proves them."""
    e = s.evidence
    functions = _by_lines(s) if e.by_lines else _by_ledger(s)
    peak, peaks = _peaks(s)
    totals = total(functions, peak=None if any(f.given is None or f.peak is None for f in functions) else peak)
    sums, figures = by_type(functions, peaks), _counters(s, functions)
    if not functions and (e.blind or e.silent):
        # that no function is seen proves nothing
        totals, sums, figures = UNKNOWN, dict.fromkeys(sums, UNKNOWN), dict.fromkeys(figures)
    return Balance(functions, totals, sums, figures)


def typed(b: Balance, types: Mapping[str, FunctionType]) -> Balance:
    """The same with the types (by identity) of functions whose type the session does not show.

    The most that the functions of such a type had out together is not known then.
    """
    found = {
        f.identity: types[f.identity] for f in b.functions if f.type is FunctionType.UNKNOWN and f.identity in types
    }
    if not found:
        return b
    functions = [structs.replace(f, type=found.get(f.identity, f.type)) for f in b.functions]
    sums = by_type(functions)
    kept = {t: row for t, row in b.by_type.items() if t not in {k.value for k in found.values()} | {"unknown"}}
    return Balance(functions, b.totals, sums | kept, b.counters | counters(functions))


def _counters(s: AuditedSession, functions: list[FunctionAccount]) -> dict[str, Count]:
    """The driver's counters, as far as the input shows them: why a host had no memory, only the host knows."""
    by_lines = s.evidence.by_lines
    known = _lines_known(s) and not s.books.doubted if by_lines else s.evidence.from_start and not s.evidence.uncounted
    return counters(
        functions,
        fw_pages_alloc_failed=None,
        fw_pages_give_dropped=s.counts[Counted.GIVE_DROPPED] if known else None,
        fw_pages_reclaim_discard=s.counts[Counted.RECLAIM_DISCARDED] if known and not by_lines else None,
    )


def _peaks(s: AuditedSession) -> tuple[Count, dict[FunctionType, int] | None]:
    """The most that was out at one time: in all, and of each type where that is known."""
    if s.evidence.by_lines:
        return s.books.by_lines.peak, None
    if any(book.counted_only for book in s.books):
        return s.books.by_numbers.peak, None
    records = s.ledger.records
    return records.peak, {kind: most for kind, (_, most) in records.by_type.items()}


# -- by the driver's lines


def _lines_known(s: AuditedSession) -> bool:
    """The driver's lines show what was given; of single functions they may still not."""
    return s.evidence.from_start and not s.evidence.blind and not s.evidence.uncounted_lines


def _by_lines(s: AuditedSession) -> list[FunctionAccount]:
    known = _lines_known(s)
    return [tally.account(book.identity, s.naming, known=known) for book, tally in s.books.counted()]


# -- by the ledger


def _by_ledger(s: AuditedSession) -> list[FunctionAccount]:
    held = s.ledger.ledger.counts()
    records = s.ledger.records
    counted = {r.identity: row for r in records if (row := _by_numbers(s, r)) is not None}
    first = {r.identity: r.number for r in reversed(list(records))}
    accounts = [
        counted.get(r.identity) or _by_record(s, r, held)
        for r in records
        if r.identity not in counted or first[r.identity] == r.number  # the numbers are those of all generations
    ]
    if s.evidence.from_start:
        return accounts
    return accounts + [_unknown(s, book.identity) for book in _known_by_name(s)]


def _known_by_name(s: AuditedSession) -> list[Book]:
    """Functions that were there before the input begins, and of which nothing but that is known."""
    counted = {r.identity for r in s.ledger.records}
    books = [book for book in s.books if book.identity not in counted]
    asked_back = [book for book in books if book.asked_back]
    returned = [book for book in books if book.before]
    unsure = [book for book in books if book.unsure]
    return list(dict.fromkeys(asked_back + returned + unsure))


def _by_numbers(s: AuditedSession, r: Record) -> FunctionAccount | None:
    """The account by the commands' own counts, where the input leaves addresses out."""
    book = s.books.rows.get(r.identity)
    if book is None or not book.counted_only or book.numbers is None:
        return None
    e = s.evidence
    return book.numbers.account(r.identity, s.naming, known=e.from_start and not e.blind and not e.ambiguous)


def _by_record(s: AuditedSession, r: Record, held: dict[tuple[int, State], int]) -> FunctionAccount:
    known = _followed(s, r)
    figures = {
        "given": r.given,
        "returned": r.returned,
        "released": r.released,
        "discarded": r.discarded,
        "held": held.get((r.number, State.HELD), 0),
        "doubtful": held.get((r.number, State.DOUBTFUL), 0),
        "peak": r.peak,
    }
    shown = {name: n if known else None for name, n in figures.items()}
    if r.outstanding and not releases_shown(s):
        shown |= dict.fromkeys(("released", "held", "peak"))
    return FunctionAccount(
        identity=str(r.identity),
        generation=r.generation,
        type=_type(s, r.identity) if not r.retired else r.type,
        name="",
        **shown,
    )


def _followed(s: AuditedSession, r: Record) -> bool:
    """The record's pages were followed from the first to the last."""
    e, book = s.evidence, s.books.rows.get(r.identity)
    if e.blind or e.ambiguous or (book is not None and book.unsure):
        return False
    return e.from_start or r.generation > 0 or (book is not None and book.fresh)


def _unknown(s: AuditedSession, who: Identity) -> FunctionAccount:
    nothing: dict[str, Count] = dict.fromkeys(COLUMNS)
    return FunctionAccount(identity=str(who), generation=0, type=_type(s, who), name="", **nothing)


def _type(s: AuditedSession, who: Identity) -> FunctionType:
    """The function's type; UNKNOWN where the mode itself is a guess."""
    known = s.evidence.from_start or s.naming.mode_shown
    return s.naming.type_of(who) if known else FunctionType.UNKNOWN
