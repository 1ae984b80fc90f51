"""Functions coming, going and being reset, and the page requests that say what firmware wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fwpages.device import FunctionSpec, ResetFunction, Want, profile
from fwpages.device.firmware.functions import MOST_PAGES
from fwpages.prm.capability import general
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity, Mode, func_id, vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.prm.status import Status

if TYPE_CHECKING:
    from tests.device.conftest import Driver


def name_of(d: Driver, spec: FunctionSpec) -> Identity:
    who = spec.identity(d.fw.mode)
    assert who is not None
    return who


def test_enable_give_disable_take(opened: Driver) -> None:
    who = name_of(opened, opened.specs[0])
    opened.ok(Opcode.ENABLE_HCA, function_id=1)
    assert opened.events == [PageRequestEvent(who.number, 5)]
    assert opened.raised_on == {opened.eqns[2]}
    opened.give(who, 2)
    assert opened.query(QueryPages.REGULAR, who) == 3
    opened.give(who, 3)
    opened.agree()
    assert opened.take(who, 9) == 0
    opened.ok(Opcode.DISABLE_HCA, function_id=1)
    assert opened.events[1:] == [PageRequestEvent(who.number, -5)]
    assert opened.query(QueryPages.REGULAR, who) == -5
    assert [opened.take(who, 3), opened.take(who, 3), opened.take(who, 3)] == [3, 2, 0]
    opened.close()
    assert opened.offences == []


def test_functions_are_named_by_vhca_id_too(opened: Driver) -> None:
    opened.ok(Opcode.ENABLE_HCA, function_id=0x32, function_id_type=1)
    assert opened.last().num_pages == 7
    opened.ok(Opcode.DISABLE_HCA, function_id=2)
    for fields in ({"function_id": 2}, {"function_id": 0x32, "function_id_type": 1}):
        for current in (False, True):
            assert opened.caps(current=current, other_function=1, **fields)["vhca_id"] == 0x32
    opened.ok(Opcode.SET_HCA_CAP, 0, general({"vhca_id": 0x32}), other_function=1, function_id=2)


def test_an_sf_from_allocation_to_its_end(opened: Driver) -> None:
    who = name_of(opened, opened.specs[2])
    opened.ok(Opcode.ALLOC_SF, function_id=0x100)
    assert opened.last() == PageRequestEvent(who.number, 3, who.ec)
    opened.give(who, 3)
    opened.ok(Opcode.DEALLOC_SF, function_id=0x100)
    assert opened.last() == PageRequestEvent(who.number, -3)
    opened.ok(Opcode.ALLOC_SF, function_id=0x100)
    opened.ok(Opcode.DEALLOC_SF, function_id=0x100)
    assert opened.take(who, 3) == 3


def test_spf_has_no_name_in_func_id_mode(opened: Driver) -> None:
    opened.ok(Opcode.ENABLE_HCA, function_id=0x50, function_id_type=1)
    if opened.fw.mode is Mode.FUNC_ID:
        assert opened.events == []
    else:
        assert opened.events == [PageRequestEvent(0x50, 4)]
        opened.give(vhca_id(0x50), 4)
    opened.close()


def test_requests_wait_for_the_queue_and_end_with_it(driver: Driver) -> None:
    driver.boot()
    driver.feed(Want("self", 4))
    driver.negotiate()
    driver.initialise()
    driver.feed(Want("self", 2))
    driver.ok(Opcode.ENABLE_HCA, function_id=1)
    driver.feed(Want("self", -2))
    assert driver.events == []
    driver.listen()
    assert [(e.number, e.num_pages) for e in driver.events] == [(0x2A, -2), (0x2A, 6), (0x31, 5)]
    driver.ok(Opcode.DESTROY_EQ, eq_number=driver.eqns.pop())
    driver.feed(Want("self", 9))
    driver.feed(ResetFunction("vf1"))
    assert len(driver.events) == 3
    driver.give(driver.own, 15)
    driver.close()
    assert driver.offences == []


def test_an_answer_tells_as_an_event_does(driver: Driver) -> None:
    driver.boot()
    driver.negotiate()
    driver.initialise()
    driver.feed(Want("self", 4))
    assert driver.query(QueryPages.REGULAR) == 4
    driver.feed(Want("vf1", -3))
    driver.listen()
    assert driver.events == []


def test_nothing_is_wanted_of_a_closed_device(driver: Driver) -> None:
    driver.feed(Want("vf1", 4))
    driver.feed(ResetFunction("vf1"))
    driver.open()
    assert driver.events == []
    driver.ok(Opcode.TEARDOWN_HCA)
    driver.feed(Want("vf1", 4))
    driver.feed(ResetFunction("vf1"))
    driver.eqns.clear()
    assert driver.events == []


def test_zero_and_huge_wants(opened: Driver) -> None:
    opened.feed(Want("vf1", 0))
    assert opened.events == []
    opened.feed(Want("vf1", 1 << 40))
    assert opened.last().num_pages == MOST_PAGES
    opened.feed(Want("vf1", 1))
    assert len(opened.events) == 1
    opened.feed(Want("self", -(1 << 40)))
    assert opened.last().num_pages == -13


def test_cant_give_drops_what_was_announced(opened: Driver) -> None:
    opened.feed(Want("vf1", 8))
    who = name_of(opened, opened.specs[0])
    opened.give(who, 3)
    opened.ok(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, **who.fields)
    assert opened.query(QueryPages.REGULAR, who) == 0
    opened.feed(Want("vf1", 2))
    assert opened.last().num_pages == 2
    opened.refused("unrequested-give", Status.LIM_ERR, opened.give_command(who, 3))


def test_reset_with_release_all(opened: Driver) -> None:
    who = name_of(opened, opened.specs[0])
    opened.ok(Opcode.ENABLE_HCA, function_id=1)
    opened.give(who, 5)
    opened.feed(Want("vf1", -2))
    opened.events.clear()
    opened.feed(ResetFunction("vf1"))
    assert opened.events == [PageRequestEvent(who.number, 0, release_all=True), PageRequestEvent(who.number, 5)]
    opened.given.pop(who)
    opened.agree()
    opened.give(who, 5)
    opened.close()
    assert opened.offences == []


def test_reset_without_release_all(driver: Driver) -> None:
    driver.open(by_vhca_id=False, release_all=False)
    driver.ok(Opcode.ENABLE_HCA, function_id=1)
    driver.give(func_id(1), 5)
    driver.feed(Want("vf2", 6))
    driver.give(func_id(2), 6)
    driver.events.clear()
    driver.feed(ResetFunction("vf1"))
    driver.feed(ResetFunction("vf2"))
    assert [(e.number, e.num_pages, e.release_all) for e in driver.events] == [
        (1, -5, False),
        (1, 5, False),
        (2, -6, False),
    ]
    assert driver.take(func_id(1), 5) == 5
    driver.give(func_id(1), 5)
    assert driver.take(func_id(2), 9) == 6
    driver.close()


@pytest.mark.parametrize("reset", [False, True])
def test_a_request_stands_when_the_need_is_gone(opened: Driver, reset: bool) -> None:
    who = name_of(opened, opened.specs[0])
    opened.ok(Opcode.ENABLE_HCA, function_id=1)
    opened.give(who, 1)
    if reset:
        opened.feed(ResetFunction("vf1"))
        opened.given.pop(who)
        opened.give(who, 4)
        assert opened.last() == PageRequestEvent(who.number, -4)
        opened.give(who, 5)
    else:
        opened.ok(Opcode.DISABLE_HCA, function_id=1)
        opened.give(who, 4)
        assert [e.num_pages for e in opened.events] == [5, -1, -4]
        assert opened.take(who, 9) == 5
    opened.close()
    assert opened.offences == []


def test_the_supplier_is_not_reset_as_a_function(opened: Driver) -> None:
    key = opened.fw.key()
    for bad, words in (("self", "feed Reset"), ("absent", "there are")):
        with pytest.raises(ValueError, match=words):
            opened.feed(ResetFunction(bad))
    with pytest.raises(ValueError, match="there are"):
        opened.feed(Want("absent", 1))
    with pytest.raises(ValueError, match="there are"):
        opened.fw.held("absent")
    assert opened.fw.key() == key


ECPF = (
    FunctionSpec("host", FunctionType.HOST_PF, 0, 0, ec=False, vhca_id=0x10, pages=8),
    FunctionSpec("vf", FunctionType.VF, 1, 1, ec=False, vhca_id=0x11, pages=2),
    FunctionSpec("ec_vf", FunctionType.EC_VF, 0x4001, 1, ec=True, vhca_id=0x12, pages=3),
    FunctionSpec("sf", FunctionType.SF, 0x8000, 0x8000, ec=True, vhca_id=0x13, pages=4),
    FunctionSpec("spf", FunctionType.SPF, 0x5000, 0, ec=False, vhca_id=0x14, pages=5),
)


@pytest.mark.parametrize("by_vhca_id", [False, True])
def test_an_ecpf_session(driver_class: type[Driver], by_vhca_id: bool) -> None:
    d = driver_class(profile("bluefield3"), ECPF).open(by_vhca_id=by_vhca_id)
    assert d.fw.held("self") == 37 + 12868
    assert d.caps(current=True, other_function=1, function_id=0xFFFE)["vhca_id"] == 0x2A
    assert d.caps(current=True, other_function=1, function_id=0)["vhca_id"] == 0x10
    assert d.caps(current=True, other_function=1, function_id=1, ec_vf_function=1)["vhca_id"] == 0x12
    d.ok(Opcode.ENABLE_HCA, function_id=0)
    d.feed(Want("vf", 2))
    d.ok(Opcode.ENABLE_HCA, function_id=1, embedded_cpu_function=1)
    d.ok(Opcode.ALLOC_SF, function_id=0x8000)
    d.ok(Opcode.ENABLE_HCA, function_id=0x5000)
    named = [Identity(d.fw.mode, e.number, e.ec) for e in d.events]
    if by_vhca_id:
        assert named == [vhca_id(n) for n in (0x10, 0x11, 0x12, 0x13, 0x14)]
    else:
        assert named == [func_id(0), func_id(1), func_id(1, ec=True), func_id(0x8000, ec=True)]
    for who, ev in zip(named, list(d.events), strict=True):
        d.give(who, ev.num_pages)
    d.agree()
    d.events.clear()
    d.ok(Opcode.DISABLE_HCA, function_id=1, embedded_cpu_function=1)
    d.feed(ResetFunction("host"))
    assert [(e.num_pages, e.release_all) for e in d.events] == [(-3, False), (0, True), (8, False)]
    d.given.pop(named[0])
    assert d.take(named[2], 768) == 3
    d.close()
    assert d.offences == []


def test_host_pf_is_not_the_ecpf(driver_class: type[Driver]) -> None:
    d = driver_class(profile("bluefield3"), ECPF)
    d.enable()
    c = Command(Opcode.QUERY_PAGES, QueryPages.BOOT)
    assert d.refused("bad-parameter", Status.BAD_PARAM, c).function == func_id(0)
