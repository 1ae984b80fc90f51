from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.explore.check.soundness import compare, twice
from fwpages.explore.designs.linux.driver import Linux
from fwpages.explore.model.library import load, names
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World
from tests.explore.small_worlds import DESIGNS, WORLDS, random_path, small

pytestmark = pytest.mark.many_runs

#: ours in each small world, and in turn one of the two models of Linux, whose keys are made by the same code
WHERE = [(name, d) for n, name in enumerate(WORLDS) for d in ("fwpages", ("posted", "merged")[n % 2])]


@pytest.mark.parametrize(("name", "design"), WHERE)
def test_equal_keys_mean_equal_futures(name: str, design: str) -> None:
    compared = compare(small(name, design), 450 if design == "fwpages" else 250)
    assert compared.unsound is None
    assert name in ("left", "timeout", "unmapped") or compared.again


@pytest.mark.parametrize("name", names())
def test_and_in_the_worlds_of_the_package(name: str) -> None:
    design = DESIGNS[names().index(name) % 3]
    assert compare(Spec(name, load(name), design), 100).unsound is None


@settings(max_examples=8)
@given(st.sampled_from(sorted(WORLDS)), st.sampled_from(DESIGNS), st.integers(0, 2**32), st.integers(0, 90))
def test_a_second_run_offers_the_same(name: str, design: str, seed: int, most: int) -> None:
    spec = small(name, design)
    path, _ = random_path(spec, seed, most)
    assert twice(spec, path) == ""


def test_a_world_key_that_leaves_something_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    key = World.key
    monkeypatch.setattr(World, "key", lambda w: key(replace(w, inbox=())))
    found = [compare(small("session", design), 350).unsound for design in DESIGNS]
    assert all(f is not None and f.difference and f.first != f.second for f in found)


@pytest.mark.parametrize("name", ["session", "left", "asks"])
def test_and_a_drivers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Linux, "key", lambda _: b"")
    assert compare(small(name, "merged"), 350).unsound is not None


def test_chance_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = iter(range(10_000))
    key = World.key
    monkeypatch.setattr(World, "key", lambda w: key(w) + bytes([next(turns) % 256]))
    assert twice(small("session"), (0, 0)).startswith("after step 0: ")
