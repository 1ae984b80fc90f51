"""A session that is over, in the shape of the report: its accounts, what is left, and what is not known."""

from __future__ import annotations

from fwpages.auditor.counts import CUT
from fwpages.auditor.fences import Why
from fwpages.auditor.session import AuditedSession
from fwpages.custody.accounts import COLUMNS, UNKNOWN, Count, End, FunctionAccount, by_type, counters, total
from fwpages.custody.accounts import SessionAccount as Report
from fwpages.custody.findings import Cause, FindingName
from fwpages.custody.ledger import State
from fwpages.custody.records import Record
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType, Identity
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.readers.observations import CommandUnanswered

#: losses in one session's log from which on dumps are not trusted to be whole where they look so
MAX_DAMAGE = 16


def close(s: AuditedSession, why: Why) -> Report:
    """The session's part of the report; ``why`` says what came after its last line."""
    end = s.fences.end(why)
    _under_way(s, end)
    s.confirm()
    s.fences.settle(why)
    s.answers.settle()
    s.pages.settle_names()
    s.complaints.finish()
    known = s.began and not s.uncounted
    if s.by_lines:
        for unserved in s.tally.settle():
            s.note(unserved)
        known = s.began and not s.blind and not s.tally.broken and not s.tally.doubted
        functions = s.tally.functions(known=s.began and not s.blind and not s.tally.broken)
        peak: Count = s.tally.peak
        peaks = None
        _left_by_lines(s, end)
    else:
        functions = _by_ledger(s)
        followed = CUT not in s.unsure.values()
        peak = s.custody.records.peak if followed else s.numbers.peak
        peaks = {kind: most for kind, (_, most) in s.custody.records.by_type.items()} if followed else None
        _left(s, end)
    untold = s.complaints.untold
    if s.log and (untold or s.faults.damage() >= MAX_DAMAGE) and (n := s.faults.drop_inferred()):
        lines = "lines are missing that nothing tells of" if untold else "so many lines are missing"
        s.note(f"{many(n, 'finding')} left out: {lines}, and dumps may be taken for others")
    _notes(s, end)
    peak = None if any(f.given is None or f.peak is None for f in functions) else peak
    findings = s.faults.rows()
    told = bool(functions) or not (s.blind or _silent(s))
    totals = total(functions, peak=peak) if told else UNKNOWN
    sums = by_type(functions, peaks)
    figures = counters(
        functions,
        fw_pages_alloc_failed=None,
        fw_pages_give_dropped=s.give_dropped if known else None,
        fw_pages_reclaim_discard=s.reclaim_discard if known and not s.by_lines else None,
    )
    left = any(f.held or f.doubtful for f in functions)
    return Report(
        device=s.device,
        mode=s.naming.mode.value,
        end=end,
        clean=not findings and (end == "open" or not left),
        totals=totals,
        by_type=sums if told else dict.fromkeys(sums, UNKNOWN),
        counters=figures if told else dict.fromkeys(figures),
        functions=functions,
        findings=findings,
        notes=s.notes,
    )


def _silent(s: AuditedSession) -> bool:
    """Nothing in the input would tell of pages: that none are seen says nothing."""
    return not s.began or (s.log and not (s.dumped or s.tally.used))


def _under_way(s: AuditedSession, end: End) -> None:
    """Commands that no answer was seen to: under way where the input just ends, else unanswered."""
    for p in list(s.pending.values()):
        waiting = s.numbered or not p.overdue_at(s.last)
        under_way = end == "open" and waiting and not s.answers.astray
        if under_way or (s.log and end != "closed"):
            s.note(f"{p} ({p.place.file}:{p.place.line}) was still under way at the end")
            if p.opcode == Opcode.MANAGE_PAGES and p.op_mod == ManagePages.GIVE:
                s.doubt(p)
        elif s.log:
            detail = f"{p} was sent, and its OUTPUT dump is missing: what was answered is not known"
            s.fault(Cause.LOG_LINES_LOST, p.place, p.who, detail=detail)
            s.pages.unknown_outcome(p, detail)
        elif waiting:
            del s.pending[p.key]
            s.answers.none_to(p)
        else:
            s.unanswered(CommandUnanswered(place=p.place, device=s.device, key=p.key))


