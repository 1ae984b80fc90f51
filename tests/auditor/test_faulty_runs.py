"""A run with a fault and the audit of its trace report the same, where the trace shows it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import SessionAccount
from fwpages.device import OffenceName, PlannedFault
from fwpages.host import WantedMode
from fwpages.readers.trace_writer import TraceWriter
from fwpages.report.host_accounts import session_of
from fwpages.scenario import ScenarioRun
from fwpages.scenario.fault_syntax import FAULTS
from fwpages.scenario.topology import device_profile
from tests.scenario.test_fault_syntax import small

pytestmark = pytest.mark.many_runs


@dataclass(frozen=True)
class Apart:
    """Findings, each with its blame, that only one of the two may have; and why."""

    reason: str
    run: frozenset[str] = frozenset()
    audit: frozenset[str] = frozenset()


def _apart(reason: str, run: str, audit: str = "") -> Apart:
    return Apart(reason, frozenset(run.split(", ")), frozenset(audit.split(", ")))


_MEMORY = _apart(
    "the host is out of memory, and closes or says CANT_GIVE: the wire does not tell why",
    "alloc-failed host",
    "cannot-give host",
)
_WAIT = "wait-timeout device"
_GONE = _apart("the host takes a refused disabling for done while it closes, and waits", _WAIT, _WAIT)

#: in every run: an offence is what the firmware wrote down for itself; the wire has the refusal, which is compared
APART = {
    "map-fails": _MEMORY,
    "map-at-zero": _MEMORY,
    "map-elsewhere": _MEMORY,
    "request-storm": _apart("why the host said CANT_GIVE", "request-dropped host", "cannot-give host"),
    "disable-refused": _GONE,
    "enable-unanswered-lost": _GONE,
}

NOTHING = Apart("")


def _said(s: SessionAccount, besides: frozenset[str]) -> tuple[str, set[str]]:
    names = {f"{f.name} {f.blame}" for f in s.findings if f.name not in frozenset(OffenceName) or f.blame != "host"}
    return s.end, names - besides


#: the opportunity at which a fault is injected, and the mode of that run
STRIKES: tuple[tuple[int, WantedMode], ...] = ((1, "vhca_id"), (2, "func_id"), (4, "vhca_id"))


@pytest.mark.parametrize("name", FAULTS)
def test_a_run_and_the_audit_of_its_trace_say_the_same(name: str, tmp_path: Path) -> None:
    scenario = small(release_all=0) if name == "release-all-unasked" else small()
    extra = [PlannedFault("teardown-refused")] if name == "not-fenced" else []
    apart = APART.get(name, NOTHING)
    for at, mode in STRIKES if name != "request-storm" else STRIKES[:1]:
        out = io.StringIO()
        writer = TraceWriter(out, device="small", supplier=device_profile(scenario).supplier)
        result = ScenarioRun(scenario, mode=mode, faults=[PlannedFault(name, at), *extra], tap=writer).run()
        writer.end()
        path = tmp_path / "t.jsonl"
        path.write_text(out.getvalue())
        # an open that fails for want of a fence is none on the wire: the session before it is shown again
        books = {b.session: b for b in result.sessions}.values()
        mine = [_said(session_of("small", b), apart.run) for b in books]
        read = [_said(s, apart.audit) for s in audit(path).sessions]
        assert read == mine, (name, at, mode)
