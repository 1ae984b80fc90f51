"""``fwpages drive`` and ``fwpages serve`` as processes of their own, at two ends of one socket."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fwpages.cli import invoke
from tests.sockets import short

CODE = "import sys; from fwpages.cli import main; main()"
PLAN = """
[device]
profile = "connectx7"
init_pages = 20
[bounds]
fence = 0.5
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
pages = 8
[[step]]
do = "open"
[[step]]
do = "request"
function = "vf0"
pages = 30
[[step]]
do = "close"
"""


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    with short(tmp_path) as folder:
        yield folder


@contextmanager
def start(*args: str) -> Iterator[subprocess.Popen[str]]:
    """A process of fwpages, which ends with the block, whatever happens there."""
    command = [sys.executable, "-c", CODE, *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_scenario_on_both_sides(tmp_path: Path) -> None:
    path, plan = tmp_path / "s", tmp_path / "p.toml"
    plan.write_text(PLAN.replace('do = "request"', 'do = "enable"\nfunction = "vf0"\n[[step]]\ndo = "request"'))
    with start("serve", "--socket", str(path), "--eswitch", "--once", str(plan)) as server:
        wait_for(path)
        with start("drive", "--socket", str(path), "--mode", "func_id", str(plan)) as driver:
            out, err = driver.communicate(timeout=60)
        served, _ = server.communicate(timeout=60)
    assert (driver.returncode, server.returncode, err) == (0, 0, "")
    assert "func_id mode, closed: clean" in out
    assert "\nclean: 1 session, 31 commands, 95 pages (0.371 MiB) given" in out
    assert "gave 30 pages (0.117 MiB) for vf0 (func:0x1)" in out
    assert "38 pages (0.148 MiB) back from vf0 (func:0x1)" in served


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "there is no socket; start `fwpages serve --socket"),
        (["no-such"], "there is no scenario"),
    ],
)
def test_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], words: str) -> None:
    assert invoke(["drive", "--socket", str(tmp_path / "s"), *args]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
