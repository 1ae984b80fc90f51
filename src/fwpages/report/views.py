"""The part of an audit's report that somebody asked to see: some sessions, a line each where they are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from fwpages.custody.accounts import FindingAccount, Report, SessionAccount, Verdict
from fwpages.pages.words import many, size
from fwpages.report.health import show_health
from fwpages.report.tables import STYLES, print_session, readable, show_rest, verdict
from fwpages.report.width import fold, width_of

#: more sessions than these are a line each
FEW = 4
_WORST_FIRST = (Verdict.FINDINGS, Verdict.NOT_KNOWN, Verdict.CONSISTENT, Verdict.CLEAN)


@dataclass(frozen=True, slots=True)
class View:
    """The options of ``fwpages audit`` that choose what is printed. Sessions are numbered from 1, as in the input."""

    devices: tuple[str, ...] = ()
    sessions: tuple[int, ...] = ()
    findings_only: bool = False
    by_held: bool = False
    full: bool = False

    def chosen(self, report: Report) -> list[tuple[int, SessionAccount]]:
        """The sessions to print, each with its number."""
        rows = [
            (n, s)
            for n, s in enumerate(report.sessions, 1)
            if (not self.devices or s.device in self.devices)
            and (not self.sessions or n in self.sessions)
            and (not self.findings_only or s.findings)
        ]
        return sorted(rows, key=lambda row: -(row[1].totals.held or 0)) if self.by_held else rows


def show_audit(report: Report, console: Console, view: View) -> None:
    """Print the sessions that the view chooses, what belongs to none, and a line that sums up."""
    console = readable(console)
    rows = view.chosen(report)
    if len(rows) > FEW and not view.full:
        for n, s in rows:
            _line(n, s, console)
        _groups(rows, console)
    else:
        for i, (_, s) in enumerate(rows):
            if i:
                console.print()
            print_session(s, console)
    show_rest(report, console)
    show_health(report.health, console, full=view.full)
    if len(report.sessions) > 1:
        console.print()
        _say(console, Text(_sum(report, rows), STYLES[report.verdict]))


def _line(n: int, s: SessionAccount, console: Console) -> None:
    line = Text(f"{n:>4}  ")
    line.append(s.device, "bold")
    line.append(f"  {s.end}: ")
    line.append(verdict(s), STYLES[s.verdict])
    if s.totals.held and s.verdict is not Verdict.CONSISTENT:
        line.append(f", {many(s.totals.held)} held ({size(s.totals.held)} MiB)")
    console.print(line, soft_wrap=True)


def _groups(rows: Iterable[tuple[int, SessionAccount]], console: Console) -> None:
    """The findings by name, those with the most pages first, with the sessions that have them."""
    groups: dict[str, list[tuple[int, FindingAccount]]] = {}
    for n, s in rows:
        for f in s.findings:
            groups.setdefault(f.name, []).append((n, f))
    if groups:
        console.print()
    for name, found in sorted(groups.items(), key=lambda g: (-sum(f.pages or 0 for _, f in g[1]), -len(g[1]))):
        pages = sum(f.pages or 0 for _, f in found)
        where = ", ".join(str(n) for n in dict.fromkeys(n for n, _ in found))
        held = f", {many(pages)} ({size(pages)} MiB)" if pages else ""
        _say(console, Text(f"{name}  blames: {found[0][1].blame}  {len(found)} times{held}; in session {where}"))
    if groups:
        _say(console, Text("--session N shows one of them, --full every table", "dim"))


def _sum(report: Report, rows: list[tuple[int, SessionAccount]]) -> str:
    counts = Counter(s.verdict for s in report.sessions)
    parts = ", ".join(f"{counts[v]} {v}" for v in _WORST_FIRST if counts[v])
    devices = many(len({s.device for s in report.sessions}), "device")
    shown = "" if len(rows) == len(report.sessions) else f"; {len(rows)} shown"
    return f"{many(len(report.sessions), 'session')} of {devices}: {parts}{shown}"


def _say(console: Console, words: Text) -> None:
    console.print(Text(fold(words.plain, width_of(console.file), 2), words.style), soft_wrap=True)
