"""Opening the inputs of an audit: files, gzip, standard input; and recognising a trace or a kernel log."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, TypeAlias, cast

import msgspec

from fwpages.readers.log_lines import MESSAGE_FIELDS

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: a path, or a file that is open as text or bytes
Input: TypeAlias = str | Path | IO[str] | IO[bytes]

#: called while a file is read: its name, the bytes read so far as they are on disk, and those that it has
Watch: TypeAlias = Callable[[str, int, int], None]

#: bytes read at a time
CHUNK = 1 << 20
#: a line longer than this is no line of a trace or a log: a GIVE of 50,000 pages takes 0.8 MB in a trace
MAX_LINE = 32 << 20
#: bytes by which the format of a file is recognised
SAMPLE = 1 << 16

EXPECTED = "expected a trace of fwpages (*.jsonl) or a kernel log with mlx5_core's messages"

#: a byte order mark, which some editors put in front of UTF-8
_BOM = b"\xef\xbb\xbf"
_PACKED = {b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "zstd", b"BZh": "bzip2", b"PK\x03\x04": "zip"}


_GZIP = b"\x1f\x8b"
#: bytes of a compressed file that are unpacked at a time
_PIECE = 1 << 12


class InputError(Exception):
    """This input cannot be audited: the caller's misuse. The text says what was expected.

    ``command`` is one that helps; the text has it on a line of its own. Empty where none does.
    """

    def __init__(self, text: str, command: str = "") -> None:
        super().__init__(f"{text}:\n    {command}" if command else text)
        self.text, self.command = text, command


class Unpacked:
    """A gzip file as it is unpacked, several one after the other too.

    Unlike the library's it hands out all that comes before the place where a file is damaged or cut.
    """

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._member: zlib._Decompress | None = None
        self._rest = b""
        self._failed: Exception | None = None

    def read(self, size: int) -> bytes:
        """At most this many bytes, none at the end. EOFError and zlib.error as the file deserves."""
        while self._failed is None:
            data = self._rest or self._raw.read(_PIECE)
            self._rest = b""
            if not data and self._member is None:
                return b""
            if not data and self._member is not None and (out := self._member.decompress(b"", size)):
                return out
            if not data:
                self._failed = EOFError()
            elif out := self._unpack(data, size):
                return out
        raise self._failed

    def _unpack(self, data: bytes, size: int) -> bytes:
        if self._member is None:
            data = data.lstrip(b"\0")  # archives fill up with zeros
            if not data:
                return b""
            if not _GZIP.startswith(data[:2]):
                self._failed = zlib.error("what follows its end is no gzip")
                return b""
            self._member = zlib.decompressobj(wbits=31)
        before = self._member.copy()
        try:
            out = self._member.decompress(data, size)
        except zlib.error as e:
            self._failed = e
            return _until_failure(before, data)
        self._rest = self._member.unconsumed_tail or self._member.unused_data
        if self._member.eof:
            self._member = None
        return out


def _until_failure(member: zlib._Decompress, data: bytes) -> bytes:
    """The part of a damaged piece before its damage."""
    out = bytearray()
    with contextlib.suppress(zlib.error):
        for i in range(len(data)):
            out += member.decompress(data[i : i + 1])
    return bytes(out)


class Bytes(Protocol):
    """Whatever bytes can be read from."""

    def read(self, size: int) -> bytes:
        """At most this many bytes, none at the end."""


@dataclass
class Source:
    """An input by line. ``broken`` says why it ended early; ``cut`` that its last line has no line end.

    ``skipped`` counts lines that were too long to be any.
    """

    name: str
    stream: IO[bytes] | Unpacked | Bytes
    sample: bytes = b""
    broken: str = ""
    cut: bool = False
    skipped: int = 0
    lines: int = 0
    #: more comes later: its beginning is what is there
    growing: bool = False
    #: called after every chunk
    watch: Callable[[], None] | None = None
    _owned: list[IO[bytes]] = field(default_factory=list)

    def batches(self) -> Iterator[tuple[int, list[bytes]]]:
        """Lines in batches, each with the number of its first; line ends are taken off."""
        rest, skipping = b"", False
        while chunk := self._read():
            parts = (rest + chunk).split(b"\n")
            rest = parts.pop()
            if skipping and parts:
                parts[0], skipping = b"", False
            if parts:
                yield self.lines + 1, parts
                self.lines += len(parts)
            if skipping or len(rest) > MAX_LINE:
                self.skipped += not skipping
                rest, skipping = b"", True
        if rest:
            self.cut = True
            yield self.lines + 1, [rest]
            self.lines += 1

    def _read(self) -> bytes:
        if self.sample:
            chunk, self.sample = self.sample, b""
            return chunk
        if self.watch is not None:
            self.watch()
        return self._fetch(CHUNK)

    def _fetch(self, size: int) -> bytes:
        try:
            return self.stream.read(size)
        except EOFError:
            self.broken = "the compressed file ends too early"
        except zlib.error as e:
            self.broken = f"the compressed file is damaged ({e})"
        except OSError as e:
            self.broken = f"reading failed ({e.strerror or e})"
        return b""

    def peek(self) -> bytes:
        """The beginning, without consuming it."""
        while not self.growing and len(self.sample) < SAMPLE and (more := self._fetch(SAMPLE - len(self.sample))):
            self.sample += more
        return self.sample

    def skip_mark(self) -> None:
        """Take a byte order mark off the beginning."""
        self.sample = self.peek().removeprefix(_BOM)

    def close(self) -> None:
        """Close the files that were opened for it."""
        for f in self._owned:
            with contextlib.suppress(OSError):
                f.close()


class _Lent(io.RawIOBase):
    """An open file of the caller's, read from where it stands; it stays open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, into: WriteableBuffer) -> int:
        with memoryview(into).cast("B") as view:
            data = self._file.read(len(view))
            view[: len(data)] = data
            return len(data)


