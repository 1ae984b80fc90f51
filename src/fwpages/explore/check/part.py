"""A part of a level: the states that one process expands, and what it finds there as arrays.

Theory of operation. A process holds the worlds of its part of a level. ``expand`` makes every move of each, and keeps
the state after it as a *candidate* if its key is new to this part; nothing else is known here of other parts or levels.
The coordinator (``search``) gets the transitions as arrays, decides which candidates are new states of the whole, and
``keep`` makes these the part's share of the next level. So states do not travel; keys do.

Many worlds of one level have machines and messages in common, and take some hundreds of bytes each. A part keeps the
worlds of ``LIVE`` candidates as they are; more are packed in chunks and written to a temporary file (``Pile``).
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fwpages.explore.check.expand import Arc, Tests, expand
from fwpages.explore.check.visited import Keys, Numbers, as_keys
from fwpages.explore.model.moves import moves, take
from fwpages.explore.model.spec import Packer, Spec
from fwpages.explore.model.standing import share
from fwpages.explore.model.world import World

#: candidates of a part that stay in memory as worlds: some 50 MB
LIVE = 65_536
#: candidates in a pack: enough that what they have in common is written once
PACK = 8_192

#: a step that broke a property, a point that was reached
Kind: TypeAlias = Literal["broken", "reached"]


class First(NamedTuple):
    """The first arc of a part, by its place among the arcs, that breaks a property or reaches a point."""

    arc: int
    kind: Kind
    name: str
    what: str


@dataclass(frozen=True, slots=True)
class Arcs:
    """The transitions of a part of a level, in the order of its states and of their moves; an array for each fact.

    ``state``: the number of the state that each comes from. ``broken``: the step breaks a property. ``candidate``: the
    number of the state after it among the part's candidates, -1 where its key was met here before or the step is
    broken. ``content`` is there for each candidate: a bit for each *eventually* that it meets. ``bad`` has the
    candidates that break a property, with what was seen; ``first`` what else was seen, once for each name.
    """

    state: Numbers
    move: npt.NDArray[np.uint16]
    freedom: npt.NDArray[np.uint8]
    process: npt.NDArray[np.uint8]
    processes: tuple[str, ...]
    keys: Keys
    broken: npt.NDArray[np.bool_]
    candidate: Numbers
    content: npt.NDArray[np.uint8]
    bad: dict[int, tuple[tuple[str, str], ...]]
    first: tuple[First, ...]


@dataclass(slots=True)
class Pile:
    """Worlds in the order in which they came; what is too much for memory is packed, into a temporary file."""

    packer: Packer
    live: list[World] = field(default_factory=list)
    #: where each pack begins in the file; all have ``PACK`` worlds
    packs: list[tuple[int, int]] = field(default_factory=list)
    file: BinaryIO | None = None

    def __len__(self) -> int:
        return len(self.packs) * PACK + len(self.live)

    def add(self, w: World) -> None:
        """Add a world."""
        self.live.append(w)
        if len(self.live) >= LIVE + PACK:
            self._spill()

    def _spill(self) -> None:
        """Write the oldest worlds in memory to the file."""
        if self.file is None:
            self.file = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the pile
        data = self.packer.pack(self.live[:PACK])
        self.packs.append((self.file.seek(0, 2), len(data)))
        self.file.write(data)
        del self.live[:PACK]

    def pick(self, places: Sequence[int]) -> Iterator[World]:
        """The worlds at these places, which are in ascending order."""
        loaded, worlds = -1, list[World]()
        first = len(self.packs) * PACK
        for place in places:
            if place >= first:
                yield self.live[place - first]
                continue
            n = place // PACK
            if n != loaded:
                loaded, worlds = n, self._load(n)
            yield worlds[place % PACK]

    def _load(self, n: int) -> list[World]:
        assert self.file is not None
        at, size = self.packs[n]
        self.file.seek(at)
        return [share(w) for w in self.packer.unpack(self.file.read(size))]

    def close(self) -> None:
        """Drop the file."""
        if self.file is not None:
            self.file.close()


class Part:
    """The states of a level that this process has."""

    def __init__(self, spec: Spec, visit: Callable[[World], None] | None = None) -> None:
        root = spec.build()
        self.root = root
        self.packer = Packer(root)
        self.tests = Tests(root.rules.scenario)
        self.visit = visit
        self.level = Pile(self.packer)
        self.places: list[int] = []
        self.numbers = np.zeros(0, np.int64)
        self.candidates = Pile(self.packer)

    def begin(self, worlds: Sequence[World], numbers: Numbers) -> None:
        """Take these states for the part's share of a level."""
        self.level = Pile(self.packer, list(worlds))
        self.places, self.numbers = list(range(len(worlds))), numbers

    def expand(self) -> Arcs:
        """Every transition from the part's states."""
        self.candidates = Pile(self.packer)
        found = _Collected()
        for w in self.level.pick(self.places):
            if self.visit is not None:
                self.visit(w)
            found.add(expand(w, self.tests, found.known.__contains__), self.candidates)
        self.level.close()
        return found.arcs(self.numbers)

    def keep(self, candidates: Numbers, numbers: Numbers) -> None:
        """The part's share of the next level: these candidates, in ascending order, with these numbers."""
        self.level, self.candidates = self.candidates, Pile(self.packer)
        self.places, self.numbers = candidates.tolist(), numbers

    def give(self, first: int, end: int) -> tuple[bytes, Numbers]:
        """Give up some states of the part, by their places among all; returns them packed, with their numbers."""
        data, numbers = self.packer.pack(list(self.level.pick(self.places[first:end]))), self.numbers[first:end]
        del self.places[first:end]
        self.numbers = np.delete(self.numbers, np.s_[first:end])
        return data, numbers

    def receive(self, data: bytes, numbers: Numbers) -> None:
        """Take states that another part gave up; all stay in the order of their numbers."""
        worlds = [*self.level.pick(self.places), *map(share, self.packer.unpack(data))]
        self.level.close()
        numbers = np.concatenate([self.numbers, numbers])
        order = np.argsort(numbers)
        self.begin([worlds[n] for n in order.tolist()], numbers[order])

    def load(self, packs: Sequence[tuple[bytes, Sequence[int]]], numbers: Numbers) -> None:
        """Take states of some packs, of each those at some places."""
        worlds: list[World] = []
        for data, places in packs:
            unpacked = self.packer.unpack(data)
            worlds += [share(unpacked[n]) for n in places]
        self.begin(worlds, numbers)

    def packed(self) -> bytes:
        """All candidates, packed."""
        return self.packer.pack(list(self.candidates.pick(range(len(self.candidates)))))

    def remake(self, steps: Sequence[Step], numbers: Numbers) -> Keys:
        """Take the states at the end of these steps from the first state; returns their keys."""
        worlds = [self.root]
        for parents, chosen in steps:
            worlds = list(_next_worlds(worlds, parents.tolist(), chosen.tolist()))
        self.begin(worlds, numbers)
        return as_keys(b"".join(w.key() for w in worlds))


