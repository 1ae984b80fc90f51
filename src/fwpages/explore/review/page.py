"""A review as an HTML page: the table of verdicts, each question with its charts, and the assumptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fwpages.explore.review.answers import Answer, Verdict
from fwpages.explore.review.report import (
    arguments,
    changed,
    exceptions,
    ours_holds,
    path_of,
    sentence,
    sharing,
    shown,
    stands,
    under,
    words,
)
from fwpages.explore.show.svg import chart_style, svg
from fwpages.pages.words import many
from fwpages.report.html_page import markup, rendered
from fwpages.scenario.assumptions import ASSUMPTIONS


def page(answers: Sequence[Answer]) -> str:
    """The whole review as a page. Raises NotInstalledError where the library for pages is not there."""
    return rendered(
        "fwpages.explore.review",
        "review.html",
        {
            "title": "Linux's VHCA_ID page management, settled by search",
            "designs": list(answers[0].verdicts) if answers else [],
            "asked": many(len(answers), "question"),
            "ours_asked": any("fwpages" in a.verdicts for a in answers),
            "ours_holds": ours_holds(answers),
            "questions": [_question(a) for a in answers],
            "assumptions": [_assumption(name, answers) for name in ASSUMPTIONS],
        },
        styles=[chart_style()],
    )


def _question(a: Answer) -> dict[str, object]:
    return {
        "number": a.question.number,
        "id": a.question.id,
        "title": a.question.title,
        "argued": a.question.argued,
        "fault": a.question.fault,
        "verdicts": {design: _verdicts(verdicts) for design, verdicts in a.verdicts.items()},
        "kinds": [
            {"kind": k.kind, "type": k.true, "types": [" or ".join(types) or "-" for types in k.types.values()]}
            for k in a.table
        ],
        "charts": [_chart(a, v) for v in shown(a)],
    }


def _verdicts(verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    """The verdict under the default assumptions, then those that an assumption changes."""
    return [_said(v, ours=verdicts[0].design == "fwpages") for v in (verdicts[0], *exceptions(verdicts))]


def _said(v: Verdict, *, ours: bool) -> dict[str, object]:
    bad = "bad" if ours or v.reachable else "open"
    return {
        "changed": changed(v),
        "assumption": v.changed[0][0] if v.changed else "",
        "words": words(v),
        "sentence": sentence(v),
        "tone": bad if v.reachable or not v.settled else "good",
    }


def _chart(a: Answer, v: Verdict) -> dict[str, str]:
    path = path_of(v)
    return {
        "title": f"How, for {' and '.join(sharing(a, v))}{under(v)}",
        "svg": markup(svg(path.steps, path.title, path.broken, alone=False)),
        "command": f"fwpages explore {arguments(v)}",
    }


def _assumption(name: str, answers: Sequence[Answer]) -> Mapping[str, object]:
    row = next(row for key, row in ASSUMPTIONS.items() if key == name)
    turned = [
        {"id": a.question.id, "number": a.question.number, "designs": ", ".join(designs)}
        for a in answers
        if (designs := turning(a, name))
    ]
    return {
        "name": name,
        "on": row.on,
        "off": row.off,
        "default": {True: "on", False: "off", None: stands(row, None)}[row.default],
        "source": row.source,
        "turned": turned,
    }


def turning(a: Answer, name: str) -> list[str]:
    """The designs whose verdict changes when this assumption alone is turned."""
    return [d for d, vs in a.verdicts.items() if any(v.changed[0][0] == name for v in exceptions(vs))]
