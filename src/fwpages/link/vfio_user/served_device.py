"""A firmware served to virtual machines: what a vfio-user server needs to hand it from client to client."""

from __future__ import annotations

import time
from collections.abc import Callable

from fwpages.device import FaultyFirmware, Firmware, ResetFunction, Submitted, Want
from fwpages.device.pci.config_space import identity_of
from fwpages.device.pci.function import PciFunction
from fwpages.device.profiles import Profile
from fwpages.link.queue.bar import Identity
from fwpages.link.queue.device import QueueDevice, Seen
from fwpages.link.vfio_user.connection import Connection
from fwpages.link.vfio_user.endpoint import MasterGate, PciEndpoint
from fwpages.link.vfio_user.guest_memory import GuestMemory
from fwpages.link.vfio_user.interrupts import Interrupts

#: MSI-X vectors: page requests, commands, and a few completion queues
VECTORS = 64


class ServedDevice:
    """``firmware`` behind a PCI function with this profile's identity, which has SR-IOV where there are ``vfs``.

    Its memory is the present client's.

    ``watch`` is told of what the firmware and the driver do, with the seconds since the start; ``on_client`` of a
    client that came (an empty text), or went and why; ``on_refusal`` of messages that were refused.
    """

    def __init__(
        self,
        firmware: Firmware | FaultyFirmware,
        profile: Profile,
        *,
        watch: Callable[[float, Seen], None] | None = None,
        on_client: Callable[[float, str], None] | None = None,
        on_refusal: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        vfs: int = 0,
    ) -> None:
        self._clock, self._start = clock, clock()
        self._on_client, self._on_refusal = on_client, on_refusal
        self.pci = PciFunction(identity_of(profile), VECTORS, client_masks=True, vfs=vfs)
        self.memory = GuestMemory()
        self.irqs = Interrupts(VECTORS)
        self.gate = MasterGate(self.pci, self.memory)
        self.queue = QueueDevice(
            firmware,
            self.gate,
            self._interrupt,
            identity=Identity(embedded_cpu=profile.ecpf),
            watch=None if watch is None else lambda x: watch(self.now, x),
        )
        self.endpoint = PciEndpoint(self.pci, self.queue, self.irqs.signal, lambda: self.now)

    @property
    def now(self) -> float:
        """Seconds since this object was made."""
        return self._clock() - self._start

    @property
    def deadline(self) -> float | None:
        """When the firmware wants to be woken (seconds of ``clock``); never while it does nothing."""
        due = self.queue.deadline
        return None if due is None or self.stopped else due + self._start

    @property
    def stopped(self) -> bool:
        """It is in a fatal state, or its link is gone: the firmware executes nothing and asks for nothing."""
        return self.endpoint.trouble.stopped

    def connected(self) -> Connection:
        """A client came: its device is as after power-on."""
        if self._on_client is not None:
            self._on_client(self.now, "")
        self.endpoint.begin()
        return Connection(self.endpoint, self.memory, self.irqs, self._on_refusal)

    def disconnected(self, reason: str) -> None:
        """It is gone, and its memory with it: the device loses its power."""
        if self._on_client is not None:
            self._on_client(self.now, reason)
        self.endpoint.trouble.lost = False
        self.endpoint.reset()

    def tick(self) -> None:
        """The firmware's deadline has come."""
        self.queue.tick(self.now)

    def stir(self, x: Want | ResetFunction) -> None:
        """Something happens inside the device; nothing does while it is ``stopped``."""
        if not self.stopped:
            self.queue.stir(self.now, x)

    def fail(self, reason: str) -> None:
        """Firmware reports a fatal state, until somebody resets the device. ``reason`` may name a syndrome."""
        self.endpoint.trouble.report(reason)

    def lose(self) -> None:
        """The link is gone, until ``restore``."""
        self.endpoint.lose()

    def restore(self) -> None:
        """The link is back, and the device has been reset."""
        self.endpoint.restore()

    def slot_of(self, x: Seen) -> int:
        """The slot of the command queue that a submitted command lies in; 0 for anything else."""
        return (self.queue.slot_of(x.id) if isinstance(x, Submitted) else None) or 0

    def _interrupt(self, vector: int) -> None:
        self.endpoint.raise_interrupt(vector)
