"""A session that is over: how it ended, its pages that are left, and its part of the report.

In this order, as each step decides what the next may say: the end; commands that are still pending; findings that the
parts have kept for the end; pages that are left. Where lines are missing in such a number, or in such a manner, that
the others cannot be trusted, everything inferred from them is dropped. ``Outcome`` then holds what is known of the
session: its end, its balance (``balances.py``), its findings, and what the input does not show (``unknowns.py``). The
notes follow from it; the verdict follows from the facts (``judgement.py``) by ``custody/verdicts.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from fwpages.auditor import answers, commands, fences, identities, loads, messages, outages, surroundings
from fwpages.auditor.balances import Balance, balance, typed
from fwpages.auditor.books import Book
from fwpages.auditor.evidence import Loss, Start
from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.history import history
from fwpages.auditor.incidents import Health
from fwpages.auditor.judgement import facts, mode_shown, releases_shown
from fwpages.auditor.losses import doubt, outcome_unknown
from fwpages.auditor.session import After, AuditedSession, Close, Link, Pending, Stray, Tried
from fwpages.auditor.unknowns import seen_all_the_same, unknowns
from fwpages.custody.accounts import End, FindingAccount, SessionAccount
from fwpages.custody.findings import Cause
from fwpages.custody.remedies import addressed
from fwpages.custody.verdicts import judge
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType, Identity
from fwpages.prm.opcodes import ManagePages
from fwpages.readers.observations import CommandUnanswered, Place

#: losses in one session's log from which on dumps are not trusted to be whole where they look so
MAX_DAMAGE = 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """A session that is over: how it ended, its counts, its findings, and what is not known of it."""

    end: End
    balance: Balance
    findings: list[FindingAccount]
    unknowns: list[str]


def close(
    s: AuditedSession, after: After, first: Place, names: Mapping[str, str], types: Mapping[str, FunctionType]
) -> SessionAccount:
    """The session's part of the report; ``after`` says what came after its last line, ``first`` is its first.

    ``names`` are the scenario's names of functions by identity, ``types`` its types of those that no command shows.
    """
    outcome = _settle(s, after)
    for note in _notes(s, outcome):
        s.note(note)
    judged = judge(facts(s, outcome.end, outcome.balance.totals, wrong=bool(outcome.findings)))
    counts = typed(outcome.balance, types)
    functions = [msgspec.structs.replace(f, name=names.get(f.identity, "")) for f in counts.functions]
    return SessionAccount(
        device=s.device,
        supplier=s.naming.kind,
        first=first.at(),
        last=s.last.at(),
        mode=mode_shown(s),
        end=outcome.end,
        verdict=judged.verdict,
        clean=judged.verdict.clean,
        totals=counts.totals,
        by_type=counts.by_type,
        counters=counts.counters,
        functions=functions,
        findings=[_addressed(f, s.device) for f in outcome.findings],
        missing=judged.missing,
        notes=s.notes,
        series=history(s, functions, first),
    )


def _addressed(f: FindingAccount, device: str) -> FindingAccount:
    """The finding with the device in the commands of its remedy."""
    return msgspec.structs.replace(f, remedy=addressed(f.remedy, device))


def _settle(s: AuditedSession, after: After) -> Outcome:
    """Judge what only the end decides; returns the outcome of the session."""
    s.add(messages.settle(s))
    end = _end(s, after)
    s.add(_still_pending(s, end))
    s.add(commands.settle(s))
    s.add(fences.settle(s, after))
    s.add(answers.settle(s))
    s.add(identities.settle(s))
    s.add(messages.finish(s))
    s.add(surroundings.settle(s))
    s.add(loads.finish(s))
    s.add(outages.finish(s))
    if s.evidence.by_lines:
        for unserved in s.books.settle():
            s.note(unserved)
        for book, _ in s.books.counted():
            s.timeline.counted(book, s.last)
        if s.books.boot_pages_unclear(s.naming):
            s.evidence.lose(Loss.LINES, "no line says which vhca_id the boot pages belong to")
        s.add(_left_by_lines(s, end))
    else:
        s.add(_left_by_ledger(s, end))
    _drop_untrusted(s)
    end = End.FAILED if _load_failed(s, end) else end
    return Outcome(end, balance(s), s.findings.rows(), list(unknowns(s, end)))


def _notes(s: AuditedSession, outcome: Outcome) -> Iterator[str]:
    yield from outcome.unknowns
    yield from seen_all_the_same(s)
    for what, n in s.counts.items():
        if isinstance(what, Tried):
            yield f"refused, which is no finding about pages: {what.name}" + (f", {n} times" if n > 1 else "")
    if outcome.end is End.FORCED:
        left = [f"{r.identity} {r.outstanding}" for r in s.ledger.records if r.outstanding]
        yield "torn down by force" + (": pages left on purpose: " + ", ".join(left) if left else "")


# -- how it ended


def _end(s: AuditedSession, after: After) -> End:
    """The session's end: the first of these that holds."""
    if Link.FORCED in s.link:
        return End.FORCED
    if s.reset is not None and s.reset.end is not None:
        return s.reset.end
    if s.health is Health.PAGES_FREED and not s.closed:
        return End.LOST
    if (stated := outages.end(s)) is not None:
        return stated
    if _closed(s, after):
        return End.CLOSED
    if Link.LOST in s.link:
        return End.LOST
    if Link.FENCED in s.link or after is After.NEXT_SESSION:
        return End.RESET
    return End.REMOVED if s.incident is not None and s.incident.gone else End.OPEN


