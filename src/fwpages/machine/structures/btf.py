"""Types of a running kernel and its modules from BTF, the description that the kernel carries with it.

A BTF blob has a header, type records and a table of strings. A record has the offset of its name, a word with its kind
and the number of its parts, a size or the number of another type, and what its kind adds. The blob of a module
continues the numbers and the strings of vmlinux's (*split* BTF). Records are as long as their kind says, so that one
pass finds them all; the types themselves are read when they are asked for.

Layouts: Linux, Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from fwpages.machine.structures.errors import FileError

_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_RECORD = struct.Struct("<III")
_MEMBER = struct.Struct("<III")
_ENUM = struct.Struct("<Ii")
_ENUM64 = struct.Struct("<IIi")
_POINTER_SIZE = 8
#: typedefs and qualifiers may stand on one another; a chain longer than this is a circle
_CHAIN = 64


class Kind(IntEnum):
    """The kinds of BTF records."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


#: bytes that a kind adds to a record: a fixed number, and so many for each part
_ADDED = {
    Kind.INT: (4, 0),
    Kind.PTR: (0, 0),
    Kind.ARRAY: (12, 0),
    Kind.STRUCT: (0, 12),
    Kind.UNION: (0, 12),
    Kind.ENUM: (0, 8),
    Kind.FWD: (0, 0),
    Kind.TYPEDEF: (0, 0),
    Kind.VOLATILE: (0, 0),
    Kind.CONST: (0, 0),
    Kind.RESTRICT: (0, 0),
    Kind.FUNC: (0, 0),
    Kind.FUNC_PROTO: (0, 8),
    Kind.VAR: (4, 0),
    Kind.DATASEC: (0, 12),
    Kind.FLOAT: (0, 0),
    Kind.DECL_TAG: (4, 0),
    Kind.TYPE_TAG: (0, 0),
    Kind.ENUM64: (0, 12),
}
_TRANSPARENT = frozenset({Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})
_SIZED = frozenset({Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.FLOAT, Kind.ENUM64})
_COMPOSITE = frozenset({Kind.STRUCT, Kind.UNION})


class NoTypeError(LookupError):
    """A type or a member that this kernel does not have; the text names it."""


@dataclass(frozen=True, slots=True)
class Member:
    """The place of a member in its structure, from the structure's first byte.

    ``offset`` and ``size`` are bytes. ``count`` is the number of elements of an array, else 1; ``size`` is that of all
    of them. A bit field has ``bits`` bits from bit ``shift`` of the bytes at ``offset``; of other members ``bits`` is
    0.
    """

    offset: int
    size: int
    type_id: int
    count: int = 1
    shift: int = 0
    bits: int = 0

    @property
    def each(self) -> int:
        """Bytes of one element."""
        return self.size // self.count if self.count else 0

    def of(self, data: bytes | memoryview, start: int = 0) -> int:
        """The unsigned number that the member is, in the bytes of a structure that begins at ``start``."""
        value = int.from_bytes(data[start + self.offset : start + self.offset + self.size], "little")
        return (value >> self.shift) & ((1 << self.bits) - 1) if self.bits else value


@dataclass(frozen=True, slots=True)
class Structure:
    """A structure or union of this kernel: ``size`` in bytes, and the places of its members by name."""

    name: str
    size: int
    type_id: int
    types: Btf

    def member(self, path: str) -> Member:
        """The member at ``path``, such as ``priv.page_root_xa``: names joined by dots, anonymous parts left out.

        NoTypeError where there is none.
        """
        found = self.types.find_member(self.type_id, path)
        if found is None:
            raise NoTypeError(f"struct {self.name} has no member {path}")
        return found

    def has(self, path: str) -> bool:
        """True where there is such a member."""
        return self.types.find_member(self.type_id, path) is not None


