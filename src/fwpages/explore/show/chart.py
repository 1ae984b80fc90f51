"""A walk as a sequence chart: one layout for every picture of it, and the chart as text for a terminal or a mail.

``rows`` decides what is shown, and pictures only place it: a row for each step, and one for a folded start-up. What
does not fit on a line is wrapped; nothing is cut.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Literal, TypeAlias

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from fwpages.explore.show.narrative import PARTS, Message, Part, Step, StepKind

#: the parts as a chart names them
NAMES: Mapping[Part, str] = MappingProxyType(
    {"host": "host", "pages": "page path", "eswitch": "e-switch", "firmware": "firmware"}
)
#: fewer steps than these are not worth a fold
MIN_FOLD = 6
#: the last steps of a walk are shown in any case
TAIL = 3
#: below this the names of the parts would run into each other
MIN_WIDTH = 60
#: from here on, who has what stands beside the arrows, not below them; a wider chart is not easier to read
WIDE, MAX_WIDTH = 104, 132
#: cells for who made a step; lines of a chart that has the names above and below
ACTOR, LONG = 8, 12

# -- what is shown ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Share:
    """Pages of a function: ``firmware`` has so many, the driver's ``books`` say so many, or do not know (None)."""

    name: str
    firmware: int
    books: int | None

    @property
    def differs(self) -> bool:
        """Firmware has another number of pages than the books say."""
        return self.books is not None and self.books != self.firmware

    @property
    def words(self) -> str:
        """Who has how many; one number where both agree, or where there is only firmware's."""
        if self.differs:
            return f"{self.name}: firmware has {self.firmware:,}, books say {self.books:,}"
        return f"{self.name} {self.firmware:,}"


@dataclass(frozen=True, slots=True)
class Row:
    """A step of a chart, or ``folded`` steps as one.

    ``words`` is empty where a message says the same; ``full`` has what was done in any case, of each folded step too.
    ``pages``, ``counters`` and ``waiting`` are as after it, None where they are as they were before it.
    """

    number: str
    actor: str
    words: str
    full: tuple[str, ...]
    messages: tuple[Message, ...]
    pages: tuple[Share, ...] | None
    counters: tuple[tuple[str, int], ...] | None
    waiting: tuple[tuple[str, str], ...] | None
    folded: int = 0


def rows(steps: Sequence[Step], *, whole: bool = False) -> tuple[Row, ...]:
    """What a chart of the steps shows, in order. A long quiet start-up is folded, unless ``whole``."""
    n = 0 if whole else _quiet_prefix(steps)
    out = [_folded(steps[:n])] if n else []
    before = steps[n - 1] if n else None
    for step in steps[n:]:
        out.append(_row(step, before))
        before = step
    return tuple(out)


def _row(step: Step, before: Step | None) -> Row:
    words = clean(step.words)
    messages = tuple(replace(m, text=clean(m.text)) for m in step.messages)
    shown = "" if step.repeated else words
    return Row(str(step.number), clean(step.actor), shown, (words,), messages, *_changed(step, before))


_Changed: TypeAlias = tuple[
    tuple[Share, ...] | None, tuple[tuple[str, int], ...] | None, tuple[tuple[str, str], ...] | None
]


def _changed(step: Step, before: Step | None) -> _Changed:
    """Pages, counters and waiting threads after the step, None where they are as before it; at first there are none."""
    old = before or Step(0, "", "", (), {}, {}, {})
    pages = tuple(Share(clean(name), *counts) for name, counts in step.pages.items())
    counters = tuple((clean(name), n) for name, n in step.counters.items())
    waiting = tuple((clean(who), clean(what)) for who, what in step.waiting.items())
    return (
        pages if step.pages != old.pages else None,
        counters if step.counters != old.counters else None,
        waiting if step.waiting != old.waiting else None,
    )


def _quiet(step: Step) -> bool:
    """A step of the plain exchange of a start-up: one thread that waits, no fault, no request, no e-switch."""
    return (
        (step.number == 1 or step.kind is StepKind.ROUTINE)
        and len(step.waiting) <= 1
        and all(m.mark != "bad" and "eswitch" not in (m.sender, m.receiver) for m in step.messages)
    )


def _quiet_prefix(steps: Sequence[Step]) -> int:
    """How many steps from the first on are folded: all the quiet ones but the last, which leads to what follows."""
    if not steps or steps[0].kind is not StepKind.OPEN:
        return 0
    quiet = next((n for n, step in enumerate(steps) if not _quiet(step)), len(steps))
    n = min(quiet - 1, len(steps) - TAIL)
    return n if n >= MIN_FOLD else 0


def _folded(steps: Sequence[Step]) -> Row:
    said = [m.text for step in steps for m in step.messages if m.receiver == "firmware" and m.sender != "firmware"]
    ends = f"{clean(said[0])} … {clean(said[-1])}" if said else "…"
    number, words = f"{steps[0].number}–{steps[-1].number}", f"{len(steps)} steps of the start-up: {ends}"
    full = tuple(f"{step.number} {clean(step.actor)}: {clean(step.words)}" for step in steps)
    return Row(number, "", words, full, (), *_changed(steps[-1], None), len(steps))


def clean(text: str) -> str:
    """The text on one line, without characters that no terminal and no XML should see."""
    plain = "".join(c if c.isprintable() or c.isspace() else "�" for c in text)
    return " ".join(plain.split())


