"""Breadth first search over everything that can happen in a world, so that the first path to a thing is a shortest one.

Theory of operation. A state is known by its key (``World.key``), 16 bytes; a search keeps the keys of all states, and
the states themselves only of the level that it expands. From each state of a level every move is tried, and a
transition (``expand.Arc``) comes back: the key of the state after it, the properties that it breaks, the points that it
reaches, and, if the key was not known, the state itself for the next level. How each state was first reached is kept as
a tree of parents and moves, from which a path is read back.

The expander does the work on states, here in this process or on workers (``check.workers``). It yields for each state
of the level, in the level's order, its transitions in the order of ``moves``. Whatever the number of workers, they are
taken in that one order, so every count, every path and every verdict is the same each time.

The search does not go on from a step or a state that breaks a property: what follows from it means nothing. For
liveness such a step leads to ``CUT``, a state of which nothing is known. Liveness is asked only of a finished graph
(``check.liveness``): a goal may still come where states are left over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fwpages.explore.check.expand import Arc, Place, Tests, expand, seen
from fwpages.explore.check.liveness import CUT, Graph
from fwpages.explore.check.properties import EVENTUALLY
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


#: a state with its key; the place of a state that a worker has packed
Keyed = tuple[bytes, World | Place]
#: expands the states of a level, given which keys are known; yields the transitions of each state, in their order
Expander = Callable[[list[Keyed], Callable[[bytes], bool]], Iterable[list[Arc]]]


@dataclass(slots=True)
class _Tree:
    """For each state, by number, the state and the move by which it was first reached."""

    parents: list[int] = field(default_factory=lambda: [-1])
    moves: list[int] = field(default_factory=lambda: [-1])

    def path(self, state: int, *more: int) -> Path:
        """The moves from the first state to this one, and ``more`` after them."""
        steps = list(reversed(more))
        while state > 0:
            steps.append(self.moves[state])
            state = self.parents[state]
        return tuple(reversed(steps))


def search(
    spec: Spec,
    *,
    expander: Expander | None = None,
    watch: Watch | None = None,
    visit: Callable[[World], None] | None = None,
) -> Outcome:
    """Try every order of events of a world, up to ``bounds.states`` states.

    ``watch`` is called after each level; ``visit`` with every state once, where the search is made in this process.
    Raises ScenarioError for a scenario that no world can be.
    """
    root = spec.build()
    tests = Tests(root.rules.scenario)
    return _Search(spec, tests, root, expander or _here(tests, visit)).run(root, watch)


def _here(tests: Tests, visit: Callable[[World], None] | None) -> Expander:
    """Expand in this process: states are kept as they are."""

    def expander(level: list[Keyed], known: Callable[[bytes], bool]) -> Iterator[list[Arc]]:
        for _, state in level:
            if isinstance(state, World):
                if visit is not None:
                    visit(state)
                yield list(expand(state, tests, known))

    return expander


@dataclass(slots=True)
class _Level:
    """The states of one depth, each with its key and its number."""

    states: list[Keyed] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


class _Search:
    """One search: the keys of all states, how each was reached, and the verdicts so far."""

    def __init__(self, spec: Spec, tests: Tests, root: World, expander: Expander) -> None:
        self.spec, self.expander = spec, expander
        self.expect = root.rules.scenario.expect
        self.limit = root.rules.scenario.bounds.states
        self.index = {root.key(): 0}
        #: keys of states that break a property: they are not expanded
        self.bad: set[bytes] = set()
        self.tree = _Tree()
        self.graph = Graph(tests.content(root)) if self.expect.eventually else None
        self.broken = {name: Broken(name, (), what) for name, what in seen(tests.bad_states, root)}
        self.reached: dict[str, Path] = {}
        self.transitions = 0

    def _known(self, key: bytes) -> bool:
        return key in self.index or key in self.bad

    def run(self, root: World, watch: Watch | None) -> Outcome:
        """Expand level after level, until none is left or there are too many states."""
        levels = [1]
        complete = True
        level = _Level([] if self.broken else [(root.key(), root)], [0])
        while level.states and complete:
            level = self._expanded(level)
            complete = len(self.index) <= self.limit or not level.states
            if level.states:
                levels.append(len(level.states))
            if watch is not None:
                watch(len(levels), len(self.index), self.transitions, len(level.states))
        if complete and self.graph is not None:
            self._eventually(self.graph)
        missed = tuple(name for name in self.expect.sometimes if name not in self.reached)
        counts = len(self.index), self.transitions, tuple(levels)
        return Outcome(self.spec, *counts, complete, self.broken, self.reached, missed)

    def _expanded(self, level: _Level) -> _Level:
        """Take every transition from a level; returns the new states."""
        following = _Level()
        for number, arcs in zip(level.numbers, self.expander(level.states, self._known), strict=True):
            for arc in arcs:
                target = self._take(number, arc, following)
                if self.graph is not None:
                    self.graph.arc(number, target, arc)
        return following

    def _take(self, number: int, arc: Arc, following: _Level) -> int:
        """Take a transition from state ``number``; returns the number of the state that it leads to, or CUT."""
        self.transitions += 1
        for name in arc.reached:
            if name not in self.reached:
                self.reached[name] = self.tree.path(number, arc.move)
        known = self.index.get(arc.key)
        bad = () if known is not None else arc.bad_state
        for name, what in (*arc.bad_step, *bad):
            if name not in self.broken:
                self.broken[name] = Broken(name, self.tree.path(number, arc.move), what)
        if bad:
            self.bad.add(arc.key)
        if arc.bad_step or arc.key in self.bad:
            return CUT
        return self._new(number, arc, following) if known is None else known

    def _new(self, number: int, arc: Arc, following: _Level) -> int:
        """Note a state that was not known; returns its number."""
        if arc.state is None:
            raise RuntimeError("a new state came without itself")
        new = self.index[arc.key] = len(self.index)
        self.tree.parents.append(number)
        self.tree.moves.append(arc.move)
        following.states.append((arc.key, arc.state))
        following.numbers.append(new)
        if self.graph is not None:
            self.graph.add(arc.content)
        return new

    def _eventually(self, graph: Graph) -> None:
        for n, name in enumerate(self.expect.eventually):
            stuck = graph.stuck(n, users_act=EVENTUALLY[name].users_act)
            if stuck is not None:
                words = TERMINAL if not stuck.loop else CYCLE
                self.broken[name] = Broken(name, self.tree.path(stuck.state), words, stuck.loop)
