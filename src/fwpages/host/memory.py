"""The memory that a host lends: chunks mapped one after the other in one I/O address range; which blocks are free."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fwpages.pages import PAGE_SHIFT, DenseSpace
from fwpages.pages.space import Indices
from fwpages.pages.tags import ShortIndices

#: chunks are mapped in multiples of 2 MiB, one huge page of the IOMMU
CHUNK = 512

_INDEX = np.dtype(np.int64)
_NOTHING: Indices = np.zeros(0, np.int64)


class Pool:
    """A stack of free block indices over a dense space: the block given back last is given out first."""

    __slots__ = ("_free", "_n", "asked", "space")

    def __init__(self, base: int) -> None:
        self.space = DenseSpace(base)
        #: address and pages of the pending Map
        self.asked: tuple[int, int] | None = None
        self._free: npt.NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._n = 0

    @property
    def free(self) -> int:
        """Blocks that can be given out at once."""
        return self._n

    @property
    def next_iova(self) -> int:
        """Where the next chunk is to be mapped."""
        return self.space.base + (self.space.size << PAGE_SHIFT)

    def shortfall(self, pages: int) -> int:
        """How many pages must be mapped before ``pages`` can be given out: whole chunks, 0 if there are enough."""
        missing = pages - self._n
        return -(-missing // CHUNK) * CHUNK if missing > 0 else 0

    def add(self, pages: int) -> None:
        """A chunk was mapped where it was asked for; its lowest block will be given out first."""
        start = self.space.size
        self.space.grow(pages)
        self._room(self._n + pages)
        self._free[self._n : self._n + pages] = np.arange(start + pages - 1, start - 1, -1, dtype=np.uint32)
        self._n += pages

    def take(self, pages: int) -> Indices:
        """``pages`` free blocks, which must be there."""
        end, start = self._n, self._n - pages
        self._n = start
        # one slice from the top down; before the first there is no index to stop at
        return self._free[end - 1 : start - 1 if start else None : -1].astype(_INDEX) if pages else _NOTHING

    def put(self, index: Indices | ShortIndices) -> None:
        """These blocks are free again."""
        self._room(self._n + index.size)
        self._free[self._n : self._n + index.size] = index
        self._n += index.size

    def _room(self, size: int) -> None:
        if size > self._free.size:
            new = np.zeros(max(size, self._free.size * 2), np.uint32)
            new[: self._n] = self._free[: self._n]
            self._free = new

    def clear(self) -> tuple[int, int]:
        """Forget all chunks, which must be wholly free; returns the range (address, pages) to unmap."""
        whole = self.space.base, self.space.size
        self.space.size = 0
        self._free = np.zeros(0, np.uint32)
        self._n = 0
        return whole

    def indices(self) -> Indices:
        """The free blocks, in the order in which they came back."""
        return self._free[: self._n].astype(np.int64)

    def copy(self) -> Pool:
        """A pool of its own."""
        new = Pool(self.space.base)
        new.space, new.asked, new._n = self.space.copy(), self.asked, self._n
        new._free = self._free[: self._n].copy()
        return new