def _by_ledger(s: AuditedSession) -> list[FunctionAccount]:
    counts = s.custody.ledger.counts()
    counted = {f.identity: f for f in s.numbers.functions(known=s.began and not s.blind and not s.ambiguous)}
    cut = {str(who) for who, why in s.unsure.items() if why == CUT}
    many_lives = {str(r.identity) for r in s.custody.records if r.generation}
    rows = [_function(s, r, counts) for r in s.custody.records]
    rows = [counted.get(f.identity, f) if f.identity in cut - many_lives else f for f in rows]
    if s.began:
        return rows
    known = {f.identity for f in rows}
    seen = dict.fromkeys(w for w in (*s.pages.last_take, *s.pages.before, *s.unsure) if str(w) not in known)
    return rows + [_unknown(s, who) for who in seen]


def _unknown(s: AuditedSession, who: Identity) -> FunctionAccount:
    """A function that was there before the input begins, and of which nothing but that is known."""
    nothing: dict[str, Count] = dict.fromkeys(COLUMNS)
    return FunctionAccount(identity=str(who), generation=0, type=_type(s, who), **nothing)


def _type(s: AuditedSession, who: Identity) -> FunctionType:
    """What a function is; nobody knows where the mode itself is a guess."""
    return s.naming.type_of(who) if s.began or s.naming.told else FunctionType.UNKNOWN


def _function(s: AuditedSession, r: Record, counts: dict[tuple[int, State], int]) -> FunctionAccount:
    seen = s.began or r.generation > 0 or r.identity in s.pages.fresh
    known = seen and not s.blind and not s.ambiguous and r.identity not in s.unsure

    def count(n: int) -> Count:
        return n if known else None

    return FunctionAccount(
        identity=str(r.identity),
        generation=r.generation,
        type=_type(s, r.identity) if not r.retired else r.type,
        given=count(r.given),
        returned=count(r.returned),
        released=count(r.released),
        discarded=count(r.discarded),
        held=count(counts.get((r.number, State.HELD), 0)),
        doubtful=count(counts.get((r.number, State.DOUBTFUL), 0)),
        peak=count(r.peak),
    )


def _left(s: AuditedSession, end: End) -> None:
    """Pages that are out though the session is over, by function, with whom to blame."""
    if s.maybe_closed:
        return
    if (
        (end not in ("closed", "reset") and s.complaints.seized is None)
        or s.blind
        or s.ambiguous
        or s.fences.asked is not None
    ):
        return
    left: dict[Identity, int] = {}
    for r in s.custody.records:
        if r.outstanding and r.identity not in s.unsure:
            left[r.identity] = left.get(r.identity, 0) + r.outstanding
    counted = s.numbers.lines.items()
    left |= {who: line.out for who, line in counted if line.out and s.unsure.get(who) == CUT}
    for who, n in left.items():
        cause, why = _whose(s, who, end)
        s.fault(cause, s.last, who, n, f"{many(n)} of {who}: {why}")


def _left_by_lines(s: AuditedSession, end: End) -> None:
    """The same where lines alone count: how many came back by a TAKE is then not known, at most what was asked."""
    if s.blind or s.tally.broken or (s.complaints.seized is None and end != "reset"):
        return
    for r in s.tally.lines.values():
        least = r.given - r.released - r.asked
        if least <= 0 or r.unsure:
            continue
        cause, why = _whose(s, r.who, end)
        number = many(least) if r.out is not None else f"at least {many(least)}"
        s.fault(cause, s.last, r.who, r.out, f"{number} of {r.who}: {why}")


