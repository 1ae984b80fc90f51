"""Custody: every 4 KiB block is in exactly one state, and only the ledger moves it.

``free → offered → held → free``; ``offered → free`` only when firmware said no; what firmware may own without having
said so is ``doubtful`` and stays out of reach until firmware returns it or a fence proves that it cannot touch it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from fwpages.custody.records import Record, Records
from fwpages.pages import DenseSpace, Space, TagMap
from fwpages.pages.space import Addresses, Indices
from fwpages.pages.tags import Mask, ShortIndices, Tags
from fwpages.pages.words import many
from fwpages.prm.identity import Identity


class State(IntEnum):
    """A block's state, the low two bits of its tag; the rest of the tag is its (last) owner's record + 1."""

    FREE = 0
    OFFERED = 1
    HELD = 2
    DOUBTFUL = 3


class CustodyError(AssertionError):
    """An invariant of the ledger does not hold: our own bug, never the device's."""


class Returned(NamedTuple):
    """A TAKE's answer, page by page: what may be taken back, and what is refused, each with its reason.

    Arrays of shape (n,): ``good`` indices, the others addresses. ``foreign`` belong to another function, ``twice`` were
    named before in this answer or have come back already, ``unknown`` were never given. ``owner`` is the record that
    holds all that is good, where one look shows it.
    """

    good: Indices
    foreign: Addresses
    twice: Addresses
    unknown: Addresses
    owner: Record | None = None

    @property
    def refused(self) -> int:
        """How many addresses were refused."""
        return self.foreign.size + self.twice.size + self.unknown.size


_NONE: Addresses = np.zeros(0, np.uint64)
#: the bits of a tag that are its state, and the one of them that held and doubtful have in common
_STATE, _OUT = 3, 2
# as plain numbers: to look into an enum costs as much as to tag 50 pages
_FREE, _OFFERED, _HELD, _DOUBTFUL = map(int, State)
#: answers of so many pages are looked at one by one: arrays pay from there on
FEW = 8


def _tag(record: int, state: int) -> int:
    return (record + 1) * 4 + state


