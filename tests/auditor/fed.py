"""A life that one session is told of as it happens: to look at the session, and at its parts, in the middle of it."""

from __future__ import annotations

from typing import Any

from fwpages.auditor.closing import close
from fwpages.auditor.fences import Why
from fwpages.auditor.session import AuditedSession
from fwpages.custody.accounts import SessionAccount as Report
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Answer, Command, encode_answer, encode_command
from fwpages.prm.opcodes import QueryPages
from fwpages.readers.driver_messages import read_message
from fwpages.readers.observations import (
    CommandCompleted,
    CommandSubmitted,
    CommandUnanswered,
    DriverMessage,
    Holes,
    LinkChange,
    LinkEvent,
    PagesRequested,
    Place,
)
from tests.auditor.lives import Life, pages

DEVICE = "dut"


class Fed(Life):
    """What a ``Life`` would write down goes into the session ``s``. ``log``: as if it came from a kernel's log."""

    def __init__(
        self, supplier: Supplier | None = None, *, ecpf: bool = False, log: bool = False, numbered: bool = False
    ) -> None:
        super().__init__(supplier, ecpf=ecpf)
        self.line = 0
        self.s = AuditedSession(DEVICE, self.place(), supplier, log=log, numbered=numbered)
        self.s.began, self.s.naming.ecpf = True, ecpf

    def place(self) -> Place:
        """The next line, a millisecond later."""
        self.line += 1
        self.t += 0.001
        return Place("input", self.line, round(self.t, 6))

    def submit(self, c: Command, slot: int | None = None, holes: Holes = ()) -> int:
        return self.submit_bytes(encode_command(c), slot, holes)

    def submit_bytes(self, message: bytes, slot: int | None = None, holes: Holes = ()) -> int:
        self.id += 1
        self.s.submitted(
            CommandSubmitted(place=self.place(), device=DEVICE, key=self.id, message=message, slot=slot, holes=holes)
        )
        return self.id

    def cmd(self, c: Command, a: Answer | None = None, slot: int | None = None) -> None:
        # no slots: what has its answer at once needs none
        self.complete(self.submit(c), a or Answer(c.opcode))

    def complete(self, id_: int, a: Answer, **rest: Any) -> None:
        self.complete_bytes(id_, encode_answer(a), **rest)

    def complete_bytes(self, id_: int, message: bytes, **rest: Any) -> None:
        self.s.completed(CommandCompleted(place=self.place(), device=DEVICE, key=id_, message=message, **rest))

    def give_up(self, id_: int, **rest: Any) -> None:
        """Nobody waits for the answer any longer."""
        self.s.unanswered(CommandUnanswered(place=self.place(), device=DEVICE, key=id_, **rest))

    def event(self, number: int, n: int, *, ec: bool = False, release_all: bool = False) -> None:
        request = PageRequestEvent(number, n, ec, release_all)
        self.s.requests.happened(
            PagesRequested(place=self.place(), device=DEVICE, request=request, ec_known=not self.s.log)
        )

    def link(self, what: str, detail: str = "", **rest: Any) -> None:
        event = LinkEvent(what)
        self.s.fences.happened(LinkChange(place=self.place(), device=DEVICE, what=event, detail=detail, **rest))

    def say(self, *messages: str) -> None:
        """Lines of the driver's; ``give_pages| err 0`` where it matters which function of it prints the line."""
        for message in messages:
            function, _, rest = message.rpartition("| ")
            line = read_message(self.place(), DEVICE, function or None, rest)
            if isinstance(line, PagesRequested):
                self.s.complaints.requested_by_firmware(line)
                self.s.requests.happened(line)
            else:
                assert isinstance(line, DriverMessage), rest
                self.s.complaints.hear(line)

    def booted(self) -> Fed:
        """Boot pages are given, no mode is negotiated; returns itself."""
        self.enable()
        self.query(QueryPages.BOOT, 10)
        self.give(0, pages(0x100, 10), ec=self.ec)
        return self

    # -- what the session makes of it

    @property
    def found(self) -> list[tuple[str, str, str | None, int | None]]:
        """Name, blame, function and pages of each finding so far."""
        return [(f.name, f.blame, f.function, f.pages) for f in self.s.faults.rows()]

    @property
    def names(self) -> list[str]:
        return [name for name, *_ in self.found]

    def out(self) -> dict[str, int]:
        """Pages out, by function."""
        return {str(r.identity): r.outstanding for r in self.s.custody.records if r.outstanding}

    def over(self, why: Why = "eof") -> Report:
        """The session's report, nothing more coming."""
        return close(self.s, why)


def numbered(life: Life) -> list[dict[str, Any]]:
    """The lines of a life as a trace that tells by numbers that none is missing."""
    return [{"n": n, **line} for n, line in enumerate([*life.lines, {"kind": "end"}])]
