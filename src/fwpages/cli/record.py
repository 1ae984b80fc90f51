"""``fwpages record``: what mlx5_core does with pages from now on, by the kernel's own tracing."""

from __future__ import annotations

import gzip
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TextIO

import click

from fwpages.cli.exits import exit_code
from fwpages.cli.streams import complain
from fwpages.custody.accounts import Verdict
from fwpages.machine.calls.recorder import Recorded, record
from fwpages.machine.calls.tracefs import cleanup as remove_leftovers
from fwpages.machine.structures.errors import NotPossibleError
from fwpages.pages.words import many

_FILE = click.Path(path_type=Path)


@click.command("record")
@click.option("-o", "--output", type=_FILE, metavar="FILE", help="Write the record here.  [default: standard output]")
@click.option("--seconds", type=click.FloatRange(0.1), metavar="N", help="End after N seconds.")
@click.option("--addresses", is_flag=True, help="Record the address of each page that comes back: an event a page.")
@click.option("--cleanup", is_flag=True, help="Remove what records that were killed left in the kernel, and end.")
@click.option("--root", type=_FILE, default=Path("/"), metavar="DIR", help="This machine's files are below DIR.")
def command(output: Path | None, seconds: float | None, addresses: bool, cleanup: bool, root: Path) -> int:
    """It sets probes at functions of mlx5_core, as root, in tracefs (kprobe events), and writes a trace for an audit:
    each page command with its counts and its answer, the commands of start-up and close, and each page request.
    It needs no debug messages, waits for a driver that is not loaded, and goes on when the driver is loaded anew. Its
    events are its own, and are removed at its end; Ctrl-C and SIGTERM end it as they should.

    Exit code: 0 everything was recorded, 2 misuse, 4 not known: this kernel allows no record, events were missed, or
    something could not be removed.
    """
    if not root.is_dir():
        raise click.UsageError(f"--root {root}: not a directory")
    if cleanup:
        if output is not None or seconds is not None or addresses:
            raise click.UsageError("--cleanup records nothing: the other options have no place beside it")
        try:
            return _cleaned(root)
        except NotPossibleError as e:
            return _not_possible(e)
    stop = Event()
    try:
        with _stopped_by_signals(stop), _opened(output) as stream:
            done = record(
                stream,
                seconds=seconds,
                addresses=addresses,
                root=root,
                stop=stop,
                said=lambda words: complain(f"fwpages record: {words}"),
            )
    except NotPossibleError as e:
        return _not_possible(e)
    except OSError as e:
        raise click.UsageError(f"--output {output or '-'}: {e.strerror}") from None
    return _said(done)


def _not_possible(e: NotPossibleError) -> int:
    complain(f"fwpages record: {e}" + (f"\n    {e.missing.command}" if e.missing.command else ""))
    return exit_code(Verdict.NOT_KNOWN)


def _cleaned(root: Path) -> int:
    gone, kept = remove_leftovers(root)
    for label in gone:
        click.echo(f"removed {label}")
    for line in kept:
        complain(f"fwpages record: cannot remove {line}")
    if not gone and not kept:
        click.echo("nothing is left of a record")
    return exit_code(Verdict.NOT_KNOWN) if kept else 0


def _said(done: Recorded) -> int:
    """Say what the record has, and what it lacks."""
    c = done.counts
    words = f"{many(c.commands, 'command')} and {many(c.requests, 'page request')} of {many(len(c.devices), 'device')}"
    complain(f"fwpages record: {words} in {done.seconds:.1f} s")
    if c.missed_requests:
        complain(f"fwpages record: {many(c.missed_requests, 'page request')} seen only as the driver worked them off")
    for why, times in c.gaps.items():
        complain(f"fwpages record: missing: {why}" + (f" ({times} times)" if times > 1 else ""))
    if c.unnamed:
        complain(f"fwpages record: not known: the names of {many(len(c.unnamed), 'device')}")
    for line in done.trouble:
        complain(f"fwpages record: cannot remove {line}")
    return 0 if done.whole and not done.trouble else exit_code(Verdict.NOT_KNOWN)


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO]:
    """The file, written as the record goes on, so that an audit can follow it; a name that ends in .gz is packed."""
    if path is None or str(path) == "-":
        yield sys.stdout
    elif path.suffix == ".gz":
        with gzip.open(path, "wt", encoding="utf-8") as file:
            yield file
    else:
        with path.open("w", encoding="utf-8") as file:
            yield file


@contextmanager
def _stopped_by_signals(stop: Event) -> Iterator[None]:
    """SIGINT and SIGTERM end the record, which is then whole."""
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
