"""clone, key and check, over inputs of any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.device import (
    Effect,
    Firmware,
    FirmwareError,
    FunctionSpec,
    Offence,
    OffenceName,
    Profile,
    Reset,
    ResetFunction,
    Submitted,
    Want,
)
from fwpages.device.firmware.firmware import MOST_OFFENCES
from fwpages.device.firmware.io import Input
from fwpages.prm.capability import general
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status

if TYPE_CHECKING:
    from tests.device.conftest import Driver

CAPS = [general({}), general({"release_all_pages": 1}), general({"icm_mng_function_id_mode": 1})]
numbers = st.sampled_from([0, 1, 2, 0x2A, 0x31, 0x32, 0x40, 0x50, 0x100, 0x200])
addresses = st.lists(st.integers(0, 40), max_size=5).map(lambda x: np.array(x, np.uint64) << np.uint64(12))


@st.composite
def commands(draw: st.DrawFn) -> Command:
    op = draw(st.sampled_from([*Opcode, Opcode.MANAGE_PAGES, Opcode.MANAGE_PAGES, Opcode.QUERY_PAGES, 0x999]))
    fields: dict[str, int] = {}
    data = b""
    pas = np.zeros(0, np.uint64)
    if op in (Opcode.QUERY_PAGES, Opcode.MANAGE_PAGES, Opcode.ENABLE_HCA, Opcode.DISABLE_HCA, Opcode.ALLOC_SF):
        fields["function_id"] = draw(numbers)
    if op in (Opcode.ENABLE_HCA, Opcode.DISABLE_HCA):
        fields["function_id_type"] = draw(st.integers(0, 1))
    if op == Opcode.MANAGE_PAGES:
        pas = draw(addresses)
        fields["input_num_entries"] = draw(st.sampled_from([pas.size, 1, 7]))
    if op == Opcode.SET_HCA_CAP:
        data = draw(st.sampled_from(CAPS))
    if op == Opcode.CREATE_EQ:
        fields = {"uar_page": 1, "event_bitmask_0": draw(st.sampled_from([0, 1 << 0x0B]))}
        pas = np.array([1 << 30], np.uint64)
    if op in (Opcode.DEALLOC_UAR, Opcode.DESTROY_EQ):
        fields = {"uar" if op == Opcode.DEALLOC_UAR else "eq_number": draw(st.integers(1, 2))}
    return Command(op, draw(st.integers(0, 3)), fields, pas, data)


functions = st.sampled_from(["vf1", "vf2", "sf", "spf"])
inputs: st.SearchStrategy[Input] = st.one_of(
    commands().map(lambda c: Submitted(1, c, c.reply_length)),
    st.builds(Want, st.sampled_from(["self", "vf1", "vf2", "sf", "spf"]), st.integers(-5, 9)),
    st.builds(ResetFunction, functions),
    st.just(Reset()),
)


def seen(effects: list[Effect]) -> str:
    return repr(effects)


@pytest.mark.many_runs
@settings(max_examples=150, deadline=None)
@given(
    before=st.lists(inputs, max_size=25),
    after=st.lists(inputs, max_size=12),
    astray=st.lists(inputs, max_size=6),
    start=st.sampled_from(["off", "boot", "work", "work by vhca_id"]),
)
def test_a_clone_has_the_same_future(
    driver_class: type[Driver],
    small: Profile,
    specs: list[FunctionSpec],
    before: list[Input],
    after: list[Input],
    astray: list[Input],
    start: str,
) -> None:
    d = driver_class(small, specs)
    if start == "boot":
        d.boot()
    elif start != "off":
        d.open(by_vhca_id=start != "work")
    fw = d.fw
    for x in before:
        fw.feed(0.0, x)
        fw.check()
    key = fw.key()
    twin, other = fw.clone(), fw.clone()
    assert twin.key() == key
    for x in astray:
        other.feed(0.0, x)
        other.check()
    assert fw.key() == key
    for x in after:
        a, b = fw.feed(1.0, x), twin.feed(2.0, x)
        assert seen(a) == seen(b)
        assert fw.key() == twin.key()
        assert fw.offences == twin.offences


def test_key_tells_what_matters(opened: Driver) -> None:
    key = opened.fw.key()
    assert len(key) == 16
    opened.feed(Want("self", 1))
    opened.give(opened.own, 1)
    opened.feed(Want("self", -1))
    assert opened.fw.key() != key
    opened.take(opened.own, 1)
    assert opened.fw.key() == key
    opened.refused("unknown-command", Status.BAD_OP, Command(0x999))
    assert opened.fw.key() == key


def test_different_devices_have_different_keys(small: Profile) -> None:
    assert Firmware(small).key() != Firmware(small, offer_vhca_id=False).key()


def test_nothing_happens_by_itself(small: Profile) -> None:
    assert Firmware(small).deadline is None


def test_offences_are_bounded(small: Profile) -> None:
    fw = Firmware(small)
    for n in range(MOST_OFFENCES + 5):
        fw.feed(0.0, Submitted(n, Command(0x1000 + n), 16))
    assert len(fw.offences) == MOST_OFFENCES
    assert fw.offences[0] == Offence(OffenceName.UNKNOWN_COMMAND, None, "opcode 0x1005")


def test_check_finds_what_cannot_be(opened: Driver) -> None:
    for slot, field, words in (
        (1, "announced", "announced"),
        (1, "asked_back", "asked back"),
    ):
        fw = opened.fw.clone()
        setattr(fw._state.functions[slot], field, 5)
        with pytest.raises(FirmwareError, match=words):
            fw.check()
    fw = opened.fw.clone()
    fw._state.current["icm_mng_function_id_mode"] = int(fw.mode == "func_id")
    with pytest.raises(FirmwareError, match="mode"):
        fw.check()
