"""Functions that the numbers in a command mean, in either mode; what a start still needs; and copies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fwpages.device import FunctionSpec, Phase, Profile
from fwpages.device.firmware.functions import Function, roster
from fwpages.device.firmware.offences import RefusedError
from fwpages.device.firmware.state import Device, EqContext, State
from fwpages.device.firmware.store import Store
from fwpages.prm.capability import read_general
from fwpages.prm.event import EventType
from fwpages.prm.identity import FunctionType, Mode, func_id, vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode
from tests.device.conftest import SF, SPF, VF, VF2

HOST_PF = FunctionSpec("host_pf", FunctionType.HOST_PF, 0, 0, ec=False, vhca_id=0x60)
EC_VF = FunctionSpec("ec_vf", FunctionType.EC_VF, 0x4001, 1, ec=True, vhca_id=0x61)
#: not a function_id: only its vport and its vhca_id name it
SPF_7 = FunctionSpec("spf7", FunctionType.SPF, 7, 1, ec=False, vhca_id=0x62)
#: gets the vhca_id of vf1 when that is disabled
HEIR = FunctionSpec("heir", FunctionType.VF, 3, 3, ec=False, vhca_id=VF.vhca_id, reuses="vf1")
PF_SPECS = (VF, VF2, SF, SPF, HEIR)
ECPF_SPECS = (HOST_PF, VF, EC_VF, SPF_7)


def state(specs: Sequence[FunctionSpec] = PF_SPECS, mode: Mode = Mode.FUNC_ID, *, ecpf: bool = False) -> State:
    own = Profile(name="x", description="", boot_pages=3, init_pages=10, vhca_id=0x2A, ecpf=ecpf)
    all_functions = roster(specs, own.vhca_id, ecpf=ecpf)
    slots = len(all_functions.specs)
    device = Device(own, all_functions, {"vhca_id": 0x2A, "sf": 1})
    return State(device, Store(slots), [Function(n) for n in range(slots)], {}, mode=mode)


def give(s: State, first: int, n: int, slot: int = 0) -> None:
    s.store.give(slot, (np.arange(first, first + n, dtype=np.uint64)) << np.uint64(12))


def about(opcode: Opcode, number: int, **fields: int) -> Command:
    return Command(opcode, fields={"function_id": number, **fields})


def refusal(s: State, c: Command, *, page: bool = True) -> str:
    with pytest.raises(RefusedError) as caught:
        s.page_owner(c) if page else s.eswitch_owner(c)
    assert hex(c["function_id"]) in caught.value.detail
    return caught.value.name


# -- page commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize(("specs", "ecpf"), [(PF_SPECS, False), (ECPF_SPECS, True)], ids=["pf", "ecpf"])
def test_a_page_command_means_the_function_whose_name_it_bears(
    specs: Sequence[FunctionSpec], ecpf: bool, mode: Mode
) -> None:
    s = state(specs, mode, ecpf=ecpf)
    for slot, spec in enumerate(s.device.roster.specs):
        who = s.identity(slot)
        assert (who is None) is (spec.type is FunctionType.SPF and mode is Mode.FUNC_ID)
        if who is not None:
            home = 1 if spec is HEIR and mode is Mode.VHCA_ID else slot
            assert s.page_owner(Command(Opcode.MANAGE_PAGES, fields=who.fields)) == s.home(slot) == home


@pytest.mark.parametrize(
    ("mode", "number", "ec", "name"),
    [
        (Mode.FUNC_ID, 0x31, 0, "unknown-function"),
        (Mode.FUNC_ID, 1, 1, "unknown-function"),
        (Mode.FUNC_ID, 0, 1, "unknown-function"),
        (Mode.FUNC_ID, SPF.vport, 0, "unknown-function"),
        (Mode.VHCA_ID, 1, 0, "unknown-function"),
        (Mode.VHCA_ID, 0, 0, "identity-mode"),
        (Mode.VHCA_ID, 0x31, 1, "identity-mode"),
        (Mode.VHCA_ID, 0x99, 1, "identity-mode"),
    ],
)
def test_a_page_command_that_names_no_function(mode: Mode, number: int, ec: int, name: str) -> None:
    c = about(Opcode.MANAGE_PAGES, number, embedded_cpu_function=ec)
    assert refusal(state(mode=mode), c) == name


def test_the_ec_bit_tells_an_ecpf_from_its_host_s_pf() -> None:
    s = state(ECPF_SPECS, ecpf=True)
    owners = [s.page_owner(about(Opcode.QUERY_PAGES, 0, embedded_cpu_function=ec)) for ec in (0, 1)]
    assert [s.device.roster.specs[slot].type for slot in owners] == [FunctionType.HOST_PF, FunctionType.SELF]
    assert s.identity(0) == func_id(0, ec=True)


# -- e-switch commands -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("c", "name"),
    [
        (about(Opcode.ENABLE_HCA, 0), "host_pf"),
        (about(Opcode.ENABLE_HCA, 0, embedded_cpu_function=1), "self"),
        (about(Opcode.QUERY_HCA_CAP, 0xFFFE, other_function=1), "self"),
        (about(Opcode.ENABLE_HCA, 1, embedded_cpu_function=1), "ec_vf"),
        (about(Opcode.QUERY_HCA_CAP, 1, ec_vf_function=1), "ec_vf"),
        (about(Opcode.QUERY_HCA_CAP, 0x4001), "ec_vf"),
        (about(Opcode.ENABLE_HCA, 1), "vf1"),
        (about(Opcode.ENABLE_HCA, 7), "spf7"),
        (about(Opcode.ENABLE_HCA, 0x62, function_id_type=1), "spf7"),
        (about(Opcode.DISABLE_HCA, 0x2A, function_id_type=1), "self"),
    ],
    ids=str,
)
def test_an_e_switch_command_means_a_function_by_one_of_three_numbers(c: Command, name: str) -> None:
    """The same in both modes: its function_id with the ec bit, else its vport; or its vhca_id where it says so."""
    for mode in Mode:
        s = state(ECPF_SPECS, mode, ecpf=True)
        assert s.device.roster.specs[s.eswitch_owner(c)].name == name


@pytest.mark.parametrize(
    ("c", "name"),
    [
        (about(Opcode.ENABLE_HCA, 0x31), "unknown-function"),
        (about(Opcode.ENABLE_HCA, 1, function_id_type=1), "unknown-function"),
        (about(Opcode.ENABLE_HCA, 2, embedded_cpu_function=1), "unknown-function"),
        (about(Opcode.ENABLE_HCA, 7, embedded_cpu_function=1), "unknown-function"),
        (about(Opcode.QUERY_HCA_CAP, 0x61, function_id_type=1, ec_vf_function=1), "identity-mode"),
        (about(Opcode.ALLOC_SF, 0x99), "unknown-function"),
    ],
    ids=str,
)
def test_an_e_switch_command_that_names_no_function(c: Command, name: str) -> None:
    assert refusal(state(ECPF_SPECS, ecpf=True), c, page=False) == name


# -- the rest ----------------------------------------------------------------------------------------------------------


def test_a_start_needs_boot_pages_and_then_init_pages() -> None:
    s = state()
    assert (s.startup_need, s.booting) == (0, False), "nothing is started"
    s.phase = Phase.STARTING
    give(s, 1000, 5, slot=1)
    seen = []
    for first, n in ((1, 0), (1, 2), (3, 1), (4, 9), (13, 1)):
        give(s, first, n)
        seen.append((s.startup_need, s.booting))
    assert seen == [(3, True), (1, True), (10, False), (1, False), (0, False)]
    s.store.take(0, 11)
    assert (s.startup_need, s.booting) == (1, True), "taken back in an aborted start, they are asked for anew"
    s.phase = Phase.WORKING
    assert (s.startup_need, s.booting) == (0, False)


def test_page_requests_go_to_the_queue_that_has_them_in_its_mask() -> None:
    s, pages = state(), 1 << EventType.PAGE_REQUEST
    s.eqs = {1: EqContext(~pages & (1 << 64) - 1, 16), 9: EqContext(pages, 16), 4: EqContext(pages >> 1, 16)}
    assert s.pages_eqn == 9
    del s.eqs[9]
    assert s.pages_eqn is None


def test_another_function_s_capabilities_are_its_vhca_id_and_nothing_that_the_supplier_is_offered() -> None:
    s = state()
    page = read_general(s.max_page(0))
    assert {k: v for k, v in page.items() if v} == {"vhca_id": 0x2A, "sf": 1}
    assert {k: v for k, v in read_general(s.max_page(2)).items() if v} == {"vhca_id": VF2.vhca_id}


def test_a_command_at_the_wrong_point_is_named_with_the_point() -> None:
    s = state()
    s.require(Command(Opcode.INIT_HCA), Phase.STARTING, Phase.OFF)
    with pytest.raises(RefusedError, match="wrong-state: INIT_HCA in phase off"):
        s.require(Command(Opcode.INIT_HCA), Phase.STARTING)


def test_what_becomes_of_a_copy_is_not_seen_in_the_original() -> None:
    s = state()
    s.phase, s.current, s.uars, s.eqs = Phase.WORKING, {"sf": 1}, {16}, {1: EqContext(1, 16)}
    give(s, 1, 4)
    before = (s.store.state(), [f.row for f in s.functions], dict(s.current), set(s.uars), dict(s.eqs))
    other = s.copy()
    assert (other.phase, other.mode, other.issi, other.eqs, other.uars) == (s.phase, s.mode, s.issi, s.eqs, s.uars)
    give(other, 50, 4, slot=2)
    other.store.take(0, 3)
    other.functions[1].wanted = 7
    other.current["sf"] = 0
    other.uars.add(17)
    other.eqs.clear()
    other.phase, other.mode = Phase.CLOSING, Mode.VHCA_ID
    assert (s.store.state(), [f.row for f in s.functions], s.current, s.uars, s.eqs) == before
    assert (s.phase, s.identity(0), other.identity(0)) == (Phase.WORKING, func_id(0), vhca_id(0x2A))
