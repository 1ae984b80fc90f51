"""``fwpages run``: a scenario with our own driver on the embedded firmware."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fwpages.cli import names
from fwpages.cli.exits import exit_code
from fwpages.cli.files import read_input, written
from fwpages.cli.junit import Junit, junit_option
from fwpages.cli.names import Name, OneOf
from fwpages.host import WantedMode
from fwpages.readers.trace_writer import TraceWriter
from fwpages.report.junit import of_run
from fwpages.report.run import run_report, show_run
from fwpages.scenario import RunResult, Scenario, ScenarioError, ScenarioRun, about, load
from fwpages.scenario.fault_scenarios import default_scenario
from fwpages.scenario.fault_syntax import fault
from fwpages.scenario.format import Step
from fwpages.scenario.topology import device_profile, functions, names_of


@click.command("run")
@click.argument("scenario", required=False, type=Name(names.scenarios, files=True))
@click.option(
    "--mode",
    type=OneOf(["auto", "func_id", "vhca_id"]),
    default="auto",
    show_default=True,
    help="How functions are named; auto takes VHCA_ID where the device offers it.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Shuffle the order in which firmware returns pages.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=Name(names.faults),
    metavar="NAME[@WHEN][xTIMES]",
    help="Let something go wrong (`fwpages list faults`): at its WHEN-th opportunity, or at its first at boot, init, "
    "runtime or teardown; may be given more than once.",
)
@click.option(
    "--link",
    type=OneOf(["direct", "queue"]),
    default="direct",
    show_default=True,
    help="What joins host and firmware: values handed over, or the command queue, where everything is bytes.",
)
@click.option("--trace", type=click.Path(dir_okay=False, path_type=Path), help="Write every command and event here.")
@junit_option("run")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    scenario: str | None,
    mode: WantedMode,
    seed: int | None,
    faults: tuple[str, ...],
    link: Literal["direct", "queue"],
    trace: Path | None,
    as_json: bool,
    junit: Junit,
) -> int:
    """SCENARIO: a name from `fwpages list scenarios`, a TOML file, or - for standard input.

    Exit code: 0 clean, or open and consistent so far, 1 something is wrong on either side, 2 misuse, 4 not known: a
    step or a fault never happened.
    """
    if scenario == "":
        raise click.UsageError("SCENARIO is empty; expected a name from `fwpages list scenarios`, a TOML file, or -")
    try:
        wrong = [fault(f) for f in faults]
        scenario = default_scenario(wrong) if scenario is None else scenario
        plan = load(scenario, text=read_input() if scenario == "-" else None)
        run = partial(ScenarioRun, plan, mode=mode, seed=seed, faults=wrong, link=link)
        with about(scenario), _progress(plan, quiet=as_json) as on_step:
            result = run(on_step=on_step).run() if trace is None else _traced(run, plan, trace, on_step)
    except ScenarioError as e:
        raise click.UsageError(str(e)) from None
    report = run_report(result, scenario=scenario, device=plan.device.profile, mode=mode, seed=seed)
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        show_run(report.sessions, result, report.verdict, report.summary, Console())
    junit(of_run(report))
    return exit_code(report.verdict)


def _traced(
    run: Callable[..., ScenarioRun], plan: Scenario, path: Path, on_step: Callable[[int, Step], None]
) -> RunResult:
    run()  # the scenario is looked at before anything is written
    with written("--trace", path) as stream:
        profile = device_profile(plan)
        names = names_of(functions(plan, profile))
        writer = TraceWriter(stream, device=plan.device.profile, supplier=profile.supplier, names=names)
        result = run(tap=writer, on_step=on_step).run()
        writer.end()
    return result


@contextmanager
def _progress(plan: Scenario, *, quiet: bool) -> Iterator[Callable[[int, Step], None]]:
    """A bar on a terminal, which each step moves on."""
    with Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=quiet or not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("start", total=len(plan.step))

        def on_step(_: int, step: Step) -> None:
            bar.update(task, advance=1, description=f"{step.kind} {getattr(step, 'function', '')}")

        yield on_step
