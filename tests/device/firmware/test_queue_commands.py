"""UARs and event queues: their numbers, the memory that a queue needs, and which queue takes page requests."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fwpages.device import Profile, Want
from fwpages.device.firmware.state import EqContext
from fwpages.device.timeouts import Timeouts
from fwpages.prm.identity import func_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode, QueryPages
from fwpages.prm.status import Status
from tests.device.conftest import Driver

#: the number of the first UAR: that of its page in BAR 0, behind the initialization segment and the MSI-X tables
FIRST_UAR = 0x10000 // 4096
PAGE_REQUESTS = 1 << 0x0B
EVERYTHING_ELSE = (1 << 64) - 1 - PAGE_REQUESTS


def eq(d: Driver, addresses: int, mask: int = 0, **fields: int) -> Command:
    given = {"uar_page": d.uar, "event_bitmask_0": mask, **fields}
    blocks = 1 << fields.get("log_page_size", 0)
    return Command(Opcode.CREATE_EQ, fields=given, pas=d.pages(addresses * blocks)[::blocks])


#: log_eq_size, log_page_size → addresses: 64 bytes an entry, in pages of 4 KiB << log_page_size
SIZES = [(0, 0, 1), (6, 0, 1), (7, 0, 2), (8, 0, 4), (13, 0, 128), (8, 1, 2), (8, 2, 1), (8, 9, 1), (12, 3, 8)]


@pytest.mark.parametrize(("log_size", "log_page", "addresses"), SIZES)
def test_a_queue_has_as_many_addresses_as_its_entries_fill_pages(
    driver: Driver, log_size: int, log_page: int, addresses: int
) -> None:
    driver.open()
    fields = {"log_eq_size": log_size, "log_page_size": log_page}
    for wrong in (addresses - 1, addresses + 1):
        offence = driver.refused("count-mismatch", Status.BAD_INP_LEN, eq(driver, wrong, **fields))
        assert offence.detail.startswith(f"{wrong} addresses for {addresses} page")
        assert f"{4096 << log_page} bytes" in offence.detail
    assert driver.send(eq(driver, addresses, **fields)).ok


def test_a_queue_is_remembered_as_it_was_described(driver: Driver) -> None:
    driver.open()
    c = eq(driver, 2, mask=6, log_eq_size=8, log_page_size=1, intr=3)
    number = driver.send(c)["eq_number"]
    pas = tuple(c.pas.tolist())
    assert driver.fw.eqs[number] == EqContext(6, driver.uar, log_size=8, page_size=8192, vector=3, pas=pas)
    c.pas[:] = 0
    assert driver.fw.eqs[number].pas == pas, "the driver may use its own memory again"


@pytest.mark.parametrize("address", [0, 1, 0x5800, (1 << 64) - 1])
@pytest.mark.parametrize("at", [0, 3])
def test_a_queue_lies_in_pages(driver: Driver, at: int, address: int) -> None:
    driver.open()
    c = eq(driver, 4, log_eq_size=8)
    c.pas[at] = address
    assert hex(address) in driver.refused("bad-address", Status.BAD_PARAM, c).detail
    c.pas[at] = (1 << 64) - 4096
    assert driver.send(c).ok


def test_a_queue_does_not_go_on_behind_the_last_address(driver: Driver) -> None:
    driver.open()
    c = eq(driver, 1, log_eq_size=8, log_page_size=2)
    c.pas[:] = (1 << 64) - 8192
    driver.refused("bad-address", Status.BAD_PARAM, c)


def test_a_queue_is_as_large_as_devices_allow_at_most(driver: Driver) -> None:
    driver.open()
    most = replace(eq(driver, 1), fields={"uar_page": driver.uar, "log_eq_size": 22, "log_page_size": 31})
    more = replace(most, fields={**most.fields, "log_eq_size": 23})
    driver.refused("bad-parameter", Status.BAD_PARAM, more)
    assert driver.send(most).ok


# -- memory that is used for two things --------------------------------------------------------------------------------


def at(c: Command, *addresses: int) -> Command:
    return replace(c, pas=np.array(addresses, np.uint64))


def give(d: Driver, *addresses: int) -> Command:
    c = d.give_command(d.own, len(addresses))
    return at(c, *addresses)


def test_a_queue_cannot_lie_in_pages_that_firmware_has(opened: Driver) -> None:
    page = int(opened.fw.holds()[opened.own][0])
    first = int(opened.pages(1)[0])
    offence = opened.refused("memory-in-use", Status.BAD_RES_STATE, at(eq(opened, 2, log_eq_size=7), first, page))
    assert offence.detail == f"firmware was given page {page:#x}"
    wide = at(eq(opened, 1, log_eq_size=8, log_page_size=2), page - 4096)
    opened.refused("memory-in-use", Status.BAD_RES_STATE, wide)


def test_a_queue_s_memory_is_no_page_until_the_queue_is_gone(opened: Driver) -> None:
    """Each of its pages, those in the middle of a larger one too."""
    c = eq(opened, 2, log_eq_size=8, log_page_size=1)
    number = opened.send(c)["eq_number"]
    blocks = [int(a) + n for a in c.pas for n in (0, 4096)]
    opened.feed(Want("self", 5))
    fresh = int(opened.pages(1)[0])
    for block in blocks:
        offence = opened.refused("memory-in-use", Status.BAD_RES_STATE, give(opened, fresh, block))
        assert offence.detail == f"an event queue lies in page {block:#x}"
    opened.refused("memory-in-use", Status.BAD_RES_STATE, at(eq(opened, 1), blocks[3]))
    opened.ok(Opcode.DESTROY_EQ, eq_number=number)
    assert opened.send(give(opened, fresh, *blocks)).ok
    opened.refused("memory-in-use", Status.BAD_RES_STATE, at(eq(opened, 1), blocks[3]))


def test_a_queue_lies_in_each_of_its_pages_once(opened: Driver) -> None:
    first, second = (int(a) for a in opened.pages(2))
    twice = opened.refused("repeated-page", Status.BAD_PARAM, at(eq(opened, 2, log_eq_size=7), first, first))
    assert hex(first) in twice.detail
    over = eq(opened, 2, log_eq_size=8, log_page_size=1)
    opened.refused("repeated-page", Status.BAD_PARAM, at(over, first, second))
    another = opened.fw.eqs[opened.eqns[0]].pas
    opened.refused("memory-in-use", Status.BAD_RES_STATE, at(eq(opened, 4, log_eq_size=8), *another))


def test_the_teardown_leaves_the_queues_memory_to_the_driver(opened: Driver) -> None:
    pas = opened.fw.eqs[opened.eqns[0]].pas
    opened.ok(Opcode.TEARDOWN_HCA)
    while opened.take(opened.own, 768):
        pass
    opened.send(Command(Opcode.DISABLE_HCA))
    opened.own = func_id(0)
    opened.enable()
    n = opened.query(QueryPages.BOOT)
    assert opened.send(give(opened, *pas[:n])).ok


# -- UARs --------------------------------------------------------------------------------------------------------------


def test_a_queue_rings_in_a_uar_that_there_is_and_holds_it(driver: Driver) -> None:
    driver.open()
    spare = driver.ok(Opcode.ALLOC_UAR)["uar"]
    stray = driver.refused("unknown-resource", Status.BAD_RES, eq(driver, 1, uar_page=spare + 1))
    assert stray.detail == f"UAR {spare + 1:#x}"
    number = driver.send(eq(driver, 1, uar_page=spare))["eq_number"]
    free = Command(Opcode.DEALLOC_UAR, fields={"uar": spare})
    assert hex(spare) in driver.refused("resource-in-use", Status.RES_BUSY, free).detail
    driver.ok(Opcode.DESTROY_EQ, eq_number=number)
    assert driver.send(free).ok
    driver.refused("unknown-resource", Status.BAD_RES, free)
    driver.refused("unknown-resource", Status.BAD_RES, Command(Opcode.DESTROY_EQ, fields={"eq_number": number}))


def test_page_requests_come_on_the_queue_that_was_made_for_them(opened: Driver) -> None:
    """One at a time; the next one takes those that were not announced in between."""
    others, mine = opened.eqns[:2], opened.eqns[2]
    opened.feed(Want("self", 1))
    assert opened.raised_on == {mine}
    second = opened.refused("second-pages-eq", Status.BAD_RES_STATE, opened.eq_command(PAGE_REQUESTS | 2))
    assert str(mine) in second.detail
    opened.ok(Opcode.DESTROY_EQ, eq_number=others[1])
    opened.ok(Opcode.DESTROY_EQ, eq_number=mine)
    opened.raised_on.clear()
    opened.feed(Want("self", 2))
    assert opened.send(opened.eq_command(EVERYTHING_ELSE)).ok
    assert opened.fw.pages_eqn is None
    new = opened.create_eq(PAGE_REQUESTS)
    assert (opened.raised_on, opened.last().num_pages) == ({new}, 2)


@settings(max_examples=50)
@given(moves=st.lists(st.tuples(st.sampled_from(["uar", "uar", "eq", "eq", "free", "destroy"]), st.integers(0, 5))))
def test_numbers_are_the_lowest_that_are_free(small: Profile, moves: list[tuple[str, int]]) -> None:
    d = Driver(small).open()
    uars, eqs = {d.uar}, set(d.eqns)
    for what, n in moves:
        if what == "uar":
            number = d.ok(Opcode.ALLOC_UAR)["uar"]
            assert number == min(set(range(FIRST_UAR, FIRST_UAR + len(uars) + 1)) - uars)
            uars.add(number)
        elif what == "eq":
            number = d.create_eq(2)
            assert number == min(set(range(1, len(eqs) + 2)) - eqs)
            eqs.add(number)
        elif what == "free" and len(uars) > 1:
            gone = sorted(uars - {d.uar})[n % (len(uars) - 1)]
            d.ok(Opcode.DEALLOC_UAR, uar=gone)
            uars.remove(gone)
        elif what == "destroy" and eqs:
            gone = sorted(eqs)[n % len(eqs)]
            d.ok(Opcode.DESTROY_EQ, eq_number=gone)
            eqs.remove(gone)
    assert set(d.fw.eqs) == eqs


@pytest.mark.many_runs
def test_the_last_number_of_each_kind_fits_its_field(driver: Driver) -> None:
    """eq_number has 8 bits; the last UAR is the last page of a BAR of 4 MiB. One that goes makes room for one."""
    driver.open()
    eqns = [driver.create_eq(2) for _ in range(255 - 3)]
    assert eqns[-1] == 0xFF
    assert "255" in driver.refused("too-many-resources", Status.NO_RES_ERR, driver.eq_command(2)).detail
    driver.ok(Opcode.DESTROY_EQ, eq_number=eqns[7])
    assert driver.create_eq(2) == eqns[7]
    room = (4 << 20) // 4096 - FIRST_UAR
    uars = [driver.ok(Opcode.ALLOC_UAR)["uar"] for _ in range(room - 1)]
    assert (uars[-1] + 1) * 4096 == 4 << 20
    driver.refused("too-many-resources", Status.NO_RES_ERR, Command(Opcode.ALLOC_UAR))


def test_a_wrong_queue_takes_no_number(driver: Driver) -> None:
    driver.open()
    good = driver.eq_command(2)
    wrong = replace(good, pas=np.zeros(4, np.uint64))
    driver.refused("bad-address", Status.BAD_PARAM, wrong)
    assert driver.send(good)["eq_number"] == driver.eqns[-1] + 1


@pytest.mark.parametrize("size", [0, 16, 48])
def test_a_register_reads_as_zeros_of_the_length_that_was_asked_for(driver: Driver, size: int) -> None:
    driver.boot()
    before = driver.fw.key()
    written = driver.ok(Opcode.ACCESS_REG, 0, b"\xff" * size, register_id=0x7004)
    assert (written.data, driver.fw.key()) == (bytes(size), before)
    assert driver.ok(Opcode.ACCESS_REG, 1, bytes(size), register_id=0x7004).data == bytes(size)


@pytest.mark.parametrize("size", [16, 64, 80])
def test_time_outs_are_told_where_the_profile_has_them(small: Profile, size: int) -> None:
    """Whatever else the device offers: a driver reads them before it knows its capabilities."""
    told = Timeouts(reclaim_pages=0.5)
    for times, content in ((None, b""), (told, told.dtor)):
        d = Driver(msgspec.structs.replace(small, timeouts=times))
        d.boot()
        before = d.fw.key()
        answer = d.ok(Opcode.ACCESS_REG, 1, bytes(size), register_id=0xC00E)
        assert answer.data == content[:size].ljust(size, b"\0")
        assert d.ok(Opcode.ACCESS_REG, 0, b"\xff" * size, register_id=0xC00E).data == bytes(size)
        assert d.fw.key() == before
    assert told.dtor[0x30:0x34] == bytes.fromhex("000001f4")
