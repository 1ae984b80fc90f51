from __future__ import annotations

import pytest

from fwpages.explore.model.plan import Deed
from fwpages.host import DisableVport, EnableVport, HealthFatal, LinkLost, Open
from fwpages.host.io import CLOSE, OPEN
from fwpages.scenario import ScenarioError
from tests.explore.small_worlds import HEAD, made, steps


def lanes(*deeds: str, more: str = "") -> dict[str, tuple[Deed, ...]]:
    return dict(made(HEAD + more + steps(*deeds)).rules().plan)


def test_every_user_has_a_row_of_its_own() -> None:
    found = lanes("open", "enable vf0", "request vf0 2", "request self 1", "disable vf0", "reset vf0", "close")
    assert {lane: [d.words for d in deeds] for lane, deeds in found.items()} == {
        "driver": ["open", "close"],
        "eswitch": ["enable vf0", "disable vf0"],
        "vf0": ["vf0 wants 2 pages", "reset of vf0"],
        "self": ["self wants 1 page"],
    }
    assert [d.act for d in found["eswitch"]] == [EnableVport(1), DisableVport(1)]
    assert [d.awaits for d in found["driver"]] == [OPEN, CLOSE]
    assert found["vf0"][0].awaits is None


def test_users_without_deeds_are_not_there() -> None:
    assert list(lanes("open")) == ["driver"]


def test_a_pattern_stands_for_each_function_that_fits() -> None:
    more = '[[function]]\nname = "vf1"\ntype = "vf"\nindex = 1\nvhca_id = 0x32\n'
    found = lanes("open", "enable vf*", "request * 1", more=more)
    assert [d.words for d in found["eswitch"]] == ["enable vf0", "enable vf1"]
    assert {"vf0", "vf1", "self"} <= found.keys()


def test_what_goes_wrong_with_the_device_is_the_drivers_to_hear() -> None:
    found = lanes("open", "health", "lose-link")
    assert isinstance(found["driver"][0].act, Open)
    assert isinstance(found["driver"][1].act, HealthFatal)
    assert isinstance(found["driver"][2].act, LinkLost)
    assert [d.awaits for d in found["driver"]] == [OPEN, None, None]


def test_a_step_that_does_not_settle_is_not_waited_for() -> None:
    plan = made(HEAD + '[[step]]\ndo = "open"\nsettle = false\n').rules().plan
    assert plan["driver"][0].awaits is None


def test_the_plan_says_how_a_device_is_closed() -> None:
    plan = made(HEAD + steps("open") + '[[step]]\ndo = "close"\nhow = "forced"\n').rules().plan
    assert plan["driver"][1].words == "close (forced)"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("at = 1.0", "step[1]: a world has no clock"),
        ("command = 3", "step[1]: a world has no clock"),
    ],
)
def test_a_world_has_no_clock(more: str, says: str) -> None:
    with pytest.raises(ScenarioError) as e:
        made(HEAD + steps("open") + f'[[step]]\ndo = "close"\n{more}\n').rules()
    assert str(e.value).startswith(says)


def test_nor_can_anybody_wait() -> None:
    with pytest.raises(ScenarioError, match="a world has no clock"):
        made(HEAD + '[[step]]\ndo = "wait"\nseconds = 1\n').rules()


def test_a_function_that_is_not_there() -> None:
    with pytest.raises(ScenarioError, match=r"step\[0\]\.function: 'vf9' fits none of vf0"):
        lanes("enable vf9")


@pytest.mark.parametrize("moment", ["opened", "enable vf7", "", "request", "reset vf0"])
def test_a_moment_that_never_comes_is_refused(moment: str) -> None:
    """Else a step is never taken for want of a letter, and what it would have done is not reachable."""
    with pytest.raises(
        ScenarioError, match=r"step\[1\]\.after: .* never happens; there are open, close, request self, en"
    ):
        made(
            HEAD + '[[step]]\ndo = "open"\n' + f'[[step]]\ndo = "enable"\nfunction = "vf0"\nafter = "{moment}"\n'
        ).rules()
