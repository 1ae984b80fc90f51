"""``fwpages explore``: every order of events of a small world."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import click
import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fwpages.cli import names
from fwpages.cli.files import read_input, written
from fwpages.cli.junit import Junit, junit_option
from fwpages.cli.names import Name, OneOf
from fwpages.explore.check.checkpoint import CheckpointError, checkpointed
from fwpages.explore.check.random_walks import Walks, random_walks
from fwpages.explore.check.replay import decode, walk
from fwpages.explore.check.search import Alone, Crew, Outcome, search
from fwpages.explore.check.stats import Stats
from fwpages.explore.check.workers import WorkerError, cluster, memory, processes
from fwpages.explore.designs import DESIGNS
from fwpages.explore.model.bounds import bounded
from fwpages.explore.model.library import load
from fwpages.explore.model.spec import Spec
from fwpages.explore.show.costs import Pace, show_stats
from fwpages.explore.show.junit import of_exploration
from fwpages.explore.show.narrative import Step, narrate
from fwpages.explore.show.page import exploration_page, replay_page
from fwpages.explore.show.paths import Found, ShownPath, chosen, replayed_path
from fwpages.explore.show.record import record
from fwpages.explore.show.report import replayed, searched, walked
from fwpages.explore.show.svg import svg
from fwpages.explore.show.tables import REDUCTIONS, show, show_replay
from fwpages.pages.words import many
from fwpages.report.grids import readable
from fwpages.report.html_page import NotInstalledError, check_installed
from fwpages.scenario import ScenarioError, about
from fwpages.scenario.assumptions import ASSUMPTIONS

#: more than this many worker processes of one machine only wait for the one that keeps the keys
MAX_WORKERS = 256


@click.command("explore")
@click.argument("world", type=Name(names.worlds, files=True))
@click.option(
    "--design",
    type=OneOf(list(DESIGNS)),
    help="The driver: Linux's patch as posted, Linux as merged, or ours.  [default: fwpages]",
)
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    type=Name(names.bounds),
    metavar="K=V",
    help="Set a key of [bounds], or an assumption to on or off; may be given more than once.",
)
@click.option("--random", "walks", type=click.IntRange(1, 10**9), metavar="N", help="Walk N times at random instead.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="For --random: another seed than 0.")
@click.option("--replay", metavar="S", help="Walk the path of this replay string, and show it.")
@click.option(
    "--trace",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the path as a trace for `fwpages audit`.",
)
@click.option(
    "--svg",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the path into this file.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write verdicts, charts and a world to click through as a page.",
)
@click.option("--whole", is_flag=True, help="Show the start-up's steps too.")
@click.option("--workers", type=click.IntRange(1, MAX_WORKERS), default=1, show_default=True, help="Processes.")
@click.option("--cluster", "address", metavar="ADDRESS", help="Search on a Dask cluster: its scheduler's address.")
@click.option(
    "--checkpoint",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the search to this directory as it goes, and go on with the one that is there.",
)
@click.option(
    "--reduce",
    "reductions",
    multiple=True,
    type=OneOf(list(REDUCTIONS)),
    help="Search fewer states: those that differ only in the order of moves that commute are one.",
)
@click.option("--stats", "costs", is_flag=True, help="Also show what moves and properties cost.")
@junit_option("explore")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    world: str,
    design: str | None,
    bounds: tuple[str, ...],
    walks: int | None,
    seed: int | None,
    replay: str | None,
    trace: Path | None,
    picture: Path | None,
    page: Path | None,
    whole: bool,
    workers: int,
    address: str | None,
    directory: Path | None,
    reductions: tuple[str, ...],
    costs: bool,
    as_json: bool,
    junit: Junit,
) -> int:
    """WORLD: a name from `fwpages list worlds`, a TOML file, or - for standard input.

    The path of --trace and --svg is that of --replay; without it, a shortest counterexample, or, where nothing is
    broken, the one to the farthest point of the world.

    Exit code: 0 everything holds, 1 something is broken, not settled or never reached, 2 misuse. With --random, 0 says
    that nothing broken was met.
    """
    given = {"--random": walks, "--replay": replay, "--cluster": address, "--workers": workers if workers > 1 else None}
    _consistent(given, directory, seed, reduced=bool(reductions))
    stats = _stats(costs, given, as_json=as_json)
    files = {"--trace": trace, "--svg": picture, "--html": page}
    with _told():
        if page is not None:
            check_installed()
        again, text = _command(world, bounds), read_input() if world == "-" else None
        spec = bounded(Spec(world, load(world, text), design or "fwpages", commuting=bool(reductions)), bounds)
        with about(world):
            spec.build()  # an error of the file is reported with its name, before anything is done with it
        with _opened(files) as outputs:
            if replay is not None:
                return _replay(spec, replay, design, outputs, junit, whole=whole, as_json=as_json)
            with _progress(as_json) as show_progress:
                found: Found = (
                    _search(spec, _crew(spec, workers, address, stats), directory, show_progress)
                    if walks is None
                    else _walks(spec, walks, seed or 0, show_progress)
                )
            report = searched(found) if isinstance(found, Outcome) else walked(found)
            if outputs.streams:
                shown = chosen(report, found)
                outputs.write(shown, lambda: exploration_page(report, found, again, whole=whole), whole=whole)
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        show(report, Console(), lambda s: _steps(*decode(spec, s)), again, whole=whole)
        if stats is not None:
            show_stats(stats, readable(Console()))
    junit(of_exploration(report))
    return 0 if report.fine else 1


@contextmanager
def _told() -> Iterator[None]:
    """Raise the errors of worlds, checkpoints and workers as those of the command line."""
    try:
        yield
    except ScenarioError as e:
        raise click.UsageError(str(e)) from None
    except CheckpointError as e:
        raise click.UsageError(f"--checkpoint: {e}") from None
    except (WorkerError, NotInstalledError) as e:
        raise click.ClickException(str(e)) from None


def _stats(asked: bool, given: Mapping[str, object], *, as_json: bool) -> Stats | None:
    """Costs to be counted, where they are asked for."""
    if not asked:
        return None
    other = [name for name, value in {**given, "--json": as_json or None}.items() if value is not None]
    if other:
        raise click.UsageError(f"--stats and {other[0]} exclude each other: it is of a search in this process, as text")
    return Stats()


def _consistent(modes: Mapping[str, object], directory: Path | None, seed: int | None, *, reduced: bool) -> None:
    """Refuse options that exclude each other, and those that go with others which are not there."""
    given = [name for name, value in modes.items() if value is not None]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} exclude each other")
    for name, there in {"--checkpoint": directory is not None, "--reduce": reduced}.items():
        if there and ("--random" in given or "--replay" in given):
            raise click.UsageError(f"{name} is of a search: neither --random nor --replay makes one")
    if seed is not None and "--random" not in given:
        raise click.UsageError("--seed goes with --random")


@dataclass(frozen=True, slots=True)
class _Outputs:
    """The files that were asked for, open, each by its option."""

    streams: Mapping[str, TextIO]

    def write(self, shown: ShownPath, page: Callable[[], str], *, whole: bool) -> None:
        """Write the path, or the page, into each file."""
        for option, stream in self.streams.items():
            if option == "--trace":
                record(shown.spec, shown.path, stream)
            elif option == "--html":
                stream.write(page())
            else:
                stream.write(svg(shown.steps, shown.title, shown.broken, whole=whole))


@contextmanager
def _opened(files: Mapping[str, Path | None]) -> Iterator[_Outputs]:
    """Open the files of these options before the search, which may be long: one that cannot be is refused at once."""
    named: dict[Path, str] = {}
    with ExitStack() as stack:
        streams = {}
        for option, path in files.items():
            if path is None:
                continue
            if path in named:
                raise click.UsageError(f"{named[path]} and {option} both name {path}")
            named[path] = option
            streams[option] = stack.enter_context(written(option, path))
        yield _Outputs(streams)


def _walks(spec: Spec, walks: int, seed: int, show_progress: Callable[[str], None]) -> Walks:
    return random_walks(spec, walks, seed, watch=lambda n, steps: show_progress(f"{n:,} walks, {steps:,} steps"))


def _search(
    spec: Spec,
    crew: AbstractContextManager[Crew],
    directory: Path | None,
    show_progress: Callable[[str], None],
) -> Outcome:
    pace = Pace()

    def watch(level: int, states: int, _: int, ahead: int) -> None:
        show_progress(pace.words(time.monotonic(), level - 1, states, ahead, memory()))

    with ExitStack() as stack:
        checkpoint = None if directory is None else stack.enter_context(checkpointed(directory, spec))
        if checkpoint is not None and checkpoint.progress is not None:
            done = checkpoint.progress
            click.echo(
                f"{directory}: going on at step {len(done.levels) - 1:,}, {many(done.states, 'state')}", err=True
            )
        try:
            return search(spec, crew=stack.enter_context(crew), watch=watch, checkpoint=checkpoint)
        except KeyboardInterrupt:
            if directory is not None:
                click.echo(f"{directory} has the search up to here: the same command goes on", err=True)
            raise


def _crew(spec: Spec, workers: int, address: str | None, stats: Stats | None) -> AbstractContextManager[Crew]:
    """Those who make the search."""
    if address is not None:
        return cluster(spec, address)
    return nullcontext(Alone(spec, stats=stats)) if workers == 1 else processes(spec, workers)


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show the progress on a terminal; if it is interrupted, also how far it came."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=quiet or not sys.stderr.isatty(),
    )
    task = bar.add_task("at the start", total=None)
    try:
        with bar:
            yield lambda words: bar.update(task, description=words)
    except KeyboardInterrupt:
        click.echo(f"so far: {bar.tasks[task].description}", err=True)
        raise


def _replay(
    spec: Spec, text: str, design: str | None, outputs: _Outputs, junit: Junit, *, whole: bool, as_json: bool
) -> int:
    """Walk a replay string, show it, and write the files that were asked for."""
    its, path = decode(spec, text)
    _check_replay(spec, its, design)
    report = replayed(its, path)
    shown = replayed_path(its, path, report)
    outputs.write(shown, lambda: replay_page(report, shown, whole=whole), whole=whole)
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        show_replay(report, Console(), shown.steps, whole=whole)
    junit(of_exploration(report))
    return 0 if report.fine else 1


def _check_replay(asked: Spec, made: Spec, design: str | None) -> None:
    """ScenarioError where a replay string was made for another world than the options ask for."""
    if design not in (None, made.design):
        raise ScenarioError(f"replay: the string was made for --design {made.design}, not {design}")
    for name, value in asked.overrides.items():
        if made.rules().assume[name] is not value:
            raise ScenarioError(f"replay: the string was made with another {name}")


def _steps(spec: Spec, path: tuple[int, ...]) -> Sequence[Step]:
    return narrate(walk(spec, path))


def _command(world: str, bounds: Sequence[str]) -> str:
    """The command line of a replay, without the string; the design and the assumptions are in the string."""
    options = [f"--bound {shlex.quote(b)}" for b in bounds if b.partition("=")[0].strip() not in ASSUMPTIONS]
    return " ".join(["fwpages explore", shlex.quote(world), *options])
