"""A device as a vfio-user client reaches it: the PCI function in front, the command queue behind BAR 0."""

from __future__ import annotations

import errno
from collections.abc import Callable

from fwpages.device.pci import BAR_SIZE, FunctionReset, Interrupt, PciEffect, PciFunction
from fwpages.device.pci_config import CONFIG_SIZE
from fwpages.link.bus import Bus, BusError
from fwpages.link.queue_device import QueueDevice
from fwpages.link.vfio_user_messages import MessageError
from fwpages.link.vfio_user_session import BAR0, CONFIG

#: bytes of one access to BAR 0: a processor's widest store; nobody has reason for more
MOST_ACCESS = 64


class MasterGate:
    """A bus that a device reaches only while its driver lets it (bus mastering). ``refused`` counts what it may not."""

    def __init__(self, pci: PciFunction, bus: Bus) -> None:
        self._pci, self._bus = pci, bus
        self.refused = 0

    def _check(self, iova: int) -> None:
        if not self._pci.bus_master:
            self.refused += 1
            raise BusError(f"{iova:#x} cannot be reached: bus mastering is off")

    def read(self, iova: int, length: int) -> bytes:
        """As the bus behind; BusError while bus mastering is off."""
        self._check(iova)
        return self._bus.read(iova, length)

    def write(self, iova: int, data: bytes | bytearray | memoryview) -> None:
        """As the bus behind; BusError while bus mastering is off."""
        self._check(iova)
        self._bus.write(iova, data)


class PciEndpoint:
    """Joins the PCI function and the command queue. ``signal(vector)`` sends an interrupt, ``clock`` tells the time."""

    def __init__(
        self,
        pci: PciFunction,
        device: QueueDevice,
        signal: Callable[[int], object],
        clock: Callable[[], float],
    ) -> None:
        self._pci, self._device = pci, device
        self._signal, self._clock = signal, clock
        self.resets = 0

    def size(self, region: int) -> int:
        """Bytes of a region: BAR 0 and the configuration space are there, nothing else."""
        return {BAR0: BAR_SIZE, CONFIG: CONFIG_SIZE}.get(region, 0)

    def read(self, region: int, offset: int, length: int) -> bytes:
        """What a driver reads. All ones where BAR 0 does not answer."""
        if region == CONFIG:
            return self._pci.config_read(offset, length)
        if length > MOST_ACCESS:
            raise MessageError(errno.EINVAL, f"an access to BAR 0 of {length} bytes")
        if not self._pci.memory_space:
            return b"\xff" * length
        if self._pci.owns(offset):
            return self._pci.bar_read(offset, length)
        return self._device.read(offset, length)

    def write(self, region: int, offset: int, data: bytes) -> None:
        """What a driver writes, and whatever follows from it at once: commands are executed, interrupts sent."""
        if region == CONFIG:
            self.perform(self._pci.config_write(offset, data))
            return
        if len(data) > MOST_ACCESS:
            raise MessageError(errno.EINVAL, f"an access to BAR 0 of {len(data)} bytes")
        if not self._pci.memory_space:
            return
        if self._pci.owns(offset):
            self.perform(self._pci.bar_write(offset, data))
        else:
            self._device.write(offset, data)
            self.run()

    def reset(self) -> None:
        """A function-level reset, by message or by the driver's own write."""
        self._pci.reset()
        self._reset_device()

    def raise_interrupt(self, vector: int) -> None:
        """What the command queue calls to interrupt the driver."""
        self.perform(self._pci.interrupt(vector))

    def run(self) -> None:
        """Execute what the driver handed over."""
        while self._device.pending:
            self._device.step(self._clock())

    def perform(self, effects: list[PciEffect]) -> None:
        """Carry out what the PCI function says."""
        for e in effects:
            match e:
                case Interrupt():
                    self._signal(e.vector)
                case FunctionReset():
                    self._reset_device()

    def _reset_device(self) -> None:
        self.resets += 1
        self._device.reset(self._clock())
