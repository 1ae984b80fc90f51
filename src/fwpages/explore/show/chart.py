"""A walk as a sequence chart in text, for a terminal or a mail: it places the rows of ``rows`` and cuts nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from fwpages.explore.show.narrative import PARTS, Message, Part, Step
from fwpages.explore.show.rows import NAMES, Row, Tone, rows, state_lines, wrap

#: below this the names of the parts would run into each other
MIN_WIDTH = 60
#: from here on, the state stands beside the arrows, not below them; a wider chart is not easier to read
WIDE, MAX_WIDTH = 104, 132
#: cells for the actor of a step; lines of a chart that has the names above and below
ACTOR, LONG = 8, 12


@dataclass(frozen=True, slots=True)
class _Glyphs:
    """The characters of a chart; ``loops``: a note of one part alone, to the right and to the left of its line."""

    line: str
    hidden: str
    sent: str
    note: str
    bad: str
    out: tuple[str, str]
    heads: tuple[str, str]
    loops: tuple[str, str]
    others: dict[int, str]


_UNICODE = _Glyphs("│", "┊", "─", "┄", "✗ ", ("├", "┤"), ("▶", "◀"), ("├╴", "╶┤"), {})
_ASCII = _Glyphs(
    "|", ":", "-", ".", "! ", ("|", "|"), (">", "<"), ("|- ", " -|"), str.maketrans({"…": "...", "–": "-"})
)

_STYLES = {"ok": "green", "bad": "bold red", "note": "cyan"}
#: of words, only the bad ones are as loud as their arrow
_LABELS = {"ok": "default", "bad": "bold red", "note": "default"}
_TONES: Mapping[Tone, str] = {"": "", "bad": "bold red", "open": "yellow"}


class _Line:
    """A line of character cells with styles; a wide character has an empty cell after it."""

    def __init__(self, width: int) -> None:
        self.cells = [" "] * width
        self.styles = [""] * width

    def put(self, at: int, text: str, style: str = "") -> None:
        for c in text:
            size = cell_len(c)
            if not size:
                self.cells[at - 1] += c
                continue
            self.cells[at : at + size] = [c, *[""] * (size - 1)]
            self.styles[at : at + size] = [style] * size
            at += size

    def text(self) -> Text:
        out = Text(no_wrap=True, end="")
        for style, cells in groupby(zip(self.cells, self.styles, strict=True), itemgetter(1)):
            out.append("".join(c for c, _ in cells), style or None)
        out.rstrip()
        return out


class _Canvas:
    """A text chart of some width: where everything is, and how it is drawn there."""

    def __init__(self, shown: Sequence[Row], width: int, glyphs: _Glyphs) -> None:
        self.shown, self.width, self.g = shown, width, glyphs
        self.numbers = max((cell_len(self._number(r)) for r in shown), default=1)
        self.gutter = self.numbers + 1 + ACTOR
        self.wide = width >= WIDE
        self.side = width * 35 // 100 if self.wide else 0
        first, last = self.gutter + 3, width - self.side - (8 if self.wide else 5)
        # most messages go to firmware: the free room is before it
        gap = max(11, (last - first) // 6)
        self.at: dict[Part, int] = dict(zip(PARTS, (first, first + gap, first + 2 * gap, last), strict=True))

    def lines(self) -> list[Text]:
        """The chart; a long one has the names again below."""
        names = [self._names(), self._line().text()]
        body = [line.text() for row in self.shown for line in self._row(row)]
        return [*names, *body, *(names[::-1] if len(body) > LONG else ())]

    def _names(self) -> Text:
        line = _Line(self.width)
        for part, x in self.at.items():
            line.put(x - len(NAMES[part]) // 2, NAMES[part], "bold")
        if self.wide:
            line.put(self.width - self.side, "afterwards", "bold")
        return line.text()

    def _line(self, glyph: str = "") -> _Line:
        line = _Line(self.width)
        for x in self.at.values():
            line.put(x, glyph or self.g.line, "dim")
        return line

    def _wrap(self, text: str, room: int) -> list[str]:
        return wrap(self._glyphs(text), room)

    def _glyphs(self, text: str) -> str:
        return text.translate(self.g.others)

    def _row(self, row: Row) -> list[_Line]:
        lines = self._words(row) if row.words or not row.messages else []
        for message in row.messages:
            lines += self._loop(message) if message.sender == message.receiver else self._arrow(message)
        number = self._number(row)
        lines[0].put(self.numbers - cell_len(number), number, "bold red" if row.broken else "bold")
        actor, state = wrap(row.actor, ACTOR), list(self._state(row))
        lines += [self._line() for _ in range(max(len(actor), len(state) if self.wide else 0) - len(lines))]
        for n, words in enumerate(actor):
            lines[n].put(self.numbers + 1, words)
        self._put_state(lines, state)
        return [*lines, *self._broken(row)]

    def _put_state(self, lines: list[_Line], state: Sequence[tuple[str, str, str]]) -> None:
        """Put the state beside the lines of a row where the chart is wide, else below them."""
        for n, (label, text, style) in enumerate(state):
            if self.wide:
                lines[n].put(self.width - self.side, f"{label:8} {text}", style)
                continue
            line = self._line()
            line.put(self.gutter - 8, f"{label:>8}", "dim")
            line.put(self.gutter + 2, f" {text} ", style)
            lines.append(line)

    def _number(self, row: Row) -> str:
        """The number of a step; with the mark of a bad one where a property breaks."""
        return self._glyphs(f"{self.g.bad}{row.number}" if row.broken else row.number)

    def _broken(self, row: Row) -> Iterator[_Line]:
        """The properties that break here: lines of their own, which no lifeline crosses."""
        for what in row.broken:
            for n, words in enumerate(self._wrap(what, self.width - self.gutter - len(self.g.bad))):
                line = _Line(self.width)
                line.put(self.gutter, f"{'' if n else self.g.bad:{len(self.g.bad)}}{words}", "bold red")
                yield line

    def _words(self, row: Row) -> list[_Line]:
        lines = []
        left, right = self.at["host"] + 2, self.at["firmware"] - 1
        for words in self._wrap(row.words, right - left):
            line = self._line(self.g.hidden if row.folded else "")
            line.put(left - 1, f" {words} ", "italic" if row.folded else "bold")
            lines.append(line)
        return lines

    def _arrow(self, m: Message) -> list[_Line]:
        """Words within the arrow where they fit, else above it."""
        start, end, style = self.at[m.sender], self.at[m.receiver], _STYLES[m.mark]
        to_right = start < end
        left, right = min(start, end), max(start, end)
        text = self._marked(m)
        arrow = self._line()
        arrow.put(left + 1, (self.g.note if m.mark == "note" else self.g.sent) * (right - left - 1), style)
        arrow.put(start, self.g.out[0 if to_right else 1], style)
        arrow.put(end - 1 if to_right else end + 1, self.g.heads[0 if to_right else 1], style)
        if cell_len(self._glyphs(text)) <= right - left - 7:
            words = f" {self._glyphs(text)} "
            arrow.put(left + 2 if to_right else right - 1 - cell_len(words), words, _LABELS[m.mark])
            return [arrow]
        lines = []
        for words in self._wrap(text, self.at["firmware"] - left - 4):
            line = self._line()
            line.put(left + 1, f"  {words} ", _LABELS[m.mark])
            lines.append(line)
        return [*lines, arrow]

    def _loop(self, m: Message) -> list[_Line]:
        """Words beside the line of their part: to the right of it, but firmware's to the left."""
        x, style = self.at[m.sender], _STYLES[m.mark]
        inward = m.sender == PARTS[-1]
        room = (x - self.at["host"] if inward else self.at["firmware"] - x) - 5
        texts, lines = self._wrap(self._marked(m), room), []
        at = x - 3 - max(cell_len(words) for words in texts) if inward else x + 2
        for n, words in enumerate(texts):
            line, loop = self._line(), self.g.loops[int(inward)] if n == 0 else self.g.line
            line.put(at, f" {words} ", _LABELS[m.mark])
            line.put(x + 1 - len(loop) if inward else x, loop, style)
            lines.append(line)
        return lines

    def _marked(self, m: Message) -> str:
        return f"{self.g.bad}{m.text}" if m.mark == "bad" else m.text

    def _state(self, row: Row) -> Iterator[tuple[str, str, str]]:
        """The state after a row: for each line a label, words that fit, and their style."""
        room = self.side - 9 if self.wide else self.at["firmware"] - self.gutter - 4
        for line in state_lines(row):
            text = f"{self.g.bad}{line.text}" if line.tone == "bad" else line.text
            for n, words in enumerate(self._wrap(text, room)):
                yield line.label if n == 0 else "", words, _TONES[line.tone]


