"""Runs of unmodified drivers compared: two kernels, both modes, a log with its trace, a served device's report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from fwpages.comparison import diff
from fwpages.comparison.kinds import Kind
from fwpages.comparison.values import Alignment, Outcome
from fwpages.report.serve import serve_report
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.lab import PF, agree, clean, scenario
from tests.vm.test_audit import accounts, audit

START = 37 + 2000


@dataclass(frozen=True)
class Recorded:
    """One run by its three records."""

    log: Path
    trace: Path
    report: Path


def recorded(k: Kernel, folder: Path, name: str, *, offered: bool) -> Recorded:
    """Load, serve two functions, take some back, reset both, unload; the debug log of the load is switched on."""
    here = folder / name
    here.mkdir()
    with Lab(scenario(PF, offered=offered), here) as lab, lab.guest(k) as g:
        g.ok("load dyndbg=+p")
        lab.until({"self": START})
        lab.want(vf0=600, sf0=7)
        lab.until({"self": START, "vf0": 600, "sf0": 7})
        lab.want(vf0=-100)
        lab.reset("sf0")
        lab.until({"self": START, "vf0": 500})
        agree(lab, g)
        lab.reset("vf0")
        lab.until({"self": START})
        g.ok("unload")
        clean(lab, g)
        g.off()
        made = Recorded(here / "log.txt", here / "trace.jsonl", here / "report.json")
        made.log.write_text(g.console().replace("\r\n", "\n"))
    made.trace.write_text(lab.trace())
    made.report.write_bytes(msgspec.json.encode(serve_report(lab.serving, scenario="lab")))
    return made


def test_runs_of_two_kernels_and_of_both_modes(new: Kernel, old: Kernel, tmp_path: Path) -> None:
    """They differ by the mode alone, and with it by the types that a page supplier without an e-switch knows.

    The kernel's own debug log of a run gives the same accounts as the server's trace.
    """
    by_vhca_id = recorded(new, tmp_path, "vhca_id", offered=True)
    by_func_id = recorded(new, tmp_path, "func_id", offered=False)
    older = recorded(old, tmp_path, "older", offered=True)
    for run, mode, own in (
        (by_vhca_id, "vhca_id", "vhca:0x2a"),
        (by_func_id, "func_id", "func:0x0"),
        (older, "func_id", "func:0x0"),
    ):
        assert diff(run.log, run.trace).outcome is Outcome.EQUAL
        assert diff(run.report, run.trace).outcome is Outcome.EQUAL
        logged = audit(run.log)
        assert accounts(logged) == accounts(audit(run.trace))
        assert accounts(logged)[own] == (START, START, 0, 0, 0, START)
        assert logged["sessions"][0]["mode"] == mode
    for of in ("log", "trace", "report"):
        assert diff(getattr(older, of), getattr(by_func_id, of)).outcome is Outcome.EQUAL
        for before in (older, by_func_id):
            found = diff(getattr(before, of), getattr(by_vhca_id, of))
            assert {d.kind for d in found.differences} == {Kind.MODE} | ({Kind.TYPE} if of == "trace" else set())
            assert not found.not_known
            (session,) = found.sessions
            assert session.aligned_by is (Alignment.NAME if of == "report" else Alignment.ORDER)
