"""Commands that went wrong, as the lines of a kernel log show them.

Several lines are about one failure: the command code prints the status, the page code prints the function, the caller
prints its own error. The first of them stays *open* until the next one completes it or shows that nothing more comes.
"""

from __future__ import annotations

from dataclasses import replace

from fwpages.auditor import commands, outages
from fwpages.auditor.books import lines_of
from fwpages.auditor.driver_names import function_of
from fwpages.auditor.evidence import Shown
from fwpages.auditor.findings import Finding, Finds, Found
from fwpages.auditor.session import AuditedSession, Counted, Said, Tried
from fwpages.custody.findings import Cause, FindingName
from fwpages.custody.findings import refused as refused_cause
from fwpages.prm.opcodes import Opcode, opcode_name
from fwpages.prm.status import Status, status_words
from fwpages.readers.observations import (
    AllocationFailed,
    CantGiveFailed,
    CommandNotDone,
    CommandNotSent,
    CommandRefused,
    CommandTimedOut,
    CommandUnanswered,
    CompletionsRecovered,
    DriverMessage,
    GiveFailed,
    GiveWithheld,
    LateCompletion,
    PageWorkFailed,
    TakeFailed,
    TeardownFailed,
)

#: errors of the kernel's that say what became of a command
ETIMEDOUT, ECANCELED, EBUSY = -110, -125, -16

#: the driver prints this, and then that the same command timed out
NOT_DONE = "No done completion"
#: and this of a command whose completion it found by looking
RECOVERED = "recovered after timeout"
#: a GIVE's late answer, where the driver frees pages at the timeout
FREED_BEFORE = "the slot is free again, the pages are not safe, as the driver freed them before"

#: statuses by which a device says that it takes the command for wrong, or for sent at the wrong time
_PERHAPS_HOST = frozenset(
    {
        Status.BAD_OP,
        Status.BAD_PARAM,
        Status.BAD_SYS_STATE,
        Status.BAD_RES,
        Status.BAD_RES_STATE,
        Status.IX_ERR,
        Status.BAD_QP_STATE,
        Status.BAD_INP_LEN,
        Status.BAD_OUTP_LEN,
    }
)
#: and those by which an object is in use
_IN_USE = _PERHAPS_HOST | {Status.RES_BUSY}
_OF_GIVE = (
    FindingName.GIVE_REFUSED,
    FindingName.GIVE_UNANSWERED,
    FindingName.ALLOC_FAILED,
    FindingName.PAGE_LIMIT,
    FindingName.CANNOT_GIVE,
)
#: lines of the command code
_OF_A_COMMAND = (CommandRefused, CommandNotSent, CommandTimedOut, CommandNotDone)
_OF_TAKE = (FindingName.TAKE_REFUSED, FindingName.TAKE_UNANSWERED)
_TRIED = frozenset({Opcode.ACCESS_REG, Opcode.QUERY_ISSI})


def _stated(cause: Cause, v: DriverMessage, detail: str = "") -> Finding:
    return Finding(cause, v.place, detail=detail or v.text, stated=True)


def _completed(s: AuditedSession, v: DriverMessage, opcode: Opcode = Opcode.MANAGE_PAGES) -> Finds[str]:
    """The line's text, with that of the open line before it, unless that was about another command."""
    opened = s.driver.open
    if isinstance(opened, _OF_A_COMMAND) and opened.opcode not in (None, opcode):
        yield from flush(s)
        return v.text
    s.driver.open = None
    return f"{v.text}; {opened.text}" if opened is not None else v.text


# -- the driver's page code


def give_failed(s: AuditedSession, v: GiveFailed) -> Found:
    """A GIVE had another end than OK."""
    served = s.books.serve(v.number, v.pages, take=False)
    book, pages = (yield from function_of(s, v)), v.pages
    if book is None and served is not None:
        book = s.book(served.number, ec=False)
    text = yield from _completed(s, v)
    if s.evidence.page_commands:
        return
    s.evidence.show(Shown.SOMETHING)
    if v.err == ETIMEDOUT:
        detail = f"{text}: the driver frees these pages, but firmware may have them"
        yield Finding(Cause.GIVE_UNANSWERED, v.place, book, pages, detail, stated=True)
        if book is not None and pages:
            s.evidence.lines = True
            s.books.by_lines.give(lines_of(book), pages, doubtful=True)
            s.timeline.counted(book, s.last)
        return
    s.counts[Counted.GIVE_DROPPED] += pages or 0
    sent = v.err not in (ECANCELED, EBUSY)
    cause = Cause.GIVE_REFUSED if sent else Cause.COMMAND_NOT_SENT
    yield Finding(cause, v.place, book, pages, text, stated=True)


