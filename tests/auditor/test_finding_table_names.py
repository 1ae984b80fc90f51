"""Findings about names, and under what type pages count: see ``test_finding_table.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fwpages.prm.identity import Supplier
from fwpages.prm.opcodes import Opcode, QueryPages
from tests.auditor.account_checks import OWN, audit_written, one, row
from tests.auditor.logs import VHCA, audit_trace, golden_trace, only
from tests.auditor.written_traces import OWN_VHCA, WrittenTrace, pages

# -- identities and modes


def test_a_host_that_names_itself_by_its_old_number(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0, pages(0x500, 2))
    s = audit_written(tmp_path, trace)
    f = one(s, "identity-mismatch")
    assert (f.blame, f.function) == ("host", "vhca:0x0")


def test_a_device_that_names_itself_by_its_old_number(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.event(0, 2)
    trace.give(0, pages(0x500, 2))
    f = one(audit_written(tmp_path, trace), "identity-mismatch")
    assert (f.blame, f.function) == ("device", "vhca:0x0")


def test_vhca_id_0_is_nobodys_mistake_once_it_is_known(tmp_path: Path) -> None:
    trace = WrittenTrace(Supplier(ecpf=True), ecpf=True).opened()
    trace.event(0, 2)
    trace.give(0, pages(0x500, 2))
    trace.caps({"vhca_id": 0}, other_function=1, function_id=0)
    s = audit_written(tmp_path, trace)
    assert s.verdict == "consistent so far"
    assert row(s, "vhca:0x0").type == "host_pf"


def test_vhca_ids_in_func_id_mode(tmp_path: Path) -> None:
    trace = WrittenTrace().opened(vhca=False)
    trace.give(OWN_VHCA, pages(0x500, 2))
    assert one(audit_written(tmp_path, trace), "identity-mismatch").blame == "host"
    trace = WrittenTrace().opened(vhca=False)
    trace.event(OWN_VHCA, 2)
    trace.give(OWN_VHCA, pages(0x500, 2))
    assert one(audit_written(tmp_path, trace), "identity-mismatch").blame == "device"
    trace = WrittenTrace(Supplier(max_vfs=64)).opened(vhca=False)
    trace.event(OWN_VHCA, 2)
    trace.give(OWN_VHCA, pages(0x500, 2))
    assert audit_written(tmp_path, trace).verdict == "consistent so far"


def test_the_bit_cleared_in_a_recording(tmp_path: Path) -> None:
    """The recorded VHCA_ID session with its SET_HCA_CAP saying FUNC_ID: the host speaks the wrong language."""
    lines = golden_trace(VHCA)
    at = next(i for i, x in enumerate(lines) if x.get("in", "").startswith("0109"))
    raw = bytearray.fromhex(lines[at]["in"])
    raw[16 + 0x2A0 // 8] &= 0x7F
    lines[at]["in"] = raw.hex()
    s = only(audit_trace(tmp_path, lines))
    assert s.mode == "func_id"
    assert ("identity-mismatch", "host") in {(f.name, f.blame) for f in s.findings}


@pytest.mark.parametrize("was_set", [True, False])
def test_a_capability_that_contradicts_what_was_set(was_set: bool, tmp_path: Path) -> None:
    trace = WrittenTrace().enable()
    trace.query(QueryPages.BOOT, 10)
    trace.give(0, pages(0x100, 10))
    trace.negotiate(vhca=was_set, back=not was_set)
    s = audit_written(tmp_path, trace)
    f = one(s, "mode-disagreement")
    assert (f.blame, s.mode, s.functions[0].identity) == ("device", "func_id", "func:0x0")


def test_the_boot_record_is_the_one_that_was_used(tmp_path: Path) -> None:
    trace = WrittenTrace().enable()
    trace.query(QueryPages.BOOT, 10, answered=5)
    trace.give(5, pages(0x100, 10))
    trace.negotiate()
    s = audit_written(tmp_path, trace)
    assert [(f.identity, f.type, f.given) for f in s.functions] == [(OWN, "self", 10)]
    assert (one(s, "startup-identity").blame, s.findings[0].pages) == ("device", 10)


# -- types and generations


def test_types_by_number_where_the_trace_tells_the_supplier(tmp_path: Path) -> None:
    trace = WrittenTrace(Supplier(max_vfs=8)).opened(vhca=False)
    for number in (3, 9):
        trace.give(number, pages(0x500 + 0x10 * number, 2))
    s = audit_written(tmp_path, trace)
    assert {f.identity: f.type.value for f in s.functions} == {"func:0x0": "self", "func:0x3": "vf", "func:0x9": "sf"}
    assert (s.by_type["vf"].held, s.counters["fw_pages_vfs"], s.counters["fw_pages_sfs"]) == (2, 2, 2)


def test_types_on_an_ecpf(tmp_path: Path) -> None:
    trace = WrittenTrace(Supplier(ecpf=True, max_vfs=8, max_ec_vfs=4), ecpf=True).opened(vhca=False)
    trace.give(0, pages(0x500, 2))
    trace.give(2, pages(0x600, 2))
    trace.give(2, pages(0x700, 2), ec=1)
    s = audit_written(tmp_path, trace)
    assert {f.identity: f.type.value for f in s.functions} == {
        "func:0x0/ec": "self",
        "func:0x0": "host_pf",
        "func:0x2": "vf",
        "func:0x2/ec": "ec_vf",
    }


def test_types_without_a_supplier(tmp_path: Path) -> None:
    trace = WrittenTrace(ecpf=True).opened(vhca=False)
    trace.caps({"vhca_id": OWN_VHCA, "sf": 1, "sf_base_id": 0x100})
    for number, ec in ((0, 0), (2, 1), (2, 0), (0x123, 0)):
        trace.give(number, pages(0x500 + 0x10 * number + 8 * ec, 2), ec=ec)
    types = {f.identity: f.type.value for f in audit_written(tmp_path, trace).functions}
    assert types == {
        "func:0x0/ec": "self",
        "func:0x0": "host_pf",
        "func:0x2/ec": "ec_vf",
        "func:0x2": "unknown",
        "func:0x123": "sf",
    }


def test_a_vhca_id_gets_its_type_when_the_capabilities_tell_it(tmp_path: Path) -> None:
    trace = WrittenTrace(Supplier(max_vfs=8)).opened()
    trace.give(0x31, pages(0x500, 7))
    trace.plain(Opcode.ENABLE_HCA, function_id=3)
    trace.caps({"vhca_id": 0x31}, other_function=1, function_id=3)
    trace.give(0x40, pages(0x600, 1))
    s = audit_written(tmp_path, trace)
    assert {f.identity: f.type.value for f in s.functions} == {OWN: "self", "vhca:0x31": "vf", "vhca:0x40": "unknown"}
    assert (s.by_type["vf"].given, s.by_type["unknown"].given) == (7, 1)


def test_a_disabled_vport_opens_a_new_generation(tmp_path: Path) -> None:
    trace = WrittenTrace(Supplier(max_vfs=8)).opened()
    trace.plain(Opcode.ENABLE_HCA, function_id=3)
    trace.caps({"vhca_id": 0x31}, other_function=1, function_id=3)
    trace.give(0x31, pages(0x500, 7))
    trace.plain(Opcode.DISABLE_HCA, function_id=3)
    trace.give(0x31, pages(0x600, 2))
    trace.take(0x31, np.concatenate([pages(0x500, 7), pages(0x600, 2)]))
    s = audit_written(tmp_path, trace.closed())
    assert s.clean
    rows = [(f.generation, f.type.value, f.given, f.returned) for f in s.functions if f.identity == "vhca:0x31"]
    assert rows == [(0, "vf", 7, 7), (1, "unknown", 2, 2)]


def test_sub_functions_come_and_go(tmp_path: Path) -> None:
    trace = WrittenTrace().opened(vhca=False)
    trace.plain(Opcode.ALLOC_SF, function_id=0x90)
    trace.give(0x90, pages(0x500, 7))
    trace.take(0x90, pages(0x500, 7))
    trace.plain(Opcode.DEALLOC_SF, function_id=0x90)
    trace.plain(Opcode.ALLOC_SF, function_id=0x90)
    trace.give(0x90, pages(0x500, 1))
    s = audit_written(tmp_path, trace)
    rows = [(f.generation, f.type.value, f.given) for f in s.functions if f.identity == "func:0x90"]
    assert rows == [(0, "sf", 7), (1, "sf", 1)]


def test_a_further_physical_function_is_enabled_by_its_vhca_id(tmp_path: Path) -> None:
    trace = WrittenTrace(Supplier(ecpf=True, max_vfs=8), ecpf=True).opened()
    trace.give(0x7, pages(0x500, 3))
    trace.plain(Opcode.ENABLE_HCA, function_id=7, function_id_type=1)
    trace.take(0x7, pages(0x500, 3))
    trace.plain(Opcode.DISABLE_HCA, function_id=7, function_id_type=1)
    trace.give(0x7, pages(0x600, 1))
    s = audit_written(tmp_path, trace)
    rows = [(f.generation, f.type.value, f.given) for f in s.functions if f.identity == "vhca:0x7"]
    assert rows == [(0, "spf", 3), (1, "unknown", 1)]


def test_the_host_pf_of_an_ecpf_is_no_new_session(tmp_path: Path) -> None:
    trace = WrittenTrace(ecpf=True).opened(vhca=False)
    trace.plain(Opcode.ENABLE_HCA, function_id=0)
    trace.give(0, pages(0x500, 3))
    trace.take(0, pages(0x500, 3))
    trace.plain(Opcode.DISABLE_HCA, function_id=0)
    trace.plain(Opcode.TEARDOWN_HCA)
    trace.take(0, np.concatenate([pages(0x100, 10), pages(0x200, 20)]), ec=1)
    trace.plain(Opcode.DISABLE_HCA, embedded_cpu_function=1)
    s = audit_written(tmp_path, trace)
    assert (s.end, s.clean) == ("closed", True)
    assert {f.identity: f.type.value for f in s.functions} == {"func:0x0/ec": "self", "func:0x0": "host_pf"}
