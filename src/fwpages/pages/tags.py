"""One ``uint32`` for each page of a space: its owner and its state. 0 is never owned."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from fwpages.pages.space import Indices

#: tags of pages: shape (n,), dtype uint32
Tags = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]
#: indices in half the space, to be kept rather than to look something up with: shape (n,), dtype uint32
ShortIndices = npt.NDArray[np.uint32]


#: tags that are worked on at a time: with what is made of them they stay in the second-level cache
PART = 1 << 15
_ALL = (1 << 32) - 1


def _places(hit: Mask, start: int, *, whole: bool) -> ShortIndices:
    """Where ``hit`` is true, counted from ``start``; ``whole`` where it is everywhere."""
    if whole:
        return np.arange(start, start + hit.size, dtype=np.uint32)
    return (np.flatnonzero(hit) + start).astype(np.uint32)


def _joined(parts: list[ShortIndices]) -> ShortIndices:
    return np.concatenate(parts) if parts else np.zeros(0, np.uint32)


def _named(counts: npt.NDArray[np.int64]) -> dict[int, int]:
    """By tag, without those that do not occur, and without 0."""
    tags = np.flatnonzero(counts[1:]) + 1
    return dict(zip(tags.tolist(), counts[tags].tolist(), strict=True))


class TagMap:
    """Tags by index. All operations are on arrays of indices; callers hand in none that is out of range.

    Tags are small numbers: counting them takes 8 bytes for each up to the greatest.
    """

    __slots__ = ("_positions", "_room", "_tags", "_view")

    def __init__(self, tags: Tags | None = None) -> None:
        #: the memory, of which the first ``size`` are in use
        self._room: Tags = np.zeros(0, np.uint32) if tags is None else tags
        self._use(self._room.size)
        #: 0, 1, 2 …: as many as were needed at once
        self._positions: Tags = np.zeros(0, np.uint32)

    def _use(self, size: int) -> None:
        self._tags = self._room[:size]
        #: the same memory, of which single tags are read four times as fast
        self._view = self._tags.data

    @property
    def size(self) -> int:
        """Indices run from 0 to ``size`` - 1."""
        return self._tags.size

    def reserve(self, size: int) -> None:
        """Room for ``size`` indices; the new ones are tagged 0. Doubles, to copy seldom: memory not used costs none."""
        if size > self._room.size:
            new = np.zeros(max(size, self._room.size * 2), np.uint32)
            new[: self._tags.size] = self._tags
            self._room = new
        if size > self._tags.size:
            self._use(size)

    def get(self, index: Indices) -> Tags:
        """The tag of each page; 0 for an index of -1."""
        if not self._tags.size:
            return np.zeros(index.size, np.uint32)
        tags = self._tags[index]
        outside = index < 0
        if outside.any():
            tags[outside] = 0
        return tags

    def put(self, index: Indices, tag: int) -> None:
        """Tag all of these alike."""
        self._tags[index] = tag

    def put_each(self, index: Indices, tags: Tags) -> None:
        """Tag each of these as ``tags`` says, shape (n,)."""
        self._tags[index] = tags

    def replace(self, old: int, new: int) -> ShortIndices:
        """Give ``new`` to every page tagged ``old``; returns which those were, ascending."""
        found = []
        for start, part in self._parts():
            hit = part == old
            if hit.any():
                whole = bool(hit.all())
                found.append(_places(hit, start, whole=whole))
                if whole:
                    part[:] = new
                else:
                    np.putmask(part, hit, new)
        return _joined(found)

    def clear(self, bit: int, bits: int) -> tuple[ShortIndices, dict[int, int]]:
        """Take ``bits`` out of every tag that has ``bit``: which pages, ascending, and how many of each tag."""
        found, counts, keep = [], np.zeros(self._width(), np.int64), np.uint32(~bits & _ALL)
        for start, part in self._parts():
            hit = (part & bit) != 0
            if hit.any():
                whole = bool(hit.all())
                found.append(_places(hit, start, whole=whole))
                counts += np.bincount(part if whole else part[hit], minlength=counts.size)
                if whole:
                    np.bitwise_and(part, keep, out=part)
                else:
                    np.bitwise_and(part, keep, out=part, where=hit)
        return _joined(found), _named(counts)

    def where(self, tag: int) -> Indices:
        """The indices tagged so, ascending."""
        parts = [np.flatnonzero(part == tag) + start for start, part in self._parts()]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def counts(self) -> dict[int, int]:
        """How many pages carry each tag; those with tag 0 are left out."""
        counts = np.zeros(self._width(), np.int64)
        for _, part in self._parts():
            counts += np.bincount(part, minlength=counts.size)
        return _named(counts)

    def _parts(self) -> Iterator[tuple[int, Tags]]:
        """The tags, a processor's cache full at a time, each part with the index of its first."""
        for start in range(0, self._tags.size, PART):
            yield start, self._tags[start : start + PART]

    def _width(self) -> int:
        """One more than the greatest tag."""
        return int(self._tags.max(initial=0)) + 1

    def only(self, index: Indices, tag: int) -> bool:
        """True where all of these carry ``tag`` and no index occurs twice. No index may be -1; one may be too large.

        Each page's position is written into its tag and read back: who finds another's position is named twice.
        """
        tags, n = self._tags, index.size
        try:
            found = tags[index].tobytes()
        except IndexError:
            return False
        if found != tag.to_bytes(4, sys.byteorder) * n:
            return False
        if n == 1:
            return True
        position = self._position(n)
        tags[index] = position
        first = tags[index].tobytes() == position.tobytes()
        tags[index] = tag
        return first

    def only_few(self, index: Sequence[int], tag: int) -> bool:
        """``only``, page by page: cheaper for a few."""
        tags = self._view
        for i in index:
            if tags[i] != tag:
                return False
        return len(index) == 1 or len(set(index)) == len(index)

    def _position(self, n: int) -> Tags:
        if n > self._positions.size:
            self._positions = np.arange(n, dtype=np.uint32)
        return self._positions[:n]

    def firsts(self, index: Indices) -> Mask:
        """True for the first time that an index occurs in ``index``, False for each repetition.

        Writes positions into the tags and puts them back: two scatters and a gather, no sort and no memory of its
        own. No index may be -1.
        """
        saved = self._tags[index]
        position = self._position(index.size)
        self._tags[index[::-1]] = position[::-1]
        first: Mask = self._tags[index] == position
        self._tags[index] = saved
        return first

    def copy(self) -> TagMap:
        """A map of its own with the same tags."""
        return TagMap(self._tags.copy())

    def __reduce__(self) -> tuple[type[TagMap], tuple[Tags]]:
        # a view of memory cannot be pickled: it is made anew
        return TagMap, (self._tags,)

    def used(self) -> Tags:
        """The tags up to the last that is not 0: what growing ahead left behind is not in it."""
        used = np.flatnonzero(self._tags)
        return self._tags[: used[-1] + 1] if used.size else self._tags[:0]
