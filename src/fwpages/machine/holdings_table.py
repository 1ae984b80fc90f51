"""The report of ``inspect`` on a terminal: a table of functions for each device."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fwpages.custody.accounts import Count, Verdict
from fwpages.machine.holdings import DeviceHoldings, FunctionHoldings, Holdings
from fwpages.pages.words import in_mib, many, size
from fwpages.report.finding_lines import show_findings
from fwpages.report.grids import MIB, plain_table, print_whole, readable, say, say_parts
from fwpages.report.kinds import kind
from fwpages.report.tables import MAX_ROWS, STYLES, show_missing


def show(report: Holdings, console: Console) -> None:
    """Print the devices with their functions, what is wrong and what is not known. Pages are of 4 KiB."""
    console = readable(console)
    facts = [report.source, f"Linux {report.kernel}" if report.kernel else "", report.machine or ""]
    if report.page_size and report.page_size != 4096:
        facts.append(f"pages of {report.page_size // 1024} KiB")
    say_parts(console, [Text(fact, "dim") for fact in facts if fact])
    for d in report.devices:
        console.print()
        _device(d, console)
    if not report.devices:
        say(console, f"no device: {report.verdict}", STYLES[report.verdict])
    show_missing(report.missing, console)
    for note in report.notes:
        say(console, f"note: {note}", "dim", 2, 2)


def _device(d: DeviceHoldings, console: Console) -> None:
    how = Text(f"{f'{d.mode} mode' if d.mode else 'mode not known'}: ")
    how.append(_verdict(d), STYLES[d.verdict])
    say_parts(console, [Text(d.device, "bold"), how], hang=2)
    if d.functions:
        print_whole(_functions(d), console, 2)
    facts = [f"the driver prefers node {d.numa_node}"] if d.numa_node is not None else []
    facts += [f"{name} {n:,}" for name, n in d.counters.items() if n and name.startswith("fw_pages_")]
    if facts:
        say_parts(console, [Text(fact, "dim") for fact in facts], indent=2, hang=0)
    show_findings(d.findings, console)
    show_missing(d.missing, console)
    for note in d.notes:
        say(console, f"note: {note}", "dim", 2, 2)


def _verdict(d: DeviceHoldings) -> str:
    if d.verdict is Verdict.FINDINGS:
        return many(len(d.findings), "finding")
    if d.pages is None:
        counter = "" if d.fw_pages is None else f"; the driver's counter says {many(d.fw_pages)}"
        return f"pages not known{counter}"
    return f"{d.verdict}, {in_mib(d.pages)} held"


def _nodes(d: DeviceHoldings) -> list[str]:
    """The nodes that hold pages, by number; pages of no known node come last, and not alone."""
    nodes = sorted(d.by_node.keys() - {"unknown"}, key=int)
    return [*nodes, "unknown"] if nodes and "unknown" in d.by_node else nodes


def _functions(d: DeviceHoldings) -> Table:
    with_vport = any(f.vport is not None or f.vport_enabled is False for f in d.functions)
    with_idle = bool(d.idle)
    nodes = _nodes(d)
    table = plain_table("function", "type")
    headings = [*["vport"] * with_vport, "pages", MIB, *["idle"] * with_idle, *(f"node {n}" for n in nodes)]
    for name in headings:
        table.add_column(name, justify="right", no_wrap=True)

    def counts(of: FunctionHoldings | DeviceHoldings, vport: str = "") -> list[str]:
        cells = [vport] * with_vport
        cells += [_count(of.pages), "?" if of.pages is None else size(of.pages)]
        return [*cells, *[_count(of.idle)] * with_idle, *(f"{of.by_node.get(n, 0):,}" for n in nodes)]

    for f in d.functions[:MAX_ROWS]:
        table.add_row(f.identity, kind(f.type, d.supplier), *counts(f, _vport(f)))
    if len(d.functions) > MAX_ROWS:
        table.add_row(f"and {len(d.functions) - MAX_ROWS} more")
    table.add_section()
    table.add_row("total", "", *counts(d), style="bold")
    return table


def _vport(f: FunctionHoldings) -> str:
    """The number of its vport, and *off* where it is not enabled, or where it has none."""
    number = "" if f.vport is None else f"{f.vport:#x}" if f.vport >= 0xFF00 else str(f.vport)
    return f"{number} off".strip() if f.vport_enabled is False else number


def _count(value: Count) -> str:
    return "?" if value is None else f"{value:,}"
