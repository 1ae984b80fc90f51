"""Inputs that begin in the middle, or that two machines wrote: no party is blamed for what was not seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from fwpages.prm.identity import Supplier
from fwpages.prm.opcodes import Opcode, QueryPages
from fwpages.prm.status import Status
from fwpages.readers.inputs import InputError
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.logs import (
    audit_lines,
    data_only,
    dmesg,
    golden_trace,
    later,
    only,
    prefixed,
    without_dumps,
    write_trace,
)
from tests.auditor.written_traces import pages


def test_a_trace_that_begins_at_the_boot_give_names_the_boot_pages_by_the_own_vhca_id(tmp_path: Path) -> None:
    s = only(audit(write_trace(tmp_path, golden_trace()[4:])))
    assert (s.mode, s.end, s.findings) == ("vhca_id", "closed", [])
    assert "vhca:0x0" not in [f.identity for f in s.functions]


def test_a_function_enabled_since_may_return_what_it_had_before(tmp_path: Path) -> None:
    trace = AuditedTrace(Supplier(max_vfs=8), late=True)
    trace.plain(Opcode.ENABLE_HCA, function_id=3)
    trace.event(3, -2)
    trace.take(3, pages(0x600, 2))
    assert trace.found == []


def test_an_ecpf_that_disables_its_host_pf_has_not_closed() -> None:
    trace = AuditedTrace(late=True)
    trace.give(0x2A, pages(0x500, 2))
    trace.plain(Opcode.DISABLE_HCA)
    trace.give(0x2A, pages(0x600, 2))
    assert trace.so_far().end == "open"
    assert trace.over().end == "open"


def test_a_doubled_line_of_a_trace_without_numbers_is_passed_over(tmp_path: Path) -> None:
    lines = golden_trace()
    whole = only(audit(write_trace(tmp_path, lines)))
    for n in range(0, len(lines), 3):
        s = only(audit(write_trace(tmp_path, [*lines[: n + 1], *lines[n:]])))
        assert (s.totals, s.findings) == (whole.totals, [])
        assert f"line {n + 2} says the same as the line before, at the same time: passed over" in s.notes


@pytest.mark.parametrize("lines", [dmesg(), without_dumps(dmesg())])
def test_the_lines_of_two_hosts_are_separated_or_refused(lines: list[str], tmp_path: Path) -> None:
    here = [line for line in prefixed(lines, "syslog") if " kernel" in line]
    host = here[0].split(" kernel")[0].split()[-1]
    there = [line.replace(f" {host} kernel", " other kernel") for line in prefixed(later(lines, 0.0123), "syslog")]
    first, second = audit_lines(tmp_path, here + there).sessions
    assert first.totals == second.totals
    with pytest.raises(InputError, match=f"{host} and other|other and {host}"):
        audit_lines(tmp_path, [line for pair in zip(here, there, strict=True) for line in pair])


def test_a_machine_that_has_no_name_yet_is_the_same_machine(tmp_path: Path) -> None:
    here = prefixed(dmesg(), "syslog")
    host = next(line for line in here if " kernel" in line).split(" kernel")[0].split()[-1]
    early = [line.replace(f" {host} kernel", " localhost kernel") for line in here[:200]]
    assert only(audit_lines(tmp_path, early + here[200:])).clean


def test_a_data_dump_that_lost_its_end_is_the_logs_fault(tmp_path: Path) -> None:
    lines = data_only(dmesg())
    ends = [i for i, line in enumerate(lines) if "end dump" in line or not line[15:].strip()]
    for i in ends[40:400:60]:
        s = only(audit_lines(tmp_path, lines[: i - 1] + lines[i:]))
        assert {f.blame for f in s.findings} <= {"log"}, (i, s.findings)


def test_a_mode_that_both_sides_use_without_negotiation_is_one_finding(tmp_path: Path) -> None:
    lines = golden_trace()
    n = next(i for i, x in enumerate(lines) if x.get("in", "").startswith("0109"))
    s = only(audit(write_trace(tmp_path, lines[:n] + lines[n + 1 :])))
    assert [(f.name, f.blame) for f in s.findings] == [("identity-mismatch", "host")]
    assert (s.mode, s.totals.given, s.totals.held) == ("vhca_id", 2208, 0)


def test_an_ecpf_that_is_opened_without_the_ec_bit_is_the_hosts_mistake() -> None:
    trace = AuditedTrace(Supplier(ecpf=True, max_vfs=4), numbered=True)
    trace.enable()
    trace.query(QueryPages.BOOT, 4)
    trace.give(0, pages(0x100, 4), Status.BAD_PARAM)
    assert [(name, blame) for name, blame, *_ in trace.found] == [
        ("identity-mismatch", "host"),
        ("give-refused", "host"),
    ]
    assert not any("begins in the middle" in note for note in trace.over().notes)


def test_a_device_that_sets_an_ec_bit_on_a_plain_function_errs_in_a_session_that_begins_late_too() -> None:
    """The mode is then not known: FUNC_ID is assumed, in which the ec bit is part of the name."""
    trace = AuditedTrace(Supplier(max_vfs=8), late=True)
    trace.event(3, 7, ec=True)
    trace.give(3, pages(0x500, 7), ec=1)
    assert trace.found == [("identity-mismatch", "device", "func:0x3/ec", None)]
