"""Encode BTF: types declared with names and members, laid out as a C compiler does."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Declared:
    """A type that was declared: its number, its bytes, and the boundary that it begins at."""

    id: int
    size: int
    align: int


class BtfWriter:
    """Declares types and makes a blob of them; with ``base`` one that continues the base's numbers and strings."""

    def __init__(self, base: BtfWriter | None = None) -> None:
        self._base = base
        self._strings = bytearray(b"\0")
        self._string_start = base.string_end if base else 0
        self._records = bytearray()
        self._next = base.next if base else 1
        self.named: dict[str, Declared] = dict(base.named) if base else {}
        self.u8: Declared = base.u8 if base else self._int(1)
        self.u16: Declared = base.u16 if base else self._int(2)
        self.u32: Declared = base.u32 if base else self._int(4)
        self.u64: Declared = base.u64 if base else self._int(8)
        self.pointer: Declared = base.pointer if base else self.add(2, 0, 0, b"", 8, 8)

    @property
    def next(self) -> int:
        return self._next

    @property
    def string_end(self) -> int:
        return self._string_start + len(self._strings)

    def text(self, name: str) -> int:
        if not name:
            return 0
        at = len(self._strings)
        self._strings += name.encode() + b"\0"
        return self._string_start + at

    def add(self, kind: int, parts: int, size: int, extra: bytes, total: int, align: int, name: str = "") -> Declared:
        self._records += struct.pack("<III", self.text(name), kind << 24 | parts, size) + extra
        self._next += 1
        return Declared(self._next - 1, total, align)

    def _int(self, size: int) -> Declared:
        return self.add(1, 0, size, struct.pack("<I", size * 8), size, size, f"u{size * 8}")

    def array(self, of: Declared, count: int) -> Declared:
        return self.add(3, 0, 0, struct.pack("<III", of.id, self.u32.id, count), of.size * count, of.align)

    def typedef(self, name: str, of: Declared) -> Declared:
        return self.add(8, 0, of.id, b"", of.size, of.align, name)

    def struct(self, name: str, members: Sequence[tuple[str, Declared]], *, union: bool = False) -> Declared:
        """A structure of these members in their order, or a union; a member of no name is an anonymous part."""
        at, end, align, rows = 0, 0, 1, b""
        for label, kind in members:
            at = 0 if union else end + -end % kind.align
            rows += struct.pack("<III", self.text(label), kind.id, at * 8)
            end, align = max(end, at + kind.size), max(align, kind.align)
        total = end + -end % align
        made = self.add(5 if union else 4, len(members), total, rows, total, align, name)
        if name:
            self.named[name] = made
        return made

    def bits(self, name: str, members: Sequence[tuple[str, int]]) -> Declared:
        """A structure of one byte, of bit fields with these numbers of bits."""
        at, rows = 0, b""
        for label, n in members:
            rows += struct.pack("<III", self.text(label), self.u8.id, n << 24 | at)
            at += n
        return self.add(4 | 0x80, len(members), 1, rows, 1, 1, name)

    def enum(self, name: str, values: Mapping[str, int]) -> Declared:
        rows = b"".join(struct.pack("<Ii", self.text(label), n) for label, n in values.items())
        return self.add(6, len(values), 4, rows, 4, 4, name)

    def enum64(self, name: str, values: Mapping[str, int]) -> Declared:
        rows = b"".join(struct.pack("<III", self.text(k), n & 0xFFFFFFFF, n >> 32) for k, n in values.items())
        return self.add(19, len(values), 8, rows, 8, 8, name)

    def blob(self) -> bytes:
        head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self._records), len(self._records), len(self._strings))
        return head + bytes(self._records) + bytes(self._strings)
