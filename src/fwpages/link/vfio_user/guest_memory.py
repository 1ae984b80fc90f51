"""A guest's memory as a device reaches it: the ranges that a vfio-user client mapped, over the descriptors it passed.

Theory of operation. A client maps ranges of I/O addresses, each from an offset of a file (a memfd of the virtual
machine) that it passes as a descriptor. ``GuestMemory`` keeps the ranges sorted and disjoint, so an access is found by
bisection and may cross ranges. Many ranges lie in one file, so files are kept once, by device and inode, and counted.

There are two kinds of files. Memory that cannot shrink (sealed against it, as QEMU makes it) is mapped into this
process once, whole. Memory that the client could shorten is read and written through its descriptor: there a shortened
file is an error of one access, where an access to a mapping beyond its end would kill the process by a signal.

A range without a descriptor is memory that the client keeps to itself: ``remote`` reads and writes it by messages.
While it does, the client may unmap any range, so a part of an access is looked up again before it is touched.

All checks of a DMA_MAP come before anything changes, and its descriptor is closed on every path that does not keep it.
A range that is not mapped, or not for this kind of access, is a ``BusError``.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
from bisect import bisect_right
from dataclasses import dataclass
from typing import Protocol

from fwpages.link.bus import BusError
from fwpages.link.vfio_user.messages import MAX_MAPS, DmaMap, MessageError

#: different files that one client's ranges may lie in: a virtual machine has one for each memory module
MAX_FILES = 64
#: (device number, inode)
FileKey = tuple[int, int]


class Remote(Protocol):
    """Memory that is reached through its owner."""

    def read(self, iova: int, length: int) -> bytes:
        """Read bytes. BusError where the owner refuses."""

    def write(self, iova: int, data: memoryview) -> None:
        """Write bytes. BusError where the owner refuses."""


class _File(Protocol):
    """Memory behind a descriptor; ``ranges`` counts the mapped ranges in it."""

    size: int
    writable: bool
    ranges: int

    def read(self, offset: int, length: int) -> bytes: ...

    def write(self, offset: int, data: memoryview) -> None: ...

    def close(self) -> None: ...


class _Mapped:
    """A file that cannot shrink, mapped whole."""

    def __init__(self, fd: int, size: int, *, writable: bool) -> None:
        self.size, self.writable, self.ranges = size, writable, 0
        self._map = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))
        os.close(fd)

    def read(self, offset: int, length: int) -> bytes:
        return self._map[offset : offset + length]

    def write(self, offset: int, data: memoryview) -> None:
        self._map[offset : offset + len(data)] = data

    def close(self) -> None:
        self._map.close()


class _Descriptor:
    """A file that may shrink, reached by its descriptor."""

    def __init__(self, fd: int, size: int, *, writable: bool) -> None:
        self.size, self.writable, self.ranges = size, writable, 0
        self._fd = fd

    def read(self, offset: int, length: int) -> bytes:
        try:
            data = os.pread(self._fd, length, offset)
        except OSError as e:
            raise BusError(f"guest memory cannot be read: {e.strerror}") from None
        if len(data) != length:
            raise BusError(f"guest memory ends {length - len(data)} bytes before the end of its mapping")
        return data

    def write(self, offset: int, data: memoryview) -> None:
        try:
            # a write must never make the file longer again
            if offset + len(data) > os.fstat(self._fd).st_size or os.pwrite(self._fd, data, offset) != len(data):
                raise BusError("guest memory ends before the end of its mapping")
        except OSError as e:
            raise BusError(f"guest memory cannot be written: {e.strerror}") from None

    def close(self) -> None:
        os.close(self._fd)


@dataclass(frozen=True, slots=True)
class Range:
    """``size`` bytes at I/O address ``iova``, from ``offset`` of a file; without ``key`` the client keeps it."""

    iova: int
    size: int
    offset: int
    key: FileKey | None
    readable: bool
    writable: bool

    @property
    def end(self) -> int:
        """The first address after the range."""
        return self.iova + self.size


def _open(fd: int, needed: DmaMap) -> _File:
    """Make the file of a descriptor, which it takes over; at a MessageError the descriptor is still the caller's."""
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        mode = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        raise MessageError(errno.EINVAL, "DMA_MAP with a descriptor that is not one of shared memory") from None
    if mode == os.O_WRONLY or (needed.writable and mode != os.O_RDWR):
        raise MessageError(errno.EACCES, "DMA_MAP with a descriptor that does not allow it")
    size = os.fstat(fd).st_size
    writable = mode == os.O_RDWR and not seals & (fcntl.F_SEAL_WRITE | getattr(fcntl, "F_SEAL_FUTURE_WRITE", 16))
    if not seals & fcntl.F_SEAL_SHRINK:
        return _Descriptor(fd, size, writable=writable)
    try:
        return _Mapped(fd, size, writable=writable)
    except (OSError, ValueError) as e:
        raise MessageError(errno.ENOMEM, f"guest memory cannot be mapped: {e}") from None


