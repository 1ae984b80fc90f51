"""The e-switch of an embedded CPU, as its driver sees it: the external host, made vports, states of SFs."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from fwpages.device import FunctionSpec, HostVfs, Notified, Profile, profile
from fwpages.device.firmware.functions import Asks
from fwpages.device.firmware.io import Input
from fwpages.prm.esw_functions import OtherFunctions, other_functions
from fwpages.prm.event import EQE_SIZE, EswitchEvent, EventType, decode_eswitch, decode_page_request, encode_eswitch
from fwpages.prm.identity import FunctionType, func_id, vhca_id
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, Command, encode_answer
from fwpages.prm.opcodes import EswFunctions, Opcode, VhcaState
from fwpages.prm.status import Status
from tests.device.conftest import Driver

ECPF = msgspec.structs.replace(profile("bluefield3"), boot_pages=2, init_pages=3, max_vfs=8, max_sf=4)
PF = msgspec.structs.replace(profile("connectx7"), boot_pages=2, init_pages=3)
HOST_PF = FunctionSpec("host-pf", FunctionType.HOST_PF, 0, 0, False, 1, 5)
VFS = tuple(FunctionSpec(f"vf{n}", FunctionType.VF, n + 1, n + 1, False, 0x31 + n, 4 + n) for n in range(3))
SF = FunctionSpec("sf0", FunctionType.SF, 0x8000, 0x8000, True, 0x90, 3)
SPFS = tuple(FunctionSpec(f"spf{n}", FunctionType.SPF, 0x2000 + n, 0x2000 + n, False, 0x61 + n, 6) for n in range(2))
#: bits of the events about the e-switch
MASK = 1 << EventType.ESW_FUNCTIONS_CHANGED | 1 << EventType.VHCA_STATE_CHANGE


class Ecpf(Driver):
    """A driver that has started, and listens to events about the e-switch."""

    def __init__(self, device: Profile, *specs: FunctionSpec) -> None:
        super().__init__(device, specs)
        self.news: list[Notified] = []
        self.open()
        self.eqn = self.create_eq(MASK)

    def feed(self, x: Input) -> Answer | None:
        tried = self.fw.clone()
        self.news = [e for e in tried.feed(0.0, x) if isinstance(e, Notified)]
        return super().feed(x)

    def host(self, vfs: int) -> list[EswitchEvent]:
        """The external host has so many VFs on; the events that come of it."""
        self.feed(HostVfs(vfs))
        assert all(e.eqn == self.eqn for e in self.news)
        return [e.event for e in self.news]

    def functions(self) -> tuple[int, int, int, int]:
        """What QUERY_ESW_FUNCTIONS says: no host PF, it is disabled, its VFs that are on, all of them."""
        raw = encode_answer(self.ok(Opcode.QUERY_ESW_FUNCTIONS))
        assert len(raw) == 128
        head = int.from_bytes(raw[16:18], "big")
        return head >> 2 & 1, head & 1, *(int.from_bytes(raw[n : n + 2], "big") for n in (18, 20))  # type: ignore[return-value]

    def arm(self, vport: int, events: int = 1) -> None:
        """Arm the events of a vport's context (``arm_vport_context_events_cmd``)."""
        context = bytes(4) + (1 << 31 | events).to_bytes(4, "big")
        fields = {"other_vport": 1, "vport_number": vport, "field_select": 1 << 5}
        self.ok(Opcode.MODIFY_NIC_VPORT_CONTEXT, 0, bytes(240) + context.ljust(256, b"\0"), **fields)

    def wanted(self) -> dict[str, int]:
        return {spec.name: n for spec in self.specs if (n := self.fw.asks(spec.name))}


def test_the_host_s_vfs_come_and_go_by_their_number() -> None:
    d = Ecpf(ECPF, HOST_PF, *VFS)
    assert d.functions() == (0, 0, 0, 8), "none is on at first"
    assert d.host(2) == [EswitchEvent(EventType.ESW_FUNCTIONS_CHANGED)]
    assert d.host(2) == [], "nothing has changed"
    assert d.functions() == (0, 0, 2, 8)
    assert d.wanted() == {}, "no e-switch has them so far"
    for spec in VFS:
        d.arm(spec.vport)
    assert d.wanted() == {"vf0": 4, "vf1": 5}, "vf2 is off"
    d.arm(VFS[0].vport)
    d.arm(VFS[0].vport, events=0)
    assert d.wanted() == {"vf0": 4, "vf1": 5}
    d.give(vhca_id(0x31), 4)
    assert len(d.host(1)) == 1, "vf1 is off again, vf0 stays"
    assert (d.fw.is_enabled("vf0"), d.fw.is_enabled("vf1"), d.fw.held("vf0")) == (True, False, 4)
    d.host(0)
    assert d.take(vhca_id(0x31), 9) == 4


