"""An exploration as JUnit XML: a case for each property of the world."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fwpages.explore.show.report import ExploreReport, PropertyReport, ReplayReport, ReportStep
from fwpages.report.junit import Case, Result, Suite


def of_exploration(report: ExploreReport | ReplayReport) -> Iterator[Suite]:
    """The suite of a world, driven by a design."""
    name = f"{report.world} {report.design}"
    if isinstance(report, ReplayReport):
        yield Suite(name, list(_replay(report)))
    else:
        yield Suite(name, [_property(p, report) for p in report.properties])


def _property(p: PropertyReport, report: ExploreReport) -> Case:
    """A property that does not hold, or was never reached, is a failure; one that is not settled is an error.

    Random walks cannot settle a property: one that they did not see broken is skipped.
    """
    name = f"{p.kind} {p.name}"
    if p.verdict in ("holds", "reached"):
        return Case(name=name, text=p.words)
    if p.verdict == "open":
        result = Result.SKIPPED if report.mode == "random" else Result.ERROR
        return Case(name=name, result=result, kind="open", message=f"not settled: {p.why}", text=p.words)
    lines = [p.words, *([f"seen: {p.seen}"] if p.seen else []), *_steps(p.steps)]
    lines += ["and for ever:", *_steps(p.loop)] if p.loop else []
    lines += [f"fwpages explore {report.world} --replay {p.replay}"] if p.replay else []
    message = f"never reached: {p.words}" if p.verdict == "missed" else p.seen or p.words
    return Case(name=name, result=Result.FAILED, kind=p.name, message=message, text="\n".join(lines))


def _replay(report: ReplayReport) -> Iterator[Case]:
    """The properties that do not hold at the end of a path, and the goals that do not come any more; else the path."""
    steps = "\n".join(_steps(report.steps))
    wrong = report.broken | {name: report.unmet[name] for name in report.never if name in report.unmet}
    for name, what in wrong.items():
        yield Case(name=name, result=Result.FAILED, kind=name, message=what, text=f"{what}\n{steps}")
    if not wrong:
        yield Case(name="replay", text=steps)


def _steps(steps: Iterable[ReportStep]) -> list[str]:
    return [f"{s.number:>4}  {s.actor}: {s.words}" for s in steps]
