"""``fwpages metrics``: the endpoint, the textfile, and the files of the package."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fwpages.cli import invoke
from fwpages.machine.snapshot import PAGE_BYTES
from tests.machine.trees import PF, Machine, server


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return server(tmp_path / "root")


def test_the_textfile_has_the_metrics_and_no_part_is_left(machine: Machine) -> None:
    folder = machine.root.parent / "textfile"
    folder.mkdir()
    assert invoke(["metrics", "--textfile", str(folder / "fw.prom"), "--root", str(machine.root)]) == 0
    assert [p.name for p in folder.iterdir()] == ["fw.prom"]
    assert f'mlx5_fw_memory_bytes{{device="{PF}"}}' in (folder / "fw.prom").read_text("utf-8")


def test_a_textfile_without_a_function_is_not_known_and_written(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    file = tmp_path / "fw.prom"
    assert invoke(["metrics", "--textfile", str(file), "--root", str(tmp_path / "root")]) == 4
    assert "mlx5_functions 0.0" in file.read_text("utf-8")


def test_the_endpoint_answers_each_scrape_with_new_figures_and_ends_with_a_signal(machine: Machine) -> None:
    command = [sys.executable, "-m", "fwpages", "metrics", "--listen", "127.0.0.1:0", "--root", str(machine.root)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as p:
        try:
            assert p.stderr is not None
            url = re.search(r"http://127\.0\.0\.1:\d+/metrics", p.stderr.readline())
            assert url is not None
            assert _memory(url[0]) == 15_237 * PAGE_BYTES
            machine.counters(PF, 1)
            assert _memory(url[0]) == PAGE_BYTES
            machine.root.rename(machine.root.parent / "away")
            with urllib.request.urlopen(url[0], timeout=30) as answer:
                assert answer.read() == b"", "what cannot be read has no series, not even the number of functions"
            assert p.stderr.readline().startswith("fwpages metrics: --root ")
        finally:
            p.send_signal(signal.SIGTERM)
        assert p.wait(timeout=30) == 0


def _memory(url: str) -> float:
    """The memory of the PF as a scrape has it."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        families = {f.name: f for f in text_string_to_metric_families(answer.read().decode())}
    return next(s.value for s in families["mlx5_fw_memory_bytes"].samples if s.labels["device"] == PF)


@pytest.mark.parametrize(
    ("name", "word"), [("rules", "alert:"), ("unit", "ExecStart="), ("dashboard", "schemaVersion")]
)
def test_files_of_the_package_are_printed(name: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["metrics", "--print", name]) == 0
    out = capsys.readouterr().out
    assert word in out
    if name == "dashboard":
        assert json.loads(out)["panels"]


def test_the_unit_starts_a_command_line_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["metrics", "--print", "unit"])
    line = re.search(r"^ExecStart=\S+/fwpages (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert line is not None
    assert invoke([*line[1].split(), "--help"]) == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--listen", "9732"], "HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "HOST:PORT"),
        (["--listen", f"127.0.0.1:{'9' * 5000}"], "HOST:PORT"),
        (["--listen", "127.0.0.1:0", "--textfile", "x"], "give one of them"),
        (["--textfile", "/nowhere/x.prom"], "--textfile"),
        (["--textfile", "x", "--root", "/nowhere"], "--root"),
    ],
)
def test_misuse_names_the_option(args: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["metrics", *args]) == 2
    assert said in capsys.readouterr().err


def test_a_port_that_is_taken_is_misuse(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert invoke(["metrics", "--listen", f"127.0.0.1:{port}", "--root", str(machine.root)]) == 2
    assert f"127.0.0.1:{port}" in capsys.readouterr().err


def test_it_says_how_to_get_the_metrics_where_they_are_not_installed(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fwpages.cli.metrics.find_spec", lambda name: None)
    assert invoke(["metrics", "--textfile", "x", "--root", str(machine.root)]) == 2
    assert "pip install 'fwpages[metrics]'" in capsys.readouterr().err
