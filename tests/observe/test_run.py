"""What a run writes as a trace, audited, gives the accounts that the run itself kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fwpages.cli import invoke
from fwpages.device import Offence
from fwpages.host import Books
from fwpages.observe.result import session_of
from fwpages.prm.identity import Identity, Mode, vhca_id

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


def test_offences_of_one_kind_are_told_once_for_each_function() -> None:
    books = Books(1, Mode.VHCA_ID, "closed", (), 0, {}, (), (), 0, 0, 0)

    def offence(who: Identity | None, detail: str) -> Offence:
        return Offence("unrequested-give", who, detail)

    a, b = vhca_id(0x31), vhca_id(0x32)
    storm = [offence(a, "1 page"), offence(b, "2 pages"), offence(a, "3 pages"), offence(None, "4 pages")]
    s = session_of("dut", books, storm)
    words = "the driver gave a function more pages than firmware wants for it: "
    assert [(f.function, f.detail) for f in s.findings] == [
        ("vhca:0x31", f"{words}1 page (2 times in all)"),
        ("vhca:0x32", f"{words}2 pages"),
        (None, f"{words}4 pages"),
    ]
    assert not s.clean
