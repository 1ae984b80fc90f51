"""Breadth first over everything that can happen, so that the first way to a thing is a shortest one.

States are told apart by their keys. A state behind a broken step is not gone on from: what follows it means nothing.
The search is by levels: a level's states are expanded in their order, here or by workers, and what comes back is
taken in that same order, so every count and every path is the same however many workers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fwpages.explore.check.expand import Arc, Place, Tests, expand, seen
from fwpages.explore.check.liveness import CUT, Graph, Stuck
from fwpages.explore.check.properties import EVENTUALLY
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World

#: the moves from the first state on, each by its place in the list of moves
Path = tuple[int, ...]
#: told after each level: its number, states so far, transitions so far, states of the next level
Watch = Callable[[int, int, int, int], None]


@dataclass(frozen=True, slots=True)
class Broken:
    """A property that does not hold: a shortest way there, and what was seen. ``loop``: from there for ever."""

    property: str
    path: Path
    seen: str
    loop: Path = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found. ``complete``: every order was tried within the world's bounds.

    ``broken`` has the first way for each property, ``missed`` the points of *sometimes* that were never reached,
    ``levels`` the new states at each depth.
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


#: a state with its key
Keyed = tuple[bytes, World | Place]
#: expands the states of a level, told which keys are known; yields for each, in their order, its transitions
Expander = Callable[[list[Keyed], Callable[[bytes], bool]], Iterable[list[Arc]]]


@dataclass(slots=True)
class _Tree:
    """How each state was first reached."""

    parents: list[int] = field(default_factory=lambda: [-1])
    moves: list[int] = field(default_factory=lambda: [-1])

    def path(self, state: int, *more: int) -> Path:
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
    """Every order of events of a world, up to ``bounds.states`` states. ScenarioError where the world cannot be.

    ``visit`` is shown every state once, where the search is made in this process.
    """
    root = spec.build()
    tests = Tests(root.rules.scenario)
    return _Search(spec, tests, root, expander or _here(tests, visit)).run(root, watch)


def _here(tests: Tests, visit: Callable[[World], None] | None) -> Expander:
    """In this process: states are kept as they are."""

    def expander(level: list[Keyed], known: Callable[[bytes], bool]) -> Iterator[list[Arc]]:
        for _, state in level:
            if isinstance(state, World):
                if visit is not None:
                    visit(state)
                yield list(expand(state, tests, known))

    return expander


class _Search:
    def __init__(self, spec: Spec, tests: Tests, root: World, expander: Expander) -> None:
        self.spec, self.expander = spec, expander
        self.expect = root.rules.scenario.expect
        self.limit = root.rules.scenario.bounds.states
        self.index = {root.key(): 0}
        #: keys of states that must not be: they are not gone on from
        self.bad: set[bytes] = set()
        self.tree = _Tree()
        self.graph = Graph(tests.content(root)) if self.expect.eventually else None
        self.broken = {name: Broken(name, (), what) for name, what in seen(tests.bad_states, root)}
        self.reached: dict[str, Path] = {}
        self.transitions = 0

    def _known(self, key: bytes) -> bool:
        return key in self.index or key in self.bad

    def run(self, root: World, watch: Watch | None) -> Outcome:
        level: list[Keyed] = [(root.key(), root)]
        numbers, levels = [0], [1]
        complete = True
        while level and complete and not self.bad_root:
            nexts: list[Keyed] = []
            new: list[int] = []
            for number, arcs in zip(numbers, self.expander(level, self._known), strict=True):
                for arc in arcs:
                    self._take(number, arc, nexts, new)
            complete = len(self.index) <= self.limit or not nexts
            level, numbers = nexts, new
            if nexts:
                levels.append(len(nexts))
            if watch is not None:
                watch(len(levels), len(self.index), self.transitions, len(nexts))
        if complete and self.graph is not None:
            self._eventually(self.graph)
        missed = tuple(name for name in self.expect.sometimes if name not in self.reached)
        counts = len(self.index), self.transitions, tuple(levels)
        return Outcome(self.spec, *counts, complete, self.broken, self.reached, missed)

    @property
    def bad_root(self) -> bool:
        """The world is broken before anything happens."""
        return any(not b.path and not b.loop for b in self.broken.values())

    def _take(self, number: int, arc: Arc, nexts: list[Keyed], new: list[int]) -> None:
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
            if self.graph is not None:
                self.graph.arc(number, CUT, arc)
            return
        if known is None:
            known = self.index[arc.key] = len(self.index)
            self.tree.parents.append(number)
            self.tree.moves.append(arc.move)
            if arc.state is None:
                raise RuntimeError("a new state came without itself")
            nexts.append((arc.key, arc.state))
            new.append(known)
            if self.graph is not None:
                self.graph.add(arc.content)
        if self.graph is not None:
            self.graph.arc(number, known, arc)

    def _eventually(self, graph: Graph) -> None:
        for n, name in enumerate(self.expect.eventually):
            stuck: Stuck | None = graph.stuck(n, users_act=EVENTUALLY[name].users_act)
            if stuck is not None:
                words = "nothing comes any more" if not stuck.loop else "it goes round for ever"
                self.broken[name] = Broken(name, self.tree.path(stuck.state), words, stuck.loop)
