"""``fwpages serve`` as it is typed, with a scenario, a trace and a report; and a profile from one run's log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fwpages.scenario.served_steps import QUIET
from fwpages.trial.guest import PATIENCE, Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from fwpages.trial.qemu import qemu
from tests.report.junit_structure import parsed
from tests.vm.eswitch import mode as eswitch
from tests.vm.eswitch import with_devlink
from tests.vm.guest import PYTHON
from tests.vm.lab import PF, agree, clean, complaints, scenario

START = 37 + 2000


class Fwpages:
    """The command line as a process of its own. A context manager: at its end the process is gone."""

    def __init__(self, folder: Path, *args: str) -> None:
        code = "import sys; from fwpages.cli import main; main()"
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen([sys.executable, "-c", code, *args], stdout=out, stderr=err)

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def out(self) -> str:
        return self._out.read_text()

    def done(self) -> tuple[int, str]:
        """Wait until it ends; the exit code, and what it printed."""
        return self.process.wait(PATIENCE), self._out.read_text()

    def quiet(self, seconds: float = 2.0) -> None:
        """Wait until it has had nothing to tell for so long: the scenario's steps are done."""
        end, reported, since = time.monotonic() + PATIENCE, "", time.monotonic()
        while not reported or time.monotonic() < since + seconds:
            assert time.monotonic() < end, reported
            if self.err != reported:
                reported, since = self.err, time.monotonic()
            time.sleep(0.05)

    def __enter__(self) -> Fwpages:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(30)


def serve(tmp_path: Path, *args: str) -> Fwpages:
    """``fwpages serve`` at ``device``, listening."""
    server = Fwpages(tmp_path, "serve", "--socket", str(tmp_path / "device"), *args)
    end = time.monotonic() + PATIENCE
    while not (tmp_path / "device").exists():
        assert server.process.poll() is None, server.err
        assert time.monotonic() < end
        time.sleep(0.05)
    return server


@pytest.mark.parametrize("name", ["connectx4-lx", "connectx7", "bluefield3"])
def test_scenario_of_the_library(new: Kernel, tmp_path: Path, name: str) -> None:
    """Three generations: every step is followed, and the driver behaves."""
    trace = tmp_path / "trace.jsonl"
    kernel = with_devlink(new, tmp_path) if name == "bluefield3" else new
    with serve(tmp_path, "--once", "--json", "--trace", str(trace), name) as server:
        with Guest(kernel, tmp_path / "device", tmp_path / "machine", PYTHON) as g:
            g.ready()
            g.ok("load")
            if name == "bluefield3":
                # its host's functions live by the driver's e-switch, and the host waits until the driver is quiet
                eswitch(g, "switchdev")
                server.quiet(3 * QUIET)
                eswitch(g, "legacy")
            server.quiet()
            g.ok("unload")
            assert complaints(g.console()) == []
            g.off()
        status, out = server.done()
    report: dict[str, Any] = json.loads(out)
    assert status == 0, server.err
    assert report["clean"]
    assert report["missed"] == report["unfollowed"] == report["offences"] == []
    (session,) = report["sessions"]
    mode = "func_id" if name == "connectx4-lx" else "vhca_id"
    assert (session["mode"], session["end"], session["held"]) == (mode, "closed", 0)
    with Fwpages(tmp_path, "audit", "--json", str(trace)) as audit:
        status, out = audit.done()
    assert status == 0
    totals = json.loads(out)["sessions"][0]["totals"]
    assert [totals[k] for k in ("given", "returned", "released")] == [
        session[k] for k in ("given", "returned", "released")
    ]
    assert not (tmp_path / "device").exists()