def reclaim_failed(s: AuditedSession, v: TakeFailed) -> Found:
    """A TAKE had another end than OK. A line without the error is followed by one with it."""
    s.driver.said |= Said.TAKE_FAILED
    if v.err is None:
        opened = s.driver.open
        if isinstance(opened, CommandTimedOut) and opened.opcode in (None, Opcode.MANAGE_PAGES):
            s.driver.open = replace(v, text=f"{v.text}; {opened.text}", err=ETIMEDOUT)
            return
        yield from flush(s)
        s.driver.open = v
        return
    yield _stated(_take(v.err), v, (yield from _completed(s, v)))


def alloc_failed(s: AuditedSession, v: AllocationFailed) -> Found:
    """The driver had no memory: one line where it asked for some, one where it gives up giving."""
    again = Said.NO_MEMORY in s.driver.said and v.err is not None
    s.driver.said = s.driver.said & ~Said.NO_MEMORY if v.err is not None else s.driver.said | Said.NO_MEMORY
    if not again:
        yield _stated(Cause.ALLOC_FAILED, v)


def withheld(s: AuditedSession, v: GiveWithheld) -> Found:
    """The driver gives less than firmware asked for, or nothing: no command of it is to come."""
    book = yield from function_of(s, v)
    cause = Cause.CANNOT_GIVE if v.limit is None else Cause.PAGE_LIMIT
    yield Finding(cause, v.place, book, v.pages, v.text, stated=True)


def teardown_failed(s: AuditedSession, v: TeardownFailed) -> Found:
    """A forced or fast teardown failed: the driver tries the one, then the other, and prints a line of each."""
    text = yield from _completed(s, v, Opcode.TEARDOWN_HCA)
    if not s.findings.has(FindingName.TEARDOWN_STATE):
        yield _stated(Cause.TEARDOWN_STATE_FAST, v, text)


def notify_failed(s: AuditedSession, v: CantGiveFailed) -> Found:
    """A CANT_GIVE had another end than OK; old kernels leave it to the line before to say which."""
    opened = s.driver.open
    refusal = isinstance(opened, CommandRefused) and opened.opcode == Opcode.MANAGE_PAGES
    unanswered = v.err == ETIMEDOUT or (v.err is None and not refusal)
    text = yield from _completed(s, v)
    if s.evidence.page_commands:
        return
    cause = Cause.CANT_GIVE_UNANSWERED if unanswered else Cause.COMMAND_REFUSED
    book = yield from function_of(s, v)
    yield Finding(cause, v.place, book, detail=text, stated=True)


def work_failed(s: AuditedSession, v: PageWorkFailed) -> Found:
    """The last line about a page request that failed: it counts where no other line reported it."""
    names = _OF_GIVE if v.give else _OF_TAKE
    if s.evidence.page_commands or any(s.findings.has(name) for name in names):
        return
    text = yield from _completed(s, v)
    timed_out = v.err == ETIMEDOUT
    if v.give:
        cause = Cause.GIVE_UNANSWERED if timed_out else Cause.GIVE_REFUSED
        what = ": the driver frees these pages, but firmware may have them" if timed_out else ""
        yield _stated(cause, v, text + what)
    else:
        yield _stated(_take(v.err), v, text)


def recovered(s: AuditedSession, v: CompletionsRecovered) -> Found:
    """Completions were there, and no interrupt had come: one finding, however many lines, that names a command."""
    if isinstance(s.driver.open, CommandNotDone | CommandTimedOut):
        s.driver.open = None
    found = s.findings.of((FindingName.INTERRUPT_LOST,))
    if not found:
        yield _stated(Cause.INTERRUPT_LOST, v)
    elif v.opcode is not None and not any(RECOVERED in f.detail for f in found):
        s.findings.change({Cause.INTERRUPT_LOST: Cause.INTERRUPT_LOST}, v.text)


