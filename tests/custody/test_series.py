"""Pages over time: a recorder thins without losing peaks or ends, and its series is bounded."""

from __future__ import annotations

import numpy as np
import pytest

from fwpages.custody.series import (
    MAX_FUNCTIONS,
    MAX_NUMBERS,
    PARTS,
    Label,
    Point,
    Recorder,
    Series,
    Span,
    series,
    within,
)
from fwpages.prm.identity import FunctionType


def labels(n: int, kind: FunctionType = FunctionType.VF) -> dict[object, Label]:
    return {i: Label(f"func:{i:#x}", 0, kind) for i in range(n)}


def drawn(recorder: Recorder, n: int, last: float) -> Series:
    return series(recorder, labels(n), Span(Point(0.0, 1), Point(last, int(last) + 2)))


def walk(changes: int, functions: int, seed: int) -> tuple[Recorder, np.ndarray[tuple[int, int], np.dtype[np.int64]]]:
    """A recorder of random changes, and the counts of each function after each of them."""
    chance = np.random.default_rng(seed)
    rec, counts = Recorder(), np.zeros((changes, functions), np.int64)
    now = np.zeros(functions, np.int64)
    for i in range(changes):
        which = int(chance.integers(functions))
        now[which] = max(0, now[which] + int(chance.integers(-500, 520)))
        counts[i] = now
        rec.note(which, int(now[which]), Point(float(i), i + 1))
    return rec, counts


@pytest.mark.parametrize(("changes", "functions"), [(50, 3), (5_000, 3), (40_000, 8), (20_000, 60)])
def test_thinning_keeps_peaks_and_ends_and_only_rows_that_were(changes: int, functions: int) -> None:
    rec, counts = walk(changes, functions, changes)
    s = drawn(rec, functions, float(changes))
    assert len(s.times) <= 4 * PARTS + MAX_FUNCTIONS + 2
    own = [f for f in s.functions if f.identity]
    for f in own:
        assert max(n or 0 for n in f.pages) == counts[:, int(f.identity[5:], 16)].max()
        assert f.pages[-1] == counts[-1, int(f.identity[5:], 16)]
    sums = [sum(f.pages[i] or 0 for f in s.functions) for i in range(len(s.times))]
    assert max(sums) == counts.sum(axis=1).max()
    assert sums[-1] == counts[-1].sum()
    for i, t in enumerate(s.times):
        if 0 < i < len(s.times) - 1:
            assert sums[i] == counts[int(t)].sum()
    assert s.thinned is (changes > 4 * PARTS)


def test_the_functions_with_the_highest_peaks_have_rows_and_the_rest_are_summed_by_type() -> None:
    rec, counts = walk(3_000, MAX_FUNCTIONS + 6, 7)
    s = drawn(rec, MAX_FUNCTIONS + 6, 3_000.0)
    rest = [f for f in s.functions if not f.identity]
    assert [(f.functions, f.type) for f in rest] == [(6, FunctionType.VF)]
    highest = sorted(counts.max(axis=0))[-MAX_FUNCTIONS:]
    assert sorted(max(n or 0 for n in f.pages) for f in s.functions if f.identity) == highest


def test_a_count_that_is_not_known_is_none_until_it_is_known_again() -> None:
    rec = Recorder()
    for t, n in ((1.0, 10), (2.0, None), (3.0, 4)):
        rec.note(0, n, Point(t, int(t)))
    s = drawn(rec, 1, 4.0)
    assert (s.times, s.functions[0].pages) == ([0.0, 1.0, 2.0, 3.0, 4.0], [0, 10, None, 4, 4])


def test_two_columns_of_one_function_are_one_row() -> None:
    rec = Recorder()
    rec.note("a", 3, Point(1.0, 1))
    rec.note("b", 4, Point(2.0, 2))
    one = Label("vhca:0x2a", 0, FunctionType.SELF)
    s = series(rec, {"a": one, "b": one}, Span(Point(0.0, 1), Point(2.0, 2)))
    assert [f.pages for f in s.functions] == [[0, 3, 7, 7][: len(s.times)]]


def test_lines_without_a_time_are_drawn_by_their_number_and_times_never_go_back() -> None:
    rec = Recorder()
    rec.note(0, 5, Point(None, 7))
    s = series(rec, labels(1), Span(Point(1.0, 2), Point(3.0, 9)))
    assert (s.axis, s.times) == ("line", [2.0, 7.0, 9.0])
    rec = Recorder()
    for t in (5.0, 4.0, 6.0):
        rec.note(0, int(t), Point(t, int(t)))
    assert drawn(rec, 1, 6.0).times == sorted(drawn(rec, 1, 6.0).times)


def test_a_clock_is_seconds_since_the_sessions_first_line() -> None:
    rec = Recorder()
    rec.note(0, 5, Point(1_000_003.5, 7))
    s = series(rec, labels(1), Span(Point(1_000_000.0, 2), Point(1_000_010.0, 9), "Nov 29 05:57:00"))
    assert (s.axis, s.origin, s.times) == ("elapsed", "Nov 29 05:57:00", [0.0, 3.5, 10.0])


def test_the_series_of_many_sessions_are_bounded_together_and_keep_their_peaks() -> None:
    rec, counts = walk(6_000, 20, 3)
    one = drawn(rec, 20, 6_000.0)
    several = within([one] * 60)
    assert sum(len(s.times) * (1 + len(s.functions)) for s in several if s is not None) <= MAX_NUMBERS * 1.3
    for s in several:
        assert s is not None
        assert s.thinned
        assert max(sum(f.pages[i] or 0 for f in s.functions) for i in range(len(s.times))) == counts.sum(axis=1).max()
