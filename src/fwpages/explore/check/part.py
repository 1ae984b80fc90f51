"""A part of a level: the states that one process expands, and what it finds there as arrays.

Theory of operation. A process holds the worlds of its part of a level. ``expand`` makes every move of each, and keeps
the state after it as a *candidate* if its key is new to this part; nothing else is known here of other parts or levels.
The coordinator (``search``) gets the transitions as arrays, decides which candidates are new states of the whole, and
``keep`` makes these the part's share of the next level. So states do not travel; keys do.

Worlds that are too many for memory are in a temporary file (``pile``).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fwpages.explore.check.expand import Arc, Tests, expand
from fwpages.explore.check.pile import Pack, Pile, Run, numbers_of
from fwpages.explore.check.visited import Keys, Numbers, as_keys
from fwpages.explore.model.moves import Move, moves, take
from fwpages.explore.model.spec import Packer, Spec
from fwpages.explore.model.standing import settled, share
from fwpages.explore.model.world import World

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


class Part:
    """The states of a level that this process has, in runs in the order of their numbers."""

    def __init__(self, spec: Spec, visit: Callable[[World], None] | None = None) -> None:
        root = spec.build()
        self.root = root
        self.packer = Packer(root)
        self.tests = Tests(root.rules.scenario)
        self.visit = visit
        self.level: list[Run] = []
        self.candidates = Pile(self.packer)

    @property
    def numbers(self) -> Numbers:
        """The numbers of the part's states."""
        return np.concatenate([np.zeros(0, np.int64), *(run.numbers for run in self.level)])

    def expand(self) -> Arcs:
        """Every transition from the part's states."""
        self.candidates = Pile(self.packer)
        found, numbers = _Collected(), self.numbers
        for run in self.level:
            for w in run.worlds():
                if self.visit is not None:
                    self.visit(w)
                found.add(expand(w, self.tests, found.known.__contains__), self.candidates)
            run.pile.close()
        self.level = []
        return found.arcs(numbers)

    def keep(self, candidates: Numbers, numbers: Numbers) -> None:
        """The part's share of the next level: these candidates, in ascending order, with these numbers."""
        self.level, self.candidates = [Run(self.candidates, candidates, numbers)], Pile(self.packer)

    def give(self, first: int, end: int) -> list[Pack]:
        """Give up some states of the part, by their places among all; returns them packed, with their numbers."""
        packs: list[Pack] = []
        for run in self.level:
            size = run.numbers.size
            packs += run.give(max(first, 0), min(end, size))
            first, end = first - size, end - size
        return packs

    def receive(self, packs: Sequence[Pack]) -> None:
        """Take states that another part gave up: runs that are before, between or after those that are here."""
        pile = Pile(self.packer)
        for data, numbers in packs:
            pile.add_pack(data, numbers.size)
        self.level.append(Run.whole(pile, numbers_of(packs)))
        self.level = sorted([run for run in self.level if run.numbers.size], key=lambda run: int(run.numbers[0]))

    def load(self, packs: Sequence[tuple[bytes, Sequence[int]]], numbers: Numbers) -> None:
        """Take states of some packs, of each those at some places, for all of the part's."""
        worlds: list[World] = []
        for data, places in packs:
            unpacked = self.packer.unpack(data)
            worlds += settled([unpacked[n] for n in places])
        self.level = [Run.whole(Pile(self.packer, worlds), numbers)]

    def packed(self) -> bytes:
        """All candidates, packed."""
        return self.packer.pack(list(self.candidates.pick(np.arange(len(self.candidates)))))

    def remake(self, steps: Sequence[Step], numbers: Numbers) -> Keys:
        """Take the states at the end of these steps from the first state; returns their keys."""
        pile = Pile(self.packer, [self.root])
        for parents, chosen in steps:
            after = Pile(self.packer)
            for w in _next_worlds(pile.pick(parents), chosen):
                after.add(w)
            pile.close()
            pile = after
        run = Run.whole(pile, numbers)
        self.level = [run]
        return as_keys(b"".join(w.key() for w in run.worlds()))


#: a step of many paths at once: of which state of the last step each state comes, by its place, and by which move
Step: TypeAlias = tuple[Numbers, npt.NDArray[np.uint16]]


def _next_worlds(parents: Iterator[World], chosen: npt.NDArray[np.uint16]) -> Iterator[World]:
    """The world after each move; NotTheSameError where one is not possible any more."""
    last: World | None = None
    offered: list[Move] = []
    for w, n in zip(parents, chosen.data, strict=True):
        if w is not last:
            last, offered = w, moves(w)
        after = take(w, offered[n]) if n < len(offered) else None
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