def open_source(path: Input, watch: Watch | None = None) -> Source:
    """The input at ``path``, unpacked where it is gzip; InputError where it cannot be read.

    ``-`` is standard input. A file that is open, as text or bytes, is read from where it stands, and stays open.
    ``watch`` is called while a file on disk is read.
    """
    name, raw = _opened(path)
    owned = [] if str(path) == "-" else [raw]
    try:
        buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)  # type: ignore[type-var]
        magic = buffered.peek(6)[:6]
    except (OSError, ValueError) as e:
        raise _unreadable(name, e) from None
    stream: IO[bytes] | Unpacked = Unpacked(buffered) if magic[:2] == _GZIP else buffered
    source = Source(name, stream, watch=_watched(name, buffered, watch), _owned=owned)
    packed = next((how for start, how in _PACKED.items() if magic.startswith(start)), None)
    if packed:
        source.close()
        raise InputError(f"{name} is packed with {packed}; unpack it first (gzip is read as it is)")
    source.skip_mark()
    if not source.peek() and not source.broken:
        source.close()
        raise InputError(f"{name} is empty; {EXPECTED}")
    return source


def _watched(name: str, raw: io.BufferedReader, watch: Watch | None) -> Callable[[], None] | None:
    """``watch`` with the place in a file on disk; None for what has no size."""
    if watch is None:
        return None
    try:
        status = os.fstat(raw.fileno())
    except (OSError, ValueError):
        return None
    return (lambda: watch(name, raw.tell(), status.st_size)) if stat.S_ISREG(status.st_mode) else None


def _opened(path: Input) -> tuple[str, IO[bytes] | io.BufferedReader]:
    """The name under which an input is reported, and its bytes as they are on disk."""
    if not isinstance(path, (str, Path)):
        return _lent(path)
    name = str(path)
    if not name:
        raise InputError(f"the name of a file is empty; {EXPECTED}")
    if name == "-":
        return "<stdin>", sys.stdin.buffer
    try:
        return name, Path(path).open("rb")
    except IsADirectoryError:
        raise InputError(f"{name} is a directory; {EXPECTED}") from None
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; {EXPECTED}") from None
    except (OSError, ValueError) as e:
        raise _unreadable(name, e) from None


def _lent(file: IO[str] | IO[bytes]) -> tuple[str, io.BufferedReader]:
    name = getattr(file, "name", None)
    if isinstance(file, io.TextIOBase):
        text = file.read()
        raw: IO[bytes] = io.BytesIO(text.encode("utf-8", "surrogateescape"))
    else:
        raw = cast("IO[bytes]", file)
    return name if isinstance(name, str) else "<file>", io.BufferedReader(_Lent(raw))


def _unreadable(name: str, e: Exception) -> InputError:
    return InputError(f"{name} cannot be read ({getattr(e, 'strerror', None) or e})")


def looks_binary(sample: bytes) -> bool:
    """No text: zero bytes, or many that no text has."""
    head = sample[:4096]
    odd = sum(b < 9 or 13 < b < 32 for b in head)
    return b"\0" in head or odd * 10 > len(head)


def is_trace(source: Source) -> bool:
    """It begins like a trace. A journal or a container's log as JSON is a log; InputError for JSON of another kind."""
    first = next((line.strip() for line in source.peek().split(b"\n") if line.strip()), b"")
    if not first.startswith(b"{"):
        return False
    try:
        head = msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # a first line longer than the sample, or cut: the reader of traces reports the error
        return first[:200].find(b'"kind"') >= 0 or _wrong(source)
    if not isinstance(head, dict):
        return _wrong(source)
    if isinstance(head.get("kind"), str):
        return True
    return not any(name in head for name in MESSAGE_FIELDS) and _wrong(source)


def _wrong(source: Source) -> bool:
    """InputError, unless a log stands in the JSON: what a tool keeps of a command's output."""
    if b"mlx5_core" in source.peek():
        return False
    raise InputError(f"{source.name} is JSON, but no trace of fwpages: its lines have no kind; {EXPECTED}")
