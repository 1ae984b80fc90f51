from __future__ import annotations

import numpy as np
import pytest

from fwpages.explore.check import pile
from fwpages.explore.check.part import NotTheSameError, Part, Step
from fwpages.explore.check.search import Alone, search
from fwpages.explore.check.visited import Numbers
from fwpages.explore.model.spec import Spec
from tests.explore.small_worlds import WIDE, found, made, path_to, small


@pytest.mark.many_runs
@pytest.mark.parametrize("design", ["merged", "fwpages"])
def test_states_that_were_written_to_a_file_change_nothing(monkeypatch: pytest.MonkeyPatch, design: str) -> None:
    monkeypatch.setattr(pile, "LIVE", 1)
    monkeypatch.setattr(pile, "PACK", 3)
    crew = Alone(small("session", design))
    assert search(small("session", design), crew=crew) == found("session", design)


def test_a_path_that_is_not_possible_is_noticed() -> None:
    path = path_to("session", "open")
    steps = [(np.zeros(1, np.int64), np.array([n], np.uint16)) for n in path]
    whole = Part(small("session"))
    whole.remake(steps, np.zeros(1, np.int64))
    assert whole.numbers.size == 1
    steps[-1] = np.zeros(1, np.int64), np.array([99], np.uint16)
    with pytest.raises(NotTheSameError):
        whole.remake(steps, np.zeros(1, np.int64))


def test_states_that_are_given_up_are_expanded_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two parts between which states were moved find together what one finds, also where states are in files."""
    monkeypatch.setattr(pile, "LIVE", 2)
    monkeypatch.setattr(pile, "PACK", 3)
    spec = made(WIDE, "merged")
    steps, numbers = grown(spec, 12)
    whole, one, other = Part(spec), Part(spec), Part(spec)
    keys = whole.remake(steps, numbers)
    assert (one.remake(steps, numbers) == keys).all()
    other.receive(one.give(numbers.size - 5, numbers.size))
    other.receive(one.give(0, 4))
    one.receive(other.give(2, 4))
    assert one.numbers.tolist() == numbers[2:-5].tolist()
    assert other.numbers.tolist() == [*numbers[:2].tolist(), *numbers[-5:].tolist()]
    assert transitions(one) | transitions(other) == transitions(whole)


def grown(spec: Spec, states: int) -> tuple[list[Step], Numbers]:
    """The steps to the first level of so many states, and their numbers within it."""
    part = Part(spec)
    part.remake([], np.zeros(1, np.int64))
    steps: list[Step] = []
    while part.numbers.size < states:
        arcs = part.expand()
        new = arcs.candidate >= 0
        steps.append((arcs.state[new], arcs.move[new]))
        part.keep(arcs.candidate[new], np.arange(new.sum()))
    return steps, part.numbers


def transitions(part: Part) -> dict[tuple[int, int], bytes]:
    """The key of the state after each move, by the number of the state before it and by the move."""
    arcs = part.expand()
    return {(s, m): k.tobytes() for s, m, k in zip(arcs.state.tolist(), arcs.move.tolist(), arcs.keys, strict=True)}
