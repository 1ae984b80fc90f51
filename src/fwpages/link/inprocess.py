"""A host and a firmware in one process: no wire, no threads, virtual time. DMA memory is addresses only.

Theory of operation. ``InProcess`` owns the clock and two queues: inputs for the device and for the host. ``feed``
feeds the host at once and carries out its effects: a command goes into the device's queue, unless a fault of the link
decides another fate for it; a chunk of memory is mapped. ``step`` takes one input from a queue, the host's first. When
both are empty, ``wake`` advances the time to the next deadline of either side. So inputs arrive in the order of their
causes, an event before the answer that the device gave after it, and time passes only when nothing else is left to do.
A command takes ``LATENCY`` virtual seconds.

What the device answers or raises enters the host's queue together with a function that shows it to the tap. It is
called when the host is fed: a trace then has events and answers in the order in which the host took notice of them.

With ``checked`` all invariants are checked after every input: those of both sides, that no page which firmware holds is
free on the host's side, and, with nothing in flight and no fault, that both name the same pages for each function.

``link.queue.inprocess`` overrides the four small methods that put bytes in between.
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
from fwpages.link.faults.consequences import Excused, cause_of
from fwpages.link.faults.injector import LinkInjector
from fwpages.link.faults.link_faults import Fate
from fwpages.link.tap import Tap, note_input, show_answer
from fwpages.pages.words import many
from fwpages.prm.message import Answer

#: virtual seconds from a command to its answer, about what Linux was seen to need under emulation
LATENCY = 0.0005


class StuckError(RuntimeError):
    """The run does not come to rest within the limit of steps: our own bug."""


class InProcess:
    """Joins ``host`` to ``firmware``.

    ``now`` is virtual seconds; ``submitted`` counts commands, ``requests`` page requests.

    With ``checked`` every invariant is checked after every input, which costs a pass over all pages each time.
    ``on_event`` is called with each Done and Finding of the host and each page request.
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
        self.excused: list[Excused] = []
        self.events: list[Done | Finding] = []
        self._on_event = on_event
        self._in_flight: dict[int, Send] = {}
        self._to_device: deque[DeviceInput] = deque()
        #: each with a function that shows it to the tap; None where ``feed`` does so
        self._to_host: deque[tuple[HostInput, Callable[[], None] | None]] = deque()

    @property
    def idle(self) -> bool:
        """Nothing is pending in either direction."""
        return not self._to_device and not self._to_host

    @property
    def deadline(self) -> float | None:
        """The next deadline of the two sides; None where neither has one."""
        return min((t for t in (self.host.deadline, self.firmware.deadline) if t is not None), default=None)

    @property
    def took(self) -> tuple[str, ...]:
        """The names of the faults that took effect, of the device and of the link."""
        inner = self.firmware.took if isinstance(self.firmware, FaultyFirmware) else ()
        return (*inner, *self.faults.took)

    @property
    def missed(self) -> tuple[PlannedFault, ...]:
        """The faults that never took effect, of the device and of the link."""
        inner = self.firmware.missed if isinstance(self.firmware, FaultyFirmware) else ()
        return (*inner, *self.faults.missed)

    def feed(self, x: HostInput) -> None:
        """Feed the host now; ``step`` carries out what follows. Raises Misuse as the host does."""
        session, waiting = self.host.session.number, [f for f in self.host.flights.values() if not f.overdue]
        effects = self.host.feed(self.now, x)
        note_input(self.tap, self.now, session, x, waiting)
        self._perform(effects)
        self._check_if_asked()

    def stir(self, x: Want | ResetFunction) -> None:
        """Let a function want pages, or reset it."""
        self._feed_device(x)

    def step(self) -> bool:
        """Carry out one pending input; return False when nothing is pending."""
        if self._to_host:
            x, show = self._to_host.popleft()
            if show is not None:
                show()
            self.feed(x)
        elif self._to_device:
            self._feed_device(self._to_device.popleft())
        else:
            return False
        return True

    def wake(self) -> bool:
        """Advance time to the next deadline and wake its owner; return False when there is no deadline."""
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
        """Run until nothing is pending and no deadline is set. StuckError after ``limit`` steps."""
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
                    self._in_flight[e.id] = e
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
                    if self.tap is not None:
                        self.tap.link(self.now, e.session, "reset", e.reason)
                    if self.faults.reset():
                        self._to_device.append(DeviceReset())
                case Done() | Finding():
                    self._report(e)

    def _carry(self, e: Send) -> None:
        fate = self.faults.command(e.command)
        if fate in (Fate.LINK_LOST, Fate.LINK_LOST_FOR_GOOD):
            self._to_host.append((LinkLost("the device is out of reach"), None))
            return
        self._write(e)
        if fate is not Fate.DROPPED:
            self._ring(e)
        if fate is not Fate.CARRIED:
            del self._in_flight[e.id]
            self._to_host.append((Aborted(e.session, e.id, "given up by the link"), None))

    # a link with a wire overrides these: this one has neither memory nor bytes

    def _lend(self, e: Map, at: int | None) -> None:
        """Provide the memory of a chunk that was mapped at ``at``; None where it was not."""

    def _withdraw(self, e: Unmap) -> None:
        """Withdraw the memory of a range."""

    def _write(self, e: Send) -> None:
        """Write a command where the device looks for it."""

    def _ring(self, e: Send) -> None:
        """Hand the command over to the device."""
        self._to_device.append(Submitted(e.id, e.command, e.command.reply_length))

    def _report(self, e: Done | Finding | Raised) -> None:
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
        """Take an effect of the device to the host's side."""
        session = self.host.session.number
        match e:
            case Completed():
                self._completed(e)
            case Raised():
                self.requests += 1
                self._report(e)
                self._to_host.append((PageRequest(session, e.event), partial(self._show_event, session, e)))
            case ResetDone():
                self._to_host.append((Fenced(Proof.FUNCTION_LEVEL_RESET), None))
            case Offence():
                fault = cause_of(e, self.took)
                if fault is None:
                    self.offences.append((session, e))
                else:
                    self.excused.append(Excused(session, e, fault))

    def _completed(self, e: Completed) -> None:
        sent = self._in_flight.get(e.id)
        if sent is None:
            return  # the link has given this command up and drops its answer
        for answer in self.faults.answers(e.answer):
            self._to_host.append((Answered(sent.session, e.id, answer), partial(self._show_answer, sent, answer)))
        del self._in_flight[e.id]

    def _show_event(self, session: int, e: Raised) -> None:
        if self.tap is not None:
            self.tap.event(self.now, session, e.eqn, e.event)

    def _show_answer(self, sent: Send, answer: Answer) -> None:
        show_answer(self.tap, self.now, sent, answer)

    # -- invariants ---------------------------------------------------------------------------------------------------

    def _check_if_asked(self) -> None:
        if self.checked:
            self.check()

    def check(self) -> None:
        """Check the invariants of both sides, and, with nothing in flight, that they agree on every page."""
        self.host.check()
        self.safe()
        if self.idle and not self.host.flights and not self.took:
            self.agree()

    def safe(self) -> None:
        """Check that no page which firmware really holds is free on the host's side; CustodyError.

        Memory that is not mapped any more counts as free.
        """
        for who, pages in self.firmware.holds().items():
            free = int(np.count_nonzero(self.host.is_free(pages)))
            if free:
                raise CustodyError(f"firmware holds {many(pages.size)} for {who}, the host says that {free} are free")

    def agree(self) -> None:
        """Check that host and firmware name the same set of pages for each function; CustodyError."""
        mine = self.host.held()
        if mine is None:
            return
        theirs = self.firmware.holds()
        for who in mine.keys() | theirs.keys():
            a, b = mine.get(who, _NONE), theirs.get(who, _NONE)
            if a.size != b.size or not np.array_equal(np.sort(a), np.sort(b)):
                raise CustodyError(f"{who}: the host says that firmware holds {many(a.size)}, firmware holds {b.size}")


_NONE = np.zeros(0, np.uint64)
