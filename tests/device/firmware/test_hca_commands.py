"""A session's beginning, its mode and its end; functions that come, go, and leave their vhca_id to another."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from fwpages.device import Firmware, FunctionSpec, Phase, Profile, ResetFunction, Tick, Want
from fwpages.prm.capability import general
from fwpages.prm.identity import FunctionType, Mode, func_id, vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode, QueryPages, Teardown
from fwpages.prm.status import Status
from tests.device.conftest import SF, VF, VF2, Driver

MODE = "icm_mng_function_id_mode"
#: gets the vhca_id of vf1 when that is disabled
HEIR = FunctionSpec("heir", FunctionType.VF, 3, 3, ec=False, vhca_id=VF.vhca_id, pages=2, reuses="vf1")


def switch(on: bool, spec: FunctionSpec) -> Command:
    return Command(Opcode.ENABLE_HCA if on else Opcode.DISABLE_HCA, fields={"function_id": spec.function_id})


# -- a session ---------------------------------------------------------------------------------------------------------


def test_every_session_begins_as_the_first(opened: Driver) -> None:
    """In FUNC_ID mode, with the capabilities of power-on, no ISSI chosen, and the numbers of its queues free."""
    first, opened.events = opened.eqns, []
    opened.feed(Want("vf1", 4))
    opened.close()
    opened.own = func_id(0)
    opened.enable()
    assert opened.in_mode(Mode.FUNC_ID)
    assert opened.ok(Opcode.QUERY_ISSI)["current_issi"] == 0
    opened.give(opened.own, 3)
    assert {k: v for k, v in opened.caps(current=True).items() if v} == {"vhca_id": 0x2A, "force_teardown": 1}
    opened.initialise()
    opened.listen()
    assert (opened.eqns, len(opened.events)) == (first, 1), "what vf1 wanted in another session is forgotten"


@pytest.mark.parametrize(("issi", "offered"), [(0, True), (1, True), (2, False), (0xFFFF, False)])
def test_an_issi_is_chosen_among_those_that_are_offered(driver: Driver, issi: int, offered: bool) -> None:
    driver.enable()
    c = Command(Opcode.SET_ISSI, fields={"current_issi": issi})
    if not offered:
        assert f"ISSI {issi}," in driver.refused("issi-not-supported", Status.BAD_PARAM, c).detail
    else:
        driver.ok(Opcode.SET_ISSI, current_issi=issi)
    assert driver.ok(Opcode.QUERY_ISSI)["current_issi"] == issi * offered


def test_init_hca_says_which_pages_are_missing_and_how_many(driver: Driver) -> None:
    driver.enable()
    for given, left in ((0, "3 boot"), (1, "2 boot"), (2, "10 init"), (4, "6 init")):
        if given:
            driver.give(driver.own, given)
        offence = driver.refused("pages-missing", Status.BAD_SYS_STATE, Command(Opcode.INIT_HCA))
        assert offence.detail.startswith(left)
    driver.give(driver.own, 6)
    driver.ok(Opcode.INIT_HCA)


def test_firmware_that_switches_the_mode_at_init_hca(small: Profile) -> None:
    """Init pages are still named by function_id; all of them are the own vhca_id's from INIT_HCA on."""
    d = Driver(small)
    d.fw = Firmware(small, switch_at_init=True)
    d.boot()
    d.ok(Opcode.SET_HCA_CAP, 0, general({**d.caps(current=True), MODE: 1}))
    assert d.in_mode(Mode.FUNC_ID)
    assert d.caps(current=True)[MODE] == 1, "the driver cannot see that it is not switched yet"
    early = Command(Opcode.QUERY_PAGES, QueryPages.INIT, {"function_id": 0x2A})
    d.refused("unknown-function", Status.BAD_PARAM, early)
    d.give(func_id(0), d.query(QueryPages.INIT))
    d.ok(Opcode.INIT_HCA)
    assert d.in_mode(Mode.VHCA_ID)
    assert {who: pages.size for who, pages in d.fw.holds().items()} == {vhca_id(0x2A): 13}


@pytest.mark.parametrize(
    ("profile", "needs"), [(Teardown.FORCE, "force_teardown"), (Teardown.PREPARE_FAST, "fast_teardown")]
)
@pytest.mark.parametrize("chosen", [False, True])
def test_a_teardown_in_haste_needs_the_current_capability(
    small: Profile, profile: Teardown, needs: str, chosen: bool
) -> None:
    """Offered is not enough: without it the answer is OK with state 1, the device works on, and notes the offence."""
    d = Driver(msgspec.structs.replace(small, max={**small.max, needs: 1}, current={needs: int(not chosen)}))
    d.boot()
    d.ok(Opcode.SET_HCA_CAP, 0, general({**d.caps(current=True), needs: int(chosen)}))
    d.initialise()
    d.listen()
    before = d.fw.key()
    assert d.ok(Opcode.TEARDOWN_HCA, profile=profile)["state"] == int(not chosen)
    assert (d.fw.phase is Phase.WORKING, d.fw.key() == before) == (not chosen, not chosen)
    assert bool(d.fw.eqs) is not chosen
    assert [(o.name, o.detail) for o in d.fw.offences] == (
        [] if chosen else [("teardown-not-offered", f"profile {profile}, {needs} is 0")]
    )


