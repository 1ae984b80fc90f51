"""``fwpages top``: the functions of this machine by their pages, live, once, or from a recording."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import click
import msgspec
from rich.console import Console

from fwpages.cli.exits import exit_code
from fwpages.cli.files import appended
from fwpages.custody.accounts import Verdict
from fwpages.machine.changes import Changes
from fwpages.machine.recording import RecordingError, line, replay
from fwpages.machine.sampling import counters
from fwpages.machine.snapshot import Snapshot
from fwpages.machine.table import show

#: the line that installs the live view
INSTALL = "pip install 'fwpages[top]'"


@click.command("top")
@click.option("--once", is_flag=True, help="Print one table and end.")
@click.option("--json", "as_json", is_flag=True, help="Print one snapshot as JSON and end.")
@click.option("--interval", type=click.FloatRange(0.1, 86_400), default=5.0, show_default=True, metavar="SECONDS")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N snapshots.")
@click.option(
    "--record", "record_to", type=click.Path(path_type=Path), metavar="FILE", help="Write each snapshot here."
)
@click.option(
    "--replay", "recording", type=click.Path(path_type=Path), metavar="FILE", help="Read a recording, not a machine."
)
@click.option("--plain", is_flag=True, help="Print a table for each snapshot, also on a terminal.")
@click.option(
    "--ask-firmware",
    is_flag=True,
    help="Also ask each healthy function's firmware how many pages it uses: sends commands, under devlink's lock.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=Path("/"),
    metavar="DIR",
    help="Read a copy of a machine's files.",
)
def command(
    once: bool,
    as_json: bool,
    interval: float,
    count: int | None,
    record_to: Path | None,
    recording: Path | None,
    plain: bool,
    ask_firmware: bool,
    root: Path,
) -> int:
    """It reads debugfs and sysfs, and sends no command to firmware unless --ask-firmware says so. Only root may read
    debugfs. Without a terminal it prints a table for each snapshot, until it is stopped.

    Exit code: 0 every function's pages are known, 1 a driver counts pages that it could not move, 2 misuse,
    4 not known: it says what would tell.
    """
    _check(record_to, recording, root, ask_firmware=ask_firmware)
    one = once or as_json or count == 1
    live = not (one or plain) and Console().is_terminal
    snapshots = (
        _replayed(recording) if recording is not None else _sampled(root, interval, paced=not live, ask=ask_firmware)
    )
    if recording is None or not one:  # of a recording, one is the last: its state, compared with its beginning
        snapshots = islice(snapshots, 1 if one else count)
    with _recorder(record_to) as keep:
        if live:
            return _watch(map(keep, snapshots), interval)
        return _print(map(keep, snapshots), one=one, as_json=as_json)


def _check(record_to: Path | None, recording: Path | None, root: Path, *, ask_firmware: bool) -> None:
    """UsageError for options that do not go together, or that name nothing."""
    if ask_firmware and (recording is not None or root != Path("/")):
        raise click.UsageError("--ask-firmware asks this machine's firmware: not with --replay or --root")
    if recording is not None and (record_to is not None or root != Path("/")):
        raise click.UsageError("--replay reads a recording: --record and --root have no place beside it")
    if not root.is_dir():
        raise click.UsageError(f"--root {root}: not a directory")
    if recording is not None:
        # the live view takes the whole terminal: a recording that cannot be read is refused before
        deque(_replayed(recording), maxlen=0)


def _sampled(root: Path, interval: float, *, paced: bool, ask: bool) -> Iterator[Snapshot]:
    """A snapshot at once, and then one after each interval; the live view has a clock of its own."""
    due = time.monotonic()
    while True:
        yield counters(root, ask_firmware=ask)
        due += interval
        if paced:
            time.sleep(max(0.0, due - time.monotonic()))


def _replayed(recording: Path) -> Iterator[Snapshot]:
    try:
        yield from replay(recording)
    except RecordingError as e:
        raise click.UsageError(f"--replay {e}") from None


@contextmanager
def _recorder(path: Path | None) -> Iterator[Callable[[Snapshot], Snapshot]]:
    """A function that adds a snapshot to the recording: each is in the file as soon as it is taken."""
    if path is None:
        yield lambda snapshot: snapshot
        return
    if path.suffix == ".gz":
        raise click.UsageError(f"--record {path}: it is written unpacked, line by line; gzip can pack it later")
    with appended("--record", path) as file:

        def keep(snapshot: Snapshot) -> Snapshot:
            file.write(line(snapshot))
            return snapshot

        yield keep


def _until_stopped(snapshots: Iterator[Snapshot]) -> Iterator[Snapshot]:
    """The snapshots, until the user stops them."""
    with suppress(KeyboardInterrupt):
        yield from snapshots


def _added(snapshots: Iterator[Snapshot], changes: Changes) -> Iterator[Snapshot]:
    """The snapshots, each compared with those before it."""
    for snapshot in snapshots:
        changes.add(snapshot)
        yield snapshot


def _print(snapshots: Iterator[Snapshot], *, one: bool, as_json: bool) -> int:
    """Print each snapshot, or the last one; the exit code is that of the last."""
    console, verdict, changes = Console(), Verdict.NOT_KNOWN, Changes()
    compared = _added(_until_stopped(snapshots), changes)
    for n, snapshot in enumerate(deque(compared, maxlen=1) if one else compared):
        verdict = snapshot.verdict
        if as_json:
            click.echo(msgspec.json.encode(snapshot))
            continue
        if n:
            console.print()
        show(snapshot, changes, console)
        sys.stdout.flush()
    return exit_code(verdict)


def _watch(snapshots: Iterator[Snapshot], interval: float) -> int:
    """Show the snapshots on the terminal until the user ends it; the exit code is that of the last."""
    if find_spec("textual") is None:
        raise click.UsageError(f"the live view needs Textual: {INSTALL}; --once and --plain do without")
    from fwpages.machine.live import Watch  # there only with the extra

    app = Watch(lambda: next(snapshots, None), interval)
    app.run()
    return exit_code(Verdict.NOT_KNOWN if app.last is None else app.last.verdict)
