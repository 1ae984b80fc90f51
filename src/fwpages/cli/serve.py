"""``fwpages serve``: a device for a virtual machine."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import click
import msgspec
from rich.console import Console

from fwpages.cli import names
from fwpages.cli.exits import exit_code
from fwpages.cli.files import read_input, written
from fwpages.cli.harness import Descriptor, say_ready
from fwpages.cli.junit import Junit, junit_option
from fwpages.cli.names import Name
from fwpages.link.vfio_user.listener import MOST_PATH, SocketError
from fwpages.link.vfio_user.server import Server
from fwpages.readers.trace_writer import TraceWriter
from fwpages.report.junit import of_served
from fwpages.report.serve import serve_report, show_served
from fwpages.report.width import fold, width_of
from fwpages.scenario import ScenarioError, about, load
from fwpages.scenario.fault_scenarios import default_scenario
from fwpages.scenario.fault_syntax import fault
from fwpages.scenario.format import Scenario
from fwpages.scenario.served_runner import ServedRun
from fwpages.scenario.topology import device_profile, functions, names_of
from fwpages.trial.errors import MissingError
from fwpages.trial.qemu import BUILD, qemu

#: seconds of the longest --limit: a week, as a harness that means more means none
_MOST_LIMIT = 604_800


@click.command("serve")
@click.argument("scenario", required=False, type=Name(names.scenarios, files=True))
@click.option("--socket", "path", required=True, type=click.Path(path_type=Path), help="Listen here (mode 0600).")
@click.option("--once", is_flag=True, help="End when the first virtual machine has gone.")
@click.option(
    "--limit",
    type=click.IntRange(1, _MOST_LIMIT),
    metavar="SECONDS",
    help="End after this time, whatever has happened.",
)
@click.option("--ready-fd", type=Descriptor(), help="Write a line here and close it, once the socket can be used.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Shuffle the order in which firmware returns pages.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=Name(names.faults),
    metavar="NAME[@WHEN][xTIMES]",
    help="Let something go wrong, as in run.",
)
@click.option(
    "--timeouts",
    default="",
    metavar="KEY=SECONDS,...",
    help="Tell the driver these time-outs (command=2): it gives up sooner, and late faults come sooner.",
)
@click.option("--sriov", is_flag=True, help="Let the driver find the scenario's VFs, and switch them on.")
@click.option("--eswitch", is_flag=True, help="Leave it to the driver to enable and disable the scenario's functions.")
@click.option("--trace", type=click.Path(dir_okay=False, path_type=Path), help="Write every command and event here.")
@junit_option("serve")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and what happens to standard error.")
def command(
    scenario: str | None,
    path: Path,
    once: bool,
    limit: int | None,
    ready_fd: int | None,
    seed: int | None,
    faults: tuple[str, ...],
    timeouts: str,
    sriov: bool,
    eswitch: bool,
    trace: Path | None,
    as_json: bool,
    junit: Junit,
) -> int:
    """SCENARIO: a name from `fwpages list scenarios`, a TOML file, or - for standard input.

    The server ends upon SIGINT or SIGTERM, or by --once or --limit. Exit code: 0 nothing wrong was seen, 1 the driver
    did not behave, 2 misuse, 4 not known: no driver came or opened the device, or a step or a fault never happened, or
    the guest's IOMMU is lazy.
    """
    try:
        wrong = [fault(f) for f in faults]
        scenario = default_scenario(wrong) if scenario is None else scenario
        plan = load(scenario, text=read_input() if scenario == "-" else None)
        with ExitStack() as stack, about(scenario):
            writer = None if trace is None else _writer(stack.enter_context(written("--trace", trace)), plan)
            serving = ServedRun(
                plan,
                seed=seed,
                faults=wrong,
                tap=writer,
                on_event=_printer(err=as_json),
                sriov=sriov,
                eswitch=eswitch,
                timeouts=timeouts,
            )
            _serve(path, serving, _Until(once=once, limit=limit), ready_fd, err=as_json)
            if writer is not None:
                writer.end()
                if writer.full:
                    click.echo(f"--trace {trace}: it is full: what came later is not in it", err=True)
    except ScenarioError as e:
        raise click.UsageError(str(e)) from None
    except SocketError as e:
        raise click.UsageError(f"--socket {e}") from None
    report = serve_report(serving, scenario=scenario)
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        click.echo()
        show_served(report, serving, Console())
    junit(of_served(report))
    return exit_code(report.verdict)


def _writer(stream: TextIO, plan: Scenario) -> TraceWriter:
    """A trace of the scenario's device, with the names and types of its functions."""
    profile = device_profile(plan)
    pairs = functions(plan, profile, served=True)
    types = {spec.name: spec.type for spec, _ in pairs}
    return TraceWriter(stream, device=profile.name, supplier=profile.supplier, names=names_of(pairs), types=types)


