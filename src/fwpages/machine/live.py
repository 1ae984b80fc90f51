"""The live view of ``fwpages top``: a Textual app over a source of snapshots.

It needs the extra ``fwpages[top]``; nothing else in the package imports Textual.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import DataTable, Footer, Static

from fwpages.machine.changes import Changes
from fwpages.machine.snapshot import FunctionCounters, Snapshot
from fwpages.machine.table import UNKNOWN, cells, count, heading, most, troubles, types

#: the columns, and those that show numbers
_COLUMNS = ("function", "", "node", "pages", "MiB", "of node", "change", "per s", "failed")
_RIGHT = frozenset({3, 4, 6, 7, 8})

_Key = Callable[[FunctionCounters, Changes], float]
#: the orders that ``s`` goes through: largest first, not known last
ORDERS: Mapping[str, _Key] = MappingProxyType(
    {
        "pages": lambda f, _: -1.0 if f.pages is None else f.pages,
        "change": lambda f, changes: changes.of(f.device).since_start or 0,
        "change per second": lambda f, changes: changes.of(f.device).per_second or 0,
    }
)


class Watch(App[None]):
    """Shows each snapshot that ``source`` gives, one an interval of seconds; None from it is the end of a recording."""

    CSS = """
    #heading { height: 1; padding: 0 1; }
    DataTable { height: 1fr; }
    #detail { height: auto; max-height: 12; padding: 0 1; border-top: solid $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "Quit"),
        ("s", "order", "Sort"),
        ("space", "pause", "Pause"),
    ]
    ENABLE_COMMAND_PALETTE = False
    TITLE = "fwpages top"

    def __init__(self, source: Callable[[], Snapshot | None], interval: float) -> None:
        super().__init__()
        self.last: Snapshot | None = None
        self._source = source
        self._interval = interval
        self._changes = Changes()
        self._order = "pages"
        self._paused = False
        self._ended = False
        self._shown: dict[str, list[Text]] = {}

    def compose(self) -> ComposeResult:
        """The heading, the table, the selected function, the keys."""
        yield Static(id="heading")
        yield DataTable(cursor_type="row", zebra_stripes=True)
        yield Static(id="detail")
        yield Footer()

    def on_mount(self) -> None:
        """Show the first snapshot at once."""
        table = self._table
        for n, name in enumerate(_COLUMNS):
            table.add_column(Text(name, justify="right" if n in _RIGHT else "left"), key=str(n))
        self.advance()
        self.set_interval(self._interval, self.advance)

    def action_order(self) -> None:
        """Sort by the next of the orders."""
        names = list(ORDERS)
        self._order = names[(names.index(self._order) + 1) % len(names)]
        self._show()

    def action_pause(self) -> None:
        """Take no more snapshots, or take them again."""
        self._paused = not self._paused
        self._show()

    def on_data_table_row_highlighted(self) -> None:
        """Show the function that the cursor is on."""
        self._detail()

    @property
    def _table(self) -> DataTable[Text]:
        return self.query_one(DataTable)

    def advance(self) -> None:
        """Take the next snapshot and show it, unless the view is paused."""
        if self._paused or self._ended:
            return
        snapshot = self._source()
        if snapshot is None:
            self._ended = True
        else:
            self.last = snapshot
            self._changes.add(snapshot)
        self._show()

    def _show(self) -> None:
        snapshot = self.last
        if snapshot is None:
            return
        state = "  paused" if self._paused else "  end of the recording" if self._ended else ""
        self.query_one("#heading", Static).update(heading(snapshot).append(f"  by {self._order}{state}", "dim"))
        self._rows(snapshot)
        self._detail()

    def _rows(self, snapshot: Snapshot) -> None:
        key = ORDERS[self._order]
        functions = sorted(snapshot.functions, key=lambda f: (-key(f, self._changes), f.device))
        largest = most(snapshot)
        rows = {f.device: _aligned(cells(f, self._changes.of(f.device), largest)) for f in functions}
        if list(rows) == list(self._shown):
            self._update(rows)
        else:
            self._rebuild(rows)
        self._shown = rows

    def _update(self, rows: Mapping[str, list[Text]]) -> None:
        """Replace the cells that differ: most stay as they are."""
        for device, row in rows.items():
            for n, (old, new) in enumerate(zip(self._shown[device], row, strict=True)):
                if old != new:
                    self._table.update_cell(device, str(n), new, update_width=True)

    def _rebuild(self, rows: Mapping[str, list[Text]]) -> None:
        table, selected = self._table, self._selected()
        table.clear()
        for device, row in rows.items():
            table.add_row(*row, key=device)
        if selected is not None and selected in rows:
            table.move_cursor(row=list(rows).index(selected))

    def _selected(self) -> str | None:
        row, names = self._table.cursor_row, list(self._shown)
        return names[row] if 0 <= row < len(names) else None

    def _detail(self) -> None:
        snapshot, selected = self.last, self._selected()
        f = next((f for f in snapshot.functions if f.device == selected), None) if snapshot is not None else None
        lines = [] if f is None else detail(f)
        if snapshot is not None:
            lines += [f"{w.name}: {w.detail}; {w.remedy}" for w in snapshot.findings if w.function == selected]
            lines += [
                f"not known: {lack.what}{f'; {lack.command}' if lack.command else ''}" for lack in snapshot.missing
            ]
        self.query_one("#detail", Static).update(Text("\n".join(lines)))


def _aligned(row: list[Text]) -> list[Text]:
    for n in _RIGHT:
        row[n].justify = "right"
    return row


def detail(f: FunctionCounters) -> list[str]:
    """The lines about one function: its place, its types, its page commands, what went wrong, what is not known."""
    place = [f"under {f.parent}" if f.parent else "", *f.rdma, *f.net]
    identity = [
        f.pci_id or "",
        f"vhca_id {f.vhca_id:#x}" if f.vhca_id is not None else "",
        f"{f.mode} mode" if f.mode else "",
        f"firmware {f.fw_version}" if f.fw_version else "",
    ]
    lines = [f"{f.device}  {', '.join(p for p in [*place, *identity] if p)}"]
    by_type = types(f)
    if by_type:
        lines.append(f"by type: {by_type}")
    c = f.commands
    average = UNKNOWN if c.average_ns is None else f"{c.average_ns / 1000:,.0f}"
    lines.append(
        f"page commands: {count(c.n)} of {average} µs, {count(c.failed)} failed; slots in use: {count(f.slots_inuse)}"
    )
    lines += troubles(f)
    lines += f.notes
    if f.pages is None and "pages" in f.not_known:
        lines.append(f"pages not known: {f.not_known['pages']}")
    return lines
