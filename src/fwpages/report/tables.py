"""A report as tables for a terminal: Rich decides by the console whether there is colour and how wide it may be."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fwpages.custody.accounts import (
    Count,
    FindingAccount,
    FunctionAccount,
    Missing,
    Report,
    SessionAccount,
    Totals,
    Verdict,
)
from fwpages.explain.explanation import Message, Pages
from fwpages.pages.words import many
from fwpages.report.width import width_of

#: width of a report that goes to a file or a pipe, where COLUMNS is not set
PIPE_WIDTH = 100
#: more columns than any table has
_ENDLESS = 10_000
#: functions and findings of one session that are listed; the rest is counted
MAX_ROWS = 200

_COLUMNS = ("given", "returned", "released", "discarded", "held", "doubtful", "peak")
_BLAME = {"host": "yellow", "device": "red", "link": "magenta", "log": "cyan", "unknown": "blue"}
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
    _findings(report.findings, console)
    if not report.sessions:
        console.print(Text(f"no session: {report.verdict}", STYLES[report.verdict]))
    _missing(report.missing, console)


def readable(console: Console) -> Console:
    """The console itself; one of a fixed width and without colours where it is no terminal."""
    if console.is_terminal:
        return console
    width = width_of(console.file) or PIPE_WIDTH
    return Console(file=console.file, width=width, color_system=None, force_terminal=False, highlight=False)


def print_whole(table: Table, console: Console, indent: int = 0) -> None:
    """Print the table; its columns that do not wrap are never cut, and if need be it is wider than the terminal.

    A long line can be read, a name or a count without its end cannot.
    """
    wide = console.options.update(width=_ENDLESS)
    for column in table.columns:
        if column.no_wrap:
            cells = (column.header, *column.cells)
            column.min_width = max(Measurement.get(console, wide, cell).maximum for cell in cells)
    padded = Padding(table, (0, 0, 0, indent), expand=False)
    width = console.width
    console.width = max(width, Measurement.get(console, wide, padded).minimum)
    try:
        console.print(padded)
    finally:
        console.width = width


def verdict(session: SessionAccount) -> str:
    """The session's verdict in a few words: the number of findings, or the pages that an open session holds."""
    if session.verdict is Verdict.FINDINGS and not session.findings:
        return "the finding of another function of the card"
    if session.verdict is Verdict.FINDINGS:
        return many(len(session.findings), "finding")
    if session.verdict is Verdict.CONSISTENT and session.totals.held is not None:
        return f"{session.verdict}, {many(session.totals.held)} held"
    return session.verdict


def print_session(s: SessionAccount, console: Console) -> None:
    """Print one session: its heading, its functions by what they hold, findings and notes."""
    head = Text()
    head.append(s.device, "bold")
    head.append(f"  {f'{s.mode} mode' if s.mode else 'mode not known'}, {s.end}: ")
    head.append(verdict(s), STYLES[s.verdict])
    console.print(head)
    if s.functions:
        print_whole(_functions(s), console, 2)
        kinds = {f.type for f in s.functions}
        if len(s.functions) > 1 and len(kinds) > 1:
            console.print()
            print_whole(_types(s), console, 2)
    _findings(s.findings, console)
    _missing(s.missing, console)
    for note in s.notes:
        console.print(Padding(Text(f"note: {note}"), (0, 0, 0, 2), expand=False), style="dim")


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _used(rows: list[FunctionAccount] | list[Totals]) -> list[str]:
    """The columns that say something: those that are nowhere but zero are left out, but for given, returned, held."""
    keep = ("given", "returned", "held", "peak")
    return [c for c in _COLUMNS if c in keep or any(getattr(r, c) != 0 for r in rows)]


