"""Tables and sentences for a console: nothing is cut, and no row of a table is folded.

A table that is wider than the terminal is printed in parts, one below the other: each has the first column again, and
as many of the others as fit. A file or a pipe gets every table whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fwpages.report.width import fold, width_of

#: width of a report that goes to a file or a pipe, where COLUMNS is not set
PIPE_WIDTH = 100
#: more columns than any table has
_ENDLESS = 10_000
#: blanks between two columns
_BETWEEN = 2
#: the heading of a column that has the size of the count before it
MIB = "MiB"


def readable(console: Console) -> Console:
    """The console itself; one of a fixed width and without colours where it is no terminal."""
    if console.is_terminal:
        return console
    width = width_of(console.file) or PIPE_WIDTH
    return Console(file=console.file, width=width, color_system=None, force_terminal=False, highlight=False)


def room(console: Console) -> int | None:
    """The columns that a line may have; None for a file or a pipe, whose lines another program reads whole."""
    return console.width if console.is_terminal else width_of(console.file)


def plain_table(*names: str) -> Table:
    """A table without a frame whose first columns have these names; their cells are never folded."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def print_whole(table: Table, console: Console, indent: int = 0, keys: int = 1) -> None:
    """Print the table; its columns that do not wrap are never cut.

    Where all of them do not wrap and the terminal is too narrow, it is printed in parts, each with its first ``keys``
    columns. A table of which a part is still too wide is wider than the terminal: a long line can be read, a name or a
    count without its end cannot.
    """
    width = room(console)
    if width is None or not all(column.no_wrap for column in table.columns):
        _print_at_once(table, console, indent)
        return
    for i, part in enumerate(_parts(table, console, width - indent, keys)):
        if i:
            console.print()
        _print_at_once(part, console, indent)


def _print_at_once(table: Table, console: Console, indent: int) -> None:
    for i, column in enumerate(table.columns):
        if column.no_wrap:
            column.min_width = _width(table, i, console)
    padded = Padding(table, (0, 0, 0, indent), expand=False)
    width = console.width
    console.width = max(width, Measurement.get(console, console.options.update(width=_ENDLESS), padded).minimum)
    try:
        console.print(padded)
    finally:
        console.width = width


def _width(table: Table, column: int, console: Console) -> int:
    """The columns of the screen that the widest cell of a column needs."""
    wide = console.options.update(width=_ENDLESS)
    cells = (table.columns[column].header, *table.columns[column].cells)
    return max(Measurement.get(console, wide, cell).maximum for cell in cells)


def _parts(table: Table, console: Console, width: int, keys: int) -> Iterable[Table]:
    """The table in parts that are no wider than ``width``, if its columns allow that."""
    widths = [_width(table, i, console) + _BETWEEN for i in range(len(table.columns))]
    first = sum(widths[:keys])
    groups: list[list[int]] = [[]]
    used = first
    for columns in _units(table, keys):
        needs = sum(widths[i] for i in columns)
        # nothing is printed behind the last column
        if groups[-1] and used + needs - _BETWEEN > width:
            groups.append([])
            used = first
        groups[-1] += columns
        used += needs
    if len(groups) == 1:
        return [table]
    return [_with_columns(table, [*range(keys), *group]) for group in groups]


def _units(table: Table, keys: int) -> list[list[int]]:
    """The columns after the first ``keys``, a count with its MiB together."""
    units: list[list[int]] = []
    for i in range(keys, len(table.columns)):
        if units and table.columns[i].header == MIB:
            units[-1].append(i)
        else:
            units.append([i])
    return units


def _with_columns(table: Table, chosen: list[int]) -> Table:
    """The table with these of its columns."""
    part = Table(box=table.box, pad_edge=table.pad_edge, show_edge=table.show_edge, padding=table.padding)
    cells = [list(table.columns[i].cells) for i in chosen]
    for i in chosen:
        column = table.columns[i]
        part.add_column(column.header, justify=column.justify, no_wrap=column.no_wrap)
    for n, row in enumerate(table.rows):
        part.add_row(*(column[n] for column in cells), style=row.style, end_section=row.end_section)
    return part


def say(console: Console, words: str, style: str = "", indent: int = 0, hang: int = 0) -> None:
    """Print a sentence ``indent`` columns in, folded between words; lines after the first ``hang`` columns further."""
    margin = " " * indent
    text = fold(margin + words, console.width, hang)
    console.print(text, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)


def say_parts(console: Console, parts: Iterable[Text], indent: int = 0, hang: int = 4) -> None:
    """Print facts in a row, two blanks between them; one that does not fit goes to the next line, whole."""
    width = room(console)
    line = Text(" " * indent)
    empty = True
    for part in parts:
        if not empty and width is not None and line.cell_len + 2 + part.cell_len > width:
            console.print(line, soft_wrap=True, highlight=False)
            line, empty = Text(" " * (indent + hang)), True
        line.append("" if empty else "  ").append_text(part)
        empty = False
    console.print(line, soft_wrap=True, highlight=False)
