"""DMA memory within one process: the memory that a host maps for a device, by I/O address. It is a ``Bus``.

There are two kinds of ranges. *Lent* ones are as large as a host's pages and mostly never accessed: a page of theirs is
made at its first write. *Solid* ones are one array, which the host reads and writes in place (queues, mailboxes).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fwpages.link.bus import BusError
from fwpages.pages import PAGE_SHIFT, PAGE_SIZE

Bytes = npt.NDArray[np.uint8]


@dataclass(slots=True)
class _Range:
    """One mapping from ``start`` to ``end`` (bytes, I/O addresses); ``solid`` where it is one array."""

    start: int
    end: int
    solid: Bytes | None = None
    pages: dict[int, Bytes] = field(default_factory=dict)

    def at(self, iova: int, length: int, *, make: bool) -> list[Bytes]:
        """Return views of these bytes, one a page in a lent range; zeros, and nothing kept, for a page not made yet."""
        if self.solid is not None:
            return [self.solid[iova - self.start : iova - self.start + length]]
        out = []
        while length:
            number, offset = iova >> PAGE_SHIFT, iova & (PAGE_SIZE - 1)
            n = min(length, PAGE_SIZE - offset)
            page = self.pages.get(number)
            if page is None:
                page = np.zeros(PAGE_SIZE, np.uint8)
                if make:
                    self.pages[number] = page
            out.append(page[offset : offset + n])
            iova, length = iova + n, length - n
        return out


def _start(r: _Range) -> int:
    return r.start


class Memory:
    """A sparse map from I/O addresses to bytes. Ranges are whole 4 KiB pages."""

    def __init__(self) -> None:
        self._ranges: list[_Range] = []

    @property
    def mapped(self) -> int:
        """The number of bytes mapped."""
        return sum(r.end - r.start for r in self._ranges)

    def map(self, iova: int, length: int, *, solid: bool = False) -> None:
        """Map ``length`` bytes of zeros at ``iova``, multiples of 4 KiB. ValueError where a part is mapped already."""
        if (iova | length) & (PAGE_SIZE - 1) or length <= 0 or iova < 0:
            raise ValueError(f"{length:#x} bytes at {iova:#x} are not whole pages")
        n = bisect_right(self._ranges, iova, key=_start)
        before, after = self._ranges[n - 1 : n] if n else [], self._ranges[n : n + 1]
        if any(r.end > iova for r in before) or any(r.start < iova + length for r in after):
            raise ValueError(f"{length:#x} bytes at {iova:#x}: a part of it is mapped already")
        self._ranges.insert(n, _Range(iova, iova + length, np.zeros(length, np.uint8) if solid else None))

    def unmap(self, iova: int, length: int) -> None:
        """Unmap whole ranges. ValueError where the range cuts one in two, or something in it is not mapped."""
        end = iova + length
        inside = [r for r in self._ranges if r.start < end and r.end > iova]
        if inside and (inside[0].start < iova or inside[-1].end > end):
            raise ValueError(f"{length:#x} bytes at {iova:#x} cut a mapping in two")
        if sum(r.end - r.start for r in inside) != length:
            raise ValueError(f"{length:#x} bytes at {iova:#x}: a part of it is not mapped")
        self._ranges = [r for r in self._ranges if r not in inside]

    def _parts(self, iova: int, length: int) -> list[tuple[_Range, int, int]]:
        """Return range, address and length of each part of these bytes. BusError where one is not mapped."""
        if iova < 0 or length < 0:
            raise BusError(f"{length} bytes at {iova:#x}: no such range")
        out = []
        n = bisect_right(self._ranges, iova, key=_start) - 1
        at, left = iova, length
        while left:
            r = self._ranges[n] if 0 <= n < len(self._ranges) else None
            if r is None or not r.start <= at < r.end:
                raise BusError(f"{length} bytes at {iova:#x}: {at:#x} is not mapped")
            size = min(left, r.end - at)
            out.append((r, at, size))
            at, left, n = at + size, left - size, n + 1
        return out

    def _whole(self, iova: int, length: int) -> Bytes | None:
        """Return these bytes in place where they are of one solid range, as in most accesses; else None."""
        n = bisect_right(self._ranges, iova, key=_start) - 1
        r = self._ranges[n] if n >= 0 else None
        if r is None or r.solid is None or iova + length > r.end:
            return None
        return r.solid[iova - r.start : iova - r.start + length]

    def read(self, iova: int, length: int) -> bytes:
        """As ``Bus.read``."""
        whole = self._whole(iova, length) if length >= 0 else None
        if whole is not None:
            return whole.tobytes()
        parts = [v for r, at, n in self._parts(iova, length) for v in r.at(at, n, make=False)]
        return parts[0].tobytes() if len(parts) == 1 else b"".join(v.tobytes() for v in parts)

    def write(self, iova: int, data: bytes | bytearray | memoryview) -> None:
        """As ``Bus.write``."""
        whole = self._whole(iova, len(data))
        if whole is not None:
            whole.data[:] = data
            return
        raw, done = np.frombuffer(data, np.uint8), 0
        for r, at, n in self._parts(iova, len(data)):
            for v in r.at(at, n, make=True):
                v[:] = raw[done : done + v.size]
                done += v.size

    def view(self, iova: int, length: int) -> Bytes:
        """Return these bytes in place, shape (length,), writable. BusError unless of one solid range or one page."""
        parts = self._parts(iova, length)
        views = parts[0][0].at(iova, length, make=True) if len(parts) == 1 else []
        if len(views) != 1:
            raise BusError(f"{length} bytes at {iova:#x} are not in one piece")
        return views[0]

    def blocks(self, iova: int, count: int, stride: int, length: int) -> Bytes | None:
        """Return ``count`` pieces of ``length`` bytes, ``stride`` apart, in place: shape (count, length).

        ``stride`` may be negative. None where they are not of one solid range. ``link.queue.blocks`` is fast by this.
        """
        low, high = min(iova, iova + (count - 1) * stride), max(iova, iova + (count - 1) * stride) + length
        n = bisect_right(self._ranges, low, key=_start) - 1
        r = self._ranges[n] if n >= 0 else None
        if r is None or r.solid is None or high > r.end or abs(stride) < length:
            return None
        return np.ndarray((count, length), np.uint8, r.solid, iova - r.start, (stride, 1))
