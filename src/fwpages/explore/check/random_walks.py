"""Random walks through a world: for worlds that are too large to be tried whole. They find things, and prove nothing.

Equal worlds, seeds and numbers walk alike: the n-th walk depends on the seed and on n alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fwpages.explore.check.expand import Tests, seen
from fwpages.explore.check.search import Broken, Path
from fwpages.explore.model.moves import Freedom, moves, take
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World

#: steps of the longest walk. Start-up and close together are some 70 steps, each further function some 15, and users do
#: not act again when their deeds are done: what is still going then goes round between time-outs
LONGEST = 1_000
#: of so many steps at which something may go wrong, one does: faults are possible at every command, and without this
#: they would all strike during the start-up
RARE = 16

#: told after each walk: how many there were, and their steps
Watch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Walks:
    """What random walks met. ``broken`` has for each property the shortest way that was walked, ``reached`` the points.

    ``longest`` is the longest walk's number of steps, ``cut`` how many walks were given up at ``LONGEST``.
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
    """What was met so far."""

    broken: dict[str, Broken] = field(default_factory=dict)
    reached: dict[str, Path] = field(default_factory=dict)

    def bad(self, name: str, path: list[int], what: str) -> None:
        if name not in self.broken or len(path) < len(self.broken[name].path):
            self.broken[name] = Broken(name, tuple(path), what)


def random_walks(spec: Spec, count: int, seed: int, *, watch: Watch | None = None, longest: int = LONGEST) -> Walks:
    """Walk so many times, each until nothing can happen, something is broken, or the walk is too long.

    Where nothing can happen any more, what should have come about by then (*eventually*) and has not is broken.
    ScenarioError where the world cannot be.
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
    """One walk: its steps, and whether it came to an end by itself."""
    w, path = root, list[int]()
    while len(path) < longest:
        chosen = _step(w, dice)
        if chosen is None:
            for name, goal in zip(w.rules.scenario.expect.eventually, tests.goals, strict=True):
                if goal(w) is not None:
                    met.bad(name, path, "nothing comes any more")
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
    """One of the moves that are possible, by its place in ``moves``; None where there is none."""
    acts = moves(w)
    orderly = [n for n, act in enumerate(acts) if act.freedom(w) is not Freedom.OPTIONAL]
    rare = [n for n, act in enumerate(acts) if act.freedom(w) is Freedom.OPTIONAL]
    dice.shuffle(orderly)
    dice.shuffle(rare)
    for n in (*rare, *orderly) if dice.randrange(RARE) == 0 else (*orderly, *rare):
        after = take(w, acts[n])
        if after is not None:
            return n, after
    return None
