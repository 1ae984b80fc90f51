"""A comparison as tables for a terminal, 80 columns wide where the names allow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fwpages.comparison.kinds import Kind
from fwpages.comparison.values import Diff, Difference, Outcome, SessionPair
from fwpages.comparison.words import (
    ALIGNED,
    about,
    change,
    devices,
    kind_of,
    lack,
    meanings,
    numbers,
    other_names,
    place,
    plain,
    rows_of,
    shown,
    summary,
)
from fwpages.report.grids import plain_table, print_whole, readable, say, say_parts

#: rows of one session that are listed, and pairs of functions; the rest is counted
MAX_ROWS = 200
MAX_PAIRS = 16
STYLES: Mapping[Outcome, str] = MappingProxyType(
    {Outcome.EQUAL: "bold green", Outcome.DIFFERENT: "bold red", Outcome.NOT_KNOWN: "bold yellow"}
)


def show_diff(diff: Diff, console: Console) -> None:
    """Print the two inputs, each session that differs, what is not known, and the outcome. Pages are of 4 KiB."""
    console, diff = readable(console), plain(diff)
    for letter, side in (("A", diff.a), ("B", diff.b)):
        say_parts(console, [Text(letter, "bold"), Text(side.name), Text(kind_of(side))])
    if diff.identical:
        say(console, "the inputs are the same, byte for byte")
    for number, pair in enumerate(diff.sessions, 1):
        _session(number, pair, diff, console)
    _group(None, diff, console)
    for note in diff.notes:
        say(console, f"note: {note}", "dim", hang=2)
    console.print()
    for line in meanings(diff.differences):
        say(console, line, "dim", hang=2)
    if diff.differences:
        console.print()
    say(console, summary(diff), STYLES[diff.outcome], hang=2)


def _session(number: int, pair: SessionPair, diff: Diff, console: Console) -> None:
    """One pair of sessions; nothing of those that are equal, as the last line counts them."""
    if not rows_of(number, [*diff.differences, *diff.not_known]):
        return
    console.print()
    say_parts(console, [Text(numbers(pair), "bold"), Text(devices(pair))], hang=2)
    if pair.aligned_by is not None:
        say(console, ALIGNED[pair.aligned_by], indent=2)
    others = other_names(pair)
    for line in others[:MAX_PAIRS]:
        say(console, line, indent=2)
    if len(others) > MAX_PAIRS:
        say(console, f"and {len(others) - MAX_PAIRS} more", indent=2)
    _group(number, diff, console)


def _group(session: int | None, diff: Diff, console: Console) -> None:
    """The differences of one session, or of none, and what is not known there."""
    rows = [d for d in rows_of(session, diff.differences) if d.kind is not Kind.SESSION]
    if rows:
        console.print()
        print_whole(_table("difference", rows), console, 2)
        for d in rows:
            _edits(d, console)
    unknown = rows_of(session, diff.not_known)
    counted = [d for d in unknown if d.kind is not Kind.INPUT]
    if counted:
        console.print()
        print_whole(_table("not known", counted), console, 2)
    for d in unknown:
        if d.kind is Kind.INPUT:
            say(console, lack(d), "yellow", 2, 2)


def _table(title: str, rows: Sequence[Difference]) -> Table:
    table = plain_table(title, "of")
    for name in ("A", "B", "B − A"):
        table.add_column(name, justify="right", no_wrap=True)
    for d in rows[:MAX_ROWS]:
        table.add_row(*map(Text, (d.kind.value, about(d), shown(d.a, d), shown(d.b, d), change(d))))
    if len(rows) > MAX_ROWS:
        table.add_row(f"and {len(rows) - MAX_ROWS} more")
    return table


def _edits(d: Difference, console: Console) -> None:
    """The edit script from the steps of A to those of B."""
    if not d.edits:
        return
    console.print()
    say(console, f"{d.kind}, from A to B:", indent=2)
    for e in d.edits:
        say(console, f"{place(e)}:", indent=4)
        for mark, steps, count in (("−", e.steps_a, e.count_a), ("+", e.steps_b, e.count_b)):
            for step in steps:
                say(console, f"{mark} {step}", indent=6, hang=2)
            if count > len(steps):
                say(console, f"{mark} and {count - len(steps):,} more", indent=6)
    if d.more_edits:
        say(console, f"and {d.more_edits:,} more places", indent=4)
