"""MSI-X of a PCI function: the vector table and the pending bits, as they lie in BAR 0."""

from __future__ import annotations

import struct

from fwpages.device.pci.config_space import MsixPlace

ENTRY_SIZE = 16
_MASKED = 1
#: offset in an entry of the word with its mask bit
_CONTROL = 12


class MsixTable:
    """Vectors with address, data and mask; a masked one that is raised stays pending until it is unmasked."""

    def __init__(self, place: MsixPlace) -> None:
        self.place = place
        self._entries = bytearray()
        self._pending: set[int] = set()
        self.reset()

    def reset(self) -> None:
        """Mask all vectors and drop pending ones."""
        self._entries = bytearray(struct.pack("<IIII", 0, 0, 0, _MASKED) * self.place.vectors)
        self._pending.clear()

    def owns(self, offset: int) -> bool:
        """Return whether this offset of BAR 0 is in the table or the pending bits."""
        return self._in_table(offset) or self._in_pending(offset)

    def _in_table(self, offset: int) -> bool:
        return self.place.table <= offset < self.place.table + len(self._entries)

    def _in_pending(self, offset: int) -> bool:
        return self.place.pending <= offset < self.place.pending + self._pending_size

    @property
    def _pending_size(self) -> int:
        return (self.place.vectors + 63) // 64 * 8

    def read(self, offset: int, length: int) -> bytes:
        """Return these bytes of BAR 0; zeros beyond the end of the table or of the pending bits."""
        if self._in_table(offset):
            at = offset - self.place.table
            return bytes(self._entries[at : at + length]).ljust(length, b"\0")
        at = offset - self.place.pending
        bits = sum(1 << v for v in self._pending).to_bytes(self._pending_size, "little")
        return bits[at : at + length].ljust(length, b"\0")

    def write(self, offset: int, data: bytes) -> None:
        """Write entries by whole aligned words, as the specification requires; pending bits are read-only."""
        at = offset - self.place.table
        if not self._in_table(offset) or at % 4 or len(data) % 4 or at + len(data) > len(self._entries):
            return
        for n in range(0, len(data), 4):
            word = int.from_bytes(data[n : n + 4], "little")
            if (at + n) % ENTRY_SIZE == _CONTROL:
                word &= _MASKED
            elif not (at + n) % ENTRY_SIZE:
                word &= ~0b11
            self._entries[at + n : at + n + 4] = word.to_bytes(4, "little")

    def masked(self, vector: int) -> bool:
        """Return whether the vector's own entry masks it."""
        return bool(self._entries[vector * ENTRY_SIZE + _CONTROL] & _MASKED)

    def hold(self, vector: int) -> None:
        """Make this vector pending."""
        self._pending.add(vector)

    def due(self, *, everything: bool) -> tuple[int, ...]:
        """Return the pending vectors that are not masked (or ``everything``), sorted; they are pending no longer."""
        found = tuple(sorted(v for v in self._pending if everything or not self.masked(v)))
        self._pending.difference_update(found)
        return found