@pytest.mark.parametrize(("device", "count"), [(ECPF, 9), (ECPF, -1), (PF, 1)])
def test_a_host_has_no_more_vfs_than_the_device(device: Profile, count: int) -> None:
    d = Driver(device)
    before = d.fw.key()
    with pytest.raises(ValueError, match="external host"):
        d.feed(HostVfs(count))
    assert d.fw.key() == before


def test_an_ecpf_without_a_host_says_so() -> None:
    assert Ecpf(ECPF, *VFS).functions() == (1, 1, 0, 0)
    assert Ecpf(ECPF, HOST_PF).functions() == (0, 0, 0, 8)


def test_further_physical_functions_have_entries_and_vports_that_the_driver_makes() -> None:
    d = Ecpf(ECPF, HOST_PF, *VFS, *SPFS)
    d.host(2)
    answer = d.ok(Opcode.QUERY_ESW_FUNCTIONS, EswFunctions.NETWORK_FUNCTIONS)
    assert answer["net_function_num"] == 3
    entries = [answer.data[n * 64 : n * 64 + 64] for n in range(3)]
    ids = [int.from_bytes(e[8:10], "big") for e in entries]
    assert ids == [1, 0x61, 0x62]
    assert [(e[0], e[1] >> 4, e[10] >> 4, e[13] >> 5 & 1) for e in entries] == [
        (0, 0, 3, 0),
        (1, 1, 3, 1),
        (2, 1, 3, 1),
    ]
    assert [int.from_bytes(e[2:4], "big") for e in entries] == [2, 0, 0]
    made = d.ok(Opcode.CREATE_ESW_VPORT, managed_vhca_id=0x62)["vport_num"]
    assert made == SPFS[1].vport
    again = Command(Opcode.CREATE_ESW_VPORT, fields={"managed_vhca_id": 0x62})
    d.refused("already-enabled", Status.BAD_RES_STATE, again)
    d.refused("unknown-function", Status.BAD_PARAM, Command(Opcode.CREATE_ESW_VPORT, fields={"managed_vhca_id": 1}))
    d.ok(Opcode.ENABLE_HCA, function_id=made)
    assert d.wanted() == {"spf1": 6}
    d.ok(Opcode.DISABLE_HCA, function_id=made)
    d.ok(Opcode.DESTROY_ESW_VPORT, vport_num=made)
    d.refused("not-enabled", Status.BAD_RES_STATE, Command(Opcode.DESTROY_ESW_VPORT, fields={"vport_num": made}))


def test_entries_are_refused_where_there_are_none() -> None:
    d = Ecpf(ECPF, HOST_PF)
    d.refused("bad-op-mod", Status.BAD_PARAM, Command(Opcode.QUERY_ESW_FUNCTIONS, EswFunctions.NETWORK_FUNCTIONS))


@pytest.mark.parametrize("asks", list(Asks))
def test_an_sf_wants_its_pages_when_its_spec_says(asks: Asks) -> None:
    d = Ecpf(ECPF, replace(SF, asks=asks))
    d.ok(Opcode.ALLOC_SF, function_id=0x8000)
    assert d.wanted() == ({"sf0": 3} if asks is Asks.ALLOC else {})
    d.ok(Opcode.ENABLE_HCA, function_id=0x8000)
    assert d.wanted() == {"sf0": 3}
    d.give(vhca_id(0x90), 3)
    d.ok(Opcode.DISABLE_HCA, function_id=0x8000)
    assert d.take(vhca_id(0x90), 9) == 3
    d.ok(Opcode.DEALLOC_SF, function_id=0x8000)
    assert d.wanted() == {}


