"""The live view of ``fwpages top``: a Textual app over a source of snapshots.

It needs the extra ``fwpages[top]``; nothing else in the package imports Textual.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Static

from fwpages.machine.changes import Changes
from fwpages.machine.rows import Rows
from fwpages.machine.snapshot import FunctionCounters, Snapshot
from fwpages.machine.table import UNKNOWN, cells, count, heading, most, of_firmware, troubles, types

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
    Rows { height: 1fr; padding: 0 1; }
    #detail { height: auto; max-height: 12; padding: 0 1; border-top: solid $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
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
        self._detailed = Text()

    def compose(self) -> ComposeResult:
        """The heading, the rows, the selected function, the keys."""
        yield Static(id="heading")
        yield Rows(_COLUMNS, _RIGHT)
        yield Static(id="detail")
        yield Footer()

    def on_mount(self) -> None:
        """Show the first snapshot at once."""
        self.rows.focus()
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

    def on_rows_selected(self) -> None:
        """Show the function that the cursor is on."""
        self._detail()

    @property
    def rows(self) -> Rows:
        """The list of functions."""
        return self.query_one(Rows)

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
        self.query_one("#heading", Static).update(
            heading(snapshot).append(f"  by {self._order}{state}", "dim"), layout=False
        )
        self._list(snapshot)
        self._detail()

    def _list(self, snapshot: Snapshot) -> None:
        key = ORDERS[self._order]
        functions = sorted(snapshot.functions, key=lambda f: (-key(f, self._changes), f.device))
        largest = most(snapshot)
        self.rows.show({f.device: cells(f, self._changes.of(f.device), largest) for f in functions})

    def _detail(self) -> None:
        text = Text("\n".join([] if self.last is None else below(self.last, self.rows.selected)))
        if text != self._detailed:  # a new layout of the screen costs more than all else
            self._detailed = text
            self.query_one("#detail", Static).update(text)


def below(snapshot: Snapshot, selected: str | None) -> list[str]:
    """The lines below the list: the selected function, its findings, and what is missing."""
    lines = [row for f in snapshot.functions if f.device == selected for row in detail(f)]
    lines += [f"{w.name}: {w.detail}; {w.remedy}" for w in snapshot.findings if w.function == selected]
    return lines + [f"not known: {'; '.join(filter(None, (m.what, m.command)))}" for m in snapshot.missing]


def detail(f: FunctionCounters) -> list[str]:
    """The lines about one function: its place, its types, its page commands, what went wrong, what is not known."""
    lines = [f"{f.device}  {', '.join(_place(f))}"]
    by_type = types(f)
    if by_type:
        lines.append(f"by type: {by_type}")
    c = f.commands
    average = UNKNOWN if c.average_ns is None else f"{c.average_ns / 1000:,.0f}"
    failed, slots = count(c.failed), count(f.slots_inuse)
    lines.append(f"page commands: {count(c.n)} of {average} µs, {failed} failed; slots in use: {slots}")
    lines += [*of_firmware(f), *troubles(f), *f.notes]
    if f.pages is None:
        lines.append(f"pages not known: {f.not_known.get('pages', '')}")
    return lines


def _place(f: FunctionCounters) -> list[str]:
    """Its parent, its devices, and its names, as far as they are known."""
    parts = [
        f.parent and f"under {f.parent}",
        *f.rdma,
        *f.net,
        f.pci_id,
        None if f.vhca_id is None else f"vhca_id {f.vhca_id:#x}",
        f.mode and f"{f.mode} mode",
        f.fw_version and f"firmware {f.fw_version}",
    ]
    return [part for part in parts if part]
