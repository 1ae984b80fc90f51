from __future__ import annotations

from fwpages.explore.check import expand as expanding
from fwpages.explore.check.expand import expand, seen
from fwpages.explore.model.moves import (
    AnswerArrives,
    DeviceIsReset,
    DeviceTakes,
    Freedom,
    LinkGivesUp,
    LossArrives,
    MemoryIsMapped,
    Move,
    RequestArrives,
    ThreadRuns,
    TimePasses,
    UserActs,
)
from fwpages.explore.model.world import World
from fwpages.scenario import load
from tests.explore.small_worlds import HEAD, SESSION, at, made, small, steps


def looking_for(expect: str) -> expanding.Tests:
    return expanding.Tests(load("x", HEAD + steps(*SESSION) + f"[expect]\n{expect}\n"))


def test_each_transition_says_who_moves_and_where_it_leads() -> None:
    w = at("session", "open")
    arcs = list(expand(w, looking_for(""), lambda _: False))
    assert [(a.move, a.process, a.freedom) for a in arcs] == [(0, "user", Freedom.USER)]
    assert isinstance(arcs[0].state, World)
    assert arcs[0].state.key() == arcs[0].key


def test_what_is_known_is_not_looked_at_again() -> None:
    w = at("session", "open")
    (arc,) = expand(w, looking_for(""), lambda _: True)
    assert (arc.state, arc.bad_state, arc.content) == (None, (), 0)


def test_a_broken_step_is_reported_and_its_state_left_alone() -> None:
    w = at("session", "open", before=1)
    (arc,) = expand(w, looking_for('never = ["open"]\nsometimes = ["open"]'), lambda _: False)
    assert [name for name, _ in arc.bad_step] == ["open"]
    assert arc.reached == ("open",)
    assert arc.state is None


def test_a_forbidden_state_is_reported_with_the_state() -> None:
    w = at("session", "given", before=1)
    arcs = list(expand(w, looking_for('never = ["busy"]\neventually = ["operations-end"]'), lambda _: False))
    assert {name for a in arcs for name, _ in a.bad_state} == {"busy"}


def test_contentment_is_a_bit_for_each_goal() -> None:
    tests = looking_for('eventually = ["operations-end", "agree-again"]')
    assert tests.content(small("session").build()) == 0b11
    assert tests.content(at("session", "given")) == 0b00 | (tests.goals[0](at("session", "given")) is None) | 0


def test_always_and_never_forbid_alike_and_once() -> None:
    tests = looking_for('always = ["custody"]\nnever = ["custody", "early-end"]')
    assert [n for n, _ in tests.bad_states] == ["custody"]
    assert [n for n, _ in tests.bad_steps] == ["early-end"]
    assert seen(tests.bad_states, small("session").build()) == ()


def test_a_move_with_a_fault_is_never_obliged() -> None:
    at_rest, busy = small("session").build(), at("session", "given")
    assert UserActs("driver").freedom(at_rest) is Freedom.USER
    assert TimePasses().freedom(at_rest) is Freedom.OBLIGED
    assert TimePasses().freedom(busy) is Freedom.OPTIONAL
    plain: list[Move] = [DeviceTakes(1), AnswerArrives(1), RequestArrives(), MemoryIsMapped(), DeviceIsReset()]
    for move in (*plain, LossArrives(), ThreadRuns("pages")):
        assert move.freedom(busy) is Freedom.OBLIGED
    rules = made(HEAD + steps(*SESSION) + "".join(f'[[fault]]\nname = "{name}"\n' for name in FAULTS)).rules()
    faulty: list[Move] = [DeviceTakes(1, f) for f in rules.command_faults]
    faulty += [LinkGivesUp(1, f) for f in rules.delivery_faults]
    faulty += [AnswerArrives(1, f) for f in rules.answer_faults]
    faulty += [RequestArrives(f) for f in rules.request_faults]
    faulty += [MemoryIsMapped(f) for f in rules.map_faults]
    faulty += [DeviceIsReset(f) for f in rules.reset_faults]
    assert len(faulty) == len(FAULTS)
    assert {move.freedom(busy) for move in faulty} == {Freedom.OPTIONAL}


FAULTS = ("give-refused", "link-lost", "answer-twice", "request-lost", "map-fails", "not-fenced")
