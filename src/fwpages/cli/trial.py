"""``fwpages trial``: an unmodified kernel's driver under every fault, judged from both sides."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TextIO

import click
import msgspec

from fwpages.cli import names
from fwpages.cli.files import written
from fwpages.cli.junit import Junit, junit_option
from fwpages.cli.names import Name, OneOf
from fwpages.cli.progress import playing
from fwpages.cli.streams import complain
from fwpages.cli.trial_replay import replayed
from fwpages.pages.words import many
from fwpages.readers.inputs import InputError
from fwpages.report.html_page import NotInstalledError, check_installed
from fwpages.report.width import fold, width_of
from fwpages.trial.accelerators import fastest
from fwpages.trial.baseline import baseline, known, read_baseline
from fwpages.trial.campaign import INTERRUPTED
from fwpages.trial.campaign import campaign as play_campaign
from fwpages.trial.device_path import DevicePath
from fwpages.trial.errors import TrialError
from fwpages.trial.folders import repro, write_row
from fwpages.trial.junit import of_trial
from fwpages.trial.kernel import Kernel
from fwpages.trial.kernels import Debian, debian, of_image, of_tree
from fwpages.trial.page import page
from fwpages.trial.plain import plain
from fwpages.trial.plan import PLAN, PlanError, Untried, about, rows
from fwpages.trial.play import PlayOptions
from fwpages.trial.played import Campaign, Played, Versions
from fwpages.trial.qemu import qemu
from fwpages.trial.replay import Replay, ReplayedPath
from fwpages.trial.report import ReportedRow, TrialReport, trial_report
from fwpages.trial.rows import Row
from fwpages.trial.standing import Known, Summary, Verdict, summary
from fwpages.trial.tap import tap
from fwpages.trial.turn import Trial
from fwpages.trial.versions import versions, with_kernel

_EXIT_CODES: Mapping[Verdict, int] = MappingProxyType({Verdict.GOOD: 0, Verdict.WORSE: 1, Verdict.NOT_JUDGED: 4})
#: git bisect run skips the commit, and ends the bisection
_CANNOT_BE_TESTED, _BISECT_ENDS = 125, 128
#: seconds of a row on a machine without KVM: three times that where it shows an effect
ROW_SECONDS = 40
#: machines at once, for each core: a driver that waits for a device that never answers leaves its core to another
MACHINES_PER_CORE = 2
#: the variables that name programs
_ENVIRONMENT = ("FWPAGES_QEMU", "FWPAGES_BUSYBOX")
_FILE = click.Path(dir_okay=False, path_type=Path)
_INPUT = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("trial")
@click.option(
    "--kernel",
    type=click.Path(exists=True, path_type=Path),
    metavar="TREE|IMAGE",
    help="The kernel: a built tree, or an image with --modules.",
)
@click.option(
    "--modules",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder of an image's modules (lib/modules/VERSION).",
)
@click.option("--debian", type=OneOf(list(Debian)), help="One that `make vm` has unpacked.  [default: new]")
@click.option(
    "--fault",
    "patterns",
    multiple=True,
    type=Name(names.faults),
    metavar="PATTERN",
    help="Only rows of this fault; may have * and a moment (take-*@teardown), and be given more than once.",
)
@click.option("--smoke", is_flag=True, help="Only the few rows that show most: some minutes.")
@click.option("--replay", metavar="S", help="Play the device's side of a path of `fwpages explore`, once.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), metavar="N", help="So many machines at once.  [default: two per core]"
)
@click.option("--list", "listing", is_flag=True, help="Show the rows, and play none.")
@click.option("--baseline", "before", type=_INPUT, metavar="FILE", help="Compare with the rows of an earlier trial.")
@click.option("--write-baseline", "new_baseline", type=_FILE, metavar="FILE", help="Write the rows of this one.")
@click.option("--bisect", is_flag=True, help="Exit as git bisect run has it: 0 good, 1 bad, 125 cannot be tested.")
@click.option("--tap", "as_tap", is_flag=True, help="Print TAP, as the kernel's own tests do.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write a page too.")
@junit_option("trial")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the report and a folder for each row, which plays it again; DIR is new or empty.",
)
def command(
    kernel: Path | None,
    modules: Path | None,
    debian: str | None,
    patterns: tuple[str, ...],
    smoke: bool,
    replay: str | None,
    jobs: int | None,
    listing: bool,
    before: Path | None,
    new_baseline: Path | None,
    bisect: bool,
    as_tap: bool,
    as_json: bool,
    html: Path | None,
    output: Path | None,
    junit: Junit,
) -> int:
    """An unmodified driver is loaded on an emulated device, in a virtual machine. In each row the device does something
    wrong on purpose, and both sides are watched: the kernel's own reports, and the device's books. A row with an effect
    is played three times. It needs QEMU 10.1 or newer, and uses KVM where there is one. Ctrl-C ends the machines and
    reports what there is.

    With --replay the exit code is 1 too where the driver goes a path to its violation; 4 also where no device can play
    the path.

    Exit code: 0 no effect was seen, or with --baseline nothing worse than in it; 1 an effect, or a worse one; 2 misuse;
    4 something was not judged. With --bisect 0, 1 or 125, and 128 or more for what ends a bisection.
    """
    asked = _Asked(kernel, modules, debian, patterns, smoke, jobs, before, output)
    _exclusive({"--tap": as_tap, "--json": as_json})
    _exclusive({"--kernel": kernel, "--debian": debian})
    if modules is not None and (kernel is None or kernel.is_dir()):
        raise click.UsageError("--modules goes with --kernel IMAGE")
    if replay is not None:
        rest = {"--smoke": smoke, "--fault": patterns, "--list": listing, "--baseline": before, "--tap": as_tap}
        rest |= {"--write-baseline": new_baseline, "--bisect": bisect, "--html": html, "--jobs": jobs}
        rest["--junit"] = click.get_current_context().params["junit_path"]
        for option in rest:
            _exclusive({"--replay": replay, option: rest[option]})
        return _replayed(asked, replay, as_json=as_json)
    if listing:
        _show_rows(asked.rows(), whole=not patterns and not smoke, as_json=as_json)
        return 0
    result = _Result(as_tap, as_json, {"--html": html, "--write-baseline": new_baseline}, junit)
    run = functools.partial(_tried, asked, result)
    if bisect:
        return _bisected(run)
    try:
        return _EXIT_CODES[run().verdict]
    except TrialError as e:
        raise click.ClickException(str(e)) from None


def _replayed(asked: _Asked, text: str, *, as_json: bool) -> int:
    """Play the path of a replay string on the kernel."""

    def run(path: DevicePath) -> ReplayedPath:
        with _folder(asked.output) as folder, _under_trial(asked) as (trial, _):
            return Replay(path, trial.kernel, trial.options, trial.tree).run(folder)

    try:
        return replayed(text, run, as_json=as_json)
    except (TrialError, OSError) as e:
        raise click.ClickException(str(e)) from None


def _exclusive(options: Mapping[str, object]) -> None:
    """Refuse options that exclude each other."""
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} exclude each other")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options that say which kernel is tried, and under what."""

    kernel: Path | None
    modules: Path | None
    debian: str | None
    patterns: tuple[str, ...]
    smoke: bool
    jobs: int | None
    before: Path | None
    output: Path | None

    def rows(self) -> tuple[Row, ...]:
        """The rows to play. UsageError for a pattern that means none."""
        try:
            return rows(self.patterns, smoke=self.smoke)
        except PlanError as e:
            raise click.UsageError(f"--fault: {e}") from None

    def again(self, row: ReportedRow) -> str:
        """The program that plays this row again, on the same kernel, from any folder."""
        named = {"--kernel": self.kernel, "--modules": self.modules}
        words = [word for name, path in named.items() if path is not None for word in (name, str(path.resolve()))]
        words += ["--debian", self.debian] if self.debian is not None else []
        environment = {k: v for k, v in sorted(os.environ.items()) if k in _ENVIRONMENT}
        return repro(row, [sys.executable, "-m", "fwpages", "trial", *words, "--fault", row.name], environment)


