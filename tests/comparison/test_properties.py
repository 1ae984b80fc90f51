"""Rules that hold for any two inputs."""

from __future__ import annotations

import gzip
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.comparison.kinds import Kind
from fwpages.comparison.scripts import MAX_COMPARED, script
from fwpages.comparison.values import Outcome
from tests.comparison.traced import compared, in_order, mirrored, random_run
from tests.conftest import GOLDEN

pytestmark = pytest.mark.many_runs

LOGS = sorted(p for p in GOLDEN.iterdir() if p.is_file() and p.name.startswith("linux"))
#: lines of two hosts that take turns are refused, whatever they are compared with
CASES = sorted(p for p in (GOLDEN / "cases").glob("*.txt") if p.name != "two-hosts-by-prefix.txt")
SEEDS = st.integers(0, 25)


def content(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def cut(data: bytes, share: float) -> bytes:
    """The first lines of an input, with a part of the next."""
    return data[: max(1, int(len(data) * share))]


@settings(max_examples=12)
@given(SEEDS, st.floats(0.2, 1))
def test_a_run_does_not_differ_from_itself_nor_does_a_part_of_it(seed: int, share: float) -> None:
    data = cut(random_run(seed), share)
    if data.count(b"\n") > 1:  # a header alone is refused
        assert compared(data, data).differences == []


@pytest.mark.parametrize("path", [*LOGS, *CASES], ids=lambda p: p.name)
@pytest.mark.parametrize("share", [1, 0.6])
def test_a_log_does_not_differ_from_itself_nor_does_a_part_of_it(path: Path, share: float) -> None:
    data = cut(content(path), share)
    assert compared(data, data).differences == []


@settings(max_examples=12)
@given(SEEDS, SEEDS)
def test_inputs_that_change_places_give_the_mirror_image(one: int, other: int) -> None:
    a, b = random_run(one), random_run(other)
    assert in_order(compared(b, a)) == in_order(mirrored(compared(a, b)))


@pytest.mark.parametrize(("one", "other"), list(combinations(LOGS, 2)), ids=lambda p: p.name)
def test_logs_that_change_places_give_the_mirror_image(one: Path, other: Path) -> None:
    a, b = content(one), content(other)
    assert in_order(compared(b, a)) == in_order(mirrored(compared(a, b)))


@settings(max_examples=12)
@given(SEEDS, st.floats(0.1, 0.95))
def test_a_trace_that_is_cut_is_never_equal_to_the_whole(seed: int, share: float) -> None:
    data = random_run(seed)
    part = cut(data, share)
    if part.count(b"\n") > 1:  # a header alone is refused
        assert compared(part, data).outcome is not Outcome.EQUAL


@pytest.mark.parametrize("path", LOGS, ids=lambda p: p.name)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_a_log_that_is_cut_in_the_middle_is_never_equal_to_the_whole(path: Path, share: float) -> None:
    data = content(path)
    assert compared(cut(data, share), data).outcome is not Outcome.EQUAL


@pytest.mark.parametrize("path", [p for p in LOGS if ".dmesg" in p.name], ids=lambda p: p.name)
def test_a_log_without_its_first_half_is_never_equal_to_the_whole(path: Path) -> None:
    data = content(path)
    assert compared(data[len(data) // 2 :], data).outcome is not Outcome.EQUAL


STEPS = st.lists(st.sampled_from(["GIVE 1 to own", "GIVE 2 to own", "TAKE 1 of vf0"]), max_size=30)


@settings(max_examples=40)
@given(STEPS, STEPS)
def test_a_script_leads_from_one_sequence_to_the_other(a: list[str], b: list[str]) -> None:
    made = list(a)
    for e in reversed(script(a, b)):
        assert e.steps_a == a[e.at_a - 1 : e.at_a - 1 + e.count_a][: len(e.steps_a)]
        made[e.at_a - 1 : e.at_a - 1 + e.count_a] = b[e.at_b - 1 : e.at_b - 1 + e.count_b]
    assert made == b


def test_long_sequences_are_compared_between_the_first_and_the_last_step_that_differ() -> None:
    same = [f"GIVE {n} to own" for n in range(2 * MAX_COMPARED)]
    changed = [*same[:5], "TAKE 1 of own", *same[6:]]
    (one,) = script(same, changed)
    assert (one.at_a, one.count_a, one.count_b) == (6, 1, 1)
    other = [f"TAKE {n} of own" for n in range(2 * MAX_COMPARED)]
    (whole,) = script([*same, "end"], [*other, "end"])
    assert (whole.count_a, whole.count_b) == (len(same), len(other))
    assert len(whole.steps_a) < len(same)


def test_every_kind_says_what_it_means_and_what_to_look_at() -> None:
    assert all(kind.meaning and kind.look_at for kind in Kind)
