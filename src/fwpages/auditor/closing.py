"""A session that is over, in the shape of the report: how it ended, its accounts, what is left, and what is not known.

In this order, as each step decides what the next may say: the end; commands that are still pending; what the parts
have kept for the end; the accounts, by the ledger or by the driver's lines; pages that are left; and at last the
notes. Where lines are missing in such a number, or in such a manner, that what the others seem to show cannot be
trusted, everything inferred from them is dropped.
"""

from __future__ import annotations

from collections import Counter

from fwpages.auditor import answers, commands, fences, identities, messages
from fwpages.auditor.books import CUT, Book
from fwpages.auditor.evidence import Start
from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.losses import doubt, outcome_unknown
from fwpages.auditor.session import After, AuditedSession, Close, Counted, Health, Link, Pending
from fwpages.custody.accounts import (
    COLUMNS,
    UNKNOWN,
    Count,
    End,
    FunctionAccount,
    SessionAccount,
    by_type,
    counters,
    total,
)
from fwpages.custody.findings import Cause, FindingName
from fwpages.custody.ledger import State
from fwpages.custody.records import Record
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType, Identity
from fwpages.prm.opcodes import ManagePages
from fwpages.readers.observations import CommandUnanswered

#: losses in one session's log from which on dumps are not trusted to be whole where they look so
MAX_DAMAGE = 16


def close(s: AuditedSession, after: After) -> SessionAccount:
    """The session's part of the report; ``after`` says what came after its last line."""
    s.add(messages.settle(s))
    end = _end(s, after)
    s.add(_still_pending(s, end))
    s.add(commands.settle(s))
    s.add(fences.settle(s, after))
    s.add(answers.settle(s))
    s.add(identities.settle(s))
    s.add(messages.finish(s))
    if s.evidence.by_lines:
        for unserved in s.books.settle(s.naming):
            s.note(unserved)
        s.add(_left_by_lines(s, end))
    else:
        s.add(_left_by_ledger(s, end))
    _drop_untrusted(s)
    _notes(s, end)
    return _account(s, end)


# -- how it ended


def _end(s: AuditedSession, after: After) -> End:
    if Link.FORCED in s.link:
        return End.FORCED
    if s.ended_by_reset is not None:
        return s.ended_by_reset
    if s.driver.health is Health.PAGES_FREED and not s.closed:
        return End.LOST
    refused = s.evidence.start is Start.REFUSED
    if s.close in (Close.DONE, Close.PERHAPS) or messages.closed(s, after) or refused:
        return End.CLOSED
    if Link.LOST in s.link:
        return End.LOST
    ended = Link.FENCED in s.link or after is After.NEXT_SESSION
    return End.RESET if ended else End.OPEN


def _still_pending(s: AuditedSession, end: End) -> Found:
    """Commands that no answer was seen to: under way where the input just ends, else unanswered."""
    e = s.evidence
    for p in list(s.pending.values()):
        waiting = e.numbered or not p.overdue_at(s.last)
        if (end is End.OPEN and waiting and not s.strays) or (e.log and end is not End.CLOSED):
            s.note(f"{p} ({p.place.file}:{p.place.line}) was still under way at the end")
            if p.is_page_command(ManagePages.GIVE):
                doubt(s, p)
        elif e.log:
            yield from _output_missing(s, p)
        elif waiting:
            del s.pending[p.key]
            yield from answers.none_to(s, p)
        else:
            yield from commands.unanswered(s, CommandUnanswered(place=p.place, device=s.device, key=p.key))


def _output_missing(s: AuditedSession, p: Pending) -> Found:
    detail = f"{p} was sent, and its OUTPUT dump is missing: what was answered is not known"
    yield Finding(Cause.LOG_LINES_LOST, p.place, p.book, detail=detail)
    outcome_unknown(s, p, detail)


# -- accounts


def _account(s: AuditedSession, end: End) -> SessionAccount:
    e = s.evidence
    functions = _by_lines(s) if e.by_lines else _by_ledger(s)
    peak, peaks = _peaks(s)
    totals = total(functions, peak=None if any(f.given is None or f.peak is None for f in functions) else peak)
    sums = by_type(functions, peaks)
    figures = _counters(s, functions)
    if not functions and (e.blind or e.silent):
        # that no function is seen proves nothing
        totals, sums, figures = UNKNOWN, dict.fromkeys(sums, UNKNOWN), dict.fromkeys(figures)
    findings = s.findings.rows()
    left = any(f.held or f.doubtful for f in functions)
    return SessionAccount(
        device=s.device,
        mode=s.naming.mode.value,
        end=end,
        clean=not findings and (end is End.OPEN or not left),
        totals=totals,
        by_type=sums,
        counters=figures,
        functions=functions,
        findings=findings,
        notes=s.notes,
    )


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
    if any(book.unsure == CUT for book in s.books):
        return s.books.by_numbers.peak, None
    records = s.ledger.records
    return records.peak, {kind: most for kind, (_, most) in records.by_type.items()}


