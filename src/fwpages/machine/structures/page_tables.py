"""The page tables of a kernel: from a virtual address to a physical one, for cores that know only the latter.

A table fills a page, with entries of 8 bytes. Several levels lead from the root to a page; an entry of a level above
the last may itself map memory, a block of the size that a whole table below it would map. Layouts: Intel SDM, volume 3,
"Paging"; Arm Architecture Reference Manual, "The AArch64 Virtual Memory System Architecture".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fwpages.machine.structures.errors import UnmappedError
from fwpages.machine.structures.memory import NOWHERE, Addresses, Memory, Offsets

_PRESENT = 1
#: bits of an entry that are no part of an address, on both machines: those below 12 and from 48 or 52 on
_X86_FRAME = 0x000F_FFFF_FFFF_F000
_ARM_FRAME = 0x0000_FFFF_FFFF_F000
_X86_LARGE = 1 << 7
_ARM_TABLE = 1 << 1


@dataclass(frozen=True, slots=True)
class Geometry:
    """The form of a machine's tables.

    ``page_shift`` is that of a page, ``shifts`` are those of the levels above the last, from the root. Virtual
    addresses have ``address_bits`` that count; ``frame`` masks the address in an entry. Memory is mapped by an entry
    above the last level where its bits in ``large_mask`` are ``large``, from the level with shift ``largest`` down.
    """

    page_shift: int
    address_bits: int
    shifts: tuple[int, ...]
    bits: int
    frame: int
    large_mask: int
    large: int
    largest: int

    @property
    def region(self) -> int:
        """The shift of what one table of the last level maps."""
        return self.shifts[-1]


def x86_64(levels: int = 4, hidden: int = 0) -> Geometry:
    """x86-64 with 4 or 5 levels; ``hidden`` is the bit that marks encrypted memory, which is no part of an address."""
    shifts = (39, 30, 21) if levels == 4 else (48, 39, 30, 21)
    return Geometry(12, shifts[0] + 9, shifts, 9, _X86_FRAME & ~hidden, _X86_LARGE, _X86_LARGE, 30)


def aarch64(page_size: int, address_bits: int) -> Geometry:
    """AArch64 with pages of 4, 16 or 64 KiB and so many bits of virtual address; physical ones of up to 48 bits."""
    page_shift = page_size.bit_length() - 1
    bits = page_shift - 3
    shifts = tuple(range(page_shift + bits, address_bits, bits))[::-1]
    return Geometry(page_shift, address_bits, shifts, bits, _ARM_FRAME, _ARM_TABLE, 0, 42)


class PageTables:
    """The kernel's own page tables, read from physical memory; ``root`` is the physical address of the topmost."""

    def __init__(self, physical: Memory, root: int, geometry: Geometry) -> None:
        self._memory = physical
        self._root = root
        self._geometry = geometry
        self._frame = geometry.frame & ~((1 << geometry.page_shift) - 1)
        self._index = (1 << geometry.bits) - 1
        self._regions: dict[int, int | NDArray[np.uint64]] = {}

    def _entry(self, table: int, index: int) -> int:
        try:
            return self._memory.number(table + index * 8)
        except UnmappedError:
            return 0

    def _region(self, region: int) -> int | NDArray[np.uint64]:
        """The physical address of a region, NOWHERE where it is not mapped, or the table of its pages."""
        g = self._geometry
        address, table = region << g.region & (1 << g.address_bits) - 1, self._root
        for shift in g.shifts:
            entry = self._entry(table, address >> shift & self._index)
            if not entry & _PRESENT:
                return NOWHERE
            frame = entry & self._frame
            if shift <= g.largest and entry & g.large_mask == g.large:
                return (frame & ~((1 << shift) - 1)) + (address & (1 << shift) - 1)
            table = frame
        try:
            return np.frombuffer(self._memory.read(table, 8 << g.bits), np.uint64)
        except UnmappedError:
            return NOWHERE

    def physical(self, addresses: Addresses) -> Offsets:
        """The physical addresses, ``NOWHERE`` for what is not mapped."""
        g = self._geometry
        regions, which = np.unique(addresses >> np.uint64(g.region), return_inverse=True)
        found = np.full(len(addresses), NOWHERE, np.int64)
        large = np.full(len(regions), NOWHERE, np.int64)
        within_page = np.uint64((1 << g.page_shift) - 1)
        for n, region in enumerate(regions.tolist()):
            if region not in self._regions:
                self._regions[region] = self._region(region)
            to = self._regions[region]
            if isinstance(to, int):
                large[n] = to
            else:
                here = np.flatnonzero(which == n)
                entries = to[(addresses[here] >> np.uint64(g.page_shift)) & np.uint64(self._index)]
                frames = (entries & np.uint64(self._frame)) | (addresses[here] & within_page)
                found[here] = np.where(entries & np.uint64(_PRESENT), frames.astype(np.int64), NOWHERE)
        within = (addresses & np.uint64((1 << g.region) - 1)).astype(np.int64)
        return np.where(large[which] != NOWHERE, large[which] + within, found)
