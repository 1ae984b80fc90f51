"""Inputs that still grow: a log that a daemon writes, or a pipe. Reading waits for more, until it has to stop.

The caller waits, as only the caller knows what else may happen meanwhile: ``Wait`` is called whenever everything that
is there has been read. It returns False to end the input there.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from fwpages.readers.inputs import EXPECTED, SAMPLE, InputError, Source

#: waits until this pipe can be read, or a moment where there is none (None); False: the input ends here
Wait: TypeAlias = Callable[[int | None], bool]

_GZIP = b"\x1f\x8b"


class Growing:
    """The bytes of a file that grows, or of a pipe.

    A file that was replaced under its name, as log rotation does, is read to its end, and then the new one from its
    beginning; one that was cut to nothing is read from its beginning again. A pipe ends when its writer closes it.
    """

    def __init__(self, fd: int, path: Path | None, wait: Wait) -> None:
        self._fd, self._path, self._wait = fd, path, wait
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)

    def read(self, size: int) -> bytes:
        """At least one byte and at most ``size``, as soon as there are any; none where the input ends. OSError."""
        while True:
            if not self._regular and not self._wait(self._fd):
                return b""
            data = os.read(self._fd, size)
            if data or not self._regular:
                return data
            if not self._renewed() and not self._wait(None):
                return b""

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._path is not None:
            os.close(self._fd)

    def _renewed(self) -> bool:
        """Tell whether there is another file under the name, or the same one anew, and begin with it."""
        if self._path is None:
            return False
        try:
            now, mine = os.stat(self._path), os.fstat(self._fd)
            if (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino):
                fresh = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                os.close(self._fd)
                self._fd = fresh
                return True
        except OSError:
            return False  # between two files: the name comes back, or nothing more comes
        if mine.st_size < os.lseek(self._fd, 0, os.SEEK_CUR):
            os.lseek(self._fd, 0, os.SEEK_SET)
            return True
        return False


@contextmanager
def growing(path: str, wait: Wait) -> Iterator[Source]:
    """The input at ``path`` (``-`` is standard input) as it grows, once its first line is there.

    InputError where it cannot be read, is packed, or ends before anything came.
    """
    name = "<stdin>" if path == "-" else path
    try:
        fd = sys.stdin.fileno() if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as e:
        raise InputError(f"{name} cannot be read ({getattr(e, 'strerror', None) or e}); {EXPECTED}") from None
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise InputError(f"{name} is a directory; {EXPECTED}")
    stream = Growing(fd, None if path == "-" else Path(path), wait)
    try:
        source = Source(name, stream, _first_line(name, stream), growing=True)
        source.skip_mark()
        yield source
    finally:
        stream.close()


def _first_line(name: str, stream: Growing) -> bytes:
    """The beginning, with a whole line in it where there is one: by that the format is recognised."""
    sample = b""
    while b"\n" not in sample and len(sample) < SAMPLE:
        try:
            more = stream.read(SAMPLE)
        except OSError as e:
            raise InputError(f"{name} cannot be read ({e.strerror or e}); {EXPECTED}") from None
        if not more:
            break
        sample += more
        if sample.startswith(_GZIP):
            raise InputError(f"{name} is packed with gzip: what is packed does not grow line by line")
    if not sample.strip():
        raise InputError(f"{name} is empty; {EXPECTED}")
    return sample
