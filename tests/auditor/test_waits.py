"""Time that the pages of functions that are gone may stay out: as a host waits for them, on the input's own clock."""

from __future__ import annotations

import pytest

from fwpages.auditor.waits import BOUNDS
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Answer, Command, encode_answer, encode_command
from fwpages.prm.opcodes import Opcode
from fwpages.readers.observations import CommandCompleted, CommandSubmitted, Note, Place
from tests.auditor.audited_traces import DEVICE, AuditedTrace
from tests.auditor.written_traces import pages

PROGRESS, OVERALL = BOUNDS.wait_progress, BOUNDS.wait_overall


def _gone(n: int = 10, *, log: bool = False, vfs: int = 1) -> AuditedTrace:
    """VFs that had ``n`` pages each and were all disabled."""
    trace = AuditedTrace(Supplier(max_vfs=64), log=log)
    for vf in range(1, vfs + 1):
        trace.plain(Opcode.ENABLE_HCA, function_id=vf)
        trace.give(vf, pages(0x100 * vf, n))
    for vf in range(1, vfs + 1):
        trace.plain(Opcode.DISABLE_HCA, function_id=vf)
    return trace


def _look(trace: AuditedTrace, seconds: float = 0.0) -> list[str]:
    """So many seconds later something is seen."""
    trace.t += seconds
    trace.see(Note(place=trace.place(), device=DEVICE, text="time has passed"))
    return trace.names


def test_a_wait_ends_with_the_last_page() -> None:
    trace = _gone()
    trace.take(1, pages(0x100, 10))
    assert _look(trace, 10 * OVERALL) == []


def test_every_page_that_comes_back_is_progress() -> None:
    trace = _gone()
    for n in range(3):
        assert _look(trace, PROGRESS - 1) == []
        trace.take(1, pages(0x100 + n, 1))
        assert _look(trace) == []
    assert _look(trace, PROGRESS - 1) == []
    assert _look(trace, 1) == ["wait-timeout"]
    assert trace.found == [("wait-timeout", "device", "func:0x1", 7)]
    # it is reported once
    assert _look(trace, 10 * OVERALL) == ["wait-timeout"]


def test_progress_is_not_waited_for_without_end() -> None:
    trace = _gone(100)
    step, n = PROGRESS / 2, 0
    while (n + 1) * step < OVERALL:
        assert _look(trace, step - 0.01) == []
        trace.take(1, pages(0x100 + n, 1))
        _look(trace)
        n += 1
    assert _look(trace, step + 1) == ["wait-timeout"]
    assert trace.found[0][3] == 100 - n


@pytest.mark.parametrize("time", ["Nov 21 09:02:53", None])
def test_an_input_without_seconds_shows_no_wait_that_was_too_long(time: str | None) -> None:
    trace = _gone()
    trace.see(Note(place=Place("input", 99, time), device=DEVICE, text="time has passed"))
    assert trace.names == []
    disabled = AuditedTrace(Supplier(max_vfs=1))
    disabled.plain(Opcode.ENABLE_HCA, function_id=1)
    disabled.give(1, pages(0x100, 4))
    sent = encode_command(Command(Opcode.DISABLE_HCA, fields={"function_id": 1}))
    place = Place("input", 99, time)
    disabled.see(CommandSubmitted(place=place, device=DEVICE, key=99, message=sent))
    done = encode_answer(Answer(Opcode.DISABLE_HCA))
    disabled.see(CommandCompleted(place=place, device=DEVICE, key=99, message=done))
    assert _look(disabled, 10 * OVERALL) == []


def test_functions_of_one_type_are_waited_for_together_and_reported_one_by_one() -> None:
    trace = _gone(2, vfs=3)
    assert _look(trace, PROGRESS) == ["wait-timeout"] * 3
    assert [(f.function, f.pages) for f in trace.findings()] == [(f"func:{n:#x}", 2) for n in (1, 2, 3)]
    assert all(f.detail.endswith(f"2 pages of {f.function} did not come back") for f in trace.findings())


