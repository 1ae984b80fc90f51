"""``fwpages serve`` as it is typed, with a scenario, a trace and a report; and a profile from one run's log."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.vm.guest import Guest, Kernel
from tests.vm.lab import PF, Lab, scenario

START = 37 + 2000


def fwpages(*args: str) -> subprocess.Popen[str]:
    code = "import sys; from fwpages.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def appears(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.05)


def said(server: subprocess.Popen[str]) -> tuple[str, str, int]:
    out, err = server.communicate(timeout=60)
    return out, err, server.returncode


@pytest.mark.parametrize("name", ["connectx7", "bluefield3"])
def test_scenario_of_the_library(new: Kernel, tmp_path: Path, name: str) -> None:
    """Every step is followed, and the driver behaves."""
    socket, trace = tmp_path / "device", tmp_path / "trace.jsonl"
    with fwpages("serve", "--socket", str(socket), "--once", "--json", "--trace", str(trace), name) as server:
        appears(socket)
        with Guest(new, socket, tmp_path / "machine") as g:
            g.ready()
            g.ok("load")
            time.sleep(3)
            g.ok("unload")
            g.off()
        out, err, status = said(server)
    report: dict[str, Any] = json.loads(out)
    assert status == 0, err
    assert report["clean"]
    assert report["missed"] == report["unfollowed"] == report["offences"] == []
    (session,) = report["sessions"]
    assert (session["mode"], session["end"], session["held"]) == ("vhca_id", "closed", 0)
    with fwpages("audit", "--json", str(trace)) as audit:
        out, _, status = said(audit)
    assert status == 0
    totals = json.loads(out)["sessions"][0]["totals"]
    assert [totals[k] for k in ("given", "returned", "released")] == [
        session[k] for k in ("given", "returned", "released")
    ]
    assert not socket.exists()
    assert "memory-backend-memfd" in err


def test_fault_is_seen_by_both_sides(new: Kernel, tmp_path: Path) -> None:
    """Firmware names a page that it never got: the kernel says so, and our report says what went wrong on purpose."""
    socket = tmp_path / "device"
    with fwpages(
        "serve", "--socket", str(socket), "--once", "--json", "--fault", "take-never-given", "connectx7"
    ) as server:
        appears(socket)
        with Guest(new, socket, tmp_path / "machine") as g:
            g.ready()
            g.ok("load")
            time.sleep(2)
            g.run("unload", seconds=120)
            assert "page not found" in g.console()
            g.off()
        out, _, _ = said(server)
    assert json.loads(out)["faults"] == ["take-never-given"]


def test_stopped_with_a_machine_on_it(new: Kernel, tmp_path: Path) -> None:
    socket = tmp_path / "device"
    with fwpages("serve", "--socket", str(socket), "connectx7") as server:
        appears(socket)
        with Guest(new, socket, tmp_path / "machine") as g:
            g.ready()
            g.ok("load")
            server.send_signal(signal.SIGTERM)
            out, _, status = said(server)
            assert status == 1
            assert "the driver did not behave: session 1 gone" in out
            assert not socket.exists()


def test_profile_from_a_log_serves_the_next(new: Kernel, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with Lab(scenario(PF), one) as lab, lab.guest(new) as g:
        g.ok("load dyndbg=+p", seconds=120)
        lab.until({"self": START})
        g.ok("unload", seconds=120)
        g.off()
    log, profile = tmp_path / "console.log", tmp_path / "hardware.toml"
    log.write_text(g.console().replace("\r\n", "\n"))
    with fwpages("profile", str(log), "-o", str(profile)) as made:
        assert said(made)[2] == 0
    text = f'[device]\nprofile = "{profile}"\n[[step]]\ndo = "open"\n'
    with Lab(text, two) as lab, lab.guest(new) as g:
        g.ok("load dyndbg=+p", seconds=120)
        lab.until({"self": START})
        lab.agree(g)
        g.ok("unload", seconds=120)
        lab.clean(g)
        g.off()
    # the second device says of itself what the first one said
    again = tmp_path / "again.log"
    again.write_text(g.console().replace("\r\n", "\n"))
    with fwpages("profile", str(again), "--name", "hardware") as made:
        assert said(made)[0] == profile.read_text()
