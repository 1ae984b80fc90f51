"""Snapshots in a file, a line of JSON each (schema ``top/1``): written by ``record``, read by ``replay``."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fwpages.machine.snapshot import Snapshot

SCHEMA = "top/1"


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
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for n, row in enumerate(file, 1):
                if row.strip():
                    snapshot = _decoded(path, n, row)
                    if snapshot is None:
                        break
                    count += 1
                    yield snapshot
    except (OSError, EOFError) as e:
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
    return snapshot