def test_after_the_teardown_nothing_is_wanted_and_all_pages_can_be_taken(opened: Driver) -> None:
    who = VF.identity(opened.fw.mode)
    assert who is not None
    assert opened.send(switch(True, VF)).ok
    opened.give(who, 3)
    opened.feed(Want("self", 9))
    opened.ok(Opcode.TEARDOWN_HCA)
    assert [opened.fw.asks(name) for name in ("self", "vf1")] == [0, 0]
    assert (opened.fw.is_enabled("vf1"), opened.fw.pages_eqn, dict(opened.fw.eqs)) == (False, None, {})
    assert [opened.query(QueryPages.REGULAR, w) for w in (opened.own, who)] == [-13, -3]
    assert [opened.take(w, 99) for w in (opened.own, who)] == [13, 3]


# -- functions ---------------------------------------------------------------------------------------------------------


def test_one_function_s_switch_is_nothing_to_another(opened: Driver) -> None:
    assert opened.send(switch(True, VF)).ok
    opened.refused("not-enabled", Status.BAD_RES_STATE, switch(False, VF2))
    assert opened.send(switch(True, VF2)).ok
    assert opened.send(switch(False, VF)).ok
    assert [opened.fw.is_enabled(n) for n in ("vf1", "vf2", "sf", "spf")] == [False, True, False, False]


@pytest.mark.parametrize(
    ("opcode", "spec", "name", "status"),
    [
        (Opcode.ENABLE_HCA, SF, "sf-not-allocated", Status.BAD_RES_STATE),
        (Opcode.DISABLE_HCA, SF, "sf-not-allocated", Status.BAD_RES_STATE),
        (Opcode.DEALLOC_SF, SF, "sf-not-allocated", Status.BAD_RES_STATE),
        (Opcode.ALLOC_SF, VF, "not-an-sf", Status.BAD_PARAM),
        (Opcode.DEALLOC_SF, VF, "not-an-sf", Status.BAD_PARAM),
    ],
)
def test_an_sf_comes_and_goes_by_commands_of_its_own(
    opened: Driver, opcode: Opcode, spec: FunctionSpec, name: str, status: Status
) -> None:
    c = Command(opcode, fields={"function_id": spec.function_id})
    assert spec.name in opened.refused(name, status, c).detail
    opened.ok(Opcode.ALLOC_SF, function_id=SF.function_id)
    opened.refused("sf-allocated", Status.BAD_RES_STATE, Command(Opcode.ALLOC_SF, fields={"function_id": 0x100}))
    opened.ok(Opcode.DEALLOC_SF, function_id=SF.function_id)
    opened.refused("sf-not-allocated", Status.BAD_RES_STATE, Command(Opcode.DEALLOC_SF, fields={"function_id": 0x100}))


def test_an_sf_is_activated_between_its_allocation_and_its_end(opened: Driver) -> None:
    """Linux: ALLOC_SF (``mlx5_sf_hw_table_sf_alloc``), ENABLE_HCA, DISABLE_HCA, DEALLOC_SF."""
    who = SF.identity(opened.fw.mode)
    assert who is not None
    opened.ok(Opcode.ALLOC_SF, function_id=SF.function_id)
    opened.refused("not-enabled", Status.BAD_RES_STATE, switch(False, SF))
    opened.give(who, 3)
    events = len(opened.events)
    assert opened.send(switch(True, SF)).ok
    assert len(opened.events) == events, "it has its pages"
    opened.refused("already-enabled", Status.BAD_RES_STATE, switch(True, SF))
    assert opened.send(switch(False, SF)).ok
    assert (opened.last().num_pages, opened.fw.is_enabled("sf")) == (-3, False)
    opened.refused("not-enabled", Status.BAD_RES_STATE, switch(False, SF))
    opened.refused("sf-allocated", Status.BAD_RES_STATE, Command(Opcode.ALLOC_SF, fields={"function_id": 0x100}))
    assert opened.send(switch(True, SF)).ok
    assert opened.last().num_pages == 3
    opened.ok(Opcode.DEALLOC_SF, function_id=SF.function_id)
    opened.refused("sf-not-allocated", Status.BAD_RES_STATE, switch(True, SF))


