"""Capabilities that a driver may switch on, and what it then reads; a page with one wrong bit is refused whole."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.device import FunctionSpec, Phase, Profile
from fwpages.prm.capability import GENERAL, general, read_general
from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.identity import Mode
from fwpages.prm.message import Command
from fwpages.prm.opcodes import CapType, Opcode
from fwpages.prm.status import Status
from tests.device.conftest import VF, Driver

MODE = "icm_mng_function_id_mode"
#: beside one-bit fields, one with several: any value up to the one that is offered can be chosen
OFFERED = {"release_all_pages": 1, MODE: 1, "force_teardown": 1, "log_max_eq": 6}


def set_cap(page: bytes, op_mod: int = 0, **fields: int) -> Command:
    return Command(Opcode.SET_HCA_CAP, op_mod, fields, data=page)


def booted(small: Profile, specs: list[FunctionSpec]) -> Driver:
    d = Driver(msgspec.structs.replace(small, max=OFFERED, current={"log_max_eq": 2}), specs)
    d.boot()
    return d


chosen = st.fixed_dictionaries({name: st.integers(0, most) for name, most in OFFERED.items()})


@settings(max_examples=30)
@given(values=chosen)
def test_what_is_set_is_what_is_read_and_decides_the_mode(
    small: Profile, specs: list[FunctionSpec], values: dict[str, int]
) -> None:
    d = booted(small, specs)
    most = d.caps(current=False)
    d.ok(Opcode.SET_HCA_CAP, 0, general({**values, "vhca_id": 0x2A}))
    assert {k: d.caps(current=True)[k] for k in values} == values
    assert d.caps(current=False) == most, "the maximum is the device's own"
    assert (d.fw.mode is Mode.VHCA_ID, d.fw.release_all) == (bool(values[MODE]), bool(values["release_all_pages"]))


@settings(max_examples=40)
@given(values=chosen, bit=st.integers(0, CAP_PAGE * 8 - 1))
def test_one_bit_beyond_the_offer_and_nothing_is_set(
    small: Profile, specs: list[FunctionSpec], values: dict[str, int], bit: int
) -> None:
    """Whichever bit it is, named or reserved: the mode is not switched either."""
    d = booted(small, specs)
    raw = bytearray(general({**values, MODE: 1, "vhca_id": 0x2A}))
    raw[bit // 8] |= 0x80 >> bit % 8
    page = bytes(raw)
    most = {**dict.fromkeys(GENERAL.by_name, 0), **OFFERED, "vhca_id": 0x2A}
    fits = not any(GENERAL.reserved(page)) and all(v <= most[k] for k, v in read_general(page).items())
    if fits:
        assert d.send(set_cap(page)).ok
    else:
        d.refused("capability-not-offered", Status.BAD_PARAM, set_cap(page))
        assert d.in_mode(Mode.FUNC_ID)


def test_a_refused_capability_is_reported_with_value_and_offer(small: Profile, specs: list[FunctionSpec]) -> None:
    d = booted(small, specs)
    page = general({"vhca_id": 0x2A, "log_max_eq": 10})
    offence = d.refused("capability-not-offered", Status.BAD_PARAM, set_cap(page))
    assert offence.detail == "log_max_eq = 0xa, 0x6 offered"


@pytest.mark.parametrize("vhca_id", [0, 1, 0x29])
def test_a_device_s_vhca_id_is_not_the_driver_s_to_choose(driver: Driver, vhca_id: int) -> None:
    driver.boot()
    driver.ok(Opcode.SET_HCA_CAP, 0, general({"vhca_id": vhca_id, MODE: 1}))
    assert driver.caps(current=True)["vhca_id"] == driver.fw.own.number == 0x2A


@pytest.mark.parametrize("size", [0, CAP_PAGE - 1, CAP_PAGE + 1])
def test_a_capability_page_has_4096_bytes(driver: Driver, size: int) -> None:
    driver.boot()
    offence = driver.refused("bad-length", Status.BAD_INP_LEN, set_cap(bytes(size)))
    assert f"{size} bytes" in offence.detail
    assert str(CAP_PAGE) in offence.detail


@pytest.mark.parametrize("kind", [CapType.GENERAL, CapType.FLOW_TABLE])
def test_the_current_page_is_no_page_to_set(driver: Driver, kind: int) -> None:
    driver.boot()
    driver.refused("bad-op-mod", Status.BAD_PARAM, set_cap(bytes(CAP_PAGE), kind << 1 | 1))


def test_in_vhca_id_mode_the_page_can_be_set_again_with_the_mode_in_it(driver: Driver) -> None:
    driver.boot()
    driver.negotiate(release_all=False)
    again = driver.caps(current=True) | {"release_all_pages": 1}
    driver.refused("mode-back", Status.BAD_PARAM, set_cap(general(again | {MODE: 0})))
    assert not driver.fw.release_all
    driver.ok(Opcode.SET_HCA_CAP, 0, general(again))
    assert driver.fw.release_all


# -- pages of other types ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [t for t in CapType if t is not CapType.GENERAL] + [0x1F])
def test_a_page_of_another_type_is_all_zero_and_can_be_set_to_that(driver: Driver, kind: int) -> None:
    """A page of another type that says what the general one would switches no mode."""
    driver.boot()
    for current in (0, 1):
        assert driver.ok(Opcode.QUERY_HCA_CAP, kind << 1 | current).data == bytes(CAP_PAGE)
    before = driver.fw.key()
    driver.ok(Opcode.SET_HCA_CAP, kind << 1, bytes(CAP_PAGE))
    assert driver.fw.key() == before
    for page in (general({MODE: 1}), bytes(CAP_PAGE - 1) + b"\1"):
        driver.refused("capability-not-offered", Status.BAD_PARAM, set_cap(page, kind << 1))


# -- other functions ---------------------------------------------------------------------------------------------------

OTHER = {"other_function": 1, "function_id": VF.function_id}


def test_another_function_has_a_vhca_id_before_it_is_enabled_and_nothing_to_switch(opened: Driver) -> None:
    pages = [opened.ok(Opcode.QUERY_HCA_CAP, now, **OTHER).data for now in (0, 1)]
    assert pages == [general({"vhca_id": VF.vhca_id})] * 2
    before = opened.fw.key()
    opened.ok(Opcode.SET_HCA_CAP, 0, pages[0], **OTHER)
    assert opened.fw.key() == before
    for name in (MODE, "release_all_pages"):
        page = general({"vhca_id": VF.vhca_id, name: 1})
        offence = opened.refused("capability-not-offered", Status.BAD_PARAM, set_cap(page, **OTHER))
        assert offence.function == VF.identity(opened.fw.mode)


def test_the_own_page_is_set_before_init_hca_and_another_function_s_after_it(driver: Driver) -> None:
    driver.boot()
    own, other = set_cap(bytes(CAP_PAGE)), set_cap(bytes(CAP_PAGE), **OTHER)
    assert "starting" in driver.refused("wrong-state", Status.BAD_SYS_STATE, other).detail
    assert driver.send(own).ok
    driver.initialise()
    assert "working" in driver.refused("wrong-state", Status.BAD_SYS_STATE, own).detail
    assert driver.send(other).ok
    assert driver.in_phase(Phase.WORKING)


def test_without_other_function_the_number_is_not_looked_at(driver: Driver) -> None:
    driver.boot()
    assert driver.caps(current=True, function_id=VF.function_id)["vhca_id"] == 0x2A
