"""A campaign as JUnit XML: a case for each row. What is not judged is an error, what the baseline has is skipped."""

from __future__ import annotations

from collections.abc import Iterator

from fwpages.report.junit import Case, Result, Suite
from fwpages.trial.effects import Effect
from fwpages.trial.plain import books
from fwpages.trial.report import ReportedRow, TrialReport
from fwpages.trial.standing import StandingKind


def of_trial(report: TrialReport) -> Iterator[Suite]:
    """The suite of this report."""
    yield Suite(f"Linux {report.versions.kernel or 'not known'}", [_case(row) for row in report.rows])


def _case(row: ReportedRow) -> Case:
    result = _result(row)
    text = "\n".join(
        [
            *(f"the device, on purpose: {words}" for words in row.on_purpose),
            *(f"{e.effect}: {e.detail}" for e in row.effects),
            *(f"the driver: {words}" for words in row.driver_did),
            *books(row),
        ]
    )
    if result is Result.PASSED:
        return Case(name=row.name, text=text)
    not_judged = f"{row.not_judged}{f': {row.why}' if row.why else ''}"
    message = row.title if row.effect else not_judged
    if result is Result.SKIPPED:
        return Case(name=row.name, result=result, message=f"{row.standing}: {message}", text=text)
    kind = row.effect or "not judged"
    return Case(name=row.name, result=result, kind=kind, message=f"{kind}: {message}", text=text)


def _result(row: ReportedRow) -> Result:
    """A row passes where it was judged and nothing was seen; an effect that the baseline has is no failure of now."""
    if row.standing == StandingKind.NOT_JUDGED.value:
        return Result.ERROR
    if row.effect == Effect.NONE.value:
        return Result.PASSED
    known = row.standing in (StandingKind.KNOWN.value, StandingKind.BETTER.value)
    return Result.SKIPPED if known else Result.FAILED
