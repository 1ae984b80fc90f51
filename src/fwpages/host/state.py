"""The data of one host: its session, ledger, records, memory and pending effects, and what is done to them alike.

Every part of the driver (start-up, page path, vports, close, fence) takes this and nothing above it. ``Host`` is this
with ``feed``, which takes the inputs.
"""

from __future__ import annotations

from dataclasses import replace

from fwpages.custody.bounds import Bounds
from fwpages.custody.findings import Cause, Finding
from fwpages.custody.ledger import Ledger
from fwpages.custody.records import Records
from fwpages.host.accounts import Books, books
from fwpages.host.config import Config
from fwpages.host.io import Done, Effect, Map, Open, Operation, Send, Unmap, VportInfo
from fwpages.host.memory import Pool
from fwpages.host.page_queue import PagePath
from fwpages.host.session import Flight, Phase, Program, Progress, Session
from fwpages.prm.identity import Identity
from fwpages.prm.message import Command


class HostState:
    """The session, the records and the memory of one host. Times are seconds, pages 4 KiB."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self.now = 0.0
        self.pool = Pool(self.config.base)
        self.records = Records()
        self.ledger = Ledger(self.pool.space, self.records)
        self.path = PagePath()
        self.flights: dict[int, Flight] = {}
        self.vports: dict[int, VportInfo] = {}
        #: the caller has named them (``FunctionsChanged``): the device's own words replace nothing
        self.named = False
        self.next_id = 1
        #: the session that is open or was last; number 0 before the first
        self.session = Session(0, "auto", self.config.supplier.own, Phase.ENDED)
        #: the books of the session before that one as they stood when it began, the fence that it waited for included
        self.before: Books | None = None
        #: an Open that waits for the fence over what an earlier session left behind
        self.reopen: Open | None = None
        #: effects of the input that is being served
        self.out: list[Effect] = []

    def begin(self, x: Open) -> None:
        """Begin a new session; nothing of the last one is pending."""
        number = self.session.number + 1
        self.before = books(self) if self.session.number else None
        self.session = Session(number, x.mode, self.config.supplier.own, Phase.OPENING)
        self.records.begin(number)
        self.path = PagePath()
        self.session.progress = Progress(Program.OPEN)

    def fail(self, why: str) -> None:
        """Fail the start-up: what was done so far is undone."""
        if self.session.phase is Phase.OPENING and not self.session.failure:
            self.session.failure = why

    def drop_queue(self, why: str) -> None:
        """End the operations that have not begun as not done; a close is done, however the session ends.

        A question of the host's own is dropped in silence: nobody waits for it.
        """
        s = self.session
        for program, subject in s.queue:
            if program not in (Program.CLOSE, Program.FAST_CLOSE, Program.FUNCTIONS):
                self.done(program.operation(subject), ok=False, detail=why)
        s.queue = ()

    def emit(self, effect: Effect) -> None:
        """Return this effect when the input is served."""
        self.out.append(effect)

    def map(self, pages: int) -> None:
        """Ask for so many more pages to be mapped; one Map is pending at a time."""
        self.pool.asked = self.pool.next_iova, pages
        self.emit(Map(*self.pool.asked))

    def send(self, command: Command, slot: int) -> None:
        """Send a command; it has its slot until it is answered or fenced off."""
        n = self.next_id
        self.next_id += 1
        self.flights[n] = Flight(n, slot, command, self.now + self.config.bounds.command)
        self.emit(Send(self.session.number, n, slot, command))

    @property
    def bounds(self) -> Bounds:
        """The bounds in this session: the device's own times for pages to come back, within what is waited in all."""
        b, told = self.config.bounds, self.session.told
        if told is None:
            return b
        at_close, disabled = told
        return replace(
            b,
            reclaim_progress=min(at_close, b.reclaim_overall),
            wait_progress=min(disabled, b.wait_overall),
        )

    @property
    def page_slot(self) -> int:
        """The command slot of page commands: the last."""
        return self.config.slots - 1

    def free_slot(self) -> int:
        """A command slot that no command has."""
        taken = {f.slot for f in self.flights.values()}
        return next(n for n in range(self.page_slot) if n not in taken)

    def slots_left(self) -> bool:
        """Some slot beside that of page commands is free."""
        return len({f.slot for f in self.flights.values()} - {self.page_slot}) < self.page_slot

    def done(self, operation: Operation, *, ok: bool, detail: str = "") -> None:
        """Report the end of an operation to the caller."""
        self.emit(Done(self.session.number, operation, ok, detail))

    def find(self, cause: Cause, function: Identity | None = None, pages: int | None = None, detail: str = "") -> None:
        """Record a finding. The same again for the same function is reported once.

        It may be about the same pages again: they are not added up, the time that it was about the most of them stands.
        """
        s = self.session
        key = (cause.finding, cause.blame, function)
        now = Finding(cause, function, pages, detail, s.number, at=self.now)
        first = s.findings.get(key)
        if first is None:
            s.findings[key] = now
            self.emit(now)
            return
        most = now if (pages or 0) > (first.pages or 0) else first
        s.findings[key] = replace(most, times=first.times + 1, at=first.at)

    def note(self, text: str) -> None:
        """Record a remark that is no finding; at most 100 for a session."""
        if len(self.session.notes) < 100:
            self.session.notes = (*self.session.notes, text)

    def left(self) -> int:
        """Pages that firmware has or may have, of every session."""
        return self.records.out

    @property
    def dirty(self) -> bool:
        """The device may still write into memory of ours: pages, event queues, mailboxes of unanswered commands."""
        return bool(self.records.out or self.session.eq_memory or self.flights)

    def unmap(self) -> None:
        """All blocks are free: give the memory back. A mapping that is still being made is left to its answer."""
        self.session.eq_memory = {}
        iova, pages = self.pool.clear()
        self.ledger.clear()
        if pages:
            self.emit(Unmap(iova, pages))
