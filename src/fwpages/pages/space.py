"""Page address to index and back, for a contiguous range and for any addresses."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT

#: addresses of 4 KiB pages: shape (n,), dtype uint64
Addresses: TypeAlias = npt.NDArray[np.uint64]
#: indices of pages in a space: shape (n,), dtype int64; -1 where there is none
Indices: TypeAlias = npt.NDArray[np.int64]

#: pages of one region of a sparse space: 128 MiB of address space, 128 KiB of tags
REGION_SHIFT = 15
REGION_PAGES = 1 << REGION_SHIFT

_OFFSET = np.uint64(PAGE_SIZE - 1)
#: operands as arrays of no dimension: NumPy turns a number into one anew each time, which costs as much as 300 pages
_SHIFT, _SIZE = np.array(PAGE_SHIFT, np.uint64), np.array(PAGE_SIZE, np.uint64)
_ADDRESS, _INDEX = np.dtype(np.uint64), np.dtype(np.int64)


class Space(Protocol):
    """A space of pages: it gives each page an index."""

    @property
    def size(self) -> int:
        """Indices run from 0 to ``size`` - 1."""

    def index(self, addresses: Addresses) -> Indices:
        """The index of each address; -1 where it is not a page of this space or not 4 KiB aligned."""

    def exact(self, addresses: Addresses) -> Indices | None:
        """The index of each address; None where one is not a page of this space or not 4 KiB aligned."""

    def address(self, index: Indices) -> Addresses:
        """The address of each index, which must be one of this space's."""

    def copy(self) -> Space:
        """A space of its own with the same pages."""


class DenseSpace:
    """``size`` pages from ``base`` on, one after the other; it grows at its end."""

    __slots__ = ("_base", "base", "size")

    def __init__(self, base: int, size: int = 0) -> None:
        if base % PAGE_SIZE or base <= 0:
            raise ValueError(f"a base is a positive multiple of {PAGE_SIZE}, not {base:#x}")
        self.base = base
        self.size = size
        self._base = np.array(base, np.uint64)

    def grow(self, pages: int) -> None:
        """``pages`` more at the end."""
        self.size += pages

    def exact(self, addresses: Addresses) -> Indices | None:
        """See ``Space``."""
        page = self.aligned(addresses)
        return None if page is None or (page.size and int(np.maximum.reduce(page)) >= self.size) else page

    def aligned(self, addresses: Addresses) -> Indices | None:
        """The index of each address, perhaps beyond the last; None where one is not 4 KiB aligned.

        An address below the base wraps to a huge offset.
        """
        offset = addresses - self._base
        page = offset >> _SHIFT
        # comparing bytes costs less than a reduction, down to one page
        return page.view(_INDEX) if (page * _SIZE).tobytes() == offset.tobytes() else None

    def exact_few(self, addresses: list[int]) -> list[int] | None:
        """``exact``, address by address: cheaper for a few."""
        base, end = self.base, self.size << PAGE_SHIFT
        index = []
        for a in addresses:
            offset = a - base
            if not 0 <= offset < end or offset & (PAGE_SIZE - 1):
                return None
            index.append(offset >> PAGE_SHIFT)
        return index

    def index(self, addresses: Addresses) -> Indices:
        """See ``Space``."""
        exact = self.exact(addresses)
        if exact is not None:
            return exact
        offset = addresses - self._base
        good = (offset < np.uint64(self.size << PAGE_SHIFT)) & ((offset & _OFFSET) == 0)
        index = (offset >> _SHIFT).astype(np.int64)
        index[~good] = -1
        return index

    def address(self, index: Indices) -> Addresses:
        """See ``Space``."""
        return index.view(_ADDRESS) * _SIZE + self._base

    def copy(self) -> DenseSpace:
        """See ``Space``."""
        return DenseSpace(self.base, self.size)


class SparseSpace:
    """Any page of a 64-bit address space: regions of 2^``shift`` pages, made when first asked to cover one."""

    __slots__ = ("_order", "_regions", "_sorted", "shift")

    def __init__(self, shift: int = REGION_SHIFT) -> None:
        self.shift = shift
        #: region numbers by slot, and sorted with the slots that they have
        self._regions = np.zeros(0, np.uint64)
        self._sorted = np.zeros(0, np.uint64)
        self._order = np.zeros(0, np.int64)

    @property
    def size(self) -> int:
        """See ``Space``."""
        return self._regions.size << self.shift

    def cover(self, addresses: Addresses) -> None:
        """Make room for these pages; indices given out before stay as they are."""
        wanted = np.unique(addresses >> np.uint64(PAGE_SHIFT + self.shift))
        fresh = wanted[~np.isin(wanted, self._sorted)]
        if fresh.size:
            self._regions = np.concatenate([self._regions, fresh])
            self._order = np.argsort(self._regions, kind="stable")
            self._sorted = self._regions[self._order]

    def index(self, addresses: Addresses) -> Indices:
        """See ``Space``."""
        if not self._sorted.size:
            return np.full(addresses.size, -1, np.int64)
        page = addresses >> np.uint64(PAGE_SHIFT)
        region = page >> np.uint64(self.shift)
        at = np.minimum(np.searchsorted(self._sorted, region), self._sorted.size - 1)
        good = (self._sorted[at] == region) & ((addresses & _OFFSET) == 0)
        index = (self._order[at] << self.shift) + (page & np.uint64((1 << self.shift) - 1)).astype(np.int64)
        if not good.all():
            index[~good] = -1
        return index

    def exact(self, addresses: Addresses) -> Indices | None:
        """See ``Space``."""
        index = self.index(addresses)
        return None if (index < 0).any() else index

    def address(self, index: Indices) -> Addresses:
        """See ``Space``."""
        region = self._regions[index >> self.shift] << np.uint64(self.shift)
        page: Addresses = region + (index & ((1 << self.shift) - 1)).astype(np.uint64)
        return page << np.uint64(PAGE_SHIFT)

    def copy(self) -> SparseSpace:
        """See ``Space``."""
        new = SparseSpace(self.shift)
        new._regions, new._sorted, new._order = self._regions, self._sorted, self._order
        return new
