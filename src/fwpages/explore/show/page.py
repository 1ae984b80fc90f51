"""An exploration as an HTML page: its verdicts, a chart for each broken property, and the world to click through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from fwpages.explore.show.paths import Found, ShownPath, chosen, counterexamples
from fwpages.explore.show.report import ExploreReport, PropertyReport, ReplayReport
from fwpages.explore.show.stepping import MOST_STATES, Steppable, steppable
from fwpages.explore.show.svg import chart_style, names_svg, svg
from fwpages.explore.show.tables import STYLES, replay_verdicts, says, settings, tried, verdict
from fwpages.report.html_page import embedded_json, markup, rendered, source

#: classes of the page's style for the styles of a terminal
_TONES: Mapping[str, str] = {"green": "good", "bold red": "bad", "yellow": "open", "": ""}


def exploration_page(report: ExploreReport, found: Found, command: str, *, whole: bool = False) -> str:
    """The page of a search or of random walks. ``command`` is the command line of a replay, without the string.

    Raises NotInstalledError where the library for pages is not there.
    """
    paths = {row.name: path for row, path in zip(_broken(report), counterexamples(report, found.spec), strict=True)}
    shown = chosen(report, found)
    charts = [
        _chart(f"chart-{row.name}", row.mark, paths[row.name], f"{command} --replay {row.replay}", whole=whole)
        for row in _broken(report)
    ]
    return _page(
        title=f"{report.world}, driven by {report.design}",
        verdicts=[(verdict(report), "good" if report.fine else "bad")],
        tried=tried(report),
        settings=settings(report),
        properties=[_property(row) for row in report.properties],
        charts=charts or [_chart("chart", shown.title, shown, "", whole=whole)],
        stepping=steppable(shown.spec, shown.path),
    )


def replay_page(report: ReplayReport, shown: ShownPath, *, whole: bool = False) -> str:
    """The page of a replay. Raises NotInstalledError where the library for pages is not there."""
    return _page(
        title=f"{report.world}, driven by {report.design}: {len(report.steps)} steps",
        verdicts=[(words, _TONES[style]) for words, style in replay_verdicts(report)],
        tried=[],
        settings=settings(report),
        properties=[],
        charts=[_chart("chart", shown.title, shown, "", whole=whole)],
        stepping=steppable(shown.spec, shown.path),
    )


def _page(*, stepping: Steppable, **values: object) -> str:
    data = stepping.data
    package = "fwpages.explore.show"
    return rendered(
        package,
        "exploration.html",
        {
            **values,
            "states": data.sound,
            "most": MOST_STATES,
            "cut": data.cut,
            "broken": any(data.rows[row].broken for row in _path_rows(stepping)),
            "names": markup(names_svg()),
            "pictures": [markup(picture) for picture in stepping.pictures],
            "world": embedded_json(msgspec.json.encode(data)),
        },
        styles=[chart_style(), source(package, "stepping.css")],
        scripts=[source(package, "stepping.js")],
    )


def _path_rows(stepping: Steppable) -> Iterator[int]:
    """The rows of the path that the page offers to follow."""
    at = 0
    for place in stepping.data.path:
        choice = stepping.data.states[at].moves[place]
        yield choice.row
        at = choice.to


def _broken(report: ExploreReport) -> list[PropertyReport]:
    return [row for row in report.properties if row.verdict == "broken"]


def _property(row: PropertyReport) -> dict[str, str]:
    return {
        "kind": row.kind,
        "name": row.name,
        "words": row.words,
        "says": says(row),
        "tone": _TONES[STYLES[row.verdict]],
        "chart": f"chart-{row.name}" if row.verdict == "broken" else "",
    }


def _chart(anchor: str, title: str, shown: ShownPath, command: str, *, whole: bool) -> dict[str, str]:
    picture = svg(shown.steps, shown.title, shown.broken, whole=whole, alone=False)
    return {"id": anchor, "title": title, "svg": markup(picture), "command": command}
