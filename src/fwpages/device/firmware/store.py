"""The pages that firmware holds, by function. Pages are 4 KiB; any addresses may come.

Functions are *slots*, small numbers that stay the same when the identity mode changes: the device's own boot pages,
given as function 0, are found under its vhca_id because the name of slot 0 changed, not because pages moved. Each slot
has its pages in a ``PageOrder``; a tag for each page, found by its address, says which slot has it. So a page given
twice, or named twice in one command, is found without a search.
"""

from __future__ import annotations

import numpy as np

from fwpages.device.firmware.offences import OffenceName, RefusedError
from fwpages.device.firmware.page_order import Order, PageOrder
from fwpages.pages import PAGE_SHIFT, PAGE_SIZE, SparseSpace, TagMap
from fwpages.pages.space import REGION_SHIFT, Indices
from fwpages.pages.tags import Mask
from fwpages.pages.words import many
from fwpages.prm.message import PageArray

#: regions of 128 MiB that a store covers: 1 TiB of address space, at most 1 GiB of tags. Without a bound, one command
#: with each page in a region of its own would cost 128 KiB for each of them.
MAX_REGIONS = 1 << 13


class FirmwareError(AssertionError):
    """An invariant of the firmware does not hold: our own bug, never the driver's."""


def _some(addresses: PageArray) -> str:
    first = f"page {int(addresses[0]):#x}"
    return first if addresses.size == 1 else f"{first} and {addresses.size - 1} more"


