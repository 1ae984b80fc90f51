"""The kernel's tracing files: an instance and a group of events of one's own, and what others of ours left there.

Both have the name ``fwpages_PID``. Nothing else in tracefs is written, and what is not so named is never touched.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fwpages.machine.calls.probes import Event, Probe, name
from fwpages.machine.structures.errors import NotPossibleError

#: the places where tracefs is mounted
PLACES = ("sys/kernel/tracing", "sys/kernel/debug/tracing")
MOUNT = "mount -t tracefs none /sys/kernel/tracing"
CLEANUP = "fwpages record --cleanup"
_OURS = re.compile(r"fwpages_(\d+)")
#: bytes that one read of the pipe may bring; the kernel gives a page at a time
_CHUNK = 1 << 16
#: options of the instance on which the form of a line depends; it inherits those that somebody set for the whole
_OPTIONS = ("context-info", "irq-info", "overwrite", "noraw", "nohex", "nobin", "noverbose", "nofields")


def found(root: Path) -> Path:
    """The folder of tracefs below ``root``. NotPossibleError where none can be used, with what is missing."""
    for place in PLACES:
        folder = root / place
        try:
            if (folder / "kprobe_events").exists() and (folder / "instances").is_dir():
                return folder
            if (folder / "events").is_dir():
                raise NotPossibleError(
                    f"/{place}/kprobe_events is not there: this kernel is built without CONFIG_KPROBE_EVENTS"
                )
        except PermissionError:
            raise _denied(root, f"/{place}") from None
    if "tracefs" not in _text(root / "proc/filesystems").split():
        raise NotPossibleError("this kernel has no tracefs: it is built without CONFIG_TRACING")
    raise NotPossibleError("tracefs is not mounted", MOUNT)


def _denied(root: Path, what: str) -> NotPossibleError:
    if "[confidentiality]" in _text(root / "sys/kernel/security/lockdown"):
        return NotPossibleError("the kernel is locked down for confidentiality: no process may use its tracing")
    return NotPossibleError(f"{what}: permission denied; only root may trace the kernel", "sudo fwpages record")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    """Write at the end, in one piece: opened to be truncated, a file of events would lose those of everybody."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


