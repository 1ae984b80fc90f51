"""Functions that come, go and come again: whose a name is, under what type it counts, and from what on it is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.custody.accounts import COLUMNS
from fwpages.prm.capability import general
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode, QueryPages
from tests.auditor.account_checks import OWN, audit_written, one, row
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.logs import audit_trace, only
from tests.auditor.written_traces import OWN_VHCA, WrittenTrace, pages

ECPF = Supplier(ecpf=True, max_vfs=8)
PF = Supplier(max_vfs=8)

# -- names that look like those of the other mode


def test_an_own_vhca_id_of_0_is_a_name_like_any_other(tmp_path: Path) -> None:
    trace = WrittenTrace(PF).enable()
    trace.query(QueryPages.BOOT, 10)
    trace.give(0, pages(0x100, 10))
    values = {"vhca_id": 0, "release_all_pages": 1, "icm_mng_function_id_mode": 1}
    trace.cmd(Command(Opcode.SET_HCA_CAP, data=general(values)), Answer(Opcode.SET_HCA_CAP))
    trace.caps(values)
    trace.query(QueryPages.INIT, 20, 0)
    trace.give(0, pages(0x200, 20))
    s = audit_written(tmp_path, trace.closed(own=0))
    assert (s.findings, [(f.identity, f.type, f.given, f.returned) for f in s.functions]) == (
        [],
        [("vhca:0x0", "self", 30, 30)],
    )


@pytest.mark.parametrize("gone", [False, True])
def test_vhca_id_0_is_nobodys_mistake_once_a_function_had_it(gone: bool, tmp_path: Path) -> None:
    """Its pages come back when it is gone."""
    trace = WrittenTrace(ECPF, ecpf=True).opened()
    trace.plain(Opcode.ENABLE_HCA, function_id=0)
    trace.caps({"vhca_id": 0}, other_function=1, function_id=0)
    trace.event(0, 2)
    trace.give(0, pages(0x500, 2))
    if gone:
        trace.plain(Opcode.DISABLE_HCA, function_id=0)
    trace.event(0, -2)
    trace.take(0, pages(0x500, 2))
    s = audit_written(tmp_path, trace)
    assert (s.findings, row(s, "vhca:0x0").type, row(s, "vhca:0x0").returned) == ([], "host_pf", 2)


def test_a_function_whose_number_is_the_own_vhca_id_keeps_its_name_when_it_is_gone(tmp_path: Path) -> None:
    trace = WrittenTrace().opened(vhca=False)
    trace.plain(Opcode.ENABLE_HCA, function_id=OWN_VHCA)
    trace.event(OWN_VHCA, 2)
    trace.give(OWN_VHCA, pages(0x500, 2))
    trace.plain(Opcode.DISABLE_HCA, function_id=OWN_VHCA)
    trace.event(OWN_VHCA, -2)
    trace.take(OWN_VHCA, pages(0x500, 2))
    assert audit_written(tmp_path, trace).findings == []


def test_a_name_that_was_never_a_functions_is_still_a_mistake(tmp_path: Path) -> None:
    trace = WrittenTrace().opened(vhca=False)
    trace.plain(Opcode.ENABLE_HCA, function_id=OWN_VHCA + 1)
    trace.give(OWN_VHCA, pages(0x500, 2))
    assert one(audit_written(tmp_path, trace), "identity-mismatch").blame == "host"


# -- generations


@pytest.mark.parametrize("vhca", [True, False])
def test_a_sub_function_of_an_ecpf_that_is_allocated_anew_begins_anew(vhca: bool, tmp_path: Path) -> None:
    """In FUNC_ID mode page commands name it with the ec bit, ALLOC_SF and DEALLOC_SF without."""
    trace = WrittenTrace(ECPF, ecpf=True).opened(vhca=vhca)
    number, ec = (0x55, 0) if vhca else (0x90, 1)
    for n in (7, 6):
        trace.plain(Opcode.ALLOC_SF, function_id=0x90)
        trace.caps({"vhca_id": 0x55}, other_function=1, function_id=0x90)
        trace.event(number, n, ec=bool(ec))
        trace.give(number, pages(0x500, n), ec=ec)
        trace.event(number, -n, ec=bool(ec))
        trace.take(number, pages(0x500, n), ec=ec)
        trace.plain(Opcode.DEALLOC_SF, function_id=0x90)
    s = audit_written(tmp_path, trace)
    own = OWN if vhca else "func:0x0/ec"
    rows = [(f.generation, f.type, f.given, f.returned) for f in s.functions if f.identity != own]
    assert (s.findings, rows) == ([], [(0, "sf", 7, 7), (1, "sf", 6, 6)])
    assert s.by_type["sf"].given == 13


def test_a_mode_that_was_not_taken_leaves_one_record_of_one_name(tmp_path: Path) -> None:
    """The device says OK and reads back FUNC_ID: the boot pages were never anybody else's."""
    trace = WrittenTrace().enable()
    trace.query(QueryPages.BOOT, 10)
    trace.give(0, pages(0x100, 10))
    trace.negotiate(back=False)
    trace.query(QueryPages.INIT, 20)
    trace.give(0, pages(0x200, 20))
    s = audit_written(tmp_path, trace.closed(own=0))
    assert one(s, "mode-disagreement").function == "func:0x0"
    rows = [(f.identity, f.generation, f.type, f.given, f.returned) for f in s.functions]
    assert rows == [("func:0x0", 0, "self", 30, 30)]


