"""One step of a search: the transitions of a state, with the properties that each breaks and the points it reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import NamedTuple

from fwpages.explore.check.properties import EVENTUALLY, PROPERTIES, Test
from fwpages.explore.model.moves import Freedom, Move, moves, take
from fwpages.explore.model.standing import share
from fwpages.explore.model.world import World
from fwpages.scenario import Scenario


class Arc(NamedTuple):
    """A transition: the move by its place in ``moves``, the process that makes it, and the key of the state after it.

    ``bad_step``: the properties that the step breaks, each with what was seen; ``reached``: the points that it reaches.
    The rest is there only for a state that was not known: ``state`` itself, ``bad_state``: the properties that it
    breaks, ``content``: a bit for each *eventually* that it meets.
    """

    move: int
    process: str
    freedom: Freedom
    key: bytes
    bad_step: tuple[tuple[str, str], ...]
    reached: tuple[str, ...]
    state: World | None = None
    bad_state: tuple[tuple[str, str], ...] = ()
    content: int = 0


class Tests:
    """The properties of a world's ``[expect]``: those of states, those of steps, points to reach, and goals."""

    def __init__(self, scenario: Scenario) -> None:
        e = scenario.expect
        forbidden = dict.fromkeys([*e.always, *e.never])
        self.bad_states = [(n, PROPERTIES[n].test) for n in forbidden if not PROPERTIES[n].of_step]
        self.bad_steps = [(n, PROPERTIES[n].test) for n in forbidden if PROPERTIES[n].of_step]
        self.points = [(n, PROPERTIES[n].test) for n in e.sometimes]
        self.goals = [PROPERTIES[EVENTUALLY[n].property].test for n in e.eventually]
        #: called with each move that was tried: its seconds, and whether it was possible and led to an unknown state
        self.made: Callable[[Move, float, bool, bool], None] | None = None

    def content(self, w: World) -> int:
        """A bit for each goal that the state meets."""
        return sum(1 << n for n, test in enumerate(self.goals) if test(w) is None)


def seen(tests: list[tuple[str, Test]], w: World) -> tuple[tuple[str, str], ...]:
    """The tests that see something, by name, each with what it saw."""
    return tuple([(name, what) for name, test in tests if (what := test(w)) is not None]) if tests else ()


def expand(w: World, tests: Tests, known: Callable[[bytes], bool]) -> Iterator[Arc]:
    """Every transition from ``w``; states that are ``known`` by their key are not looked at again."""
    for n, move in enumerate(moves(w)):
        start = perf_counter()
        after = take(w, move)
        key = b"" if after is None else share(after).key()
        if tests.made is not None:
            tests.made(move, perf_counter() - start, after is not None, after is not None and not known(key))
        if after is None:
            continue
        reached = tuple([name for name, _ in seen(tests.points, after)])
        bad_step = seen(tests.bad_steps, after)
        arc = n, move.process, move.freedom(w), key, bad_step, reached
        if bad_step or known(key):
            yield Arc(*arc)
            continue
        bad = seen(tests.bad_states, after)
        yield Arc(*arc, after, bad, 0 if bad else tests.content(after))
