"""A campaign as an HTML page: the table of rows, and each row with all that was seen of it."""

from __future__ import annotations

from fwpages.report.html_page import rendered, source
from fwpages.trial.effects import Effect
from fwpages.trial.plain import NOT_JUDGED, books, instruments_words
from fwpages.trial.report import ReportedRow, TrialReport, question_words
from fwpages.trial.standing import StandingKind

_BAD = frozenset({StandingKind.WORSE.value, StandingKind.EFFECT.value})


def page(report: TrialReport) -> str:
    """The whole report as a page. Raises NotInstalledError where the library for pages is not there."""
    v = report.versions
    bad = any(row.standing in _BAD for row in report.rows)
    open_ = any(row.standing == StandingKind.NOT_JUDGED.value for row in report.rows)
    facts = {
        "kernel": v.kernel,
        "commit": v.commit,
        "configuration": v.config,
        "compiler": v.compiler,
        "instruments": instruments_words(report),
        "QEMU": v.qemu,
        "fwpages": v.fwpages,
        "not all rows were played": report.interrupted,
    }
    return rendered(
        "fwpages.trial",
        "trial.html",
        {
            "title": f"Linux {v.kernel or 'not known'} on trial",
            "summary": report.summary,
            "tone": "bad" if bad else "open" if open_ or not report.rows else "good",
            "facts": {name: value for name, value in facts.items() if value},
            "rows": [_row(n, row) for n, row in enumerate(report.rows, 1)],
        },
        styles=[source("fwpages.trial", "trial.css")],
    )


def _row(number: int, row: ReportedRow) -> dict[str, object]:
    return {
        "number": number,
        "row": row,
        "tone": _tone(row),
        "effect": row.effect or NOT_JUDGED,
        "agreed": f"the same {len(row.plays)} times" if len(row.plays) > 1 and not row.flaky else "",
        "plays": [p.effect or p.not_judged for p in row.plays],
        "books": list(books(row)),
        "questions": question_words(row.questions),
        "standing": row.standing if "baseline" in row.standing else "",
    }


def _tone(row: ReportedRow) -> str:
    if row.effect == Effect.NONE.value:
        return "good"
    return "bad" if row.effect and row.standing in _BAD else "open"
