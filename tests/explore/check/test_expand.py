from __future__ import annotations

from fwpages.explore.check import expand as expanding
from fwpages.explore.check.expand import FREE, USER, expand, freedom, kind_of, seen
from fwpages.explore.model.world import Act, World
from fwpages.scenario import load
from tests.explore.small import HEAD, LIFE, at, made, small, steps


def looking_for(expect: str) -> expanding.Tests:
    return expanding.Tests(load("x", HEAD + steps(*LIFE) + f"[expect]\n{expect}\n"))


def test_each_transition_says_who_moves_and_where_it_leads() -> None:
    w = at("life", "open")
    arcs = list(expand(w, looking_for(""), lambda _: False))
    assert [(a.move, a.kind, a.free) for a in arcs] == [(0, "user", USER)]
    assert isinstance(arcs[0].state, World)
    assert arcs[0].state.key() == arcs[0].key


def test_what_is_known_is_not_looked_at_again() -> None:
    w = at("life", "open")
    (arc,) = expand(w, looking_for(""), lambda _: True)
    assert (arc.state, arc.bad, arc.content) == (None, (), 0)


def test_a_broken_step_is_told_and_its_state_left_alone() -> None:
    w = at("life", "open", before=1)
    (arc,) = expand(w, looking_for('never = ["open"]\nsometimes = ["open"]'), lambda _: False)
    assert [name for name, _ in arc.fault] == ["open"]
    assert arc.reached == ("open",)
    assert arc.state is None


def test_a_state_that_must_not_be_is_told_with_the_state() -> None:
    w = at("life", "given", before=1)
    arcs = list(expand(w, looking_for('never = ["busy"]\neventually = ["operations-end"]'), lambda _: False))
    assert {name for a in arcs for name, _ in a.bad} == {"busy"}


def test_contentment_is_a_bit_for_each_goal() -> None:
    tests = looking_for('eventually = ["operations-end", "agree-again"]')
    assert tests.content(small("life").build()) == 0b11
    assert tests.content(at("life", "given")) == 0b00 | (tests.goals[0](at("life", "given")) is None) | 0


def test_always_and_never_forbid_alike_and_once() -> None:
    tests = looking_for('always = ["custody"]\nnever = ["custody", "early-end"]')
    assert [n for n, _ in tests.bad_states] == ["custody"]
    assert [n for n, _ in tests.bad_steps] == ["early-end"]
    assert seen(tests.bad_states, small("life").build()) == ()


def test_kinds_are_the_processes() -> None:
    assert kind_of(("thread", "pages")) == "thread pages"
    assert kind_of(("answer", 3)) == "answer"


def test_nobody_has_to_let_anything_go_wrong() -> None:
    quiet, busy = small("life").build(), at("life", "given")
    assert freedom(quiet, ("user", "driver")) == USER
    assert freedom(quiet, ("time",)) == 0
    assert freedom(busy, ("time",)) == FREE
    due: list[Act] = [("device", 1), ("answer", 1), ("request",), ("map",), ("reset",), ("lost",), ("thread", "pages")]
    for act in due:
        assert freedom(busy, act) == 0
    wrong: list[Act] = [("device", 1, "x"), ("answer", 1, "x"), ("request", "x"), ("map", "x"), ("reset", "x")]
    for act in (*wrong, ("give up", 1, "x")):
        assert freedom(busy, act) == FREE


def test_a_made_world_is_small() -> None:
    assert made(HEAD + steps("open")).rules().lanes == ("driver",)
