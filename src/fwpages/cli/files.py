"""Files that a command writes beside its output, and standard input."""

from __future__ import annotations

import gzip
import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: bytes of a file's name that a file system takes
_MOST_NAME = 255
#: characters of a longer one that its part keeps: no more bytes than a name may have, whichever characters they are
_KEPT = 60


@contextmanager
def written(option: str, path: Path) -> Iterator[TextIO]:
    """Open the file that ``option`` names: it gets its name when it is whole; a device or a pipe is written directly.

    A file named ``.gz`` is packed with gzip, as an audit reads it. UsageError, which names the option, for a file that
    cannot be written.
    """
    if str(path) == "-":
        raise click.UsageError(f"{option} -: expected a file: standard output has what the command prints")
    part = None
    try:
        with _misuse(option, path):
            target = path
            if path.is_file() or not path.exists():
                _apart_from_output(option, path)
                _apart_from_inputs(option, path)
                target = path.resolve()
                part = _part(target)
            file = _File(option, path, part or target)
        with ExitStack() as stack:
            raw = stack.enter_context(io.BufferedWriter(file))
            # without a name and a time in it, equal texts are equal files
            packer = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if path.suffix == ".gz" else None
            yield stack.enter_context(io.TextIOWrapper(packer or raw, encoding="utf-8"))
        if part is not None:
            with _misuse(option, path):
                os.replace(part, target)
    finally:
        if part is not None:
            with suppress(OSError):  # where it could not be made
                part.unlink()


@contextmanager
def appended(option: str, path: Path) -> Iterator[TextIO]:
    """Open the file that ``option`` names to add lines to it; each is in the file as soon as it is written.

    UsageError, which names the option, for a file that cannot be written.
    """
    with _misuse(option, path):
        raw = _File(option, path, path, "a")
    with io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", line_buffering=True) as file:
        yield file


@contextmanager
def _misuse(option: str, path: Path) -> Iterator[None]:
    """Turn an error of opening, writing or naming the file into misuse of the option."""
    try:
        yield
    except (OSError, RuntimeError) as e:  # a loop of links is a RuntimeError
        raise click.UsageError(f"{option} {path}: {getattr(e, 'strerror', None) or e}") from None


class _File(io.FileIO):
    """A file to write, whose errors say which option named it."""

    def __init__(self, option: str, path: Path, where: Path, mode: str = "w") -> None:
        self._named = option, path
        super().__init__(where, mode)

    def write(self, data: ReadableBuffer) -> int:
        with _misuse(*self._named):
            return super().write(data)


def _part(target: Path) -> Path:
    """The name of a file until it is whole."""
    name = target.name + ".part"
    return target.with_name(name if len(os.fsencode(name)) <= _MOST_NAME else target.name[:_KEPT] + ".part")


def _apart_from_output(option: str, path: Path) -> None:
    """Refuse a file that standard output goes to as well: one of the two would be lost."""
    if path.exists() and os.path.samestat(path.stat(), os.fstat(1)):
        raise click.UsageError(f"{option} {path}: standard output goes there too; one of the two needs another file")


def _apart_from_inputs(option: str, path: Path) -> None:
    """Refuse a file that the command reads as an argument: it would be lost."""
    context = click.get_current_context(silent=True)
    if context is None or not path.exists():
        return
    for name in _arguments(context):
        if os.path.exists(name) and os.path.samefile(name, path):
            raise click.UsageError(f"{option} {path}: the command reads this file; the output needs another one")


def _arguments(context: click.Context) -> Iterator[str | Path]:
    """The command's arguments that can name a file."""
    for parameter in context.command.params:
        given = context.params.get(parameter.name or "") if isinstance(parameter, click.Argument) else None
        for name in given if isinstance(given, tuple) else (given,):
            if isinstance(name, str | Path):
                yield name


def standard_input() -> TextIO:
    """Return standard input; UsageError where it is closed."""
    if sys.stdin is None:
        raise click.UsageError("standard input (-) is closed: there is nothing to read")
    return sys.stdin


def read_input() -> str:
    """Read all of standard input as text; UsageError where it is closed or not UTF-8."""
    try:
        text = standard_input().read()
        text.encode()  # in a locale without UTF-8 wrong bytes come as surrogates
    except UnicodeError:
        raise click.UsageError("standard input (-): not text in UTF-8") from None
    return text
