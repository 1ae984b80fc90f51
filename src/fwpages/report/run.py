"""The report of a run: its verdict, as JSON and as lines below the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
from rich.console import Console

from fwpages.custody.accounts import Missing, Report, SessionAccount, Verdict
from fwpages.device import PlannedFault
from fwpages.pages.words import in_mib, many, times
from fwpages.report.host_accounts import report_of
from fwpages.report.tables import STYLES, show
from fwpages.report.width import fold, width_of
from fwpages.scenario import RunResult
from fwpages.scenario.fault_syntax import EVERY_FAULT, text
from fwpages.scenario.run_books import FailedOperation


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
    failed: list[FailedOperation]
    faults: list[str]
    missed: list[str]
    skipped: list[str]
    sessions: list[SessionAccount]


def run_report(result: RunResult, *, scenario: str, device: str, mode: str, seed: int | None) -> RunReport:
    """Report a run of ``scenario`` on the profile ``device``."""
    report = report_of(
        device, result.sessions, result.offences, result.excused, result.supplier, result.names, result.timelines
    )
    verdict = result.verdict
    return RunReport(
        scenario=scenario,
        mode=mode,
        seed=seed,
        verdict=verdict,
        clean=verdict.clean,
        missing=missing_of(result) if verdict is Verdict.NOT_KNOWN else [],
        summary=summary_of(result, report.sessions, verdict),
        commands=result.commands,
        seconds=round(result.seconds, 6),
        failed=list(result.failed),
        faults=list(result.faults),
        missed=missed_words(result.missed_steps, result.missed_faults),
        skipped=[str(s) for s in result.skipped],
        sessions=report.sessions,
    )


def show_run(
    sessions: list[SessionAccount], result: RunResult, verdict: Verdict, summary: str, console: Console
) -> None:
    """Print the tables of the sessions, what did not go as asked, the faults, and the verdict with its sentence."""
    if sessions:
        show(Report.of(sessions), console)
    console.print()
    for line in lines_of(result):
        say(console, line)
    say(console, summary, STYLES[verdict])


def say(console: Console, words: str, style: str = "") -> None:
    """Print a line, folded to the width of the console."""
    lines = fold(words, width_of(console.file), 2)
    console.print(lines, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)


def lines_of(result: RunResult) -> list[str]:
    """The lines below the tables: failed operations, steps and faults that did not happen, and faults that did."""
    lines = [f"failed: {d.operation}: {d.detail}" for d in result.failed]
    lines += never_happened(result.missed_steps, result.missed_faults)
    lines += [f"could not be done: {step}" for step in result.skipped]
    return lines + [
        f"fault: {name}: {EVERY_FAULT[name].words} ({times(n)})" for name, n in Counter(result.faults).items()
    ]


def never_happened(steps: Iterable[object], faults: Iterable[PlannedFault]) -> list[str]:
    """Lines about the steps and the faults that never happened."""
    return [f"never happened: {s}" for s in steps] + [f"fault never injected: {text(f)}" for f in faults]


def missed_words(steps: Iterable[object], faults: Iterable[PlannedFault]) -> list[str]:
    """The same as JSON has it: ``step[2] (wait)``, ``fault take-nothing@9``."""
    return [*map(str, steps), *(f"fault {text(f)}" for f in faults)]


def missing_of(result: RunResult) -> list[Missing]:
    """Events of the run itself without which the verdict is not known."""
    lacks = [
        Missing(what=f"{what}, which never happened")
        for what in missed_words(result.missed_steps, result.missed_faults)
    ]
    return lacks if result.sessions else [*lacks, Missing(what="a session: no step opened the device")]


def summary_of(result: RunResult, sessions: list[SessionAccount], verdict: Verdict) -> str:
    """The verdict of the whole run in a sentence."""
    given = sum(s.totals.given or 0 for s in sessions)
    out = sum((s.totals.held or 0) + (s.totals.doubtful or 0) for s in sessions)
    held = in_mib(out)
    what = f"{many(len(sessions), 'session')}, {many(result.commands, 'command')}, {in_mib(given)} given"
    match verdict:
        case Verdict.CLEAN:
            return f"clean: {what}, every one accounted for"
        case Verdict.CONSISTENT:
            return f"consistent so far: {what}, {held} held"
        case Verdict.NOT_KNOWN:
            return f"not known: {what}, {held} not back, {len(result.missed)} never happened"
        case Verdict.FINDINGS:
            wrong = many(sum(len(s.findings) for s in sessions), "finding")
            return f"not clean: {what}, {held} not back, {wrong}, {many(len(result.failed), 'failed operation')}"
