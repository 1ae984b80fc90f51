"""A host and a firmware in one process, joined by the command queue: every command, answer and event is bytes.

``InProcessQueue`` is ``InProcess`` with a wire in it: the same clock, the same order, the same faults, and besides them
the faults of bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from fwpages.device import (
    Completed,
    FaultyFirmware,
    Firmware,
    Offence,
    Raised,
    ResetDone,
    ResetFunction,
    Submitted,
    Want,
)
from fwpages.device import Input as DeviceInput
from fwpages.device import Reset as DeviceReset
from fwpages.host import Aborted, Done, Finding, Host, LinkLost, Map, Send, Unmap
from fwpages.link.faults.byte_faults import DoorbellFault, InterruptFault
from fwpages.link.faults.injector import LinkInjector, SpoiledBus
from fwpages.link.inprocess import LATENCY, InProcess
from fwpages.link.memory import Memory
from fwpages.link.queue import device as queue_device
from fwpages.link.queue import driver as queue_host
from fwpages.link.queue.bar import uar_at
from fwpages.link.queue.device import QueueDevice
from fwpages.link.queue.driver import QueueHost, RaisedEswitch, RaisedRequest, WireError
from fwpages.link.queue.offences import WireOffence
from fwpages.link.tap import Tap
from fwpages.pages import PAGE_SHIFT


class InProcessQueue(InProcess):
    """Joins ``host`` to ``firmware`` over a command queue in ``memory``; otherwise as ``InProcess``.

    ``wire_offences`` are the driver's offences below the commands: none, unless a fault of bytes causes them.
    ``signatures``: mailboxes are signed and checked (Linux does so only while ``cmdif_checksum`` asks).
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
        signatures: bool = False,
    ) -> None:
        super().__init__(host, firmware, faults=faults, tap=tap, checked=checked, on_event=on_event)
        self.memory = Memory()
        self.bus = SpoiledBus(self.memory, self.faults)
        self.device = QueueDevice(firmware, self.bus, self._interrupt, watch=self._watch)
        self.driver = QueueHost(self.memory, self, signatures=signatures)
        self.wire_offences: list[WireOffence] = []
        self._interrupts: deque[int] = deque()
        self._handling = False

    def wake(self) -> bool:
        """As ``InProcess.wake``; before a command times out the driver looks for an answer that it missed."""
        due = self.deadline
        if due is not None and due != self.firmware.deadline:
            seen = self.driver.recover()
            if seen:
                self.now = max(self.now, due)
                self._deliver(seen)
                return True
        return super().wake()

    # BAR 0 as the driver sees it

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of BAR 0."""
        return self.device.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Write to BAR 0, unless a fault loses the write."""
        if uar_at(offset, self.device.firmware.uar_size) is None or self.faults.due_fault(DoorbellFault) is None:
            self.device.write(offset, data)

    def _lend(self, e: Map, at: int | None) -> None:
        if at is not None:
            self.memory.map(at, e.pages << PAGE_SHIFT)

    def _withdraw(self, e: Unmap) -> None:
        self.memory.unmap(e.iova, e.pages << PAGE_SHIFT)

    def _write(self, e: Send) -> None:
        try:
            slot = self.driver.submit(e)
        except WireError as x:
            self._to_host.append((LinkLost(str(x)), None))
            return
        self.faults.spoil(self.driver, slot)

    def _ring(self, e: Send) -> None:
        if e.slot in self.driver.slots:
            self.driver.ring(e.slot)
            super()._ring(e)

    def _feed_device(self, x: DeviceInput) -> None:
        match x:
            case Submitted():
                self.now += LATENCY
                self.device.step(self.now)
            case DeviceReset():
                self.device.reset(self.now)
            case Want() | ResetFunction():
                self.device.stir(self.now, x)
            case _:
                self.device.tick(self.now)
        self._deliver(self.driver.poll())
        if self.checked:
            self.firmware.check()

    def _watch(self, x: queue_device.DeviceEvent) -> None:
        """Take the effects of the device that do not go over the wire."""
        match x:
            case ResetDone():
                self.driver.reset()
                self._arrived(x)
            case Offence():
                self._arrived(x)
            case WireOffence():
                self.wire_offences.append(x)

    def _interrupt(self, vector: int) -> None:
        """Handle interrupts one after the other; one that comes in between is next."""
        if self.faults.due_fault(InterruptFault) is None:
            self._interrupts.append(vector)
        if self._handling:
            return
        self._handling = True
        while self._interrupts:
            self._deliver(self.driver.interrupt(self._interrupts.popleft()))
        self._handling = False

    def _deliver(self, seen: Iterable[queue_host.DriverEvent]) -> None:
        for x in seen:
            if isinstance(x, RaisedRequest):
                self._arrived(Raised(x.eqn, x.event))
            elif isinstance(x, RaisedEswitch):
                continue  # the host of a run has its functions by name, and asks for no such event
            elif x.answer is not None:
                self._arrived(Completed(x.id, x.answer))
            elif self._in_flight.pop(x.id, None) is not None:
                self._to_host.append((Aborted(x.session, x.id, x.why), None))
