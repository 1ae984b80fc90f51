"""One reading of a device: its head, all pages of all of its trees, and its head again.

A reading *holds together* if nothing in it contradicts anything else: every entry is in the tree of its own function,
parent pointers agree, an entry's count of free blocks is that of its bits, no page is there twice, and the head was
the same before and after. It *adds up* if the blocks that firmware has are as many as the driver's counters say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fwpages.machine.structures import rbtree
from fwpages.machine.structures.driver import Device, Driver
from fwpages.machine.structures.errors import TornError, UnmappedError
from fwpages.machine.structures.memory import Addresses, Memory
from fwpages.machine.structures.nodes import UNKNOWN, Nodes
from fwpages.prm.identity import FunctionType, Identity

BLOCK = 4096
#: more entries than this (256 GiB in pages of 4 KiB) no device has
_MOST_PAGES = 1 << 26
#: "a node that is not known" and "a type that is not known" in the rows of counts
_NOT_KNOWN = 0

GoOn = Callable[[], bool]
_Number = TypeVar("_Number", np.uint64, np.uint32, np.uint16)


@dataclass(frozen=True, slots=True)
class FunctionPages:
    """The pages of one function, in blocks of 4 KiB: ``held`` by firmware, ``idle`` in pages of which it holds others.

    ``by_node`` has the held ones by NUMA node (``UNKNOWN`` for those of which it is not known); ``by_type`` by the
    type that the driver noted with them. ``addresses`` are those of the held blocks as firmware knows them, ascending.
    """

    identity: Identity
    held: int
    idle: int
    by_node: Mapping[int, int]
    by_type: Mapping[FunctionType, int]
    addresses: Addresses


@dataclass(frozen=True, slots=True)
class Reading:
    """A device and its functions' pages, read without a contradiction."""

    device: Device
    functions: tuple[FunctionPages, ...]

    @property
    def held(self) -> int:
        """Blocks of 4 KiB that firmware has of this device's driver."""
        return sum(f.held for f in self.functions)

    @property
    def by_type(self) -> dict[FunctionType, int]:
        """The held blocks by type."""
        found: dict[FunctionType, int] = {}
        for f in self.functions:
            for kind, n in f.by_type.items():
                found[kind] = found.get(kind, 0) + n
        return found

    @property
    def differences(self) -> dict[str, tuple[int, int]]:
        """The counters that disagree with the lists: by name, the counter and the blocks. Empty where it adds up."""
        found = {} if self.device.fw_pages == self.held else {"fw_pages": (self.device.fw_pages, self.held)}
        sums = self.by_type
        for kind, counter in self.device.by_type.items():
            if counter != sums.get(kind, 0):
                found[f"page_counters of type {kind}"] = (counter, sums.get(kind, 0))
        return found


@dataclass(slots=True)
class _Collected:
    """The sums of the entries that were read so far, by tree."""

    held: NDArray[np.int64]
    idle: NDArray[np.int64]
    nodes: NDArray[np.int64]
    types: NDArray[np.int64]
    addresses: list[Addresses] = field(default_factory=list)
    trees: list[NDArray[np.uint32]] = field(default_factory=list)
    bits: list[NDArray[np.uint16]] = field(default_factory=list)


