"""A walk as a sequence chart in SVG: a file of its own, for light and dark pages, without scripts, fonts or ids.

It draws the rows of ``rows``; the pages of each function stand at the right. Each step and message has its full words
in a ``<title>``, which viewers show under the pointer.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from rich.cells import cell_len

from fwpages.explore.show.narrative import PARTS, Message, Part, Step
from fwpages.explore.show.rows import NAMES, PagesChange, Row, Share, clean, rows, state_lines, wrap
from fwpages.pages.words import many

#: where things are from left to right; most messages go to firmware, so the free room is before it
_NUMBER, _ACTOR, _PANEL, _RIGHT = 58, 66, 772, 1180
_AT: Mapping[Part, int] = MappingProxyType(dict(zip(PARTS, (156, 262, 366, 716), strict=True)))
#: where a chart ends that has no states beside its arrows
_BARE = 760
#: pixels of a character of the monospaced font, and of a line; generous, for fonts differ
_CHAR, _LINE, _MARGIN = 7.4, 16, 20

_LIGHT = """
.bg { fill: #ffffff }
text { fill: #1f2328; font: 12px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace }
.h { font-size: 16px; font-weight: bold } .b { font-weight: bold } .i { font-style: italic }
.e { text-anchor: end } .c { text-anchor: middle }
.q { fill: #59636e }
.life { stroke: #c4ccd4 } .cut { stroke: #eaeef2 }
.box { fill: #f6f8fa; stroke: #8c959f } .fold { fill: #f6f8fa; stroke: #8c959f; stroke-dasharray: 4 3 }
.a { fill: none; stroke-width: 1.5 } .note .a { stroke-dasharray: 5 3 }
.ok .a { stroke: #1a7f37 } .ok .p { fill: #1a7f37 }
.bad .a { stroke: #cf222e } .bad .p, .bad text, .alarm, text.bad { fill: #cf222e } .bad text { font-weight: bold }
.note .a { stroke: #0969da } .note .p { fill: #0969da }
.same rect { fill: #ddf4ff; stroke: #80ccff } .open rect { fill: #fff8c5; stroke: #d4a72c }
.differs rect { fill: #cf222e; stroke: #cf222e } .differs text { fill: #ffffff; font-weight: bold }
.frame { fill: none; stroke: #cf222e; stroke-width: 2 }
.flag rect { fill: #cf222e } .flag text { fill: #ffffff; font-weight: bold }
"""
_DARK = """
.bg { fill: #0d1117 }
text { fill: #e6edf3 } .q { fill: #9198a1 }
.life { stroke: #484f58 } .cut { stroke: #21262d }
.box, .fold { fill: #161b22; stroke: #6e7681 }
.ok .a { stroke: #3fb950 } .ok .p { fill: #3fb950 }
.bad .a { stroke: #ff7b72 } .bad .p, .bad text, .alarm, text.bad { fill: #ff7b72 }
.note .a { stroke: #58a6ff } .note .p { fill: #58a6ff }
.same rect { fill: #0c2d6b; stroke: #1f6feb } .open rect { fill: #3b2300; stroke: #9e6a03 }
.differs rect { fill: #da3633; stroke: #da3633 } .differs text { fill: #ffffff }
.frame { stroke: #da3633 } .flag rect { fill: #da3633 }
"""


def svg(
    steps: Sequence[Step], title: str, broken: Sequence[str] = (), *, whole: bool = False, alone: bool = True
) -> str:
    """The chart of the steps as an SVG document; its last step is marked with what is ``broken`` there.

    A long quiet start-up is folded, unless ``whole``. A picture that is not ``alone`` stands in a page with the style.
    """
    title = clean(title)
    root = _root()
    _add(root, "title", title)
    _add(root, "desc", "\n".join(f"{s.number} {clean(s.actor)}: {clean(s.words)}" for s in steps))
    if alone:
        _add(root, "style").text = chart_style()
    ground = _add(root, "rect", cls="bg", width=_RIGHT + _MARGIN)
    # drawn at the end, when their length is known, and behind everything else
    lifelines = _add(root, "g", cls="life")
    picture = _Picture(root, _MARGIN)
    for line in wrap(title, _room(_RIGHT - _MARGIN) * 12 // 16):
        picture.y += _LINE
        _add(root, "text", line, x=_MARGIN, y=picture.y, cls="h")
        picture.y += 6
    picture.y += 6
    top = picture.y
    picture.names()
    for row in rows(steps, broken, whole=whole):
        picture.row(row)
    picture.y += 8
    picture.names()
    _draw_lifelines(lifelines, top, picture.y - 32)
    for line in wrap(_LEGEND, _room(_RIGHT - _MARGIN)):
        _add(root, "text", line, x=_MARGIN, y=picture.y + 12, cls="q")
        picture.y += _LINE
    ground.set("height", f"{picture.y + _MARGIN / 2:g}")
    return _written(root, picture.y + _MARGIN / 2)


def names_svg() -> str:
    """The head of a chart without states as a picture of a page: the names."""
    root = _root()
    lifelines = _add(root, "g", cls="life")
    picture = _Picture(root, 4, _BARE)
    picture.names()
    _draw_lifelines(lifelines, 4, picture.y)
    return _written(root, picture.y, _BARE)


def row_svg(row: Row) -> str:
    """A row, which has no state, as a picture of a page, to be put below ``names_svg`` and other rows."""
    root = _root()
    lifelines = _add(root, "g", cls="life")
    picture = _Picture(root, 0, _BARE)
    picture.row(row)
    _draw_lifelines(lifelines, 0, picture.y)
    return _written(root, picture.y, _BARE)


def _root() -> ET.Element:
    return ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "class": "fwpages-chart", "role": "img"})


def _draw_lifelines(group: ET.Element, top: float, bottom: float) -> None:
    for x in _AT.values():
        _add(group, "path", d=f"M{x} {top:g}V{bottom:g}")


def _written(root: ET.Element, height: float, right: float = _RIGHT) -> str:
    """The picture as text, once it is known how high it is."""
    width = right + _MARGIN
    root.attrib |= {"width": f"{width}", "height": f"{height:g}", "viewBox": f"0 0 {width} {height:g}"}
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def chart_style() -> str:
    """The style of charts; a page that has some takes it once. Its rules are of charts alone."""
    own = ".fwpages-chart "

    def scoped(rules: str) -> str:
        out = []
        for rule in rules.replace("\n", " ").split("}")[:-1]:
            selectors, _, body = rule.partition("{")
            names = ", ".join(own + s.strip() for s in selectors.split(","))
            out.append(f"{names} {{{body}}}")
        return "\n".join(out)

    return f"\n{scoped(_LIGHT)}\n@media screen and (prefers-color-scheme: dark) {{\n{scoped(_DARK)}\n}}\n"


def _add(parent: ET.Element, tag: str, words: str = "", **attributes: str | float) -> ET.Element:
    """A new element; ``cls`` is its class."""
    names = {("class" if k == "cls" else k.replace("_", "-")): _number(v) for k, v in attributes.items()}
    child = ET.SubElement(parent, tag, names)
    if words:
        child.text = words
    return child


def _number(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _room(pixels: float) -> int:
    return int(pixels / _CHAR)


class _Picture:
    """A picture that grows downwards: ``y`` is where the next thing goes, ``right`` where its rows end."""

    def __init__(self, root: ET.Element, y: float, right: float = _RIGHT) -> None:
        self.root, self.y, self.right = root, y, right

    def names(self) -> None:
        """The names of the parts, in boxes."""
        for part, x in _AT.items():
            wide = cell_len(NAMES[part]) * _CHAR + 18
            _add(self.root, "rect", x=x - wide / 2, y=self.y, width=wide, height=24, rx=4, cls="box")
            _add(self.root, "text", NAMES[part], x=x, y=self.y + 16, cls="b c")
        if self.right > _PANEL:
            _add(self.root, "text", "afterwards", x=_PANEL, y=self.y + 16, cls="b")
        self.y += 32

    def row(self, row: Row) -> None:
        """A step: its words, its messages, and the state after it."""
        group = _add(self.root, "g")
        who = f"{row.number} {row.actor}".strip()
        _add(group, "title", "\n".join(row.full if row.folded else [f"{who}: {row.full[0]}"]))
        _add(group, "path", d=f"M{_MARGIN} {self.y:g}H{self.right:g}", cls="cut")
        start = self.y
        self.y += 4
        _add(group, "text", row.number, x=_NUMBER, y=self.y + 12, cls="b e")
        for n, line in enumerate(wrap(row.actor, _room(_AT["host"] - _ACTOR - 12))):
            _add(group, "text", line, x=_ACTOR, y=self.y + 12 + n * _LINE)
        self._words(group, row)
        for message in row.messages:
            self._message(group, message)
        self.y = max(self.y, self._state(group, row, start + 4), start + _LINE + 4) + 4
        if row.broken:
            self._broken(group, row.broken, start)
        elif any(m.mark == "bad" for m in row.messages) or any(line.tone == "bad" for line in state_lines(row)):
            _add(group, "rect", x=_MARGIN - 8, y=start + 2, width=4, height=self.y - start - 4, rx=2, cls="alarm")

    def _broken(self, group: ET.Element, broken: Sequence[str], start: float) -> None:
        """The properties that break at a step: words on a ground of their own below it, and a frame around both."""
        lines = [line for what in broken for line in wrap(f"✗ {what}", _room(self.right - _ACTOR))]
        flag = _add(group, "g", cls="flag")
        left, wide = _MARGIN - 10, self.right - _MARGIN + 20
        _add(flag, "rect", x=left, y=self.y, width=wide, height=len(lines) * _LINE + 8)
        for n, line in enumerate(lines):
            _add(flag, "text", line, x=_ACTOR, y=self.y + 16 + n * _LINE)
        self.y += len(lines) * _LINE + 8
        _add(group, "rect", x=left, y=start, width=wide, height=self.y - start, rx=3, cls="frame")
        self.y += 8

    def _message(self, group: ET.Element, m: Message) -> None:
        """A message as an arrow, or a note of one part alone as a loop, with its full words."""
        drawn = _add(group, "g", cls=m.mark)
        to = "" if m.sender == m.receiver else f" to {NAMES[m.receiver]}"
        _add(drawn, "title", f"{NAMES[m.sender]}{to}: {m.text}")
        if to:
            self._arrow(drawn, m)
        else:
            self._loop(drawn, m)

    def _words(self, group: ET.Element, row: Row) -> None:
        if not row.words:
            return
        left, right = _AT["host"] + 10, _AT["firmware"] - 10
        lines = wrap(row.words, _room(right - left))
        if row.folded:
            height = len(lines) * _LINE + 8
            _add(group, "rect", x=left - 20, y=self.y, width=right - left + 40, height=height, rx=4, cls="fold")
            self.y += 4
        for line in lines:
            self._text(group, line, left, "i" if row.folded else "b", ground=not row.folded)
        self.y += 4

    def _text(self, group: ET.Element, line: str, x: float, cls: str = "", *, ground: bool = True) -> None:
        """A line of words, with ground behind it that hides the lifelines."""
        wide = cell_len(line) * _CHAR
        end = cls == "e"
        if ground:
            _add(group, "rect", x=x - wide if end else x - 3, y=self.y, width=wide + 3, height=_LINE - 1, cls="bg")
        text = _add(group, "text", line, x=x, y=self.y + 12)
        if cls:
            text.set("class", cls)
        self.y += _LINE

    def _arrow(self, group: ET.Element, m: Message) -> None:
        """An arrow with its words above it, from the sender's side."""
        start, end = _AT[m.sender], _AT[m.receiver]
        left, right = min(start, end), max(start, end)
        room = _room((right if right == _AT["firmware"] else _AT["firmware"]) - left - 20)
        lines = wrap(m.text, room)
        from_right = end < start and len(lines) == 1 and cell_len(lines[0]) * _CHAR < right - left - 16
        for line in lines:
            self._text(group, line, right - 10 if from_right else left + 10, "e" if from_right else "")
        y, step = self.y + 3, 8 if end > start else -8
        _add(group, "path", d=f"M{start} {y:g}H{end - step}", cls="a")
        _add(group, "path", d=f"M{end} {y:g}l{-step} -4v8z", cls="p")
        self.y += 9

    def _loop(self, group: ET.Element, m: Message) -> None:
        """A note of one part alone: a small loop, to the right of its line, but firmware's to the left."""
        x, inward = _AT[m.sender], m.sender == PARTS[-1]
        sign = -1 if inward else 1
        room = x - _AT["host"] if inward else _AT["firmware"] - x
        y = self.y + 3
        _add(group, "path", d=f"M{x} {y:g}h{14 * sign}v9h{-7 * sign}", cls="a")
        _add(group, "path", d=f"M{x} {y + 9:g}l{8 * sign} -4v8z", cls="p")
        lines = wrap(m.text, _room(room - 32))
        at: float = x + 22 * sign
        if inward and len(lines) > 1:
            at -= max(cell_len(line) for line in lines) * _CHAR
        for line in lines:
            self._text(group, line, at, "e" if inward and len(lines) == 1 else "")
        self.y += 3

    def _state(self, group: ET.Element, row: Row, y: float) -> float:
        """The state after the step, beside it; returns the y at which it ends."""
        y = _chips(group, row.pages, y)
        for line in state_lines(row, pages=False):
            _add(group, "text", line.label, x=_PANEL, y=y + 12, cls="q")
            for words in wrap(line.text, _room(_RIGHT - _PANEL - 70)):
                _add(group, "text", words, x=_PANEL + 70, y=y + 12, cls=line.tone or "n")
                y += _LINE
        return y


_LEGEND = (
    "Green: a message; blue, broken: a note; red: a fault or a refusal. Pages of 4 KiB: blue where firmware has what "
    "the driver's books say, red where they differ, yellow: firmware has that many, books unknown. What a step does "
    "not show is as before it."
)


def _chips(group: ET.Element, change: PagesChange, y: float) -> float:
    """A coloured count for each function, as many on a line as there is room for; returns the y at which they end."""
    if not (change.shares or change.books):
        return y
    flow = _Flow(y)
    for share in change.shares:
        words = wrap(share.words, _room(_RIGHT - _PANEL - 16))
        wide = max(cell_len(w) for w in words) * _CHAR + 12
        x, y = flow.place(wide, len(words) * _LINE + 1.0)
        chip = _add(group, "g", cls="differs" if share.differs else "open" if share.books is None else "same")
        _add(chip, "title", _in_full(share))
        _add(chip, "rect", x=x, y=y, width=wide, height=len(words) * _LINE + 1, rx=4)
        for n, text in enumerate(words):
            _add(chip, "text", text, x=x + 6, y=y + 12.5 + n * _LINE)
    if change.books:
        x, y = flow.place(len(change.words) * _CHAR, _LINE)
        _add(group, "text", change.words, x=x, y=y + 12.5, cls="q")
    return flow.y + flow.line + 4


@dataclass(slots=True)
class _Flow:
    """Places things in the panel from left to right, and on a new line where there is no room."""

    y: float
    x: float = _PANEL
    line: float = 0.0

    def place(self, width: float, height: float) -> tuple[float, float]:
        """The x and y of the next thing."""
        if self.x + width > _RIGHT and self.line:
            self.x, self.y, self.line = _PANEL, self.y + self.line + 4, 0.0
        x = self.x
        self.line = max(self.line, height)
        self.x += width + 6
        return x, self.y


def _in_full(share: Share) -> str:
    books = "books unknown" if share.books is None else f"books say {share.books:,}"
    return f"{share.name}: firmware has {many(share.firmware)}, the driver's {books}"
