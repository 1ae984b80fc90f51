"""How long the pages of functions that are gone may stay out: as a host waits for them, on the input's own clock."""

from __future__ import annotations

import pytest

from fwpages.auditor.waits import BOUNDS
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Answer, Command, encode_answer, encode_command
from fwpages.prm.opcodes import Opcode
from fwpages.readers.observations import CommandCompleted, CommandSubmitted, Note, Place
from tests.auditor.fed import DEVICE, Fed
from tests.auditor.lives import pages

PROGRESS, OVERALL = BOUNDS.wait_progress, BOUNDS.wait_overall


def _gone(n: int = 10, *, log: bool = False, vfs: int = 1) -> Fed:
    """VFs that had ``n`` pages each and were all disabled."""
    life = Fed(Supplier(max_vfs=64), log=log)
    for vf in range(1, vfs + 1):
        life.plain(Opcode.ENABLE_HCA, function_id=vf)
        life.give(vf, pages(0x100 * vf, n))
    for vf in range(1, vfs + 1):
        life.plain(Opcode.DISABLE_HCA, function_id=vf)
    return life


def _look(life: Fed, seconds: float = 0.0) -> list[str]:
    """So many seconds later something is seen."""
    life.t += seconds
    life.see(Note(place=life.place(), device=DEVICE, text="time has passed"))
    return life.names


def test_a_wait_ends_with_the_last_page() -> None:
    life = _gone()
    life.take(1, pages(0x100, 10))
    assert _look(life, 10 * OVERALL) == []


def test_every_page_that_comes_back_is_progress() -> None:
    life = _gone()
    for n in range(3):
        assert _look(life, PROGRESS - 1) == []
        life.take(1, pages(0x100 + n, 1))
        assert _look(life) == []
    assert _look(life, PROGRESS - 1) == []
    assert _look(life, 1) == ["wait-timeout"]
    assert life.found == [("wait-timeout", "device", "func:0x1", 7)]
    # it is reported once
    assert _look(life, 10 * OVERALL) == ["wait-timeout"]


def test_progress_is_not_waited_for_without_end() -> None:
    life = _gone(100)
    step, n = PROGRESS / 2, 0
    while (n + 1) * step < OVERALL:
        assert _look(life, step - 0.01) == []
        life.take(1, pages(0x100 + n, 1))
        _look(life)
        n += 1
    assert _look(life, step + 1) == ["wait-timeout"]
    assert life.found[0][3] == 100 - n


@pytest.mark.parametrize("time", ["Nov 21 09:02:53", None])
def test_an_input_without_seconds_shows_no_wait_that_was_too_long(time: str | None) -> None:
    life = _gone()
    life.see(Note(place=Place("input", 99, time), device=DEVICE, text="time has passed"))
    assert life.names == []
    disabled = Fed(Supplier(max_vfs=1))
    disabled.plain(Opcode.ENABLE_HCA, function_id=1)
    disabled.give(1, pages(0x100, 4))
    sent = encode_command(Command(Opcode.DISABLE_HCA, fields={"function_id": 1}))
    place = Place("input", 99, time)
    disabled.see(CommandSubmitted(place=place, device=DEVICE, key=99, message=sent))
    done = encode_answer(Answer(Opcode.DISABLE_HCA))
    disabled.see(CommandCompleted(place=place, device=DEVICE, key=99, message=done))
    assert _look(disabled, 10 * OVERALL) == []


def test_functions_of_one_type_are_waited_for_together_and_reported_one_by_one() -> None:
    life = _gone(2, vfs=3)
    assert _look(life, PROGRESS) == ["wait-timeout"] * 3
    assert [(f.function, f.pages) for f in life.findings()] == [(f"func:{n:#x}", 2) for n in (1, 2, 3)]
    assert all(f.detail.endswith(f"2 pages of {f.function} did not come back") for f in life.findings())


