"""Traces with lines missing, cut, doubled or changed: the loss is reported, and no party is blamed for it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import Report
from fwpages.host import WantedMode
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode
from fwpages.readers.trace_writer import TraceWriter
from fwpages.scenario import ScenarioRun
from fwpages.scenario.topology import device_profile
from tests.auditor import written_traces
from tests.auditor.logs import audit_trace, only
from tests.scenario.test_fault_syntax import MODES, small

pytestmark = pytest.mark.many_runs

Lines = list[dict[str, Any]]


@cache
def _text(mode: WantedMode) -> str:
    scenario, out = small(), io.StringIO()
    writer = TraceWriter(out, device="small", supplier=device_profile(scenario).supplier)
    assert ScenarioRun(scenario, mode=mode, tap=writer).run().clean
    writer.end()
    return out.getvalue()


def _lines(mode: WantedMode) -> Lines:
    return [json.loads(line) for line in _text(mode).splitlines()]


def _unnumbered(lines: Iterable[dict[str, Any]]) -> Lines:
    """As somebody else writes a version 1 trace."""
    return [{k: v for k, v in line.items() if k != "n"} for line in lines if line["kind"] != "end"]


def _said(report: Report) -> set[tuple[str, str]]:
    every = [*report.findings, *(f for s in report.sessions for f in s.findings)]
    return {(f.name, f.blame) for f in every}


def _only_lost(report: Report) -> bool:
    """Lines are missing, nothing else is said; and no session that this is about shows counts, unless it was over."""
    for s in report.sessions:
        lost = any(f.name == "log-lines-lost" for f in s.findings)
        over = s.end == "closed" and s.totals.held == 0
        if lost and not over and (s.totals.given, s.totals.held, s.totals.returned) != (None, None, None):
            return False
    return _said(report) == {("log-lines-lost", "log")}


@pytest.mark.parametrize("mode", MODES)
def test_a_whole_trace_is_clean(mode: WantedMode, tmp_path: Path) -> None:
    assert audit_trace(tmp_path, _lines(mode)).clean
    assert audit_trace(tmp_path, _unnumbered(_lines(mode))).clean


@pytest.mark.parametrize("mode", MODES)
def test_a_line_removed(mode: WantedMode, tmp_path: Path) -> None:
    lines = _lines(mode)
    for i in range(0, len(lines), 2 if mode == "vhca_id" else 3):
        assert _only_lost(audit_trace(tmp_path, lines[:i] + lines[i + 1 :])), lines[i]


@pytest.mark.parametrize("count", [2, 9, 40])
def test_some_lines_removed(count: int, tmp_path: Path) -> None:
    lines = _lines("vhca_id")
    for i in range(count % 5 + 1, len(lines), 5):
        assert _only_lost(audit_trace(tmp_path, lines[:i] + lines[i + count :])), lines[i]


def test_the_tail_cut(tmp_path: Path) -> None:
    lines = _lines("vhca_id")
    for i in range(2, len(lines), 3):
        report = audit_trace(tmp_path, lines[:i])
        assert _only_lost(report), lines[i]
    cut = audit_trace(tmp_path, lines[: len(lines) // 3]).sessions[0]
    assert (cut.end, cut.totals.given, cut.totals.held) == ("open", None, None)
    assert any(n.startswith("vhca:0x2a: seen here: given 25,") for n in cut.notes)


def test_cut_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(_text("vhca_id")[:20_000])
    report = audit(path)
    assert _said(report) == {("log-truncated", "log")}
    assert report.sessions[-1].totals.given is None


def test_the_head_cut(tmp_path: Path) -> None:
    assert _only_lost(audit_trace(tmp_path, _lines("vhca_id")[30:]))


def test_an_answer_doubled(tmp_path: Path) -> None:
    for lines in (_lines("vhca_id"), _unnumbered(_lines("vhca_id"))):
        for i, line in enumerate(lines[::3]):
            if line["kind"] == "complete":
                report = audit_trace(tmp_path, lines[: 3 * i + 1] + lines[3 * i :])
                assert _said(report) == {("late-answer", "device")}, line
                assert [s.totals.given for s in report.sessions] == [74, 32]


@pytest.mark.parametrize(("kind", "to"), [("submit", 9999), ("complete", 9999), ("complete", 1), ("complete", -1)])
def test_a_number_changed(kind: str, to: int, tmp_path: Path) -> None:
    lines = _lines("vhca_id")
    for i, line in [(i, line) for i, line in enumerate(lines) if line["kind"] == kind][to % 3 :: 3]:
        other = {**line, "id": to if to == 9999 else max(0, line["id"] + to)}
        assert _only_lost(audit_trace(tmp_path, [*lines[:i], other, *lines[i + 1 :]])), line


def test_an_answer_to_no_command(tmp_path: Path) -> None:
    """Where lines are numbered and none is missing it is the device's; else a line may be missing."""
    trace = written_traces.WrittenTrace().opened()
    trace.complete(900, Answer(Opcode.MANAGE_PAGES))
    lines = [*trace.closed().lines, {"kind": "end"}]
    s = only(audit_trace(tmp_path, [{"n": n, **line} for n, line in enumerate(lines)]))
    assert [(f.name, f.blame) for f in s.findings] == [("answer-unasked", "device")]
    assert s.totals.given == 30
    s = only(audit_trace(tmp_path, lines[:-1]))
    assert [(f.name, f.blame) for f in s.findings] == [("log-lines-lost", "log")]
    assert s.totals.given is None


def test_one_removed_from_a_trace_without_numbers(tmp_path: Path) -> None:
    """A missing line shows where half of a command is there: no host gives up a command before its time."""
    lines = _unnumbered(_lines("vhca_id"))
    for i, line in enumerate(lines):
        if line["kind"] in ("submit", "complete") and i % 3 == 1:
            assert {blame for _, blame in _said(audit_trace(tmp_path, lines[:i] + lines[i + 1 :]))} <= {"log"}, line


def test_traces_one_after_the_other(tmp_path: Path) -> None:
    lines = _lines("vhca_id")
    assert audit_trace(tmp_path, lines + lines).clean
    assert _said(audit_trace(tmp_path, lines[:-1] + lines)) == {("log-lines-lost", "log")}


def test_a_line_that_cannot_be_read_is_lost_once(tmp_path: Path) -> None:
    rows = _text("vhca_id").splitlines(keepends=True)
    path = tmp_path / "t.jsonl"
    path.write_text("".join([*rows[:30], "{x\n", *rows[31:]]))
    details = [f.detail for f in audit(path).sessions[0].findings]
    assert "cannot be read" in details[0]
    assert not any("by the numbers" in d for d in details)