def _load_failed(s: AuditedSession, end: End) -> bool:
    """The load did not succeed, whatever followed: by the driver's lines, or by commands that are all in the input."""
    e, i = s.evidence, s.incident
    if i is not None and i.load_failed:
        return True
    if end is End.OPEN or not e.dumps or e.incomplete or e.uncounted:
        return False
    if e.log:
        return e.start is Start.REFUSED
    if e.start is Start.INITIALIZED:
        return len(s.findings) > 0  # it had no event queue for page requests yet
    return e.from_start and e.start is not Start.WORKING


def _closed(s: AuditedSession, after: After) -> bool:
    """By its commands, by the driver's lines, or because it never opened."""
    by_commands = s.close in (Close.DONE, Close.PERHAPS) or s.evidence.start is Start.REFUSED
    return by_commands or messages.closed(s, after)


def _still_pending(s: AuditedSession, end: End) -> Found:
    """Commands that no answer was seen to: under way where the input just ends, else unanswered."""
    e = s.evidence
    for p in list(s.pending.values()):
        if _under_way(s, p, end):
            s.note(f"{p} ({p.place.file}:{p.place.line}) was still under way at the end")
            if p.is_page_command(ManagePages.GIVE):
                doubt(s, p)
        elif e.log:
            yield from _output_missing(s, p)
        elif e.served:
            yield from commands.unanswered(s, CommandUnanswered(place=p.place, device=s.device, key=p.key))
        elif e.numbered or not p.overdue_at(s.last):
            del s.pending[p.key]
            yield from answers.none_to(s, p)
        else:
            yield from commands.unanswered(s, CommandUnanswered(place=p.place, device=s.device, key=p.key))


def _under_way(s: AuditedSession, p: Pending, end: End) -> bool:
    """The input ends before the answer could be expected."""
    e = s.evidence
    if e.log and end is not End.CLOSED:
        return True
    return end is End.OPEN and not s.kept(Stray) and (e.numbered or not p.overdue_at(s.last))


def _output_missing(s: AuditedSession, p: Pending) -> Found:
    detail = f"{p} was sent, and its OUTPUT dump is missing: what was answered is not known"
    yield Finding(Cause.LOG_LINES_LOST, p.place, p.book, detail=detail)
    outcome_unknown(s, p, detail)


# -- pages that are left


def _left_by_ledger(s: AuditedSession, end: End) -> Found:
    """Pages that are out though the session is over, by function."""
    e = s.evidence
    over = end in (End.CLOSED, End.RESET) or s.health is Health.PAGES_FREED
    if s.close is Close.PERHAPS or not over or e.blind or e.ambiguous or s.reset_asked is not None:
        return
    if not releases_shown(s):
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
    counted = [(book, book.numbers.out) for book in s.books if book.counted_only and book.numbers is not None]
    return left | {book.identity: out for book, out in counted if out}


def _left_by_lines(s: AuditedSession, end: End) -> Found:
    """The same where lines alone count: how many came back by a TAKE is then not known, at most what was asked."""
    freed = s.health is Health.PAGES_FREED
    if s.evidence.blind or s.evidence.uncounted_lines or not (freed or end is End.RESET):
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
    if s.health is Health.PAGES_FREED:
        why = "the device was in error, and the driver freed them without asking for them"
        link = s.incident is not None and s.incident.link and not s.incident.explained
        return Cause.PAGES_LEFT_LINK if link else Cause.PAGES_LEFT_DEVICE_ERROR, why
    if end is End.RESET:
        why = "the device was opened anew, or reset, without DISABLE_HCA, and no fence was seen"
        return Cause.PAGES_LEFT_OPENED_ANEW, why
    if any(p.about(book.identity) and p.op_mod == ManagePages.TAKE for p in s.overdue.values()):
        return Cause.PAGES_LEFT_TAKE_UNANSWERED, "the last TAKE was not answered"
    if not book.asked_back:
        return Cause.PAGES_LEFT_NEVER_ASKED, "the host never asked for them"
    if not book.brought and (objects := outages.living_objects(s, s.last)):
        return Cause.PAGES_LEFT_OBJECTS, "; ".join(["objects of the driver's live in them", *objects])
    if book.brought is None:
        return Cause.PAGES_LEFT_TAKE_REFUSED, "the device refused the last TAKE"
    if book.brought:
        return Cause.PAGES_LEFT_STOPPED_ASKING, f"the host stopped asking, though its last TAKE brought {book.brought}"
    return Cause.PAGES_LEFT_TAKE_EMPTY, "the last TAKE brought nothing"


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
