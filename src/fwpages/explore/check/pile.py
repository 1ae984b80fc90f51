"""Worlds of a level in the order in which they came: some in memory, the others packed, in a temporary file.

Theory of operation. Many worlds of one level have machines and messages in common, and take some hundreds of bytes
each. A pile keeps at most ``LIVE`` of them as they are, and packs the oldest ``PACK`` of more. A pack is read back when
a world of it is asked for, and one pack at a time: places are asked for in ascending order. So the memory of a level
does not grow with the level.
"""

from __future__ import annotations

import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias

import numpy as np

from fwpages.explore.check.visited import Numbers
from fwpages.explore.model.spec import Packer
from fwpages.explore.model.standing import settled
from fwpages.explore.model.world import World

#: worlds of a pile that stay in memory as they are: some 50 MB
LIVE = 65_536
#: worlds in a pack: enough that what they have in common is written once
PACK = 8_192

#: some states, packed, with their numbers
Pack: TypeAlias = tuple[bytes, Numbers]


def numbers_of(packs: Sequence[Pack]) -> Numbers:
    """The numbers of all states of some packs."""
    return np.concatenate([np.zeros(0, np.int64), *(numbers for _, numbers in packs)])


@dataclass(slots=True, weakref_slot=True)
class Pile:
    """Worlds by their places, 0 and on. ``ends``: the place after the last one of each pack; the rest is ``live``."""

    packer: Packer
    live: list[World] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    file: BinaryIO | None = None
    #: where each pack begins in the file, and its bytes
    _where: list[tuple[int, int]] = field(default_factory=list, init=False)

    def __len__(self) -> int:
        return self._packed + len(self.live)

    @property
    def _packed(self) -> int:
        return self.ends[-1] if self.ends else 0

    def add(self, w: World) -> None:
        """Add a world."""
        self.live.append(w)
        if len(self.live) >= LIVE + PACK:
            self.add_pack(self.packer.pack(self.live[:PACK]), PACK)
            del self.live[:PACK]

    def add_pack(self, data: bytes, worlds: int) -> None:
        """Add so many packed worlds, after those of the packs that are there and before the live ones."""
        if self.file is None:
            self.file = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the pile
            weakref.finalize(self, self.file.close)
        self._where.append((self.file.seek(0, 2), len(data)))
        self.file.write(data)
        self.ends.append(self._packed + worlds)

    def pick(self, places: Numbers) -> Iterator[World]:
        """The worlds at these places, which are in ascending order; one may be there several times."""
        first, begin, end = self._packed, 0, 0
        worlds: list[World] = []
        for place in places.data:  # numbers one by one: a list of all would take 40 bytes each
            if place >= first:
                yield self.live[place - first]
                continue
            if place >= end:
                n = bisect_right(self.ends, place)
                begin, end = self.ends[n - 1] if n else 0, self.ends[n]
                worlds = self._load(n)
            yield worlds[place - begin]

    def _load(self, n: int) -> list[World]:
        assert self.file is not None
        at, size = self._where[n]
        self.file.seek(at)
        return settled(self.packer.unpack(self.file.read(size)))

    def close(self) -> None:
        """Drop the worlds and the file."""
        self.live = []
        if self.file is not None:
            self.file.close()


@dataclass(slots=True)
class Run:
    """Some states of a level in the order of their numbers, and the place of each in a pile."""

    pile: Pile
    places: Numbers
    numbers: Numbers

    @classmethod
    def whole(cls, pile: Pile, numbers: Numbers) -> Run:
        """All worlds of a pile."""
        return cls(pile, np.arange(numbers.size), numbers)

    def worlds(self) -> Iterator[World]:
        """The worlds themselves."""
        return self.pile.pick(self.places)

    def give(self, first: int, end: int) -> list[Pack]:
        """Give up the states from one place to another among the run's."""
        starts = range(first, end, PACK)
        chunks = [np.s_[at : min(at + PACK, end)] for at in starts]
        packs = [
            (self.pile.packer.pack(list(self.pile.pick(self.places[chunk]))), self.numbers[chunk]) for chunk in chunks
        ]
        self.places = np.delete(self.places, np.s_[first:end])
        self.numbers = np.delete(self.numbers, np.s_[first:end])
        return packs
