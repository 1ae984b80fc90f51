"""A search written to a directory, level by level, so that it can be interrupted and go on.

Theory of operation. All that a search knows grows at its end: keys, parents, moves, the graph. So each of these is a
file to which bytes are added (``Columns``), and ``search.json`` says how many bytes of each belong to the search, with
a digest over them, beside the counts and verdicts. The columns are on the disk before ``search.json`` takes the place
of the one before: whatever happens in between, the directory has the search as it was at the end of some level.

The states of the last level are not written. They are made again from their paths, and their keys are compared with
those written: a world or a program that has changed in between is noticed, and not searched on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path as File
from typing import TypeAlias

import msgspec

from fwpages.explore.model.spec import Spec

#: seconds between two checkpoints: a level that is lost costs more than this rarely, and writing much less
EVERY = 30.0
SCHEMA = "checkpoint/1"

#: what is written of a search that grows at its end, by name
Columns: TypeAlias = Mapping[str, bytes | memoryview]


class CheckpointError(RuntimeError):
    """A directory has no checkpoint from which this search can go on; the text says why, and what to do."""


class SavedBroken(msgspec.Struct, frozen=True):
    """A property that does not hold (see ``search.Broken``)."""

    property: str
    path: tuple[int, ...]
    seen: str


class SavedColumn(msgspec.Struct, frozen=True):
    """How many bytes of a column belong to the search, and 16 bytes over them, in hex."""

    size: int
    digest: str


class Progress(msgspec.Struct, frozen=True):
    """How far a search was at the end of a level.

    ``ahead``: the states of the next level; ``bad``: those that break a property, which are not among ``states``.
    """

    states: int
    transitions: int
    levels: tuple[int, ...]
    ahead: int
    bad: int
    processes: tuple[str, ...]
    broken: tuple[SavedBroken, ...]
    reached: tuple[tuple[str, tuple[int, ...]], ...]


class Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``search.json``. ``world``: what the search is of, whatever its bound of states."""

    schema: str
    world: str
    progress: Progress
    columns: dict[str, SavedColumn]


class Checkpoint:
    """The directory of one search."""

    def __init__(self, directory: File, spec: Spec) -> None:
        self._directory, self._world = directory, _world(spec)
        self._digests: dict[str, tuple[int, hashlib.blake2b]] = {}
        self._written = time.monotonic()
        self._saved = self._read()

    @property
    def progress(self) -> Progress | None:
        """How far the search is that the directory has; None where it has none."""
        return None if self._saved is None else self._saved.progress

    @property
    def due(self) -> bool:
        """The last checkpoint is so old that another one pays."""
        return time.monotonic() - self._written >= EVERY

    def column(self, name: str) -> bytes:
        """One column of the search that is there. Raises CheckpointError where it is not as it was written."""
        assert self._saved is not None
        file = self._directory / f"{name}.bin"
        column = self._saved.columns.get(name, SavedColumn(0, ""))
        try:
            with file.open("rb") as stream:
                data = stream.read(column.size)
        except OSError as e:
            raise CheckpointError(f"{file}: {e.strerror}; name another directory, to begin anew") from None
        digest = hashlib.blake2b(data, digest_size=16)
        if len(data) != column.size or digest.hexdigest() != column.digest:
            raise CheckpointError(f"{file} is not as it was written; name another directory, to begin anew")
        self._digests[name] = column.size, digest
        return data

    def write(self, progress: Progress, columns: Columns) -> None:
        """Write a search that has grown since the last time."""
        written = {name: self._add(name, data) for name, data in columns.items()}
        text = msgspec.json.encode(Saved(SCHEMA, self._world, progress, written))
        fresh = self._directory / "search.json.new"
        with fresh.open("wb") as stream:
            stream.write(text)
            os.fsync(stream.fileno())
        fresh.replace(self._directory / "search.json")
        with _folder(self._directory) as number:
            os.fsync(number)
        self._written = time.monotonic()

    def _read(self) -> Saved | None:
        file = self._directory / "search.json"
        try:
            saved = msgspec.json.decode(file.read_bytes(), type=Saved)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as e:
            raise CheckpointError(f"{file} is no checkpoint that can be read ({e}); name another directory") from None
        if saved.schema != SCHEMA or saved.world != self._world:
            raise CheckpointError(
                f"{self._directory} has a search of another world, design or version; name another directory"
            )
        return saved

    def _add(self, name: str, data: bytes | memoryview) -> SavedColumn:
        """Write what is new of a column.

        Ctrl-C may come at any line, and the column is then written again: what it knew until here must not change.
        """
        size, before = self._digests.get(name, (0, hashlib.blake2b(digest_size=16)))
        fresh = memoryview(data)[size:]
        digest = before.copy()
        digest.update(fresh)
        file = self._directory / f"{name}.bin"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as stream:
            stream.truncate(size)  # what an interrupted checkpoint added
            stream.seek(size)
            stream.write(fresh)
            os.fsync(stream.fileno())
        self._digests[name] = size + len(fresh), digest
        return SavedColumn(size + len(fresh), digest.hexdigest())


@contextmanager
def checkpointed(directory: File, spec: Spec) -> Iterator[Checkpoint]:
    """The checkpoint in this directory, which is made if it is missing, for one search at a time.

    Raises CheckpointError where the directory cannot be used, another search uses it, or it has that of another world.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _folder(directory) as number:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Checkpoint(directory, spec)
    except BlockingIOError:
        raise CheckpointError(f"{directory} is in use by another search") from None
    except OSError as e:
        raise CheckpointError(f"{directory}: {e.strerror}") from None


@contextmanager
def _folder(directory: File) -> Iterator[int]:
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield number
    finally:
        os.close(number)


def _world(spec: Spec) -> str:
    """The subject of a search: all that decides its states and verdicts but the bound at which it stops."""
    bounds = msgspec.structs.replace(spec.scenario.bounds, states=1)
    unbounded = replace(spec, scenario=msgspec.structs.replace(spec.scenario, bounds=bounds))
    expected = hashlib.blake2b(repr(spec.scenario.expect).encode(), digest_size=8).hexdigest()
    reduced = " commuting" if spec.commuting else ""
    return f"{version('fwpages')} {spec.design} {unbounded.rules().fingerprint} {expected}{reduced}"
