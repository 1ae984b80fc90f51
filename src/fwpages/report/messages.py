"""Explained messages as tables, a field a line."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fwpages.explain.explanation import Message, Pages
from fwpages.pages.words import many
from fwpages.report.grids import plain_table, print_whole, readable, say


def show_messages(messages: list[Message], console: Console) -> None:
    """Print explained messages, a field a line."""
    console = readable(console)
    for i, m in enumerate(messages):
        if i:
            console.print()
        size = f", {m.length} bytes" if m.length else ""
        console.print(Text.assemble((m.title, "bold"), f"  ({m.kind}{size})"))
        if m.fields or m.capabilities:
            print_whole(_fields(m), console, 2)
        if m.pages is not None:
            say(console, _page_list(m.pages), "", 2, 2)
        if m.reserved:
            say(console, f"set, though no field names them: {', '.join(m.reserved)}", "yellow", 2, 2)
        for note in m.notes:
            say(console, f"note: {note}", "", 2, 2)


def _fields(m: Message) -> Table:
    table = plain_table("field", "bits", "value")
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
