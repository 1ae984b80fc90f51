"""The cost of a search by moves and by properties: how often each, with what result, in what time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter

from fwpages.explore.check.expand import Tests
from fwpages.explore.check.properties import Test
from fwpages.explore.model.moves import Move
from fwpages.explore.model.world import World


@dataclass(slots=True)
class MoveCost:
    """The moves of one process, with one fault or without: how many led to a state, to a new one, and their seconds.

    A state is new here where no other move of the same level led to it before.
    """

    transitions: int = 0
    states: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class PropertyCost:
    """One property: how often it was tested, and the seconds that took."""

    times: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Stats:
    """The costs so far, by name."""

    moves: dict[str, MoveCost] = field(default_factory=dict)
    properties: dict[str, PropertyCost] = field(default_factory=dict)

    def watch(self, tests: Tests, goals: Sequence[str]) -> None:
        """Have the moves counted that are tried, and each of these tests; ``goals``: the names of *eventually*."""
        tests.made = self._move
        for table in (tests.bad_states, tests.bad_steps, tests.points):
            table[:] = [(name, self._timed(name, test)) for name, test in table]
        tests.goals = [self._timed(name, test) for name, test in zip(goals, tests.goals, strict=True)]

    def _move(self, move: Move, seconds: float, possible: bool, new: bool) -> None:
        fault = getattr(move, "fault", None)
        name = move.process if fault is None else f"{move.process}, {fault.name}"
        cost = self.moves.setdefault(name, MoveCost())
        cost.transitions += possible
        cost.states += new
        cost.seconds += seconds

    def _timed(self, name: str, test: Test) -> Test:
        cost = self.properties.setdefault(name, PropertyCost())

        def timed(w: World) -> str | None:
            start = perf_counter()
            found = test(w)
            cost.seconds += perf_counter() - start
            cost.times += 1
            return found

        return timed
