"""Breadth first search over everything that can happen in a world, so that the first path to a thing is a shortest one.

Theory of operation. A state is known by its key (``World.key``), 16 bytes; a search keeps the keys of all states
(``visited``), and the states themselves only of the level that it expands. How each state was first reached is kept as
a tree of parents and moves, from which a path is read back.

A crew does the work on states: this process alone, or several (``check.workers``). Each of its parts has a share of the
level, makes every move of it, and brings the transitions back as arrays (``part.Arcs``): the key of the state after
each, the properties that it breaks, the points that it reaches. Of all transitions of a level, put in the order of its
states and their moves, the first to a key that was not known is the one by which its state is reached. The crew learns
which states these are and with which numbers, and goes on with them. So every count, every path and every verdict is
the same each time, whatever the number of parts and the shares that they have.

The search does not go on from a step or a state that breaks a property: what follows from it means nothing. For
liveness such a step leads to ``CUT``, a state of which nothing is known. Liveness is asked only of a finished graph
(``check.liveness``): a goal may still come where states are left over.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from fwpages.explore.check.checkpoint import Checkpoint, CheckpointError, Columns, Progress, SavedBroken
from fwpages.explore.check.collecting import seldom_collected
from fwpages.explore.check.expand import Tests, seen
from fwpages.explore.check.liveness import CUT, Graph
from fwpages.explore.check.part import Arcs, First, NotTheSameError, Part, Step
from fwpages.explore.check.properties import EVENTUALLY
from fwpages.explore.check.rounds import closed
from fwpages.explore.check.stats import Stats
from fwpages.explore.check.visited import Keys, Numbers, Visited, as_keys, first_of_each
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World

#: how a goal fails to come
TERMINAL, CYCLE = "terminal state", "cycle"
#: the moves from the first state on, each by its place in ``moves``
Path = tuple[int, ...]
#: called after each level: its number, states so far, transitions so far, states of the next level
Watch = Callable[[int, int, int, int], None]


@dataclass(frozen=True, slots=True)
class Broken:
    """A property that does not hold: a shortest path to where it breaks, and what was seen there.

    ``loop``: the moves that lead from there back to the same state, for a goal that never comes.
    """

    property: str
    path: Path
    seen: str
    loop: Path = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a search. ``complete``: every order of events was tried within the world's bounds.

    ``broken`` has the first path for each property; ``reached`` one for each point of *sometimes*; ``missed`` the
    points that were never reached. ``levels``: the number of new states at each depth.
    """

    spec: Spec
    states: int
    transitions: int
    levels: tuple[int, ...]
    complete: bool
    broken: Mapping[str, Broken]
    reached: Mapping[str, Path]
    missed: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Everything was tried, nothing is broken, and every point was reached."""
        return self.complete and not self.broken and not self.missed


#: the steps that lead to these states of one depth from the first state on
Paths: TypeAlias = Callable[[Numbers], list[Step]]


class Crew(Protocol):
    """The parts that have a level's states among them, and expand it."""

    def begin(self, paths: Paths, numbers: Numbers) -> Keys:
        """Make the states of these numbers for the level, by their paths; returns their keys."""

    def expand(self) -> Sequence[Arcs]:
        """Every transition of the level, by part."""

    def keep(self, kept: Sequence[tuple[Numbers, Numbers]]) -> None:
        """The next level: of each part some of its candidates, in ascending order, and their numbers."""


class Alone:
    """A crew of one: the search is made in this process.

    ``visit`` is called with every state that is expanded; ``stats`` counts what moves and properties cost.
    """

    def __init__(self, spec: Spec, visit: Callable[[World], None] | None = None, stats: Stats | None = None) -> None:
        self.part = Part(spec, visit)
        if stats is not None:
            stats.watch(self.part.tests, spec.scenario.expect.eventually)

    def begin(self, paths: Paths, numbers: Numbers) -> Keys:
        """See ``Crew``."""
        return self.part.remake(paths(numbers), numbers)

    def expand(self) -> Sequence[Arcs]:
        """See ``Crew``."""
        return [self.part.expand()]

    def keep(self, kept: Sequence[tuple[Numbers, Numbers]]) -> None:
        """See ``Crew``."""
        self.part.keep(*kept[0])


