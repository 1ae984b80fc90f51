"""The PCI function of a device as a pure state machine: accesses in, effects out.

It answers for the configuration space and, in BAR 0, for the MSI-X table and its pending bits. The rest of BAR 0 (the
initialization segment, the doorbells in UAR pages) is the command queue's: ``owns`` tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from fwpages.device.firmware.queue_commands import FIRST_UAR, MOST_UARS
from fwpages.device.pci.config_space import (
    BUS_MASTER,
    COMMAND,
    MEMORY_SPACE,
    MSIX_CONTROL,
    MSIX_ENABLE,
    MSIX_MASK_ALL,
    ConfigSpace,
    MsixPlace,
    PciIdentity,
)
from fwpages.device.pci.msix import MsixTable

#: bytes of BAR 0: UAR numbers are numbers of its 4 KiB pages
BAR_SIZE = (FIRST_UAR + MOST_UARS) * 4096
#: in the pages between the initialization segment and the first UAR
MSIX_TABLE, MSIX_PENDING = 0x4000, 0xC000
#: as many as the pages for table and pending bits allow
MOST_VECTORS = 2048


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Send the message of this MSI-X vector."""

    vector: int


@dataclass(frozen=True, slots=True)
class FunctionReset:
    """The driver asked for a function-level reset: firmware drops everything, no memory is touched any more."""


PciEffect: TypeAlias = Interrupt | FunctionReset


class PciFunction:
    """One function with ``vectors`` MSI-X vectors.

    With ``client_masks`` whoever carries the accesses keeps the vector table itself, as QEMU does, and never writes it
    here: then the table does not hold an interrupt back. With ``vfs`` it has SR-IOV. Accesses must lie within their
    region.
    """

    def __init__(self, identity: PciIdentity, vectors: int = 64, *, client_masks: bool = False, vfs: int = 0) -> None:
        if not 1 <= vectors <= MOST_VECTORS:
            raise ValueError(f"1 to {MOST_VECTORS} vectors, not {vectors}")
        place = MsixPlace(vectors, MSIX_TABLE, MSIX_PENDING)
        self.identity = identity
        self.vectors = vectors
        self._client_masks = client_masks
        self._config = ConfigSpace(identity, BAR_SIZE, place, vfs)
        self._msix = MsixTable(place)

    @property
    def bus_master(self) -> bool:
        """The driver lets the device reach memory and send messages."""
        return bool(self._config.word(COMMAND) & BUS_MASTER)

    @property
    def memory_space(self) -> bool:
        """BAR 0 answers."""
        return bool(self._config.word(COMMAND) & MEMORY_SPACE)

    @property
    def msix_enabled(self) -> bool:
        """The driver uses MSI-X, and has not masked the whole function."""
        return self._config.word(MSIX_CONTROL) & (MSIX_ENABLE | MSIX_MASK_ALL) == MSIX_ENABLE

    def config_read(self, offset: int, length: int) -> bytes:
        """Bytes of the configuration space."""
        return self._config.read(offset, length)

    def config_write(self, offset: int, data: bytes) -> list[PciEffect]:
        """A driver writes the configuration space. A function-level reset has happened when this returns."""
        if self._config.write(offset, data):
            self.reset()
            return [FunctionReset()]
        return self._due()

    def show_extended(self, *, shown: bool) -> None:
        """Extended capabilities are seen, or read as zeros."""
        self._config.extended = shown

    def owns(self, offset: int) -> bool:
        """This offset of BAR 0 is this object's to answer for."""
        return self._msix.owns(offset)

    def bar_read(self, offset: int, length: int) -> bytes:
        """Bytes of BAR 0 that ``owns`` claims."""
        return self._msix.read(offset, length)

    def bar_write(self, offset: int, data: bytes) -> list[PciEffect]:
        """A driver writes bytes of BAR 0 that ``owns`` claims."""
        self._msix.write(offset, data)
        return self._due()

    def interrupt(self, vector: int) -> list[PciEffect]:
        """The device has something to say on this vector: now, or once it is unmasked. None that is not there."""
        if not 0 <= vector < self.vectors:
            return []
        if self.msix_enabled and self.bus_master and (self._client_masks or not self._msix.masked(vector)):
            return [Interrupt(vector)]
        self._msix.hold(vector)
        return []

    def reset(self) -> None:
        """As after power-on."""
        self._config.reset()
        self._msix.reset()

    def stop_master(self) -> None:
        """Bus mastering is off until the driver turns it on again."""
        self._config.write(COMMAND, (self._config.word(COMMAND) & ~BUS_MASTER).to_bytes(2, "little"))

    def _due(self) -> list[PciEffect]:
        if not (self.msix_enabled and self.bus_master):
            return []
        return [Interrupt(v) for v in self._msix.due(everything=self._client_masks)]
