"""``fwpages drive``: our own driver on a device that others provide."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
from rich.console import Console

from fwpages.cli import names
from fwpages.cli.exits import exit_code
from fwpages.cli.files import read_input, written
from fwpages.cli.names import Name, OneOf
from fwpages.cli.streams import complain
from fwpages.host import WantedMode
from fwpages.link.driving.opening import begun
from fwpages.link.driving.pci_device import DeviceError, PciDevice
from fwpages.link.vfio.binding import recorded, restore
from fwpages.link.vfio.taking import ROOT, prospect, taken
from fwpages.link.vfio_user.client import VfioUserDevice
from fwpages.readers.trace_writer import TraceWriter
from fwpages.report.drive import DriveReport, drive_report
from fwpages.report.prospect import prospect_report, show_prospect
from fwpages.report.run import show_run
from fwpages.report.width import fold, width_of
from fwpages.scenario import RunResult, Scenario, ScenarioError, about, load
from fwpages.scenario.driven_runner import DrivenRun, roles_of


@dataclass(frozen=True, slots=True)
class _Where:
    """The device that is meant: a function by its address, or a socket."""

    address: str | None
    socket: Path | None
    bind: bool
    on_purpose: bool


@click.command("drive")
@click.argument("words", nargs=-1, type=Name(names.scenarios, files=True), metavar="[ADDRESS] [SCENARIO]")
@click.option("--socket", type=click.Path(path_type=Path), help="Drive what a vfio-user server serves here.")
@click.option(
    "--mode",
    type=OneOf(["auto", "func_id", "vhca_id"]),
    default="auto",
    show_default=True,
    help="How functions are named; auto takes VHCA_ID where the device offers it.",
)
@click.option("--bind", is_flag=True, help="Take the function to vfio-pci, and give it back at the end.")
@click.option("--restore", "giving_back", is_flag=True, help="Give back what a process took and could not give back.")
@click.option("--dry-run", is_flag=True, help="Say what driving the function would meet; it is not reset.")
@click.option("--i-know", metavar="ADDRESS", help="Drive this function although it is in use, or others depend on it.")
@click.option("--trace", type=click.Path(dir_okay=False, path_type=Path), help="Write every command and event here.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and what happens to standard error.")
def command(
    words: tuple[str, ...],
    socket: Path | None,
    mode: WantedMode,
    bind: bool,
    giving_back: bool,
    dry_run: bool,
    i_know: str | None,
    trace: Path | None,
    as_json: bool,
) -> int:
    """ADDRESS: a PCI function of this machine on vfio-pci, as 0000:3b:00.1, unless there is --socket. SCENARIO: a name
    from `fwpages list scenarios`, a TOML file, or - for standard input. Without one the device is opened, and its page
    requests are answered until SIGINT or SIGTERM, which close it in order.

    Exit code: 0 clean, 1 something is wrong on either side, or stands against it (--dry-run), 2 misuse, or a device
    that cannot be driven, 4 not known: a step never happened.
    """
    try:
        if giving_back:
            return _given_back(words, alone=not (socket or bind or dry_run or i_know))
        where, scenario = _where(words, socket, bind=bind, i_know=i_know)
        if dry_run:
            return _looked_at(where, scenario, as_json=as_json)
        return _run(where, scenario, mode, trace, as_json=as_json)
    except (ScenarioError, DeviceError) as e:
        raise click.UsageError(str(e)) from None


def _where(words: tuple[str, ...], path: Path | None, *, bind: bool, i_know: str | None) -> tuple[_Where, str | None]:
    """Return the device that is meant, and the scenario; UsageError where they do not fit together."""
    most = 1 if path else 2
    if len(words) > most:
        raise click.UsageError(f"too many arguments: {' '.join(words[most:])}")
    if path is not None:
        if bind or i_know:
            raise click.UsageError("--bind and --i-know are about a function of this machine, not about --socket")
        return _Where(None, path, bind=False, on_purpose=False), words[0] if words else None
    if not words:
        raise click.UsageError("name a PCI function, as 0000:3b:00.1, or --socket PATH")
    if i_know not in (None, words[0]):
        raise click.UsageError(f"--i-know names {i_know}, the function to drive is {words[0]}")
    return _Where(words[0], None, bind, i_know is not None), words[1] if len(words) == 2 else None


def _given_back(words: tuple[str, ...], *, alone: bool) -> int:
    """Give back the functions that are named, or all that were taken."""
    if len(words) > 1 or not alone:
        raise click.UsageError("--restore takes an ADDRESS, or none for all that were taken, and nothing else")
    for address in words or recorded(ROOT):
        back = restore(address, ROOT)
        click.echo(f"{back.address} is given back to {back.driver or 'no driver'}")
    return 0


def _looked_at(where: _Where, scenario: str | None, *, as_json: bool) -> int:
    if where.address is None or scenario is not None:
        raise click.UsageError("--dry-run looks at a function of this machine, without a scenario")
    report = prospect_report(prospect(where.address, binding=where.bind, on_purpose=where.on_purpose))
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        show_prospect(report, Console())
    return 1 if report.against else 0


def _run(where: _Where, scenario: str | None, mode: WantedMode, trace: Path | None, *, as_json: bool) -> int:
    plan = None if scenario is None else load(scenario, text=read_input() if scenario == "-" else None)
    with about(scenario or "drive"), _device(where) as device:
        result, report = _driven(device, plan, scenario, mode, trace, as_json=as_json)
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        click.echo()
        show_run(report.sessions, result, report.verdict, report.summary, Console())
    return exit_code(report.verdict)


def _device(where: _Where) -> AbstractContextManager[PciDevice]:
    """The device for a ``with`` block, which closes it. DeviceError where it cannot be driven."""
    if where.socket is not None:
        return closing(VfioUserDevice(where.socket))
    assert where.address is not None
    return taken(where.address, binding=where.bind, on_purpose=where.on_purpose, on_trouble=complain)


def _driven(
    device: PciDevice,
    plan: Scenario | None,
    scenario: str | None,
    mode: WantedMode,
    trace: Path | None,
    *,
    as_json: bool,
) -> tuple[RunResult, DriveReport]:
    described = begun(device)
    roles = roles_of(described, plan)
    with ExitStack() as stack:
        writer = None
        if trace is not None:
            stream = stack.enter_context(written("--trace", trace))
            writer = TraceWriter(stream, device=device.facts.name, supplier=roles.supplier, names=roles.names)
        run = DrivenRun(device, described, plan, mode=mode, tap=writer, on_event=_printer(err=as_json))
        with run, _stopped_by_signals(run):
            result = run.run()
        if writer is not None:
            writer.end()
            if writer.full:
                click.echo(f"--trace {trace}: it is full: what came later is not in it", err=True)
    return result, drive_report(result, device.facts, described, run.functions, scenario=scenario, mode=mode)


def _printer(*, err: bool) -> Callable[[float, str], None]:
    """Print an event with its time; a line that is folded goes on below its words."""
    return lambda t, words: click.echo(
        fold(f"{t:9.3f}  {words}", width_of(sys.stderr if err else sys.stdout), 2), err=err
    )


@contextmanager
def _stopped_by_signals(run: DrivenRun) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM close the device in order, and a second one end the program."""
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        run.stop()

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    wakeup = signal.set_wakeup_fd(run.waker)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for s, handler in before.items():
            signal.signal(s, handler)
