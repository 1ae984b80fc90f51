"""A host and a firmware in one process: no wire, no threads, virtual time. DMA memory is addresses only.

The runner owns the clock. It feeds inputs in the order in which they came about, events before the answer that the
device gave after them, and moves time on only when nothing else is left to do. A tap is told of what comes from the
device when the host is fed with it: in between, the host may have done something that it would not have done after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from fwpages.device import (
    Completed,
    FaultyFirmware,
    Firmware,
    Offence,
    PlannedFault,
    Raised,
    ResetDone,
    ResetFunction,
    Submitted,
    Want,
)
from fwpages.device import Effect as DeviceEffect
from fwpages.device import Input as DeviceInput
from fwpages.device import Reset as DeviceReset
from fwpages.device import Tick as DeviceTick
from fwpages.host import (
    Aborted,
    Answered,
    CustodyError,
    Done,
    Fenced,
    Finding,
    HealthFatal,
    Host,
    LinkLost,
    Map,
    Mapped,
    PageRequest,
    Proof,
    Reset,
    Send,
    Tick,
    Unmap,
)
from fwpages.host import Input as HostInput
from fwpages.link.faults.consequences import cause_of
from fwpages.link.faults.injector import LinkInjector
from fwpages.link.faults.link_faults import Fate
from fwpages.link.tap import Tap
from fwpages.pages.words import many
from fwpages.prm.message import Answer

#: virtual seconds from a command to its answer, about what Linux was seen to need under emulation
LATENCY = 0.0005


class StuckError(RuntimeError):
    """The life does not come to rest: more steps than any life of its size needs. Our own bug."""


class InProcess:
    """Joins ``host`` to ``firmware``.

    ``now`` is virtual seconds; ``submitted`` counts commands, ``requests`` page requests.

    With ``checked`` every invariant is looked at after every input, which costs a pass over all pages each time.
    ``on_event`` is told of what the host reports (Done and Finding) as it happens.
    """

    def __init__(
        self,
        host: Host,
        firmware: Firmware | FaultyFirmware,
        *,
        faults: LinkInjector | None = None,
        tap: Tap | None = None,
        checked: bool = False,
        on_event: Callable[[Done | Finding | Raised], None] | None = None,
    ) -> None:
        self.host = host
        self.firmware = firmware
        self.faults = faults or LinkInjector()
        self.tap = tap
        self.checked = checked
        self.now = 0.0
        self.submitted = 0
        self.requests = 0
        self.mapped = 0
        #: the driver's offences as the firmware saw them, with the session; ``excused``: those that a fault caused
        self.offences: list[tuple[int, Offence]] = []
        self.excused: list[tuple[int, Offence, str]] = []
        self.events: list[Done | Finding] = []
        self._on_event = on_event
        self._flying: dict[int, Send] = {}
        self._to_device: deque[DeviceInput] = deque()
        #: each with how a tap is told of it; what ``feed`` itself tells needs nothing more
        self._to_host: deque[tuple[HostInput, Callable[[], None] | None]] = deque()

    @property
    def idle(self) -> bool:
        """Nothing is on its way in either direction."""
        return not self._to_device and not self._to_host

    @property
    def deadline(self) -> float | None:
        """When one of the two wants to be woken if nothing comes."""
        return min((t for t in (self.host.deadline, self.firmware.deadline) if t is not None), default=None)

    @property
    def took(self) -> tuple[str, ...]:
        """The faults that took effect, of the device and of the link."""
        inner = self.firmware.took if isinstance(self.firmware, FaultyFirmware) else ()
        return (*inner, *self.faults.took)

    @property
    def missed(self) -> tuple[PlannedFault, ...]:
        """The faults that never took effect, of the device and of the link."""
        inner = self.firmware.missed if isinstance(self.firmware, FaultyFirmware) else ()
        return (*inner, *self.faults.missed)

    def feed(self, x: HostInput) -> None:
        """Feed the host now; what follows from it is carried out by ``step``. Raises Misuse as the host does."""
        session, waiting = self.host.session.number, [f for f in self.host.flights.values() if not f.overdue]
        effects = self.host.feed(self.now, x)
        match x:
            case HealthFatal():
                self._note(session, "health", x.reason)
            case LinkLost():
                self._note(session, "lost", x.reason)
            case Fenced():
                self._note(session, "fenced", x.proof)
            case Aborted():
                self._note(x.session, "aborted", x.reason, x.id)
            case Tick():
                for f in waiting:
                    if f.deadline <= self.now:
                        self._note(session, "given-up", "no answer in its time", f.id)
        self._perform(effects)
        self._look()

    def _note(self, session: int, what: str, detail: str, id: int | None = None) -> None:  # noqa: A002
        if self.tap is not None:
            self.tap.link(self.now, session, what, detail, id)

    def stir(self, x: Want | ResetFunction) -> None:
        """Something happens inside the device."""
        self._feed_device(x)

    def step(self) -> bool:
        """Carry out one thing that is due; False when nothing is on its way."""
        if self._to_host:
            x, tell = self._to_host.popleft()
            if tell is not None:
                tell()
            self.feed(x)
        elif self._to_device:
            self._feed_device(self._to_device.popleft())
        else:
            return False
        return True

    def wake(self) -> bool:
        """Nothing is on its way: move time to the next deadline and wake whose it is. False when there is none."""
        due = self.deadline
        if due is None:
            return False
        self.now = max(self.now, due)
        if due == self.firmware.deadline:
            self._feed_device(DeviceTick())
        else:
            self.feed(Tick())
        return True

    def run_until_idle(self, limit: int = 10_000_000) -> None:
        """Go on until nothing is on its way and the host waits for nothing. StuckError after ``limit`` steps."""
        for _ in range(limit):
            if not self.step() and not self.wake():
                return
        raise StuckError(f"still not at rest after {limit} steps at {self.now:.3f} s")

    # -- carrying -----------------------------------------------------------------------------------------------------

    def _perform(self, effects: Sequence[object]) -> None:
        for e in effects:
            match e:
                case Send():
                    self.submitted += 1
                    self._flying[e.id] = e
                    if self.tap is not None:
                        self.tap.submit(self.now, e.session, e.id, e.slot, e.command)
                    self._carry(e)
                case Map():
                    at = self.faults.mapped_at(e)
                    self.mapped += e.pages if at is not None else 0
                    self._lend(e, at)
                    self._to_host.append((Mapped(e.iova, e.pages, at), None))
                case Unmap():
                    self.mapped -= e.pages
                    self._withdraw(e)
                case Reset():
                    self._note(e.session, "reset", e.reason)
                    if self.faults.reset():
                        self._to_device.append(DeviceReset())
                case Done() | Finding():
                    self._tell(e)

    def _carry(self, e: Send) -> None:
        fate = self.faults.command(e.command)
        if fate in (Fate.LINK_LOST, Fate.LINK_LOST_FOR_GOOD):
            self._to_host.append((LinkLost("the device is out of reach"), None))
            return
        self._write(e)
        if fate is not Fate.DROPPED:
            self._ring(e)
        if fate is not Fate.CARRIED:
            del self._flying[e.id]
            self._to_host.append((Aborted(e.session, e.id, "given up by the link"), None))

    # what a link with a wire does in its own way: this one has neither memory nor bytes

    def _lend(self, e: Map, at: int | None) -> None:
        """A chunk was mapped at ``at``, or could not be."""

    def _withdraw(self, e: Unmap) -> None:
        """A range is unmapped."""

    def _write(self, e: Send) -> None:
        """A command is put where the device will look for it."""

    def _ring(self, e: Send) -> None:
        """The device is told of it."""
        self._to_device.append(Submitted(e.id, e.command, e.command.reply_length))

    def _tell(self, e: Done | Finding | Raised) -> None:
        if not isinstance(e, Raised):
            self.events.append(e)
        if self._on_event is not None:
            self._on_event(e)

    def _feed_device(self, x: DeviceInput) -> None:
        if isinstance(x, Submitted):
            self.now += LATENCY
        for e in self.firmware.feed(self.now, x):
            self._arrived(e)
        if self.checked:
            self.firmware.check()

    def _arrived(self, e: DeviceEffect) -> None:
        """What the device did reaches this side."""
        session = self.host.session.number
        match e:
            case Completed():
                self._completed(e)
            case Raised():
                self.requests += 1
                self._tell(e)
                self._to_host.append((PageRequest(session, e.event), partial(self._show_event, session, e)))
            case ResetDone():
                self._to_host.append((Fenced(Proof.FUNCTION_LEVEL_RESET), None))
            case Offence():
                fault = cause_of(e, self.took)
                if fault is None:
                    self.offences.append((session, e))
                else:
                    self.excused.append((session, e, fault))

    def _completed(self, e: Completed) -> None:
        sent = self._flying.get(e.id)
        if sent is None:
            return  # the link has given this command up: its answer does not get through
        for answer in self.faults.answers(e.answer):
            self._to_host.append((Answered(sent.session, e.id, answer), partial(self._show_answer, sent, answer)))
        del self._flying[e.id]

    def _show_event(self, session: int, e: Raised) -> None:
        if self.tap is not None:
            self.tap.event(self.now, session, e.eqn, e.event)

    def _show_answer(self, sent: Send, answer: Answer) -> None:
        if answer.opcode != sent.command.opcode:
            self._note(sent.session, "garbled", str(answer), sent.id)
        elif self.tap is not None:
            self.tap.complete(self.now, sent.session, sent.id, answer, sent.command.reply_length)

    # -- looking ------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self.checked:
            self.check()

    def check(self) -> None:
        """The invariants of both sides, and where nothing is in flight or doubtful, that they agree on every page."""
        self.host.check()
        self.safe()
        if self.idle and not self.host.flights and not self.took:
            self.agree()

    def safe(self) -> None:
        """Nothing that firmware really holds is free on the host's side, whatever either of them says.

        Raises CustodyError. Memory that is not mapped any more counts as free.
        """
        for who, pages in self.firmware.holds().items():
            free = int(np.count_nonzero(self.host.is_free(pages)))
            if free:
                raise CustodyError(f"firmware holds {many(pages.size)} for {who}, the host says that {free} are free")

    def agree(self) -> None:
        """Host and firmware name the same set of pages for each function. Raises CustodyError."""
        mine = self.host.held()
        if mine is None:
            return
        theirs = self.firmware.holds()
        for who in mine.keys() | theirs.keys():
            a, b = mine.get(who, _NONE), theirs.get(who, _NONE)
            if a.size != b.size or not np.array_equal(np.sort(a), np.sort(b)):
                raise CustodyError(f"{who}: the host says that firmware holds {many(a.size)}, firmware holds {b.size}")


_NONE = np.zeros(0, np.uint64)
