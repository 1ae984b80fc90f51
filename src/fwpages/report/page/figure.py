"""A chart as SVG: the pages of each function over time, stacked. The page shows it without scripts, a file alone too.

Its colours are classes, with one style for pages and files: a page has it once, a file within.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from fwpages.custody.series import corners
from fwpages.pages.words import size
from fwpages.report.html_page import clean, source
from fwpages.report.page.content import Chart, Flag, Row

WIDTH, HEIGHT = 920, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 64, 26, 46
#: functions with a colour of their own; the rest of a chart is drawn as one
COLOURS = 8
#: corners of a row in a figure: more cannot be told apart at its width
MAX_CORNERS = 400


def figure_style() -> str:
    """The style of figures: a page that has some takes it once."""
    return source("fwpages.report.page", "figure.css")


def figure(chart: Chart, *, alone: bool = False) -> str:
    """The chart as an SVG; ``alone``: a file of its own, with its style and a ground that follows the viewer's."""
    rows = few(chart.rows)
    times, kept = _thin(chart.times, rows)
    stacked, most = _stacked([[row.pages[i] or 0 for i in kept] for row in rows])
    scale = _Scale(times[0] if times else 0.0, times[-1] if times else 1.0, most)
    unknown = [any(row.pages[i] is None for row in rows) for i in kept]
    body = [
        *_grid(scale, chart),
        *_areas(rows, times, stacked, scale),
        *_unknown(times, unknown, scale),
        *(_band(scale, a, b, f"lines are missing: {text}") for a, b, text in chart.gaps),
        *_flags(chart.flags, scale),
    ]
    legend = _legend(rows)
    height = HEIGHT + 18 * math.ceil(len(rows) / 4)
    return _drawing(chart.title, height, "".join(body) + "".join(legend), alone=alone)


def _drawing(title: str, height: int, inside: str, *, alone: bool) -> str:
    """The SVG around what is drawn."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="fwpages-figure" viewBox="0 0 {WIDTH} {height}" role="img"'
    size_of = f' width="{WIDTH}" height="{height}"' if alone else ""
    style = f"<style>{figure_style()}</style>" if alone else ""
    ground = f'<rect class="ground" width="{WIDTH}" height="{height}"/>' if alone else ""
    return f"{head}{size_of}><title>{escape(clean(title))}</title>{style}{ground}{inside}</svg>"


def few(rows: Sequence[Row]) -> list[Row]:
    """At most ``COLOURS`` rows, those with the highest peaks, and one for the rest."""
    if len(rows) <= COLOURS:
        return list(rows)
    by_peak = sorted(rows, key=lambda row: -max((n or 0 for n in row.pages), default=0))
    own = by_peak[: COLOURS - 1]
    rest = by_peak[COLOURS - 1 :]
    return [*own, Row(f"{len(rest)} more", "", all(r.proven for r in rest), summed(rest))]


def summed(rows: Sequence[Row]) -> tuple[int | None, ...]:
    """The pages of all rows at each time; None where those of one are not known."""
    return tuple(
        None if any(n is None for n in counts) else sum(n or 0 for n in counts)
        for counts in zip(*(row.pages for row in rows), strict=True)
    )


def _thin(times: Sequence[float], rows: Sequence[Row]) -> tuple[list[float], list[int]]:
    """The times that are drawn; where there are many, the corners of their sum: no peak of it is lost."""
    order = list(range(len(times)))
    if len(times) > MAX_CORNERS:
        sums = np.array([sum(row.pages[i] or 0 for row in rows) for i in order])
        order = corners(np.array(times), sums, MAX_CORNERS // 4).tolist()
    return [times[i] for i in order], order


def _stacked(rows: Sequence[Sequence[int]]) -> tuple[list[list[int]], int]:
    """The upper edge of each row on those below it, and the highest of all."""
    edges: list[list[int]] = []
    below: Sequence[int] = [0] * (len(rows[0]) if rows else 0)
    for row in rows:
        below = [a + b for a, b in zip(below, row, strict=True)]
        edges.append(list(below))
    return edges, max(below, default=0)


class _Scale:
    """Times and pages as places in the figure; the vertical axis ends at a round number of pages."""

    def __init__(self, begin: float, end: float, most: int) -> None:
        self.begin, self.end = begin, end
        self.step = _nice(max(most, 1) / 4)
        self.top = self.step * max(1, math.ceil(max(most, 1) / self.step))

    def x(self, t: float) -> float:
        wide = WIDTH - _LEFT - _RIGHT
        part = (t - self.begin) / (self.end - self.begin) if self.end > self.begin else 0.5
        return _LEFT + wide * min(1.0, max(0.0, part))

    def y(self, pages: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * pages / self.top


def _nice(least: float) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that is not below this."""
    power = 10 ** math.floor(math.log10(least))
    return float(max(1, next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= least)))


