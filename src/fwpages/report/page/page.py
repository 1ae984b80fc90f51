"""The page: one HTML file with style, scripts, figures and data within. It asks for nothing from anywhere.

Everything that comes from an input is text: Jinja2 escapes it, data stand in JSON that no parser of HTML can leave,
and a policy within the page allows its own two scripts and style alone, by their digests.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from fwpages.custody.accounts import FindingAccount, Verdict
from fwpages.pages.words import in_mib
from fwpages.report.page.content import Cell, Chart, Document, Row
from fwpages.report.page.figure import asset, clean, few, figure

#: sessions of one input that are open when the page is
OPEN = 4
_COLOURS = {
    Verdict.CLEAN: "clean",
    Verdict.FINDINGS: "findings",
    Verdict.NOT_KNOWN: "unknown",
    Verdict.CONSISTENT: "so-far",
}


def render(document: Document) -> str:
    """The page as HTML, in UTF-8."""
    charts: list[dict[str, Any]] = []

    def chart(c: Chart) -> Markup:
        charts.append(_drawn(c))
        return Markup(f'<div class="chart" data-chart="{len(charts) - 1}">{figure(c)}</div>')  # noqa: S704  # figure escapes

    style = asset("uplot.css") + asset("page.css")
    scripts = [asset("uplot.js"), asset("page.js")]
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({"page": asset("page.html")}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
    environment.filters |= {"cell": _cell, "sort_key": _sort_key, "in_mib": in_mib, "where": _where}
    template = environment.get_template("page")
    return template.render(
        document=document,
        chart=chart,
        colours=_COLOURS,
        style=Markup(style),  # noqa: S704  # the package's own
        scripts=[Markup(s) for s in scripts],  # noqa: S704
        policy=_policy(style, scripts),
        reports=[_json(s.report) for s in document.sections],
        few_parts=lambda s: len(s.parts) <= OPEN,
        charts=lambda: _json(msgspec.json.encode(charts)),
    )


def _policy(style: str, scripts: Sequence[str]) -> str:
    """The content security policy: nothing is loaded; this style and these scripts alone are carried out."""
    digests = " ".join(_digest(s) for s in scripts)
    return f"default-src 'none'; style-src {_digest(style)}; script-src {digests}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(encoded: bytes) -> Markup:
    """JSON that can stand in a script of the page: nothing in it ends the script or begins a comment."""
    text = clean(encoded.decode("utf-8", "replace"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  # escaped for JSON


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
