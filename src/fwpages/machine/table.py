"""Snapshots as a table of 80 columns: the functions by their pages, with what is not known and why."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from fwpages.custody.accounts import Count, Verdict
from fwpages.machine.changes import Change, Changes
from fwpages.machine.snapshot import PAGE_BYTES, FunctionCounters, Snapshot
from fwpages.pages.words import in_mib, many, size
from fwpages.report.finding_lines import show_findings
from fwpages.report.grids import plain_table, print_whole, readable, say
from fwpages.report.tables import STYLES, show_missing

#: what stands for a figure that is not known
UNKNOWN = "?"
#: cells of a bar
BAR = 8
_EIGHTHS = " ▏▎▍▌▋▊▉"
_TYPE_NAMES = {"vf": "VFs", "sf": "SFs", "host_pf": "host PF", "ec_vf": "EC VFs", "spf": "SPFs", "rest": "rest"}
_KINDS = {"pf": "PF", "vf": "VF", "sf": "SF", None: UNKNOWN}


def show(snapshot: Snapshot, changes: Changes, console: Console) -> None:
    """Print the snapshot: a heading, a row for each function, findings, and what is missing."""
    console = readable(console)
    console.print(heading(snapshot), soft_wrap=True, highlight=False)
    if snapshot.functions:
        table = plain_table("function", "", "node")
        for name in ("pages", "MiB", "of node", "change", "per s", "failed"):
            table.add_column(name, justify="left" if name == "of node" else "right", no_wrap=True)
        for f in snapshot.functions:
            table.add_row(*cells(f, changes.of(f.device), most(snapshot)))
        print_whole(table, console)
    for words, style in _lines(snapshot):
        say(console, words, style, hang=4)
    if snapshot.findings:
        show_findings(snapshot.findings, console)
    show_missing(snapshot.missing, console)


def heading(snapshot: Snapshot) -> Text:
    """The time, the sum of all functions and its part of the machine's memory."""
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(snapshot.taken))
    text = Text(f"{when}  {many(len(snapshot.functions), 'function')}")
    pages = snapshot.pages
    if pages is not None:
        text.append(f", {many(pages)} ({size(pages)} MiB)", "bold")
        if snapshot.machine.total:
            text.append(f", {percent(pages * PAGE_BYTES / snapshot.machine.total)} of memory")
    elif snapshot.functions:
        known = sum(f.pages or 0 for f in snapshot.functions)
        text.append(f", {many(known)} known ({size(known)} MiB)", "bold")
    if snapshot.verdict is Verdict.FINDINGS:
        text.append(f": {many(len(snapshot.findings), 'finding')}", STYLES[Verdict.FINDINGS])
    elif snapshot.verdict is Verdict.NOT_KNOWN:
        text.append(": not known", STYLES[Verdict.NOT_KNOWN])
    return text


def cells(f: FunctionCounters, change: Change, largest: int) -> list[Text]:
    """The cells of a function's row."""
    failed = failures(f)
    return [
        Text(f.device, "bold"),
        Text(_KINDS[f.kind]),
        Text(UNKNOWN if f.numa_node is None else str(f.numa_node)),
        Text(count(f.pages)),
        Text(UNKNOWN if f.pages is None else size(f.pages)),
        Text(f"{bar(f.pages, largest)} {UNKNOWN if f.share_of_node is None else percent(f.share_of_node)}"),
        Text("" if change.since_start is None else f"{change.since_start:+,}" if change.since_start else "0"),
        Text("" if change.per_second is None else f"{change.per_second:+,.0f}" if change.per_second else "0"),
        Text(count(failed), "red" if failed else ""),
    ]


def most(snapshot: Snapshot) -> int:
    """The pages of the function that has the most, which a full bar stands for."""
    return max((f.pages or 0 for f in snapshot.functions), default=0)


def failures(f: FunctionCounters) -> Count:
    """Pages that could not be allocated, given or taken back; None if none of the three counts is known."""
    known = [c for c in (f.alloc_failed, f.give_dropped, f.reclaim_discarded) if c is not None]
    return sum(known) if known else None


def count(n: Count) -> str:
    """The count, or the sign of one that is not known."""
    return UNKNOWN if n is None else f"{n:,}"


def percent(share: float) -> str:
    """A share from 0 to 1 as a percentage."""
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def bar(n: Count, largest: int) -> str:
    """A bar of ``BAR`` cells, full for ``largest``; blank where the count is not known."""
    eighths = round((n or 0) * BAR * 8 / largest) if largest else 0
    full, part = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(BAR)


def types(f: FunctionCounters) -> str:
    """The counts by type that are known and not 0."""
    return ", ".join(f"{_TYPE_NAMES[key]} {n:,}" for key, n in f.by_type.items() if n)


def troubles(f: FunctionCounters) -> Iterator[str]:
    """A sentence for each figure of the command interface that deserves a look; findings are apart."""
    if f.commands.failed:
        yield f"{many(f.commands.failed, 'page command')} failed{_last_failure(f)}"
    if f.slots_inuse:
        yield f"{many(f.slots_inuse, 'command slot')} in use; one that stays so is lost: its command had no answer"


def of_firmware(f: FunctionCounters) -> Iterator[str]:
    """Firmware's answers, where it was asked and did answer."""
    if f.firmware is not None and f.firmware.pages is not None:
        yield f"firmware says that the function itself uses {in_mib(f.firmware.pages)}"


def _last_failure(f: FunctionCounters) -> str:
    c = f.commands
    parts = [
        f"errno {c.last_errno}" if c.last_errno else "",
        f"status {c.last_status:#x}" if c.last_status else "",
        f"syndrome {c.last_syndrome:#x}" if c.last_syndrome else "",
    ]
    known = ", ".join(p for p in parts if p)
    return f"; the last with {known}" if known else ""


def _lines(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """The lines below the table, each with its style: types, troubles and notes by function."""
    for f in snapshot.functions:
        by_type = types(f)
        if by_type and any(n for key, n in f.by_type.items() if key != "rest"):
            yield f"{f.device}  by type: {by_type}", "dim"
        for answer in of_firmware(f):
            yield f"{f.device}  {answer}", ""
        for trouble in troubles(f):
            yield f"{f.device}  {trouble}", "yellow"
        for note in f.notes:
            yield f"{f.device}  {note}", "dim"