def _grid(scale: _Scale, chart: Chart) -> Iterable[str]:
    ticks = [scale.step * i for i in range(round(scale.top / scale.step) + 1)]
    for pages in ticks:
        y = scale.y(pages)
        yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{pages:,.0f}</text>'
        yield f'<text x="{WIDTH - _RIGHT + 8}" y="{y + 4:.1f}">{size(round(pages))}</text>'
    yield f'<text x="{_LEFT - 8}" y="14" text-anchor="end">pages</text><text x="{WIDTH - _RIGHT + 8}" y="14">MiB</text>'
    base = HEIGHT - _BOTTOM
    yield f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>'
    for i in range(6):
        t = scale.begin + (scale.end - scale.begin) * i / 5
        anchor = "start" if i == 0 else "end" if i == 5 else "middle"
        x = scale.x(t) if scale.end > scale.begin else _LEFT
        yield f'<text x="{x:.1f}" y="{base + 17}" text-anchor="{anchor}">{tick(chart, t)}</text>'
        if scale.end <= scale.begin:
            break
    words = escape(clean(axis_words(chart)))
    yield f'<text x="{(_LEFT + WIDTH - _RIGHT) / 2}" y="{base + 34}" text-anchor="middle">{words}</text>'


def tick(chart: Chart, t: float) -> str:
    """A time at the axis."""
    if chart.axis == "line":
        return f"{t:,.0f}"
    span = chart.times[-1] - chart.times[0] if chart.times else 0.0
    digits = 0 if span >= 50 else 1 if span >= 5 else 3
    return f"{t:,.{digits}f}"


def axis_words(chart: Chart) -> str:
    """The words at the axis."""
    if chart.axis == "line":
        return "line of the input (its lines have no time)"
    return f"seconds since {chart.origin}" if chart.origin else "seconds"


def _areas(rows: Sequence[Row], times: Sequence[float], edges: Sequence[Sequence[int]], scale: _Scale) -> Iterable[str]:
    for n in reversed(range(len(rows))):
        lower = edges[n - 1] if n else [0] * len(times)
        path = [*_edge(times, edges[n], scale), *reversed(_edge(times, lower, scale))]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
        guess = "" if rows[n].proven else " guess"
        words = escape(clean(f"{rows[n].label} {rows[n].kind}".strip()))
        yield f'<polygon class="area s{n}{guess}" points="{points}"><title>{words}</title></polygon>'


def _edge(times: Sequence[float], counts: Sequence[int], scale: _Scale) -> list[tuple[float, float]]:
    """The corners of a line of steps: a count holds until the next."""
    corners: list[tuple[float, float]] = []
    for i, (t, n) in enumerate(zip(times, counts, strict=True)):
        x, y = scale.x(t), scale.y(n)
        if i and corners[-1][1] != y:
            corners.append((x, corners[-1][1]))
        if not i or corners[-1][1] != y or i == len(times) - 1:
            corners.append((x, y))
    return corners


def _unknown(times: Sequence[float], unknown: Sequence[bool], scale: _Scale) -> Iterable[str]:
    """A band where a count is not known."""
    begin: float | None = None
    for t, is_unknown in zip(times, unknown, strict=True):
        if is_unknown and begin is None:
            begin = t
        elif not is_unknown and begin is not None:
            yield _band(scale, begin, t, "not known from here on, until it is known again")
            begin = None
    if begin is not None:
        yield _band(scale, begin, times[-1], "not known from here on")


def _band(scale: _Scale, begin: float, end: float, text: str) -> str:
    x = scale.x(begin)
    wide = max(2.0, scale.x(end) - x)
    words = escape(clean(text))
    high = HEIGHT - _TOP - _BOTTOM
    return f'<rect class="gap" x="{x:.1f}" y="{_TOP}" width="{wide:.1f}" height="{high}"><title>{words}</title></rect>'


def _flags(flags: Sequence[Flag], scale: _Scale) -> Iterable[str]:
    for f in flags:
        x = scale.x(f.at)
        line, head = ("bad", "badhead") if f.kind == "finding" else ("flag", "flaghead")
        words = escape(clean(f.text))
        yield (
            f"<g><title>{words}</title>"
            f'<line class="{line}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
            f'<path class="{head}" d="M{x - 4:.1f} {_TOP - 7}h8l-4 7z"/></g>'
        )


def _legend(rows: Sequence[Row]) -> Iterable[str]:
    for n, row in enumerate(rows):
        x, y = _LEFT + (n % 4) * 205, HEIGHT + 4 + 18 * (n // 4)
        words = f"{row.label} {row.kind}".strip() + ("" if row.proven else " (not proven)")
        label = words if len(words) <= 30 else f"{words[:29]}…"
        yield f'<rect class="area s{n}" x="{x}" y="{y - 9}" width="10" height="10" rx="2"/>'
        yield f'<text x="{x + 15}" y="{y}">{escape(clean(label))}</text>'
