"""Searches in which states that differ only in the order of commuting moves are one, beside searches of all states.

The models have many states: most of theirs are searched with the whole review (``make test-review``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from fwpages.explore.check.liveness import Graph
from fwpages.explore.check.replay import decode, encode
from fwpages.explore.check.rounds import closed
from fwpages.explore.check.search import search
from fwpages.explore.check.soundness import compare
from fwpages.explore.check.visited import as_keys
from fwpages.explore.model.library import load, names
from fwpages.explore.model.spec import Spec
from fwpages.explore.show.report import replayed
from tests.explore.small_worlds import DESIGNS, WORLDS, found, small

pytestmark = pytest.mark.many_runs

SOON = {("session", "merged"), ("left", "posted"), *((name, "fwpages") for name in WORLDS)}
EVERYWHERE = [
    pytest.param(name, design, marks=() if (name, design) in SOON else pytest.mark.whole_review)
    for name in WORLDS
    for design in DESIGNS
]


@pytest.mark.parametrize(("name", "design"), EVERYWHERE)
def test_verdicts_lengths_and_replay_strings_are_those_of_all_states(name: str, design: str) -> None:
    whole, reduced = found(name, design), search(replace(small(name, design), commuting=True))
    assert reduced.states <= whole.states
    assert (reduced.complete, reduced.missed) == (whole.complete, whole.missed)
    assert lengths(reduced.reached) == lengths(whole.reached)
    assert lengths({b.property: b.path for b in reduced.broken.values()}) == lengths(
        {b.property: b.path for b in whole.broken.values()}
    )
    spec = small(name, design)
    for broken in reduced.broken.values():
        its, path = decode(spec, encode(spec, broken.path + broken.loop))
        report = replayed(its, path)
        assert broken.property in (*report.broken, *report.never)


def lengths(paths: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    return {name: len(path) for name, path in paths.items()}


@pytest.mark.parametrize(("name", "design"), EVERYWHERE)
def test_states_of_one_reduced_key_have_equal_futures(name: str, design: str) -> None:
    most = 150 if (name, design) in SOON else 400
    assert compare(replace(small(name, design), commuting=True), most).unsound is None


@pytest.mark.whole_review
@pytest.mark.parametrize("name", names())
def test_and_in_worlds_of_the_package(name: str) -> None:
    design = DESIGNS[names().index(name) % 3]
    assert compare(Spec(name, load(name), design, commuting=True), 200).unsound is None


def test_it_has_fewer_states() -> None:
    spec = small("session", "merged")
    assert search(replace(spec, commuting=True)).states < found("session", "merged").states


def test_a_cycle_is_closed_in_the_world_itself() -> None:
    spec = replace(small("session"), commuting=True)
    with pytest.raises(RuntimeError, match="different futures"):
        closed(spec, (), as_keys(bytes(16)))


def test_the_states_along_some_moves() -> None:
    graph = Graph(0)

    numbers = np.array([0, 0, 1, 2])
    facts = np.array([0, 2, 1, 0], np.uint16), np.zeros(4, np.uint8), np.zeros(4, np.uint8)
    graph.arcs(numbers, np.array([1, 2, 2, 0]), facts)
    assert graph.along(0, [2, 0, 0, 1]) == [2, 0, 1, 2]
