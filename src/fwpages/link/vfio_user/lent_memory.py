"""The memory that a client lends to a server: one sparse file in RAM, and which I/O addresses it is mapped at.

The file is sealed so that it cannot shrink: a server maps it for good. A server without a mapping of its own asks for
bytes by DMA_READ and DMA_WRITE; ``read`` and ``write`` answer it, within what is mapped.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from bisect import bisect_right, insort
from contextlib import suppress

import numpy as np

from fwpages.link.memory import Bytes


class LentMemory:
    """``size`` bytes of zeros, of which the device reaches what is mapped. OSError where they cannot be had.

    A page costs memory once it is used. ``fd`` is the file's descriptor, ``bytes`` the memory in place.
    """

    def __init__(self, size: int) -> None:
        self._map: mmap.mmap | None = None
        #: what is mapped: I/O address, bytes, offset in the file; ascending
        self._ranges: list[tuple[int, int, int]] = []
        self.fd = os.memfd_create("fwpages", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.truncate(self.fd, size)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            self._map = mmap.mmap(self.fd, size)
        except BaseException:
            self.close()
            raise
        self.bytes: Bytes = np.frombuffer(self._map, np.uint8)

    def __len__(self) -> int:
        return len(self._ranges)

    def map(self, iova: int, offset: int, size: int) -> None:
        """Let the device reach these bytes; no two ranges overlap."""
        insort(self._ranges, (iova, size, offset))

    def unmap(self, iova: int, size: int) -> None:
        """Let the device reach no range that begins in these bytes any more."""
        first, end = (bisect_right(self._ranges, (at,)) for at in (iova, iova + size))
        del self._ranges[first:end]

    def discard(self, offset: int, size: int) -> None:
        """Give bytes back to the machine: they read as zeros."""
        if self._map is not None:
            self._map.madvise(mmap.MADV_REMOVE, offset, size)

    def read(self, iova: int, count: int) -> bytes | None:
        """Return bytes for the device; None where not all of them are mapped."""
        spans = self._spans(iova, count)
        return None if spans is None else b"".join(self.bytes[at : at + n].tobytes() for at, n in spans)

    def write(self, iova: int, data: bytes) -> bool:
        """Write bytes for the device; False, and nothing written, where not all of them are mapped."""
        spans = self._spans(iova, len(data))
        if spans is None:
            return False
        done = 0
        for at, n in spans:
            self.bytes[at : at + n] = np.frombuffer(data, np.uint8, n, done)
            done += n
        return True

    def _spans(self, iova: int, count: int) -> list[tuple[int, int]] | None:
        """Return offsets and lengths in the file of these bytes; None where a part of them is not mapped."""
        spans: list[tuple[int, int]] = []
        n = bisect_right(self._ranges, (iova, 1 << 64)) - 1
        while count:
            start, size, offset = self._ranges[n] if 0 <= n < len(self._ranges) else (0, 0, 0)
            if not start <= iova < start + size:
                return None
            part = min(count, start + size - iova)
            spans.append((offset + iova - start, part))
            iova, count, n = iova + part, count - part, n + 1
        return spans

    def close(self) -> None:
        """Let go of the memory; arrays over it may be in use still, and it goes with the last of them."""
        self._ranges.clear()
        self.bytes = np.zeros(0, np.uint8)
        if self._map is not None:
            with suppress(BufferError):
                self._map.close()
            self._map = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
