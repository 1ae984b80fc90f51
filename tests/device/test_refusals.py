"""Each rule that a driver can break: the status, the offence, and that nothing changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fwpages.device import OffenceName, Phase, Want
from fwpages.device.firmware.queue_commands import MOST_EQS, MOST_UARS
from fwpages.device.firmware.store import MAX_REGIONS
from fwpages.prm.capability import general
from fwpages.prm.identity import func_id, vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.prm.status import Status

if TYPE_CHECKING:
    from tests.device.conftest import Driver

GIVE, TAKE, CANT_GIVE = ManagePages.GIVE, ManagePages.TAKE, ManagePages.CANT_GIVE
PAGES = Opcode.MANAGE_PAGES


def test_two_offences_alone_are_no_reason_to_refuse_the_command() -> None:
    """A teardown that is not offered is not done all the same: the answer's state says so."""
    assert [o for o in OffenceName if o.status is Status.OK] == ["teardown-not-offered", "disabled-with-pages"]


def test_unknown_command(opened: Driver) -> None:
    opened.refused("unknown-command", Status.BAD_OP, Command(0x800))


def test_commands_in_the_wrong_state(driver: Driver) -> None:
    everything = [Command(op) for op in Opcode if op is not Opcode.ENABLE_HCA]
    for c in everything:
        driver.refused("wrong-state", Status.BAD_SYS_STATE, c)
    driver.enable()
    booting = {Opcode.QUERY_ISSI, Opcode.SET_ISSI, Opcode.QUERY_PAGES, PAGES, Opcode.INIT_HCA, Opcode.DISABLE_HCA}
    for c in [*everything, Command(Opcode.ENABLE_HCA)]:
        if c.opcode not in booting:
            driver.refused("wrong-state", Status.BAD_SYS_STATE, c)
    driver.refused("wrong-state", Status.BAD_SYS_STATE, Command(Opcode.QUERY_PAGES, 2))
    driver.refused("pages-missing", Status.BAD_SYS_STATE, Command(Opcode.INIT_HCA))
    driver.ok(Opcode.DISABLE_HCA)


def test_wrong_state_at_work_and_in_closing(opened: Driver) -> None:
    page = general({})
    for c in (
        Command(Opcode.ENABLE_HCA),
        Command(Opcode.DISABLE_HCA),
        Command(Opcode.INIT_HCA),
        Command(Opcode.SET_ISSI),
        Command(Opcode.QUERY_PAGES, 1, opened.own.fields),
        Command(Opcode.SET_HCA_CAP, 0, data=page),
    ):
        opened.refused("wrong-state", Status.BAD_SYS_STATE, c)
    opened.feed(Want("self", 1))
    opened.ok(Opcode.TEARDOWN_HCA)
    opened.refused("wrong-state", Status.BAD_SYS_STATE, opened.give_command(opened.own, 1))
    for op in (Opcode.TEARDOWN_HCA, Opcode.CREATE_EQ, Opcode.QUERY_HCA_CAP, Opcode.INIT_HCA, Opcode.ENABLE_HCA):
        opened.refused("wrong-state", Status.BAD_SYS_STATE, Command(op))
    assert opened.in_phase(Phase.CLOSING)


def test_reply_too_small(opened: Driver) -> None:
    take = opened.take_command(opened.own, 5)
    offence = opened.refused("reply-too-small", Status.BAD_OUTP_LEN, take, 16 + 4 * 8)
    assert offence.function == opened.own
    opened.refused("reply-too-small", Status.BAD_OUTP_LEN, Command(Opcode.QUERY_HCA_CAP), 16)
    opened.refused("reply-too-small", Status.BAD_OUTP_LEN, Command(Opcode.ALLOC_UAR), 8)


def test_bad_length(driver: Driver) -> None:
    driver.boot()
    driver.refused("bad-length", Status.BAD_INP_LEN, Command(Opcode.SET_HCA_CAP, data=bytes(4092)))


def test_a_give_longer_than_its_count_lends_what_it_counts(opened: Driver) -> None:
    """Snabb's, on hardware: 8 bytes more, with whatever is in the buffer."""
    opened.feed(Want("self", 9))
    before, pages = opened.fw.held("self"), np.append(opened.pages(2), np.uint64(0xBAD))
    assert opened.send(Command(PAGES, GIVE, {**opened.own.fields, "input_num_entries": 2}, pages)).ok
    assert (opened.fw.held("self") - before, opened.fw.asks("self")) == (2, 7)