def test_a_machine_is_started_by_the_command_that_is_printed(new: Kernel, tmp_path: Path) -> None:
    """A shell in the same folder runs it as it is; the machine boots, and its kernel sees the device."""
    console = tmp_path / "console"
    with serve(tmp_path, "--once", "connectx7") as server, console.open("w") as stdout:
        command = server.out.split("\n\n")[1]
        shell = ["sh", "-c", f"exec {command.lstrip()}"]
        with subprocess.Popen(shell, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.STDOUT) as machine:
            try:
                end = time.monotonic() + PATIENCE
                while "pci 0000:01:00.0: [15b3:" not in console.read_text("utf-8", "replace"):
                    assert time.monotonic() < end, console.read_text("utf-8", "replace")[-2000:]
                    assert machine.poll() is None, console.read_text("utf-8", "replace")
                    time.sleep(0.1)
            finally:
                machine.kill()
        status, out = server.done()
    assert new.name in console.read_text("utf-8", "replace")
    assert "a virtual machine is here" in out
    assert status == 4, "the driver was never loaded"


def test_the_job_for_ci(new: Kernel, tmp_path: Path) -> None:
    """The script of the examples, in a folder of its own: what it leaves there, and its exit code."""
    script = Path(__file__).parents[2] / "examples" / "load-in-ci.sh"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "QEMU": qemu(),
        "KERNEL": str(new.image),
        "INITRD": str(new.initrd),
    }
    job = subprocess.run(
        [script], check=False, cwd=tmp_path, env=environment, timeout=2 * PATIENCE, capture_output=True, text=True
    )
    console = (tmp_path / "ci" / "console.log").read_text("utf-8", "replace")
    assert job.returncode == 0, job.stdout + job.stderr + console[-2000:]
    assert job.stdout.splitlines()[-1].startswith("clean: 1 session, every page accounted for")
    names = {file.name for file in (tmp_path / "ci").iterdir()}
    assert names == {"trace.jsonl", "junit.xml", "report.txt", "guest.txt", "console.log"}
    assert "END 4 0" in (tmp_path / "ci" / "guest.txt").read_text()


def test_fault_is_seen_by_both_sides(new: Kernel, tmp_path: Path) -> None:
    """Firmware names a page that it never got: the kernel says so, and our report says what went wrong on purpose."""
    junit = tmp_path / "junit.xml"
    fault = "--fault", "take-never-given", "--junit", str(junit)
    with serve(tmp_path, "--once", "--json", *fault, "connectx7") as server:
        with Guest(new, tmp_path / "device", tmp_path / "machine") as g:
            g.ready()
            g.ok("load")
            server.quiet()
            g.run("unload")
            assert "page not found" in g.console()
            g.off()
        _, out = server.done()
    assert json.loads(out)["faults"] == ["take-never-given"]
    clean = json.loads(out)["clean"]
    assert (parsed(junit.read_bytes()).find(".//testcase[@name='verdict']/failure") is None) is clean
    assert "memory-backend-memfd" in server.err


def test_stopped_with_a_machine_on_it(new: Kernel, tmp_path: Path) -> None:
    with serve(tmp_path, "connectx7") as server, Guest(new, tmp_path / "device", tmp_path / "machine") as g:
        g.ready()
        g.ok("load")
        server.process.send_signal(signal.SIGTERM)
        status, out = server.done()
        assert status == 1
        assert "the driver did not behave: session 1 gone" in out
        assert not (tmp_path / "device").exists()


def test_profile_from_a_log_serves_the_next(new: Kernel, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with Lab(scenario(PF), one) as lab, lab.guest(new) as g:
        g.ok("load dyndbg=+p")
        lab.until({"self": START})
        g.ok("unload")
        g.off()
    log, profile = tmp_path / "console.log", tmp_path / "hardware.toml"
    log.write_text(g.console().replace("\r\n", "\n"))
    with Fwpages(tmp_path, "profile", str(log), "-o", str(profile)) as made:
        assert made.done()[0] == 0
    text = f'[device]\nprofile = "{profile}"\n[[step]]\ndo = "open"\n'
    with Lab(scenario(text), two) as lab, lab.guest(new) as g:
        g.ok("load dyndbg=+p")
        lab.until({"self": START})
        agree(lab, g)
        g.ok("unload")
        clean(lab, g)
        g.off()
    # the second device says of itself what the first one said
    again = tmp_path / "again.log"
    again.write_text(g.console().replace("\r\n", "\n"))
    with Fwpages(tmp_path, "profile", str(again), "--name", "hardware") as made:
        assert made.done()[1] == profile.read_text()