@dataclass(frozen=True, slots=True)
class _Result:
    """The options that say what is printed and written of the result."""

    as_tap: bool
    as_json: bool
    files: Mapping[str, Path | None]
    junit: Junit

    @contextmanager
    def opened(self) -> Iterator[Mapping[str, TextIO]]:
        """Open the files before anything is played: one that cannot be written is refused at once."""
        if self.files["--html"] is not None:
            try:
                check_installed()
            except NotInstalledError as e:
                raise click.ClickException(str(e)) from None
        with ExitStack() as stack:
            yield {o: stack.enter_context(written(o, path)) for o, path in self.files.items() if path is not None}

    def write(self, campaign: Campaign, s: Summary, report: TrialReport, files: Mapping[str, TextIO]) -> None:
        """Print the result, and write the files."""
        if self.as_tap:
            click.echo(tap(campaign, s), nl=False)
        elif self.as_json:
            click.echo(msgspec.json.encode(report))
        else:
            click.echo(plain(report), nl=False)
        for option, stream in files.items():
            stream.write(page(report) if option == "--html" else _baseline(campaign))
        self.junit(of_trial(report))


def _baseline(campaign: Campaign) -> str:
    """The rows of this campaign as a baseline: of a flaky one the worst effect; one that was not judged is left out."""
    found = baseline(campaign.versions.kernel, [p.judged for p in campaign.rows])
    return msgspec.json.format(msgspec.json.encode(found)).decode() + "\n"