class Tracing:
    """An instance with events of one's own. A context manager: at its end both are gone, whatever happened.

    ``trouble`` then names what could not be removed.
    """

    def __init__(self, root: Path, owner: int) -> None:
        self._root, self._folder = root, found(root)
        self.group = f"fwpages_{owner}"
        self._instance = self._folder / "instances" / self.group
        self._pipe: int | None = None
        self._rest = b""
        self.trouble: list[str] = []

    def __enter__(self) -> Tracing:
        try:
            _remove(self._folder, self.group)  # of a process that had the same number
            self._instance.mkdir()
        except OSError as e:
            if e.errno in (errno.EACCES, errno.EPERM):
                raise _denied(self._root, str(self._instance)) from None
            raise NotPossibleError(f"{self._instance}: {e.strerror}", CLEANUP) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None
        try:
            _remove(self._folder, self.group)
        except OSError as e:
            self.trouble.append(f"{e.filename or self.group}: {e.strerror}; {CLEANUP}")

    def define(self, probe: Probe, place: str) -> None:
        """Define an event at ``place``, a symbol with its module. ValueError, in the kernel's words, if it refuses."""
        line = probe.definition(self.group, place)
        try:
            _write(self._folder / "kprobe_events", line + "\n")
        except OSError as e:
            if e.errno == errno.EPERM:
                raise _denied(self._root, str(self._folder / "kprobe_events")) from None
            raise ValueError(f"{place}: {e.strerror}: {self._words()}") from None

    def _words(self) -> str:
        """The kernel's last words about an event that it refused."""
        rows = [r for r in _text(self._folder / "error_log").splitlines() if "error:" in r]
        return rows[-1].split("error:", 1)[1].strip() if rows else "no reason is given"

    def start(self, events: list[Probe], kilobytes: int) -> None:
        """Set the buffer's size for each processor, the clock and the filters, and begin.

        NotPossibleError where the kernel refuses one of them.
        """
        try:
            self._start(events, kilobytes)
        except OSError as e:
            raise NotPossibleError(f"{e.filename or self._instance}: {e.strerror}") from None

    def _start(self, events: list[Probe], kilobytes: int) -> None:
        for option in _OPTIONS:
            with suppress(OSError):  # older kernels lack some
                _write(self._instance / "trace_options", option)
        _write(self._instance / "trace_clock", "mono")
        _write(self._instance / "buffer_size_kb", str(kilobytes))
        self._pipe = os.open(self._instance / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        for probe in events:
            folder = self._instance / "events" / self.group / name(probe.event, self.group)
            if probe.condition:
                _write(folder / "filter", probe.condition)
            _write(folder / "enable", "1")

    def stop(self) -> None:
        """Write no more events; those that are there can still be read."""
        _write(self._instance / "tracing_on", "0")

    def lines(self) -> Iterator[str]:
        """The lines that are there now."""
        while self._pipe is not None:
            try:
                data = os.read(self._pipe, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                return
            *rows, self._rest = (self._rest + data).split(b"\n")
            yield from (row.decode("utf-8", "replace") for row in rows)

    def missed(self) -> dict[Event, int]:
        """Calls that passed a probe without an event, by the event: the kernel does not say of which command.

        It counts from the last load of the driver on.
        """
        rows = (row.split() for row in _text(self._folder / "kprobe_profile").splitlines())
        counts = {r[0]: int(r[2]) for r in rows if len(r) == 3 and r[2].isdecimal()}
        return {event: counts.get(name(event, self.group), 0) for event in Event}

    def dropped(self) -> int:
        """Events that found no room in a buffer, on all processors, other than those that were overwritten."""
        total = 0
        for stats in (self._instance / "per_cpu").glob("cpu*/stats"):
            for row in _text(stats).splitlines():
                key, _, value = row.partition(":")
                if key in ("commit overrun", "dropped events") and value.strip().isdecimal():
                    total += int(value)
        return total


# -- what was left


@dataclass(frozen=True, slots=True)
class Leftover:
    """An instance or a group of events of a ``fwpages record`` that is gone."""

    name: str
    path: Path


def leftovers(root: Path) -> list[Leftover] | None:
    """The leftovers, by name, of records that had no chance to clean up; None where tracefs cannot be read."""
    names: dict[str, Path] = {}
    looked = False
    for place in PLACES:
        for part in ("instances", "events"):
            with suppress(OSError):
                labels = os.listdir(root / place / part)
                looked = True
                for label in labels:
                    match = _OURS.fullmatch(label)
                    if match and not (root / "proc" / match[1]).exists():
                        names.setdefault(label, root / place)
        if names:
            break
    return [Leftover(label, names[label]) for label in sorted(names)] if looked else None


def cleanup(root: Path) -> tuple[list[str], list[str]]:
    """Remove what such records left: returns the names that are gone, and a line for each that could not be removed.

    The kernel refuses to remove an instance that somebody reads, as from another container: nothing of it is touched.
    NotPossibleError where tracefs cannot be read, with the reason.
    """
    gone, kept = [], []
    left_behind = leftovers(root)
    if left_behind is None:
        raise _denied(root, str(found(root)))
    for left in left_behind:
        try:
            _remove(left.path, left.name)
            gone.append(left.name)
        except OSError as e:
            kept.append(f"{left.name}: {e.strerror}")
    return gone, kept


def _remove(folder: Path, label: str) -> None:
    """Remove an instance, and then the group of events of the same name; each may be missing. OSError if one stays."""
    with suppress(FileNotFoundError):
        (folder / "instances" / label).rmdir()
    with suppress(FileNotFoundError):
        for event in sorted(os.listdir(folder / "events" / label)):
            if (folder / "events" / label / event).is_dir():
                _write(folder / "kprobe_events", f"-:{label}/{event}\n")
