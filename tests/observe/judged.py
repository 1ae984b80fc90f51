"""What an audit says of a short trace: its session, the one finding of it, a function's row."""

from __future__ import annotations

from pathlib import Path

from fwpages.observe.accounts import Finding, Function, Session
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