@pytest.mark.parametrize("op_mod", [TAKE, CANT_GIVE])
def test_a_page_command_that_lends_nothing_may_be_longer_too(opened: Driver, op_mod: ManagePages) -> None:
    """FreeBSD's CANT_GIVE has the length of the GIVE that failed, and zeros."""
    opened.feed(Want("self", 9))
    before = opened.fw.held("self")
    answer = opened.send(Command(PAGES, op_mod, opened.own.fields, np.zeros(9, np.uint64)))
    assert (answer.ok, opened.fw.held("self")) == (True, before)
    assert opened.fw.asks("self") == (0 if op_mod is CANT_GIVE else 9)


def test_count_mismatch(opened: Driver) -> None:
    opened.feed(Want("self", 9))
    fields = opened.own.fields
    c = Command(PAGES, GIVE, {**fields, "input_num_entries": 3}, opened.pages(2))
    opened.refused("count-mismatch", Status.BAD_INP_LEN, c)
    opened.refused("count-mismatch", Status.BAD_INP_LEN, opened.eq_command(2, pages=3))


def test_bad_op_mod(driver: Driver) -> None:
    driver.boot()
    for c in (Command(PAGES, 3), Command(Opcode.QUERY_PAGES, 0), Command(Opcode.SET_HCA_CAP, 1, data=bytes(4096))):
        driver.refused("bad-op-mod", Status.BAD_PARAM, c)


def test_startup_pages_are_the_suppliers_own(driver: Driver) -> None:
    driver.boot()
    c = Command(Opcode.QUERY_PAGES, 2, {"function_id": 1})
    assert driver.refused("bad-parameter", Status.BAD_PARAM, c).function == func_id(1)


def test_identity_of_the_other_mode(driver: Driver) -> None:
    driver.open()
    with_ec = Command(PAGES, TAKE, {"function_id": 0x2A, "embedded_cpu_function": 1})
    assert driver.refused("identity-mode", Status.BAD_PARAM, with_ec).function == func_id(0x2A, ec=True)
    assert driver.refused("identity-mode", Status.BAD_PARAM, Command(PAGES, TAKE)).function == func_id(0)
    by_vhca = {"function_id": 0x31, "function_id_type": 1, "embedded_cpu_function": 1}
    assert driver.refused("identity-mode", Status.BAD_PARAM, Command(Opcode.ENABLE_HCA, 0, by_vhca)).function is None


def test_vhca_id_0_is_a_name_where_a_function_has_it(driver_class: type[Driver], driver: Driver) -> None:
    d = driver_class(driver.profile, [replace(driver.specs[0], vhca_id=0)]).open()
    assert d.take(vhca_id(0), 5) == 0


def test_unknown_function(opened: Driver) -> None:
    c = Command(PAGES, GIVE, {"function_id": 0x77, "input_num_entries": 1}, opened.pages(1))
    offence = opened.refused("unknown-function", Status.BAD_PARAM, c)
    assert offence.function is not None
    assert offence.function.number == 0x77
    for op in (Opcode.ENABLE_HCA, Opcode.ALLOC_SF):
        opened.refused("unknown-function", Status.BAD_PARAM, Command(op, 0, {"function_id": 0x77}))
    cap = Command(Opcode.QUERY_HCA_CAP, 0, {"other_function": 1, "function_id": 0x77, "function_id_type": 1})
    opened.refused("unknown-function", Status.BAD_PARAM, cap)


def test_gives_that_firmware_did_not_ask_for(opened: Driver) -> None:
    opened.refused("empty-give", Status.BAD_PARAM, opened.give_command(opened.own, 0))
    opened.refused("unrequested-give", Status.LIM_ERR, opened.give_command(opened.own, 1))
    opened.feed(Want("self", 2))
    opened.refused("unrequested-give", Status.LIM_ERR, opened.give_command(opened.own, 3))
    opened.give(opened.own, 2)


def test_more_than_the_start_needs(driver: Driver) -> None:
    driver.enable()
    driver.refused("unrequested-give", Status.LIM_ERR, driver.give_command(driver.own, 4))
    driver.give(driver.own, 3)
    driver.refused("unrequested-give", Status.LIM_ERR, driver.give_command(driver.own, 11))
    driver.refused("unrequested-give", Status.LIM_ERR, driver.give_command(func_id(1), 1))


def give_of(driver: Driver, addresses: list[int]) -> Command:
    fields = {**driver.own.fields, "input_num_entries": len(addresses)}
    return Command(PAGES, GIVE, fields, np.array(addresses, np.uint64))