def test_an_sf_is_detached_by_an_event_and_never_active() -> None:
    d = Ecpf(ECPF, SF)

    def state() -> tuple[int, int, int]:
        answer = d.ok(Opcode.QUERY_VHCA_STATE, function_id=0x8000)
        return answer["vhca_state"], answer["sw_function_id"], answer["arm_change_event"]

    d.ok(Opcode.ALLOC_SF, function_id=0x8000)
    d.ok(Opcode.MODIFY_VHCA_STATE, function_id=0x8000, select_sw_function_id=1, sw_function_id=77)
    d.ok(Opcode.MODIFY_VHCA_STATE, function_id=0x8000, select_arm_change_event=1, arm_change_event=1)
    d.ok(Opcode.ENABLE_HCA, function_id=0x8000)
    assert state() == (VhcaState.ALLOCATED, 77, 1)
    d.ok(Opcode.DISABLE_HCA, function_id=0x8000)
    assert [e.event for e in d.news] == [EswitchEvent(EventType.VHCA_STATE_CHANGE, 0x8000)]
    assert state() == (VhcaState.ALLOCATED, 77, 0), "an event disarms"
    d.ok(Opcode.ENABLE_HCA, function_id=0x8000)
    d.ok(Opcode.DISABLE_HCA, function_id=0x8000)
    assert d.news == []
    d.ok(Opcode.DEALLOC_SF, function_id=0x8000)
    assert state()[0] == VhcaState.INVALID


def test_every_sf_that_could_be_has_a_state() -> None:
    """Linux arms the events of all of them when it starts."""
    d = Ecpf(ECPF, SF, *VFS)
    assert d.ok(Opcode.QUERY_VHCA_STATE, function_id=0x8003)["vhca_state"] == VhcaState.INVALID
    d.ok(Opcode.MODIFY_VHCA_STATE, function_id=0x8003, select_arm_change_event=1, arm_change_event=1)
    for number in (0x8004, VFS[0].vport):
        c = Command(Opcode.QUERY_VHCA_STATE, fields={"function_id": number})
        d.refused("not-an-sf", Status.BAD_PARAM, c)


def test_a_session_that_closes_forgets_what_the_driver_set_and_the_host_keeps_its_vfs() -> None:
    d = Ecpf(ECPF, HOST_PF, *VFS, *SPFS)
    d.host(3)
    d.ok(Opcode.CREATE_ESW_VPORT, managed_vhca_id=0x61)
    d.ok(Opcode.DESTROY_EQ, eq_number=d.eqn)
    d.close()
    d.own = func_id(0, ec=True)
    d.open()
    assert d.fw.host_vfs == (3, None)
    d.ok(Opcode.CREATE_ESW_VPORT, managed_vhca_id=0x61)


def test_without_a_queue_for_it_an_event_is_lost() -> None:
    d = Ecpf(ECPF, HOST_PF, *VFS)
    d.ok(Opcode.DESTROY_EQ, eq_number=d.eqn)
    assert d.host(1) == []


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (EswitchEvent(EventType.ESW_FUNCTIONS_CHANGED), bytes(4)),
        (EswitchEvent(EventType.VHCA_STATE_CHANGE, 0x8001), bytes.fromhex("00008001")),
    ],
)
def test_an_event_s_entry_has_its_type_and_its_function(event: EswitchEvent, data: bytes) -> None:
    raw = encode_eswitch(event, owner=1)
    assert (len(raw), raw[1], raw[32:36], raw[63]) == (EQE_SIZE, event.type, data, 1)
    assert (decode_page_request(raw), decode_eswitch(raw)) == (None, event)


@pytest.mark.parametrize("op_mod", list(EswFunctions))
def test_the_answer_tells_how_many_vfs_the_host_has_on_and_can_have(op_mod: EswFunctions) -> None:
    ecpf = Ecpf(ECPF, HOST_PF, *SPFS)
    for on in (0, 3):
        ecpf.host(on)
        answer = ecpf.ok(Opcode.QUERY_ESW_FUNCTIONS, op_mod)
        told = other_functions(op_mod, answer["net_function_num"], answer.data)
        assert told == OtherFunctions(True, on, 8, (0x61, 0x62) if op_mod else ())
        with pytest.raises(LayoutError):
            other_functions(op_mod, answer["net_function_num"], answer.data[:3])
