"""``fwpages drive`` and ``fwpages serve`` as processes of their own: either is killed in the middle.

Five processes take their time to start: it is collected only where it is named (``make test-drive``).
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fwpages.cli import invoke
from tests.cli.test_drive import PLAN, start, wait_for
from tests.sockets import short


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    with short(tmp_path) as folder:
        yield folder


def until(p: subprocess.Popen[str], words: str) -> None:
    """Read lines until one has these words."""
    assert p.stdout is not None
    for line in p.stdout:
        if words in line:
            return
    raise AssertionError(f"{words} did not come: {p.communicate()}")


def test_two_processes_either_of_which_is_killed(tmp_path: Path) -> None:
    """A driver that is killed leaves nothing to the next one; a server that is killed is a finding, and no fence."""
    path, plan = tmp_path / "s", tmp_path / "p.toml"
    plan.write_text(PLAN)
    with start("serve", "--socket", str(path), str(plan)) as server:
        wait_for(path)
        with start("drive", "--socket", str(path)) as driver:
            until(driver, "gave 30 pages (0.117 MiB) for vhca:0x31")
            driver.kill()
            driver.communicate(timeout=60)
        until(server, "session 1 is over: the client has gone, 87 pages (0.34 MiB) dropped")

        trace = tmp_path / "t.jsonl"
        with start("drive", "--socket", str(path), "--json", "--trace", str(trace)) as driver:
            until(server, "30 pages (0.117 MiB) for vf0 (vhca:0x31)")
            driver.send_signal(signal.SIGTERM)
            out, err = driver.communicate(timeout=60)
        report = json.loads(out)
        assert (driver.returncode, report["schema"], report["verdict"]) == (0, "drive/1", "clean"), err
        assert report["device"] == {
            "name": str(path),
            "transport": "vfio-user",
            "reset": "DEVICE_RESET",
            "pci": "15b3:1021",
            "firmware": "28.39.1002",
            "functions": {"sf": 256},
        }
        assert [s["totals"]["returned"] for s in report["sessions"]] == [87]
        assert invoke(["audit", str(trace)]) == 0

        with start("drive", "--socket", str(path), str(plan)) as driver:
            until(driver, "session 1 is open, in VHCA_ID mode; 57 pages (0.223 MiB) held")
            server.kill()
            out, err = driver.communicate(timeout=60)
        assert (driver.returncode, err) == (1, "")
        assert "FINDING link-lost" in out
        assert "FINDING not-fenced" in out
        server.communicate(timeout=60)
