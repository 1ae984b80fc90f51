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
    root: Path,
) -> int:
    """It reads debugfs and sysfs, and sends no command to firmware. Only root may read debugfs. Without a terminal it
    prints a table for each snapshot, until it is stopped.

    Exit code: 0 every function's pages are known, 1 a driver counts pages that it could not move, 2 misuse,
    4 not known: it says what would tell.
    """
    if recording is not None and (record_to is not None or root != Path("/")):
        raise click.UsageError("--replay reads a recording: --record and --root have no place beside it")
    most = 1 if once or as_json else count
    live = not (as_json or plain or most == 1) and Console().is_terminal
    if recording is not None:
        snapshots = _replayed(recording) if most == 1 else islice(_replayed(recording), most)
    else:
        snapshots = islice(_sampled(root, 0.0 if live else interval), most)
    with _recorder(record_to) as keep:
        if live:
            return _watch(map(keep, snapshots), interval)
        changes = Changes()
        compared = _added(_until_stopped(map(keep, snapshots)), changes)
        return _print(iter(deque(compared, maxlen=1)) if most == 1 else compared, changes, as_json=as_json)


def _sampled(root: Path, pause: float) -> Iterator[Snapshot]:
    """A snapshot at once, and then one after each pause: the live view has a clock of its own."""
    due = time.monotonic()
    while True:
        try:
            yield counters(root)
        except NotADirectoryError as e:
            raise click.UsageError(f"--root {e}") from None
        due += pause
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
    try:
        with path.open("a", encoding="utf-8", buffering=1) as file:

            def keep(snapshot: Snapshot) -> Snapshot:
                file.write(line(snapshot))
                return snapshot

            yield keep
    except OSError as e:
        raise click.UsageError(f"--record {path}: {e.strerror}") from None


def _until_stopped(snapshots: Iterator[Snapshot]) -> Iterator[Snapshot]:
    """The snapshots, until the user stops them."""
    with suppress(KeyboardInterrupt):
        yield from snapshots


def _added(snapshots: Iterator[Snapshot], changes: Changes) -> Iterator[Snapshot]:
    """The snapshots, each compared with those before it."""
    for snapshot in snapshots:
        changes.add(snapshot)
        yield snapshot


def _print(snapshots: Iterator[Snapshot], changes: Changes, *, as_json: bool) -> int:
    """Print each snapshot; the exit code is that of the last."""
    console, verdict = Console(), Verdict.NOT_KNOWN
    for n, snapshot in enumerate(snapshots):
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
    from fwpages.machine.live import Watch  # noqa: PLC0415  # there only with the extra

    app = Watch(lambda: next(snapshots, None), interval)
    app.run()
    return exit_code(Verdict.NOT_KNOWN if app.last is None else app.last.verdict)
