"""Makes ``docs/images/*.svg`` by running the commands that they show: ``python docs/make_pictures.py``."""

from __future__ import annotations

import contextlib
import html
import io
import os
import re
import shlex
from pathlib import Path
from unittest import mock

import msgspec
from rich.console import Console
from rich.text import Text

from fwpages.cli import invoke
from fwpages.explore.check.replay import walk
from fwpages.explore.check.search import search
from fwpages.explore.model.library import load
from fwpages.explore.model.spec import Spec
from fwpages.explore.show.narrative import narrate
from fwpages.explore.show.svg import svg
from fwpages.machine.holdings import Holdings
from fwpages.machine.holdings_table import show

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COLUMNS = 74

#: picture → the command line that it shows, and the one that is run where the two differ
PICTURES = {
    "run": ("fwpages run", ""),
    "top": ("fwpages top --once", "fwpages top --once --replay tests/golden/top-linux-7.2.13.jsonl"),
    "audit": ("fwpages audit dmesg.txt.gz", "fwpages audit tests/golden/linux-7.2.13-pf-vhca_id.dmesg.txt.gz"),
    "finding": ("fwpages audit tests/golden/cases/pages-left-objects-alive.txt", ""),
}

#: picture → the command line that it shows, and the report that it printed as JSON on an unmodified Linux
REPORTS = {"inspect": ("fwpages inspect", "tests/golden/inspect-linux-7.2.13.json")}

#: picture → the world, the design that drives it, and the property whose shortest counterexample it shows
CHARTS = {"give-timeout": ("give-timeout", "merged", "custody")}

_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
#: width of a character in Rich's coordinates
_CELL = 12.2
_TEXT = re.compile(
    r'<text class="(?P<style>[^"]+)" x="(?P<x>[^"]+)" y="(?P<y>[^"]+)" textLength="[^"]+" (?P<clip>[^>]+)>'
    r"(?P<words>.*?)\s*</text>",
    re.DOTALL,
)
_WORDS = re.compile(r"\S+(?: \S+)*")
_FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


def output(line: str) -> str:
    """Run a command line and return its output on a terminal with colours; RuntimeError if it could not do its work."""
    terminal = {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    clear = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TTY_COMPATIBLE")}
    printed = io.StringIO()
    with (
        mock.patch.dict(os.environ, clear | terminal, clear=True),
        contextlib.chdir(ROOT),
        contextlib.redirect_stdout(printed),
    ):
        code = invoke(shlex.split(line)[1:])
    if code not in (0, 1, 4):  # clean, findings, not known
        raise RuntimeError(f"{line}: exit code {code}")
    return printed.getvalue()


def _placed(m: re.Match[str]) -> str:
    """Place each word group of a text element by itself: not every viewer keeps blanks."""
    plain = html.unescape(m["words"]).replace("\xa0", " ")
    parts = [
        f'<text class="{m["style"]}" x="{float(m["x"]) + w.start() * _CELL:.1f}" y="{m["y"]}" '
        f'textLength="{len(w[0]) * _CELL:.1f}" {m["clip"]}>{html.escape(w[0], quote=False)}</text>'
        for w in _WORDS.finditer(plain)
    ]
    return "\n".join(parts)


def _terminal(file: io.StringIO, *, record: bool = False) -> Console:
    return Console(record=record, file=file, width=COLUMNS, force_terminal=True, color_system="truecolor")


def report(file: str) -> str:
    """Print a report of ``inspect`` again, as on a terminal with colours."""
    printed = io.StringIO()
    console = _terminal(printed)
    show(msgspec.json.decode((ROOT / file).read_bytes(), type=Holdings), console)
    return printed.getvalue()


def picture(shown: str, run: str) -> str:
    """Draw a terminal in which ``shown`` was typed, with the output of ``run``, or of itself."""
    return drawn(shown, output(run or shown))


def drawn(shown: str, printed: str) -> str:
    """Draw a terminal in which ``shown`` was typed, as an SVG that refers to no font or file outside itself."""
    console = _terminal(io.StringIO(), record=True)
    console.print(Text(f"$ {shown}", "bold"))
    console.print(Text.from_ansi(printed))
    svg = console.export_svg(title="", unique_id="t")
    svg = re.sub(r"font-family: [^;]+;", f"font-family: {_FONT};", _FONT_FACE.sub("", svg))
    svg = _TEXT.sub(_placed, svg)
    return "\n".join(text.rstrip() for text in svg.splitlines() if text.strip()) + "\n"


def counterexample(world: str, design: str, name: str) -> str:
    """Draw a shortest path on which that property is broken, as an SVG; KeyError if no path breaks it."""
    spec = Spec(world, load(world), design)
    broken = search(spec).broken[name]
    mark = f"{name}: {broken.seen}"
    return svg(narrate(walk(spec, broken.path)), f"{world}, driven by {design}: {mark}", [mark])


def main() -> None:
    """Write every picture."""
    for name, chart in CHARTS.items():
        (IMAGES / f"{name}.svg").write_text(counterexample(*chart), "utf-8")
    for name, (shown, run) in PICTURES.items():
        (IMAGES / f"{name}.svg").write_text(picture(shown, run), "utf-8")
    for name, (shown, file) in REPORTS.items():
        (IMAGES / f"{name}.svg").write_text(drawn(shown, report(file)), "utf-8")


if __name__ == "__main__":
    main()
