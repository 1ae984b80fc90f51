"""ELF files: program headers and notes of a core, sections of a kernel or a module. 64 bits, little-endian.

Layouts: System V ABI, "Object Files" and "Program Loading".
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from fwpages.machine.structures.errors import FileError

_IDENT = 16
_HEADER = struct.Struct("<HHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_NOTE = struct.Struct("<III")
_PT_LOAD, _PT_NOTE = 1, 4
#: a number of program headers that does not fit stands in the first section
_MANY = 0xFFFF
#: the largest note section that is read: those of cores have one note for each processor
_MOST_NOTES = 64 << 20
#: more headers than this are no ELF file's
_MOST_HEADERS = 1 << 20

#: no file and no memory has bytes from here on
_END_OF_FILE, _END_OF_MEMORY = 1 << 63, 1 << 64

#: machines by their numbers in ELF
MACHINES = {62: "x86_64", 183: "aarch64", 21: "ppc64le", 22: "s390x", 243: "riscv64"}


@dataclass(frozen=True, slots=True)
class Load:
    """A piece of memory in a core: ``size`` bytes at ``offset`` of the file, at a virtual and a physical address."""

    offset: int
    virtual: int
    physical: int
    size: int


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a file by name, with its place there."""

    name: str
    offset: int
    size: int


class Elf:
    """The headers of an open ELF file. ``name`` stands in error messages.

    Raises FileError for another file, another byte order or word size, and headers that the file does not have.
    """

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self.name = name
        head = os.pread(fd, _IDENT + _HEADER.size, 0)
        if head[:4] != b"\x7fELF":
            raise FileError(f"{name}: not an ELF file")
        if len(head) < _IDENT + _HEADER.size:
            raise FileError(f"{name}: an ELF file that ends within its header")
        if head[4] != 2 or head[5] != 1:
            bits, order = {1: "32", 2: "64"}.get(head[4], "?"), {1: "little", 2: "big"}.get(head[5], "?")
            raise FileError(f"{name}: ELF of {bits} bits, {order}-endian; only 64 bits, little-endian can be read")
        (
            self.type,
            machine,
            _,
            _,
            self._programs,
            self._sections,
            _,
            _,
            self._program_size,
            self._program_count,
            self._section_size,
            self._section_count,
            self._names,
        ) = _HEADER.unpack_from(head, _IDENT)
        self.machine = MACHINES.get(machine, f"ELF machine {machine}")

    def _table(self, what: str, offset: int, count: int, size: int, shape: struct.Struct) -> Iterator[tuple[int, ...]]:
        if not count:
            return
        if size < shape.size or count > _MOST_HEADERS:
            raise FileError(f"{self.name}: {count:,} {what} headers of {size} bytes are no ELF file's")
        data = self._bytes(offset, count * size)
        if len(data) < count * size:
            raise FileError(f"{self.name}: the file is cut short: it ends before its {what} headers do")
        for i in range(count):
            yield shape.unpack_from(data, i * size)

    def _program_headers(self) -> Iterator[tuple[int, ...]]:
        count = self._program_count
        if count == _MANY:
            first = next(self._table("section", self._sections, 1, self._section_size, _SECTION))
            count = first[7]
        return self._table("program", self._programs, count, self._program_size, _PROGRAM)

    def _bytes(self, offset: int, size: int) -> bytes:
        """Bytes of the file; fewer where it ends."""
        return os.pread(self._fd, size, offset) if offset < _END_OF_FILE else b""

    def loads(self) -> list[Load]:
        """The pieces of memory that the file has bytes of."""
        found = []
        for kind, _, offset, virtual, physical, size, _, _ in self._program_headers():
            if kind != _PT_LOAD or not size:
                continue
            if offset + size > _END_OF_FILE or virtual + size > _END_OF_MEMORY:
                raise FileError(f"{self.name}: the piece of memory at {virtual:#x} reaches beyond the end")
            found.append(Load(offset, virtual, physical, size))
        return found

    def notes(self) -> Iterator[tuple[bytes, bytes]]:
        """The notes, each with its name and content."""
        for kind, _, offset, _, _, size, _, _ in self._program_headers():
            if kind == _PT_NOTE:
                if size > _MOST_NOTES:
                    raise FileError(f"{self.name}: {size:,} bytes of notes are no core's")
                yield from self._notes_in(self._bytes(offset, size))

    def _notes_in(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        at = 0
        while at + _NOTE.size <= len(data):
            name_size, size, _ = _NOTE.unpack_from(data, at)
            start = at + _NOTE.size
            body = start + (name_size + 3 & ~3)
            at = body + (size + 3 & ~3)
            if body + size > len(data):
                raise FileError(f"{self.name}: a note is cut short")
            yield data[start : start + name_size].rstrip(b"\0"), data[body : body + size]

    def sections(self) -> dict[str, Section]:
        """The sections by name."""
        rows = list(self._table("section", self._sections, self._section_count, self._section_size, _SECTION))
        if not 0 <= self._names < len(rows):
            return {}
        _, _, _, _, offset, size, *_ = rows[self._names]
        if size > _MOST_NOTES:
            raise FileError(f"{self.name}: {size:,} bytes of section names are no ELF file's")
        names = self._bytes(offset, size)
        found = {}
        for row in rows:
            end = names.find(b"\0", row[0])
            label = names[row[0] : end].decode("ascii", "replace") if end >= 0 else ""
            found[label] = Section(label, row[4], row[5])
        return found