class GuestMemory:
    """The bus of a device whose memory is a vfio-user client's. ``mapped`` and ``unmapped`` count ranges over time."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ranges: list[Range] = []
        self._files: dict[FileKey, _File] = {}
        #: the way to memory without a descriptor; None where there is none
        self.remote: Remote | None = None
        self.mapped = 0
        self.unmapped = 0

    def __len__(self) -> int:
        return len(self._ranges)

    # -- the device's side --------------------------------------------------------------------------------------------

    def read(self, iova: int, length: int) -> bytes:
        """``length`` bytes at ``iova``. BusError where a part of it is not mapped readable."""
        parts = self._parts(iova, length, write=False)
        if len(parts) == 1:
            return self._read(*parts[0])
        return b"".join(self._read(*part) for part in parts)

    def write(self, iova: int, data: bytes | bytearray | memoryview) -> None:
        """Put ``data`` at ``iova``. BusError, and nothing written, where a part of it is not mapped writable.

        Where the client refuses a part, or unmaps one meanwhile, those before it are written.
        """
        view, done = memoryview(data).cast("B"), 0
        for r, at, n in self._parts(iova, len(view), write=True):
            self._write(r, at, view[done : done + n])
            done += n

    def _parts(self, iova: int, length: int, *, write: bool) -> list[tuple[Range, int, int]]:
        """Return the ranges that hold these bytes: range, address, length."""
        verb, at, end = "written" if write else "read", iova, iova + length
        index = bisect_right(self._starts, iova) - 1
        parts = []
        while at < end:
            r = self._ranges[index] if 0 <= index < len(self._ranges) else None
            if r is None or not r.iova <= at < r.end:
                raise BusError(f"{length} bytes at {iova:#x} cannot be {verb}: nothing is mapped at {at:#x}")
            if not (r.writable if write else r.readable) or (r.key is None and self.remote is None):
                raise BusError(f"{length} bytes at {iova:#x} cannot be {verb}: {at:#x} is not mapped for it")
            n = min(end, r.end) - at
            parts.append((r, at, n))
            at, index = at + n, index + 1
        return parts

    def _read(self, r: Range, at: int, n: int) -> bytes:
        self._check(r)
        if r.key is not None:
            return self._files[r.key].read(r.offset + at - r.iova, n)
        assert self.remote is not None, "no part of such a range without it"
        return self.remote.read(at, n)

    def _write(self, r: Range, at: int, data: memoryview) -> None:
        self._check(r)
        if r.key is not None:
            self._files[r.key].write(r.offset + at - r.iova, data)
            return
        assert self.remote is not None, "no part of such a range without it"
        self.remote.write(at, data)

    def _check(self, r: Range) -> None:
        """Raise BusError where the range has been unmapped since it was looked up."""
        index = bisect_right(self._starts, r.iova) - 1
        if index < 0 or self._ranges[index] is not r:
            raise BusError(f"the memory at {r.iova:#x} was unmapped during an access")

    # -- the client's side --------------------------------------------------------------------------------------------

    def map(self, m: DmaMap, fd: int | None) -> None:
        """Map a range; the descriptor is taken over, also where MessageError refuses the range.

        A range without a descriptor is reached through ``remote``.
        """
        try:
            at = bisect_right(self._starts, m.iova)
            if at and self._ranges[at - 1].end > m.iova:
                raise MessageError(errno.EEXIST, f"DMA_MAP at {m.iova:#x}, which is mapped")
            if at < len(self._ranges) and self._ranges[at].iova < m.iova + m.size:
                raise MessageError(errno.EEXIST, f"DMA_MAP of {m.size:#x} bytes at {m.iova:#x}, some of them mapped")
            if len(self._ranges) >= MAX_MAPS:
                raise MessageError(errno.ENOSPC, f"{MAX_MAPS} ranges are mapped")
            key = None
            if fd is not None:
                owned, fd = fd, None
                key = self._file(owned, m)
        finally:
            if fd is not None:
                os.close(fd)
        self._ranges.insert(at, Range(m.iova, m.size, m.offset, key, m.readable, m.writable))
        self._starts.insert(at, m.iova)
        self.mapped += 1

    def _file(self, fd: int, m: DmaMap) -> FileKey:
        """Return the key of a descriptor's file, opened if it is new; takes the descriptor over in every case."""
        keep = False
        try:
            info = os.fstat(fd)
            key = (info.st_dev, info.st_ino)
            if not stat.S_ISREG(info.st_mode) or m.offset + m.size > info.st_size:
                raise MessageError(errno.EINVAL, f"DMA_MAP of {m.size:#x} bytes from {m.offset:#x} of a file without")
            known = self._files.get(key)
            if known is None:
                known = self._open_new(fd, m)
                keep = True
                self._files[key] = known
            if known.size < m.offset + m.size or (m.writable and not known.writable):
                self._drop(key)
                words = (
                    "for writing of memory sealed against it" if keep else "of memory that was passed otherwise before"
                )
                raise MessageError(errno.EACCES, f"DMA_MAP {words}")
            known.ranges += 1
            return key
        finally:
            if not keep:
                os.close(fd)

    def _open_new(self, fd: int, m: DmaMap) -> _File:
        if len(self._files) >= MAX_FILES:
            raise MessageError(errno.EMFILE, f"memory of {MAX_FILES} files is mapped")
        return _open(fd, m)

    def unmap(self, iova: int, size: int) -> int:
        """Unmap every range in these addresses; return how many bytes they were. MessageError where one would be cut.

        A ``size`` of 0 means all. The protocol wants a client to name one range exactly. QEMU does not: where its
        machine has an IOMMU, it unmaps all addresses of a domain at once, most of which were never mapped.
        """
        end = iova + size if size else 1 << 64
        first = bisect_right(self._starts, iova)
        if first and self._ranges[first - 1].end > iova:
            first -= 1
        last = bisect_right(self._starts, end - 1)
        gone = self._ranges[first:last]
        if gone and (gone[0].iova < iova or gone[-1].end > end):
            raise MessageError(errno.EINVAL, f"DMA_UNMAP of {size:#x} bytes at {iova:#x} cuts a mapped range")
        del self._ranges[first:last], self._starts[first:last]
        for r in gone:
            if r.key is not None:
                self._files[r.key].ranges -= 1
                self._drop(r.key)
        self.unmapped += len(gone)
        return sum(r.size for r in gone)

    def _drop(self, key: FileKey) -> None:
        if not self._files[key].ranges:
            self._files.pop(key).close()

    def close(self) -> None:
        """Unmap everything: the client is gone."""
        self.unmap(0, 0)
        self.remote = None