def _whose(s: AuditedSession, who: Identity, end: End) -> tuple[Cause, str]:
    if s.complaints.seized is not None:
        return (
            Cause.PAGES_LEFT_DEVICE_ERROR,
            "the device was in error, and the driver freed them without asking for them",
        )
    if end == "reset":
        return (
            Cause.PAGES_LEFT_OPENED_ANEW,
            "the device was opened anew, or reset, without DISABLE_HCA, and no fence was seen",
        )
    if any(p.who == who and p.op_mod == ManagePages.TAKE for p in s.overdue.values()):
        return Cause.PAGES_LEFT_TAKE_UNANSWERED, "the last TAKE was not answered"
    if who not in s.pages.last_take:
        return Cause.PAGES_LEFT_NEVER_ASKED, "the host never asked for them"
    last = s.pages.last_take[who]
    if last is None:
        return Cause.PAGES_LEFT_TAKE_REFUSED, "the device refused the last TAKE"
    if last:
        return Cause.PAGES_LEFT_STOPPED_ASKING, f"the host stopped asking, though its last TAKE brought {last}"
    return Cause.PAGES_LEFT_TAKE_EMPTY, "the last TAKE brought nothing"


def _notes(s: AuditedSession, end: End) -> None:
    if not s.began and s.used:
        _begun_before(s)
    if s.blind:
        s.note(f"no counts: {s.blind}")
        if s.began and not s.log:
            _seen_here(s)
    for who, why in s.unsure.items():
        s.note(f"{who}: {why}" if why == CUT else f"{who}: no counts: {why}")
    if s.pages.unjudged and s.uncounted:
        s.note(f"{s.pages.unjudged} single pages look wrong, but lines are missing: they are not judged")
    if s.tally.broken and s.by_lines:
        s.note(f"no counts: {s.tally.broken}")
    if s.log and (s.by_lines or not s.commands):
        _no_dumps(s, end)
    if s.answers.passed_over:
        s.note(f"{s.answers.passed_over} answers to commands that were not seen")
    for name, n in s.benign.items():
        s.note(f"refused and no fault: {name}" + (f", {n} times" if n > 1 else ""))
    if end == "forced":
        left = [f"{r.identity} {r.outstanding}" for r in s.custody.records if r.outstanding]
        s.note("torn down by force" + (": pages left on purpose: " + ", ".join(left) if left else ""))
    if end == "open" and s.used:
        s.note("the input ends with the device open")


def _begun_before(s: AuditedSession) -> None:
    s.note("the input begins in the middle of this session: what was given before is not known, so no counts")
    if not s.naming.told:
        s.note("nothing tells in which mode functions are named: taken as FUNC_ID")
    _seen_here(s)
    for line in s.tally.lines.values() if s.by_lines else ():
        s.note(f"{line.who}: seen here: given {line.given}, released {line.released}")
    for who, n in s.pages.before.items():
        s.note(f"{who}: {many(n)} came back that were given before the input begins")


def _seen_here(s: AuditedSession) -> None:
    """What there is of functions whose counts are not known."""
    for r in s.custody.records:
        if r.generation == 0 and r.given and (s.blind or r.identity not in s.pages.fresh):
            s.note(f"{r.identity}: seen here: given {r.given}, returned {r.returned}, released {r.released}")


def _no_dumps(s: AuditedSession, end: End) -> None:
    if not s.tally.used:
        s.note("nothing about pages: mlx5_core says it at debug level (dynamic debug: module mlx5_core +p)")
        return
    why = "the dumps cannot be used" if s.ambiguous else "no command dumps"
    s.note(f"{why}: what a TAKE returned is not known, so neither is what is held after one")
    if end == "closed" and s.tally.sweeping and not s.faults.has(FindingName.PAGES_LEFT):
        s.note("the driver took everything back and complained of nothing: taken as closed")
