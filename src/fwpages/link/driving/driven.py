"""A host that drives a device in real time: its effects are carried out on a ``PciDevice``, what comes back is fed.

Theory of operation. ``Driven`` is a loop over ``selectors`` in one thread. ``step`` waits until the device interrupts,
or something is due, and does it; what the host wants done follows at once: a command goes into the queue and its
doorbell is rung, a chunk of memory is mapped, a reset is made. While a command is out that no event announces (there is
no event queue yet), the loop looks for its answer at short intervals.

Before a deadline becomes a ``Tick``, every queue and slot is looked at: an answer in memory whose interrupt was lost is
not late. The health registers are looked at as Linux does it (``health``); a fatal syndrome, all ones and a counter
that stands still are fed to the host, which asks for a fence.

A fence is a reset that the device confirmed (``opening.fence``). A reset that fails is tried again until the host no
longer waits. After a reset the device is set up anew with the next command: memory space, bus mastering, interrupts,
the queue's address.
"""

from __future__ import annotations

import os
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from fwpages.device import Raised
from fwpages.host import (
    Aborted,
    Answered,
    Done,
    EswFunctionsChanged,
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
from fwpages.link.driving import setup
from fwpages.link.driving.dma_memory import DmaMemory
from fwpages.link.driving.health import INTERVAL, Health
from fwpages.link.driving.opening import fence, ready
from fwpages.link.driving.pci_device import DeviceError, PciDevice
from fwpages.link.queue.driver import DriverEvent, QueueHost, RaisedEswitch, RaisedRequest, WireError
from fwpages.link.tap import EswitchTap, note_input, show_answer
from fwpages.pages import PAGE_SHIFT
from fwpages.prm.event import EventType
from fwpages.prm.message import Answer

#: seconds between looks at the slot of a command that no event announces: short at first, then longer
POLL, POLL_MOST = 0.0002, 0.01
#: seconds between tries of a reset that failed
AGAIN = 0.5


class Driven:
    """Drives ``device`` with ``host``. Times are seconds since this was made. A context manager: it closes the device.

    ``on_event`` is called with each Done and Finding of the host and each page request. ``submitted`` counts commands,
    ``requests`` page requests, ``mapped`` the pages that are lent.
    """

    def __init__(
        self,
        host: Host,
        device: PciDevice,
        memory: DmaMemory,
        *,
        tap: EswitchTap | None = None,
        on_event: Callable[[Done | Finding | Raised], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host, self.device, self.memory = host, device, memory
        self.tap = tap
        self.queue = QueueHost(memory, self, base=memory.window.queue)
        self.submitted = self.requests = self.mapped = self.resets = 0
        #: when something happened last
        self.stirred = 0.0
        self.events: list[Done | Finding] = []
        self._on_event = on_event
        self._clock, self._start = clock, clock()
        self._health = Health()
        self._look_at = 0.0
        self._in_flight: dict[int, Send] = {}
        self._to_host: deque[tuple[HostInput, Callable[[], None] | None]] = deque()
        #: the device is set up: bus mastering, interrupts, the queue's address
        self._up = False
        self._pause = POLL
        #: when to try the reset again that the host waits for
        self._reset_at: float | None = None
        self._interrupt = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._interrupt, selectors.EVENT_READ)
        self._selector.register(device.fileno(), selectors.EVENT_READ)
        self._closed = False

    # -- for the caller -----------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since this object was made."""
        return self._clock() - self._start

    @property
    def idle(self) -> bool:
        """The host waits for nothing: what is out has an answer, or its time is over."""
        return not self._to_host and self.host.deadline is None

    @property
    def deadline(self) -> float | None:
        """The next time at which something is due; None where only the device can stir."""
        due = [t for t in (self.host.deadline, self._reset_at) if t is not None]
        if self._up:
            due.append(self._look_at)
        return min(due, default=None)

    def watch(self, fd: int) -> None:
        """Let ``step`` return when this descriptor is readable, too."""
        self._selector.register(fd, selectors.EVENT_READ)

    def feed(self, x: HostInput) -> None:
        """Feed the host now, carry out what it wants, and feed what comes of that. Raises Misuse as the host does."""
        self._feed(x)
        self._deliver_all()

    def step(self, most: float | None = None) -> None:
        """Wait until something happens or is due, at most ``most`` seconds, and do it."""
        ready = {key.fd for key, _ in self._selector.select(self._wait(most))}
        if self.device.fileno() in ready:
            self._gone(self.device.trouble())
        if self._interrupt in ready:
            os.eventfd_read(self._interrupt)
            self._collect(lambda: self.queue.interrupt(0))
        self._collect(self.queue.poll)
        self._deliver_all()
        self._due()
        self._deliver_all()

    def close(self) -> None:
        """Switch bus mastering off and let go of the device."""
        if self._closed:
            return
        self._closed = True
        with suppress(DeviceError):
            if self._up:
                setup.stop_master(self.device)
        self._selector.close()
        os.close(self._interrupt)
        self.device.close()

    def check(self) -> None:
        """Check the invariants that the host can see by itself; CustodyError."""
        self.host.check()

    def __enter__(self) -> Driven:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # BAR 0 as the driver's end of the queue sees it

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes of BAR 0 at this offset, a register at a time."""
        return b"".join(self.device.bar_read(at) for at in range(offset, offset + length, 4))

    def write(self, offset: int, data: bytes) -> None:
        """Write a register of BAR 0."""
        self.device.bar_write(offset, data)

    # -- waiting ------------------------------------------------------------------------------------------------------

    def _wait(self, most: float | None) -> float | None:
        """Return the seconds that ``step`` may wait; None for as long as it takes."""
        if self._to_host:
            return 0.0
        times = [] if most is None else [most]
        due = self.deadline
        if due is not None:
            times.append(max(0.0, due - self.now))
        if any(not s.by_event for s in self.queue.slots.values()):
            times.append(self._pause)
            self._pause = min(self._pause * 2, POLL_MOST)
        else:
            self._pause = POLL
        return min(times, default=None)

    def _due(self) -> None:
        """Do what is due: look at the health, try a reset again, and let the host notice that its time is over."""
        if self._up and self.now >= self._look_at:
            self._look()
            self._deliver_all()
        if self._reset_at is not None and self.now >= self._reset_at:
            self._reset()
            self._deliver_all()
        due = self.host.deadline
        if due is None or due > self.now:
            return
        # what is in memory is not late, even if its interrupt was lost or is still to come
        self._collect(self.queue.recover)
        self._deliver_all()
        due = self.host.deadline
        if due is not None and due <= self.now:
            self._feed(Tick())

    def _look(self) -> None:
        self._look_at = self.now + INTERVAL
        try:
            wrong = self._health.look(self.now, self.device.bar_read)
        except DeviceError as e:
            wrong = LinkLost(str(e))
        if wrong is not None:
            self._to_host.append((wrong, None))

    def _gone(self, reason: str) -> None:
        """Tell the host that the device is out of reach, unless there is no reason to say so."""
        if reason:
            self._selector.unregister(self.device.fileno())
            self._to_host.append((LinkLost(reason), None))

    # -- to the host --------------------------------------------------------------------------------------------------

    def _collect(self, events: Callable[[], Sequence[DriverEvent]]) -> None:
        try:
            self._arrived(events())
        except DeviceError as e:
            self._to_host.append((LinkLost(str(e)), None))

    def _arrived(self, seen: Iterable[DriverEvent]) -> None:
        for x in seen:
            self._pause = POLL
            if isinstance(x, RaisedRequest):
                self._raised(x)
                continue
            if isinstance(x, RaisedEswitch):
                self._about_eswitch(x)
                continue
            sent = self._in_flight.pop(x.id, None)
            if sent is None:
                continue
            if x.answer is not None:
                show = partial(self._show_answer, sent, x.answer)
                self._to_host.append((Answered(x.session, x.id, x.answer), show))
            else:
                self._to_host.append((Aborted(x.session, x.id, x.why), None))

    def _raised(self, x: RaisedRequest) -> None:
        self.requests += 1
        self._report(Raised(x.eqn, x.event))
        self._to_host.append((PageRequest(x.session, x.event), partial(self._show_event, x)))

    def _about_eswitch(self, x: RaisedEswitch) -> None:
        if self.tap is not None:
            self.tap.notified(self.now, x.session, x.eqn, x.event)
        if x.event.type is EventType.ESW_FUNCTIONS_CHANGED:
            self._to_host.append((EswFunctionsChanged(x.session), None))

    def _show_event(self, x: RaisedRequest) -> None:
        if self.tap is not None:
            self.tap.event(self.now, x.session, x.eqn, x.event)

    def _show_answer(self, sent: Send, answer: Answer) -> None:
        show_answer(self.tap, self.now, sent, answer)

    def _deliver_all(self) -> None:
        while self._to_host:
            x, show = self._to_host.popleft()
            if show is not None:
                show()
            self._feed(x)

    def _feed(self, x: HostInput) -> None:
        session, waiting = self.host.session.number, [f for f in self.host.flights.values() if not f.overdue]
        now = self.stirred = self.now
        effects = self.host.feed(now, x)
        note_input(self.tap, now, session, x, waiting)
        for e in effects:
            self._perform(e)

    # -- from the host ------------------------------------------------------------------------------------------------

    def _perform(self, e: object) -> None:
        match e:
            case Send():
                self._send(e)
            case Map():
                self._to_host.append((Mapped(e.iova, e.pages, self._map(e)), None))
            case Unmap():
                self._unmap(e)
            case Reset():
                if self.tap is not None:
                    self.tap.link(self.now, e.session, "reset", e.reason)
                self._reset()
            case Done() | Finding():
                self._report(e)

    def _report(self, e: Done | Finding | Raised) -> None:
        if not isinstance(e, Raised):
            self.events.append(e)
        if self._on_event is not None:
            self._on_event(e)

    def _send(self, e: Send) -> None:
        self.submitted += 1
        if self.tap is not None:
            self.tap.submit(self.now, e.session, e.id, e.slot, e.command)
        try:
            if not self._up:
                self._set_up()
            self.queue.submit(e)
            self._in_flight[e.id] = e
            self.queue.ring(e.slot)
        except (DeviceError, WireError) as x:
            self._to_host.append((LinkLost(str(x)), None))
            return
        # most commands are done when the doorbell's write is
        self._collect(self.queue.poll)

    def _map(self, e: Map) -> int | None:
        """Map a chunk; None where there is no memory for it, or the kernel refuses."""
        window = self.memory.window
        if e.iova + (e.pages << PAGE_SHIFT) > window.queue + window.size:
            return None
        try:
            self.memory.map(e.iova, e.pages << PAGE_SHIFT)
        except DeviceError:
            return None
        self.mapped += e.pages
        return e.iova

    def _unmap(self, e: Unmap) -> None:
        self.mapped -= e.pages
        try:
            self.memory.unmap(e.iova, e.pages << PAGE_SHIFT)
        except DeviceError as x:
            self._to_host.append((LinkLost(str(x)), None))

    def _set_up(self) -> None:
        """Set the device up for its driver, when its firmware is ready. DeviceError where it is not."""
        ready(self.device)
        setup.master_on(self.device)
        self.device.arm([self._interrupt])
        self._health.begin()
        self._look_at = self.now + INTERVAL
        self._up = True

    def _reset(self) -> None:
        """Reset the device: a fence where it is proven; else another try while the host waits for one."""
        self._up = False
        self._reset_at = None
        try:
            fence(self.device)
        except DeviceError:
            due = self.host.session.fence
            if due is not None and self.now + AGAIN < due:
                self._reset_at = self.now + AGAIN
            return
        self.resets += 1
        self.queue.reset()
        # an answer that comes after all is seen, and nothing is taken from it
        kept = {slot.sent.id for slot in self.queue.abandoned.values()}
        self._in_flight = {n: e for n, e in self._in_flight.items() if n in kept}
        self._to_host.append((Fenced(Proof.FUNCTION_LEVEL_RESET), None))
