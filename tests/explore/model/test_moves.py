from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.explore.model.driver import NotQueued
from fwpages.explore.model.moves import (
    AnswerArrives,
    DeviceIsReset,
    DeviceTakes,
    Freedom,
    LinkGivesUp,
    MemoryIsMapped,
    Move,
    RequestArrives,
    TimePasses,
    UserActs,
    moves,
    take,
)
from fwpages.explore.model.world import Reach, World
from fwpages.host import Aborted, Answered, Fenced, LinkLost, Mapped, PageRequest, Tick
from tests.explore.small_worlds import DESIGNS, HEAD, SESSION, WORLDS, at, made, random_path, small, steps


def faulty(*names: str, times: int = 1, bounds: str = "", design: str = "fwpages") -> World:
    faults = "".join(f'[[fault]]\nname = "{n}"\ntimes = {times}\n' for n in names)
    return made(HEAD + steps(*SESSION) + faults + f"[bounds]\n{bounds}\n", design).build()


def fault_of(move: Move) -> str | None:
    return None if (fault := getattr(move, "fault", None)) is None else str(fault.name)


def until(w: World, kind: type[Move], fault: str | None = None) -> tuple[World, Move]:
    """On by moves without a fault, until such a move is offered."""
    for _ in range(300):
        for move in moves(w):
            if isinstance(move, kind) and fault_of(move) == fault and take(w, move) is not None:
                return w, move
        ordinary = (move for move in moves(w) if move.freedom(w) is not Freedom.OPTIONAL)
        w = next(x for move in ordinary if (x := take(w, move)) is not None)
    raise AssertionError(f"{kind} is never offered")


def after(w: World, kind: type[Move], fault: str | None = None) -> World:
    w, move = until(w, kind, fault)
    new = take(w, move)
    assert new is not None
    return new


@settings(max_examples=30)
@given(st.sampled_from(sorted(WORLDS)), st.sampled_from(DESIGNS), st.integers(0, 2**32), st.integers(0, 90))
def test_choices_come_in_one_order_and_once(name: str, design: str, seed: int, most: int) -> None:
    _, w = random_path(small(name, design), seed, most)
    acts = moves(w)
    assert len(set(acts)) == len(acts)
    assert moves(w.clone()) == acts


@pytest.mark.parametrize(
    ("kind", "fault", "expected"),
    [
        (DeviceTakes, None, None),
        (AnswerArrives, None, Answered),
        (RequestArrives, None, PageRequest),
        (UserActs, None, None),
        (AnswerArrives, "answer-twice", Answered),
        (AnswerArrives, "answer-garbled", Answered),
        (LinkGivesUp, "give-aborted-lost", Aborted),
        (LinkGivesUp, "give-aborted-done", Aborted),
        (LinkGivesUp, "link-lost", LinkLost),
        (RequestArrives, "request-twice", PageRequest),
        (RequestArrives, "request-not-queued", NotQueued),
        (MemoryIsMapped, None, Mapped),
        (MemoryIsMapped, "map-fails", Mapped),
        (MemoryIsMapped, "map-elsewhere", Mapped),
        (DeviceTakes, "give-refused", None),
    ],
)
def test_a_move_feeds_the_driver_its_input(kind: type[Move], fault: str | None, expected: type | None) -> None:
    w = faulty(*([fault] if fault else ["map-fails"] if kind is MemoryIsMapped else []))
    new = after(w, kind, fault)
    assert expected is None or expected in [type(x) for x in new.driver_inputs]
    assert new.faultless is (fault is None)
    assert new.faults_left == 1 - (fault is not None)


def test_faults_are_not_offered_when_they_are_used_up() -> None:
    w = faulty("give-refused", "give-aborted-lost", "request-lost", bounds="faults = 0")
    for _ in range(80):
        acts = moves(w)
        assert not [a for a in acts if fault_of(a) is not None]
        found = [x for a in acts if (x := take(w, a)) is not None]
        if not found:
            break
        w = found[0]


def test_a_lost_request_is_seen_by_neither_side() -> None:
    new = after(faulty("request-lost"), RequestArrives, "request-lost")
    assert not new.driver_inputs
    assert not [x for x in new.inbox if isinstance(x, PageRequest)]