class Reader:
    """Reads devices; ``page_size`` is the kernel's, in bytes."""

    def __init__(self, memory: Memory, driver: Driver, nodes: Nodes, page_size: int) -> None:
        self._memory = memory
        self._driver = driver
        self._nodes = nodes
        self._blocks = page_size // BLOCK
        self._all = np.uint64((1 << self._blocks) - 1)
        self._numbers = nodes.numbers
        self._kinds = list(FunctionType)

    def read(self, address: int, go_on: GoOn) -> Reading:
        """Read the device at an address. TornError where the reading does not hold together."""
        try:
            before = self._driver.read(address)
            functions = self._functions(before, go_on)
            after = self._driver.read(address)
        except UnmappedError as e:
            raise TornError(str(e)) from None
        if replace(after, pending=before.pending) != before:
            raise TornError("counters, or the roots of trees, changed during the reading")
        pending = True if before.pending or after.pending else before.pending
        return Reading(replace(before, pending=pending), functions)

    def _functions(self, device: Device, go_on: GoOn) -> tuple[FunctionPages, ...]:
        keys = np.array(list(device.roots), np.uint64)
        identities = [device.identity(key) for key in device.roots]
        numbers = [self._type_by_number(device, who) for who in identities]
        got = _Collected(
            np.zeros(len(keys), np.int64),
            np.zeros(len(keys), np.int64),
            np.zeros((len(keys), len(self._numbers) + 1), np.int64),
            np.zeros((len(keys), len(self._kinds)), np.int64),
        )
        layout = self._driver.page
        roots = np.array(list(device.roots.values()), np.uint64)
        for entries in rbtree.walk(self._memory, layout.node, roots, _MOST_PAGES, go_on):
            self._collect(entries, keys, numbers, got)
        return tuple(
            self._function(n, who, block, got)
            for n, (who, block) in enumerate(zip(identities, self._split(got, len(keys)), strict=True))
        )

    def _type_by_number(self, device: Device, who: Identity) -> int:
        """The index of a function's type in FUNC_ID mode, for drivers that note none with a page."""
        kind = device.supplier.type_by_number(who)
        if kind is FunctionType.EC_VF and kind not in device.by_type:
            kind = FunctionType.VF  # drivers that do not know EC VFs count them as VFs
        return self._kinds.index(kind)

    def _collect(self, entries: rbtree.Nodes, keys: Addresses, numbers: list[int], got: _Collected) -> None:
        layout, trees = self._driver.page, entries.trees
        bits, free = (entries.column(m.offset, m.size) for m in (layout.bitmask, layout.free_count))
        addresses, function = (entries.column(m.offset, m.size) for m in (layout.addr, layout.function))
        if (function != keys[trees]).any():
            raise TornError("an entry is in the tree of another function than its own")
        if (bits & ~self._all).any() or (np.bitwise_count(bits) != free).any():
            raise TornError("an entry's bits and its count of free blocks disagree")
        if (addresses % np.uint64(BLOCK)).any():
            raise TornError("an entry has an address that is no page's")
        node, real = self._nodes.of(entries.column(layout.page.offset, layout.page.size))
        if not real.all():
            raise TornError("an entry has no page of this machine's memory")
        held = self._blocks - free.astype(np.int64)
        got.held += _sums(trees, held, len(keys))
        got.idle += _sums(trees, np.where(held > 0, free.astype(np.int64), 0), len(keys))
        column = np.searchsorted(self._numbers, node) + 1 if self._numbers else np.zeros(len(node), np.int64)
        column[node == UNKNOWN] = _NOT_KNOWN
        _add(got.nodes, trees, column, held)
        _add(got.types, trees, self._types(entries, numbers), held)
        got.addresses.append(addresses)
        got.trees.append(trees)
        if self._blocks > 1:
            got.bits.append(bits.astype(np.uint16))
        elif not held.all():
            got.addresses[-1], got.trees[-1] = addresses[held > 0], trees[held > 0]

    def _types(self, entries: rbtree.Nodes, numbers: list[int]) -> NDArray[np.int64]:
        """The index of the type of each entry's function."""
        place = self._driver.page.func_type
        if place is None:
            return np.array(numbers, np.int64)[entries.trees]
        index = np.full(max(self._driver.types, default=0) + 1, -1, np.int64)
        for value, kind in self._driver.types.items():
            index[value] = self._kinds.index(kind)
        noted = entries.column(place.offset, place.size).astype(np.int64)
        if (noted >= len(index)).any() or (index[noted] < 0).any():
            raise TornError("an entry has a type that no function has")
        return index[noted]

    def _split(self, got: _Collected, count: int) -> list[Addresses]:
        """The addresses of the held blocks of each tree. TornError where one is there twice."""
        addresses, trees = _joined(got.addresses, np.uint64), _joined(got.trees, np.uint32)
        if self._blocks > 1 and len(addresses):
            bits = _joined(got.bits, np.uint16)
            free = (bits[:, None] >> np.arange(self._blocks, dtype=np.uint16)) & 1
            rows, blocks = np.nonzero(free == 0)
            addresses = addresses[rows] + blocks.astype(np.uint64) * np.uint64(BLOCK)
            trees = trees[rows]
        order = np.argsort(addresses)
        addresses, trees = addresses[order], trees[order]
        if (addresses[1:] == addresses[:-1]).any():
            raise TornError("one page is in the lists twice")
        if count < 2:
            return [addresses] * count
        order = np.argsort(trees, kind="stable")
        ends = np.searchsorted(trees[order], np.arange(1, count))
        return np.split(addresses[order], ends)

    def _function(self, n: int, who: Identity, addresses: Addresses, got: _Collected) -> FunctionPages:
        nodes = [UNKNOWN, *self._numbers]
        return FunctionPages(
            identity=who,
            held=int(got.held[n]),
            idle=int(got.idle[n]),
            by_node={node: int(count) for node, count in zip(nodes, got.nodes[n], strict=True) if count},
            by_type={kind: int(count) for kind, count in zip(self._kinds, got.types[n], strict=True) if count},
            addresses=addresses,
        )


def _sums(trees: NDArray[np.uint32], values: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The sum of the values of each tree."""
    return np.bincount(trees, values, count).astype(np.int64)


def _add(
    table: NDArray[np.int64], trees: NDArray[np.uint32], column: NDArray[np.int64], values: NDArray[np.int64]
) -> None:
    """Add values to a table by tree and column."""
    width = table.shape[1]
    table += np.bincount(trees * np.int64(width) + column, values, table.size).astype(np.int64).reshape(table.shape)


def _joined(parts: list[NDArray[_Number]], kind: type[_Number]) -> NDArray[_Number]:
    """The parts as one array; the list is emptied, so that they are not there twice for long."""
    whole = np.concatenate(parts) if parts else np.zeros(0, kind)
    parts.clear()
    return whole
