"""The pages of one function in the order in which they came, and the orders in which firmware returns them."""

from __future__ import annotations

from math import gcd
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fwpages.pages.space import Indices

#: the pages that firmware returns first: the latest given, the earliest, or scattered ones, the same on every run
Order: TypeAlias = Literal["lifo", "fifo", "shuffled"]

#: indices of pages, 4 bytes each: a store's index space has less than 2^31 of them
Packed: TypeAlias = npt.NDArray[np.int32]

_NONE: Packed = np.zeros(0, np.int32)


class PageOrder:
    """Indices of pages in one array that doubles when it is full, to copy seldom."""

    __slots__ = ("_buffer", "_head", "leaving", "size")

    def __init__(self) -> None:
        self._buffer = _NONE
        self._head = 0
        self.size = 0
        #: how many of the earliest were given before the function was disabled or reset: they are returned first
        self.leaving = 0

    @property
    def content(self) -> Packed:
        """The indices, the earliest first; a view that the next change makes stale."""
        return self._buffer[self._head : self._head + self.size]

    def push(self, index: Indices | Packed) -> None:
        """Put these on top, in this order."""
        end = self._head + self.size
        if end + index.size > self._buffer.size:
            new = np.empty(max(self.size + index.size, self.size * 2), np.int32)
            new[: self.size] = self.content
            self._buffer, self._head, end = new, 0, self.size
        self._buffer[end : end + index.size] = index
        self.size += index.size

    def pop(self, n: int, order: Order, salt: int = 0) -> Indices:
        """Remove and return ``n`` of them, at most ``size``; ``salt`` decides which in shuffled order."""
        if 0 < self.leaving < self.size:
            first = self._leave(min(n, self.leaving))
            rest = self.pop(n - first.size, order, salt) if n > first.size else first[:0]
            return np.concatenate([first, rest])
        self.leaving = max(0, self.leaving - n)
        if order == "fifo":
            out = self.content[:n].astype(np.int64)
            self._head += n
        elif order == "lifo":
            out = self.content[self.size - n :][::-1].astype(np.int64)
        else:
            out = self._pick(_scattered(self.size, n, salt))
        self.size -= n
        if not self.size:
            self._buffer, self._head = _NONE, 0
        return out

    def _leave(self, n: int) -> Indices:
        out = self.content[:n].astype(np.int64)
        self._head += n
        self.size -= n
        self.leaving -= n
        return out

    def _pick(self, at: Indices) -> Indices:
        """Remove the indices at these positions; those left at the end move into the gaps."""
        content, keep = self.content, self.size - at.size
        out = content[at].astype(np.int64)
        left = np.ones(at.size, np.bool_)
        left[at[at >= keep] - keep] = False
        content[at[at < keep]] = content[keep:][left]
        return out

    def clear(self) -> Indices:
        """Remove and return all, the earliest first."""
        return self.pop(self.size, "fifo")

    def copy(self) -> PageOrder:
        """Return an independent copy."""
        new = PageOrder()
        new._buffer, new.size, new.leaving = self.content.copy(), self.size, self.leaving
        return new


def _scattered(size: int, n: int, salt: int) -> Indices:
    """``n`` different positions below ``size``: a walk with a stride that has no divisor in common with it."""
    if not n:
        return np.zeros(0, np.int64)
    bits = _mix(_mix(salt) + size)
    start, stride = bits % size, (bits >> 32) % size
    while gcd(stride, size) != 1:
        stride += 1
    return (start + np.arange(n, dtype=np.int64) * stride) % size


def _mix(x: int) -> int:
    """Return 64 pseudo-random bits that depend on every bit of ``x`` (the splitmix64 finalizer)."""
    x = (x + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return x ^ x >> 31
