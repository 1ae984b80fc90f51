"""The PCI function of a device as a state machine without I/O: accesses in, effects out.

It has the configuration space and, in BAR 0, the MSI-X table and its pending bits. The rest of BAR 0 (the
initialization segment, the doorbells in UAR pages) belongs to the command queue; ``owns`` distinguishes them.
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

    With ``client_masks`` the client keeps the vector table itself, as QEMU does, and never writes it here: then the
    table holds no interrupt back. With ``vfs`` it has SR-IOV. Accesses must lie within their region.
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
        """BAR 0 is enabled."""
        return bool(self._config.word(COMMAND) & MEMORY_SPACE)

    @property
    def msix_enabled(self) -> bool:
        """The driver uses MSI-X, and has not masked the whole function."""
        return self._config.word(MSIX_CONTROL) & (MSIX_ENABLE | MSIX_MASK_ALL) == MSIX_ENABLE

    def config_read(self, offset: int, length: int) -> bytes:
        """Return bytes of the configuration space."""
        return self._config.read(offset, length)

    def config_write(self, offset: int, data: bytes) -> list[PciEffect]:
        """Write the configuration space, including the function-level reset that a write may ask for."""
        if self._config.write(offset, data):
            self.reset()
            return [FunctionReset()]
        return self._due()

    def show_extended(self, *, shown: bool) -> None:
        """Show extended capabilities, or let them read as zeros."""
        self._config.extended = shown

    def owns(self, offset: int) -> bool:
        """Return whether this offset of BAR 0 is in the MSI-X table or its pending bits."""
        return self._msix.owns(offset)

    def bar_read(self, offset: int, length: int) -> bytes:
        """Return bytes of BAR 0 that ``owns`` claims."""
        return self._msix.read(offset, length)

    def bar_write(self, offset: int, data: bytes) -> list[PciEffect]:
        """Write bytes of BAR 0 that ``owns`` claims."""
        self._msix.write(offset, data)
        return self._due()

    def interrupt(self, vector: int) -> list[PciEffect]:
        """Raise the interrupt of this vector, now or once it is unmasked; nothing for a vector that does not exist."""
        if not 0 <= vector < self.vectors:
            return []
        if self.msix_enabled and self.bus_master and (self._client_masks or not self._msix.masked(vector)):
            return [Interrupt(vector)]
        self._msix.hold(vector)
        return []

    def reset(self) -> None:
        """Reset the function as at power-on."""
        self._config.reset()
        self._msix.reset()

    def stop_master(self) -> None:
        """Turn bus mastering off; the driver may turn it on again."""
        self._config.write(COMMAND, (self._config.word(COMMAND) & ~BUS_MASTER).to_bytes(2, "little"))

    def _due(self) -> list[PciEffect]:
        if not (self.msix_enabled and self.bus_master):
            return []
        return [Interrupt(v) for v in self._msix.due(everything=self._client_masks)]