def _lines_known(s: AuditedSession) -> bool:
    """The driver's lines show what was given; of single functions they may still not."""
    return s.evidence.from_start and not s.evidence.blind and not s.books.broken


def _by_lines(s: AuditedSession) -> list[FunctionAccount]:
    known = _lines_known(s)
    return [tally.account(book.identity, s.naming, known=known) for book, tally in s.books.counted()]


def _by_ledger(s: AuditedSession) -> list[FunctionAccount]:
    held = s.ledger.ledger.counts()
    records = s.ledger.records
    generations = {r.identity for r in records if r.generation}
    rows = [_numbers(s, r) if r.identity not in generations else None for r in records]
    accounts = [row or _function(s, r, held) for r, row in zip(records, rows, strict=True)]
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


def _numbers(s: AuditedSession, r: Record) -> FunctionAccount | None:
    """The account by the commands' own counts, where this kernel's dumps leave addresses out."""
    book = s.books.rows.get(r.identity)
    if book is None or book.unsure != CUT or book.numbers is None:
        return None
    e = s.evidence
    return book.numbers.account(r.identity, s.naming, known=e.from_start and not e.blind and not e.ambiguous)


def _unknown(s: AuditedSession, who: Identity) -> FunctionAccount:
    nothing: dict[str, Count] = dict.fromkeys(COLUMNS)
    return FunctionAccount(identity=str(who), generation=0, type=_type(s, who), **nothing)


def _type(s: AuditedSession, who: Identity) -> FunctionType:
    """The function's type; UNKNOWN where the mode itself is a guess."""
    known = s.evidence.from_start or s.naming.mode_shown
    return s.naming.type_of(who) if known else FunctionType.UNKNOWN


def _function(s: AuditedSession, r: Record, held: dict[tuple[int, State], int]) -> FunctionAccount:
    e, book = s.evidence, s.books.rows.get(r.identity)
    seen = e.from_start or r.generation > 0 or (book is not None and book.fresh)
    known = seen and not e.blind and not e.ambiguous and not (book is not None and book.unsure)
    figures = {
        "given": r.given,
        "returned": r.returned,
        "released": r.released,
        "discarded": r.discarded,
        "held": held.get((r.number, State.HELD), 0),
        "doubtful": held.get((r.number, State.DOUBTFUL), 0),
        "peak": r.peak,
    }
    return FunctionAccount(
        identity=str(r.identity),
        generation=r.generation,
        type=_type(s, r.identity) if not r.retired else r.type,
        **{name: n if known else None for name, n in figures.items()},
    )


# -- pages that are left


def _left_by_ledger(s: AuditedSession, end: End) -> Found:
    """Pages that are out though the session is over, by function."""
    e = s.evidence
    over = end in (End.CLOSED, End.RESET) or s.driver.health is Health.PAGES_FREED
    if s.close is Close.PERHAPS or not over or e.blind or e.ambiguous or s.reset_asked is not None:
        return
    for who, n in _left(s).items():
        book = s.books.of(who)
        cause, why = _cause(s, book, end)
        yield Finding(cause, s.last, book, n, f"{many(n)} of {who}: {why}")


def _left(s: AuditedSession) -> dict[Identity, int]:
    """Pages out of each function that could be followed, or whose commands could be counted."""
    left: Counter[Identity] = Counter()
    for r in s.ledger.records:
        if r.outstanding and not s.books.of(r.identity).unsure:
            left[r.identity] += r.outstanding
    counted = [(book, book.numbers.out) for book in s.books if book.unsure == CUT and book.numbers is not None]
    return left | {book.identity: out for book, out in counted if out}


def _left_by_lines(s: AuditedSession, end: End) -> Found:
    """The same where lines alone count: how many came back by a TAKE is then not known, at most what was asked."""
    freed = s.driver.health is Health.PAGES_FREED
    if s.evidence.blind or s.books.broken or not (freed or end is End.RESET):
        return
    for book, tally in s.books.counted():
        least = tally.given - tally.released - tally.asked
        if least <= 0 or tally.unsure:
            continue
        cause, why = _cause(s, book, end)
        number = many(least) if tally.out is not None else f"at least {many(least)}"
        detail = f"{number} of {book.identity}: {why}"
        yield Finding(cause, s.last, book, tally.out, detail)


