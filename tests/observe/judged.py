"""What an audit says of a short trace: its session, the one finding of it, a function's row."""

from __future__ import annotations

from pathlib import Path

from fwpages.observe.accounts import COLUMNS, Finding, Function, Report, Session
from fwpages.observe.findings import REMEDIES
from tests.observe.lives import OWN_VHCA, Life
from tests.observe.logs import audit_trace, only

OWN = f"vhca:{OWN_VHCA:#x}"


def audit_life(tmp: Path, life: Life) -> Session:
    return only(audit_trace(tmp, life.lines))


def one(s: Session, name: str) -> Finding:
    assert [f.name for f in s.findings] == [name], s.findings
    (f,) = s.findings
    assert f.remedy == REMEDIES[name]
    assert f.at["line"] > 0
    assert not s.clean
    return f


def row(s: Session, identity: str, generation: int = 0) -> Function:
    return next(f for f in s.functions if (f.identity, f.generation) == (identity, generation))


def untrue(report: Report, truth: Session) -> list[str]:
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
