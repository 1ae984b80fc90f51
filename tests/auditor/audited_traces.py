"""A trace that is fed to the audit observation by observation, and can be inspected at any point."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from fwpages.auditor.audit import Audit
from fwpages.auditor.books import Tally
from fwpages.auditor.session import AuditedSession
from fwpages.custody.accounts import FindingAccount, SessionAccount
from fwpages.custody.findings import Cause
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Answer, Command, encode_answer, encode_command
from fwpages.prm.opcodes import Opcode, QueryPages
from fwpages.readers.driver_messages import read_message
from fwpages.readers.observations import (
    CommandCompleted,
    CommandSubmitted,
    CommandUnanswered,
    FirmwareVersion,
    Holes,
    LinkChange,
    LinkEvent,
    MachineRestart,
    MissingInput,
    Note,
    Observation,
    PagesRequested,
    Place,
    TraceHeader,
)
from tests.auditor.written_traces import WrittenTrace, pages

DEVICE = "dut"


class AuditedTrace(WrittenTrace):
    """A trace whose lines go into an audit as they are written. ``log``: as if they came from a kernel's log. Unless
    the first is ENABLE_HCA, or ``late`` (the input begins in the middle), the beginning is observed before it.
    """

    def __init__(
        self,
        supplier: Supplier | None = None,
        *,
        ecpf: bool = False,
        log: bool = False,
        numbered: bool = False,
        late: bool = False,
    ) -> None:
        super().__init__(supplier, ecpf=ecpf)
        self.line = 0
        self.audit = Audit(log=log)
        self.begun = late
        self.account: SessionAccount | None = None
        self.ended: AuditedSession | None = None
        place = self.place()
        if not log:
            self.audit.see(TraceHeader(place=place, device=DEVICE, supplier=supplier, numbered=numbered))

    @property
    def s(self) -> AuditedSession:
        """The open session, to look at."""
        self._begin()
        s = self.audit.session(DEVICE) or self.ended
        assert s is not None
        return s

    def begun_session(self) -> AuditedSession:
        """A session of which nothing was observed yet."""
        self.audit.see(Note(place=self.place(), device=DEVICE, text="it is there"))
        return self.s

    def _begin(self) -> None:
        if self.begun:
            return
        self.begun = True
        if self.audit.log:
            self.audit.see(FirmwareVersion(place=Place("input", self.line), device=DEVICE, text="firmware version: 1"))
            s = self.audit.session(DEVICE)
            assert s is not None
            s.naming.ecpf = bool(self.ec)
        else:
            self.enable()

    def see(self, v: Observation) -> None:
        opens = isinstance(v, CommandSubmitted) and v.message[:2] == Opcode.ENABLE_HCA.to_bytes(2, "big")
        if opens and not self.audit.log:
            self.begun = True
        self._begin()
        self.audit.see(v)

    def place(self) -> Place:
        """The next line, a millisecond later."""
        self.line += 1
        self.t += 0.001
        return Place("input", self.line, round(self.t, 6))

    def submit(self, c: Command, slot: int | None = None, holes: Holes = ()) -> int:
        return self.submit_bytes(encode_command(c), slot, holes)

    def submit_bytes(self, message: bytes, slot: int | None = None, holes: Holes = ()) -> int:
        self.id += 1
        self.see(
            CommandSubmitted(place=self.place(), device=DEVICE, key=self.id, message=message, slot=slot, holes=holes)
        )
        return self.id

    def cmd(self, c: Command, a: Answer | None = None, slot: int | None = None) -> None:
        # no slots: what has its answer at once needs none
        self.complete(self.submit(c), a or Answer(c.opcode))

    def complete(self, id_: int, a: Answer, **rest: Any) -> None:
        self.complete_bytes(id_, encode_answer(a), **rest)

    def complete_bytes(self, id_: int, message: bytes, **rest: Any) -> None:
        self.see(CommandCompleted(place=self.place(), device=DEVICE, key=id_, message=message, **rest))

    def give_up(self, id_: int, **rest: Any) -> None:
        """The host stops waiting for the answer."""
        self.see(CommandUnanswered(place=self.place(), device=DEVICE, key=id_, **rest))

    def event(self, number: int, n: int, *, ec: bool = False, release_all: bool = False) -> None:
        request = PageRequestEvent(number, n, ec, release_all)
        self.see(PagesRequested(place=self.place(), device=DEVICE, request=request, ec_known=not self.audit.log))

    def link(self, what: str, detail: str = "", **rest: Any) -> None:
        change = LinkEvent(what)
        self.see(LinkChange(place=self.place(), device=DEVICE, what=change, detail=detail, **rest))

    def say(self, *messages: str) -> None:
        """Lines of the driver's; ``give_pages| err 0`` where it matters which function of it prints the line."""
        for message in messages:
            function, _, rest = message.rpartition("| ")
            line = read_message(self.place(), DEVICE, function or None, rest)
            assert line is not None, rest
            self.see(line)

    def lose(self, why: str = "lines are missing", number: int | None = None, **rest: Any) -> None:
        """Part of the input is missing: about this function, or about any."""
        place = self.place()
        self.see(
            MissingInput(place=place, device=DEVICE, cause=Cause.LOG_LINES_LOST, detail=why, number=number, **rest)
        )

    def booted(self) -> AuditedTrace:
        """Boot pages are given, no mode is negotiated; returns itself."""
        self.enable()
        self.query(QueryPages.BOOT, 10)
        self.give(0, pages(0x100, 10), ec=self.ec)
        return self

    # -- what the audit makes of it

    def findings(self) -> list[FindingAccount]:
        """The findings so far."""
        return self.s.findings.rows() if self.account is None else self.account.findings

    @property
    def found(self) -> list[tuple[str, str, str | None, int | None]]:
        """Name, blame, function and pages of each finding so far."""
        return [(f.name, f.blame, f.function, f.pages) for f in self.findings()]

    @property
    def names(self) -> list[str]:
        return [name for name, *_ in self.found]

    @property
    def unsure(self) -> dict[str, str]:
        """Functions that are not followed, and why."""
        return {str(book.identity): book.unsure for book in self.s.books if book.unsure}

    def counted(self) -> list[tuple[str, Tally]]:
        """The counts by the driver's lines."""
        return [(str(book.identity), tally) for book, tally in self.s.books.counted()]

    def out(self) -> dict[str, int]:
        """Pages out, by function."""
        return {str(r.identity): r.outstanding for r in self.s.ledger.records if r.outstanding}

    def so_far(self) -> SessionAccount:
        """The session's account, were the input to end here."""
        return deepcopy(self).over()

    def over(self, then: str = "eof") -> SessionAccount:
        """The session's account; ``then``: the input ends, the ``next`` session begins, or the machine starts anew."""
        if self.account is not None:
            return self.account
        device, self.ended = self.s.device, self.s
        if then == "restart":
            self.see(MachineRestart(place=self.place()))
        elif then == "next":
            self.enable()
        self.account = next(s for s in self.audit.report().sessions if s.device == device)
        return self.account


def numbered(trace: WrittenTrace) -> list[dict[str, Any]]:
    """The recorded lines as a trace whose line numbers show that none is missing."""
    return [{"n": n, **line} for n, line in enumerate([*trace.lines, {"kind": "end"}])]
