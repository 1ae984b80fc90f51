"""Entries of an xarray, Linux's map from numbers to pointers.

The head is one entry with number 0, or a node: a table of slots, each with an entry or a node below it. A node names
its array, its parent and its place there, so that a reading that came in between two states shows.

Structure: Linux, include/linux/xarray.h and lib/xarray.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from fwpages.machine.structures.btf import Btf
from fwpages.machine.structures.errors import TornError
from fwpages.machine.structures.memory import Memory

#: the two lowest bits of a pointer to a node, and the addresses below which such a word is a mark
_INTERNAL, _MASK, _LOWEST_NODE = 2, 3, 4096
#: the mark of a slot that is reserved: it has no entry yet
_RESERVED = 257 << 2 | 2
#: the mark of a slot that repeats the one whose number is in the bits above
_SIBLINGS = 62 << 2 | 2
#: more entries than this no array of devices or functions has
_MOST = 1 << 18
_MOST_DEPTH = 12


class XArrays:
    """The walk through arrays of one kernel, by its types."""

    def __init__(self, memory: Memory, types: Btf) -> None:
        self._memory = memory
        self._head = types.structure("xarray").member("xa_head")
        node = types.structure("xa_node")
        self._size = node.size
        self._shift, self._offset, self._slots = (node.member(m) for m in ("shift", "offset", "slots"))
        self._array, self._parent = node.member("array"), node.member("parent")

    def entries(self, array: int) -> list[tuple[int, int]]:
        """The numbers and pointers of an array, in the order of the numbers.

        Raises TornError for an array that does not hold together, UnmappedError where the core does not have it.
        """
        head = self._memory.number(array + self._head.offset)
        found: list[tuple[int, int]] = []
        for entry in self._below(array, head, 0, 0, 0, _MOST_DEPTH) if _is_node(head) else _single(array, head):
            found.append(entry)
            if len(found) > _MOST:
                raise TornError(f"the array at {array:#x} has more than {_MOST:,} entries")
        return found

    def _below(
        self, array: int, entry: int, parent: int, place: int, prefix: int, depth: int
    ) -> Iterator[tuple[int, int]]:
        address = entry - _INTERNAL
        data = self._memory.read(address, self._size)
        shift = self._shift.of(data)
        # a node without a parent keeps the place that it had in the array which used its memory before
        named = (self._array.of(data), self._parent.of(data), self._offset.of(data) if parent else place)
        if named != (array, parent, place) or not depth or shift > 60:
            raise TornError(f"the array at {array:#x} does not hold together at node {address:#x}")
        each = self._slots.each
        for n in range(self._slots.count):
            start = self._slots.offset + n * each
            slot = int.from_bytes(data[start : start + each], "little")
            number = prefix | n << shift
            if _is_node(slot):
                if not shift:
                    raise TornError(f"the array at {array:#x} has a node below its lowest level")
                yield from self._below(array, slot, address, n, number, depth - 1)
            elif slot and slot != _RESERVED:
                yield from _one(number, slot, array)


def _is_node(entry: int) -> bool:
    return entry & _MASK == _INTERNAL and entry >= _LOWEST_NODE


def _single(array: int, head: int) -> Iterator[tuple[int, int]]:
    if head and head != _RESERVED:
        yield from _one(0, head, array)


def _one(number: int, entry: int, array: int) -> Iterator[tuple[int, int]]:
    """An entry that is a pointer; a mark that the slots are being changed is torn, a repeated slot is no entry."""
    if not entry & _MASK:
        yield number, entry
    elif entry & _MASK == _INTERNAL and entry > _SIBLINGS:
        raise TornError(f"the array at {array:#x} is being changed at number {number}")
