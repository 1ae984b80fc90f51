"""The page tables of an x86-64 kernel: from a virtual address to a physical one, for cores that know only the latter.

A table has 512 entries of 8 bytes. Four or five levels lead from the root to a page of 4 KiB; an entry of the lower
ones may itself map 2 MiB or 1 GiB. Layout: Intel SDM, volume 3, "Paging".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fwpages.machine.structures.errors import UnmappedError
from fwpages.machine.structures.memory import NOWHERE, Addresses, Memory, Offsets

_PRESENT = 1
_LARGE = 1 << 7
_FRAME = 0x000F_FFFF_FFFF_F000
_REGION = 21
#: the shifts of the levels below which an entry may map memory itself
_MAY_BE_LARGE = (30, 21)


class PageTables:
    """The kernel's own page tables, read from physical memory.

    ``root`` is the physical address of the topmost table; ``levels`` is 4 or 5; ``hidden`` is the bit that marks
    encrypted memory, which is no part of an address.
    """

    def __init__(self, physical: Memory, root: int, levels: int = 4, hidden: int = 0) -> None:
        self._memory = physical
        self._root = root
        self._shifts = (39, 30, 21) if levels == 4 else (48, 39, 30, 21)
        self._frame = _FRAME & ~hidden
        self._regions: dict[int, int | NDArray[np.uint64]] = {}

    def _entry(self, table: int, index: int) -> int:
        try:
            return self._memory.number(table + index * 8)
        except UnmappedError:
            return 0

    def _region(self, region: int) -> int | NDArray[np.uint64]:
        """The physical address of 2 MiB, NOWHERE where they are not mapped, or the table of their pages."""
        address, table = region << _REGION, self._root
        for shift in self._shifts:
            entry = self._entry(table, address >> shift & 511)
            if not entry & _PRESENT:
                return NOWHERE
            frame = entry & self._frame
            if shift in _MAY_BE_LARGE and entry & _LARGE:
                return (frame & ~((1 << shift) - 1)) + (address & (1 << shift) - 1)
            table = frame
        try:
            return np.frombuffer(self._memory.read(table, 4096), np.uint64)
        except UnmappedError:
            return NOWHERE

    def physical(self, addresses: Addresses) -> Offsets:
        """The physical addresses, ``NOWHERE`` for what is not mapped."""
        regions, which = np.unique(addresses >> np.uint64(_REGION), return_inverse=True)
        found = np.full(len(addresses), NOWHERE, np.int64)
        large = np.full(len(regions), NOWHERE, np.int64)
        for n, region in enumerate(regions.tolist()):
            if region not in self._regions:
                self._regions[region] = self._region(region)
            to = self._regions[region]
            if isinstance(to, int):
                large[n] = to
            else:
                here = np.flatnonzero(which == n)
                entries = to[(addresses[here] >> np.uint64(12)) & np.uint64(511)]
                frames = (entries & np.uint64(self._frame)) | (addresses[here] & np.uint64(0xFFF))
                found[here] = np.where(entries & np.uint64(_PRESENT), frames.astype(np.int64), NOWHERE)
        within = (addresses & np.uint64((1 << _REGION) - 1)).astype(np.int64)
        return np.where(large[which] != NOWHERE, large[which] + within, found)
