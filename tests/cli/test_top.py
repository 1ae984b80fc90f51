"""``fwpages top``: tables, JSON, recordings, and exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fwpages.cli import invoke
from tests.machine.trees import PF, SF, VF, Machine, server


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return server(tmp_path / "root")


def run(capsys: pytest.CaptureFixture[str], *args: object, code: int = 0) -> str:
    assert invoke(["top", *map(str, args)]) == code
    out, err = capsys.readouterr()
    assert err == ""
    return out


def misuse(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    assert invoke(["top", *map(str, args)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_once_prints_a_row_for_each_function_in_eighty_columns(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = run(capsys, "--once", "--root", machine.root)
    rows = {
        words[0]: words for words in map(str.split, out.splitlines()) if "by type:" not in " ".join(words) and words
    }
    assert [rows[name][1] for name in (PF, VF, SF)] == ["PF", "VF", "SF"]
    assert "15,237" in rows[PF]
    assert max(map(len, out.splitlines())) <= 80
    assert "VFs 512, SFs 812, rest 13,913" in out


def test_json_is_one_snapshot(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    out = json.loads(run(capsys, "--json", "--root", machine.root))
    assert out["schema"] == "top/1"
    assert [(f["device"], f["pages"]) for f in out["functions"]] == [(PF, 15_237), (VF, 37), (SF, 9)]


def test_no_function_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Machine(tmp_path)
    assert "lspci" in run(capsys, "--once", "--root", tmp_path, code=4)


def test_a_total_that_is_not_known_is_a_question_mark_and_exit_code_4(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(machine.root / "sys/kernel/debug")
    out = run(capsys, "--once", "--root", machine.root, code=4)
    assert out.count("?") > 3
    assert "debugfs is not mounted" in out
    assert " 0 " not in "".join(row for row in out.splitlines() if row.startswith(PF))


def test_failures_are_findings(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.counters(PF, 15_237, give_dropped=300)
    out = run(capsys, "--once", "--root", machine.root, code=1)
    assert "give-dropped  blames: unknown" in out
    assert "300 pages since the driver was loaded" in out


def test_without_a_terminal_each_snapshot_is_a_table(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "--count", 3, "--interval", 0.1, "--root", machine.root)
    assert out.count("3 functions") == 3


def test_a_recording_is_replayed_with_its_changes(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    file = machine.root / "run.jsonl"
    run(capsys, "--once", "--record", file, "--root", machine.root)
    machine.counters(PF, 16_237)
    run(capsys, "--once", "--record", file, "--root", machine.root)
    assert len(file.read_text("utf-8").splitlines()) == 2
    assert "+1,000" in run(capsys, "--replay", file)
    once = run(capsys, "--replay", file, "--once")
    assert once.count("functions") == 1
    assert "+1,000" in once, "the change is since the recording began"
    last = json.loads(run(capsys, "--replay", file, "--json"))
    assert last["functions"][0]["pages"] == 16_237


def test_misuse_names_the_option(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--replay" in misuse(capsys, "--replay", "nothing.jsonl")
    assert "--root" in misuse(capsys, "--once", "--root", machine.root / "nothing")
    assert "--record" in misuse(capsys, "--once", "--root", machine.root, "--record", machine.root)
    assert "--record" in misuse(capsys, "--replay", "a", "--record", "b")
    assert "gzip" in misuse(capsys, "--once", "--root", machine.root, "--record", "b.jsonl.gz")
    assert "--record /dev/full" in misuse(capsys, "--once", "--root", machine.root, "--record", "/dev/full")


def test_it_says_how_to_get_the_live_view_where_that_is_not_installed(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # Rich takes it for a terminal
    monkeypatch.setattr("fwpages.cli.top.find_spec", lambda name: None)
    assert "pip install 'fwpages[top]'" in misuse(capsys, "--root", machine.root)