def test_an_sf_that_is_allocated_keeps_its_vhca_id(small: Profile) -> None:
    d = Driver(small, [SF, replace(HEIR, vhca_id=SF.vhca_id, reuses="sf")]).open()
    d.ok(Opcode.ALLOC_SF, function_id=SF.function_id)
    assert d.send(switch(True, SF)).ok
    assert d.send(switch(False, SF)).ok
    d.refused("vhca-id-in-use", Status.RES_BUSY, switch(True, HEIR))
    d.feed(Want("heir", 2))
    assert d.fw.asks("heir") == 0
    d.ok(Opcode.DEALLOC_SF, function_id=SF.function_id)
    assert d.send(switch(True, HEIR)).ok


def test_the_uplink_cannot_be_enabled_by_any_number(small: Profile) -> None:
    uplink = FunctionSpec("uplink", FunctionType.UNKNOWN, 0xFFFF, 0xFFFF, ec=False, vhca_id=0x99)
    d = Driver(small, [VF, uplink]).open()
    for fields in ({"function_id": 0xFFFF}, {"function_id": 0x99, "function_id_type": 1}):
        for opcode in (Opcode.ENABLE_HCA, Opcode.DISABLE_HCA):
            d.refused("unknown-function", Status.BAD_PARAM, Command(opcode, fields=fields))
    assert not d.fw.is_enabled("uplink")


def test_the_supplier_itself_is_no_sf(opened: Driver) -> None:
    opened.refused("not-an-sf", Status.BAD_PARAM, Command(Opcode.ALLOC_SF))


# -- a vhca_id that is used again --------------------------------------------------------------------------------------


@pytest.fixture
def heirs(small: Profile) -> Driver:
    """At work in VHCA_ID mode; vf1 is enabled and has its five pages."""
    d = Driver(small, [VF, VF2, HEIR]).open()
    assert d.send(switch(True, VF)).ok
    d.give(vhca_id(VF.vhca_id), 5)
    return d


@pytest.mark.parametrize(("first", "second"), [(VF, HEIR), (HEIR, VF)])
def test_a_vhca_id_belongs_to_one_enabled_function_at_a_time(
    heirs: Driver, first: FunctionSpec, second: FunctionSpec
) -> None:
    if first is HEIR:
        assert heirs.send(switch(False, VF)).ok
        assert heirs.send(switch(True, HEIR)).ok
    offence = heirs.refused("vhca-id-in-use", Status.RES_BUSY, switch(True, second))
    assert (offence.function, second.name in offence.detail) == (vhca_id(0x31), True)
    assert heirs.send(switch(False, first)).ok
    assert heirs.send(switch(True, second)).ok


def test_pages_of_the_earlier_user_of_a_name_are_returned_first(heirs: Driver) -> None:
    who = vhca_id(VF.vhca_id)
    old = set(heirs.fw.holds()[who].tolist())
    assert heirs.send(switch(False, VF)).ok
    assert heirs.send(switch(True, HEIR)).ok
    assert [e.num_pages for e in heirs.events[-2:]] == [-5, 2]
    heirs.give(who, 2)
    assert (heirs.fw.held("vf1"), heirs.fw.held("heir")) == (5, 2)
    back = heirs.send(heirs.take_command(who, 4)).pas
    assert set(back.tolist()) < old
    assert heirs.fw.held("heir") == 2
    last = heirs.send(heirs.take_command(who, 9)).pas
    assert {*back.tolist(), *last.tolist()} == old
    assert (heirs.fw.held("vf1"), heirs.fw.held("heir")) == (0, 2)


def test_in_func_id_mode_each_of_the_two_has_its_own_pages(small: Profile) -> None:
    d = Driver(small, [VF, HEIR]).open(by_vhca_id=False)
    assert d.send(switch(True, VF)).ok
    d.give(func_id(1), 5)
    assert d.send(switch(False, VF)).ok
    assert d.send(switch(True, HEIR)).ok
    d.give(func_id(3), 2)
    assert d.take(func_id(3), 9) == 0
    assert d.take(func_id(1), 9) == 5
    d.agree()


def test_a_reset_of_who_had_the_vhca_id_before_is_nothing_to_the_heir(heirs: Driver) -> None:
    assert heirs.send(switch(False, VF)).ok
    assert heirs.send(switch(True, HEIR)).ok
    heirs.give(vhca_id(VF.vhca_id), 2)
    before, events = heirs.fw.key(), len(heirs.events)
    heirs.feed(ResetFunction("vf1"))
    assert (heirs.fw.key(), len(heirs.events)) == (before, events)
    heirs.feed(ResetFunction("heir"))
    assert [(e.release_all, e.num_pages) for e in heirs.events[events:]] == [(True, 0), (False, 2)]
    assert (heirs.fw.held("vf1"), heirs.fw.held("heir"), heirs.fw.asks("heir"), heirs.fw.asks("vf1")) == (0, 0, 2, 0)