@dataclass(frozen=True, slots=True)
class _Ended:
    """The verdict on a campaign, and whether Ctrl-C ended it."""

    verdict: Verdict
    interrupted: bool


def _tried(asked: _Asked, result: _Result) -> _Ended:
    """Try the kernel; print and write the result."""
    planned = asked.rows()
    before = None if asked.before is None else _known(asked.before)
    with result.opened() as files, _folder(asked.output) as folder:
        campaign = _campaign(asked, planned, before or {}, folder)
        s = summary(campaign.rows, before)
        report = trial_report(campaign, s, folders=asked.output is not None)
        result.write(campaign, s, report, files)
        if asked.output is not None:
            _write(asked, folder, report)
    return _Ended(s.verdict, campaign.interrupted == INTERRUPTED)


def _campaign(asked: _Asked, planned: Sequence[Row], before: Known, folder: Path) -> Campaign:
    """Play the rows, with their progress on standard error."""
    begun = time.monotonic()
    with _under_trial(asked) as (trial, versions), playing(len(planned)) as show:

        def watch(p: Played, n: int) -> None:
            j = p.judged
            show(f"{p.row}: {j.effect.value if j.effect is not None else f'not judged, {j.why or j.title}'}", n)

        played, why = play_campaign(planned, trial, folder, jobs=asked.jobs or _machines(), watch=watch, known=before)
    return Campaign(played, with_kernel(versions, played), time.monotonic() - begun, why)


@contextmanager
def _under_trial(asked: _Asked) -> Iterator[tuple[Trial, Versions]]:
    """The kernel, ready to be played on, and the versions that are known by now. TrialError where it is of no use."""
    tree = asked.kernel if asked.kernel is not None and asked.kernel.is_dir() else None
    with TemporaryDirectory(prefix="fwpages-kernel-") as folder:
        kernel = _kernel(asked, Path(folder))
        options = PlayOptions(accelerator=fastest(kernel, Path(folder) / "kvm"))
        yield Trial(kernel, options, tree), versions(qemu(), tree, kernel.config)