@dataclass(frozen=True)
class Chart:
    """A chart for Rich: as wide as the terminal, within bounds; plain characters where it cannot do others."""

    shown: Sequence[Row]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(max(options.max_width, MIN_WIDTH), MAX_WIDTH)
        for line in _Canvas(self.shown, width, _ASCII if options.ascii_only else _UNICODE).lines():
            line.end = "\n"
            # on a terminal that is too narrow, a broken line is better than a cut one
            line.no_wrap, line.overflow = options.max_width >= MIN_WIDTH, "fold"
            yield line


def chart(steps: Sequence[Step], broken: Sequence[str] = (), *, whole: bool = False) -> Chart:
    """A sequence chart to print on a Rich console; its last step is marked with what is ``broken`` there.

    A long quiet start-up is folded, unless ``whole``.
    """
    return Chart(rows(steps, broken, whole=whole))


def plain(steps: Sequence[Step], width: int = 72, broken: Sequence[str] = (), *, whole: bool = False) -> str:
    """The chart as text for a mail: in ASCII, no line longer than ``width``. Raises ValueError below MIN_WIDTH."""
    if width < MIN_WIDTH:
        raise ValueError(f"a chart needs {MIN_WIDTH} columns, not {width}")
    canvas = _Canvas(rows(steps, broken, whole=whole), width, _ASCII)
    return "".join(f"{line.plain}\n" for line in canvas.lines())
