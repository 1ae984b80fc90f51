from __future__ import annotations

import pytest

from fwpages.explore.check import expand as expanding
from fwpages.explore.check.expand import seen
from fwpages.explore.check.replay import walk
from fwpages.explore.check.search import search
from fwpages.explore.model.moves import moves, take
from fwpages.explore.model.spec import Spec
from tests.explore.small_worlds import DESIGNS, HEAD, SESSION, WORLDS, found, made, small, steps

POINTS = ("open", "given", "enabled", "disabled", "late-return")


def brute(spec: Spec) -> dict[str, int]:
    """Steps of a shortest path to each point, by trying every order without comparing states."""
    level = [spec.build()]
    left = list(expanding.Tests(spec.scenario).points)
    depths: dict[str, int] = {}
    for depth in range(1, 200):
        level = [x for w in level for act in moves(w) if (x := take(w, act)) is not None]
        assert len(level) < 20_000
        depths |= {name: depth for w in level for name, _ in seen(left, w)}
        left = [(name, test) for name, test in left if name not in depths]
        if not left:
            return depths
    raise AssertionError(left)


@pytest.mark.many_runs
@pytest.mark.parametrize("design", DESIGNS)
def test_the_first_path_is_a_shortest(design: str) -> None:
    spec = made(HEAD + steps(*SESSION) + f"[expect]\nsometimes = {list(POINTS)}\n", design)
    reached = search(spec).reached
    assert reached.keys() == {*POINTS}
    assert {name: len(path) for name, path in reached.items()} == brute(spec)


@pytest.mark.many_runs
@pytest.mark.parametrize("design", DESIGNS)
def test_a_second_search_finds_the_same(design: str) -> None:
    assert search(small("session", design)) == found("session", design)


@pytest.mark.many_runs
@pytest.mark.parametrize("name", WORLDS)
def test_counts_are_of_states_and_levels(name: str) -> None:
    levels: list[tuple[int, int, int, int]] = []
    outcome = search(small(name), watch=lambda *level: levels.append(level))
    assert outcome.complete
    assert sum(outcome.levels) == outcome.states
    assert outcome.states <= outcome.transitions + 1
    assert levels[-1][1:] == (outcome.states, outcome.transitions, 0)
    assert [level[1] for level in levels] == sorted(level[1] for level in levels)


def test_a_path_leads_to_what_was_seen() -> None:
    spec = made(HEAD + steps(*SESSION) + '[expect]\nnever = ["taken"]\n')
    broken = search(spec).broken["taken"]
    *before, last = walk(spec, broken.path)
    tests = expanding.Tests(spec.scenario)
    assert seen(tests.bad_steps, last.after) == (("taken", broken.seen),)
    assert not [x for x in before if seen(tests.bad_steps, x.after)]


def test_nothing_follows_a_broken_step() -> None:
    outcome = search(made(HEAD + steps(*SESSION) + '[expect]\nnever = ["open"]\nsometimes = ["closed"]\n'))
    assert outcome.complete
    assert outcome.broken.keys() == {"open"}
    assert outcome.missed == ("closed",)
    assert not outcome.holds


def test_a_broken_step_is_no_dead_end() -> None:
    text = HEAD + steps(*SESSION) + '[expect]\nnever = ["open"]\neventually = ["operations-end", "agree-again"]\n'
    for design in DESIGNS:
        assert search(made(text, design)).broken.keys() == {"open"}


def test_a_state_that_must_not_be_is_not_gone_on_from() -> None:
    outcome = search(made(HEAD + steps(*SESSION) + '[expect]\nnever = ["busy"]\n'))
    assert (outcome.states, outcome.transitions, outcome.levels) == (1, 1, (1,))
    assert len(outcome.broken["busy"].path) == 1


def test_a_world_that_is_broken_from_the_start() -> None:
    text = HEAD + steps("open") + '[expect]\nnever = ["closed"]\n'
    spec = made(text)
    outcome = search(spec)
    assert outcome.holds
    # the first state is looked at as every other
    root = spec.build()
    assert seen([("x", lambda _: "seen")], root) == (("x", "seen"),)


def test_it_stops_at_its_bound_and_says_so() -> None:
    outcome = search(made(HEAD + steps(*SESSION) + "[bounds]\nstates = 50\n" + '[expect]\nsometimes = ["closed"]\n'))
    assert not outcome.complete
    assert not outcome.holds
    assert outcome.missed == ("closed",)
    assert 50 < outcome.states < 60
    assert sum(outcome.levels) == outcome.states


def test_a_bound_that_is_just_enough_is_enough() -> None:
    n = found("left").states
    text = WORLDS["left"]
    assert search(made(text + f"[bounds]\nstates = {n}\n")).complete
    assert not search(made(text + f"[bounds]\nstates = {n - 1}\n")).complete or n < 2


def test_an_unfinished_search_says_nothing_of_the_end() -> None:
    text = HEAD + steps("open", "lose-link") + "[bounds]\nstates = 40\n" + '[expect]\neventually = ["operations-end"]\n'
    assert not search(made(text)).broken


def test_something_that_never_ends_is_found() -> None:
    # firmware that waits for pages completes nothing when the request is lost
    text = (
        HEAD
        + steps("open", "enable vf0")
        + '[[fault]]\nname = "request-lost"\n[assume]\nvport_command_waits = true\n'
        + '[bounds]\ncommand = 1\n[expect]\neventually = ["agree-again"]\nnever = ["deadlock"]\nsometimes = ["fault"]\n'
    )
    outcomes = {d: search(made(text, d)) for d in DESIGNS}
    assert all(o.complete and not o.missed for o in outcomes.values())
    for spec_outcome in outcomes.values():
        for b in spec_outcome.broken.values():
            assert list(walk(spec_outcome.spec, b.path + b.loop))