class _Tree:
    """For each state, by number, the state and the move by which it was first reached: six bytes."""

    def __init__(self) -> None:
        self.parents, self.moves = array("I", [0]), array("H", [0])

    def add(self, parents: Numbers, moves: npt.NDArray[np.uint16]) -> None:
        """The next states."""
        self.parents.frombytes(parents.astype(np.uint32).tobytes())
        self.moves.frombytes(moves.tobytes())

    def restore(self, column: Callable[[str], bytes]) -> None:
        """The tree that was written, from its columns."""
        self.parents, self.moves = array("I", column("parents")), array("H", column("moves"))

    def path(self, state: int, *more: int) -> Path:
        """The moves from the first state to this one, and ``more`` after them."""
        steps = list(reversed(more))
        while state > 0:
            steps.append(self.moves[state])
            state = self.parents[state]
        return tuple(reversed(steps))

    def steps(self, numbers: Numbers) -> list[Step]:
        """The steps that lead to these states of one depth, those before them once each."""
        out: list[Step] = []
        parents, moves = np.frombuffer(self.parents, np.uint32), np.frombuffer(self.moves, np.uint16)
        while numbers.size and numbers[0] > 0:
            before, which = np.unique(parents[numbers], return_inverse=True)
            out.append((which, moves[numbers]))
            numbers = before.astype(np.int64)
        return out[::-1]