def test_an_answer_that_comes_twice_is_still_pending() -> None:
    new = after(faulty("answer-twice"), AnswerArrives, "answer-twice")
    assert new.driver_inputs[0] in new.inbox


def test_a_lasting_fault_is_chosen_and_counted_once() -> None:
    new = after(faulty("give-refused", times=0), DeviceTakes, "give-refused")
    assert new.lasting == ("give-refused",)
    assert new.faults_left == 0
    assert not [a for a in moves(new) if fault_of(a) == "give-refused"]


@pytest.mark.parametrize("name", ["link-lost", "link-lost-for-good"])
def test_a_device_that_is_gone_answers_only_after_a_reset(name: str) -> None:
    new = after(faulty(name), LinkGivesUp, name)
    assert new.reach is (Reach.UNTIL_RESET if name == "link-lost" else Reach.NEVER_AGAIN)
    assert not new.sent
    reset = after(new, DeviceIsReset)
    assert any(isinstance(x, Fenced) for x in reset.driver_inputs) is (name == "link-lost")


def test_a_command_given_up_and_carried_out_has_no_answer() -> None:
    w = after(faulty("give-aborted-done"), LinkGivesUp, "give-aborted-done")
    (n,) = w.given_up
    done = take(w, DeviceTakes(n))
    assert done is not None
    assert not [x for x in done.inbox if isinstance(x, Answered) and x.id == n]
    assert sum(p.size for p in done.firmware.holds().values()) > sum(p.size for p in w.firmware.holds().values())


def test_time_goes_on_by_itself_only_when_nothing_else_can() -> None:
    w, _ = until(faulty(), DeviceTakes)
    assert TimePasses() not in moves(w)
    w, _ = until(faulty(bounds="timeouts = 1"), DeviceTakes)
    assert TimePasses() in moves(w)
    late = take(w, TimePasses())
    assert late is not None
    assert isinstance(late.driver_inputs[0], Tick)
    assert late.timeouts_left == 0
    assert late.now == w.driver.deadline
    assert TimePasses() not in moves(replace(late, timeouts_left=0)) or late.quiet


def test_answers_overtake_requests_only_where_the_link_lets_them() -> None:
    def overtaken(design: str) -> bool:
        """An answer that came about after a request may be handed over before it."""
        w, _ = until(small("session", design).build(), RequestArrives)
        waiting: list[World] = [w]
        for _ in range(4):
            for x in waiting:
                first = next((n for n, y in enumerate(x.inbox) if isinstance(y, PageRequest)), 99)
                behind = [y.id for y in x.inbox[first:] if isinstance(y, Answered)]
                if any(AnswerArrives(n) in moves(x) for n in behind):
                    return True
            waiting = [
                y
                for w in waiting
                for a in moves(w)
                if not isinstance(a, RequestArrives) and (y := take(w, a)) is not None
            ]
        return False

    assert not overtaken("fwpages")
    assert overtaken("merged")


def test_a_user_waits_for_its_own_operation_and_for_the_moment() -> None:
    w = small("session").build()
    (first,) = moves(w)
    opening = take(w, first)
    assert opening is not None
    assert not [a for a in moves(opening) if isinstance(a, UserActs)]
    assert UserActs("eswitch") in moves(at("session", "open"))
    assert UserActs("driver") not in moves(at("session", "open"))


def test_misuse_is_no_move() -> None:
    w = made(HEAD + steps("open", "enable vf0")).build()
    assert UserActs("eswitch") in moves(w)
    assert take(w, UserActs("eswitch")) is None


def test_a_function_asks_only_while_it_can() -> None:
    w = made(HEAD + steps("open", "request vf0 1")).build()
    assert take(w, UserActs("vf0")) is None
    assert take(at("session", "enabled"), UserActs("eswitch")) is not None


def test_answers_are_kept_until_the_function_has_its_pages() -> None:
    w = made(HEAD + steps(*SESSION), vport_command_waits=True).build()
    for _ in range(200):
        if w.held_back:
            break
        w = next(x for a in moves(w) if (x := take(w, a)) is not None)
    assert [x.function for x in w.held_back] == ["vf0"]
    while w.held_back:
        w = next(x for a in moves(w) if not isinstance(a, UserActs) and (x := take(w, a)) is not None)
    assert w.firmware.inner.held("vf0") == 1
