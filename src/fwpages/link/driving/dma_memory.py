"""DMA memory of a device in real time: one piece of memory, a window of I/O addresses, and what of it is mapped.

Theory of operation. The host lends memory in one gapless range of I/O addresses, and the command queue has its
mailboxes in another. Both are placed into one window, which lies in one range of addresses that the I/O memory
management unit can map: holes (the addresses of interrupt messages) are avoided, and so are addresses beyond its width.
The memory behind the window is allocated once, as large as the window. An offset in one is the offset in the other, and
only what is mapped costs memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fwpages.link.driving.pci_device import DeviceError, IovaRange, PciDevice
from fwpages.link.memory import Bytes
from fwpages.link.queue.driver import AREAS_SIZE
from fwpages.pages import PAGE_SHIFT

#: windows begin at a multiple of this, one huge page of an I/O memory management unit
ALIGNMENT = 2 << 20
#: the lowest I/O address that is used: 0 is never given, and some devices reach 32 bits of addresses by other rules
LOWEST = 1 << 32
#: the least memory that can be lent, in pages (1 GiB): a window for less is not taken
LEAST_PAGES = 1 << 18


@dataclass(frozen=True, slots=True)
class Window:
    """I/O addresses of a host: of the command queue and its mailboxes (``queue``), of the memory lent (``lent``).

    ``pages`` of 4 KiB can be lent.
    """

    queue: int
    lent: int
    pages: int

    @property
    def size(self) -> int:
        """Bytes of the whole window."""
        return self.lent - self.queue + (self.pages << PAGE_SHIFT)


def window_in(ranges: Iterable[IovaRange], pages: int) -> Window:
    """Place a window for ``pages`` of 4 KiB; for fewer where no range has room. DeviceError where none is large enough.

    Ranges above 4 GiB are tried first: below it lie the holes.
    """
    every = list(ranges)
    best: Window | None = None
    for low in (LOWEST, ALIGNMENT):
        for r in every:
            start = -(-max(r.start, low) // ALIGNMENT) * ALIGNMENT
            room = (r.last + 1 - start - AREAS_SIZE) // ALIGNMENT * ALIGNMENT >> PAGE_SHIFT
            if room >= LEAST_PAGES and (best is None or min(room, pages) > best.pages):
                best = Window(start, start + AREAS_SIZE, min(room, pages))
        if best is not None:
            return best
    known = ", ".join(f"{r.start:#x} to {r.last:#x}" for r in every) or "none"
    raise DeviceError(f"no range of I/O addresses has room for a command queue and 1 GiB; there are {known}")


class DmaMemory:
    """The memory behind a window, as the command queue and the host use it: mapped for the device range by range."""

    def __init__(self, device: PciDevice, window: Window) -> None:
        self.window = window
        self._device = device
        self._bytes: Bytes = device.allocate(window.size)
        #: what is mapped: address → bytes
        self._mapped: dict[int, int] = {}

    @property
    def mapped(self) -> int:
        """The number of bytes mapped."""
        return sum(self._mapped.values())

    def map(self, iova: int, length: int, *, solid: bool = False) -> None:  # noqa: ARG002  # all of it is in one piece
        """Map whole pages. ValueError outside the window; DeviceError where the device, or the kernel, refuses."""
        self._device.map(iova, self._offset(iova, length), length)
        self._mapped[iova] = length

    def unmap(self, iova: int, length: int) -> None:
        """Unmap every range in these bytes, one by one, as they were mapped."""
        for start in sorted(at for at in self._mapped if iova <= at < iova + length):
            size = self._mapped.pop(start)
            self._device.unmap(start, self._offset(start, size), size)

    def view(self, iova: int, length: int) -> Bytes:
        """Return these bytes in place, shape (length,), writable."""
        offset = self._offset(iova, length)
        return self._bytes[offset : offset + length]

    def _offset(self, iova: int, length: int) -> int:
        offset = iova - self.window.queue
        if not 0 <= offset <= self.window.size - length:
            raise ValueError(f"{length:#x} bytes at {iova:#x} lie outside the window at {self.window.queue:#x}")
        return offset
