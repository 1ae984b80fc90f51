"""The report of a run: its verdict, as JSON and as lines below the tables."""

from __future__ import annotations

from collections import Counter

import msgspec
from rich.console import Console

from fwpages.custody.accounts import Missing, Report, SessionAccount, Verdict
from fwpages.pages.words import many
from fwpages.report.host_accounts import report_of
from fwpages.report.tables import STYLES, show
from fwpages.report.width import fold, width_of
from fwpages.scenario import RunResult
from fwpages.scenario.fault_syntax import EVERY_FAULT


class RunReport(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The result of ``run --json``: the sessions as an audit has them, and what else happened in the run.

    ``missing`` is what makes the verdict *not known*, apart from what the sessions lack; ``summary`` is a sentence.
    """

    schema_: str = "run/2"
    scenario: str
    mode: str
    seed: int | None
    verdict: Verdict
    clean: bool | None
    missing: list[Missing]
    summary: str
    commands: int
    seconds: float
    failed: list[dict[str, str]]
    faults: list[str]
    missed: list[str]
    skipped: list[str]
    sessions: list[SessionAccount]


def run_report(result: RunResult, *, scenario: str, device: str, mode: str, seed: int | None) -> RunReport:
    """Report a run of ``scenario`` on the profile ``device``."""
    report = report_of(device, result.sessions, result.offences, result.excused)
    verdict = result.verdict
    return RunReport(
        scenario=scenario,
        mode=mode,
        seed=seed,
        verdict=verdict,
        clean=verdict.clean,
        missing=_missing(result) if verdict is Verdict.NOT_KNOWN else [],
        summary=_summary(result, report.sessions, verdict),
        commands=result.commands,
        seconds=round(result.seconds, 6),
        failed=[{"operation": d.operation, "detail": d.detail} for d in result.failed],
        faults=list(result.faults),
        missed=list(result.missed),
        skipped=list(result.skipped),
        sessions=report.sessions,
    )


def show_run(report: RunReport, console: Console) -> None:
    """Print the tables of the sessions, what did not go as asked, the faults, and the verdict."""
    if report.sessions:
        show(Report.of(report.sessions), console)
    console.print()
    for line in _lines(report):
        _say(console, line)
    _say(console, report.summary, STYLES[report.verdict])


def _say(console: Console, words: str, style: str = "") -> None:
    lines = fold(words, width_of(console.file), 2)
    console.print(lines, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)


def _lines(report: RunReport) -> list[str]:
    """The lines below the tables: failed operations, steps and faults that did not happen, and faults that did."""
    lines = [f"failed: {d['operation']}: {d['detail']}" for d in report.failed]
    lines += [never_happened(what) for what in report.missed]
    lines += [f"could not be done: {step}" for step in report.skipped]
    return lines + [
        f"fault: {name}: {EVERY_FAULT[name].words} ({_times(n)})" for name, n in Counter(report.faults).items()
    ]


def never_happened(what: str) -> str:
    """A line about a step, or a fault ("fault NAME"), that never happened."""
    name = what.removeprefix("fault ")
    return f"never happened: {what}" if name == what else f"fault never injected: {name}"


def _missing(result: RunResult) -> list[Missing]:
    """Events of the run itself without which the verdict is not known."""
    lacks = [Missing(what=f"{what}, which never happened") for what in result.missed]
    return lacks if result.sessions else [*lacks, Missing(what="a session: no step opened the device")]


def _summary(result: RunResult, sessions: list[SessionAccount], verdict: Verdict) -> str:
    given = sum(s.totals.given or 0 for s in sessions)
    held = sum((s.totals.held or 0) + (s.totals.doubtful or 0) for s in sessions)
    what = f"{many(len(sessions), 'session')}, {many(result.commands, 'command')}, {many(given)} given"
    match verdict:
        case Verdict.CLEAN:
            return f"clean: {what}, every one accounted for"
        case Verdict.CONSISTENT:
            return f"consistent so far: {what}, {held:,} held"
        case Verdict.NOT_KNOWN:
            return f"not known: {what}, {held:,} not back, {len(result.missed)} never happened"
        case Verdict.FINDINGS:
            wrong = many(sum(len(s.findings) for s in sessions), "finding")
            return f"not clean: {what}, {held:,} not back, {wrong}, {many(len(result.failed), 'failed operation')}"


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n:,} times"
