"""Memory of a kernel by virtual address, from ``/proc/kcore`` or a core: bytes that are there, or *not known*.

A core has pieces of memory. Each has a virtual address (``/proc/kcore``, a kernel's own cores) or is found by its
physical one through the page tables (QEMU's dumps). An address in no piece is not known: nothing stands for it, zero
least of all.

``gather`` reads many small structures at once: it sorts them, reads what lies near each other in one piece, and takes
the structures out with NumPy.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fwpages.machine.structures.elf import Load
from fwpages.machine.structures.errors import UnmappedError

Addresses = NDArray[np.uint64]
Offsets = NDArray[np.int64]

#: the unit in which page tables map
PAGE = 4096
#: bytes that one read has at most, and that are held at one time
_PIECE = 4 << 20
#: a place that is not known
NOWHERE = -1


class Translation(Protocol):
    """Page tables: from virtual to physical addresses."""

    def physical(self, addresses: Addresses) -> Offsets:
        """The physical addresses, ``NOWHERE`` for what is not mapped."""
        ...


class Content(Protocol):
    """The bytes of a dump by offset, some of which may not be there."""

    @property
    def gap(self) -> int:
        """Bytes between two structures that are read rather than skipped: another read costs as much."""
        ...

    def readinto(self, view: memoryview, offset: int) -> int:
        """Read bytes from an offset; returns how many there are: fewer where the content ends, or lacks some."""
        ...


class FileContent:
    """The content of an open file, ``/proc/kcore`` included."""

    gap = 4096

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def readinto(self, view: memoryview, offset: int) -> int:
        """Read bytes from an offset; returns how many there are."""
        fd, done, n = self._fd, 0, len(view)
        while done < n:
            try:
                step = os.preadv(fd, [view[done:]], offset + done)
            except OSError:
                break
            if not step:
                break
            done += step
        return done


class Spans:
    """Ranges of addresses, each with the place of its first byte in a file."""

    def __init__(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Take rows of first address, bytes, and offset in the file."""
        ordered = sorted(rows)
        self._starts = np.array([r[0] for r in ordered], np.uint64)
        self._ends = np.array([r[0] + r[1] - 1 for r in ordered], np.uint64)
        self._offsets = np.array([r[2] for r in ordered], np.int64)

    def __len__(self) -> int:
        return len(self._starts)

    def find(self, addresses: Addresses, size: int) -> Offsets:
        """The offsets of ``size`` bytes at each address; ``NOWHERE`` where the ranges do not have all of them."""
        if not len(self):
            return np.full(len(addresses), NOWHERE, np.int64)
        n = np.searchsorted(self._starts, addresses, "right") - 1
        row = np.maximum(n, 0)
        within = addresses - self._starts[row]
        span = self._ends[row] - self._starts[row]
        known = (n >= 0) & (within <= span) & (span - np.minimum(within, span) >= np.uint64(size - 1))
        return np.where(known, self._offsets[row] + within.astype(np.int64), NOWHERE)


