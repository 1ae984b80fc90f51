"""Commands that went wrong, as the lines of a kernel log show them.

Several lines are about one failure: the command code prints the status, the page code prints the function, the caller
prints its own error. The first of them stays *open* until the next one completes it or shows that nothing more comes.
"""

from __future__ import annotations

from fwpages.auditor import commands
from fwpages.auditor.books import lines_of
from fwpages.auditor.driver_names import function_of
from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.session import AuditedSession, Counted
from fwpages.custody.findings import Cause, FindingName
from fwpages.custody.findings import refused as refused_cause
from fwpages.prm.opcodes import Opcode, opcode_name
from fwpages.readers.observations import (
    AllocationFailed,
    CantGiveFailed,
    CommandNotDone,
    CommandNotSent,
    CommandRefused,
    CommandTimedOut,
    CommandUnanswered,
    DriverMessage,
    GiveFailed,
    LateCompletion,
    TakeFailed,
)

#: errors of the kernel's that say what became of a command
ETIMEDOUT, ECANCELED, EBUSY = -110, -125, -16

_TRIED = frozenset({Opcode.ACCESS_REG, Opcode.QUERY_ISSI})


def _stated(cause: Cause, v: DriverMessage, detail: str = "") -> Finding:
    return Finding(cause, v.place, detail=detail or v.text, stated=True)


def _completed(s: AuditedSession, v: DriverMessage) -> str:
    """The line's text, with that of the open line before it, which was about the same."""
    opened, s.driver.open = s.driver.open, None
    return f"{v.text}; {opened.text}" if opened is not None else v.text


# -- the driver's page code


def give_failed(s: AuditedSession, v: GiveFailed) -> Found:
    """A GIVE had another end than OK."""
    served = s.books.serve(v.number, v.pages, take=False)
    book, pages = (yield from function_of(s, v)), v.pages
    if book is None and served is not None:
        book = s.book(served.number, ec=False)
    text = _completed(s, v)
    if s.evidence.page_commands:
        return
    s.evidence.used = True
    if v.err == ETIMEDOUT:
        detail = f"{text}: the driver frees these pages, but firmware may have them"
        yield Finding(Cause.GIVE_UNANSWERED, v.place, book, pages, detail, stated=True)
        if book is not None and pages:
            s.evidence.lines = True
            s.books.by_lines.give(lines_of(book), pages, doubtful=True)
        return
    s.counts[Counted.GIVE_DROPPED] += pages or 0
    sent = v.err not in (ECANCELED, EBUSY)
    cause = Cause.GIVE_REFUSED if sent else Cause.COMMAND_NOT_SENT
    yield Finding(cause, v.place, book, pages, text, stated=True)


def reclaim_failed(s: AuditedSession, v: TakeFailed) -> Found:
    """A TAKE had another end than OK. A line without the error is followed by one with it."""
    s.driver.take_failed = True
    if v.err is None:
        yield from flush(s)
        s.driver.open = v
        return
    yield _stated(_take(v.err), v, _completed(s, v))


def alloc_failed(s: AuditedSession, v: AllocationFailed) -> Found:
    """The driver had no memory: one line where it asked for some, one where it gives up giving."""
    again, s.driver.no_memory = s.driver.no_memory and v.err is not None, v.err is None
    if not again:
        yield _stated(Cause.ALLOC_FAILED, v)


def notify_failed(s: AuditedSession, v: CantGiveFailed) -> Found:
    """A CANT_GIVE had another end than OK."""
    text = _completed(s, v)
    if s.evidence.page_commands:
        return
    cause = Cause.CANT_GIVE_UNANSWERED if v.err == ETIMEDOUT else Cause.COMMAND_REFUSED
    book = yield from function_of(s, v)
    yield Finding(cause, v.place, book, detail=text, stated=True)


# -- its command code


def refused(s: AuditedSession, v: CommandRefused | CommandNotSent | CommandTimedOut) -> Found:
    """Any command was refused, or could not be sent: the driver's function that wanted it may say more."""
    yield from flush(s)
    if not s.evidence.page_commands and v.opcode is not None:
        s.driver.open = v
    elif isinstance(v, CommandNotSent):
        yield _stated(Cause.COMMAND_NOT_SENT, v)


def flush(s: AuditedSession, err: int | None = None) -> Found:
    """No line completed the open one: it stands for itself. ``err``: the error of a TAKE, from a later line."""
    v, s.driver.open = s.driver.open, None
    match v:
        case TakeFailed():
            yield _stated(_take(err), v)
        case CommandNotSent():
            yield _stated(Cause.COMMAND_NOT_SENT, v)
        case CommandTimedOut():
            yield _stated(Cause.COMMAND_UNANSWERED, v)
        case CommandRefused() if v.opcode not in frozenset(Opcode) - _TRIED:
            s.tried[opcode_name(v.opcode or 0)] += 1
        case CommandRefused():
            yield _stated(_refusal(v), v)


def _refusal(v: CommandRefused) -> Cause:
    return refused_cause(v.opcode or 0, v.op_mod, valid=True)


def no_done(s: AuditedSession, v: CommandNotDone | CommandTimedOut) -> Found:
    """The driver stops waiting; the dump that follows is of what lies in the buffer, no answer."""
    for p in list(s.pending.values()):
        if p.opcode == v.opcode and v.slot in (None, p.slot):
            gone = CommandUnanswered(place=v.place, device=v.device, key=p.key, said=True, detail=v.text)
            yield from commands.unanswered(s, gone)


def timeout(s: AuditedSession, v: CommandTimedOut) -> Found:
    """The driver has given a command up."""
    if not s.evidence.page_commands and not s.pending and not s.overdue:
        yield from refused(s, v)
        return
    yield from no_done(s, v)
    if any(p.opcode == v.opcode for p in s.overdue.values()):
        yield from commands.confirm(s, v.opcode)
        return
    # a data dump of an unanswered command looks like an answer of zeros
    manage = v.opcode == Opcode.MANAGE_PAGES
    book = s.book(s.driver.unconfirmed[-1][0], ec=False) if manage and s.driver.unconfirmed else None
    cause = Cause.GIVE_UNANSWERED if book is not None else Cause.COMMAND_UNANSWERED
    yield Finding(cause, v.place, book, detail=v.text, stated=True)
    if manage:
        s.lose(book, f"{v.text}: which pages firmware has is not known")


def late(s: AuditedSession, v: LateCompletion) -> Found:
    """An answer came after the driver had stopped waiting."""
    if not s.findings.has(FindingName.LATE_ANSWER):
        yield _stated(Cause.LATE_ANSWER, v)


def _take(err: int | None) -> Cause:
    return Cause.TAKE_UNANSWERED if err == ETIMEDOUT else Cause.TAKE_REFUSED