@pytest.mark.parametrize("pages", [3, -3])
def test_who_does_not_have_its_vhca_id_wants_nothing(heirs: Driver, pages: int) -> None:
    before = heirs.fw.key()
    heirs.feed(Want("heir", pages))
    assert (heirs.fw.key(), heirs.fw.asks("heir")) == (before, 0)


def test_a_function_that_takes_over_a_name_without_the_e_switch_ends_its_earlier_use(small: Profile) -> None:
    """Two functions with one vhca_id are never alive at once, whoever lets them live."""
    d = Driver(small, [VF, HEIR]).open()
    d.feed(Want("vf1", 5))
    d.give(vhca_id(VF.vhca_id), 4)
    d.feed(Want("heir", 2))
    assert [e.num_pages for e in d.events] == [5, -4, 2]
    d.give(vhca_id(VF.vhca_id), 3)
    assert (d.fw.held("vf1"), d.fw.held("heir"), d.last().num_pages) == (4, 3, -1)
    assert d.take(vhca_id(VF.vhca_id), 9) == 5
    assert (d.fw.held("vf1"), d.fw.held("heir")) == (0, 2)
    d.agree()


def test_pages_left_behind_under_one_name_are_one_count(heirs: Driver) -> None:
    assert heirs.send(switch(False, VF)).ok
    assert heirs.send(switch(True, HEIR)).ok
    heirs.give(vhca_id(VF.vhca_id), 2)
    heirs.ok(Opcode.TEARDOWN_HCA)
    heirs.send(Command(Opcode.DISABLE_HCA))
    assert heirs.offences[-1].detail == "pages held: 13 of vhca:0x2a, 7 of vhca:0x31"


def test_two_that_share_a_vhca_id_without_saying_so_are_no_device(small: Profile) -> None:
    with pytest.raises(ValueError, match="vf1 and heir have the same vhca_id"):
        Firmware(small, [VF, replace(HEIR, reuses="vf2")])


# -- a vhca_id that changes -------------------------------------------------------------------------------------------

CHANGING = replace(VF, next_vhca_id=0x71)


@pytest.fixture
def changing(small: Profile) -> Driver:
    """At work in VHCA_ID mode; vf1, which gets another vhca_id, is enabled and has its five pages."""
    d = Driver(small, [CHANGING, VF2]).open()
    assert d.send(switch(True, CHANGING)).ok
    d.give(vhca_id(0x31), 5)
    return d


def test_a_function_that_was_disabled_has_another_vhca_id_once_its_pages_are_back(changing: Driver) -> None:
    who = {"other_function": 1, "function_id": CHANGING.function_id}
    assert changing.send(switch(False, CHANGING)).ok
    changing.take(vhca_id(0x31), 4)
    assert changing.caps(current=False, **who)["vhca_id"] == 0x31
    changing.refused("unknown-function", Status.BAD_PARAM, changing.give_command(vhca_id(0x71), 1))
    changing.take(vhca_id(0x31), 1)
    assert changing.caps(current=False, **who)["vhca_id"] == 0x71
    changing.refused("unknown-function", Status.BAD_PARAM, changing.give_command(vhca_id(0x31), 1))
    old, new = ({"function_id": n, "function_id_type": 1} for n in (0x31, 0x71))
    changing.refused("unknown-function", Status.BAD_PARAM, Command(Opcode.ENABLE_HCA, fields=old))
    for _ in range(2):
        assert changing.send(Command(Opcode.ENABLE_HCA, fields=new)).ok
        assert (changing.last().number, changing.last().num_pages) == (0x71, 5)
        changing.give(vhca_id(0x71), 5)
        changing.agree()
        assert changing.send(switch(False, CHANGING)).ok
        changing.take(vhca_id(0x71), 5)


def test_a_request_that_stands_keeps_the_vhca_id(changing: Driver) -> None:
    changing.feed(Want("vf1", 3))
    assert changing.send(switch(False, CHANGING)).ok
    changing.take(vhca_id(0x31), 5)
    changing.give(vhca_id(0x31), 3)
    changing.take(vhca_id(0x31), 3)
    changing.feed(Tick())
    changing.refused("unknown-function", Status.BAD_PARAM, changing.give_command(vhca_id(0x31), 1))


def test_a_function_that_is_enabled_again_before_its_pages_are_back_keeps_its_vhca_id(changing: Driver) -> None:
    assert changing.send(switch(False, CHANGING)).ok
    assert changing.send(switch(True, CHANGING)).ok
    changing.take(vhca_id(0x31), 5)
    changing.give(vhca_id(0x31), 5)
    changing.agree()


def test_a_vhca_id_that_a_function_gets_later_is_its_own(small: Profile) -> None:
    with pytest.raises(ValueError, match="vf1 and vf2 have the same vhca_id"):
        Firmware(small, [CHANGING, replace(VF2, vhca_id=0x71)])