class Memory:
    """The memory of one kernel in the content of a file.

    ``virtual`` are the pieces by virtual address; ``physical`` those by physical address, used with ``tables`` where
    the first do not have an address.
    """

    def __init__(
        self, content: Content, virtual: Spans, physical: Spans | None = None, tables: Translation | None = None
    ) -> None:
        self._content = content
        self._virtual = virtual
        self._physical = physical
        self._tables = tables

    def locate(self, addresses: Addresses, size: int) -> Offsets:
        """The offsets in the file of ``size`` bytes at each address; ``NOWHERE`` for what is not there in one piece."""
        found = self._virtual.find(addresses, size)
        if self._tables is None or self._physical is None:
            return found
        rest = np.flatnonzero(found == NOWHERE)
        if not len(rest):
            return found
        wanted = addresses[rest]
        frames = self._tables.physical(wanted)
        last = self._tables.physical(wanted + np.uint64(size - 1)) if size > 1 else frames
        whole = (frames != NOWHERE) & (last - frames == size - 1)
        places = self._physical.find(np.where(whole, frames, 0).astype(np.uint64), size)
        found[rest] = np.where(whole, places, NOWHERE)
        return found

    def read(self, address: int, size: int) -> bytes:
        """The ``size`` bytes at an address. UnmappedError where the core does not have them all."""
        if not 0 <= address <= (1 << 64) - max(size, 1):
            raise UnmappedError(address)
        parts = []
        for start, n, place in self._pieces(address, size):
            if place == NOWHERE:
                raise UnmappedError(start)
            data = self._pread(n, place)
            if len(data) < n:
                raise UnmappedError(start + len(data))
            parts.append(data)
        return b"".join(parts)

    def _pieces(self, address: int, size: int) -> Iterator[tuple[int, int, int]]:
        """The parts of a range that lie in one piece of the file: address, bytes, offset."""
        place = int(self.locate(np.array([address], np.uint64), size)[0]) if size else NOWHERE
        if place != NOWHERE or not size:
            yield from [(address, size, place)] if size else []
            return
        end, at = address + size, address
        while at < end:
            n = min(end - at, PAGE - at % PAGE)
            yield at, n, int(self.locate(np.array([at], np.uint64), n)[0])
            at += n

    def _pread(self, n: int, offset: int) -> bytes:
        """Up to ``n`` bytes of the file; fewer where it ends or cannot be read there."""
        buffer = bytearray(n)
        got = self._content.readinto(memoryview(buffer), offset)
        return bytes(buffer[:got])

    def number(self, address: int, size: int = 8) -> int:
        """The unsigned number of ``size`` bytes at an address. UnmappedError where it is not in the core."""
        return int.from_bytes(self.read(address, size), "little")

    def text(self, address: int, most: int = 256) -> str:
        """The text at an address up to its zero byte, ``most`` bytes at most.

        UnmappedError where it is not in the core.
        """
        found = b""
        while b"\0" not in found and len(found) < most:
            here = address + len(found)
            found += self.read(here, min(64 - here % 64, most - len(found)))
        return found.split(b"\0", 1)[0].decode("utf-8", "replace")

    def gather(self, addresses: Addresses, size: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Read a structure of ``size`` bytes at each address.

        Returns rows of ``size`` bytes, in the order of the addresses, and for each if it is known. Rows of the unknown
        are zeros that mean nothing.
        """
        rows = np.zeros((len(addresses), size), np.uint8)
        places = self.locate(addresses, size)
        order = np.argsort(places, kind="stable")
        order = order[np.searchsorted(places[order], 0) :]
        known = np.zeros(len(addresses), np.bool_)
        for first, last, buffer, starts, have in self._batches(places[order], size):
            inside = starts + size <= have
            picked = order[first:last][inside]
            rows[picked] = np.lib.stride_tricks.sliding_window_view(buffer, size)[starts[inside]]
            known[picked] = True
        return rows, known

    def _batches(self, places: Offsets, size: int) -> Iterator[tuple[int, int, NDArray[np.uint8], Offsets, Offsets]]:
        """Read sorted places in large pieces.

        Yields the first and last place of a batch, its bytes, where each place begins in them, and up to where the
        bytes around it were read.
        """
        if not len(places):
            return
        new = (np.diff(places) > size + self._content.gap) | (np.diff(places // _PIECE) > 0)
        firsts = np.concatenate(([0], np.flatnonzero(new) + 1))
        lasts = np.concatenate((firsts[1:], [len(places)]))
        begins = places[firsts]
        lengths = places[lasts - 1] + size - begins
        positions = np.cumsum(lengths) - lengths
        batches = np.flatnonzero(np.diff(positions // _PIECE, prepend=-1))
        for a, b in zip(batches, [*batches[1:], len(firsts)], strict=True):
            base = positions[a]
            total = int(positions[b - 1] + lengths[b - 1] - base)
            buffer = np.empty(total, np.uint8)
            got = self._fill(buffer, begins[a:b], lengths[a:b], positions[a:b] - base)
            first, last = int(firsts[a]), int(lasts[b - 1])
            run = np.repeat(np.arange(b - a), lasts[a:b] - firsts[a:b])
            starts = places[first:last] - begins[a:b][run] + (positions[a:b] - base)[run]
            yield first, last, buffer, starts, (positions[a:b] - base + got)[run]

    def _fill(self, buffer: NDArray[np.uint8], begins: Offsets, lengths: Offsets, positions: Offsets) -> Offsets:
        """Read runs of the file into their positions in the buffer; returns how many bytes each has."""
        view, readinto, got = buffer.data, self._content.readinto, np.zeros(len(begins), np.int64)
        for i, (at, n, position) in enumerate(zip(begins.tolist(), lengths.tolist(), positions.tolist(), strict=True)):
            got[i] = readinto(view[position : position + n], at)
        return got


def virtual_spans(loads: Iterable[Load]) -> Spans:
    """The pieces that have an address of the kernel's half of virtual memory."""
    return Spans((p.virtual, p.size, p.offset) for p in loads if p.virtual >> 63)


def physical_spans(loads: Iterable[Load]) -> Spans:
    """The pieces by physical address."""
    return Spans((p.physical, p.size, p.offset) for p in loads if not p.physical >> 52)
