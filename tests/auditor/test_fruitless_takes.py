"""Firmware that answers TAKE with nothing, again and again, in debug logs of several kernels that begin late."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.auditor.logs import (
    Lines,
    audit_lines,
    data_only,
    dmesg,
    func_id_words,
    later,
    named_by_driver,
    only,
    prefixed,
    without_slots,
)


def _take(*, back: int) -> Lines:
    """The lines of one TAKE of 10 pages of the function 0x31; ``back`` 0: its answer names none."""
    log = dmesg()
    first = next(i for i, line in enumerate(log) if "reclaim_pages" in line and "func 0x31" in line)
    ends = [i for i, line in enumerate(log) if i > first and "end dump" in line][:2]
    lines, answer = log[first : ends[1] + 1], ends[0] - first + 1
    if back:
        return lines
    empty = [line.replace("020: 00000000 00000000 0000000a", "020: 00000000 00000000 00000000") for line in lines]
    assert empty != lines
    block = re.compile(r"(cmd\[31\]: (?:0[4-9a-f]|[1-9a-f].)0: ).*")
    return empty[:answer] + [block.sub(r"\g<1>00000000 00000000 00000000 00000000", line) for line in empty[answer:]]


def _again(times: int, *, progress_every: int = 0) -> Lines:
    """So many TAKEs, 20 ms apart, all of which bring nothing but each ``progress_every``-th."""
    out: Lines = []
    for n in range(times):
        back = progress_every > 0 and n % progress_every == 0
        out += later(_take(back=10 if back else 0), n * 0.02)
    return out


def _as_printed(lines: Lines) -> Lines:
    return lines


@pytest.mark.parametrize("kernel", [_as_printed, data_only, without_slots, func_id_words, named_by_driver])
@pytest.mark.parametrize("style", ["dmesg", "journal", "caller"])
def test_hundreds_in_a_row_are_found_once(kernel: Callable[[Lines], Lines], style: str, tmp_path: Path) -> None:
    s = only(audit_lines(tmp_path, prefixed(kernel(_again(250)), style)))
    assert [(f.name, f.blame) for f in s.findings] == [("pages-not-returned", "device")]
    assert (s.findings[0].function or "").endswith("0x31")


def test_they_are_found_after_a_piece_of_a_log_that_is_in_order(tmp_path: Path) -> None:
    log = dmesg()
    middle = next(i for i, line in enumerate(log) if "reclaim_pages" in line and "func 0x31" in line)
    s = only(audit_lines(tmp_path, [*log[3000:middle], *_again(250)]))
    assert [f.blame for f in s.findings if f.name == "pages-not-returned"] == ["device"]


@pytest.mark.parametrize("lines", [_again(60), _again(300, progress_every=50)], ids=["a moment", "some come back"])
def test_a_moment_without_pages_is_none(lines: Lines, tmp_path: Path) -> None:
    assert "pages-not-returned" not in [f.name for f in only(audit_lines(tmp_path, lines)).findings]