def test_bad_pages(opened: Driver) -> None:
    opened.feed(Want("self", MAX_REGIONS + 9))
    (held,) = opened.fw.holds().values()
    first = int(held[0])
    opened.refused("bad-address", Status.BAD_PARAM, give_of(opened, [0x5000, 0]))
    opened.refused("bad-address", Status.BAD_PARAM, give_of(opened, [0x5000, 0x6800]))
    opened.refused("repeated-page", Status.BAD_PARAM, give_of(opened, [0x5000, 0x6000, 0x5000]))
    opened.refused("given-twice", Status.BAD_RES_STATE, give_of(opened, [0x5000, first]))
    far = [(n + 100) << 27 for n in range(MAX_REGIONS + 1)]
    opened.refused("too-scattered", Status.NO_RES_ERR, give_of(opened, far))


def test_capabilities_not_offered(driver: Driver) -> None:
    driver.boot()
    good = driver.caps(current=True)
    for page in (
        general({**good, "eswitch_manager": 1}),
        general({**good, "log_uar_page_sz": 17}),
        general(good)[:-1] + b"\1",
    ):
        driver.refused("capability-not-offered", Status.BAD_PARAM, Command(Opcode.SET_HCA_CAP, 0, data=page))
    other = Command(Opcode.SET_HCA_CAP, 1 << 1, data=general({"vhca_id": 1}))
    driver.refused("capability-not-offered", Status.BAD_PARAM, other)
    driver.ok(Opcode.SET_HCA_CAP, 1 << 1, bytes(4096))


def test_the_mode_does_not_go_back(driver: Driver) -> None:
    driver.boot()
    page = general(driver.caps(current=True))
    driver.negotiate()
    driver.refused("mode-back", Status.BAD_PARAM, Command(Opcode.SET_HCA_CAP, 0, data=page))


def test_issi_not_supported(driver: Driver) -> None:
    driver.enable()
    driver.refused("issi-not-supported", Status.BAD_PARAM, Command(Opcode.SET_ISSI, 0, {"current_issi": 2}))
    driver.ok(Opcode.SET_ISSI, current_issi=0)


def test_functions_switched_twice(opened: Driver) -> None:
    on, off = (Command(op, 0, {"function_id": 1}) for op in (Opcode.ENABLE_HCA, Opcode.DISABLE_HCA))
    opened.refused("not-enabled", Status.BAD_RES_STATE, off)
    assert opened.send(on).ok
    offence = opened.refused("already-enabled", Status.BAD_RES_STATE, on)
    assert offence.function is not None
    assert offence.function.number in (1, 0x31)
    assert opened.send(off).ok
    opened.refused("not-enabled", Status.BAD_RES_STATE, off)


def test_sfs(opened: Driver) -> None:
    sf = {"function_id": 0x100}
    opened.refused("sf-not-allocated", Status.BAD_RES_STATE, Command(Opcode.ENABLE_HCA, 0, sf))
    opened.refused("sf-not-allocated", Status.BAD_RES_STATE, Command(Opcode.DEALLOC_SF, 0, sf))
    opened.refused("not-an-sf", Status.BAD_PARAM, Command(Opcode.ALLOC_SF, 0, {"function_id": 1}))
    opened.ok(Opcode.ALLOC_SF, **sf)
    opened.refused("sf-allocated", Status.BAD_RES_STATE, Command(Opcode.ALLOC_SF, 0, sf))


def test_resources(opened: Driver) -> None:
    opened.refused("unknown-resource", Status.BAD_RES, Command(Opcode.DEALLOC_UAR, 0, {"uar": 9}))
    opened.refused("unknown-resource", Status.BAD_RES, Command(Opcode.DESTROY_EQ, 0, {"eq_number": 9}))
    opened.refused("resource-in-use", Status.RES_BUSY, Command(Opcode.DEALLOC_UAR, 0, {"uar": opened.uar}))
    opened.refused("second-pages-eq", Status.BAD_RES_STATE, opened.eq_command(1 << 0x0B))
    eq = opened.eq_command(2)
    eq.pas[1] = 0
    opened.refused("bad-address", Status.BAD_PARAM, eq)
    stray = Command(Opcode.CREATE_EQ, 0, {"log_eq_size": 8, "uar_page": 9}, opened.pages(4))
    opened.refused("unknown-resource", Status.BAD_RES, stray)


@pytest.mark.parametrize("what", ["uar", "eq"])
def test_too_many_resources(driver: Driver, what: str) -> None:
    driver.open()
    if what == "uar":
        for _ in range(MOST_UARS - 1):
            driver.ok(Opcode.ALLOC_UAR)
        driver.refused("too-many-resources", Status.NO_RES_ERR, Command(Opcode.ALLOC_UAR))
    else:
        for _ in range(MOST_EQS - 3):
            driver.create_eq(2)
        driver.refused("too-many-resources", Status.NO_RES_ERR, driver.eq_command(2))
