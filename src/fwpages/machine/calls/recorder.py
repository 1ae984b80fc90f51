"""``record``: writes the driver's calls about pages to a trace, from now on, until it is told to stop.

The events wait in the kernel's buffers, and are read ten times a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from typing import TextIO

from fwpages.machine.calls.journal import Counts, Journal
from fwpages.machine.calls.lines import parse
from fwpages.machine.calls.order import SETTLE, Order
from fwpages.machine.calls.probes import IN_INTERRUPTS, MACHINES, MODULE, Event, Offsets, Point, Probe, offsets, probes
from fwpages.machine.calls.tracefs import Tracing
from fwpages.machine.functions import find
from fwpages.machine.structures.btf import Btf, NoTypeError
from fwpages.machine.structures.errors import FileError, NotPossibleError
from fwpages.machine.tree import File, Tree, Unread
from fwpages.readers.trace_writer import RecordWriter

#: seconds between two readings of the buffers
_PERIOD = 0.1
#: seconds between two looks at the counts of missed calls, and at the driver being there: events wait for the next one
_LOOK = 1.0
#: KiB of a processor's buffer: some 2,000 page commands, of which a device carries out one at a time
_BUFFER = 256
#: with addresses an event for each page that comes back: 50,000 of one TAKE fit
_BUFFER_ADDRESSES = 4096
#: KiB of all buffers together
_ALL_BUFFERS = 256 << 10


@dataclass(slots=True)
class Recorded:
    """The end of a record: its content, and what could not be removed from tracefs."""

    counts: Counts
    seconds: float
    trouble: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Nothing is missing from the record, and its devices have their names."""
        return not self.counts.gaps and not self.counts.unnamed


def record(
    stream: TextIO,
    *,
    seconds: float | None = None,
    addresses: bool = False,
    root: str | Path = "/",
    stop: Flag | None = None,
    said: Callable[[str], None] = lambda _: None,
) -> Recorded:
    """Record the driver's calls about pages to ``stream``, for so many ``seconds`` or until ``stop``.

    The record is a trace of version 2. With ``addresses``, each page that comes back is recorded. ``root`` is the
    folder that this machine's files are below, as in a container. ``said`` gets lines about how it goes. The events
    are removed from the kernel at the end, whatever happens. NotPossibleError where the kernel does not allow a record,
    with what is missing.
    """
    return _Recorder(Path(root), addresses, said).run(stream, seconds, stop or Flag())


