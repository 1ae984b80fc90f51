"""Functions that the e-switch enables and disables: their types, their names, and their generations."""

from __future__ import annotations

import pytest

from fwpages.prm.identity import Supplier, func_id, vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages


@pytest.mark.parametrize("vhca", [True, False])
def test_a_vport_that_is_disabled_and_enabled_again_is_another(vhca: bool) -> None:
    trace = AuditedTrace(Supplier(max_vfs=8))
    trace.opened(vhca=vhca)
    number = 0x31 if vhca else 3
    for n in (7, 2):
        trace.plain(Opcode.ENABLE_HCA, function_id=3)
        trace.caps({"vhca_id": 0x31}, current=False, other_function=1, function_id=3)
        trace.give(number, pages(0x100 * (n + 5), n))
        trace.plain(Opcode.DISABLE_HCA, function_id=3)
    name = str(vhca_id(number) if vhca else func_id(number))
    rows = [f for f in trace.over().functions if f.identity == name]
    assert [(f.generation, f.type, f.given) for f in rows] == [(0, "vf", 7), (1, "vf", 2)]


def test_a_refused_disable_leaves_the_vport_as_it_is() -> None:
    trace = AuditedTrace(Supplier(max_vfs=8))
    trace.opened(vhca=False)
    trace.plain(Opcode.ENABLE_HCA, function_id=3)
    trace.give(3, pages(0x500, 7))
    trace.plain(Opcode.DISABLE_HCA, Status.BAD_SYS_STATE, function_id=3)
    trace.give(3, pages(0x600, 1))
    assert [(f.identity, f.given) for f in trace.over().functions][1:] == [("func:0x3", 8)]


@pytest.mark.parametrize(
    ("opcode", "fields", "ecpf", "enabled"),
    [
        (Opcode.ENABLE_HCA, {}, False, {}),
        (Opcode.ENABLE_HCA, {"embedded_cpu_function": 1}, True, {}),
        (Opcode.ENABLE_HCA, {}, True, {"func:0x0": "host_pf"}),
        (Opcode.ENABLE_HCA, {"function_id": 3}, False, {"func:0x3": "vf"}),
        (Opcode.ENABLE_HCA, {"function_id": 3}, True, {"func:0x3": "unknown"}),
        (Opcode.ENABLE_HCA, {"function_id": 3, "embedded_cpu_function": 1}, True, {"func:0x3/ec": "ec_vf"}),
        (Opcode.ENABLE_HCA, {"function_id": 7, "function_id_type": 1}, True, {"vhca:0x7": "spf"}),
        (Opcode.ALLOC_SF, {"function_id": 0x90}, False, {"func:0x90": "sf"}),
    ],
)
@pytest.mark.parametrize("answered", [True, False])
def test_what_a_command_enables(
    opcode: Opcode, fields: dict[str, int], ecpf: bool, enabled: dict[str, str], answered: bool
) -> None:
    """If no answer came, the function may be there all the same; only a sub-function's type is certain."""
    trace = AuditedTrace(ecpf=ecpf).booted()
    if answered:
        trace.plain(opcode, **fields)
    else:
        trace.give_up(trace.submit(Command(opcode, fields=fields)))
        enabled = {who: kind if kind == "sf" else "unknown" for who, kind in enabled.items() if "vhca" not in who}
    assert {str(who): kind for who, kind in trace.s.naming.enabled.items()} == enabled


def test_two_functions_with_one_vhca_id_are_the_devices_fault_and_the_first_keeps_it() -> None:
    trace = AuditedTrace(Supplier(max_vfs=4))
    trace.opened()
    for number, vhca in ((3, 0x31), (9, 0x31), (3, 0x31), (4, OWN_VHCA)):
        trace.caps({"vhca_id": vhca}, current=False, other_function=1, function_id=number)
    assert trace.found == [
        ("vhca-id-twice", "device", "vhca:0x31", None),
        ("vhca-id-twice", "device", "vhca:0x2a", None),
    ]
    assert "func:0x9 is said to have vhca:0x31, which func:0x3 has" in trace.findings()[0].detail
    trace.give(0x31, pages(0x900, 1))
    assert {f.identity: f.type for f in trace.over().functions} == {"vhca:0x31": "vf", "vhca:0x2a": "self"}


def test_a_vhca_id_is_free_when_its_function_is_gone() -> None:
    trace = AuditedTrace(Supplier(max_vfs=4))
    trace.opened()
    for number in (3, 4):
        trace.plain(Opcode.ENABLE_HCA, function_id=number)
        trace.caps({"vhca_id": 0x31}, current=False, other_function=1, function_id=number)
        trace.plain(Opcode.DISABLE_HCA, function_id=number)
    assert trace.found == []


@pytest.mark.parametrize("vhca", [True, False])
def test_a_vport_may_be_disabled_by_its_vhca_id(vhca: bool) -> None:
    trace = AuditedTrace(Supplier(max_vfs=8))
    trace.opened(vhca=vhca)
    name = vhca_id(0x31) if vhca else func_id(3)
    trace.plain(Opcode.ENABLE_HCA, function_id=3)
    trace.caps({"vhca_id": 0x31}, current=False, other_function=1, function_id=3)
    trace.give(name.number, pages(0x500, 7))
    trace.plain(Opcode.DISABLE_HCA, function_id=0x31, function_id_type=1)
    trace.give(name.number, pages(0x600, 2))
    rows = [(f.generation, f.type, f.given) for f in trace.over().functions if f.identity == str(name)]
    assert rows == [(0, "vf", 7), (1, "unknown" if vhca else "vf", 2)]


@pytest.mark.parametrize(
    ("ecpf", "learned", "kind"), [(True, False, "spf"), (False, False, "unknown"), (True, True, "vf")]
)
def test_only_an_ecpf_knows_what_it_enables_by_vhca_id(ecpf: bool, learned: bool, kind: str) -> None:
    """A further physical function, unless its capabilities have shown another type."""
    trace = AuditedTrace(Supplier(ecpf=ecpf, max_vfs=8), ecpf=ecpf)
    trace.opened()
    if learned:
        trace.caps({"vhca_id": 7}, current=False, other_function=1, function_id=3)
    trace.plain(Opcode.ENABLE_HCA, function_id=7, function_id_type=1)
    trace.give(7, pages(0x500, 3))
    assert [f.type for f in trace.over().functions if f.identity == "vhca:0x7"] == [kind]


@pytest.mark.parametrize(
    ("capable", "base", "kind"),
    [(0, 0x80, "unknown"), (1, 0, "unknown"), (1, 1, "sf"), (1, 0x80, "sf"), (1, 0x81, "unknown")],
)
def test_sub_functions_begin_at_the_number_that_the_capabilities_say(capable: int, base: int, kind: str) -> None:
    trace = AuditedTrace()
    trace.opened(vhca=False)
    trace.caps({"vhca_id": OWN_VHCA, "sf": capable, "sf_base_id": base})
    trace.give(0x80, pages(0x900, 1))
    assert [f.type for f in trace.over().functions if f.identity == "func:0x80"] == [kind]
