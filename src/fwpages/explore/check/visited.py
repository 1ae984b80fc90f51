"""The keys of all states that a search has met: 16 bytes each in the order of the states, and a table to find them.

Theory of operation. The keys stand in one array, in the order of their states' numbers. The table beside it has a place
for each key, which holds its number; the key itself says where to look first, and if another one stands there, the next
place is looked at (open addressing). All of it works on many keys at once: a key costs a fraction of a microsecond, and
24 to 32 bytes with its places in the table, where a dictionary would take 150.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fwpages.pages.words import many

#: keys as two words of 64 bits each, shape (n, 2)
Keys = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]

#: a place of the table that no key has
_FREE = np.uint32(0xFFFF_FFFF)
#: more states would not fit into the numbers of the table
MOST_KEYS = 0xFFFF_FFFE
#: places of the smallest table
_SMALLEST = 1 << 10
#: keys that are given places at once: what that takes beside the table stays below 10 MB
_AT_ONCE = 1 << 17


def as_keys(data: bytes | memoryview) -> Keys:
    """Keys from their bytes, 16 each."""
    return np.frombuffer(data, np.uint64).reshape(-1, 2)


class Visited:
    """The keys that were met, by number."""

    def __init__(self) -> None:
        self._keys = np.zeros((_SMALLEST // 2, 2), np.uint64)
        self._count = 0
        self._table = np.full(_SMALLEST, _FREE)

    def __len__(self) -> int:
        return self._count

    @property
    def keys(self) -> Keys:
        """All keys, in the order of their numbers."""
        return self._keys[: self._count]

    def find(self, keys: Keys) -> Numbers:
        """The number of each key; -1 where it was not met."""
        found = np.full(len(keys), -1, np.int64)
        if not self._count:
            return found
        left = np.arange(len(keys))
        mask = np.uint64(self._table.size - 1)
        places = keys[:, 0] & mask
        while left.size:
            numbers = self._table[places]
            there = numbers != _FREE
            left, places, numbers = left[there], places[there], numbers[there]
            equal = (self._keys[numbers] == keys[left]).all(axis=1)
            found[left[equal]] = numbers[equal]
            left, places = left[~equal], (places[~equal] + np.uint64(1)) & mask
        return found

    def add(self, keys: Keys) -> None:
        """Give the next numbers to these keys, none of which was met or is there twice."""
        if not len(keys):
            return
        if self._count + len(keys) > MOST_KEYS:
            raise RuntimeError(f"{many(self._count, 'state')} are all that a search can number")
        first = self._count
        self._room(first + len(keys))
        self._keys[first : first + len(keys)] = keys
        self._count += len(keys)
        if 2 * self._count > self._table.size:
            size = self._table.size
            while 2 * self._count > size:
                size *= 2
            self._table = np.full(size, _FREE)
            first = 0
        for at in range(first, self._count, _AT_ONCE):
            self._place(at, min(at + _AT_ONCE, self._count))

    def _room(self, count: int) -> None:
        size = len(self._keys)
        while size < count:
            size += max(size // 2, _SMALLEST)
        if size > len(self._keys):
            self._keys.resize((size, 2), refcheck=False)

    def _place(self, first: int, end: int) -> None:
        """Find a place in the table for each key from one number to another."""
        numbers = np.arange(first, end, dtype=np.uint32)
        mask = np.uint64(self._table.size - 1)
        places = self._keys[first:end, 0] & mask
        while numbers.size:
            free = self._table[places] == _FREE
            # of several that want one place the last one written has it
            self._table[places[free]] = numbers[free]
            without = self._table[places] != numbers
            numbers, places = numbers[without], (places[without] + np.uint64(1)) & mask


def first_of_each(keys: Keys) -> tuple[Numbers, Numbers]:
    """Where each key comes first, in order; and for every key which of these it equals."""
    if len(keys) < 2:  # most levels of a small world
        return np.arange(len(keys)), np.arange(len(keys))
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: equal keys keep their order
    ordered = keys[order]
    begins = np.ones(len(keys), bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    firsts = order[begins]
    by_place = np.argsort(firsts)
    rank = np.empty_like(by_place)
    rank[by_place] = np.arange(len(by_place))
    which = np.empty(len(keys), np.int64)
    which[order] = rank[np.cumsum(begins) - 1]
    return firsts[by_place], which