class Btf:
    """The types of one blob; with ``base``, of a module's blob that continues vmlinux's.

    ``name`` stands in error messages. Raises FileError for a blob that is not BTF or is damaged.
    """

    def __init__(self, data: bytes, name: str, base: Btf | None = None) -> None:
        self.name = name
        self._base = base
        records, self._strings = self._sections(data)
        self._first = base.end if base else 1
        self._string_start: int = base._string_end if base else 0
        self._string_end: int = self._string_start + len(self._strings)
        self._records = records
        self._offsets, names = self._index(records)
        self._names: NDArray[np.uint32] = np.frombuffer(names, np.uint32)

    @property
    def end(self) -> int:
        """One more than the largest number of a type here."""
        return self._first + len(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)

    def same_as(self, data: bytes) -> bool:
        """True where another blob has the same types. Raises FileError for one that is not BTF or is damaged."""
        return self._sections(data) == (self._records, self._strings)

    def _sections(self, data: bytes) -> tuple[bytes, bytes]:
        if len(data) < _HEADER.size:
            raise FileError(f"{self.name}: {len(data)} bytes are too few for BTF's header")
        magic, version, _, length, type_off, type_len, str_off, str_len = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            swapped = ": it is big-endian" if magic == 0x9FEB else ""
            raise FileError(f"{self.name}: no BTF, it begins with {magic:#06x} and not with {_MAGIC:#06x}{swapped}")
        if version != 1:
            raise FileError(f"{self.name}: BTF of version {version}, of which nothing is known")
        for what, off, n in (("types", type_off, type_len), ("strings", str_off, str_len)):
            if length < _HEADER.size or length + off + n > len(data):
                raise FileError(
                    f"{self.name}: BTF is cut short: its {what} end at byte {length + off + n:,} of {len(data):,}"
                )
        strings = data[length + str_off : length + str_off + str_len]
        if not strings or strings[-1] or (self._base is None and strings[0]):
            raise FileError(f"{self.name}: BTF's strings do not begin and end with an empty one")
        return data[length + type_off : length + type_off + type_len], strings

    def _index(self, records: bytes) -> tuple[array[int], array[int]]:
        """The offsets of all records, and the offsets of their names."""
        offsets, names = array("I"), array("I")
        add, name, at, end = offsets.append, names.append, 0, len(records)
        rows = {kind.value: (_RECORD.size + fixed, each) for kind, (fixed, each) in _ADDED.items()}
        fixed = [rows.get(k, (0, 0))[0] for k in range(32)]
        each = [rows.get(k, (0, 0))[1] for k in range(32)]
        unpack = struct.Struct("<II").unpack_from
        try:
            while at < end:
                name_off, info = unpack(records, at)
                kind = info >> 24 & 0x1F
                if not fixed[kind]:
                    raise FileError(
                        f"{self.name}: BTF type {self._first + len(offsets)} has kind {kind}, which is not known"
                    )
                add(at)
                name(name_off)
                at += fixed[kind] + each[kind] * (info & 0xFFFF)
        except struct.error:
            at = end + 1
        if at != end:
            raise FileError(f"{self.name}: BTF's last type reaches beyond the end of the types")
        return offsets, names

    # -- records ------------------------------------------------------------------------------------------------------

    def _record(self, type_id: int) -> tuple[Btf, int, Kind, int, int]:
        """Blob, offset, kind, number of parts (with the kind's flag in bit 31), and size or type, of a type."""
        if type_id < self._first and self._base is not None:
            return self._base._record(type_id)
        n = type_id - self._first
        if not 0 <= n < len(self._offsets):
            raise FileError(f"{self.name}: a type refers to type {type_id}, which does not exist")
        at = self._offsets[n]
        _, info, size = _RECORD.unpack_from(self._records, at)
        return self, at, Kind(info >> 24 & 0x1F), info & 0x8000FFFF, size

    def _text(self, offset: int) -> str:
        if offset < self._string_start and self._base is not None:
            return self._base._text(offset)
        start = offset - self._string_start
        if not 0 <= start < len(self._strings):
            raise FileError(f"{self.name}: a name is at byte {offset} of the strings, beyond their end")
        return self._strings[start : self._strings.index(0, start)].decode("utf-8", "replace")

    def _plain(self, type_id: int) -> int:
        """The type under typedefs and qualifiers."""
        for _ in range(_CHAIN):
            if not type_id:
                return 0
            _, _, kind, _, below = self._record(type_id)
            if kind not in _TRANSPARENT:
                return type_id
            type_id = below
        raise FileError(f"{self.name}: type {type_id} is a typedef of itself")

    def _measure(self, type_id: int) -> tuple[int, int]:
        """Bytes of a type, and the number of elements where it is an array (else 1)."""
        count = 1
        for depth in range(_CHAIN):
            type_id = self._plain(type_id)
            blob, at, kind, _, size = self._record(type_id) if type_id else (self, 0, Kind.VOID, 0, 0)
            if kind is not Kind.ARRAY:
                each = size if kind in _SIZED else _POINTER_SIZE if kind is Kind.PTR else 0
                return each * count, count
            type_id, _, elements = _MEMBER.unpack_from(blob._records, at + 12)
            count = count * elements if depth else elements
        raise FileError(f"{self.name}: an array of itself")

    # -- look-ups -----------------------------------------------------------------------------------------------------

    def _named(self, name: str, kinds: frozenset[Kind]) -> Iterator[int]:
        """The numbers of the types of this name and of these kinds: the blob's own first, then the base's."""
        offsets = []
        for blob in (self, self._base) if self._base else (self,):
            wanted, at = name.encode() + b"\0", -1
            while (at := blob._strings.find(wanted, at + 1)) >= 0:
                offsets.append(at + blob._string_start)
        for blob in (self, self._base) if self._base else (self,):
            for n in np.flatnonzero(np.isin(blob._names, np.array(offsets, np.uint32))):
                type_id = blob._first + int(n)
                if blob._record(type_id)[2] in kinds and blob._text(int(blob._names[n])) == name:
                    yield type_id

    def has(self, name: str) -> bool:
        """True where there is a structure of this name."""
        return next(self._named(name, _COMPOSITE), None) is not None

    def structure(self, name: str) -> Structure:
        """The structure or union of this name. NoTypeError where there is none."""
        for type_id in self._named(name, _COMPOSITE):
            return Structure(name, self._record(type_id)[4], type_id, self)
        raise NoTypeError(f"{self.name} has no struct {name}")

    def enumerators(self, name: str) -> dict[str, int]:
        """The values of an enum by their names; a member's, where ``name`` is one of its values.

        Empty where it is not there.
        """
        for type_id in self._named(name, frozenset({Kind.ENUM, Kind.ENUM64})):
            return dict(self._values(type_id))
        return {}

    def _values(self, type_id: int) -> Iterator[tuple[str, int]]:
        blob, at, kind, info, _ = self._record(type_id)
        shape = _ENUM if kind is Kind.ENUM else _ENUM64
        for i in range(info & 0xFFFF):
            row = shape.unpack_from(blob._records, at + 12 + i * shape.size)
            value = row[1] if kind is Kind.ENUM else row[1] | row[2] << 32
            yield self._text(row[0]), value

    def find_member(self, type_id: int, path: str) -> Member | None:
        """The member of a structure at a path of names, in anonymous parts too; None where there is none."""
        head, _, rest = path.partition(".")
        found = self._direct(type_id, head, 0)
        if found is None or not rest:
            return found
        inner = self.find_member(self._plain(found.type_id), rest)
        if inner is None:
            return None
        return Member(found.offset + inner.offset, inner.size, inner.type_id, inner.count, inner.shift, inner.bits)

    def _direct(self, type_id: int, name: str, depth: int) -> Member | None:
        if not type_id or depth > _CHAIN:
            return None
        blob, at, kind, info, size = self._record(type_id)
        if kind not in _COMPOSITE:
            return None
        for i in range(info & 0xFFFF):
            name_off, inner, place = _MEMBER.unpack_from(blob._records, at + 12 + i * _MEMBER.size)
            bits = place >> 24 if info >> 31 else 0
            place = place & 0xFFFFFF if info >> 31 else place
            label = self._text(name_off)
            if label == name:
                return self._placed(inner, place, bits, size)
            if not label:
                nested = self._direct(self._plain(inner), name, depth + 1)
                if nested is not None:
                    start = place // 8 + nested.offset
                    return Member(start, nested.size, nested.type_id, nested.count, nested.shift, nested.bits)
        return None

    def _placed(self, type_id: int, place: int, bits: int, outer: int) -> Member:
        """A member at bit ``place``. A bit field is read from as few bytes as it needs."""
        if bits:
            return Member(place // 8, (place % 8 + bits + 7) // 8, type_id, 1, place % 8, bits)
        size, count = self._measure(type_id)
        if place // 8 + size > outer:
            raise FileError(f"{self.name}: a member reaches beyond the end of its structure")
        return Member(place // 8, size, type_id, count)