#: a step of many paths at once: of which state of the last step each state comes, by its place, and by which move
Step: TypeAlias = tuple[Numbers, npt.NDArray[np.uint16]]


def _next_worlds(worlds: list[World], parents: list[int], chosen: list[int]) -> Iterator[World]:
    """The world after each move; RuntimeError where one is not possible any more."""
    last, offered = -1, moves(worlds[0])
    for parent, n in zip(parents, chosen, strict=True):
        if parent != last:
            last, offered = parent, moves(worlds[parent])
        after = take(worlds[parent], offered[n]) if n < len(offered) else None
        if after is None:
            raise NotTheSameError
        yield share(after)


class NotTheSameError(RuntimeError):
    """A path of a search is not possible any more: the world, the program or the file that has the path is another."""


class _Collected:
    """The transitions of a part as they come."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()
        self._counts, self._candidate = array("q"), array("q")
        self._move = array("H")
        self._freedom, self._process, self._broken, self._content = bytearray(), bytearray(), bytearray(), bytearray()
        self._keys = bytearray()
        self._processes: dict[str, int] = {}
        self._first: dict[tuple[Kind, str], First] = {}
        self._bad: dict[int, tuple[tuple[str, str], ...]] = {}

    def add(self, arcs: Iterable[Arc], candidates: Pile) -> None:
        """The transitions of the next state of the part."""
        before = len(self._move)
        for arc in arcs:
            self._arc(arc)
            if arc.state is None:
                self._candidate.append(-1)
                continue
            self._candidate.append(len(candidates))
            if arc.bad_state:
                self._bad[len(candidates)] = arc.bad_state
            self.known.add(arc.key)
            self._content.append(arc.content)
            candidates.add(arc.state)
        self._counts.append(len(self._move) - before)

    def _arc(self, arc: Arc) -> None:
        n = len(self._move)
        self._move.append(arc.move)
        self._freedom.append(arc.freedom)
        self._process.append(self._processes.setdefault(arc.process, len(self._processes)))
        self._broken.append(bool(arc.bad_step))
        self._keys += arc.key
        for name in arc.reached:
            self._first.setdefault(("reached", name), First(n, "reached", name, ""))
        for name, what in arc.bad_step:
            self._first.setdefault(("broken", name), First(n, "broken", name, what))

    def arcs(self, numbers: Numbers) -> Arcs:
        """All of them; ``numbers`` are those of the states from which they come."""
        return Arcs(
            np.repeat(numbers, np.frombuffer(self._counts, np.int64)),
            np.frombuffer(self._move, np.uint16),
            np.frombuffer(self._freedom, np.uint8),
            np.frombuffer(self._process, np.uint8),
            tuple(self._processes),
            as_keys(bytes(self._keys)),
            np.frombuffer(self._broken, np.bool_),
            np.frombuffer(self._candidate, np.int64),
            np.frombuffer(self._content, np.uint8),
            self._bad,
            tuple(self._first.values()),
        )
