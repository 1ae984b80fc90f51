"""Inputs and effects are values: a later change of them does not reach the firmware, and their order counts."""

from __future__ import annotations

import pytest

from fwpages.device import Completed, Effect, Input, Offence, Raised, Reset, ResetDone, Submitted, Tick, Want
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode
from tests.device.conftest import Driver


def test_pages_that_went_in_are_the_driver_s_array_no_more(opened: Driver) -> None:
    opened.feed(Want("self", 3))
    c = opened.give_command(opened.own, 3)
    opened.given[opened.own].update(c.pas.tolist())
    assert opened.send(c).ok
    key = opened.fw.key()
    c.pas[:] = 0x7000
    assert opened.fw.key() == key
    opened.agree()


def test_pages_that_came_out_are_the_driver_s_to_write_to(opened: Driver) -> None:
    opened.feed(Want("self", -3))
    back = opened.send(opened.take_command(opened.own, 2))
    held = opened.fw.holds()[opened.own]
    key = opened.fw.key()
    for array in (back.pas, held, opened.fw.kept):
        array[:] = 0x7000
    assert opened.fw.key() == key
    opened.fw.check()


def effects_of(d: Driver, x: Input) -> list[Effect]:
    return d.fw.feed(0.0, x)


def submitted(opcode: int, id: int = 1, **fields: int) -> Submitted:  # noqa: A002  # the field's name
    c = Command(opcode, fields=fields)
    return Submitted(id, c, c.reply_length)


def test_an_offence_comes_before_the_answer_and_a_page_request_after_it(opened: Driver) -> None:
    enabled = effects_of(opened, submitted(Opcode.ENABLE_HCA, 7, function_id=1))
    assert [type(e) for e in enabled] == [Completed, Raised]
    again = effects_of(opened, submitted(Opcode.ENABLE_HCA, 8, function_id=1))
    assert [type(e) for e in again] == [Offence, Completed]
    assert [e.id for e in (*enabled, *again) if isinstance(e, Completed)] == [7, 8]


def test_pages_are_asked_back_before_others_are_asked_for(opened: Driver) -> None:
    """One input, both directions: the driver is not asked to lend what could have been returned."""
    opened.ok(Opcode.DESTROY_EQ, eq_number=opened.eqns[2])
    for pages in (4, -2):
        opened.feed(Want("self", pages))
    c = opened.eq_command(1 << 0x0B)
    events = [e.event.num_pages for e in effects_of(opened, Submitted(1, c, 16)) if isinstance(e, Raised)]
    assert events == [-2, 4]


def test_firmware_has_no_clock(opened: Driver) -> None:
    opened.feed(Want("self", 4))
    key = opened.fw.key()
    assert effects_of(opened, Tick()) == []
    assert (opened.fw.key(), opened.fw.deadline) == (key, None)


def test_nothing_wanted_is_nothing_said(opened: Driver) -> None:
    key = opened.fw.key()
    assert effects_of(opened, Want("vf1", 0)) == effects_of(opened, Want("vf1", -5)) == []
    assert opened.fw.key() == key


def test_a_reset_is_answered_in_every_state(driver: Driver) -> None:
    for prepare in (lambda: None, driver.enable, driver.open):
        prepare()
        assert effects_of(driver, Reset()) == [ResetDone()]


def test_two_commands_are_never_the_same_command(driver: Driver) -> None:
    """They hold arrays: a runner that looks one up finds that one, and not another that reads alike."""
    one, other = submitted(Opcode.QUERY_ISSI), submitted(Opcode.QUERY_ISSI)
    assert one.command == other.command
    assert one != other
    assert len({one, other}) == 2


@pytest.mark.parametrize("x", [Want("absent", 1), Want("", 1), Want("VF1", 1)])
def test_a_function_that_is_not_there_is_the_caller_s_mistake(opened: Driver, x: Want) -> None:
    key = opened.fw.key()
    with pytest.raises(ValueError, match=f"no function '{x.function}'; there are self, sf, spf, vf1, vf2"):
        effects_of(opened, x)
    assert (opened.fw.key(), opened.fw.offences) == (key, ())
