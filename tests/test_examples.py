"""The examples run, and say what they should."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from fwpages.scenario import ScenarioRun, load

EXAMPLES = Path(__file__).parents[1] / "examples"
LOG = Path(__file__).parent / "golden" / "linux-7.2.13-pf-vhca_id.dmesg.txt.gz"


def run(name: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *args], capture_output=True, text=True, timeout=60, check=False
    )


def test_drive() -> None:
    done = run("drive.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "closed: 15465 given, 13465 returned, 2000 released, 0 left"


def test_drive_another_device() -> None:
    done = run("drive.py", "bluefield3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("open             vhca:0x2a (self) 12905\n")


def test_check_logs_of_a_good_log() -> None:
    done = run("check_logs.py", str(LOG))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(": 0000:00:03.0, closed, clean: 0 pages held, 0 findings\n")


def test_check_logs_of_one_with_a_hole(tmp_path: Path) -> None:
    lines = gzip.decompress(LOG.read_bytes()).splitlines(keepends=True)
    bad = tmp_path / "dmesg.txt"
    bad.write_bytes(b"".join(lines[:4944] + lines[5420:]))
    done = run("check_logs.py", str(LOG), str(bad))
    assert done.returncode == 1
    assert "768 pages held, 1 findings\n  pages-left (host), vhca:0x5: " in done.stdout


def test_check_logs_of_no_log(tmp_path: Path) -> None:
    done = run("check_logs.py", str(tmp_path / "missing"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "no such file" in done.stderr


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda p: str(p.name))
@pytest.mark.parametrize("mode", ["func_id", "vhca_id"])
def test_scenarios(path: Path, mode: str) -> None:
    result = ScenarioRun(load(str(path)), mode="func_id" if mode == "func_id" else "vhca_id", checked=True).run()
    assert result.clean
