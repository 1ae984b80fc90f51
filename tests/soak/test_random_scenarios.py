"""Random scenarios, with faults and without, every invariant looked at after every input; ``make soak`` has more."""

from __future__ import annotations

import pytest

from fwpages.scenario import Scenario, load
from tests.soak.random_scenarios import carry_out, scenario
from tests.soak.shrink import shrink, toml

CHUNK = 25


@pytest.mark.parametrize("first", range(0, 300, CHUNK))
def test_random_runs(first: int) -> None:
    for seed in range(first, first + CHUNK):
        carry_out(*scenario(seed, 12, faults=seed % 4 > 0))


def test_a_seed_gives_one_run() -> None:
    assert scenario(7, 30) == scenario(7, 30)
    assert scenario(7, 30) != scenario(8, 30)


def test_a_failure_is_shortened_to_what_it_needs() -> None:
    plan, _ = scenario(3, 40)

    def fails(p: Scenario) -> bool:
        return any(s.__struct_config__.tag == "request" for s in p.step)

    small = shrink(plan, fails)
    assert [s.__struct_config__.tag for s in small.step] == ["request"]
    assert not small.function
    assert not small.fault


def test_a_failure_is_written_as_a_scenario_file() -> None:
    for seed in range(20):
        plan, _ = scenario(seed, 20)
        assert load("seed", text=toml(plan)) == plan