def search(
    spec: Spec,
    *,
    crew: Crew | None = None,
    watch: Watch | None = None,
    visit: Callable[[World], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Outcome:
    """Try every order of events of a world, up to ``bounds.states`` states.

    ``watch`` is called after each level; ``visit`` with every state once, where the search is made in this process.
    With a ``checkpoint`` the search goes on where that one was, and is written there as it goes, also where it is
    interrupted. Raises ScenarioError for a scenario that no world can be, CheckpointError where it cannot go on.
    """
    with seldom_collected():
        its = _Search(spec, spec.build(), crew or Alone(spec, visit))
        if checkpoint is None:
            return its.run(watch, lambda: None)
        its.restore(checkpoint)
        try:
            return its.run(watch, lambda: checkpoint.write(its.progress, its.columns()) if checkpoint.due else None)
        finally:
            checkpoint.write(its.progress, its.columns())


class _Search:
    """One search: the keys of all states, how each was reached, and the verdicts so far."""

    def __init__(self, spec: Spec, root: World, crew: Crew) -> None:
        tests = Tests(root.rules.scenario)
        self.spec, self.crew = spec, crew
        self.expect = root.rules.scenario.expect
        self.limit = root.rules.scenario.bounds.states
        self.visited = Visited()
        self.visited.add(as_keys(root.key()))
        #: keys of states that break a property: they are not expanded
        self.bad = Visited()
        self.tree = _Tree()
        self.graph = Graph(tests.content(root)) if self.expect.eventually else None
        self.processes: dict[str, int] = {}
        self.broken = {name: Broken(name, (), what) for name, what in seen(tests.bad_states, root)}
        self.reached: dict[str, Path] = {}
        self.transitions = 0
        self.levels = [1]
        #: how far the search is at the end of a level
        self.progress = self._progress(0 if self.broken else 1)

    def _progress(self, ahead: int) -> Progress:
        broken = tuple(SavedBroken(b.property, b.path, b.seen) for b in self.broken.values())
        counts = len(self.visited), self.transitions, tuple(self.levels), ahead
        return Progress(*counts, len(self.bad), tuple(self.processes), broken, tuple(self.reached.items()))

    def columns(self) -> Columns:
        """All that grows, as far as it is of ``progress``."""
        states, transitions = self.progress.states, self.progress.transitions
        columns: dict[str, bytes | memoryview] = {
            "keys": self.visited.keys[:states].reshape(-1).data.cast("B"),
            "bad": self.bad.keys[: self.progress.bad].tobytes(),
            "parents": memoryview(self.tree.parents)[:states].cast("B"),
            "moves": memoryview(self.tree.moves)[:states].cast("B"),
        }
        if self.graph is not None:
            columns |= self.graph.columns(states, transitions)
        return columns

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on where the checkpoint is, if it is anywhere."""
        progress = checkpoint.progress
        if progress is None:
            return
        self.progress, self.transitions, self.levels = progress, progress.transitions, [*progress.levels]
        self.processes = {name: n for n, name in enumerate(progress.processes)}
        self.broken = {b.property: Broken(b.property, b.path, b.seen) for b in progress.broken}
        self.reached = dict(progress.reached)
        self.visited.add(as_keys(checkpoint.column("keys"))[1:])  # one column at a time: each is as large as memory
        self.bad.add(as_keys(checkpoint.column("bad")))
        self.tree.restore(checkpoint.column)
        if self.graph is not None:
            self.graph.restore(checkpoint.column)

    def run(self, watch: Watch | None, ended: Callable[[], None]) -> Outcome:
        """Expand level after level, until none is left or there are too many states; ``ended`` is called after each."""
        complete = not self.progress.ahead or len(self.visited) <= self.limit
        if self.progress.ahead and complete:
            self._begin()
        while self.progress.ahead and complete:
            ahead = self._expanded()
            complete = len(self.visited) <= self.limit or not ahead
            if ahead:
                self.levels.append(ahead)
            self.progress = self._progress(ahead)
            ended()
            if watch is not None:
                watch(len(self.levels), len(self.visited), self.transitions, ahead)
        if complete and self.graph is not None:
            self._eventually(self.graph)
        missed = tuple(name for name in self.expect.sometimes if name not in self.reached)
        counts = len(self.visited), self.transitions, tuple(self.levels)
        return Outcome(self.spec, *counts, complete, self.broken, self.reached, missed)

    def _begin(self) -> None:
        """Make the states of the last level."""
        numbers = np.arange(len(self.visited) - self.levels[-1], len(self.visited))
        try:
            keys = self.crew.begin(self.tree.steps, numbers)
        except NotTheSameError:
            keys = None
        if keys is None or (keys != self.visited.keys[numbers]).any():
            raise CheckpointError("the checkpoint was made by another version of the program; name another directory")

    def _expanded(self) -> int:
        """Take every transition from the level; returns the number of new states."""
        parts = self.crew.expand()
        arcs = _Ordered.of(parts, self.processes)
        self.transitions += arcs.state.size
        known = self.visited.find(arcs.keys)
        cut = arcs.broken | (self.bad.find(arcs.keys) >= 0)
        unknown = np.flatnonzero((known < 0) & ~cut)
        firsts, which = first_of_each(arcs.keys[unknown])
        firsts = unknown[firsts]
        bad = np.zeros(firsts.size, bool)
        if any(p.bad for p in parts):
            bad[:] = [arcs.bad(n, parts) != () for n in firsts.tolist()]
        self._note(arcs, parts, firsts[bad])
        number = np.full(firsts.size, CUT)
        number[~bad] = np.arange(len(self.visited), len(self.visited) + (~bad).sum())
        new = firsts[~bad]
        self.bad.add(arcs.keys[firsts[bad]])
        self.visited.add(arcs.keys[new])
        self.tree.add(arcs.state[new], arcs.move[new])
        if self.graph is not None:
            known[unknown] = number[which]
            known[cut] = CUT
            self.graph.add(arcs.content[new])
            self.graph.arcs(arcs.state, known, (arcs.move, arcs.freedom, arcs.process))
        self.crew.keep(arcs.kept(new, number[~bad], len(parts)))
        return int(new.size)

    def _note(self, arcs: _Ordered, parts: Sequence[Arcs], bad: Numbers) -> None:
        """The properties that are broken here, and the points that are reached, for the first time."""
        found = [First(n, "broken", name, what) for n in bad.tolist() for name, what in arcs.bad(n, parts)]
        for first in sorted((*arcs.first, *found), key=lambda f: f.arc):
            path = self.tree.path(int(arcs.state[first.arc]), int(arcs.move[first.arc]))
            if first.kind == "reached":
                self.reached.setdefault(first.name, path)
            elif first.name not in self.broken:
                self.broken[first.name] = Broken(first.name, path, first.what)

    def _eventually(self, graph: Graph) -> None:
        for n, name in enumerate(self.expect.eventually):
            stuck = graph.stuck(n, users_act=EVENTUALLY[name].users_act)
            if stuck is not None:
                words, path, loop = TERMINAL if not stuck.loop else CYCLE, self.tree.path(stuck.state), stuck.loop
                if loop and self.spec.commuting:
                    loop = closed(self.spec, path, self.visited.keys[graph.along(stuck.state, loop)])
                self.broken[name] = Broken(name, path, words, loop)


@dataclass(frozen=True, slots=True)
class _Ordered:
    """The transitions of all parts in the order of the level's states and their moves; see ``Arcs``.

    ``part`` and ``candidate`` say where the state after each is, ``content`` what it meets, if it is a candidate.
    """

    part: npt.NDArray[np.intp]
    state: Numbers
    move: npt.NDArray[np.uint16]
    freedom: npt.NDArray[np.uint8]
    process: npt.NDArray[np.uint8]
    keys: Keys
    broken: npt.NDArray[np.bool_]
    candidate: Numbers
    content: npt.NDArray[np.uint8]
    first: tuple[First, ...]

    @classmethod
    def of(cls, parts: Sequence[Arcs], processes: dict[str, int]) -> _Ordered:
        """The transitions of the parts, one part after the other; ``processes`` numbers the processes of all of them.

        Each part has a run of the level's states, after that of the part before it.
        """
        sizes = [p.state.size for p in parts]
        state = _joined(parts, "state")
        if (state[1:] < state[:-1]).any():
            raise AssertionError("the parts of a level do not follow each other")
        begins = accumulate(sizes, initial=0)
        return cls(
            np.repeat(np.arange(len(parts)), sizes),
            state,
            _joined(parts, "move"),
            _joined(parts, "freedom"),
            np.concatenate([_renamed(p, processes) for p in parts]),
            _joined(parts, "keys"),
            _joined(parts, "broken"),
            _joined(parts, "candidate"),
            np.concatenate([_content(p) for p in parts]),
            tuple(f._replace(arc=begin + f.arc) for begin, p in zip(begins, parts, strict=False) for f in p.first),
        )

    def bad(self, arc: int, parts: Sequence[Arcs]) -> tuple[tuple[str, str], ...]:
        """The properties that the state after this transition breaks, each with what was seen."""
        return parts[int(self.part[arc])].bad.get(int(self.candidate[arc]), ())

    def kept(self, new: Numbers, numbers: Numbers, parts: int) -> list[tuple[Numbers, Numbers]]:
        """For each part, those of its candidates that are new states, and their numbers."""
        owner = self.part[new]
        return [(self.candidate[new[owner == n]], numbers[owner == n]) for n in range(parts)]


def _joined(parts: Sequence[Arcs], column: str) -> npt.NDArray[Any]:
    """A column of all parts, one after the other."""
    columns = [getattr(p, column) for p in parts]
    return np.concatenate(columns) if len(columns) > 1 else columns[0]


def _renamed(arcs: Arcs, processes: dict[str, int]) -> npt.NDArray[np.uint8]:
    """The process of each transition, by the numbers that they have in all parts."""
    names = [processes.setdefault(name, len(processes)) for name in arcs.processes]
    return np.array(names, np.uint8)[arcs.process]


def _content(arcs: Arcs) -> npt.NDArray[np.uint8]:
    """The candidate that the state after each transition is, 0 where it is none."""
    return np.append(arcs.content, np.uint8(0))[arcs.candidate]
