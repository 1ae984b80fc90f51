from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.explore.check.expand import FREE, freedom
from fwpages.explore.model.driver import NotQueued
from fwpages.explore.model.moves import moves, take
from fwpages.explore.model.world import World
from fwpages.host import Aborted, Answered, Fenced, LinkLost, Mapped, PageRequest, Tick
from tests.explore.small import DESIGNS, HEAD, LIFE, WORLDS, at, made, small, steps, wander


def faulty(*names: str, times: int = 1, bounds: str = "", design: str = "fwpages") -> World:
    faults = "".join(f'[[fault]]\nname = "{n}"\ntimes = {times}\n' for n in names)
    return made(HEAD + steps(*LIFE) + faults + f"[bounds]\n{bounds}\n", design).build()


def until(w: World, kind: str, fault: str | None = None) -> tuple[World, tuple[str | int, ...]]:
    """On by what goes well, until such a move is offered."""
    for _ in range(300):
        acts = moves(w)
        for act in acts:
            fits = (fault is None) == (freedom(w, act) != FREE) and fault in (None, act[-1])
            if act[0] == kind and fits and take(w, act) is not None:
                return w, act
        w = next(x for act in acts if freedom(w, act) != FREE and (x := take(w, act)) is not None)
    raise AssertionError(f"{kind} is never offered")


def after(w: World, kind: str, fault: str | None = None) -> World:
    w, act = until(w, kind, fault)
    new = take(w, act)
    assert new is not None
    return new


@settings(max_examples=30)
@given(st.sampled_from(sorted(WORLDS)), st.sampled_from(DESIGNS), st.integers(0, 2**32), st.integers(0, 90))
def test_choices_come_in_one_order_and_once(name: str, design: str, seed: int, most: int) -> None:
    _, w = wander(small(name, design), seed, most)
    acts = moves(w)
    assert len(set(acts)) == len(acts)
    assert moves(w.clone()) == acts


@pytest.mark.parametrize(
    ("kind", "fault", "heard"),
    [
        ("device", None, None),
        ("answer", None, Answered),
        ("request", None, PageRequest),
        ("user", None, None),
        ("answer", "answer-twice", Answered),
        ("answer", "answer-garbled", Answered),
        ("give up", "give-aborted-lost", Aborted),
        ("give up", "give-aborted-done", Aborted),
        ("give up", "link-lost", LinkLost),
        ("request", "request-twice", PageRequest),
        ("request", "request-not-queued", NotQueued),
        ("map", None, Mapped),
        ("map", "map-fails", Mapped),
        ("map", "map-elsewhere", Mapped),
        ("device", "give-refused", None),
    ],
)
def test_what_a_driver_hears_of_a_move(kind: str, fault: str | None, heard: type | None) -> None:
    w = faulty(*([fault] if fault else ["map-fails"] if kind == "map" else []))
    new = after(w, kind, fault)
    said = [type(x) for x in new.said("driver<")]
    assert heard is None or heard in said
    assert new.sound is (fault is None)
    assert new.faults_left == 1 - (fault is not None)


def test_faults_are_not_offered_when_they_are_used_up() -> None:
    w = faulty("give-refused", "give-aborted-lost", "request-lost", bounds="faults = 0")
    for _ in range(80):
        acts = moves(w)
        assert not [a for a in acts if a[-1] in ("give-refused", "give-aborted-lost", "request-lost")]
        found = [x for a in acts if (x := take(w, a)) is not None]
        if not found:
            break
        w = found[0]


def test_a_lost_request_is_heard_of_by_nobody() -> None:
    new = after(faulty("request-lost"), "request", "request-lost")
    assert not new.said("driver<")
    assert not [x for x in new.inbox if isinstance(x, PageRequest)]


def test_what_comes_twice_is_there_again() -> None:
    new = after(faulty("answer-twice"), "answer", "answer-twice")
    again = new.said("driver<")[0]
    assert again in new.inbox


