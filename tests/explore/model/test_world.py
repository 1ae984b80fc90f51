from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.explore.model.moves import UserActs, moves, take
from fwpages.explore.model.world import Reach
from fwpages.host import PageRequest
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import Identity, Mode
from fwpages.scenario.interpreter import Moment, MomentKind
from tests.explore.small_worlds import DESIGNS, WORLDS, at, random_path, small


@pytest.mark.parametrize("design", DESIGNS)
def test_at_first_only_a_user_can_act(design: str) -> None:
    w = small("session", design).build()
    assert w.quiet
    assert w.faultless
    assert moves(w) == [UserActs("driver")]
    assert (w.driver.view().busy, w.firmware.holds()) == ((), {})


@settings(max_examples=30)
@given(st.sampled_from(sorted(WORLDS)), st.sampled_from(DESIGNS), st.integers(0, 2**32), st.integers(0, 90))
def test_a_branch_leaves_the_world_as_it_was(name: str, design: str, seed: int, most: int) -> None:
    _, w = random_path(small(name, design), seed, most)
    key, log = w.key(), list(w.log)
    assert w.clone().key() == key
    first = [None if x is None else x.key() for x in (take(w, act) for act in moves(w))]
    assert (w.key(), w.log) == (key, log)
    assert [None if x is None else x.key() for x in (take(w, act) for act in moves(w))] == first


def test_what_was_said_last_is_no_part_of_a_state() -> None:
    w = at("session", "enabled")
    assert w.log
    assert replace(w, log=[]).key() == w.key()
    assert replace(w, session_commands=()).key() == w.key()


@pytest.mark.parametrize(
    "change",
    [
        {"faults_left": 0},
        {"timeouts_left": 3},
        {"next_deed": (9, 9)},
        {"reach": Reach.UNTIL_RESET},
        {"resets": 1},
        {"lasting": ("give-refused",)},
        {"moments": frozenset({Moment(MomentKind.CLOSE)})},
        {"found": frozenset({"give-failed"})},
        {"inbox": (PageRequest(1, PageRequestEvent(0x31, 1)),)},
    ],
    ids=str,
)
def test_what_decides_the_future_is_a_part_of_it(change: dict[str, object]) -> None:
    w = at("session", "enabled")
    assert replace(w, **change).key() != w.key()  # type: ignore[arg-type]  # each fits its field


def test_old_sessions_are_alike() -> None:
    w = replace(at("session", "enabled"), session=5)
    keys = [replace(w, inbox=(PageRequest(n, PageRequestEvent(0x31, 1)),)).key() for n in (3, 4, 5)]
    assert keys[0] == keys[1] != keys[2]


def test_functions_have_the_names_of_the_file() -> None:
    w = at("session", "enabled")
    assert w.name(Identity(Mode.VHCA_ID, 0x31)) == "vf0"
    assert w.name(Identity(Mode.FUNC_ID, 1)) == "vf0"
    assert w.name(Identity(Mode.FUNC_ID, 0)) == "self"
    assert w.name(Identity(Mode.VHCA_ID, 0x77)) == "vhca:0x77"


def test_findings_are_of_this_session() -> None:
    w = at("unanswered", "fault")
    assert not w.faultless
    assert w.found or w.log
