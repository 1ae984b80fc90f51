"""A device as a vfio-user client reaches it: the PCI function in front, the command queue behind BAR 0.

A device may have to wait for its client in the middle of a command (``transfers``). While it does, registers are read
and written as ever; a command that is handed over then waits its turn; and a reset cuts off what the device is doing:
it is carried out when the device has stopped, before any other message is served.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from fwpages.device.pci.config_space import CONFIG_SIZE
from fwpages.device.pci.function import BAR_SIZE, FunctionReset, Interrupt, PciEffect, PciFunction
from fwpages.link.bus import Bus, BusError
from fwpages.link.queue.device import QueueDevice
from fwpages.link.vfio_user.connection import BAR0, CONFIG
from fwpages.link.vfio_user.failures import Trouble
from fwpages.link.vfio_user.memory_events import BusMaster, MemoryEvent
from fwpages.link.vfio_user.messages import MessageError
from fwpages.link.vfio_user.transfers import CutOffError

#: most bytes of one access to BAR 0: a processor's widest store
MOST_ACCESS = 64
#: bytes of a register
_WORD = 4
#: commands executed in a row, before the server looks at its clock: each may have waited for the client
TURN = 256


class MasterGate:
    """A bus that a device reaches only while bus mastering is on. ``refused`` counts accesses while it is off."""

    def __init__(self, pci: PciFunction, bus: Bus) -> None:
        self._pci, self._bus = pci, bus
        self.refused = 0

    def _check(self, iova: int) -> None:
        if not self._pci.bus_master:
            self.refused += 1
            raise BusError(f"{iova:#x} cannot be reached: bus mastering is off")

    def read(self, iova: int, length: int) -> bytes:
        """As ``Bus``; BusError while bus mastering is off."""
        self._check(iova)
        return self._bus.read(iova, length)

    def write(self, iova: int, data: bytes | bytearray | memoryview) -> None:
        """As ``Bus``; BusError while bus mastering is off."""
        self._check(iova)
        self._bus.write(iova, data)


class PciEndpoint:
    """Joins the PCI function and the command queue. ``signal(vector)`` sends an interrupt, ``clock`` returns the time.

    ``trouble`` is the failure of the device as a whole; ``on_memory`` is called when bus mastering is turned on or off.
    """

    def __init__(
        self,
        pci: PciFunction,
        device: QueueDevice,
        signal: Callable[[int], object],
        clock: Callable[[], float],
        on_memory: Callable[[MemoryEvent], None] | None = None,
    ) -> None:
        self._pci, self._device = pci, device
        self._signal, self._clock, self._on_memory = signal, clock, on_memory
        self._master = pci.bus_master
        self.trouble = Trouble(device.segment)
        self.resets = 0
        #: the device is executing something, and may wait for its client
        self._acting = False
        self._reset_waits = False

    @property
    def is_cut(self) -> bool:
        """A reset waits until the device has stopped."""
        return self._reset_waits

    @property
    def pending(self) -> bool:
        """Commands are handed over, and nothing executes them."""
        return self._device.pending and not self._acting

    def size(self, region: int) -> int:
        """Return the bytes of a region: only BAR 0 and the configuration space have some."""
        return {BAR0: BAR_SIZE, CONFIG: CONFIG_SIZE}.get(region, 0)

    def read(self, region: int, offset: int, length: int) -> bytes:
        """Read bytes of a region; all ones where BAR 0, or the whole device, does not respond."""
        if region != CONFIG and length > MOST_ACCESS:
            raise MessageError(errno.EINVAL, f"an access to BAR 0 of {length} bytes")
        if self.trouble.lost or not (region == CONFIG or self._pci.memory_space):
            return b"\xff" * length
        if region == CONFIG:
            return self._pci.config_read(offset, length)
        if self._pci.owns(offset):
            return self._pci.bar_read(offset, length)
        return self._device.read(offset, length)

    def write(self, region: int, offset: int, data: bytes) -> None:
        """Write bytes of a region and carry out at once what follows: commands are executed, interrupts sent."""
        if region != CONFIG and len(data) > MOST_ACCESS:
            raise MessageError(errno.EINVAL, f"an access to BAR 0 of {len(data)} bytes")
        if self.trouble.lost:
            return
        if region == CONFIG:
            effects = self._pci.config_write(offset, data)
            self._note_master()
            self.perform(effects)
        elif self._pci.memory_space:
            self._write_bar(offset, data)

    def _write_bar(self, offset: int, data: bytes) -> None:
        if self._pci.owns(offset):
            self.perform(self._pci.bar_write(offset, data))
            return
        accepted = [at for at in range(0, len(data), _WORD) if self.trouble.accepts(offset + at)]
        if not accepted:
            return
        if len(accepted) * _WORD >= len(data):
            self._device.write(offset, data)
        else:
            for at in accepted:
                self._device.write(offset + at, data[at : at + _WORD])
        self.run()

    def begin(self) -> None:
        """Prepare for a client that looks at the device.

        QEMU hides SR-IOV where it finds it (``vfio_add_ext_cap``), and passes on what it has not found: extended
        capabilities are there from the reset on with which the machine starts.
        """
        self._pci.show_extended(shown=False)

    def reset(self) -> None:
        """Reset the function, as a virtual machine does at every start."""
        self._pci.show_extended(shown=True)
        self._pci.reset()
        self._note_master()
        self._reset_device()

    def lose(self) -> None:
        """Lose the link."""
        self.trouble.lost = True

    def restore(self) -> None:
        """Restore the link; the loss has reset the device.

        The configuration space is as a platform leaves it that found the device again: set up, bus mastering off.
        QEMU keeps its own copy of the command register and would not notice a reset that no driver asked for.
        """
        self.trouble.lost = False
        self._pci.stop_master()
        self._note_master()
        self._reset_device()
        self.trouble.idle()

    def raise_interrupt(self, vector: int) -> None:
        """Interrupt the driver; the command queue calls this."""
        self.perform(self._pci.interrupt(vector))

    def run(self) -> None:
        """Execute the commands and the software reset that the driver handed over, at most ``TURN`` of them."""
        fatal = self.trouble.fatal
        self.act(lambda: None)
        if fatal and not self.trouble.fatal:
            self.trouble.idle()

    def act(self, deed: Callable[[], None]) -> None:
        """Let the device do this, and execute commands that are handed over meanwhile.

        A reset, or the client's end, cuts it off where it waits for the client. Where it acts already, ``deed`` is
        not done, and what is handed over waits for its turn.
        """
        if self._acting:
            return
        self._acting = True
        try:
            deed()
            for _ in range(TURN):
                if not self._device.pending:
                    break
                self._device.step(self._clock())
        except CutOffError:
            pass
        finally:
            self._acting = False
        if self._reset_waits:
            self._reset_waits = False
            self._reset_device()

    def perform(self, effects: list[PciEffect]) -> None:
        """Carry out the effects of the PCI function."""
        for e in effects:
            match e:
                case Interrupt():
                    self._signal(e.vector)
                case FunctionReset():
                    self._reset_device()

    def _note_master(self) -> None:
        """Report where bus mastering has changed."""
        now = self._pci.bus_master
        if now is not self._master:
            self._master = now
            if self._on_memory is not None:
                self._on_memory(BusMaster(now))

    def _reset_device(self) -> None:
        if self._acting:
            self._reset_waits = True
            return
        self.resets += 1
        self.trouble.clear()
        self._device.reset(self._clock())
