"""Any command of a session: sent, answered, refused, given up.

A command is *pending* from its submission to its answer, and *overdue* once its host has stopped waiting: an answer
to it is then late, but still settles its pages. Answers are matched by the reader's key, never by order. A kernel log
shows a command that gets no answer by a dump that is missing, which can also be a loss; such a command is believed to
be unanswered only when the driver says so, or at the end, unless lines are missing.
"""

from __future__ import annotations

import contextlib

from fwpages.auditor import answers, lifecycle, page_commands
from fwpages.auditor.evidence import Loss, Shown
from fwpages.auditor.findings import Finding, Finds, Found
from fwpages.auditor.losses import doubt, outcome_unknown
from fwpages.auditor.session import AuditedSession, Pending, Tried, Unconfirmed
from fwpages.custody.findings import Cause
from fwpages.custody.findings import refused as refused_cause
from fwpages.custody.findings import unanswered as unanswered_cause
from fwpages.pages.words import many
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, decode_answer, decode_command
from fwpages.prm.opcodes import HOST_ENDIANNESS, CapType, Opcode
from fwpages.prm.status import Status, status_words
from fwpages.readers.observations import (
    CommandCompleted,
    CommandExecuted,
    CommandSubmitted,
    CommandUnanswered,
    CommandUndone,
    Place,
)

#: commands without an answer that a session remembers
MAX_PENDING = 4096

_DECODED = lifecycle.COMMANDS | {Opcode.QUERY_PAGES, Opcode.MANAGE_PAGES}
#: decoded where it can be, and no fault where not; in logs their dumps are not looked at
_DECODED_OF_TRACES = lifecycle.QUEUES | {Opcode.ACCESS_REG}


def submitted(s: AuditedSession, v: CommandSubmitted) -> Found:
    """A command was handed to the device."""
    s.last = v.place
    s.evidence.show(Shown.COMMANDS)
    p = yield from _decode(s, v)
    yield from _slot_used_anew(s, v)
    s.pending[v.key] = p
    if len(s.pending) > MAX_PENDING:
        del s.pending[next(iter(s.pending))]
    lifecycle.sent(s, p)
    if p.command is None:
        return
    if p.opcode == Opcode.MANAGE_PAGES:
        s.evidence.show(Shown.PAGE_COMMANDS)
        yield from page_commands.sent(s, p, p.command, v.holes)
    elif p.opcode == Opcode.QUERY_PAGES:
        yield from page_commands.query_sent(s, p, p.command)
    elif p.opcode == Opcode.SET_HCA_CAP and lifecycle.holed(v.holes, 0, lifecycle.CAPS_READ):
        p.command = None
        s.evidence.lose(Loss.MODE, "SET_HCA_CAP is not whole")


def _decode(s: AuditedSession, v: CommandSubmitted) -> Finds[Pending]:
    opcode, op_mod = int.from_bytes(v.message[:2], "big"), int.from_bytes(v.message[6:8], "big")
    p = Pending(v.key, v.place, opcode, op_mod, v.slot, cut=v.cut, faulty=s.naming.poses_as_pf)
    if len(v.message) < 8:
        p.faulty = True
        detail = f"a command of {many(len(v.message), 'byte')}"
        yield Finding(Cause.COMMAND_MALFORMED, v.place, detail=detail)
    elif opcode in _DECODED:
        try:
            p.command = decode_command(v.message)
        except LayoutError as e:
            p.faulty = True
            yield Finding(Cause.COMMAND_MALFORMED, v.place, detail=f"{p}: {e}")
    elif not s.evidence.log and opcode in _DECODED_OF_TRACES:
        with contextlib.suppress(LayoutError):
            p.command = decode_command(v.message)
    return p


def _slot_used_anew(s: AuditedSession, v: CommandSubmitted) -> Found:
    """A command in a slot that another still has: the host has stopped waiting for that one."""
    if s.evidence.log or v.slot is None:
        return
    for old in [p for p in s.pending.values() if p.slot == v.slot]:
        if s.evidence.numbered or not old.overdue_at(v.place):
            del s.pending[old.key]
            yield from answers.none_to(s, old)
            continue
        gone = CommandUnanswered(place=v.place, device=v.device, key=old.key, detail="its slot was used anew")
        yield from unanswered(s, gone)


# -- answers


def completed(s: AuditedSession, v: CommandCompleted) -> Found:
    """An answer came."""
    s.last = v.place
    s.evidence.show(Shown.SOMETHING)
    p = s.pending.pop(v.key, None)
    late = p is None
    if p is None:
        p = s.overdue.pop(v.key, None)
    if p is None:
        yield from answers.stray(s, v)
        return
    if late and s.evidence.log and not any(v.message):
        # the driver dumps the output buffer also when it gives up: no answer
        s.overdue[v.key] = p
        return
    answer = yield from _decode_answer(s, p, v)
    if answer is None:
        return
    answers.done(s, [p.key])
    s.refusing = not answer.ok
    if late and s.reset_asked is None:
        detail = f"{p}: {status_words(answer.status)}"
        yield Finding(Cause.LATE_ANSWER, v.place, p.book, detail=detail)
    yield from _answered(s, p, answer, v, late=late)


def executed(s: AuditedSession, v: CommandExecuted) -> Found:
    """The device carried a command out and keeps its answer back: what it changed is changed."""
    p = s.pending.get(v.key)
    if p is None or p.command is None:
        return
    try:
        a = decode_answer(p.opcode, v.message)
    except LayoutError:
        return
    if p.opcode == Opcode.MANAGE_PAGES:
        yield from page_commands.executed(s, p, a, v)
    elif a.ok and p.opcode in lifecycle.COME_AND_GO:
        p.executed = 0
        answer = CommandCompleted(place=v.place, device=v.device, session=v.session, key=v.key, message=v.message)
        yield from lifecycle.answered(s, p, p.command, a, answer)