def _printer(*, err: bool) -> Callable[[float, str], None]:
    """Print an event with its time; a line that is folded goes on below its words."""
    return lambda t, words: click.echo(
        fold(f"{t:9.3f}  {words}", width_of(sys.stderr if err else sys.stdout), 2), err=err
    )


@dataclass(frozen=True, slots=True)
class _Until:
    """The end of a server: with its first client, or after so many seconds; else by a signal alone."""

    once: bool
    limit: int | None


def _serve(path: Path, serving: ServedRun, until: _Until, ready_fd: int | None, *, err: bool) -> None:
    with _stopped_by_signals(path, serving) as server:
        end = None if until.limit is None else time.monotonic() + until.limit
        say_ready(ready_fd)
        click.echo(f"serving {path}; start the machine with\n", err=err)
        click.echo(machine_command(path, serving.vfs) + "\n", err=err)
        while not server.stopped:
            server.step(None if end is None else max(0.0, end - time.monotonic()))
            if until.once and server.clients and not server.busy:
                break
            if end is not None and time.monotonic() >= end:
                click.echo(f"--limit {until.limit}: the time is over, the server ends", err=err)
                break


def machine_command(path: Path, vfs: int = 0) -> str:
    """The command that starts a machine with this device, to be pasted into a shell: QEMU 10.1 or newer.

    It starts the kernel that ``make vm`` built, where there is one; else it is for a disk of the reader's own. At the
    place of each VF there has to be a device with a configuration space (``fwpages.device.pci.sriov``).
    """
    whole = os.path.abspath(path)
    name = whole if len(os.fsencode(whole)) <= MOST_PATH else str(path)
    device = msgspec.json.encode(
        {"driver": "vfio-user-pci", "bus": "rp0", "socket": {"type": "unix", "path": name}}
    ).decode()
    words = [
        f"{_qemu()} -M q35,memory-backend=ram -m 1G",
        "-object memory-backend-memfd,id=ram,size=1G,share=on",
        "-device pcie-root-port,id=rp0,slot=1",
        *(f"-device pci-testdev,bus=rp0,addr={n}" for n in range(1, vfs + 1)),
        f"-device {shlex.quote(device)}",
    ]
    kernel, initrd = (BUILD / "new" / name for name in ("vmlinuz", "initramfs"))
    if kernel.exists() and initrd.exists():
        words += [
            "-nodefaults -nographic -serial stdio -serial pty",
            f"-kernel {_shown(kernel)} -initrd {_shown(initrd)} -append 'console=ttyS0 no_timer_check'",
        ]
    return "  " + " \\\n    ".join(words)


def _qemu() -> str:
    try:
        return _shown(Path(qemu()))
    except MissingError:
        return "qemu-system-x86_64"


def _shown(file: Path) -> str:
    """A file's name as a shell reads it, from the working folder where it lies below it."""
    here = Path.cwd()
    return shlex.quote(str(file.relative_to(here) if file.is_relative_to(here) else file))


@contextmanager
def _stopped_by_signals(path: Path, serving: ServedRun) -> Iterator[Server]:
    """A server that SIGINT and SIGTERM stop, from the moment on that its socket is there."""
    server: Server | None = None
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True
        if server is not None:
            server.stop()

    # before the socket is there: masking would not do, a thread of a library may take the signal
    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Server(path, serving) as server:
            if asked:
                server.stop()
            wakeup = signal.set_wakeup_fd(server.waker)
            try:
                yield server
            finally:
                signal.set_wakeup_fd(wakeup)
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
