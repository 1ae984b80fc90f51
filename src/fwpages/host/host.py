"""The host as a state machine: one input in, effects out; no clock, no I/O, no random numbers.

``feed`` gives each input to the part that it concerns: ``control`` (operations), ``vports``, ``page_path`` (requests),
``page_answers``, ``fencing``. Then ``control.advance`` goes on with everything that can go on; the commands that follow
from an input are sent there.
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from fwpages.custody.findings import Cause, unanswered
from fwpages.custody.ledger import State
from fwpages.host import control, fencing, functions, page_answers, page_path, vports
from fwpages.host.invariants import check_host, state_key
from fwpages.host.io import (
    Aborted,
    Answered,
    Close,
    DisableVport,
    Effect,
    EnableVport,
    EswFunctionsChanged,
    Fenced,
    FunctionsChanged,
    HealthFatal,
    Input,
    LinkLost,
    Mapped,
    Misuse,
    Open,
    PageRequest,
    Reset,
    Tick,
    Unmap,
)
from fwpages.host.session import Flight, Phase, Program, not_open
from fwpages.host.state import HostState
from fwpages.pages.space import Addresses
from fwpages.pages.tags import Mask
from fwpages.pages.words import many
from fwpages.prm.identity import Identity
from fwpages.prm.opcodes import Teardown, opcode_name


class Host(HostState):
    """A page supplier's driver, as a state machine.

    ``feed`` takes one input and returns what is to be done; ``deadline`` says when to feed a ``Tick`` if nothing
    comes; ``clone`` and ``key`` let an explorer branch here and recognise a state. Times are seconds of any clock that
    does not go back.
    """

    # -- inputs -------------------------------------------------------------------------------------------------------

    def feed(self, now: float, x: Input) -> list[Effect]:
        """One input at time ``now``; returns the effects in order. Raises Misuse where the caller may not ask this."""
        before = self.now
        if now > before:
            self.now = now
        self.out = []
        try:
            self._dispatch(x)
        except Misuse:
            self.now = before
            raise
        control.advance(self)
        return self.out

    @property
    def deadline(self) -> float | None:
        """When to feed a Tick if nothing comes; None when nothing is waited for."""
        s = self.session
        times = [f.deadline for f in self.flights.values() if not f.overdue]
        times += [w.patience.deadline for w in s.waits]
        if s.fence is not None:
            times.append(s.fence)
        if s.reclaim is not None and self.path.idle:
            times.append(min(s.reclaim.next_try, s.reclaim.progress))
        return min(times, default=None)

    def _dispatch(self, x: Input) -> None:
        match x:  # the most frequent first: each row above one costs it 50 ns
            case Answered():
                self._answered(x)
            case PageRequest():
                self._page_request(x)
            case Open():
                self._open(x)
            case Close():
                self._close(x)
            case FunctionsChanged() | EswFunctionsChanged() | EnableVport() | DisableVport():
                self._about_functions(x)
            case Aborted():
                self._aborted(x)
            case Mapped():
                self._mapped(x)
            case Tick():
                self._tick()
            case HealthFatal() | LinkLost() | Fenced():
                fencing.happened(self, x)

    def _about_functions(self, x: FunctionsChanged | EswFunctionsChanged | EnableVport | DisableVport) -> None:
        match x:
            case FunctionsChanged():
                vports.changed(self, x.vports)
            case EswFunctionsChanged():
                functions.changed(self, x)
            case EnableVport():
                vports.ask(self, Program.ENABLE, x.vport)
            case DisableVport():
                vports.ask(self, Program.DISABLE, x.vport)

    def _open(self, x: Open) -> None:
        if self.session.phase is not Phase.ENDED or self.reopen is not None:
            raise Misuse(f"open: session {self.session.number} is still {self.session.phase}")
        if self.dirty:
            self.reopen = x
            self.session.fence = self.now + self.config.bounds.fence
            self.emit(Reset(self.session.number, "pages of an earlier session are not accounted for"))
            return
        self.begin(x)

    def _close(self, x: Close) -> None:
        s = self.session
        if s.phase is not Phase.OPEN:
            raise Misuse(f"close: {not_open(s)}")
        self.drop_queue("the device is being closed")
        s.phase = Phase.CLOSING
        program = Program.CLOSE if x.how is Teardown.GRACEFUL else Program.FAST_CLOSE
        s.end = "closed" if x.how is Teardown.GRACEFUL else "forced"
        s.queue = ((program, int(x.how)),)

    def _answered(self, x: Answered) -> None:
        flight = self.flights.get(x.id)
        if flight is None or x.session != self.session.number:
            self._stray_answer(x)
            return
        if flight.command.opcode != x.answer.opcode:
            self.find(Cause.ANSWER_MISDELIVERED, detail=f"command {x.id} {flight.command} got {x.answer}")
            return
        del self.flights[x.id]
        paging = flight.slot == self.page_slot
        if flight.overdue and self.session.phase is not Phase.FENCING:
            who = self.path.op.identity if paging and self.path.op is not None else None
            detail = f"{x.answer} came after its time; what it says is believed"
            self.find(Cause.LATE_ANSWER, who, detail=detail)
        if paging:
            page_answers.answered(self, flight, x.answer)
        elif not flight.overdue:
            control.answered(self, x.answer)

    def _stray_answer(self, x: Answered) -> None:
        """An answer to no command in flight: nothing is taken from it."""
        what = f"{x.answer} to command {x.id} of session {x.session}"
        if 0 < x.id < self.next_id:
            gone = "its session or its slot is gone; nothing is taken from it"
            self.find(Cause.STALE_ANSWER, detail=f"{what}: {gone}")
        else:
            self.find(Cause.ANSWER_UNASKED, detail=f"{what}: no such command was sent")

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
            page_path.page_request(self, x.event)

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
        if wanted:
            self._no_memory(x)

    def _no_memory(self, x: Mapped) -> None:
        """Memory that is wanted now was not mapped where it was asked for: its user does without."""
        why = "no memory or no mapping" if x.at is None else f"mapped at {x.at:#x} instead of {x.iova:#x}"
        if self.path.queues:
            page_path.cannot_give(self, why)
        elif self.session.phase is Phase.OPENING:
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

    def _overdue(self, flight: Flight, why: str, *, by_link: bool) -> None:
        if flight.slot == self.page_slot:
            page_answers.overdue(self, why, by_link=by_link)
            self.flights[flight.id] = replace(flight, overdue=True)
            if self.session.phase is not Phase.OPEN:
                fencing.ask(self, "a page command of the start-up or the close was not answered", "forced")
            return
        self.flights[flight.id] = replace(flight, overdue=True)
        cause = unanswered(flight.command.opcode, flight.command.op_mod, by_link=by_link)
        self.find(cause, detail=f"{flight.command}: {why}; slot {flight.slot} stays taken")
        p = self.session.progress
        if p is not None and p.flight == flight.id and (note := control.step_of(p).unanswered) is not None:
            note(self, p.subject)
        if self.session.phase is Phase.OPEN and self.slots_left():
            control.failed(self, f"{opcode_name(flight.command.opcode)} was not answered")
        else:
            fencing.ask(self, f"{opcode_name(flight.command.opcode)} was not answered", "forced")

    # -- what a runner and an explorer use ----------------------------------------------------------------------------

    def check(self) -> None:
        """Every invariant that the host can see by itself; raises CustodyError."""
        check_host(self)

    def is_free(self, addresses: Addresses) -> Mask:
        """True for each page that is not lent, or is no page of ours at all."""
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
        new.out = []
        return new

    def key(self, *, by_slot: bool = False) -> bytes:
        """The state that decides what can happen from here: equal keys, equal futures.

        ``by_slot``: without the order in which the commands that are out were sent.
        """
        return state_key(self, by_slot=by_slot)
