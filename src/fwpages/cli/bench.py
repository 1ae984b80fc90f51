"""``fwpages bench``: the cost of a page on this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fwpages.bench.cases import chosen
from fwpages.bench.report import table
from fwpages.bench.rounds import LEAST_ROUNDS, Peer, Report, Result, timed
from fwpages.bench.shape import Case
from fwpages.cli import names
from fwpages.cli.names import Name
from fwpages.report.grids import print_whole
from fwpages.report.width import width_of

#: of a table that is not on a terminal: without peers, and with them
_COLUMNS, _WIDE = 100, 120


@click.command("bench")
@click.option(
    "--case",
    "cases",
    multiple=True,
    type=Name(names.cases),
    metavar="CASE",
    help="Only this case, or those that begin so (ledger).",
)
@click.option(
    "--rounds", type=click.IntRange(LEAST_ROUNDS, 1000), default=LEAST_ROUNDS, show_default=True, help="Of each case."
)
@click.option("--json", "as_json", is_flag=True, help='Print {"schema": "bench/1", …}.')
def command(cases: tuple[str, ...], rounds: int, as_json: bool) -> int:
    """Every check is on. The figures are medians of rounds; compare them within one run.

    `fwpages list cases` shows the cases. `make bench` in the project's sources runs them beside Linux's own allocator.
    """
    try:
        asked = chosen(cases)
    except ValueError as e:
        raise click.UsageError(str(e)) from None
    run(asked, rounds, (), as_json=as_json)
    return 0


def run(cases: Sequence[Case], rounds: int, peers: Sequence[Peer], *, as_json: bool) -> list[Result]:
    """Time the cases with a bar on a terminal, and print the results."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("", total=len(cases) * (rounds + 1))
        results = timed(cases, rounds, peers, lambda case: bar.update(task, advance=1, description=case.name))
    if as_json:
        click.echo(msgspec.json.encode(Report(rounds, results)).decode())
    else:
        # a table in a pipe must not be cut off
        width = width_of(sys.stdout) or (_WIDE if peers else _COLUMNS)
        print_whole(table(results, rounds), Console(width=width))
    return results
