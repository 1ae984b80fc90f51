"""``fwpages doctor``: its report, its JSON, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fwpages.cli import invoke
from tests.machine.trees import server


def test_it_says_what_is_missing_and_the_line_to_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server(tmp_path)
    assert invoke(["doctor", "--root", str(tmp_path)]) == 4
    out = capsys.readouterr().out
    assert "fwpages top: yes" in out
    assert "$ fwpages top" in out
    assert "fwpages inspect: not known" in out


def test_json_has_probes_and_abilities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server(tmp_path)
    assert invoke(["doctor", "--json", "--root", str(tmp_path)]) == 4
    out = json.loads(capsys.readouterr().out)
    assert out["schema"] == "doctor/1"
    assert {"name", "state", "detail", "command"} <= set(out["probes"][0])
    assert {"name", "says", "state", "because", "commands"} <= set(out["abilities"][0])


def test_a_root_that_is_no_folder_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["doctor", "--root", "/nowhere"]) == 2
    assert "--root" in capsys.readouterr().err