class Ledger:
    """Owner and state of every block of a space. Methods that free blocks return their indices."""

    __slots__ = ("_tags", "records", "space")

    def __init__(self, space: Space, records: Records) -> None:
        self.space = space
        self.records = records
        self._tags = TagMap()
        self.extend()

    def extend(self) -> None:
        """The space grew: its new blocks are free and have never been owned."""
        self._tags.reserve(self.space.size)

    def clear(self) -> None:
        """The space was emptied: its future blocks have never been owned."""
        self._tags = TagMap()

    def owners(self, index: Indices) -> Tags:
        """The record number that each block has or last had, plus 1; 0 where there never was one."""
        return self._tags.get(index) >> np.uint32(2)

    def is_free(self, index: Indices) -> Mask:
        """True for each free block."""
        free: Mask = (self._tags.get(index) & np.uint32(3)) == State.FREE
        return free

    def offer(self, record: Record, index: Indices) -> None:
        """free → offered: they are about to be named in a GIVE."""
        self._tags.put(index, _tag(record.number, _OFFERED))

    def refuse(self, record: Record, index: Indices) -> Indices:
        """offered → free: firmware said no."""
        self._tags.put(index, _tag(record.number, _FREE))
        return index

    def accept(self, record: Record, index: Indices) -> None:
        """offered → held: firmware said OK."""
        self._tags.put(index, _tag(record.number, _HELD))
        self.records.gave(record, index.size)

    def doubt(self, record: Record, index: Indices) -> None:
        """offered → doubtful: the GIVE was not answered, or crossed a release_all; firmware may own them."""
        self._tags.put(index, _tag(record.number, _DOUBTFUL))
        self.records.gave(record, index.size)

    def doubt_held(self, identity: Identity) -> Indices:
        """held → doubtful, all of this function's: a TAKE was not answered, and it names no pages."""
        parts = [
            self._tags.replace(_tag(n, _HELD), _tag(n, _DOUBTFUL))
            for n in self.records.generations(identity)
            if self.records.rows[n].outstanding
        ]
        return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, np.int64)

    def settle(self, index: Indices) -> None:
        """doubtful → held, those that still are: a late answer says that firmware has them."""
        tags = self._tags.get(index)
        for tag in np.unique(tags).tolist():
            if tag & 3 == State.DOUBTFUL:
                self._tags.put(index[tags == tag], tag & ~3 | State.HELD)

    def withdraw(self, index: Indices) -> Indices:
        """doubtful → free, those that still are: a late answer says that firmware never took them."""
        return self._free(index[(self._tags.get(index) & np.uint32(3)) == State.DOUBTFUL])

    def check_return(self, identity: Identity, addresses: Addresses) -> Returned:
        """Sort the addresses that a TAKE's answer names; nothing is moved."""
        now = self.records.current.get(identity)
        if now is not None:
            index = self._all_held(addresses, now)
            if index is not None:
                return Returned(index, _NONE, _NONE, _NONE, self.records.rows[now])
        index = self.space.index(addresses)
        tags = self._tags.get(index)
        mine = np.array([n + 1 for n in self.records.generations(identity)], np.uint32)
        state, owner = tags & np.uint32(3), tags >> np.uint32(2)
        out = (state == State.HELD) | (state == State.DOUBTFUL)
        good = out & np.isin(owner, mine)
        candidates = np.flatnonzero(good)
        again = candidates[~self._tags.firsts(index[candidates])]
        good[again] = False
        twice = (state == State.FREE) & (owner != 0)
        twice[again] = True
        foreign = out & ~good & ~twice
        unknown = ~(good | twice | foreign)
        return Returned(index[good], addresses[foreign], addresses[twice], addresses[unknown])

    def _all_held(self, addresses: Addresses, number: int) -> Indices | None:
        """The blocks, if this record holds every one of them and none is named twice: what firmware should answer."""
        if addresses.size <= FEW and isinstance(self.space, DenseSpace):
            few = self.space.exact_few(addresses.tolist())
            good = few is not None and self._tags.only_few(few, _tag(number, _HELD))
            return np.array(few, np.int64) if good else None
        # what lies beyond the space has no tag, so that its end need not be looked at
        index = self.space.aligned(addresses) if isinstance(self.space, DenseSpace) else self.space.exact(addresses)
        good = index is not None and self._tags.only(index, _tag(number, _HELD))
        return index if good else None

    def take(self, returned: Returned) -> Indices:
        """held or doubtful → free: the good ones of a TAKE's answer, each credited to the record that owned it."""
        good, owner = returned.good, returned.owner
        if owner is None:
            return self._free(good)
        self._tags.put(good, _tag(owner.number, _FREE))
        self.records.came_back(owner, "returned", good.size)
        return good

    def release_all(self, identity: Identity, unsure: Indices) -> ShortIndices:
        """held and doubtful → free, all of this function's: firmware has let go of everything that it had.

        Not so the ``unsure``, which a GIVE names that is not answered: firmware may come to have them after this.
        """
        parts: list[ShortIndices] = []
        for n in self.records.generations(identity):
            row = self.records.rows[n]
            if row.outstanding:
                doubtful = self.blocks(row, State.DOUBTFUL)
                sure = doubtful[~np.isin(doubtful, unsure)]
                self._tags.put(sure, _tag(n, _FREE))
                held = self._tags.replace(_tag(n, _HELD), _tag(n, _FREE))
                self.records.came_back(row, "released", held.size + sure.size)
                parts += [sure.astype(np.uint32), held]
        parts = [p for p in parts if p.size]
        return np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else np.zeros(0, np.uint32)

    def discard(self) -> ShortIndices:
        """held and doubtful → free, everybody's: a fence proved that the device can no longer touch them."""
        index, counts = self._tags.clear(_OUT, _STATE)
        for tag, pages in counts.items():
            self.records.came_back(self.records.rows[(tag >> 2) - 1], "discarded", pages)
        return index

    def _free(self, index: Indices) -> Indices:
        owners = self.owners(index)
        self._tags.put_each(index, owners << np.uint32(2))
        for owner, pages in enumerate(np.bincount(owners).tolist()):
            if pages:
                self.records.came_back(self.records.rows[owner - 1], "returned", pages)
        return index

    def blocks(self, record: Record, state: State) -> Indices:
        """The blocks that this record has in this state, ascending."""
        return self._tags.where(_tag(record.number, state))

    def counts(self) -> dict[tuple[int, State], int]:
        """How many blocks each record has in each state but free: one pass over the owner array."""
        return {((t >> 2) - 1, State(t & 3)): n for t, n in self._tags.counts().items() if t & 3}

    def check(self) -> None:
        """Conservation: per record, held + doubtful = given − returned − released − discarded. Raises CustodyError."""
        counts = self.counts()
        for row in self.records:
            owns = counts.get((row.number, State.HELD), 0) + counts.get((row.number, State.DOUBTFUL), 0)
            if owns != row.outstanding:
                raise CustodyError(
                    f"{row.identity} generation {row.generation} owns {owns} blocks, its record says {row.outstanding}"
                )

        total = sum(row.outstanding for row in self.records)
        if total != self.records.out:
            raise CustodyError(f"{many(total)} out by the records, {self.records.out} in sum")

    def copy(self, records: Records) -> Ledger:
        """A ledger of its own over ``records``, which must be a copy of this one's."""
        new = Ledger.__new__(Ledger)
        new.space, new.records, new._tags = self.space.copy(), records, self._tags.copy()
        return new

    def state(self, names: Tags) -> bytes:
        """Owners and states as bytes, owner ``n`` (record number + 1) written as ``names[n]``."""
        tags = self._tags.used()
        renamed: Tags = names[tags >> np.uint32(2)] << np.uint32(2) | tags & np.uint32(3)
        return renamed.tobytes()