def test_a_mode_that_was_not_taken_takes_requests_and_findings_back_with_it() -> None:
    trace = AuditedTrace().booted()
    trace.query(QueryPages.INIT, 20)
    trace.caps({"vhca_id": OWN_VHCA})
    trace.negotiate(back=False)
    trace.give(0, pages(0x200, 20))
    assert trace.names == ["mode-disagreement"]
    # what was asked of the function is still its own, by whatever name
    trace.give(0x31, pages(0x300, 20))
    assert trace.names == ["mode-disagreement"]


# -- types


def test_a_type_that_is_learned_late_knows_the_most_that_there_was(tmp_path: Path) -> None:
    trace = WrittenTrace(PF).opened()
    for number, vhca, n in ((3, 0x31, 7), (4, 0x32, 2)):
        trace.give(vhca, pages(0x100 * vhca, n))
        trace.take(vhca, pages(0x100 * vhca, n // 2 + 1))
        trace.plain(Opcode.ENABLE_HCA, function_id=number)
        trace.caps({"vhca_id": vhca}, other_function=1, function_id=number)
    s = audit_written(tmp_path, trace)
    vfs = s.by_type["vf"]
    assert (vfs.given, vfs.returned, vfs.held, vfs.peak) == (9, 6, 3, 7)
    assert (s.by_type["unknown"].given, s.by_type["unknown"].peak) == (0, 0)


# -- inputs that begin in the middle


@pytest.mark.parametrize("what", ["took", "tried", "gave"])
def test_a_function_that_was_there_before_the_input_begins_has_a_row_of_nulls(what: str, tmp_path: Path) -> None:
    trace = WrittenTrace(PF).opened()
    begin = len(trace.lines)
    if what == "gave":
        trace.give(0x31, pages(0x500, 5))
    else:
        trace.take(0x31, pages(0x500, 5 if what == "took" else 0), asked=5)
    s = only(audit_trace(tmp_path, trace.lines[:1] + trace.lines[begin:]))
    assert [f.identity for f in s.functions] == ["func:0x31"]
    assert {getattr(s.functions[0], name) for name in COLUMNS} == {None}
    assert {getattr(s.totals, name) for name in COLUMNS} == {None}
    assert s.findings == []


UNTOLD = "nothing shows in which mode functions are named: their names are those of FUNC_ID"


@pytest.mark.parametrize(("vhca", "mode"), [(True, "vhca_id"), (False, "func_id")])
@pytest.mark.parametrize("shown", [False, True])
def test_where_nothing_tells_the_mode_it_is_said(shown: bool, vhca: bool, mode: str, tmp_path: Path) -> None:
    trace = WrittenTrace(PF).opened(vhca=vhca)
    begin = len(trace.lines)
    if shown:
        trace.caps({"vhca_id": OWN_VHCA, "icm_mng_function_id_mode": int(vhca)})
    trace.take(3, pages(0x500, 5))
    s = only(audit_trace(tmp_path, trace.lines[:1] + trace.lines[begin:]))
    assert (s.mode, UNTOLD in s.notes) == (mode if shown else None, not shown)


def test_a_whole_session_tells_its_mode(tmp_path: Path) -> None:
    for vhca in (True, False):
        assert UNTOLD not in audit_written(tmp_path, WrittenTrace(PF).opened(vhca=vhca)).notes
