"""The accounts of a log that still grows, as a table that fits the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from fwpages.custody.accounts import Report
from fwpages.pages.words import many, size
from fwpages.report.grids import MIB, plain_table
from fwpages.report.tables import STYLES, verdict

#: lines of the terminal that are no sessions: heading, rule, the line that counts the rest, the caption
_AROUND = 5


def live_table(report: Report, height: int) -> Table:
    """A row for each session, those first that hold the most; the sessions that ``height`` has no room for are counted.

    A session that is not over has the verdict that it would have if the input ended here.
    """
    table = plain_table("device", "end", "verdict")
    for name in ("held", MIB, "peak", MIB):
        table.add_column(name, justify="right", no_wrap=True)
    rows = sorted(report.sessions, key=lambda s: -(s.totals.held or 0))
    room = max(1, height - _AROUND)
    for s in rows[:room]:
        memory = [cell for n in (s.totals.held, s.totals.peak) for cell in (_pages(n), _mib(n))]
        table.add_row(Text(s.device), s.end, Text(verdict(s, held=False), STYLES[s.verdict]), *memory)
    if len(rows) > room:
        table.add_row(f"and {many(len(rows) - room, 'session')} more")
    table.caption = "Ctrl-C ends and reports"
    return table


def _pages(n: int | None) -> str:
    return "?" if n is None else f"{n:,}"


def _mib(n: int | None) -> str:
    return "?" if n is None else size(n)
