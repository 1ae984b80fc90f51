"""Whole sessions in both modes, driven by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fwpages.device import Firmware, FunctionSpec, Phase, Profile, Reset, ResetDone, Want, profile
from fwpages.prm.identity import FunctionType, Mode, func_id, vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages, Teardown
from fwpages.prm.status import Status

if TYPE_CHECKING:
    from tests.device.conftest import Driver


@pytest.mark.parametrize("by_vhca_id", [False, True])
def test_open_work_close_twice(driver: Driver, by_vhca_id: bool) -> None:
    for _ in range(2):
        driver.open(by_vhca_id=by_vhca_id)
        assert driver.in_phase(Phase.WORKING)
        assert driver.in_mode(Mode.VHCA_ID if by_vhca_id else Mode.FUNC_ID)
        driver.agree()
        assert driver.fw.held("self") == 13
        driver.feed(Want("self", 100))
        assert (driver.last().number, driver.last().num_pages) == (driver.own.number, 100)
        driver.give(driver.own, 100)
        driver.feed(Want("self", -50))
        assert driver.last().num_pages == -50
        assert driver.take(driver.own, 50) == 50
        assert driver.take(driver.own, 50) == 0
        driver.agree()
        driver.close()
        assert driver.in_phase(Phase.OFF)
        assert driver.fw.holds() == {}
        driver.own = func_id(0)
    assert driver.offences == []


def test_boot_pages_are_renamed_at_the_switch(driver: Driver) -> None:
    driver.boot()
    before = driver.fw.holds()
    driver.negotiate()
    after = driver.fw.holds()
    assert list(before) == [func_id(0)]
    assert list(after) == [vhca_id(0x2A)]
    assert (before[func_id(0)] == after[vhca_id(0x2A)]).all()
    assert driver.query(QueryPages.INIT) == 10


def test_capability_pages(driver: Driver) -> None:
    driver.boot()
    assert driver.caps(current=False)["icm_mng_function_id_mode"] == 1
    assert driver.caps(current=True)["icm_mng_function_id_mode"] == 0
    driver.negotiate()
    assert driver.caps(current=True)["icm_mng_function_id_mode"] == 1
    assert driver.caps(current=True)["vhca_id"] == 0x2A
    other = driver.ok(Opcode.QUERY_HCA_CAP, 1 << 1)
    assert other.data == bytes(4096)


def test_offer_overrides_the_profile(driver_class: type[Driver], small: Profile) -> None:
    for offer in (False, True):
        d = driver_class(profile("connectx4-lx") if offer else small)
        d.fw = Firmware(d.profile, offer_vhca_id=offer)
        d.open()
        assert d.in_mode(Mode.VHCA_ID if offer else Mode.FUNC_ID)


def test_startup_pages_may_come_in_pieces(driver: Driver) -> None:
    driver.enable()
    driver.give(driver.own, 2)
    assert driver.query(QueryPages.BOOT) == 1
    driver.give(driver.own, 1)
    assert driver.query(QueryPages.BOOT) == 0
    driver.negotiate()
    assert driver.query(QueryPages.REGULAR) == 0
    driver.give(driver.own, 4)
    assert driver.query(QueryPages.INIT) == 6
    driver.give(driver.own, 6)
    driver.ok(Opcode.INIT_HCA)


def test_an_aborted_start_gets_its_pages_back(driver: Driver) -> None:
    driver.boot()
    driver.feed(Want("self", -1))
    assert driver.take(driver.own, 768) == 3
    assert driver.query(QueryPages.BOOT) == 3
    driver.ok(Opcode.DISABLE_HCA)
    assert driver.fw.holds() == {}
    assert driver.offences == []


def test_start_without_init_pages(driver: Driver) -> None:
    driver.boot()
    driver.refused("pages-missing", Status.BAD_SYS_STATE, Command(Opcode.INIT_HCA))


def test_own_demand_begins_with_init(driver_class: type[Driver], small: Profile) -> None:
    own = FunctionSpec("pf", FunctionType.SELF, 0, 0, ec=False, vhca_id=0x2B, pages=20)
    d = driver_class(small, [own]).open()
    assert d.own == vhca_id(0x2B)
    assert [e.num_pages for e in d.events] == [20]
    assert d.query(QueryPages.REGULAR) == 20


def test_take_returns_at_most_the_limit(driver_class: type[Driver]) -> None:
    d = driver_class(profile("connectx7")).open()
    d.feed(Want("self", 120_000))
    d.give(d.own, 120_000)
    d.feed(Want("self", -120_000))
    assert d.last().num_pages == -120_000
    assert [d.take(d.own, 60_000) for _ in range(4)] == [50_000, 50_000, 20_000, 0]
    d.close(batch=50_000)


def test_teardown_profiles(opened: Driver) -> None:
    assert opened.ok(Opcode.TEARDOWN_HCA, profile=Teardown.PREPARE_FAST)["state"] == 1
    assert opened.in_phase(Phase.WORKING)
    opened.refused("bad-parameter", Status.BAD_PARAM, Command(Opcode.TEARDOWN_HCA, fields={"profile": 3}))
    assert opened.ok(Opcode.TEARDOWN_HCA, profile=Teardown.FORCE)["state"] == 0
    assert opened.in_phase(Phase.CLOSING)
    assert opened.query(QueryPages.REGULAR, opened.own) == -13
    assert opened.take(opened.own, 768) == 13


def test_disable_with_pages_is_recorded_and_they_are_kept_until_reset(opened: Driver) -> None:
    opened.ok(Opcode.TEARDOWN_HCA)
    opened.take(opened.own, 3)
    opened.ok(Opcode.DISABLE_HCA)
    (offence,) = opened.offences
    assert (offence.name, offence.function) == ("disabled-with-pages", opened.own)
    assert "10" in offence.detail
    opened.agree()
    left = opened.fw.holds()[opened.own]
    opened.own, opened.given = func_id(0), {}
    opened.enable()
    assert opened.fw.holds() == {}
    assert opened.in_mode(Mode.FUNC_ID)
    assert set(opened.fw.kept.tolist()) == set(left.tolist())
    assert opened.query(QueryPages.BOOT) == 3
    again = Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, {"input_num_entries": 1}, left[:1])
    opened.refused("given-twice", Status.BAD_RES_STATE, again)
    assert opened.fw.feed(0.0, Reset()) == [ResetDone()]
    assert opened.fw.kept.size == 0
    assert [o.name for o in opened.fw.offences] == ["disabled-with-pages", "given-twice"]


def test_reset_is_power_on(driver_class: type[Driver], small: Profile, opened: Driver) -> None:
    opened.feed(Want("vf1", 7))
    assert opened.fw.feed(0.0, Reset()) == [ResetDone()]
    opened.fw.check()
    assert (opened.fw.phase, opened.fw.mode, opened.fw.holds()) == (Phase.OFF, Mode.FUNC_ID, {})
    specs = opened.specs
    assert opened.fw.key() == driver_class(small, specs).fw.key()