class Store:
    """Pages by slot: of ``slots`` functions, and in one slot more those that closed sessions left behind (``keep``).

    The memory of event queues is marked too: it belongs to no function and cannot be given.
    """

    __slots__ = ("_order", "_seed", "_shared", "_space", "_stacks", "_tags")

    def __init__(self, slots: int, order: Order = "lifo", seed: int = 0, region_shift: int = REGION_SHIFT) -> None:
        self._order: Order = order
        self._seed = seed
        self._space = SparseSpace(region_shift)
        self._tags = TagMap()
        self._shared = False
        self._stacks = [PageOrder() for _ in range(slots + 1)]

    @property
    def total(self) -> int:
        """Pages held for all functions, kept ones included."""
        return sum(s.size for s in self._stacks)

    @property
    def kept(self) -> PageArray:
        """The pages that closed sessions left behind: firmware never returns them, a reset drops them."""
        return self.addresses(-1)

    def held(self, slot: int) -> int:
        """Return how many pages this function holds."""
        return self._stacks[slot].size

    def addresses(self, slot: int) -> PageArray:
        """Return the pages that this function holds, uint64, shape (held,), in the order of the store."""
        return self._space.address(self._stacks[slot].content.astype(np.int64))

    def users(self, addresses: PageArray) -> dict[int | None, PageArray]:
        """The pages among these that firmware has, by slot: -1 for kept ones, None for the memory of event queues."""
        index = self._space.index(addresses)
        # of a region that has pages there are tags up to the highest of these alone (``_room``)
        index[index >= self._tags.size] = -1
        tags = self._tags.get(index)
        names = {self._queue: None, len(self._stacks): -1}
        return {names.get(tag, tag - 1): addresses[tags == tag] for tag in np.unique(tags[tags != 0]).tolist()}

    def give(self, slot: int, addresses: PageArray) -> None:
        """Take these pages, uint64 addresses, for a function.

        RefusedError ``bad-address``, ``given-twice``, ``memory-in-use``, ``repeated-page`` or ``too-scattered`` where
        one of them cannot be: then none is taken.
        """
        index = self._index(addresses)
        tags = self._tags.get(index)
        if tags.any():
            self._refuse_queued(addresses[tags == self._queue])
            raise RefusedError(OffenceName.GIVEN_TWICE, f"firmware has {_some(addresses[tags != 0])} already")
        self._put(index, addresses, slot + 1)
        self._stacks[slot].push(index)

    def occupy(self, addresses: PageArray) -> None:
        """Mark these pages as the memory of an event queue.

        RefusedError ``bad-address``, ``memory-in-use``, ``repeated-page`` or ``too-scattered`` where it cannot.
        """
        index = self._index(addresses)
        tags = self._tags.get(index)
        if tags.any():
            self._refuse_queued(addresses[tags == self._queue])
            raise RefusedError(OffenceName.MEMORY_IN_USE, f"firmware was given {_some(addresses[tags != 0])}")
        self._put(index, addresses, self._queue)

    def vacate(self, addresses: PageArray) -> None:
        """Mark these pages as no event queue's any more."""
        self._forget(self._space.index(addresses))

    def take(self, slot: int, n: int) -> PageArray:
        """Let go of at most ``n`` of this function's pages and return their addresses."""
        stack = self._stacks[slot]
        return self._forget(stack.pop(min(n, stack.size), self._order, self._seed << 16 | slot))

    def release(self, slot: int) -> int:
        """Let go of all of this function's pages and return how many they were."""
        return self._forget(self._stacks[slot].clear()).size

    def retire(self, slot: int) -> None:
        """Mark the function's pages as left over: they are returned before any that it is given later."""
        self._stacks[slot].leaving = self._stacks[slot].size

    def keep(self) -> None:
        """Make all pages kept ones: of a session that is over, and of no function."""
        kept = len(self._stacks) - 1
        for stack in self._stacks[:-1]:
            if stack.size:
                self._own()
                index = stack.clear()
                self._tags.put(index, kept + 1)
                self._stacks[-1].push(index)

    def check(self, queued: int = 0) -> None:
        """Check that each page is in the one stack that its tag names; ``queued`` pages are queues'. FirmwareError."""
        counts = self._tags.counts()
        if counts.pop(self._queue, 0) != queued:
            raise FirmwareError(f"the event queues lie in {many(queued)}, and the store's tags say otherwise")
        for slot, stack in enumerate(self._stacks):
            index = stack.content.astype(np.int64)
            if counts.pop(slot + 1, 0) != index.size or (self._tags.get(index) != slot + 1).any():
                raise FirmwareError(f"slot {slot} of the store has {many(index.size)} that its tags do not confirm")
        if counts:
            raise FirmwareError(f"the store has pages tagged for slots that do not exist: {counts}")

    def copy(self) -> Store:
        """Return an independent copy. The tags are copied when one of the two changes first."""
        new = Store.__new__(Store)
        new._order, new._seed = self._order, self._seed
        new._space, new._tags = self._space.copy(), self._tags
        new._stacks = [s.copy() for s in self._stacks]
        self._shared = new._shared = True
        return new

    def state(self) -> bytes:
        """Return the pages by slot in their order, as bytes: equal for equal stores, whatever their history."""
        sizes = np.array([(s.size, s.leaving) for s in self._stacks], np.int64)
        return sizes.tobytes() + b"".join(self.addresses(i).tobytes() for i, s in enumerate(self._stacks) if s.size)

    @property
    def _queue(self) -> int:
        """The tag of a page that an event queue lies in."""
        return len(self._stacks) + 1

    @staticmethod
    def _refuse_queued(addresses: PageArray) -> None:
        if addresses.size:
            raise RefusedError(OffenceName.MEMORY_IN_USE, f"an event queue lies in {_some(addresses)}")

    def _put(self, index: Indices, addresses: PageArray, tag: int) -> None:
        """Tag all of these; RefusedError ``repeated-page``, and nothing changed, where one is named twice."""
        self._own()
        first = self._firsts(index)
        if first is not None and not first.all():
            raise RefusedError(
                OffenceName.REPEATED_PAGE, f"{_some(addresses[~first])} named before in the same command"
            )
        self._tags.put(index, tag)

    def _own(self) -> None:
        """Copy shared tags before a change."""
        if self._shared:
            self._tags, self._shared = self._tags.copy(), False

    def _forget(self, index: Indices) -> PageArray:
        if index.size:
            self._own()
            self._tags.put(index, 0)
        return self._space.address(index)

    def _index(self, addresses: PageArray) -> Indices:
        """Return the index of each address and make room for those that are new."""
        index = self._space.index(addresses)
        outside = index < 0
        if addresses.all() and not outside.any():
            self._room(index)
            return index
        bad = (addresses & np.uint64(PAGE_SIZE - 1) != 0) | (addresses == 0)
        if bad.any():
            raise RefusedError(OffenceName.BAD_ADDRESS, f"address {int(addresses[bad][0]):#x} is not that of a page")
        new = addresses[outside]
        region = new >> np.uint64(PAGE_SHIFT + self._space.shift)
        heads = np.concatenate([new[:1], new[1:][region[1:] != region[:-1]]])
        regions = np.unique(heads >> np.uint64(PAGE_SHIFT + self._space.shift)).size
        if (self._space.size >> self._space.shift) + regions > MAX_REGIONS:
            raise RefusedError(OffenceName.TOO_SCATTERED, f"pages in {regions} new regions, {MAX_REGIONS} at most")
        self._space.cover(heads)
        index[outside] = self._space.index(new)
        self._room(index)
        return index

    def _room(self, index: Indices) -> None:
        """Reserve tags up to the highest of these, not for whole regions: so the states of small worlds stay small."""
        need = int(index.max(initial=-1)) + 1
        if need > self._tags.size:
            self._own()
            self._tags.reserve(need)

    def _firsts(self, index: Indices) -> Mask | None:
        """Return a mask of those that occur for the first time; None where they ascend, so that none can repeat."""
        return None if (index[1:] > index[:-1]).all() else self._tags.firsts(index)
