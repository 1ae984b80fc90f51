"""A firmware served to virtual machines: PCI function, command queue and client memory, from client to client."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from fwpages.device import FaultyFirmware, Firmware, HostVfs, ResetFunction, Submitted, Want
from fwpages.device.pci.config_space import identity_of
from fwpages.device.pci.function import PciFunction
from fwpages.device.profiles import Profile
from fwpages.link.queue.bar import Identity
from fwpages.link.queue.device import DeviceEvent, QueueDevice
from fwpages.link.vfio_user.connection import Connection
from fwpages.link.vfio_user.endpoint import MasterGate, PciEndpoint
from fwpages.link.vfio_user.guest_memory import GuestMemory
from fwpages.link.vfio_user.interrupts import Interrupts
from fwpages.link.vfio_user.memory_events import MemoryEvent
from fwpages.prm.message import PageArray

#: MSI-X vectors: page requests, commands, and a few completion queues
VECTORS = 64


class ServedDevice:
    """``firmware`` behind a PCI function with this profile's identity, which has SR-IOV where there are ``vfs``.

    Its memory is the present client's. Times are seconds since the start. ``watch`` is called with the time and each
    event of firmware and driver; ``on_client`` with the time and an empty text when a client comes, the reason when it
    goes; ``on_refusal`` with the reason for each refused message; ``on_memory`` with the time and each map, unmap and
    change of bus mastering.
    """

    def __init__(
        self,
        firmware: Firmware | FaultyFirmware,
        profile: Profile,
        *,
        watch: Callable[[float, DeviceEvent], None] | None = None,
        on_client: Callable[[float, str], None] | None = None,
        on_refusal: Callable[[str], None] | None = None,
        on_memory: Callable[[float, MemoryEvent], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        vfs: int = 0,
    ) -> None:
        self._clock, self._start = clock, clock()
        self._on_client, self._on_refusal = on_client, on_refusal
        self._on_memory = None if on_memory is None else lambda x: on_memory(self.now, x)
        self.pci = PciFunction(identity_of(profile), VECTORS, client_masks=True, vfs=vfs)
        self.memory = GuestMemory()
        self.irqs = Interrupts(VECTORS)
        self.gate = MasterGate(self.pci, self.memory)
        self.queue = QueueDevice(
            firmware,
            self.gate,
            self._interrupt,
            identity=_identity(profile),
            watch=None if watch is None else lambda x: watch(self.now, x),
        )
        self.endpoint = PciEndpoint(self.pci, self.queue, self.irqs.signal, lambda: self.now, self._on_memory)

    @property
    def now(self) -> float:
        """Seconds since this object was made."""
        return self._clock() - self._start

    @property
    def deadline(self) -> float | None:
        """The firmware's deadline (seconds of ``clock``); None for none, and while it is ``stopped``.

        Commands that wait for their turn are due at once.
        """
        due = self.now if self.endpoint.pending else self.queue.deadline
        return None if due is None or self.stopped else due + self._start

    @property
    def stopped(self) -> bool:
        """The device is in a fatal state or its link is lost: the firmware executes nothing and asks for nothing."""
        return self.endpoint.trouble.stopped

    def connected(self) -> Connection:
        """Begin with a new client: its device is as after power-on."""
        if self._on_client is not None:
            self._on_client(self.now, "")
        self.endpoint.begin()
        return Connection(self.endpoint, self.memory, self.irqs, self._on_refusal, self._on_memory)

    def disconnected(self, reason: str) -> None:
        """End with the client: its memory is gone, and the device loses its power."""
        if self._on_client is not None:
            self._on_client(self.now, reason)
        self.endpoint.trouble.lost = False
        self.endpoint.reset()

    def tick(self) -> None:
        """Wake the firmware: its deadline has come."""
        self.endpoint.act(lambda: self.queue.tick(self.now))

    def stir(self, x: Want | ResetFunction | HostVfs) -> None:
        """Let a function want pages, reset it, or let the external host switch VFs on; not while ``stopped``."""
        if not self.stopped:
            self.endpoint.act(lambda: self.queue.stir(self.now, x))

    def fail(self, reason: str, *, resets: bool = True) -> None:
        """Report a fatal state, until the driver resets the device. ``reason`` may name a syndrome.

        Unless ``resets`` is set, the reset by software that the driver asks for in this state is never done.
        """
        self.queue.obeys_reset = resets
        self.endpoint.trouble.report(reason)

    def lose(self) -> None:
        """Lose the link, until ``restore``."""
        self.endpoint.lose()

    def restore(self) -> None:
        """Restore the link; the device has been reset."""
        self.endpoint.restore()

    def slot_of(self, x: DeviceEvent) -> int:
        """Return the command queue slot of a submitted command; 0 for any other event."""
        return (self.queue.slot_of(x.id) if isinstance(x, Submitted) else None) or 0

    def memory_of(self, x: DeviceEvent) -> PageArray:
        """Return the pages that a submitted command's entry and mailboxes lie in; none for any other event."""
        return self.queue.memory_of(x.id) if isinstance(x, Submitted) else np.zeros(0, np.uint64)

    def _interrupt(self, vector: int) -> None:
        self.endpoint.raise_interrupt(vector)


def _identity(p: Profile) -> Identity:
    told = p.timeouts
    return Identity(
        embedded_cpu=p.ecpf,
        software_reset=p.software_reset,
        command_time=None if told is None else told.command,
        init_time=None if told is None else told.init,
    )
