"""An audit's account of a short trace: its session, the one finding of it, a function's row."""

from __future__ import annotations

from pathlib import Path

from fwpages.custody.accounts import COLUMNS, FindingAccount, FunctionAccount, Report, SessionAccount
from fwpages.custody.findings import Cause
from tests.auditor.logs import audit_trace, only
from tests.auditor.written_traces import OWN_VHCA, WrittenTrace

OWN = f"vhca:{OWN_VHCA:#x}"


def audit_written(tmp: Path, trace: WrittenTrace) -> SessionAccount:
    return only(audit_trace(tmp, trace.lines))


def one(s: SessionAccount, name: str) -> FindingAccount:
    assert [f.name for f in s.findings] == [name], s.findings
    (f,) = s.findings
    assert (f.name, f.blame, f.remedy) in {(c.finding, c.blame, c.remedy) for c in Cause}
    assert f.at["line"] > 0
    assert not s.clean
    return f


def row(s: SessionAccount, identity: str, generation: int = 0) -> FunctionAccount:
    return next(f for f in s.functions if (f.identity, f.generation) == (identity, generation))


def untrue(report: Report, truth: SessionAccount) -> list[str]:
    """Counts that differ from the truth, and findings that blame host or device, which have done nothing wrong."""
    known = {f.identity: f for f in truth.functions}
    wrong = []
    for s in report.sessions:
        wrong += [f"{f.name}: {f.detail}" for f in s.findings if f.blame != "log"]
        for f in s.functions:
            for column in COLUMNS:
                value = getattr(f, column)
                if value is not None and (f.identity not in known or value != getattr(known[f.identity], column)):
                    wrong.append(f"{f.identity} {column} {value}")
    return wrong
