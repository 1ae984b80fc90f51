"""A report as an HTML page of one file: figures that a script makes zoomable, and the data behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from fwpages.custody.accounts import FindingAccount, Verdict
from fwpages.pages.words import in_mib
from fwpages.report.html_page import embedded_json, markup, rendered, source
from fwpages.report.page.content import Cell, Chart, Document, Row
from fwpages.report.page.figure import few, figure, figure_style

#: sessions of one input that are open when the page is
OPEN = 4
_COLOURS = {
    Verdict.CLEAN: "good",
    Verdict.FINDINGS: "bad",
    Verdict.NOT_KNOWN: "open",
    Verdict.CONSISTENT: "even",
}


def render(document: Document) -> str:
    """The page as HTML. Raises NotInstalledError where the library for pages is not there."""
    charts: list[dict[str, Any]] = []

    def chart(c: Chart) -> str:
        charts.append(_drawn(c))
        return markup(f'<div class="chart" data-chart="{len(charts) - 1}">{figure(c)}</div>')

    package = "fwpages.report.page"
    return rendered(
        package,
        "report.html",
        {
            "document": document,
            "chart": chart,
            "colours": _COLOURS,
            "reports": [embedded_json(s.report) for s in document.sections],
            "few_parts": lambda s: len(s.parts) <= OPEN,
            "charts": lambda: embedded_json(msgspec.json.encode(charts)),
            "cell": _cell,
            "sort_key": _sort_key,
            "in_mib": in_mib,
            "where": _where,
        },
        styles=[source(package, "uplot.css"), figure_style(), source(package, "report.css")],
        scripts=[source(package, "uplot.js"), source(package, "report.js")],
    )


def _drawn(c: Chart) -> dict[str, Any]:
    """The chart as the page's script draws it."""
    return {
        "title": c.title,
        "axis": c.axis,
        "origin": c.origin,
        "times": c.times,
        "rows": [{"label": r.label, "kind": r.kind, "proven": r.proven, "pages": r.pages} for r in _ordered(c.rows)],
        "flags": [{"at": f.at, "kind": f.kind, "text": f.text, "link": f.link} for f in c.flags],
        "gaps": c.gaps,
    }


def _ordered(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows in the order in which the figure draws them, so that both give a function the same colour."""
    chosen = few(rows)
    own = [r for r in chosen if r in rows]
    return [*own, *(r for r in rows if r not in own)]


def _cell(value: Cell) -> str:
    """A cell as it is shown: what is not known is a question mark."""
    if value is None:
        return "?"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if math.isclose(value, round(value)) and value >= 100 else f"{value:,g}"
    return value


def _sort_key(value: Cell) -> str:
    """A cell as the page's script sorts it: what is not known comes after every count, from the highest down."""
    return "" if value is None else str(value)


def _where(f: FindingAccount) -> str:
    """The place of a finding in words."""
    at = f.at
    words = [f"{at['file']}:{at['line']}"] if "file" in at else []
    if at.get("time") is not None:
        words.append(f"at {at['time']}{' s' if isinstance(at['time'], int | float) else ''}")
    return "  ".join(words)
