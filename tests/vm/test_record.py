"""A record of a running kernel has the accounts of the debug log of the same life, and leaves nothing behind."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fwpages.cli import cli
from fwpages.custody.verdicts import RECORD
from fwpages.scenario.fault_syntax import fault
from fwpages.trial.guest import PATIENCE, Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.guest import PYTHON, Job, begin, finish, fwpages, read_file
from tests.vm.lab import PF, agree, clean, scenario

START = 37 + 2000
TRACEFS = "/host/sys/kernel/tracing"


@pytest.fixture(params=[("new", True), ("new", False), ("old", True), ("oldest", True)], ids=lambda p: f"{p[0]}-{p[1]}")
def case(request: pytest.FixtureRequest) -> tuple[Kernel, bool]:
    """A kernel, and if the device offers VHCA_ID mode: only the newest kernel takes it."""
    which, offered = request.param
    return request.getfixturevalue(which), offered


def sessions(path: Path) -> list[dict[str, Any]]:
    """The sessions of an audit."""
    result = CliRunner().invoke(cli, ["audit", "--json", str(path)], standalone_mode=False)
    found: list[dict[str, Any]] = json.loads(result.stdout)["sessions"]
    return found


def outcome(session: dict[str, Any]) -> tuple[object, ...]:
    """What the audit says of a session, without the places in the input."""
    figures = ("given", "returned", "released", "held", "doubtful", "peak")
    functions = {f["identity"]: tuple(f[what] or 0 for what in figures) for f in session["functions"]}
    return session["device"], session["mode"], session["end"], functions, [f["name"] for f in session["findings"]]


def begun(g: Guest, *options: str) -> Job:
    """A record that has begun to watch."""
    job = begin(g, ["record", "-o", "/tmp/record.jsonl", *options])
    end = time.monotonic() + PATIENCE
    while not (said := g.ok(f"cat {job.name}.err")):
        assert time.monotonic() < end, "the record does not begin"
        time.sleep(0.3)
    assert "Ctrl-C ends it" in said, said
    return job


def copied(g: Guest, file: Path) -> Path:
    file.write_bytes(read_file(g, "/tmp/record.jsonl"))
    return file


def left(g: Guest) -> str:
    """The names that are in tracefs: of instances, and of events."""
    return g.ok(f"ls {TRACEFS}/instances; cat {TRACEFS}/kprobe_events")


def life(lab: Lab, g: Guest) -> None:
    """Requests of functions, pages that come back, and pages that are released."""
    lab.until({"self": START})
    lab.want(vf0=600, sf0=7)
    lab.until({"self": START, "vf0": 600, "sf0": 7})
    agree(lab, g)  # the driver has the answers: whether a release crossed the last one may be open
    lab.want(vf0=-100)
    lab.reset("sf0")
    lab.until({"self": START, "vf0": 500})
    agree(lab, g)
    lab.reset("vf0")  # Linux waits for the pages of VFs where it can tell them
    lab.until({"self": START})


def test_a_record_and_the_debug_log_of_two_loads_agree(case: tuple[Kernel, bool], tmp_path: Path) -> None:
    """The record begins before the driver is loaded, and goes on when it is loaded anew."""
    kernel, offered = case
    with Lab(scenario(PF, offered=offered), tmp_path) as lab, lab.guest(kernel, PYTHON) as g:
        job = begun(g)
        for number in (1, 2):
            g.ok("load dyndbg=+p")
            lab.sessions(number)
            life(lab, g)
            g.ok("unload")
            clean(lab, g, sessions=number)
        ran = finish(g, job)
        assert ran.status == 0, ran.stderr
        assert left(g) == ""
        record = copied(g, tmp_path / "record.jsonl")
        g.off()
    log = tmp_path / "console.log"
    log.write_text(g.console().replace("\r\n", "\n"))
    recorded, logged = sessions(record), sessions(log)
    assert [outcome(s) for s in recorded] == [outcome(s) for s in logged]
    assert [(s["verdict"], s["end"]) for s in recorded] == [("clean", "closed")] * 2
    assert recorded[0]["totals"]["given"] == START + 607


def test_a_fault_of_the_device_is_the_same_finding_by_record_and_log(new: Kernel, tmp_path: Path) -> None:
    """A TAKE brings half of what firmware wanted taken back: the counts show it."""
    with (
        Lab(scenario(PF), tmp_path, faults=[fault("take-short")]) as lab,
        lab.guest(new, PYTHON) as g,
    ):
        job = begun(g)
        g.ok("load dyndbg=+p")
        lab.until({"self": START})
        lab.want(vf0=600)
        lab.until({"self": START, "vf0": 600})
        lab.want(vf0=-100)
        lab.until({"self": START, "vf0": 500})  # firmware lets go of all of them, and names half
        lab.reset("vf0")
        lab.until({"self": START})
        g.ok("unload")
        assert finish(g, job).status == 0
        record = copied(g, tmp_path / "record.jsonl")
        g.off()
    log = tmp_path / "console.log"
    log.write_text(g.console().replace("\r\n", "\n"))
    (recorded,), (logged,) = sessions(record), sessions(log)
    assert outcome(recorded) == outcome(logged)
    assert [(f["name"], f["blame"], f["pages"]) for f in recorded["findings"]] == [("take-short", "device", 50)]


def test_a_record_that_begins_after_the_load_is_not_known(case: tuple[Kernel, bool], tmp_path: Path) -> None:
    """With the address of each page that came back; SIGTERM ends it as it should."""
    kernel, offered = case
    with Lab(scenario(PF, offered=offered), tmp_path) as lab, lab.guest(kernel, PYTHON) as g:
        g.ok("load")
        lab.until({"self": START})
        job = begun(g, "--addresses")
        lab.want(vf0=600)
        lab.until({"self": START, "vf0": 600})
        lab.want(vf0=-100)
        lab.until({"self": START, "vf0": 500})
        agree(lab, g)
        ran = finish(g, job, stop="TERM")
        assert ran.status == 0, ran.stderr
        assert left(g) == ""
        record = copied(g, tmp_path / "record.jsonl")
        g.ok("unload")
        g.off()
    (session,) = sessions(record)
    assert (session["verdict"], session["end"], session["findings"]) == ("not known", "open", [])
    assert [m["command"] for m in session["missing"]] == [RECORD]
    lines = [json.loads(row) for row in record.read_text().splitlines()]
    events = [line for line in lines if line["kind"] == "event"]
    assert [int.from_bytes(bytes.fromhex(e["eqe"])[36:40], "big", signed=True) for e in events] == [600, -100]
    take = next(line for line in lines if line["kind"] == "complete" and len(line["out"]) > 2 * 16)
    assert len(take["out"]) == 2 * (16 + 8 * 100) == 2 * take["length"]


def test_what_a_killed_record_leaves_is_listed_and_removed_and_no_more(new: Kernel, tmp_path: Path) -> None:
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(new, PYTHON) as g:
        killed = begun(g)
        assert finish(g, killed, stop="KILL").status != 0
        running = begun(g)
        g.ok(f"mkdir {TRACEFS}/instances/others")
        g.ok(f"echo 'p:others/free mlx5_core:free_4k' >> {TRACEFS}/kprobe_events")
        assert f"fwpages_{killed.pid}" in fwpages(g, ["doctor"]).stdout
        assert f"fwpages_{running.pid}" not in fwpages(g, ["doctor"]).stdout
        ran = fwpages(g, ["record", "--cleanup"])
        assert (ran.stdout, ran.status) == (f"removed fwpages_{killed.pid}\n", 0)
        names = left(g)
        assert f"fwpages_{killed.pid}" not in names
        assert f"fwpages_{running.pid}" in names
        assert "p:others/free" in names
        g.ok("load")
        lab.until({"self": START})
        g.ok("unload")
        assert finish(g, running).status == 0
        assert left(g).split() == ["others", "p:others/free", "mlx5_core:free_4k"]
        (session,) = sessions(copied(g, tmp_path / "record.jsonl"))
        assert (session["verdict"], session["totals"]["given"]) == ("clean", START)
        g.off()
