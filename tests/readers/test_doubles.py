"""Lines that a log holds twice, apart from those that were printed twice."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.readers.doubles import CLOSE, LEEWAY, WINDOW, Doubles
from tests.auditor.logs import dmesg

SAID = "mlx5_core 0000:03:00.0: give_pages:467:(pid 9): npages 7, ec_function 0, func 0x31, mode 1, err 0"


def _stamped(micros: int, text: str = SAID) -> bytes:
    return f"[{micros // 1000000:5}.{micros % 1000000:06}] {text}".encode()


def _lines(n: int, step: int = 7) -> list[bytes]:
    """Lines whose clock counts microseconds."""
    return [_stamped(5_000_001 + step * i) for i in range(n)]


def _second(lines: list[bytes]) -> list[int]:
    """The numbers of the lines that were there before."""
    doubles = Doubles()
    return [i for i, line in enumerate(lines) if doubles.again(line)]


@given(st.integers(1, 60), st.integers(1, 80))
def test_of_lines_in_a_log_twice_the_second_of_each_is_a_double(block: int, n: int) -> None:
    """Line by line, and in blocks, as when two daemons write into one file."""
    lines = _lines(n)
    twice: list[bytes] = []
    truth: list[int] = []
    for at in range(0, n, block):
        part = lines[at : at + block]
        truth += range(len(twice) + len(part), len(twice) + 2 * len(part))
        twice += part * 2
    assert _second(lines) == []
    assert _second(twice) == truth


def test_another_daemons_words_in_front_do_not_hide_a_double() -> None:
    line = _stamped(5_000_001)
    assert _second([b"Nov 21 09:02:53 host kernel: " + line, b"2026-11-21T09:02:53 host kernel " + line]) == [1]


def test_the_same_words_at_another_microsecond_were_printed_twice() -> None:
    assert _second([_stamped(5_000_001), _stamped(5_000_002), _stamped(5_000_002, "other words")]) == []


@pytest.mark.parametrize("line", [SAID.encode(), b"[Sat Nov 21 09:02:53 2026] x", b"[ 5.001] x", b"[  T1] 0.123456 x"])
def test_a_line_without_microseconds_is_never_a_double(line: bytes) -> None:
    assert _second([*_lines(2), line, line]) == []


def test_a_clock_that_only_counts_ticks_proves_nothing() -> None:
    ticks = [_stamped(5_000_000 + 4000 * i) for i in (1, 1, 2, 2)]
    assert _second(ticks) == []
    # where another line shows that it counts microseconds, a whole millisecond is as good as any other
    assert _second([_stamped(5_000_001), *ticks]) == [2, 4]


@pytest.mark.parametrize(("between", "found"), [(WINDOW - 1, True), (2 * WINDOW, False)])
def test_only_so_many_lines_are_looked_back(between: int, found: bool) -> None:
    first, *rest = _lines(between + 1)
    assert bool(_second([first, *rest, first])) is found


@pytest.mark.parametrize("seconds", [0.9 * LEEWAY, 1.1 * LEEWAY, 100])
def test_a_few_lines_twice_are_doubles_whatever_time_they_span(seconds: float) -> None:
    lines = _lines(4, step=int(seconds * 1e6 / 3))
    assert _second(lines * 2) == [4, 5, 6, 7]


def test_a_clock_that_falls_where_a_load_begins_begins_another_log() -> None:
    """The same lines, from the time of the first on: a machine that was started anew says them again."""
    lines = _lines(4, step=1_000_000)
    lines[0] = lines[0].split(b"]")[0] + b"] mlx5_core 0000:03:00.0: firmware version: 1.2.3"
    assert _second(lines * 2) == []
    # the second log's own doubles are seen
    assert _second([*lines, lines[0], lines[0]]) == [5]


@pytest.mark.parametrize(("back", "found"), [(0.9 * LEEWAY, True), (1.1 * LEEWAY, False)])
def test_lines_further_apart_are_doubles_where_no_second_lies_between(back: float, found: bool) -> None:
    lines = _lines(CLOSE + 1, step=int(back * 1e6 / CLOSE))
    assert bool(_second(lines * 2)) is found


def _dumps_again(lines: list[bytes]) -> list[int]:
    """The numbers of the dump lines that were there before; lines that name a device are looked at beside them."""
    doubles, out = Doubles(), []
    for i, line in enumerate(lines):
        if b"mlx5_core" in line:
            doubles.again(line)
        elif doubles.found and doubles.dumped(line):
            out.append(i)
    return out


def test_dump_lines_are_doubles_too_once_a_line_of_a_device_was_one() -> None:
    a, b, *_ = _lines(9)
    row, other = (b"cmd[31]: %03x: 00000000 00000000 00000000 00000000" % at for at in (0, 16))
    assert _dumps_again([a, row, row, b, row]) == []
    assert _dumps_again([a, a, row, row, b, b, other, other]) == [3, 7]
    # in blocks, the dump lines of the second block are doubles though they were not looked at in the first
    assert _dumps_again([a, row, other, b, a, row, other, b]) == [5, 6]
    # and what comes after it is new
    assert _dumps_again([a, b, row, a, b, row, _stamped(6_000_001), other]) == [5]


def test_of_the_recorded_log_no_line_is_there_twice() -> None:
    named = [line.encode() for line in dmesg() if re.search(r"mlx5_core \d", line)]
    assert len(named) > 300
    assert _second(named) == []
