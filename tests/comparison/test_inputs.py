"""Everything that can be compared, at the front doors: the command and ``fwpages.diff``."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import fwpages as fw
from fwpages import cli
from fwpages.comparison.kinds import Kind
from fwpages.comparison.values import Alignment, Form, Outcome
from fwpages.custody.accounts import FindingAccount, Verdict
from fwpages.machine.holdings import DeviceHoldings, FunctionHoldings, Holdings
from fwpages.prm.identity import FunctionType
from fwpages.report.serve import serve_report
from fwpages.scenario import load
from tests.comparison.traced import compared, trace_of, traced
from tests.conftest import GOLDEN
from tests.report.test_names import served
from tests.scenario.stage import request

pytestmark = pytest.mark.many_runs

VHCA = GOLDEN / "linux-7.2.13-pf-vhca_id.jsonl"
FUNC = GOLDEN / "linux-7.2.13-pf-func_id.jsonl"
LINES = GOLDEN / "linux-7.2.13-pf-vhca_id.page-lines.dmesg.txt"
REBOUND = GOLDEN / "linux-7.2.13-pf-vhca_id.rebound.dmesg.txt"
TOP = GOLDEN / "top-linux-7.2.13.jsonl"
DEVICE = "0000:01:00.0"


def run(*args: object) -> int:
    return cli.invoke(["diff", *map(str, args)])


def as_json(capsys: pytest.CaptureFixture[str], *args: object) -> dict[str, Any]:
    run(*args, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_equal_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "other.jsonl.gz"
    packed.write_bytes(gzip.compress(VHCA.read_bytes()))
    assert run(VHCA, packed) == 0
    assert capsys.readouterr().out.endswith("equal: 1 session\n")
    found = as_json(capsys, VHCA, packed)
    assert (found["schema"], found["outcome"], found["equal"], found["identical"]) == ("diff/1", "equal", True, False)


def test_different_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(FUNC, VHCA) == 1
    out = capsys.readouterr().out
    assert "functions aligned by type and order" in out
    assert "func:0x0 = vhca:0x2a  own" in out
    assert "different: 1 difference in 1 session: 1 mode\n" in out
    assert as_json(capsys, FUNC, VHCA)["equal"] is False


def test_counts_that_one_input_does_not_tell_are_4_and_differences_outrank_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.txt"
    copy.write_bytes(LINES.read_bytes() + b"[    5.100000] something else\n")
    assert run(LINES, copy) == 4
    out = capsys.readouterr().out
    assert "returned   own  ?  ?" in out
    assert out.endswith("cannot be made\n")
    found = as_json(capsys, LINES, copy)
    assert (found["outcome"], found["equal"], found["differences"]) == ("not known", None, [])
    assert {d["kind"] for d in found["not_known"]} == {"returned", "held"}
    assert run(LINES, VHCA) == 1


#: logs as people paste them; one of them has lines of two machines, which no audit takes
PASTED = [p for p in sorted((GOLDEN / "cases").glob("*.txt")) if p.stem != "two-hosts-by-prefix"]


@pytest.mark.parametrize("case", PASTED, ids=lambda path: path.stem)
def test_a_log_is_never_equal_without_proof(case: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer.txt"
    longer.write_bytes(case.read_bytes() + b"\n")
    found = fw.diff(case, longer)
    told = all(s.totals.held is not None for s in fw.audit(case).sessions)
    assert found.outcome is not Outcome.DIFFERENT
    assert (found.outcome is Outcome.NOT_KNOWN) or told


def test_the_same_bytes_are_equal_whatever_they_do_not_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy.txt"
    copy.write_bytes(REBOUND.read_bytes())
    assert run(REBOUND, copy) == 0
    assert "the same, byte for byte" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b'{"schema": "review/1", "answers": []}', "has the schema 'review/1', which cannot be compared"),
        (b'{"schema": "run/1"}', "has the schema 'run/1', which cannot be compared"),
        (b'{"schema": "run/2", "scenario": 3}', "does not have the shape of run/2"),
        (b'{"schema": "top/1", "taken": "now"}', "does not have the shape of top/1"),
        (b'{"schema": 3}', "is JSON, but no trace of fwpages"),
        (gzip.compress(b'{"schema": "audit/2", "sessions": []}', mtime=0)[:-12], "ends too early"),
    ],
    ids=["missing", "empty", "review", "old", "wrong-key", "wrong-top", "no-schema", "cut"],
)
def test_what_cannot_be_compared_is_misuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
) -> None:
    wrong = tmp_path / "wrong.json"
    if content is not None:
        wrong.write_bytes(content)
    for args in ((wrong, VHCA), (VHCA, wrong)):
        assert run(*args) == 2
        error = " ".join(capsys.readouterr().err.split())
        assert said in error
        assert "wrong.json" in error


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["vhca:0x2a", "<b>"], "a function of session 1: '<b>' is not an identity"),
        (["vhca:0x2a", "vhca:0x2a"], "session 1 has vhca:0x2a, generation 0, twice"),
    ],
)
def test_functions_that_cannot_be_told_apart_are_misuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], said: str
) -> None:
    report = fw.audit(VHCA)
    (s,) = report.sessions
    functions = [msgspec.structs.replace(f, identity=name) for f, name in zip(s.functions, names, strict=True)]
    path = tmp_path / "changed.json"
    changed = msgspec.structs.replace(report, sessions=[msgspec.structs.replace(s, functions=functions)])
    path.write_bytes(msgspec.json.encode(changed))
    assert run(VHCA, path) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_standard_input_is_read_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-", "-") == 2
    assert "can be read once only" in capsys.readouterr().err


def test_a_report_is_known_by_its_schema_however_its_json_is_written(tmp_path: Path) -> None:
    _, report = traced(load("late-return"))
    folded = tmp_path / "folded.json"
    folded.write_text(json.dumps(json.loads(report), indent=2, sort_keys=True))
    whole = tmp_path / "whole.json"
    whole.write_bytes(report)
    found = fw.diff(whole, folded)
    assert (found.a.form, found.b.form, found.outcome) == (Form.RUN, Form.RUN, Outcome.EQUAL)


def test_an_audits_report_is_compared_with_its_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["audit", str(VHCA), "--json"]) == 0
    report = tmp_path / "audit.json"
    report.write_text(capsys.readouterr().out)
    found = fw.diff(report, VHCA)
    assert (found.outcome, found.a.form) == (Outcome.EQUAL, Form.AUDIT)
    assert found.notes == ["not compared: start-up, page-commands, page-requests: B alone tells them"]


def holdings(*functions: FunctionHoldings, **more: Any) -> bytes:
    device = DeviceHoldings(
        device=DEVICE, mode="vhca_id", supplier="pf", verdict=Verdict.CONSISTENT, settled=True, functions=[*functions]
    )
    return msgspec.json.encode(Holdings.of("/proc/kcore", [msgspec.structs.replace(device, **more)]))


OWN = FunctionHoldings(identity="vhca:0x2a", type=FunctionType.SELF, pages=2037)


def test_a_log_is_compared_with_what_the_driver_has_now() -> None:
    """By the last session of the log, and by the pages held alone."""
    vf = FunctionHoldings(identity="vhca:0x31", type=FunctionType.VF, pages=500)
    found = compared(REBOUND.read_bytes(), holdings(OWN, vf))
    assert [(s.a, s.b, s.aligned_by) for s in found.sessions] == [(2, 1, Alignment.IDENTITY)]
    assert [(d.kind, d.function.a) for d in found.not_known if d.function] == [(Kind.HELD, "vhca:0x31")]
    assert "not compared: type of vhca:0x31: B alone tells it" in found.notes
    assert found.differences == []
    assert (
        "not compared: given, returned, released, discarded, doubtful, peak: inspect does not tell them" in found.notes
    )
    more = msgspec.structs.replace(OWN, pages=2040)
    assert [(d.kind, d.a, d.b) for d in compared(REBOUND.read_bytes(), holdings(more, vf)).differences] == [
        (Kind.HELD, 2037, 2040)
    ]


def test_a_list_that_did_not_settle_is_not_known() -> None:
    unsettled = holdings(OWN, settled=False, functions=[], verdict=Verdict.NOT_KNOWN)
    found = compared(holdings(OWN), unsettled)
    assert found.outcome is not Outcome.EQUAL


def test_recordings_are_compared_by_their_last_snapshots() -> None:
    data = TOP.read_bytes()
    found = compared(data, data)
    assert found.outcome is Outcome.EQUAL
    assert {s.aligned_by for s in found.sessions} == {Alignment.TYPE}
    assert any("the last of 2 snapshots" in note for note in found.notes)
    first = data.splitlines(keepends=True)[0]
    (row,) = compared(first, data).differences
    assert row.function is not None
    assert (row.kind, row.function.type, row.a, row.b) == (Kind.HELD, FunctionType.VF, 0, 750)


def test_counters_by_type_are_compared_with_the_functions_of_each_type() -> None:
    vf = [FunctionHoldings(identity=f"vhca:{n:#x}", type=FunctionType.VF, pages=n) for n in (1, 2)]
    (line,) = TOP.read_bytes().splitlines()[-1:]
    snapshot = json.loads(line)
    snapshot["functions"][0]["by_type"] |= {"vf": 3, "rest": 2037}
    found = compared(holdings(OWN, *vf), json.dumps(snapshot).encode())
    assert (found.outcome, found.differences) == (Outcome.EQUAL, [])


def test_a_served_device_is_compared_with_its_trace() -> None:
    stage, _ = served('do = "open"', request("vf0", 8), request("vf0", -8), 'do = "close"')
    report = msgspec.json.encode(serve_report(stage.serving, scenario="test"))
    stage.writer.end()
    found = compared(report, stage.stream.getvalue().encode())
    assert (found.outcome, found.differences) == (Outcome.EQUAL, [])
    assert "not compared: discarded, doubtful: serve does not tell them" in found.notes
    for d in stage.drivers:
        d.close()


def test_sessions_of_a_program_are_compared_as_values() -> None:
    device = fw.Device("connectx7")
    results = []
    for pages in (100, 200):
        with fw.open(device) as session:
            vf = session.eswitch.enable_vf(0)
            device.request_pages(vf, pages)
            session.run_until_idle()
        results.append(session.result)
    found = fw.diff(*results)
    assert {(d.kind, d.a, d.b) for d in found.differences if d.function} >= {(Kind.GIVEN, 100, 200)}
    assert fw.diff(results[0], results[0]).equal
    assert fw.diff(fw.audit(VHCA), VHCA).equal
    with pytest.raises(TypeError, match="expected a path, an open file, or a report, not 3"):
        fw.diff(3, VHCA)  # type: ignore[arg-type]
    with pytest.raises(fw.InputError, match="no such file"):
        fw.diff(VHCA, "nowhere")


def test_names_from_a_file_cannot_move_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = fw.audit(VHCA)
    (s,) = report.sessions
    hostile = "\x1b[2J\x07[red]x"
    finding = FindingAccount(name=hostile, blame="host", function=hostile)
    session = msgspec.structs.replace(s, device=hostile, findings=[finding])
    path = tmp_path / "hostile.json"
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(report, sessions=[session])))
    assert run(VHCA, path) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "�[2J�[red]x" in out


def test_the_table_has_80_columns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(GOLDEN)
    assert run(LINES.name, VHCA.name) == 1
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())


def test_a_long_script_is_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plan = load("connectx4-lx")
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    a.write_bytes(trace_of(plan))
    step = [{"do": "request", "function": "self", "pages": 3}, {"do": "request", "function": "self", "pages": -3}]
    text = "".join(f'[[step]]\ndo = "{s["do"]}"\nfunction = "self"\npages = {s["pages"]}\n' for s in step * 30)
    long = load(
        "long", text=f'[device]\nprofile = "connectx4-lx"\n[[step]]\ndo = "open"\n{text}[[step]]\ndo = "close"\n'
    )
    b.write_bytes(trace_of(long))
    assert run(a, b) == 1
    assert "more" in capsys.readouterr().out