class _Recorder:
    def __init__(self, root: Path, addresses: bool, said: Callable[[str], None]) -> None:
        self._root, self._addresses, self._said = root, addresses, said
        self._tree = Tree(root)
        self._kernel = _types(root / "sys/kernel/btf/vmlinux", None)
        self._loaded = self._is_live()
        self._places = self._offsets()
        self._symbols = _symbols(root) if self._loaded else {}
        self._points: set[Point] = set()
        self._order = Order()
        self._missed: dict[Event, int] = {}
        self._dropped = self._missed_requests = 0

    def run(self, stream: TextIO, seconds: float | None, stop: Flag) -> Recorded:
        began = time.monotonic()
        with Tracing(self._root, os.getpid()) as tracing:
            events = self._define(tracing)
            tracing.start(events, self._kilobytes())
            self._said(self._beginning())
            release = self._tree.text(File.RELEASE)
            writer = RecordWriter(stream, kernel="" if isinstance(release, Unread) else release)
            journal = Journal(
                writer,
                notifier=None if self._places is None else self._places.notifier,
                fresh=not self._loaded,
                only=self._only(),
                addresses=self._addresses,
            )
            self._follow(tracing, journal, stream, None if seconds is None else began + seconds, stop)
            journal.end()
            writer.end()
            stream.flush()
        return Recorded(journal.counts, time.monotonic() - began, tracing.trouble)

    def _follow(self, tracing: Tracing, journal: Journal, stream: TextIO, end: float | None, stop: Flag) -> None:
        """Read the buffers until it is time to stop; then what is left in them."""
        look = time.monotonic()
        while not stop.is_set() and (end is None or time.monotonic() < end):
            left = _PERIOD if end is None else min(_PERIOD, end - time.monotonic())
            stop.wait(max(0.0, left))
            now = time.monotonic()
            if now < look:
                self._read(tracing)
                continue
            look = now + _LOOK
            lacking = self._lacking(tracing)
            self._read(tracing)
            self._release(journal, None if lacking else now - SETTLE, lacking)
            self._look(journal)
            stream.flush()
        tracing.stop()
        lacking = self._lacking(tracing)
        self._read(tracing)
        self._release(journal, None, lacking)
        self._look(journal)
        if self._missed_requests > journal.counts.missed_requests:
            lost = self._missed_requests - journal.counts.missed_requests
            journal.gap(f"{lost} page requests came without an event, and the driver was not seen to work them off")

    def _read(self, tracing: Tracing) -> None:
        """Take the events that are there."""
        for line in tracing.lines():
            event = parse(line, tracing.group)
            if event is not None:
                self._order.add(event)

    def _release(self, journal: Journal, until: float | None, lacking: list[str]) -> None:
        """Write the events up to this time of the kernel's clock (None: all of them).

        Others are ``lacking`` somewhere among them: before the first of them or behind the last, a session is open.
        """
        for why in lacking:
            journal.gap(why)
        for event in self._order.ready(until):
            journal.see(event)
        for why in lacking:
            journal.gap(why, times=0)

    def _lacking(self, tracing: Tracing) -> list[str]:
        """Reasons why events are missing since the last look."""
        counts, dropped = tracing.missed(), tracing.dropped()
        # where a count is lower than before, the driver was loaded anew
        new = {e: n - self._missed.get(e, 0) if n >= self._missed.get(e, 0) else n for e, n in counts.items()}
        self._missed_requests += new[Event.REQUEST]
        calls, full = sum(n for e, n in new.items() if e not in IN_INTERRUPTS), dropped - self._dropped
        self._missed, self._dropped = counts, dropped
        found = [f"{calls} calls passed the probes without an event"] if calls else []
        return found + ([f"{full} events found no room in the kernel's buffer"] if full > 0 else [])

    def _look(self, journal: Journal) -> None:
        """Once a driver is loaded: does it have the functions that are probed?"""
        live = self._is_live()
        if live and not self._loaded:
            self._said("mlx5_core is loaded")
            found = _symbols(self._root)
            missing = [p.value for p in self._points if not found[p]]
            if missing and self._is_live():  # it was not unloaded while the symbols were read
                journal.gap(f"this mlx5_core has no {', '.join(missing)}: what they do is not recorded")
        self._loaded = live

    # -- the driver and its types

    def _is_live(self) -> bool:
        """The driver is loaded, and its start-up is over: while it runs, the symbols of the module change places."""
        folder = self._root / "sys/module" / MODULE
        try:
            return (folder / "initstate").read_text("ascii") == "live\n"
        except OSError:
            return folder.exists()  # part of the kernel itself, or gone

    def _beginning(self) -> str:
        if self._loaded:
            return "recording; Ctrl-C ends it"
        return "mlx5_core is not loaded: the record waits for it; Ctrl-C ends it"

    def _only(self) -> str | None:
        """The name of the one function of the machine, where its kernel does not tell names."""
        functions = find(self._tree)
        return functions[0].name if self._kernel is None and len(functions) == 1 else None

    def _driver(self) -> Btf | None:
        return None if self._kernel is None else _types(self._root / "sys/kernel/btf" / MODULE, self._kernel)

    def _offsets(self) -> Offsets | None:
        with suppress(NoTypeError, FileError):
            return None if self._kernel is None else offsets(self._kernel, self._driver())
        return None

    # -- the events

    def _kilobytes(self) -> int:
        wanted = _BUFFER_ADDRESSES if self._addresses else _BUFFER
        return min(wanted, max(64, _ALL_BUFFERS // (os.cpu_count() or 1)))

    def _define(self, tracing: Tracing) -> list[Probe]:
        """Define the events: as this kernel can. NotPossibleError where it cannot."""
        machine = os.uname().machine
        if machine not in MACHINES:
            raise NotPossibleError(f"a record can be made on {' and '.join(MACHINES)}; this machine is {machine}")
        if self._places is None and not self._only():
            self._said("the kernel's types (BTF) do not tell the devices' names: they are numbered")
        defined: set[Probe] = set()
        refused = ValueError()
        for arguments in (True, False):
            wanted = probes(machine, self._places, arguments=arguments, addresses=self._addresses)
            try:
                for probe in wanted:
                    if probe not in defined:
                        tracing.define(probe, self._symbol(probe.point))
                        defined.add(probe)
            except ValueError as e:  # the kernel is older than 6.9, or refuses more
                refused = e
            else:
                self._points = {probe.point for probe in wanted}
                return wanted
        raise NotPossibleError(f"the kernel refuses an event at {refused}", "fwpages doctor")

    def _symbol(self, point: Point) -> str:
        """The symbol to probe: by its plain name where the driver is not loaded, else as it is there."""
        found = self._symbols.get(point) if self._loaded else [f"{MODULE}:{point.value}"]
        if found is None or len(found) != 1:
            what = f"{len(found)} functions" if found else "no function"
            raise NotPossibleError(
                f"this mlx5_core has {what} {point.value}: what it does with pages cannot be recorded",
                f"grep -w {MODULE} /proc/kallsyms | grep {point.value}",
            )
        return found[0]


def _symbols(root: Path) -> dict[Point, list[str]]:
    """The driver's symbols of each function, with the endings of a compiler that made it anew for its callers.

    Parts of a function (``.cold``, ``.part``) are none.
    """
    own: dict[Point, list[str]] = {point: [] for point in Point}
    built_in: dict[Point, list[str]] = {point: [] for point in Point}
    with suppress(OSError), (root / "proc/kallsyms").open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            words = line.split()
            label, *endings = words[2].split(".")
            point = _POINTS.get(label)
            if point is None or words[1] not in "tT" or {"cold", "part"} & set(endings):
                continue
            if words[3:] == [f"[{MODULE}]"]:
                own[point].append(f"{MODULE}:{words[2]}")
            elif not words[3:]:
                built_in[point].append(words[2])
    return own if any(own.values()) else built_in


_POINTS = {point.value: point for point in Point}


def _types(path: Path, base: Btf | None) -> Btf | None:
    try:
        return Btf(path.read_bytes(), str(path), base)
    except (OSError, FileError):
        return None
