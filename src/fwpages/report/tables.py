"""A report as tables for a terminal: Rich decides by the console whether there is colour and how wide it may be."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fwpages.custody.accounts import (
    Count,
    FunctionAccount,
    Missing,
    Report,
    SessionAccount,
    Totals,
    Verdict,
)
from fwpages.pages.words import in_mib, many, size
from fwpages.prm.identity import FunctionType
from fwpages.report.finding_lines import show_findings
from fwpages.report.grids import MIB, plain_table, print_whole, readable, say, say_parts
from fwpages.report.kinds import kind

#: functions of one session that are listed; the rest is counted
MAX_ROWS = 200

_COLUMNS = ("given", "returned", "released", "discarded", "held", "doubtful", "peak")
#: columns that are memory at one time, and have their MiB beside them; the others count what has passed
_MEMORY = ("held", "doubtful", "peak")
#: in front of the row of a function that a finding says has pages that it should not have
LEAKS = "!"
#: green for what an input proves, and for nothing else
STYLES: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.CLEAN: "bold green",
        Verdict.FINDINGS: "bold red",
        Verdict.NOT_KNOWN: "bold yellow",
        Verdict.CONSISTENT: "bold",
    }
)


def show(report: Report, console: Console) -> None:
    """Print the report: each session with its functions, types, findings and notes. Pages are of 4 KiB."""
    console = readable(console)
    for i, session in enumerate(report.sessions):
        if i:
            console.print()
        print_session(session, console)
    show_rest(report, console)


def show_rest(report: Report, console: Console) -> None:
    """Print what belongs to no session."""
    show_findings(report.findings, console)
    if not report.sessions:
        console.print(Text(f"no session: {report.verdict}", STYLES[report.verdict]))
    show_missing(report.missing, console)


def verdict(session: SessionAccount, *, held: bool = True) -> str:
    """The session's verdict in a few words: the number of findings; with ``held`` what an open session holds."""
    if session.verdict is Verdict.FINDINGS and not session.findings:
        return "the finding of another function of the card"
    if session.verdict is Verdict.FINDINGS:
        return many(len(session.findings), "finding")
    if held and session.verdict is Verdict.CONSISTENT and session.totals.held is not None:
        return f"{session.verdict}, {in_mib(session.totals.held)} held"
    return session.verdict


def print_session(s: SessionAccount, console: Console) -> None:
    """Print one session: its heading, its functions by what they hold, findings and notes."""
    how = Text(f"{f'{s.mode} mode' if s.mode else 'mode not known'}, {s.end}: ")
    how.append(verdict(s), STYLES[s.verdict])
    say_parts(console, [Text(s.device, "bold"), how], hang=2)
    if s.first.get("file"):
        say_parts(console, [Text(str(s.first["file"])), Text(span(s))], indent=2, hang=0)
    if s.functions:
        print_whole(_functions(s), console, 2)
        kinds = {f.type for f in s.functions}
        if len(s.functions) > 1 and len(kinds) > 1:
            console.print()
            print_whole(_types(s), console, 2)
    show_findings(s.findings, console, {f.identity: f.name for f in s.functions if f.name})
    show_missing(s.missing, console)
    for note in s.notes:
        say(console, f"note: {note}", "dim", 2, 2)


def span(s: SessionAccount) -> str:
    """The times of the session's first and last line, else their numbers."""
    first, last = s.first.get("time"), s.last.get("time")
    if first is None or last is None:
        begin, end = s.first["line"], s.last["line"]
        return f"lines {begin:,} to {end:,}" if begin != end else f"line {end:,}"
    seconds = " s" if isinstance(last, (int, float)) else ""
    return f"{first} to {last}{seconds}" if first != last else f"at {last}{seconds}"


def _used(rows: list[FunctionAccount] | list[Totals]) -> list[str]:
    """The columns that say something: those that are nowhere but zero are left out, but for given, returned, held."""
    keep = ("given", "returned", "held", "peak")
    return [c for c in _COLUMNS if c in keep or any(getattr(r, c) != 0 for r in rows)]


def _functions(s: SessionAccount) -> Table:
    columns = _used([*s.functions])
    named = any(f.name for f in s.functions)
    leaks = {f.function for f in s.findings if f.pages}
    table = plain_table("function", *["name"] * named, "type")
    _counting(table, columns)
    for f in sorted(s.functions, key=lambda f: -(f.held or 0))[:MAX_ROWS]:
        leaking = f.identity in leaks and f.held != 0
        words = [_use(f, leaking=leaking), *[f.name] * named, kind(f.type, s.supplier)]
        table.add_row(*words, *_counts(f, columns), style="bold red" if leaking else "")
    if len(s.functions) > MAX_ROWS:
        table.add_row(f"and {len(s.functions) - MAX_ROWS} more")
    table.add_section()
    table.add_row("total", *[""] * named, "", *_counts(s.totals, columns), style="bold")
    return table


def _use(f: FunctionAccount, *, leaking: bool) -> str:
    """The function's identity; where it is used anew, its second use is #2."""
    who = f"{f.identity} #{f.generation + 1}" if f.generation else f.identity
    return f"{LEAKS} {who}" if leaking else who


def _types(s: SessionAccount) -> Table:
    types = {f.type for f in s.functions}
    columns = _used([*s.functions])
    table = plain_table("by type")
    _counting(table, columns)
    for name, t in s.by_type.items():
        if FunctionType(name) in types:
            table.add_row(kind(FunctionType(name), s.supplier), *_counts(t, columns))
    return table


def _counting(table: Table, columns: list[str]) -> None:
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
        if name in _MEMORY:
            table.add_column(MIB, justify="right", no_wrap=True)


def _counts(of: FunctionAccount | Totals, columns: list[str]) -> list[str]:
    """The cells of a row, with MiB beside pages that are memory."""
    cells: list[str] = []
    for name in columns:
        pages: Count = getattr(of, name)
        cells.append("?" if pages is None else f"{pages:,}")
        if name in _MEMORY:
            cells.append("?" if pages is None else size(pages))
    return cells


def show_missing(missing: list[Missing], console: Console) -> None:
    """Evidence that the input lacks, each with its command, which is never folded: it is there to be copied."""
    for m in missing:
        say(console, f"missing: {m.what}", "yellow", 2, 2)
        if m.command:
            console.print(Text(f"    {m.command}"), soft_wrap=True)
