"""The review as JUnit XML: a suite for each question, a case for each design and assumption."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fwpages.explore.review.answers import Answer, Verdict
from fwpages.explore.review.report import changed, words
from fwpages.report.junit import Case, Result, Suite

#: the design that the command judges; the others are those that it is compared with
OURS = "fwpages"


def of_review(answers: Sequence[Answer]) -> Iterator[Suite]:
    """The suites of these answers."""
    for a in answers:
        cases = [_case(v, design == OURS) for design, verdicts in a.verdicts.items() for v in verdicts]
        yield Suite(f"{a.question.number} {a.question.title}", cases)


def _case(v: Verdict, ours: bool) -> Case:
    name = f"{v.design}, {changed(v)}" if v.changed else v.design
    lines = [f"{words(v)}: {v.seen}" if v.seen else words(v), *v.steps]
    lines += [f"fwpages explore {v.world} --replay {v.replay}"] if v.replay else []
    text = "\n".join(lines)
    result = _result(v, ours)
    if result is Result.PASSED:
        return Case(name=name, text=text)
    if result is Result.SKIPPED:
        return Case(name=name, result=result, message=lines[0], text=text)
    return Case(name=name, result=result, kind=v.broken or "not settled", message=lines[0], text=text)


def _result(v: Verdict, ours: bool) -> Result:
    """A question passes if the event that it asks about cannot happen; where it can, our own design fails.

    Another design's is skipped, as the command judges ours alone; so is what does not arise.
    """
    if v.settled and not v.reachable:
        return Result.SKIPPED if v.moot else Result.PASSED
    if not ours:
        return Result.SKIPPED
    return Result.FAILED if v.reachable else Result.ERROR
