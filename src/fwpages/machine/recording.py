"""Snapshots in a file, a line of JSON each (schema ``top/1``): written by ``record``, read by ``replay``."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG

import msgspec

from fwpages.custody.accounts import Verdict
from fwpages.machine.snapshot import TYPES, FunctionCounters, Snapshot

SCHEMA = "top/1"
#: the last second that has a year of four digits
_LAST_SECOND = 253_402_300_799
#: the keys that ``by_type`` may have
_TYPES = frozenset({*TYPES, "rest"})
#: no count and no memory is as large
_MOST = 1 << 63


class RecordingError(ValueError):
    """A file that is no recording; the text names the file, the line, and what was expected."""


def line(snapshot: Snapshot) -> str:
    """The snapshot as a line of a recording."""
    return msgspec.json.encode(snapshot).decode() + "\n"


def replay(path: Path) -> Iterator[Snapshot]:
    """The snapshots of a recording, in its order; a name that ends in ``.gz`` is unpacked.

    RecordingError for a file that cannot be read, has none, or has another line. A last line that was cut off, as by a
    recording that was stopped, is left out.
    """
    count = 0
    try:
        if not S_ISREG(path.stat().st_mode):
            raise RecordingError(f"{path}: not a file; a recording is read more than once, so a pipe cannot be one")
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for n, row in enumerate(file, 1):
                if row.strip():
                    snapshot = _decoded(path, n, row)
                    if snapshot is None:
                        break
                    count += 1
                    yield snapshot
    except (OSError, EOFError, zlib.error) as e:
        raise RecordingError(f"{path}: {getattr(e, 'strerror', None) or e}") from None
    if not count:
        raise RecordingError(f"{path}: there is no snapshot in it; fwpages top --record {path} makes a recording")


def _decoded(path: Path, n: int, row: bytes) -> Snapshot | None:
    try:
        snapshot = msgspec.json.decode(row, type=Snapshot)
    except msgspec.MsgspecError as e:
        if not row.endswith(b"\n"):
            return None
        raise RecordingError(f"{path}:{n}: expected a snapshot of fwpages top ({SCHEMA}): {e}") from None
    if snapshot.schema_ != SCHEMA:
        raise RecordingError(f"{path}:{n}: its schema is {snapshot.schema_!r}, expected {SCHEMA!r}")
    wrong = _wrong(snapshot)
    if wrong:
        raise RecordingError(f"{path}:{n}: {wrong}: no such snapshot is written by fwpages top")
    return snapshot


def _wrong(snapshot: Snapshot) -> str:
    """The figure that no snapshot has, "" where there is none: such a line was edited, or damaged."""
    if not 0 <= snapshot.taken <= _LAST_SECOND:
        return f"its time is {snapshot.taken}"
    for memory in (snapshot.machine, *snapshot.nodes):
        if not all(0 <= n < _MOST for n in (memory.total, memory.free) if n is not None):
            return "its memory is below zero, or too large"
    for f in snapshot.functions:
        wrong = _wrong_of_function(f)
        if wrong:
            return wrong
    if _verdict(snapshot) is not snapshot.verdict:
        return f"its verdict is {snapshot.verdict.value!r}, its figures say otherwise"
    return ""


def _wrong_of_function(f: FunctionCounters) -> str:
    """The name or figure that no function has, "" where there is none."""
    if not f.device.isprintable() or not f.by_type.keys() <= _TYPES:
        return f"the function {f.device!r} has a name or a type that there is not"
    if not all(0 <= n < _MOST for n in _counts(f)) or not all(0 <= s < 1e12 for s in _shares(f)):
        return f"a figure of {f.device} is below zero, or too large"
    return ""


def _verdict(snapshot: Snapshot) -> Verdict:
    """The verdict that the figures of a snapshot give."""
    if snapshot.findings:
        return Verdict.FINDINGS
    unknown = not snapshot.functions or bool(snapshot.missing) or any(f.pages is None for f in snapshot.functions)
    return Verdict.NOT_KNOWN if unknown else Verdict.CONSISTENT


def _counts(f: FunctionCounters) -> Iterator[int]:
    """The counts of a function that are known."""
    counts = (f.pages, *f.by_type.values(), f.alloc_failed, f.give_dropped, f.reclaim_discarded, f.slots_inuse)
    asked = f.firmware.pages if f.firmware is not None else None
    yield from (n for n in (*counts, asked, *msgspec.structs.astuple(f.commands)) if n is not None)


def _shares(f: FunctionCounters) -> Iterator[float]:
    """The shares of memory that are known."""
    yield from (s for s in (f.share_of_node, f.share_of_machine) if s is not None)
