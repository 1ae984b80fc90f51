"""Random walks through a world: for worlds that are too large to be searched. They find things, and prove nothing.

The n-th walk depends on the world, on the seed and on n alone: equal arguments give equal walks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fwpages.explore.check.expand import Tests, seen
from fwpages.explore.check.search import TERMINAL, Broken, Path
from fwpages.explore.model.moves import Freedom, moves, take
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World

#: steps of the longest walk. Start-up and close together are some 70 steps, each further function some 15, and users
#: stop when their deeds are done: a longer walk is in a cycle between time-outs
LONGEST = 1_000
#: of this many steps at which a fault is possible, one has it: faults are possible at every command, and without this
#: all of them would be injected during the start-up
RARE = 16

#: called after each walk: how many there were, and their steps
Watch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Walks:
    """The result of random walks. ``broken`` and ``reached`` have the shortest walk to each property and point.

    ``longest``: the number of steps of the longest walk; ``cut``: how many walks were given up at ``LONGEST``.
    """

    spec: Spec
    seed: int
    walks: int
    steps: int
    longest: int
    cut: int
    broken: Mapping[str, Broken]
    reached: Mapping[str, Path]


@dataclass(slots=True)
class _Met:
    """The properties broken and the points reached so far."""

    broken: dict[str, Broken] = field(default_factory=dict)
    reached: dict[str, Path] = field(default_factory=dict)

    def bad(self, name: str, path: list[int], what: str) -> None:
        if name not in self.broken or len(path) < len(self.broken[name].path):
            self.broken[name] = Broken(name, tuple(path), what)


def random_walks(spec: Spec, count: int, seed: int, *, watch: Watch | None = None, longest: int = LONGEST) -> Walks:
    """Walk ``count`` times, each until a terminal state, a broken property, or ``longest`` steps.

    A goal of *eventually* that a terminal state does not meet is broken. Raises ScenarioError for a scenario that no
    world can be.
    """
    root = spec.build()
    tests = Tests(root.rules.scenario)
    met = _Met({name: Broken(name, (), what) for name, what in seen(tests.bad_states, root)})
    steps = most = cut = 0
    for n in range(count):
        walked, ended = _walk(root, tests, random.Random(f"{seed}:{n}"), longest, met)  # noqa: S311  # no secret
        steps += walked
        most = max(most, walked)
        cut += not ended
        if watch is not None:
            watch(n + 1, steps)
    return Walks(spec, seed, count, steps, most, cut, met.broken, met.reached)


def _walk(root: World, tests: Tests, dice: random.Random, longest: int, met: _Met) -> tuple[int, bool]:
    """One walk: its steps, and True where it ended before it was too long."""
    w, path = root, list[int]()
    while len(path) < longest:
        chosen = _step(w, dice)
        if chosen is None:
            for name, goal in zip(w.rules.scenario.expect.eventually, tests.goals, strict=True):
                if goal(w) is not None:
                    met.bad(name, path, TERMINAL)
            return len(path), True
        n, w = chosen
        path.append(n)
        for name, _ in seen(tests.points, w):
            if name not in met.reached or len(path) < len(met.reached[name]):
                met.reached[name] = tuple(path)
        bad = (*seen(tests.bad_steps, w), *seen(tests.bad_states, w))
        for name, what in bad:
            met.bad(name, path, what)
        if bad:
            return len(path), True
    return len(path), False


def _step(w: World, dice: random.Random) -> tuple[int, World] | None:
    """A possible move by its place in ``moves``, and the state after it; None in a terminal state."""
    offered = moves(w)
    orderly = [n for n, move in enumerate(offered) if move.freedom(w) is not Freedom.OPTIONAL]
    rare = [n for n, move in enumerate(offered) if move.freedom(w) is Freedom.OPTIONAL]
    dice.shuffle(orderly)
    dice.shuffle(rare)
    for n in (*rare, *orderly) if dice.randrange(RARE) == 0 else (*orderly, *rare):
        after = take(w, offered[n])
        if after is not None:
            return n, after
    return None
