"""A report as text of 72 columns: what a mailing list takes that refuses HTML."""

from __future__ import annotations

import io
from collections.abc import Iterator

from rich.console import Console

from fwpages.pages.words import printable
from fwpages.report.finding_lines import show_findings
from fwpages.report.grids import plain_table, print_whole
from fwpages.report.page.content import Cell, Document, Grid, Part, Section, Shown
from fwpages.report.page.plot import plot
from fwpages.report.width import fold

#: columns of a line: mailers fold longer ones
WIDTH = 72
#: rows of a table that are listed
MAX_ROWS = 40


def plain(document: Document) -> str:
    """The report as lines of at most ``WIDTH`` columns, but for lines of an input, which are quoted as they are."""
    lines = [f"fwpages {document.version}: {document.verdict}", f"made {document.made}; pages are of 4 KiB"]
    lines += [_folded(f"not read: {words}") for words in document.unread]
    for section in document.sections:
        lines += ["", "=" * WIDTH, *_section(section)]
    return "\n".join(line.rstrip() for text in lines for line in printable(text).split("\n")) + "\n"


def _folded(words: str, indent: int = 0) -> str:
    return fold(" " * indent + words, WIDTH, 2)


def _section(s: Section) -> Iterator[str]:
    yield _folded(f"{s.name}: {s.verdict}")
    yield _folded(f"{s.what}: {s.summary}")
    for m in s.missing:
        yield _folded(f"missing: {m.what}")
        if m.command:
            yield f"    {m.command}"
    yield from _findings(s.findings)
    if s.chart is not None:
        yield ""
        yield from plot(s.chart, WIDTH)
    for grid in s.grids:
        yield from _grid(grid)
    for p in s.parts:
        yield from _part(p)


def _part(p: Part) -> Iterator[str]:
    yield ""
    yield "-" * WIDTH
    yield _folded(f"{p.title}, {p.subtitle}: {p.words}")
    yield _folded(", ".join(f"{name}: {value}" for name, value in p.facts))
    yield from _findings(p.findings)
    if p.left_out:
        yield f"{p.left_out} more findings are left out"
    for m in p.missing:
        yield _folded(f"missing: {m.what}")
        if m.command:
            yield f"    {m.command}"
    if p.chart is not None:
        yield ""
        yield from plot(p.chart, WIDTH)
    for grid in p.grids:
        yield from _grid(grid)
    for note in p.notes:
        yield _folded(f"note: {note}")


def _findings(several: tuple[Shown, ...]) -> Iterator[str]:
    for shown in several:
        console = _console()
        show_findings([shown.finding], console)
        yield _text(console)
        for line in shown.evidence.lines:
            yield f"    {'>' if line.hit else ' '}{line.number:>7}  {line.text}"
        if shown.evidence.path:
            yield "    the page path around it:"
        for m in shown.evidence.path:
            arrow = {"host": "->", "device": "<-"}.get(m.origin, "  ")
            yield _folded(f"{'!' if m.bad else ' '}{m.line:>7}  {arrow} {m.text}", 4)


def _grid(grid: Grid) -> Iterator[str]:
    yield ""
    yield grid.title
    first, *rest = grid.columns
    table = plain_table(first.name)
    for column in rest:
        table.add_column(column.name, justify="right" if column.counts else "left", no_wrap=True)
    for row in grid.rows[:MAX_ROWS]:
        table.add_row(*(_cell(value) for value in row))
    console = _console()
    print_whole(table, console)
    yield _text(console)
    if len(grid.rows) > MAX_ROWS:
        yield f"and {len(grid.rows) - MAX_ROWS:,} more"


def _cell(value: Cell) -> str:
    if value is None:
        return "?"
    return f"{value:,}" if isinstance(value, int) else f"{value:,g}" if isinstance(value, float) else value


def _console() -> Console:
    return Console(
        file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=True, highlight=False, markup=False
    )


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip("\n")
