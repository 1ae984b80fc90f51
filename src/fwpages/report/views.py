"""The part of an audit's report that somebody asked to see: some sessions, a line each where they are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from fwpages.custody.accounts import Report, SessionAccount, Verdict
from fwpages.pages.words import in_mib, many
from fwpages.report.finding_lines import head, summary, worst_first
from fwpages.report.grids import readable, room, say, say_parts
from fwpages.report.health import show_health
from fwpages.report.tables import STYLES, print_session, show_rest, verdict

#: more sessions than these are a line each
FEW = 4
_IN_SUMS = {Verdict.FINDINGS: "with findings"}
#: sessions that the line of a finding names; the rest is counted
MOST_NAMED = 12
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
            and (not self.findings_only or s.verdict is Verdict.FINDINGS)
        ]
        return sorted(rows, key=lambda row: -(row[1].totals.held or 0)) if self.by_held else rows


def show_audit(report: Report, console: Console, view: View) -> None:
    """Print the sessions that the view chooses, what belongs to none, and a line that sums up."""
    console = readable(console)
    rows = view.chosen(report)
    if len(rows) > FEW and not view.full:
        _lines(rows, console)
        _groups(rows, console)
    else:
        for i, (_, s) in enumerate(rows):
            if i:
                console.print()
            print_session(s, console)
    show_rest(report, console)
    show_health(report.health, console, full=view.full)
    if report.sessions:
        console.print()
        say(console, _sum(report, rows), STYLES[report.verdict], hang=2)


def _lines(rows: Sequence[tuple[int, SessionAccount]], console: Console) -> None:
    """A line for each session; of several files, each line ends with the file's name, or has it in a line before."""
    wide = max(len(s.device) for _, s in rows)
    lines = [(_line(n, s, wide), _file(s)) for n, s in rows]
    several = len({file for _, file in lines}) > 1
    width = room(console)
    beside = width is None or all(line.cell_len + 2 + len(file) <= width for line, file in lines)
    before = ""
    for line, file in lines:
        if several and beside:
            line.append(f"  {file}", "dim")
        elif several and file != before:
            console.print(Text(file, "dim"), soft_wrap=True)
            before = file
        console.print(line, soft_wrap=True)


def _line(n: int, s: SessionAccount, wide: int) -> Text:
    line = Text(f"{n:>4}  ")
    line.append(s.device.ljust(wide), "bold")
    line.append(f"  {s.end}: ")
    line.append(verdict(s), STYLES[s.verdict])
    if s.totals.held and s.verdict is not Verdict.CONSISTENT:
        line.append(f", {in_mib(s.totals.held)} held")
    return line


def _file(s: SessionAccount) -> str:
    return str(s.first.get("file", ""))


def _groups(rows: Sequence[tuple[int, SessionAccount]], console: Console) -> None:
    """The findings of all sessions by name and blame, the worst first, with the sessions that have them."""
    numbers = {id(f): n for n, s in rows for f in s.findings}
    groups = worst_first((f for _, s in rows for f in s.findings), by_remedy=False)
    if groups:
        console.print()
    for group in groups:
        sessions = list(dict.fromkeys(numbers[id(f)] for f in group))
        where = ", ".join(map(str, sessions[:MOST_NAMED]))
        more = f" and {len(sessions) - MOST_NAMED:,} more" if len(sessions) > MOST_NAMED else ""
        which = "session" if len(sessions) == 1 else "sessions"
        say_parts(console, [head(group[0]), Text(summary(group)), Text(f"in {which} {where}{more}")])
    if groups:
        say(console, "--session N shows one of them, --full every table", "dim")


def _sum(report: Report, rows: Sequence[tuple[int, SessionAccount]]) -> str:
    """The number of sessions, devices and files, the verdicts, and the pages held where that is known."""
    sessions = report.sessions
    counts = Counter(s.verdict for s in sessions)
    parts = ", ".join(f"{counts[v]} {_IN_SUMS.get(v, v)}" for v in _WORST_FIRST if counts[v])
    devices = many(len({(_file(s), s.device) for s in sessions}), "device")
    files = len({_file(s) for s in sessions})
    where = f" in {many(files, 'file')}" if files > 1 else ""
    shown = "" if len(rows) == len(sessions) else f"; {len(rows)} shown"
    return f"{many(len(sessions), 'session')} of {devices}{where}: {parts}; {held_words(sessions)}{shown}"


def held_words(sessions: Sequence[SessionAccount]) -> str:
    """The pages that the sessions hold, and of how many that is not known."""
    known = [s.totals.held for s in sessions if s.totals.held is not None]
    if not known:
        return "pages held are not known"
    unknown = len(sessions) - len(known)
    of = f", not known of {many(unknown, 'session')}" if unknown else ""
    return f"{in_mib(sum(known))} held{of}"