def test_a_fault_that_goes_on_strikes_again_for_nothing() -> None:
    new = after(faulty("give-refused", times=0), "device", "give-refused")
    assert new.struck == ("give-refused",)
    assert new.faults_left == 0
    assert not [a for a in moves(new) if a[-1] == "give-refused"]


@pytest.mark.parametrize("name", ["link-lost", "link-lost-for-good"])
def test_a_device_that_is_gone_answers_only_after_a_reset(name: str) -> None:
    new = after(faulty(name), "give up", name)
    assert new.gone == ("for good" if "good" in name else "until reset")
    assert not new.sent
    reset = after(new, "reset")
    assert any(isinstance(x, Fenced) for x in reset.said("driver<")) is (name == "link-lost")


def test_a_command_given_up_and_carried_out_has_no_answer() -> None:
    w = after(faulty("give-aborted-done"), "give up", "give-aborted-done")
    (n,) = w.deaf
    done = take(w, ("device", n))
    assert done is not None
    assert not [x for x in done.inbox if isinstance(x, Answered) and x.id == n]
    assert sum(p.size for p in done.firmware.holds().values()) > sum(p.size for p in w.firmware.holds().values())


def test_time_goes_on_by_itself_only_when_nothing_else_can() -> None:
    w, _ = until(faulty(), "device")
    assert ("time",) not in moves(w)
    w, _ = until(faulty(bounds="timeouts = 1"), "device")
    assert ("time",) in moves(w)
    late = take(w, ("time",))
    assert late is not None
    assert isinstance(late.said("driver<")[0], Tick)
    assert late.timeouts_left == 0
    assert late.now == w.driver.deadline
    assert ("time",) not in moves(replace(late, timeouts_left=0)) or late.quiet


def test_answers_overtake_requests_only_where_the_link_lets_them() -> None:
    def overtaken(design: str) -> bool:
        """An answer that came about after a request may be handed over before it."""
        w, _ = until(small("life", design).build(), "request")
        waiting: list[World] = [w]
        for _ in range(4):
            for x in waiting:
                first = next((n for n, y in enumerate(x.inbox) if isinstance(y, PageRequest)), 99)
                behind = [y.id for y in x.inbox[first:] if isinstance(y, Answered)]
                if any(("answer", n) in moves(x) for n in behind):
                    return True
            waiting = [y for w in waiting for a in moves(w) if a[0] != "request" and (y := take(w, a)) is not None]
        return False

    assert not overtaken("fwpages")
    assert overtaken("merged")


def test_a_user_waits_for_its_own_operation_and_for_the_moment() -> None:
    w = small("life").build()
    (first,) = moves(w)
    opening = take(w, first)
    assert opening is not None
    assert not [a for a in moves(opening) if a[0] == "user"]
    assert ("user", "eswitch") in moves(at("life", "open"))
    assert ("user", "driver") not in moves(at("life", "open"))


def test_misuse_is_no_move() -> None:
    w = made(HEAD + steps("open", "enable vf0")).build()
    assert ("user", "eswitch") in moves(w)
    assert take(w, ("user", "eswitch")) is None


def test_a_function_asks_only_while_it_can() -> None:
    w = made(HEAD + steps("open", "request vf0 1")).build()
    assert take(w, ("user", "vf0")) is None
    assert take(at("life", "enabled"), ("user", "eswitch")) is not None


def test_answers_are_kept_until_the_function_has_its_pages() -> None:
    w = made(HEAD + steps(*LIFE), vport_command_waits=True).build()
    for _ in range(200):
        if w.kept:
            break
        w = next(x for a in moves(w) if (x := take(w, a)) is not None)
    assert [name for name, _ in w.kept] == ["vf0"]
    while w.kept:
        w = next(x for a in moves(w) if a[0] != "user" and (x := take(w, a)) is not None)
    assert w.firmware.inner.held("vf0") == 1
