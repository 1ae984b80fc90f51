"""The recordings of a real driver: what they must show."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import FunctionAccount
from fwpages.custody.verdicts import LINES_AT_LOAD, PAGE_LINES
from fwpages.prm.identity import FunctionType
from tests.auditor.logs import DMESG, FUNC, VHCA, accounts, audit_lines, dmesg, only, without_dumps
from tests.conftest import GOLDEN


def _function(
    identity: str, given: int, returned: int, released: int, peak: int, kind: FunctionType
) -> FunctionAccount:
    return FunctionAccount(
        identity=identity,
        generation=0,
        type=kind,
        given=given,
        returned=returned,
        released=released,
        discarded=0,
        held=0,
        doubtful=0,
        peak=peak,
    )


@pytest.mark.parametrize(
    ("path", "mode", "own", "other", "given", "peak"),
    [
        (VHCA, "vhca_id", "vhca:0x2a", "vhca:0x31", 2137, 2151),
        (FUNC, "func_id", "func:0x0", "func:0x31", 2137, 2151),
        (DMESG, "vhca_id", "vhca:0x5", "vhca:0x31", 2595, 2609),
    ],
)
def test_a_clean_closed_session(path: Path, mode: str, own: str, other: str, given: int, peak: int) -> None:
    s = only(audit(path))
    assert (s.mode, s.end, s.clean, s.findings, s.notes) == (mode, "closed", True, [], [])
    assert s.functions == [
        _function(own, given, given, 0, given, FunctionType.SELF),
        _function(other, 71, 17, 54, 64, FunctionType.UNKNOWN),
    ]
    assert (s.totals.given, s.totals.returned, s.totals.released) == (given + 71, given + 17, 54)
    assert (s.totals.held, s.totals.doubtful, s.totals.discarded, s.totals.peak) == (0, 0, 0, peak)
    assert s.by_type["self"].given == given
    assert s.by_type["unknown"].given == 71
    assert s.counters["fw_pages_total"] == 0
    assert s.counters["fw_pages_give_dropped"] == 0
    assert s.counters["fw_pages_alloc_failed"] is None


def test_the_same_run_without_its_dumps_tells_what_its_lines_can_tell(tmp_path: Path) -> None:
    s, whole = only(audit_lines(tmp_path, without_dumps(dmesg()))), only(audit(DMESG))
    assert (s.device, s.mode, s.end, s.clean) == (whole.device, "vhca_id", "closed", True)
    assert [(f.identity, f.given, f.released) for f in s.functions] == [("vhca:0x5", 2595, 0), ("vhca:0x31", 71, 54)]
    assert [(f.returned, f.held) for f in s.functions] == [(None, None), (None, None)]
    assert (s.totals.given, s.totals.released, s.totals.returned, s.totals.held) == (2666, 54, None, None)
    assert s.counters["fw_pages_total"] is None
    assert any("what a TAKE returned is not known" in n for n in s.notes)


def test_dumps_alone_do_not_show_what_firmware_released(tmp_path: Path) -> None:
    page_path = ("give_pages", "req_pages_handler", "reclaim_pages", "release_all_pages", "mlx5_satisfy_startup_pages")
    s = only(audit_lines(tmp_path, [line for line in dmesg() if not any(f" {name}:" in line for name in page_path)]))
    assert (s.end, s.verdict, s.findings) == ("closed", "not known", [])
    assert s.missing[-1].command == PAGE_LINES
    assert s.totals.held is None


def test_the_messages_of_the_page_path_alone_prove_a_session_from_load_to_unload() -> None:
    s = only(audit(GOLDEN / "linux-7.2.13-pf-vhca_id.page-lines.dmesg.txt"))
    assert (s.device, s.mode, s.end, s.verdict) == ("0000:01:00.0", "vhca_id", "closed", "clean")
    assert [(f.identity, f.given, f.returned, f.released) for f in s.functions] == [
        ("vhca:0x2a", 2037, None, 0),
        ("vhca:0x31", 600, 100, 500),
        ("vhca:0x90", 7, 0, 7),
    ]


def test_messages_switched_on_in_a_session_show_the_next_one_from_its_beginning() -> None:
    first, second = audit(GOLDEN / "linux-7.2.13-pf-vhca_id.rebound.dmesg.txt").sessions
    assert (first.end, first.verdict, first.totals.given) == ("closed", "not known", None)
    assert [m.command for m in first.missing] == [LINES_AT_LOAD]
    assert (second.end, second.verdict, second.totals.given) == ("open", "not known", 2644)
    assert [f.held for f in second.functions] == [2037, None, 0]


def test_the_report_has_the_shape_that_is_promised() -> None:
    report = json.loads(msgspec.json.encode(audit(VHCA)))
    assert report["schema"] == "audit/2"
    session = report["sessions"][0]
    assert set(session["totals"]) == {"given", "returned", "released", "discarded", "held", "doubtful", "peak"}
    assert set(session["by_type"]) == {"self", "vf", "sf", "host_pf", "spf", "ec_vf", "unknown"}
    assert {"identity", "generation", "type", "given", "returned", "released", "held", "doubtful", "peak"} <= set(
        session["functions"][0]
    )


def test_several_files_are_several_audits() -> None:
    report = audit(VHCA, FUNC, str(DMESG))
    assert [s.mode for s in report.sessions] == ["vhca_id", "func_id", "vhca_id"]
    assert accounts(report.sessions[1]) == accounts(only(audit(FUNC)))
    assert report.clean
