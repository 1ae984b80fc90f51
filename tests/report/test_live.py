"""The live table: those first that hold the most, and no more rows than the terminal has."""

from __future__ import annotations

import io

import msgspec
from rich.console import Console

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import Report
from fwpages.report.live import live_table
from tests.auditor.logs import VHCA


def test_it_fits_the_terminal_and_counts_the_rest() -> None:
    (s,) = audit(VHCA).sessions
    several = [
        msgspec.structs.replace(s, device=f"dev{n}", totals=msgspec.structs.replace(s.totals, held=n))
        for n in range(30)
    ]
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=True, color_system=None).print(live_table(Report.of(several), 12))
    lines = out.getvalue().splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[2:5]] == ["dev29", "dev28", "dev27"]
    assert any("and 23 sessions more" in line for line in lines)