# -- its command code


def refused(s: AuditedSession, v: CommandRefused | CommandNotSent | CommandTimedOut) -> Found:
    """Any command was refused, or could not be sent: the driver's function that wanted it may say more."""
    opened = s.driver.open
    if isinstance(opened, CommandNotSent | CommandNotDone) and opened.opcode == v.opcode and NOT_DONE in opened.text:
        if isinstance(opened, CommandNotSent):
            return  # of the same command, which never had a slot
        s.driver.open = None
    yield from flush(s)
    if isinstance(v, CommandRefused) and v.frees and v.status in _IN_USE:
        outages.not_destroyed(s, v)
    if not s.evidence.page_commands and v.opcode is not None:
        s.driver.open = v
    elif isinstance(v, CommandNotSent):
        yield _stated(Cause.COMMAND_NOT_SENT, v)


def flush(s: AuditedSession, err: int | None = None) -> Found:
    """No line completed the open one: it stands for itself. ``err``: the error of a TAKE, from a later line."""
    v, s.driver.open = s.driver.open, None
    match v:
        case TakeFailed():
            yield _stated(_take(v.err if err is None else err), v)
        case CommandNotSent():
            yield _stated(Cause.COMMAND_NOT_SENT, v)
        case CommandTimedOut() | CommandNotDone():
            yield _stated(Cause.COMMAND_UNANSWERED, v)
        case CommandRefused() if v.opcode not in frozenset(Opcode) - _TRIED:
            s.counts[Tried(f"{_name(v)}, {status_words(v.status)}", expected=v.opcode in _TRIED)] += 1
        case CommandRefused():
            yield _stated(_refusal(v), v)


def _name(v: CommandRefused) -> str:
    """The command's name; of one that is not known here, as the driver prints it."""
    opcode = v.opcode or 0
    return opcode_name(opcode) if opcode in frozenset(Opcode) else v.text.partition("(")[0].rpartition(" ")[2]


def _refusal(v: CommandRefused) -> Cause:
    if v.status in _PERHAPS_HOST and v.opcode != Opcode.MANAGE_PAGES:
        return Cause.TEARDOWN_REFUSED_STATE if v.opcode == Opcode.TEARDOWN_HCA else Cause.COMMAND_REFUSED_STATE
    return refused_cause(v.opcode or 0, v.op_mod, valid=True)


def no_done(s: AuditedSession, v: CommandNotDone | CommandTimedOut) -> Found:
    """The driver stops waiting; the dump that follows is of what lies in the buffer, no answer."""
    if isinstance(v, CommandNotDone) and not s.pending and not s.overdue and s.driver.open is None:
        s.driver.open = v
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
    """An answer came after the driver had stopped waiting. Its status is not in the line.

    Linux freed the pages of a GIVE when it stopped waiting: the answer gives the slot back, and says nothing of them.
    """
    opened = s.driver.open
    if isinstance(opened, CommandTimedOut | CommandNotDone) or (opened is not None and NOT_DONE in opened.text):
        s.driver.open = None
        yield Finding(
            Cause.LATE_ANSWER, opened.place, detail=f"{opened.text}; {v.text}{_lateness(opened, v)}", stated=True
        )
    elif not s.evidence.page_commands and _late_give(s, v):
        return
    elif not s.findings.has(FindingName.LATE_ANSWER):
        yield _stated(Cause.LATE_ANSWER, v)


def _late_give(s: AuditedSession, v: LateCompletion) -> bool:
    """A GIVE without an answer has it now: the line is said beside that finding, whose danger stays."""
    return s.findings.amend(FindingName.GIVE_UNANSWERED, v.text.rstrip("."), FREED_BEFORE)


def _lateness(first: DriverMessage, v: LateCompletion) -> str:
    a, b = first.place.time, v.place.time
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return f": {b - a:.1f} s late"
    return ": late"


def _take(err: int | None) -> Cause:
    return Cause.TAKE_UNANSWERED if err == ETIMEDOUT else Cause.TAKE_REFUSED
