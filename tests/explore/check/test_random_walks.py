from __future__ import annotations

import pytest

from fwpages.explore.check.random_walks import random_walks
from fwpages.explore.check.replay import decode, encode, walk
from fwpages.explore.check.search import search
from fwpages.explore.show.report import walked
from tests.explore.small_worlds import DESIGNS, HEAD, SESSION, made, small, steps

pytestmark = pytest.mark.many_runs

BROKEN = HEAD + steps(*SESSION) + '[expect]\nnever = ["late-return"]\nsometimes = ["open", "closed"]\n'


@pytest.mark.parametrize("design", DESIGNS)
def test_what_they_meet_can_be_walked_again(design: str) -> None:
    spec = made(BROKEN, design)
    walks = random_walks(spec, 25, 1)
    found = walks.broken["late-return"]
    _, path = decode(spec, encode(spec, found.path))
    assert len(list(walk(spec, path))) == len(found.path)
    assert len(found.path) >= len(search(spec).broken["late-return"].path)
    assert "open" in walks.reached


def test_equal_seeds_walk_alike_and_others_otherwise() -> None:
    spec = small("asks")
    progress: list[tuple[int, int]] = []
    six = random_walks(spec, 6, 5, watch=lambda n, s: progress.append((n, s)))
    assert random_walks(spec, 6, 5) == six
    assert random_walks(spec, 6, 6).steps != six.steps
    assert progress[-1] == (6, six.steps)
    assert progress[2] == (3, random_walks(spec, 3, 5).steps)


def test_a_walk_that_does_not_end_is_cut() -> None:
    walks = random_walks(small("session"), 5, 0, longest=10)
    assert (walks.longest, walks.cut, walks.steps) == (10, 5, 50)


def test_they_never_say_that_something_holds() -> None:
    report = walked(random_walks(small("session"), 10, 0))
    assert not report.complete
    assert report.verdict == "open"
    assert {p.verdict for p in report.properties} <= {"open", "reached"}
    assert report.states is None


def test_a_fault_strikes_now_and_then_and_not_always_at_first() -> None:
    spec = small("unanswered")
    walks = [random_walks(spec, 1, seed) for seed in range(20)]
    faulty = sum("fault" in w.reached for w in walks)
    assert 0 < faulty < 20