def test_while_one_function_of_the_type_is_enabled_no_wait_begins() -> None:
    trace = AuditedTrace(Supplier(max_vfs=8))
    for vf in (1, 2):
        trace.plain(Opcode.ENABLE_HCA, function_id=vf)
        trace.give(vf, pages(0x100 * vf, 3))
    trace.plain(Opcode.DISABLE_HCA, function_id=1)
    assert _look(trace, 10 * OVERALL) == []


def test_a_function_of_unknown_type_may_be_one_of_them() -> None:
    trace = AuditedTrace()
    trace.plain(Opcode.ENABLE_HCA, function_id=1)
    trace.give(9, pages(0x900, 4))
    trace.plain(Opcode.DISABLE_HCA, function_id=1)
    assert _look(trace, PROGRESS) == ["wait-timeout"]
    assert trace.found == [("wait-timeout", "device", "func:0x9", 4)]


def test_pages_that_are_given_meanwhile_are_no_progress() -> None:
    trace = AuditedTrace()
    trace.plain(Opcode.ENABLE_HCA, function_id=1)
    trace.give(9, pages(0x900, 4))
    trace.plain(Opcode.DISABLE_HCA, function_id=1)
    trace.t += PROGRESS / 2
    trace.give(9, pages(0xA00, 3))
    assert _look(trace, PROGRESS / 2) == ["wait-timeout"]
    assert trace.found[0][3] == 7


def test_a_reset_ends_all_waits() -> None:
    trace = _gone()
    trace.link("reset")
    assert _look(trace, 10 * OVERALL) == []


def test_a_log_does_not_tell_how_long_a_host_waits() -> None:
    """Its driver says so itself: ``pages-pending``."""
    assert _look(_gone(log=True), 10 * OVERALL) == []


def test_where_lines_are_missing_the_pages_may_have_come_back_in_them() -> None:
    trace = _gone()
    trace.lose("lines are missing")
    assert _look(trace, 10 * OVERALL) == ["log-lines-lost"]


@pytest.mark.parametrize("gap", [0.0, PROGRESS / 2])
def test_a_function_that_is_enabled_anew_keeps_its_pages_and_ends_their_wait(gap: float) -> None:
    trace = _gone()
    assert _look(trace, gap) == []
    trace.plain(Opcode.ENABLE_HCA, function_id=1)
    assert _look(trace, 10 * OVERALL) == []
    # until it is gone again
    trace.plain(Opcode.DISABLE_HCA, function_id=1)
    assert _look(trace, PROGRESS) == ["wait-timeout"]
    assert trace.found == [("wait-timeout", "device", "func:0x1", 10)]


def test_one_function_enabled_anew_does_not_hide_another_that_is_gone() -> None:
    trace = AuditedTrace(Supplier(max_vfs=2))
    for number in (1, 2, 9):
        trace.plain(Opcode.ALLOC_SF if number == 9 else Opcode.ENABLE_HCA, function_id=number)
        trace.give(number, pages(0x100 * number, number))
    for number in (1, 2, 9):
        trace.plain(Opcode.DEALLOC_SF if number == 9 else Opcode.DISABLE_HCA, function_id=number)
    trace.plain(Opcode.ENABLE_HCA, function_id=2)
    assert _look(trace) == []
    assert _look(trace, PROGRESS) == ["wait-timeout"] * 2
    assert {(who, n) for *_, who, n in trace.found} == {("func:0x1", 1), ("func:0x9", 9)}


def test_two_waits_for_the_very_same_pages_are_reported_once() -> None:
    """The last VF and the last SF are gone; pages of a function of unknown type may be of either."""
    trace = AuditedTrace(Supplier(max_vfs=8))
    trace.opened(vhca=True)
    trace.give(0x40, pages(0x900, 4))
    trace.plain(Opcode.ENABLE_HCA, function_id=1)
    trace.plain(Opcode.ALLOC_SF, function_id=0x90)
    trace.plain(Opcode.DISABLE_HCA, function_id=1)
    trace.plain(Opcode.DEALLOC_SF, function_id=0x90)
    assert _look(trace, PROGRESS) == ["wait-timeout"]
    assert trace.found == [("wait-timeout", "device", "vhca:0x40", 4)]
    assert "the last function of type vf is gone" in trace.findings()[0].detail
