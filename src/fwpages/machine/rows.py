"""A list of rows with a cursor, for a terminal: a Textual widget that draws only the lines that are in sight.

Textual's own table measures and formats every visible cell anew for each cell that changes; with 128 functions that
costs more than to read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

#: blanks between two columns
_BETWEEN = 2


class Rows(ScrollView, can_focus=True):
    """Rows of cells under a line of headings, each with a key; the cursor stays on its key when rows move."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "move(-1000000)", "First", show=False),
        Binding("end", "move(1000000)", "Last", show=False),
    ]

    class Selected(Message):
        """The cursor is on another row."""

    def __init__(self, names: Sequence[str], right: frozenset[int]) -> None:
        super().__init__()
        self.selected: str | None = None
        self._names = [Text(name, "bold") for name in names]
        self._right = right
        self._widths: list[int] = []
        self._keys: list[str] = []
        self._rows: dict[str, list[Text]] = {}

    @property
    def keys(self) -> list[str]:
        """The keys of the rows, from the top."""
        return list(self._keys)

    def show(self, rows: Mapping[str, list[Text]]) -> None:
        """Show these rows instead of those before; where nothing moved, only lines that differ are drawn anew."""
        keys, old = list(rows), self._rows
        columns = zip(self._names, *rows.values(), strict=True)
        widths = [max(cell.cell_len for cell in column) for column in columns]
        moved = keys != self._keys or widths != self._widths
        self._keys, self._rows, self._widths = keys, dict(rows), widths
        if self.selected not in rows:
            self.selected = next(iter(keys), None)
        if moved:
            self.virtual_size = Size(sum(widths) + _BETWEEN * (len(widths) - 1), len(keys) + 1)
            self.refresh()
        else:
            self._redraw_all(n for n, key in enumerate(keys) if rows[key] != old[key])

    def action_move(self, by: int) -> None:
        """Move the cursor by so many rows, as far as there are any."""
        if self.selected is None:
            return
        old = self._keys.index(self.selected)
        new = min(max(old + by, 0), len(self._keys) - 1)
        self.selected = self._keys[new]
        self._redraw(old)
        self._redraw(new)
        # the headings take the first line in sight
        self.scroll_to_region(Region(0, new, 1, 2), animate=False, force=True)
        self.post_message(self.Selected())

    def action_page(self, by: int) -> None:
        """Move the cursor by so many pages."""
        self.action_move(by * max(1, self.size.height - 2))

    def render_line(self, y: int) -> Strip:
        """The line that is ``y`` lines below the top: the headings, which do not scroll, or a row."""
        left, top = self.scroll_offset
        n = top + y - 1
        if y == 0:
            line, style = self._names, Style()
        elif 0 <= n < len(self._keys):
            key = self._keys[n]
            line, style = self._rows[key], Style(reverse=key == self.selected)
        else:
            return Strip.blank(self.size.width, self.rich_style)
        strip = Strip(self._segments(line, self.rich_style + style))
        return strip.crop_extend(left, left + self.size.width, self.rich_style + style)

    def _segments(self, cells: Sequence[Text], style: Style) -> list[Segment]:
        found: list[Segment] = []
        for n, (cell, width) in enumerate(zip(cells, self._widths, strict=True)):
            blanks = " " * (width - cell.cell_len)
            text = blanks + cell.plain if n in self._right else cell.plain + blanks
            own = cell.style if isinstance(cell.style, Style) else Style.parse(cell.style or "none")
            found.append(Segment(text + " " * _BETWEEN, style + own))
        return found

    def _redraw_all(self, some: Iterable[int]) -> None:
        for n in some:
            self._redraw(n)

    def _redraw(self, n: int) -> None:
        """Draw the row again, if it is in sight."""
        y = n + 1 - self.scroll_offset.y
        if 0 < y < self.size.height:
            self.refresh(Region(0, y, self.outer_size.width, 1))
