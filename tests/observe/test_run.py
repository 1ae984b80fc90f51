"""What a run writes as a trace, audited, gives the accounts that the run itself kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fwpages.cli import invoke

PARTS = ("mode", "end", "clean", "totals", "by_type", "functions")


@pytest.mark.parametrize("mode", ["auto", "func_id"])
@pytest.mark.parametrize("name", ["connectx7", "bluefield3", "late-return", "early-give", "health-recovery", "reset"])
def test_the_audit_of_a_runs_trace_agrees_with_its_books(
    name: str, mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.jsonl"
    invoke(["run", name, "--mode", mode, "--trace", str(path), "--json"])
    books = json.loads(capsys.readouterr().out)["sessions"]
    invoke(["audit", str(path), "--json"])
    audited = json.loads(capsys.readouterr().out)["sessions"]
    assert [[s[part] for part in PARTS] for s in audited] == [[s[part] for part in PARTS] for s in books]
    assert [s["counters"]["fw_pages_total"] for s in audited] == [s["counters"]["fw_pages_total"] for s in books]