def test_while_one_function_of_the_type_is_enabled_no_wait_begins() -> None:
    life = Fed(Supplier(max_vfs=8))
    for vf in (1, 2):
        life.plain(Opcode.ENABLE_HCA, function_id=vf)
        life.give(vf, pages(0x100 * vf, 3))
    life.plain(Opcode.DISABLE_HCA, function_id=1)
    assert _look(life, 10 * OVERALL) == []


def test_a_function_of_unknown_type_may_be_one_of_them() -> None:
    life = Fed()
    life.plain(Opcode.ENABLE_HCA, function_id=1)
    life.give(9, pages(0x900, 4))
    life.plain(Opcode.DISABLE_HCA, function_id=1)
    assert _look(life, PROGRESS) == ["wait-timeout"]
    assert life.found == [("wait-timeout", "device", "func:0x9", 4)]


def test_pages_that_are_given_meanwhile_are_no_progress() -> None:
    life = Fed()
    life.plain(Opcode.ENABLE_HCA, function_id=1)
    life.give(9, pages(0x900, 4))
    life.plain(Opcode.DISABLE_HCA, function_id=1)
    life.t += PROGRESS / 2
    life.give(9, pages(0xA00, 3))
    assert _look(life, PROGRESS / 2) == ["wait-timeout"]
    assert life.found[0][3] == 7


def test_a_reset_ends_all_waits() -> None:
    life = _gone()
    life.link("reset")
    assert _look(life, 10 * OVERALL) == []


def test_a_log_does_not_tell_how_long_a_host_waits() -> None:
    """Its driver says so itself: ``pages-pending``."""
    assert _look(_gone(log=True), 10 * OVERALL) == []


def test_where_lines_are_missing_the_pages_may_have_come_back_in_them() -> None:
    life = _gone()
    life.lose("lines are missing")
    assert _look(life, 10 * OVERALL) == ["log-lines-lost"]


@pytest.mark.parametrize("gap", [0.0, PROGRESS / 2])
def test_a_function_that_is_enabled_anew_keeps_its_pages_and_ends_their_wait(gap: float) -> None:
    life = _gone()
    assert _look(life, gap) == []
    life.plain(Opcode.ENABLE_HCA, function_id=1)
    assert _look(life, 10 * OVERALL) == []
    # until it is gone again
    life.plain(Opcode.DISABLE_HCA, function_id=1)
    assert _look(life, PROGRESS) == ["wait-timeout"]
    assert life.found == [("wait-timeout", "device", "func:0x1", 10)]


def test_one_function_enabled_anew_does_not_hide_another_that_is_gone() -> None:
    life = Fed(Supplier(max_vfs=2))
    for number in (1, 2, 9):
        life.plain(Opcode.ALLOC_SF if number == 9 else Opcode.ENABLE_HCA, function_id=number)
        life.give(number, pages(0x100 * number, number))
    for number in (1, 2, 9):
        life.plain(Opcode.DEALLOC_SF if number == 9 else Opcode.DISABLE_HCA, function_id=number)
    life.plain(Opcode.ENABLE_HCA, function_id=2)
    assert _look(life) == []
    assert _look(life, PROGRESS) == ["wait-timeout"] * 2
    assert {(who, n) for *_, who, n in life.found} == {("func:0x1", 1), ("func:0x9", 9)}


def test_two_waits_for_the_very_same_pages_are_reported_once() -> None:
    """The last VF and the last SF are gone; pages of a function of unknown type may be of either."""
    life = Fed(Supplier(max_vfs=8))
    life.opened(vhca=True)
    life.give(0x40, pages(0x900, 4))
    life.plain(Opcode.ENABLE_HCA, function_id=1)
    life.plain(Opcode.ALLOC_SF, function_id=0x90)
    life.plain(Opcode.DISABLE_HCA, function_id=1)
    life.plain(Opcode.DEALLOC_SF, function_id=0x90)
    assert _look(life, PROGRESS) == ["wait-timeout"]
    assert life.found == [("wait-timeout", "device", "vhca:0x40", 4)]
    assert "the last function of type vf is gone" in life.findings()[0].detail
