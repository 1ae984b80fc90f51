"""Rules of every refusal, whatever a driver sends."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.device import Completed, FunctionSpec, Offence, Profile, Submitted
from fwpages.device.firmware.offences import OffenceName, RefusedError
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.device.conftest import Driver
from tests.device.firmware.test_firmware import commands


@settings(max_examples=60)
@given(sent=st.lists(commands(), max_size=20), start=st.sampled_from(["off", "boot", "func_id", "vhca_id"]))
def test_a_refusal_changes_nothing_and_its_status_is_its_offence_s(
    small: Profile, specs: list[FunctionSpec], sent: list[Command], start: str
) -> None:
    d = Driver(small, specs)
    if start == "boot":
        d.boot()
    elif start != "off":
        d.open(by_vhca_id=start == "vhca_id")
    for n, c in enumerate(sent):
        before = d.fw.key()
        effects = d.fw.feed(0.0, Submitted(n, c, c.reply_length))
        offences = [e for e in effects if isinstance(e, Offence)]
        (done,) = (e for e in effects if isinstance(e, Completed))
        assert (done.id, done.answer.opcode) == (n, c.opcode)
        assert [o.name.status for o in offences if o.name.status] == [done.answer.status] * (not done.answer.ok)
        if not done.answer.ok:
            assert len(effects) == 2
            assert d.fw.key() == before
            assert (done.answer.fields, done.answer.pas.size, done.answer.data) == ({}, 0, b"")


def test_a_refusal_says_which_rule_and_with_which_values() -> None:
    e = RefusedError(OffenceName.COUNT_MISMATCH, "input_num_entries 3, 2 page addresses")
    assert str(e) == "count-mismatch: input_num_entries 3, 2 page addresses"
    assert e.status is Status.BAD_INP_LEN


def test_pages_left_are_no_reason_to_refuse_the_end_of_a_session(opened: Driver) -> None:
    """Each function that had some is named with its count, and no other; the session is over all the same."""
    vf, other = (spec.identity(opened.fw.mode) for spec in opened.specs[:2])
    assert vf is not None
    opened.ok(Opcode.ENABLE_HCA, function_id=1)
    opened.give(vf, 5)
    opened.ok(Opcode.TEARDOWN_HCA)
    assert opened.send(Command(Opcode.DISABLE_HCA)).ok
    (offence,) = opened.offences
    assert (offence.name, offence.function) == ("disabled-with-pages", opened.own)
    assert f"13 of {opened.own}, 5 of {vf}" in offence.detail
    assert str(other) not in offence.detail
