"""One step of a search: from a state, everything that can happen next, with what the properties see of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from fwpages.explore.check.properties import EVENTUALLY, PROPERTIES, Test
from fwpages.explore.model.moves import moves, take
from fwpages.explore.model.world import Act, World
from fwpages.scenario import Scenario

#: moves that somebody makes of their own accord, or that go wrong: nothing obliges them to happen
USER, FREE = 1, 2

#: where workers have put a state: the bytes of several, and which of them it is
Place = tuple[bytes, int]


class Arc(NamedTuple):
    """A transition: which move of the state before it (its place in ``moves``), and where it leads.

    ``kind`` names the process that moves; ``free`` is 0 where nothing but that is needed, else who may leave it out.
    ``fault`` is what was seen of the step that must not be, as (property, what was seen), ``reached`` the points that
    it reached. The rest is told of a state that was not known: ``state`` itself (where a worker has packed it,
    its place), ``bad`` what must not be, ``content`` a bit for each *eventually* that it is content with.
    """

    move: int
    kind: str
    free: int
    key: bytes
    fault: tuple[tuple[str, str], ...]
    reached: tuple[str, ...]
    state: World | Place | None = None
    bad: tuple[tuple[str, str], ...] = ()
    content: int = 0


def kind_of(act: Act) -> str:
    """The process that moves, for fairness: the device, the link, a thread, time."""
    return f"thread {act[1]}" if act[0] == "thread" else str(act[0])


def freedom(w: World, act: Act) -> int:
    """Whether anything obliges this move to happen; users, faults and untimely time-outs are free."""
    if act[0] == "user":
        return USER
    if act[0] == "give up" or (act[0] == "time" and not w.quiet):
        return FREE
    fault = len(act) > (1 if act[0] in ("request", "map", "reset") else 2)
    return FREE if fault else 0


class Tests:
    """The properties of a world's ``[expect]``, sorted by what they look at."""

    def __init__(self, scenario: Scenario) -> None:
        e = scenario.expect
        forbidden = dict.fromkeys([*e.always, *e.never])
        self.bad_states = [(n, PROPERTIES[n].test) for n in forbidden if not PROPERTIES[n].of_step]
        self.bad_steps = [(n, PROPERTIES[n].test) for n in forbidden if PROPERTIES[n].of_step]
        self.points = [(n, PROPERTIES[n].test) for n in e.sometimes]
        self.goals = [PROPERTIES[EVENTUALLY[n].property].test for n in e.eventually]

    def content(self, w: World) -> int:
        """A bit for each goal that the state is content with."""
        return sum(1 << n for n, test in enumerate(self.goals) if test(w) is None)


def seen(tests: list[tuple[str, Test]], w: World) -> tuple[tuple[str, str], ...]:
    """Which of these tests see something, and what."""
    found = ((name, test(w)) for name, test in tests)
    return tuple((name, what) for name, what in found if what is not None)


def expand(w: World, tests: Tests, known: Callable[[bytes], bool]) -> Iterator[Arc]:
    """Every transition from ``w``; states that are ``known`` by their key are not looked at again."""
    for n, act in enumerate(moves(w)):
        after = take(w, act)
        if after is None:
            continue
        key = after.key()
        reached = tuple(name for name, _ in seen(tests.points, after))
        arc = Arc(n, kind_of(act), freedom(w, act), key, seen(tests.bad_steps, after), reached)
        if not (arc.fault or known(key)):
            bad = seen(tests.bad_states, after)
            arc = arc._replace(state=after, bad=bad, content=0 if bad else tests.content(after))
        yield arc
