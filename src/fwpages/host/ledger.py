"""Custody: every 4 KiB block is in exactly one state, and only the ledger moves it.

``free → offered → held → free``; ``offered → free`` only when firmware said no; what firmware may own without having
said so is ``doubtful`` and stays out of reach until firmware returns it or a fence proves that it cannot touch it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from fwpages.host.records import Record, Records
from fwpages.pages import DenseSpace, SparseSpace, TagMap
from fwpages.pages.space import Addresses, Indices
from fwpages.pages.tags import Mask, Tags
from fwpages.prm.identity import Identity


class State(IntEnum):
    """A block's state, the low two bits of its tag; the rest of the tag is its (last) owner's record + 1."""

    FREE = 0
    OFFERED = 1
    HELD = 2
    DOUBTFUL = 3


class CustodyError(AssertionError):
    """An invariant of the ledger does not hold: our own bug, never the device's."""


@dataclass(frozen=True, slots=True, eq=False)
class Returned:
    """A TAKE's answer, page by page: what may be taken back, and what is refused, each with its reason.

    Arrays of shape (n,): ``good`` indices, the others addresses. ``foreign`` belong to another function, ``twice`` were
    named before in this answer or have come back already, ``unknown`` were never given.
    """

    good: Indices
    foreign: Addresses
    twice: Addresses
    unknown: Addresses

    @property
    def refused(self) -> int:
        """How many addresses were refused."""
        return self.foreign.size + self.twice.size + self.unknown.size


_NONE: Addresses = np.zeros(0, np.uint64)


def _tag(record: int, state: State) -> int:
    return (record + 1) << 2 | state


class Ledger:
    """Owner and state of every block of a space. Methods that free blocks return their indices."""

    __slots__ = ("_tags", "records", "space")

    def __init__(self, space: DenseSpace | SparseSpace, records: Records) -> None:
        self.space = space
        self.records = records
        self._tags = TagMap()
        self.extend()

    def extend(self) -> None:
        """The space grew: its new blocks are free, and nobody has owned them."""
        self._tags.reserve(self.space.size)

    def clear(self) -> None:
        """The space was emptied: nobody has ever owned what it will hold."""
        self._tags = TagMap()

    def owners(self, index: Indices) -> Tags:
        """The record number that each block has or last had, plus 1; 0 where there never was one."""
        return self._tags.get(index) >> np.uint32(2)

    def is_free(self, index: Indices) -> Mask:
        """True for each block that nobody owns."""
        free: Mask = (self._tags.get(index) & np.uint32(3)) == State.FREE
        return free

    def offer(self, record: Record, index: Indices) -> None:
        """free → offered: they are about to be named in a GIVE."""
        self._tags.put(index, _tag(record.number, State.OFFERED))

    def refuse(self, record: Record, index: Indices) -> Indices:
        """offered → free: firmware said no."""
        self._tags.put(index, _tag(record.number, State.FREE))
        return index

    def accept(self, record: Record, index: Indices) -> None:
        """offered → held: firmware said OK."""
        self._tags.put(index, _tag(record.number, State.HELD))
        self.records.count(record, "given", index.size)

    def doubt(self, record: Record, index: Indices) -> None:
        """offered → doubtful: the GIVE was not answered, or crossed a release_all; firmware may own them."""
        self._tags.put(index, _tag(record.number, State.DOUBTFUL))
        self.records.count(record, "given", index.size)

    def doubt_held(self, identity: Identity) -> Indices:
        """held → doubtful, all of this function's: a TAKE was not answered, and it names no pages."""
        parts = [
            self._tags.replace(_tag(n, State.HELD), _tag(n, State.DOUBTFUL))
            for n in self.records.generations(identity)
            if self.records.rows[n].outstanding
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

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
        index = self.space.index(addresses)
        tags = self._tags.get(index)
        now = self.records.current.get(identity)
        if now is not None and (tags == _tag(now, State.HELD)).all() and self._tags.firsts(index).all():
            return Returned(index, _NONE, _NONE, _NONE)
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

    def take(self, returned: Returned) -> Indices:
        """held or doubtful → free: the good ones of a TAKE's answer, each credited to the record that owned it."""
        return self._free(returned.good)

    def release_all(self, identity: Identity, unsure: Indices) -> Indices:
        """held and doubtful → free, all of this function's: firmware has let go of everything that it had.

        Not so the ``unsure``, which a GIVE names that is not answered: firmware may come to have them after this.
        """
        parts = []
        for n in self.records.generations(identity):
            row = self.records.rows[n]
            if row.outstanding:
                doubtful = self.blocks(row, State.DOUBTFUL)
                sure = doubtful[~np.isin(doubtful, unsure)]
                self._tags.put(sure, _tag(n, State.FREE))
                parts += [sure, self._tags.replace(_tag(n, State.HELD), _tag(n, State.FREE))]
                self.records.count(row, "released", parts[-1].size + sure.size)
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def discard(self) -> Indices:
        """held and doubtful → free, everybody's: a fence proved that the device can no longer touch them."""
        parts = [np.zeros(0, np.int64)]
        for tag in self._tags.counts():
            if tag & 3 in (State.HELD, State.DOUBTFUL):
                parts.append(self._tags.replace(tag, tag & ~3))
                self.records.count(self.records.rows[(tag >> 2) - 1], "discarded", parts[-1].size)
        return np.concatenate(parts)

    def _free(self, index: Indices) -> Indices:
        owners = self.owners(index)
        if owners.size and (owners == owners[0]).all():
            counts = [(int(owners[0]), owners.size)]
            self._tags.put(index, int(owners[0]) << 2)
        else:
            numbers, sizes = np.unique(owners, return_counts=True)
            counts = list(zip(numbers.tolist(), sizes.tolist(), strict=True))
            for owner, _ in counts:
                self._tags.put(index[owners == owner], owner << 2)
        for owner, n in counts:
            self.records.count(self.records.rows[owner - 1], "returned", n)
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
            raise CustodyError(f"{total} pages are out by the records, {self.records.out} in sum")

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