def _functions(s: SessionAccount) -> Table:
    columns = _used([*s.functions])
    table = _table("function", "type")
    for c in columns:
        table.add_column(c, justify="right", no_wrap=True)
    leaks = {f.function for f in s.findings if f.pages}
    for f in sorted(s.functions, key=lambda f: -(f.held or 0))[:MAX_ROWS]:
        name = f.identity if not f.generation else f"{f.identity} (again, {f.generation})"
        style = "bold red" if f.identity in leaks and f.held != 0 else ""
        table.add_row(name, f.type.value, *(_count(getattr(f, c)) for c in columns), style=style)
    if len(s.functions) > MAX_ROWS:
        table.add_row(f"and {len(s.functions) - MAX_ROWS} more", "")
    table.add_section()
    table.add_row("total", "", *(_count(getattr(s.totals, c)) for c in columns), style="bold")
    return table


def _types(s: SessionAccount) -> Table:
    types = {f.type.value for f in s.functions}
    columns = _used([*s.functions])
    table = _table("by type")
    for c in columns:
        table.add_column(c, justify="right", no_wrap=True)
    for name, t in s.by_type.items():
        if name in types:
            table.add_row(name, *(_count(getattr(t, c)) for c in columns))
    return table


def _findings(findings: list[FindingAccount], console: Console) -> None:
    if findings:
        console.print()
    for f in findings[:MAX_ROWS]:
        head = Text("  ")
        head.append(f.name, f"bold {_BLAME[f.blame]}")
        head.append(f"  blames: {f.blame}")
        facts = [f.function or "", _pages(f.pages), _where(f)]
        head.append("".join(f"  {fact}" for fact in facts if fact))
        console.print(head)
        if f.detail:
            console.print(Padding(Text(f.detail), (0, 0, 0, 6), expand=False))
        if f.remedy:
            console.print(Padding(Text(f"resolved by: {f.remedy}"), (0, 0, 0, 6), expand=False), style="dim")
    if len(findings) > MAX_ROWS:
        console.print(f"  and {len(findings) - MAX_ROWS} more findings (--json has them all)")


def _missing(missing: list[Missing], console: Console) -> None:
    """Evidence that the input lacks, each with its command, which is never folded: it is there to be copied."""
    for m in missing:
        console.print(Padding(Text(f"missing: {m.what}"), (0, 0, 0, 2), expand=False), style="yellow")
        if m.command:
            console.print(Text(f"    {m.command}"), soft_wrap=True)


def _pages(pages: Count) -> str:
    return "" if not pages else f"{pages:,} page{'s' if pages > 1 else ''}"


def _where(f: FindingAccount) -> str:
    at = f.at
    words = [f"{at['file']}:{at['line']}"] if "file" in at else []
    if at.get("time") is not None:
        words.append(f"at {at['time']}{' s' if isinstance(at['time'], (int, float)) else ''}")
    return " ".join(words)


def _count(value: Count) -> str:
    return "?" if value is None else f"{value:,}"


def show_messages(messages: list[Message], console: Console) -> None:
    """Print explained messages, a field a line."""
    console = readable(console)
    for i, m in enumerate(messages):
        if i:
            console.print()
        size = f", {m.length} bytes" if m.length else ""
        console.print(Text.assemble((m.title, "bold"), f"  ({m.kind}{size})"))
        print_whole(_fields(m), console, 2)
        if m.pages is not None:
            console.print(Text(f"  {_page_list(m.pages)}"))
        if m.reserved:
            console.print(Text(f"  set, though no field names them: {', '.join(m.reserved)}", "yellow"))
        for note in m.notes:
            console.print(Padding(Text(f"note: {note}"), (0, 0, 0, 2), expand=False))


def _fields(m: Message) -> Table:
    table = _table("field", "bits", "value")
    table.add_column("meaning")
    for f in (*m.fields, *(c for c in m.capabilities if c.value)):
        small = f.value <= 9
        shown = str(f.value) if small else f"{f.value:#x}"
        table.add_row(f.name, f.at, shown, f.meaning or ("" if small else f"{f.value:,}"))
    return table


def _page_list(pages: Pages) -> str:
    runs = ", ".join(r.first if r.count == 1 else f"{r.first} and {r.count - 1} after it" for r in pages.runs)
    more = f", and {pages.more_runs} runs more" if pages.more_runs else ""
    return f"{many(pages.count)}: {runs}{more}" if pages.count else "no pages"
