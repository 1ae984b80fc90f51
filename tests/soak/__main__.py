"""``python -m tests.soak``: runs from seed to seed until so many page requests were made, or the time is over."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from fwpages.host import WantedMode
from fwpages.scenario import Scenario, ScenarioError
from tests.soak.random_scenarios import RunError, carry_out, scenario
from tests.soak.shrink import shrink, toml


def _fails(plan: Scenario, mode: WantedMode, error: Exception) -> bool:
    """The same goes wrong: an error of the same kind, and of a run that is not clean with the same findings."""
    try:
        carry_out(plan, mode)
    except ScenarioError:
        return False
    except Exception as e:
        return type(e) is type(error) and (not isinstance(e, RunError) or e.args[0] == error.args[0])
    return False


def _report(seed: int, plan: Scenario, mode: WantedMode, error: Exception, where: Path) -> None:
    small = shrink(plan, lambda p: _fails(p, mode, error))
    where.write_text(f"# seed {seed}: {type(error).__name__}\n" + toml(small), encoding="utf-8")
    print(
        f"seed {seed}: {type(error).__name__}: {error}\nrun it again: fwpages run {where} --mode {mode}",
        file=sys.stderr,
    )


@click.command()
@click.option("--requests", default=1_000_000, show_default=True, help="End after so many page requests.")
@click.option("--minutes", type=float, help="End after so many minutes.")
@click.option("--seed", default=1, show_default=True, help="The first seed.")
@click.option("--steps", default=300, show_default=True, help="Steps of a run.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("soak-failure.toml"), help="Where a failure goes."
)
def main(requests: int, minutes: float | None, seed: int, steps: int, output: Path) -> None:
    """Random runs with faults, every invariant looked at after every input."""
    start, made, runs, injected = time.monotonic(), 0, 0, 0
    console = Console(stderr=True)
    with console.status("soaking") as status:
        while made < requests and (minutes is None or time.monotonic() - start < minutes * 60):
            plan, mode = scenario(seed, steps)
            try:
                result, n = carry_out(plan, mode)
            except Exception as e:
                _report(seed, plan, mode, e, output)
                raise SystemExit(1) from None
            made, runs, injected, seed = made + n, runs + 1, injected + len(result.faults), seed + 1
            status.update(f"{made:,} page requests in {runs:,} runs, {injected:,} faults took effect")
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{made:,} page requests in {runs:,} runs, {injected:,} faults took effect, nothing lost: "
        f"{seconds:.0f} s, {made / seconds:,.0f} requests/s, {peak:.0f} MiB at most"
    )


if __name__ == "__main__":
    main()