def _cause(s: AuditedSession, book: Book, end: End) -> tuple[Cause, str]:
    if s.driver.health is Health.PAGES_FREED:
        why = "the device was in error, and the driver freed them without asking for them"
        return Cause.PAGES_LEFT_DEVICE_ERROR, why
    if end is End.RESET:
        why = "the device was opened anew, or reset, without DISABLE_HCA, and no fence was seen"
        return Cause.PAGES_LEFT_OPENED_ANEW, why
    if any(p.about(book.identity) and p.op_mod == ManagePages.TAKE for p in s.overdue.values()):
        return Cause.PAGES_LEFT_TAKE_UNANSWERED, "the last TAKE was not answered"
    if not book.asked_back:
        return Cause.PAGES_LEFT_NEVER_ASKED, "the host never asked for them"
    if book.brought is None:
        return Cause.PAGES_LEFT_TAKE_REFUSED, "the device refused the last TAKE"
    if book.brought:
        return Cause.PAGES_LEFT_STOPPED_ASKING, f"the host stopped asking, though its last TAKE brought {book.brought}"
    return Cause.PAGES_LEFT_TAKE_EMPTY, "the last TAKE brought nothing"


# -- what is not known


def _drop_untrusted(s: AuditedSession) -> None:
    """Findings inferred from an input that is not to be trusted are left out."""
    e = s.evidence
    if not e.contradicted and not (e.log and e.gaps >= MAX_DAMAGE):
        return
    n = s.findings.drop_inferred()
    if not n:
        return
    if not e.log:
        s.note(f"{n} findings are left out: the trace contradicts itself, lines of it may be changed")
        return
    lines = "lines are missing, and nothing shows where" if e.contradicted else "so many lines are missing"
    s.note(f"{many(n, 'finding')} left out: {lines}, and dumps may be taken for others")


def _notes(s: AuditedSession, end: End) -> None:
    e = s.evidence
    if not e.from_start and e.used:
        _begun_before(s)
    _not_counted(s)
    if e.log and (e.by_lines or not e.page_commands):
        _no_dumps(s, end)
    if s.counts[Counted.UNMATCHED]:
        s.note(f"answers to commands that were not seen: {s.counts[Counted.UNMATCHED]}")
    for name, n in s.tried.items():
        s.note(f"refused and no fault: {name}" + (f", {n} times" if n > 1 else ""))
    if end is End.FORCED:
        _torn_down(s)
    if end is End.OPEN and e.used:
        s.note("the input ends with the device open")


def _torn_down(s: AuditedSession) -> None:
    left = [f"{r.identity} {r.outstanding}" for r in s.ledger.records if r.outstanding]
    s.note("torn down by force" + (": pages left on purpose: " + ", ".join(left) if left else ""))


def _not_counted(s: AuditedSession) -> None:
    """Reasons for counts that are not known."""
    e = s.evidence
    if e.blind:
        s.note(f"no counts: {e.blind}")
        if e.from_start and not e.log:
            _seen_here(s)
    for book in s.books:
        if book.unsure:
            s.note(f"{book.identity}: {'' if book.unsure == CUT else 'no counts: '}{book.unsure}")
    unjudged = s.counts[Counted.UNJUDGED]
    if unjudged and e.uncounted:
        s.note(f"single pages that look wrong and are not judged, as lines are missing: {unjudged}")
    if e.by_lines and s.books.broken:
        s.note(f"no counts: {s.books.broken}")


def _begun_before(s: AuditedSession) -> None:
    s.note("the input begins in the middle of this session: what was given before is not known, so no counts")
    if not s.naming.mode_shown:
        s.note("nothing shows in which mode functions are named: taken as FUNC_ID")
    _seen_here(s)
    for book, tally in s.books.counted() if s.evidence.by_lines else ():
        s.note(f"{book.identity}: seen here: given {tally.given}, released {tally.released}")
    for book in s.books:
        if book.before:
            s.note(f"{book.identity}: {many(book.before)} came back that were given before the input begins")


def _seen_here(s: AuditedSession) -> None:
    """Note what was seen of functions whose counts are not known."""
    for r in s.ledger.records:
        fresh = r.identity in s.books.rows and s.books.rows[r.identity].fresh
        if r.generation == 0 and r.given and (s.evidence.blind or not fresh):
            s.note(f"{r.identity}: seen here: given {r.given}, returned {r.returned}, released {r.released}")


def _no_dumps(s: AuditedSession, end: End) -> None:
    if not s.evidence.lines:
        s.note("nothing about pages: mlx5_core says it at debug level (dynamic debug: module mlx5_core +p)")
        return
    why = "the dumps cannot be used" if s.evidence.ambiguous else "no command dumps"
    s.note(f"{why}: what a TAKE returned is not known, so neither is what is held after one")
    if end is End.CLOSED and s.books.sweeping and not s.findings.has(FindingName.PAGES_LEFT):
        s.note("the driver took everything back and complained of nothing: taken as closed")
