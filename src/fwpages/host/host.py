"""The host: one funnel for all that happens to it. Inputs in, effects out; no clock, no I/O, no chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fwpages.custody.findings import Cause, Finding, unanswered
from fwpages.custody.ledger import Ledger, State
from fwpages.custody.records import Records
from fwpages.host import control, fencing, vports
from fwpages.host import page_answers as pageanswers
from fwpages.host import page_path as pagepath
from fwpages.host.accounts import Books, books
from fwpages.host.closing import CLOSE, FAST_CLOSE
from fwpages.host.config import Config
from fwpages.host.invariants import check_host, state_key
from fwpages.host.io import (
    Aborted,
    Answered,
    Close,
    DisableVport,
    Done,
    Effect,
    EnableVport,
    End,
    Fenced,
    FunctionsChanged,
    HealthFatal,
    Input,
    LinkLost,
    Map,
    Mapped,
    Misuse,
    Open,
    Operation,
    PageRequest,
    Reset,
    Send,
    Tick,
    Unmap,
    VportInfo,
)
from fwpages.host.memory import Pool
from fwpages.host.page_path import PagePath
from fwpages.host.session import Flight, Phase, Progress, Session, not_open
from fwpages.host.startup import STARTUP
from fwpages.pages.space import Addresses
from fwpages.pages.tags import Mask
from fwpages.pages.words import many
from fwpages.prm.identity import Identity
from fwpages.prm.message import Command
from fwpages.prm.opcodes import PAGE_SLOT, Teardown, opcode_name


class Host:
    """A page supplier's driver, as a state machine.

    ``feed`` takes one input and returns what is to be done; ``deadline`` says when to feed a ``Tick`` if nothing
    comes; ``clone`` and ``key`` let an explorer branch here and recognise a state. Times are seconds of any clock that
    does not go back.
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or Config()
        self.now = 0.0
        self.pool = Pool(self.config.base)
        self.records = Records()
        self.ledger = Ledger(self.pool.space, self.records)
        self.path = PagePath()
        self.flights: dict[int, Flight] = {}
        self.vports: dict[int, VportInfo] = {}
        self.next_id = 1
        #: the session that is open or was last; number 0 before the first
        self.session = Session(0, "auto", self.config.supplier.own, Phase.ENDED)
        #: the books of the session before that one as they stood when it began, the fence that it waited for included
        self.before: Books | None = None
        #: an Open that waits for the fence over what an earlier session left behind
        self.reopen: Open | None = None
        self._out: list[Effect] = []

    # -- the funnel ---------------------------------------------------------------------------------------------------

    def feed(self, now: float, x: Input) -> list[Effect]:
        """One input at time ``now``; returns the effects in order. Raises Misuse where the caller may not ask this."""
        before, self.now = self.now, max(self.now, now)
        self._out = []
        try:
            self._dispatch(x)
        except Misuse:
            self.now = before
            raise
        control.advance(self)
        return self._out

    @property
    def deadline(self) -> float | None:
        """When to feed a Tick if nothing comes; None when nothing is waited for."""
        s = self.session
        times = [f.deadline for f in self.flights.values() if not f.overdue]
        times += [w.deadline for w in s.waits]
        if s.fence is not None:
            times.append(s.fence)
        if s.reclaim is not None and self.path.idle:
            times.append(min(s.reclaim.next_try, s.reclaim.progress))
        return min(times, default=None)

    def _dispatch(self, x: Input) -> None:
        match x:
            case Open():
                self._open(x)
            case Close():
                self._close(x)
            case FunctionsChanged():
                vports.changed(self, x.vports)
            case EnableVport():
                vports.ask(self, vports.ENABLE, x.vport)
            case DisableVport():
                vports.ask(self, vports.DISABLE, x.vport)
            case Answered():
                self._answered(x)
            case Aborted():
                self._aborted(x)
            case PageRequest():
                self._page_request(x)
            case Mapped():
                self._mapped(x)
            case Tick():
                self._tick()
            case HealthFatal() | LinkLost() | Fenced():
                fencing.happened(self, x)

    def _open(self, x: Open) -> None:
        if self.session.phase is not Phase.ENDED or self.reopen is not None:
            raise Misuse(f"open: session {self.session.number} is still {self.session.phase}")
        if self.dirty:
            self.reopen = x
            self.session.fence = self.now + self.config.bounds.fence
            self.emit(Reset(self.session.number, "pages of an earlier session are not accounted for"))
            return
        self.begin(x)

    def begin(self, x: Open) -> None:
        """A new session: everything that belonged to the last one is behind us."""
        number = self.session.number + 1
        self.before = books(self) if self.session.number else None
        self.session = Session(number, x.mode, self.config.supplier.own, Phase.OPENING)
        self.records.begin(number)
        self.path = PagePath()
        self.session.progress = Progress(STARTUP)

    def _close(self, x: Close) -> None:
        s = self.session
        if s.phase is not Phase.OPEN:
            raise Misuse(f"close: {not_open(s)}")
        self.drop_queue("the device is being closed")
        s.phase = Phase.CLOSING
        program = CLOSE if x.how is Teardown.GRACEFUL else FAST_CLOSE
        s.end = "closed" if x.how is Teardown.GRACEFUL else "forced"
        s.queue = ((program, int(x.how)),)

    def _answered(self, x: Answered) -> None:
        flight = self.flights.get(x.id)
        if flight is None or x.session != self.session.number:
            known = 0 < x.id < self.next_id
            self.find(
                Cause.STALE_ANSWER if known else Cause.ANSWER_UNASKED,
                detail=f"{x.answer} to command {x.id} of session {x.session}: "
                + (
                    "its session or its slot is gone; nothing is taken from it" if known else "no such command was sent"
                ),
            )
            return
        if flight.command.opcode != x.answer.opcode:
            self.find(Cause.ANSWER_MISDELIVERED, detail=f"command {x.id} {flight.command} got {x.answer}")
            return
        del self.flights[x.id]
        if flight.overdue and self.session.phase is not Phase.FENCING:
            who = self.path.op.identity if flight.slot == PAGE_SLOT and self.path.op is not None else None
            detail = f"{x.answer} came after its time; what it says is believed"
            self.find(Cause.LATE_ANSWER, who, detail=detail)
        if flight.slot == PAGE_SLOT:
            pageanswers.answered(self, flight, x.answer)
        elif not flight.overdue:
            control.answered(self, x.answer)

    def _aborted(self, x: Aborted) -> None:
        flight = self.flights.get(x.id)
        if flight is not None and x.session == self.session.number and not flight.overdue:
            self._overdue(flight, f"the link gave it up ({x.reason})", by_link=True)

    def _page_request(self, x: PageRequest) -> None:
        if x.session != self.session.number or self.session.phase is Phase.ENDED:
            self.find(
                Cause.STALE_PAGE_REQUEST,
                detail=f"a page request of session {x.session} ({many(x.event.num_pages)} for function "
                f"{x.event.number:#x}) came in session {self.session.number}, {self.session.phase}; it is ignored",
            )
            return
        if self.session.phase is not Phase.FENCING:
            pagepath.page_request(self, x.event)

    def _mapped(self, x: Mapped) -> None:
        if (x.iova, x.pages) != self.pool.asked:
            raise Misuse(
                f"mapped: {many(x.pages)} at {x.iova:#x}, but {self.pool.asked} (address, pages) was asked for"
            )
        self.pool.asked = None
        over = self.session.phase in (Phase.FENCING, Phase.ENDED)  # nothing is given any more
        wanted = x.iova == self.pool.next_iova and not over
        if wanted and x.at == x.iova:
            self.pool.add(x.pages)
            self.ledger.extend()
            return
        if x.at is not None:
            self.emit(Unmap(x.at, x.pages))
        why = "no memory or no mapping" if x.at is None else f"mapped at {x.at:#x} instead of {x.iova:#x}"
        if wanted and self.path.queues:
            pagepath.cannot_give(self, why)
        elif wanted and self.session.phase is Phase.OPENING:
            self.find(Cause.ALLOC_FAILED, pages=x.pages, detail=f"no memory for the event queues: {why}")
            self.fail(f"no memory for the event queues: {why}")

    def _tick(self) -> None:
        s = self.session
        for n in list(self.flights):
            flight = self.flights.get(n)  # a time-out may end in a fence, and with it the others
            if flight is not None and not flight.overdue and self.now >= flight.deadline:
                self._overdue(flight, f"no answer in {self.config.bounds.command:g} s", by_link=False)
        if s.fence is not None and self.now >= s.fence:
            fencing.not_fenced(self)

    def fail(self, why: str) -> None:
        """The start-up cannot go on: what was done so far is undone."""
        if self.session.phase is Phase.OPENING and not self.session.failure:
            self.session.failure = why

    def fence(self, why: str, end: End) -> None:
        """Nothing but a fence gets the pages back now: ask for one."""
        fencing.ask(self, why, end)

    def _overdue(self, flight: Flight, why: str, *, by_link: bool) -> None:
        if flight.slot == PAGE_SLOT:
            pageanswers.overdue(self, why, by_link=by_link)
            self.flights[flight.id] = replace(flight, overdue=True)
            if self.session.phase is not Phase.OPEN:
                self.fence("a page command of the start-up or the close was not answered", "forced")
            return
        self.flights[flight.id] = replace(flight, overdue=True)
        cause = unanswered(flight.command.opcode, flight.command.op_mod, by_link=by_link)
        self.find(cause, detail=f"{flight.command}: {why}; slot {flight.slot} stays taken")
        p = self.session.progress
        if p is not None and p.flight == flight.id and p.step.unanswered is not None:
            p.step.unanswered(self, p.subject)
        if self.session.phase is Phase.OPEN and self._slots_left():
            control.failed(self, f"{opcode_name(flight.command.opcode)} was not answered")
        else:
            self.fence(f"{opcode_name(flight.command.opcode)} was not answered", "forced")

    def drop_queue(self, why: str) -> None:
        """What was asked for and not begun is not done; a close is, in whichever way the session ends."""
        s = self.session
        for program, subject in s.queue:
            if program not in (CLOSE, FAST_CLOSE):
                self.done(program.operation(subject), ok=False, detail=why)
        s.queue = ()

    # -- what the parts use -------------------------------------------------------------------------------------------

    def emit(self, effect: Effect) -> None:
        """Hand this effect back when the input is done."""
        self._out.append(effect)

    def map(self, pages: int) -> None:
        """Have so many more pages mapped; one Map is under way at a time."""
        self.pool.asked = self.pool.next_iova, pages
        self.emit(Map(*self.pool.asked))

    def send(self, command: Command, slot: int) -> None:
        """Send a command; it has its slot until it is answered or fenced off."""
        n = self.next_id
        self.next_id += 1
        self.flights[n] = Flight(n, slot, command, self.now + self.config.bounds.command)
        self.emit(Send(self.session.number, n, slot, command))

    def free_slot(self) -> int:
        """A command slot that no command has."""
        taken = {f.slot for f in self.flights.values()}
        return next(n for n in range(PAGE_SLOT) if n not in taken)

    def _slots_left(self) -> bool:
        return len({f.slot for f in self.flights.values()} - {PAGE_SLOT}) < PAGE_SLOT

    def done(self, operation: Operation, *, ok: bool, detail: str = "") -> None:
        """Tell the caller that an operation has ended."""
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
        """Record what is no fault but ought to be known."""
        if len(self.session.notes) < 100:
            self.session.notes = (*self.session.notes, text)

    def reclaimed(self, who: Identity, pages: int, *, refused: bool) -> None:
        """A TAKE of the close is done: progress, or another try a little later."""
        s, b = self.session, self.config.bounds
        if s.reclaim is None or s.reclaim.identity != who:
            return
        if pages:
            s.reclaim = replace(s.reclaim, progress=self.now + b.reclaim_progress, next_try=self.now)
        elif refused:
            s.reclaim = replace(s.reclaim, progress=self.now)
        else:
            s.reclaim = replace(s.reclaim, next_try=self.now + b.reclaim_retry)

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

    # -- what a runner and an explorer use ----------------------------------------------------------------------------

    def check(self) -> None:
        """Every invariant that the host can see by itself; raises CustodyError."""
        check_host(self)

    def is_free(self, addresses: Addresses) -> Mask:
        """True for each page that is lent to nobody, or is no page of ours at all."""
        index = self.pool.space.index(addresses)
        return (index < 0) | self.ledger.is_free(index)

    def held(self) -> dict[Identity, Addresses] | None:
        """The pages of each function that has some, shape (n,), in no order; None while some are doubtful."""
        parts: dict[Identity, list[Addresses]] = {}
        for row in self.records:
            if row.outstanding:
                blocks = self.ledger.blocks(row, State.HELD)
                if blocks.size != row.outstanding:
                    return None
                parts.setdefault(row.identity, []).append(self.pool.space.address(blocks))
        return {who: np.concatenate(arrays) for who, arrays in parts.items()}

    def clone(self) -> Host:
        """A host of its own in the same state."""
        new = Host.__new__(Host)
        new.__dict__.update(self.__dict__)
        new.pool = self.pool.copy()
        new.records = self.records.copy()
        new.ledger = self.ledger.copy(new.records)
        new.ledger.space = new.pool.space
        new.path = self.path.copy()
        new.flights = dict(self.flights)
        new.session = self.session.copy()
        new._out = []
        return new

    def key(self) -> bytes:
        """The state that decides what can happen from here: equal keys, equal futures."""
        return state_key(self)
