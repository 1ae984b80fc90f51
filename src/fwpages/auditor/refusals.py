"""What a kernel log says of commands that went wrong, where several lines tell of one and the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fwpages.auditor.findings import FoundFault
from fwpages.custody.findings import Cause, FindingName
from fwpages.prm.identity import Identity
from fwpages.prm.opcodes import ManagePages, Opcode, opcode_name
from fwpages.readers.observations import (
    AllocationFailed,
    CantGiveFailed,
    CommandNotDone,
    CommandNotSent,
    CommandRefused,
    CommandTimedOut,
    CommandUnanswered,
    DriverMessage,
    FunctionMessage,
    GiveFailed,
    LateCompletion,
    TakeFailed,
)

if TYPE_CHECKING:
    from fwpages.auditor.session import AuditedSession

#: errors of the kernel's that say what became of a command
ETIMEDOUT, ECANCELED, EBUSY = -110, -125, -16

_PAGE_REFUSED: dict[int, Cause] = {ManagePages.GIVE: Cause.GIVE_REFUSED, ManagePages.TAKE: Cause.TAKE_REFUSED}
_TRIED = frozenset({Opcode.ACCESS_REG, Opcode.QUERY_ISSI})


class Refusals:
    """Hears of them for one session; ``who`` tells whom a line means."""

    def __init__(self, session: AuditedSession, who: Callable[[FunctionMessage], Identity | None]) -> None:
        self.s = session
        self._who = who
        #: a line that the next ones may say more about
        self._open: CommandRefused | CommandNotSent | CommandTimedOut | TakeFailed | None = None
        #: a TAKE has failed
        self.taking = False
        #: the driver has said that it had no memory, and not yet that it thus cannot give
        self._no_memory = False

    def _tell(
        self,
        cause: Cause,
        v: DriverMessage,
        who: Identity | None = None,
        pages: int | None = None,
        detail: str = "",
    ) -> None:
        self.s.faults.add(FoundFault(cause, v.place, who, pages, detail or v.text, heard=True))

    def _opened(self, v: DriverMessage) -> str:
        """The line's text, with that of the line before which was about the same."""
        opened, self._open = self._open, None
        return f"{v.text}; {opened.text}" if opened is not None else v.text

    # -- the driver's page code

    def give_failed(self, v: GiveFailed) -> None:
        """A GIVE had another end than OK."""
        s = self.s
        served = s.tally.serve(v.number, v.pages, take=False)
        who, pages = self._who(v), v.pages
        if who is None and served is not None:
            who = s.naming.name(served.number, ec=False)
        text = self._opened(v)
        if s.commands:
            return
        s.used = True
        if v.err == ETIMEDOUT:
            detail = f"{text}: the driver frees these pages, but firmware may have them"
            self._tell(Cause.GIVE_UNANSWERED, v, who, pages, detail)
            if who is not None and pages:
                s.tally.give(who, pages, doubtful=True)
            return
        s.give_dropped += pages or 0
        if v.err in (ECANCELED, EBUSY):
            self._tell(Cause.COMMAND_NOT_SENT, v, who, pages, text)
            return
        self._tell(Cause.GIVE_REFUSED, v, who, pages, text)

    def reclaim_failed(self, v: TakeFailed) -> None:
        """A TAKE had another end than OK. A line without the error is followed by one with it."""
        self.taking = True
        if v.err is None:
            self.flush()
            self._open = v
            return
        self._tell(_take(v.err), v, detail=self._opened(v))

    def alloc_failed(self, v: AllocationFailed) -> None:
        """The driver had no memory: one line where it asked for some, one where it gives up giving."""
        again, self._no_memory = self._no_memory and v.err is not None, v.err is None
        if not again:
            self._tell(Cause.ALLOC_FAILED, v)

    def notify_failed(self, v: CantGiveFailed) -> None:
        """A CANT_GIVE had another end than OK."""
        text = self._opened(v)
        if self.s.commands:
            return
        cause = Cause.CANT_GIVE_UNANSWERED if v.err == ETIMEDOUT else Cause.COMMAND_REFUSED
        self._tell(cause, v, self._who(v), detail=text)

    # -- its command code

    def refused(self, v: CommandRefused | CommandNotSent | CommandTimedOut) -> None:
        """Any command was refused, or could not be sent: the driver's function that wanted it may say more."""
        self.flush()
        if not self.s.commands and v.opcode is not None:
            self._open = v
        elif isinstance(v, CommandNotSent):
            self._tell(Cause.COMMAND_NOT_SENT, v)

    def flush(self, err: int | None = None) -> None:
        """No line told more: the last one stands for itself. ``err``: of a TAKE, which a later line told."""
        v, self._open = self._open, None
        if v is None:
            return
        match v:
            case TakeFailed():
                self._tell(_take(err), v)
            case CommandNotSent():
                self._tell(Cause.COMMAND_NOT_SENT, v)
            case CommandTimedOut():
                self._tell(Cause.COMMAND_UNANSWERED, v)
            case CommandRefused() if v.opcode not in frozenset(Opcode) - _TRIED:
                name = opcode_name(v.opcode or 0)
                self.s.benign[name] = self.s.benign.get(name, 0) + 1
            case CommandRefused():
                page = v.opcode == Opcode.MANAGE_PAGES
                self._tell(_PAGE_REFUSED.get(v.op_mod, Cause.COMMAND_REFUSED) if page else Cause.COMMAND_REFUSED, v)

    def no_done(self, v: CommandNotDone | CommandTimedOut) -> None:
        """The driver stops waiting; the dump that follows is of what lies in the buffer, no answer."""
        for p in list(self.s.pending.values()):
            if p.opcode == v.opcode and v.slot in (None, p.slot):
                self.s.unanswered(
                    CommandUnanswered(place=v.place, device=v.device, key=p.key, said=True, detail=v.text)
                )

    def timeout(self, v: CommandTimedOut) -> None:
        """The driver has given a command up."""
        s = self.s
        if not s.commands and not s.pending and not s.overdue:
            self.refused(v)
            return
        self.no_done(v)
        if any(p.opcode == v.opcode for p in s.overdue.values()):
            s.confirm(v.opcode)
            return
        # a data dump of an unanswered command looks like an answer of zeros
        last = s.pages.unconfirmed[-1][0] if v.opcode == Opcode.MANAGE_PAGES and s.pages.unconfirmed else None
        who = None if last is None else s.naming.name(last, ec=False)
        self._tell(Cause.GIVE_UNANSWERED if who is not None else Cause.COMMAND_UNANSWERED, v, who)
        if v.opcode == Opcode.MANAGE_PAGES:
            s.lose(who, f"{v.text}: which pages firmware has is not known")

    def late(self, v: LateCompletion) -> None:
        """An answer came that nobody waited for any longer."""
        if not self.s.faults.has(FindingName.LATE_ANSWER):
            self._tell(Cause.LATE_ANSWER, v)


def _take(err: int | None) -> Cause:
    return Cause.TAKE_UNANSWERED if err == ETIMEDOUT else Cause.TAKE_REFUSED
