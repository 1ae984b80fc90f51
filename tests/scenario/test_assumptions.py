"""Switches of a world: how each stands, and what is there under it."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.scenario import Scenario, load
from fwpages.scenario.assumptions import ASSUMPTIONS, assumed, under
from fwpages.scenario.format import Switch

SWITCHES: tuple[Switch, ...] = get_args(Switch)
overrides = st.dictionaries(st.sampled_from(SWITCHES), st.booleans())

HEAD = '[device]\nprofile = "connectx7"\n[[step]]\ndo = "open"\n'


def scenario(*rows: str, assume: dict[Switch, bool] | None = None) -> Scenario:
    table = "".join(f"{name} = {str(on).lower()}\n" for name, on in (assume or {}).items())
    return load("test", text=HEAD + "".join(f"{row}\n" for row in rows) + f"[assume]\n{table}")


def function(name: str, vhca_id: int, when: str = "") -> str:
    row = f'[[function]]\nname = "{name}"\ntype = "vf"\nindex = {vhca_id}\nvhca_id = {vhca_id}'
    return row + (f'\nwhen = "{when}"' if when else "")


#: for each switch a function, a step and a fault that are there when it is on, and as many when it is off
def both_ways(assume: dict[Switch, bool] | None = None) -> Scenario:
    rows = []
    for n, name in enumerate(SWITCHES):
        for off in (0, 1):
            when = f"not {name}" if off else name
            rows.append(function(f"f{n}-{off}", 2 * n + off + 1, when))
            rows.append(f'[[step]]\ndo = "wait"\nseconds = {2 * n + off}\nwhen = "{when}"')
            rows.append(f'[[fault]]\nname = "give-lost"\nat = {2 * n + off + 1}\nwhen = "{when}"')
    return scenario(*rows, function("always", 0x77), assume=assume)


def test_every_switch_of_the_format_has_its_meaning_on_and_off() -> None:
    assert tuple(ASSUMPTIONS) == SWITCHES
    for a in ASSUMPTIONS.values():
        assert a.on != a.off
        assert a.source


@settings(max_examples=30)
@given(in_file=overrides, turned=overrides)
def test_the_run_overrides_the_file_and_the_file_the_default(
    in_file: dict[Switch, bool], turned: dict[Switch, bool]
) -> None:
    stands = assumed(scenario(assume=in_file), turned)
    assert list(stands) == list(SWITCHES), "always in the same order: a replay string counts on it"
    for name, a in ASSUMPTIONS.items():
        assert stands[name] is turned.get(name, in_file.get(name, a.default))


@settings(max_examples=30)
@given(in_file=overrides, turned=overrides)
def test_of_what_is_there_under_a_switch_and_under_its_opposite_one_stays(
    in_file: dict[Switch, bool], turned: dict[Switch, bool]
) -> None:
    s = both_ways(in_file)
    stands, left = assumed(s, turned), under(s, turned)
    kept = [2 * n + (not stands[name]) for n, name in enumerate(SWITCHES)]
    assert [f.vhca_id for f in left.function] == [*(n + 1 for n in kept), 0x77]
    assert [step.seconds for step in left.step[1:] if hasattr(step, "seconds")] == kept
    assert [f.at for f in left.fault] == [n + 1 for n in kept]


@settings(max_examples=30)
@given(turned=overrides)
def test_what_is_left_asks_nothing_more(turned: dict[Switch, bool]) -> None:
    """A second look, whatever is assumed by then, finds the same; all else is as it was."""
    s = both_ways({"another_ahead": False})
    left = under(s, turned)
    assert not [x.when for x in (*left.function, *left.step, *left.fault) if x.when is not None]
    opposite = {name: not on for name, on in assumed(s, turned).items()}
    assert under(left, opposite) == left
    assert (left.device, left.bounds, left.assume, left.expect) == (s.device, s.bounds, s.assume, s.expect)


def test_a_switch_that_is_not_set_is_off() -> None:
    """It is left to each design; in a scenario that is lived there is none, and what asks for it is not there."""
    s = scenario(function("on", 1, "keeps_vhca_id"), function("off", 2, "not keeps_vhca_id"))
    assert assumed(s)["keeps_vhca_id"] is None
    assert [f.name for f in under(s).function] == ["off"]
    assert [f.name for f in under(s, {"keeps_vhca_id": True}).function] == ["on"]


def test_a_scenario_without_conditions_is_left_as_it_is() -> None:
    s = load("reset")
    assert under(s) == s


@pytest.mark.parametrize("when", ["colour", "not", "not not never_uplink", "never_uplink ", "Not never_uplink", ""])
def test_a_condition_is_a_switch_or_not_a_switch(when: str) -> None:
    text = HEAD + f'[[step]]\ndo = "close"\nwhen = "{when}"\n'
    with pytest.raises(ValueError, match=r"step\[1\]\.when"):
        load("test", text=text)