#: what stands after a row: ``bad`` where firmware and books differ, ``open`` where the books do not know
Tone: TypeAlias = Literal["", "bad", "open"]
#: what is said of books that are being changed
UNKNOWN = "books do not know"


def standing(row: Row, *, pages: bool = True) -> Iterator[tuple[str, str, Tone]]:
    """What changed with a row: a label (empty: the one before), words and tone; not ``pages`` where they are drawn."""
    yield from _pages(row.pages) if pages and row.pages is not None else ()
    if row.counters is not None:
        below = any(n < 0 for _, n in row.counters)
        yield "counters", ", ".join(f"{name} {n:,}" for name, n in row.counters) or "all 0", "bad" if below else ""
    if row.waiting is not None:
        for n, (who, what) in enumerate(row.waiting):
            yield "" if n else "waiting", f"{who}: {what}", ""
        if not row.waiting:
            yield "waiting", "nobody", ""


def _pages(shares: Sequence[Share]) -> Iterator[tuple[str, str, Tone]]:
    """Functions of which both say the same on one line, likewise those of unknown books; each other on its own."""
    lines: list[tuple[str, Tone]] = []
    same = [s.words for s in shares if s.books == s.firmware]
    unknown = [s.words for s in shares if s.books is None]
    if same or not shares:
        lines.append((", ".join(same) or "nobody has any", ""))
    if unknown:
        lines.append((f"firmware has {', '.join(unknown)}; {UNKNOWN}", "open"))
    lines += [(s.words, "bad") for s in shares if s.differs]
    for n, (text, tone) in enumerate(lines):
        yield "" if n else "pages", text, tone


_WRAPPER = Console(file=io.StringIO(), color_system=None)


def wrap(text: str, room: int) -> list[str]:
    """The text in lines of at most ``room`` character cells."""
    return [line.plain.rstrip() for line in Text(text).wrap(_WRAPPER, room)] or [""]


# -- the chart as text ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Glyphs:
    """Characters that a chart is drawn with; ``loops``: a message to oneself, to the right and to the left."""

    line: str
    hidden: str
    said: str
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
    """Where everything is in a text chart of some width, and how it is drawn there."""

    def __init__(self, shown: Sequence[Row], width: int, glyphs: _Glyphs) -> None:
        self.shown, self.width, self.g = shown, width, glyphs
        self.numbers = max((len(self._glyphs(r.number)) for r in shown), default=1)
        self.gutter = self.numbers + 1 + ACTOR
        self.wide = width >= WIDE
        self.side = width * 35 // 100 if self.wide else 0
        first, last = self.gutter + 3, width - self.side - (8 if self.wide else 5)
        # what is said, is mostly said to firmware: the free room is before it
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
        number = self._glyphs(row.number)
        lines[0].put(self.numbers - len(number), number, "bold")
        actor, stand = wrap(row.actor, ACTOR), list(self._standing(row))
        lines += [self._line() for _ in range(max(len(actor), len(stand) if self.wide else 0) - len(lines))]
        for n, words in enumerate(actor):
            lines[n].put(self.numbers + 1, words)
        for n, (label, text, style) in enumerate(stand):
            if self.wide:
                lines[n].put(self.width - self.side, f"{label:8} {text}", style)
                continue
            line = self._line()
            line.put(self.gutter - 8, f"{label:>8}", "dim")
            line.put(self.gutter + 2, f" {text} ", style)
            lines.append(line)
        return lines

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
        arrow.put(left + 1, (self.g.note if m.mark == "note" else self.g.said) * (right - left - 1), style)
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
        """Words beside the line of the one who says them to itself: to the right of it, but firmware's to the left."""
        x, style = self.at[m.sender], _STYLES[m.mark]
        inward = m.sender == PARTS[-1]
        room = (x - self.at["host"] if inward else self.at["firmware"] - x) - 5
        said, lines = self._wrap(self._marked(m), room), []
        at = x - 3 - max(cell_len(words) for words in said) if inward else x + 2
        for n, words in enumerate(said):
            line, loop = self._line(), self.g.loops[int(inward)] if n == 0 else self.g.line
            line.put(at, f" {words} ", _LABELS[m.mark])
            line.put(x + 1 - len(loop) if inward else x, loop, style)
            lines.append(line)
        return lines

    def _marked(self, m: Message) -> str:
        return f"{self.g.bad}{m.text}" if m.mark == "bad" else m.text

    def _standing(self, row: Row) -> Iterator[tuple[str, str, str]]:
        """Who has what after a row: a label, words that fit, and their style, for each line."""
        room = self.side - 9 if self.wide else self.at["firmware"] - self.gutter - 4
        for label, text, tone in standing(row):
            for n, words in enumerate(self._wrap(f"{self.g.bad}{text}" if tone == "bad" else text, room)):
                yield label if n == 0 else "", words, _TONES[tone]


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


def chart(steps: Sequence[Step], *, whole: bool = False) -> Chart:
    """A sequence chart to print on a Rich console. A long quiet start-up is folded, unless ``whole``."""
    return Chart(rows(steps, whole=whole))


def plain(steps: Sequence[Step], width: int = 72, *, whole: bool = False) -> str:
    """The chart as text for a mail: drawn in ASCII, no line longer than ``width``. ValueError below MIN_WIDTH."""
    if width < MIN_WIDTH:
        raise ValueError(f"a chart needs {MIN_WIDTH} columns, not {width}")
    canvas = _Canvas(rows(steps, whole=whole), width, _ASCII)
    return "".join(f"{line.plain}\n" for line in canvas.lines())