def _kernel(asked: _Asked, into: Path) -> Kernel:
    """The kernel with its initramfs in this folder. MissingError where a part of it is not there."""
    if asked.kernel is None:
        return debian(Debian(asked.debian or Debian.NEW), into)
    if asked.kernel.is_dir():
        return of_tree(asked.kernel, into)
    if asked.modules is None:
        raise click.UsageError("--kernel IMAGE needs --modules DIR")
    return of_image(asked.kernel, asked.modules, into)


def _known(file: Path) -> Known:
    """The rows of a baseline. UsageError for a file that is none."""
    try:
        return known(str(file), read_baseline(str(file), file.read_bytes()))
    except (InputError, OSError) as e:
        raise click.UsageError(f"--baseline: {e}") from None


def _machines() -> int:
    """The machines at once where --jobs does not say: for the processors that this process may use."""
    return MACHINES_PER_CORE * len(os.sched_getaffinity(0))


@contextmanager
def _folder(output: Path | None) -> Iterator[Path]:
    """The folder of -o, new or empty; without it one that is gone at the end."""
    if output is None:
        with TemporaryDirectory(prefix="fwpages-trial-") as folder:
            yield Path(folder)
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        if any(output.iterdir()):
            raise click.UsageError(f"-o {output}: it is not empty; name a new folder")
    except OSError as e:
        raise click.UsageError(f"-o {output}: {e.strerror}") from None
    yield output.resolve()


def _write(asked: _Asked, folder: Path, report: TrialReport) -> None:
    """Write the report and a folder for each row. UsageError where that fails, after the result was printed."""
    try:
        (folder / "report.json").write_bytes(msgspec.json.encode(report))
        (folder / "report.txt").write_text(plain(report), "utf-8")
        with suppress(NotInstalledError):
            (folder / "report.html").write_text(page(report), "utf-8")
        config = None if asked.kernel is None else asked.kernel / ".config"
        if config is not None and config.is_file():
            shutil.copyfile(config, folder / "kernel.config")
        for row in report.rows:
            write_row(folder / row.folder, report, row, asked.again(row))
    except OSError as e:
        raise click.UsageError(f"-o {e.filename or folder}: {e.strerror}") from None


def _bisected(run: Callable[[], _Ended]) -> int:
    """The exit code for git bisect run, which takes all from 1 to 127 but 125 for a bad commit."""
    try:
        ended = run()
    except TrialError as e:
        complain(f"fwpages: {e}")
        return _CANNOT_BE_TESTED
    except click.ClickException as e:
        complain(f"Error: {e.format_message()}")
        return _BISECT_ENDS
    except Exception as e:
        complain(f"fwpages: a bug of its own: {type(e).__name__}: {e}")
        return _BISECT_ENDS
    if ended.interrupted:
        return _BISECT_ENDS
    return _CANNOT_BE_TESTED if ended.verdict is Verdict.NOT_JUDGED else _EXIT_CODES[ended.verdict]


def _show_rows(planned: Sequence[Row], *, whole: bool, as_json: bool) -> None:
    """Print the rows, each with who can cause it; with ``whole`` also the faults that are not played, and why."""
    untried = {name: str(entry) for name, entry in PLAN.items() if isinstance(entry, Untried)} if whole else {}
    entries = [_listed(row) for row in planned]
    if as_json:
        click.echo(msgspec.json.encode({"schema": "trial-list/1", "rows": entries, "not_played": untried}))
        return
    width = max(len(entry.name) for entry in entries)
    columns = width_of(sys.stdout)
    for entry in entries:
        click.echo(fold(f"{entry.name.ljust(width)}  {entry.causer}".rstrip(), columns, width + 2))
    for name, reason in untried.items():
        click.echo(fold(f"not played: {name}: {reason}", columns, 2))
    click.echo(f"{many(len(planned), 'row')}, some {ROW_SECONDS} s each")


class _Listed(msgspec.Struct, frozen=True):
    """A row of ``--list --json``."""

    name: str
    causer: str
    questions: tuple[int, ...]


def _listed(row: Row) -> _Listed:
    known = about(row)
    return _Listed(str(row), "" if known.causer is None else known.causer.value, known.questions)