def _answered(s: AuditedSession, p: Pending, a: Answer, v: CommandCompleted, *, late: bool) -> Found:
    if p.executed is not None:
        return
    if p.opcode == Opcode.MANAGE_PAGES and p.command is not None:
        yield from page_commands.answered(s, p, a, v, late=late)
    elif not a.ok:
        yield from _refused(s, p, a, v.place)
    elif p.opcode == Opcode.INIT_HCA:
        lifecycle.initialized(s)
    elif p.command is not None and p.opcode == Opcode.QUERY_PAGES:
        yield from page_commands.query_answered(s, p, p.command, a, v.place)
    elif p.command is not None:
        yield from lifecycle.answered(s, p, p.command, a, v)


def _decode_answer(s: AuditedSession, p: Pending, v: CommandCompleted) -> Finds[Answer | None]:
    if v.delivery:
        detail = f"{p}: delivery status {v.delivery:#x}"
        yield Finding(Cause.DELIVERY_ERROR, v.place, p.book, detail=detail)
        return Answer(p.opcode, Status.INTERNAL_ERR)
    status = v.message[0] if v.message else None
    if p.command is None and status == Status.OK:
        return Answer(p.opcode)
    try:
        return decode_answer(p.opcode, v.message)
    except LayoutError as e:
        if status:
            return Answer(p.opcode, status)
        yield Finding(Cause.ANSWER_MALFORMED, v.place, p.book, detail=f"{p}: {e}")
        if p.opcode == Opcode.SET_HCA_CAP:
            s.evidence.lose(Loss.MODE, "the answer to SET_HCA_CAP is malformed")
        doubt(s, p)
        return None


def _refused(s: AuditedSession, p: Pending, a: Answer, place: Place) -> Found:
    lifecycle.refused(s, p)
    if _tried(p, a):
        s.counts[Tried(str(p))] += 1
        return
    detail = f"{p}: {status_words(a.status)}, syndrome {a.syndrome:#x}"
    yield Finding(refused_cause(p.opcode, p.op_mod, valid=not p.faulty), place, p.book, detail=detail)


def _tried(p: Pending, a: Answer) -> bool:
    """Drivers try what a device may not know: that it refuses is no fault."""
    match p.opcode:
        case Opcode.QUERY_ISSI:
            return a.status == Status.BAD_OP  # a device from before there were ISSIs
        case Opcode.QUERY_HCA_CAP:
            return p.op_mod >> 1 != CapType.GENERAL
        case Opcode.ACCESS_REG:
            return p.command is None or p.command["register_id"] != HOST_ENDIANNESS
    return p.opcode not in frozenset(Opcode)


# -- no answer


def unanswered(s: AuditedSession, v: CommandUnanswered) -> Found:
    """The host or the link has stopped waiting for an answer."""
    s.last = v.place
    s.evidence.show(Shown.SOMETHING)
    p = s.pending.get(v.key)
    if p is None:
        return
    pages = _stop_waiting(s, p)
    why = v.detail or ("the link gave it up" if v.by_link else "no answer came")
    if p.executed is not None:
        why += ", and the device carried it out"
    finding = Finding(unanswered_cause(p.opcode, p.op_mod, by_link=v.by_link), p.place, p.book, pages, f"{p}: {why}")
    if s.evidence.log and not v.said:
        s.withheld.append(Unconfirmed(p, finding))
    else:
        yield finding


def undone(s: AuditedSession, v: CommandUndone) -> None:
    """The driver got an error in place of an answer: nothing shows if the device carried the command out."""
    s.last = v.place
    p = s.pending.pop(v.key, None)
    if p is not None:
        outcome_unknown(s, p, f"{p}: {v.detail}")
        s.complain(f"{p}: {v.detail}")


def confirm(s: AuditedSession, opcode: int | None) -> Found:
    """The driver says that it waited in vain: dumps of this command that show no answer are believed."""
    for x in s.kept(Unconfirmed):
        if x.pending.opcode == opcode:
            s.withheld.remove(x)
            yield x.finding


def settle(s: AuditedSession) -> Found:
    """Nothing more comes: such dumps are believed, but where lines are missing they may be parts of two dumps."""
    for x in s.kept(Unconfirmed):
        if s.evidence.incomplete:
            outcome_unknown(s, x.pending, "lines are missing: whether it was answered is not known")
        else:
            yield x.finding


def abandon(s: AuditedSession, place: Place) -> Found:
    """The device is being reset: pending commands get no answer. No fault, unless they were sent long ago."""
    for p in list(s.pending.values()):
        if p.overdue_at(place) and not s.evidence.numbered:
            detail = "the device was reset first"
            yield from unanswered(s, CommandUnanswered(place=place, device=s.device, key=p.key, detail=detail))
            continue
        s.note(f"{p} ({p.place.file}:{p.place.line}) was under way when the device was reset")
        _stop_waiting(s, p)


def _stop_waiting(s: AuditedSession, p: Pending) -> int | None:
    """The command is overdue from here on: returns how many pages are now doubtful, None where it is about none."""
    del s.pending[p.key]
    s.overdue[p.key] = p
    if len(s.overdue) > MAX_PENDING:
        del s.overdue[next(iter(s.overdue))]
    if p.executed is None:
        lifecycle.unanswered(s, p)
    return doubt(s, p)
