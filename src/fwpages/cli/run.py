"""``fwpages run``: a whole life of a device."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fwpages.cli.files import read_input, written
from fwpages.custody.accounts import SessionAccount
from fwpages.host import WantedMode
from fwpages.pages.words import many
from fwpages.readers.trace import TraceWriter
from fwpages.report.host_accounts import report_of
from fwpages.report.tables import show
from fwpages.scenario import RunResult, Scenario, ScenarioError, ScenarioRun, about, load
from fwpages.scenario.fault_syntax import EVERY_FAULT, fault
from fwpages.scenario.format import Step
from fwpages.scenario.topology import device_profile


class RunReport(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """What ``run --json`` prints: the sessions as an audit has them, and how the life went."""

    schema_: str = "run/1"
    scenario: str
    mode: str
    seed: int | None
    clean: bool
    verdict: str
    commands: int
    seconds: float
    failed: list[dict[str, str]]
    faults: list[str]
    missed: list[str]
    skipped: list[str]
    sessions: list[SessionAccount]


@click.command("run", short_help="Bring a device up on the embedded firmware and live a scenario with it.")
@click.argument("scenario", default="connectx7")
@click.option(
    "--mode",
    type=click.Choice(["auto", "func_id", "vhca_id"]),
    default="auto",
    show_default=True,
    help="How functions are named; auto takes VHCA_ID where the device offers it.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Shuffle the order in which firmware returns pages.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[@N][xTIMES]",
    help="Let something go wrong at its N-th opportunity (`fwpages list faults`); may be given more than once.",
)
@click.option(
    "--link",
    type=click.Choice(["direct", "queue"]),
    default="direct",
    show_default=True,
    help="What joins host and firmware: values handed over, or the command queue, where everything is bytes.",
)
@click.option("--trace", type=click.Path(dir_okay=False, path_type=Path), help="Write every command and event here.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    scenario: str,
    mode: WantedMode,
    seed: int | None,
    faults: tuple[str, ...],
    link: str,
    trace: Path | None,
    as_json: bool,
) -> int:
    """Live SCENARIO (a name from `fwpages list scenarios`, a TOML file, or - for standard input)."""
    if not scenario:
        raise click.UsageError("SCENARIO is empty; expected a name from `fwpages list scenarios`, a TOML file, or -")
    try:
        plan = load(scenario, text=read_input() if scenario == "-" else None)
        options = {"mode": mode, "seed": seed, "faults": [fault(f) for f in faults], "link": link}
        with ExitStack() as stack, about(scenario):
            result = _live(plan, options, trace, stack, quiet=as_json)
    except ScenarioError as e:
        raise click.UsageError(str(e)) from None
    report = report_of(plan.device.profile, result.sessions, result.offences, result.excused)
    clean = result.clean and report.clean
    verdict = _verdict(result, report.sessions, clean=clean)
    if as_json:
        out = RunReport(
            scenario=scenario,
            mode=mode,
            seed=seed,
            clean=clean,
            verdict=verdict,
            commands=result.commands,
            seconds=round(result.seconds, 6),
            failed=[{"operation": d.operation, "detail": d.detail} for d in result.failed],
            faults=list(result.faults),
            missed=list(result.missed),
            skipped=list(result.skipped),
            sessions=report.sessions,
        )
        click.echo(msgspec.json.encode(out))
    else:
        console = Console()
        show(report, console)
        console.print()
        for line in _asides(result):
            console.print(line, markup=False, emoji=False, highlight=False, soft_wrap=True)
        style = "bold green" if clean else "bold red"
        console.print(verdict, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)
    return 0 if clean else 1


def _live(plan: Scenario, options: dict[str, Any], trace: Path | None, stack: ExitStack, *, quiet: bool) -> RunResult:
    bar = stack.enter_context(
        Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=quiet or not sys.stderr.isatty(),
        )
    )
    task = bar.add_task("start", total=len(plan.step))

    def on_step(_: int, step: Step) -> None:
        subject = getattr(step, "function", "")
        bar.update(task, advance=1, description=f"{step.__struct_config__.tag} {subject}")

    if trace is None:
        return ScenarioRun(plan, on_step=on_step, **options).run()
    # the scenario is looked at before anything is written
    ScenarioRun(plan, **options)
    with written("--trace", trace) as stream:
        writer = TraceWriter(stream, device=plan.device.profile, supplier=device_profile(plan).supplier)
        result = ScenarioRun(plan, tap=writer, on_step=on_step, **options).run()
        writer.end()
    return result


def _asides(result: RunResult) -> list[str]:
    """What the tables do not tell: what failed, what was not done, and what went wrong on purpose or should have."""
    lines = [f"failed: {d.operation}: {d.detail}" for d in result.failed]
    for what in result.missed:
        name = what.removeprefix("fault ")
        lines.append(f"never happened: {what}" if name == what else f"fault never struck: {name}")
    lines += [f"could not be done: {step}" for step in result.skipped]
    counts = Counter(result.faults)
    return lines + [f"fault: {name}: {EVERY_FAULT[name][0]} ({_times(n)})" for name, n in counts.items()]


def _verdict(result: RunResult, sessions: list[SessionAccount], *, clean: bool) -> str:
    given = sum(s.totals.given or 0 for s in sessions)
    held = sum((s.totals.held or 0) + (s.totals.doubtful or 0) for s in sessions)
    what = f"{many(len(sessions), 'session')}, {many(result.commands, 'command')}, {many(given)} given"
    if clean:
        return f"clean: {what}, every one accounted for"
    wrong = many(sum(len(s.findings) for s in sessions), "finding")
    return f"not clean: {what}, {held:,} not back, {wrong}, {many(len(result.failed), 'failed operation')}"


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n:,} times"
