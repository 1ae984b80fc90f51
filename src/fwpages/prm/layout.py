"""Bit layouts over big-endian words: declared once, used to read and to write.

The manual and Linux's ``mlx5_ifc.h`` count bits from the most significant bit of the first dword; a field
written ``0x50:16`` there is ``Field("name", 0x50, 16)`` here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


class LayoutError(ValueError):
    """A buffer or a value that does not fit the declared layout."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: ``width`` bits from bit ``bit``; two's complement where ``signed``."""

    name: str
    bit: int
    width: int
    signed: bool = False
    #: the first bit after the field, and all ones in its width
    end: int = field(init=False, repr=False, compare=False)
    mask: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "end", self.bit + self.width)
        object.__setattr__(self, "mask", (1 << self.width) - 1)

    def encode(self, value: int) -> int:
        """``value`` as the field's unsigned bits; LayoutError where it does not fit."""
        low, high = (-(1 << (self.width - 1)), self.mask >> 1) if self.signed else (0, self.mask)
        if not low <= value <= high:
            raise LayoutError(f"{self.name} = {value:#x} does not fit {self.width} bits ({low:#x} to {high:#x})")
        return value & self.mask

    def decode(self, bits: int) -> int:
        """The field's unsigned bits as a value."""
        return bits - (1 << self.width) if self.signed and bits >> (self.width - 1) else bits


def _index(fields: tuple[Field, ...], name: str) -> Mapping[str, Field]:
    claimed, by_name = 0, dict[str, Field]()
    for f in fields:
        if by_name.setdefault(f.name, f) is not f:
            raise LayoutError(f"{name}: there are two fields {f.name}")
        bits = f.mask << f.bit
        if claimed & bits:
            raise LayoutError(f"{name}: field {f.name} overlaps another")
        claimed |= bits
    return MappingProxyType(by_name)


@dataclass(frozen=True)
class Layout:
    """A named structure of ``size`` bytes with declared fields; everything else in it is reserved."""

    name: str
    size: int
    fields: tuple[Field, ...]
    by_name: Mapping[str, Field] = field(init=False, repr=False, compare=False)
    #: bytes that a buffer needs for every declared field to be in it
    least: int = field(init=False, repr=False, compare=False)
    #: of each field: its name, the bits behind it in ``least`` bytes, its mask, what to take off where it is negative
    _table: tuple[tuple[str, int, int, int], ...] = field(init=False, repr=False, compare=False)
    #: all bits of ``size`` bytes that no field has
    _reserved: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", _index(self.fields, self.name))
        least = max((f.end + 7) // 8 for f in self.fields) if self.fields else 0
        object.__setattr__(self, "least", least)
        if least > self.size:
            raise LayoutError(f"{self.name}: a field ends beyond its {self.size} bytes")
        table = tuple((f.name, least * 8 - f.end, f.mask, (f.mask + 1) * f.signed) for f in self.fields)
        object.__setattr__(self, "_table", table)
        declared = sum(f.mask << (self.size * 8 - f.end) for f in self.fields)
        object.__setattr__(self, "_reserved", ((1 << self.size * 8) - 1) ^ declared)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def unpack(self, buf: bytes | memoryview) -> dict[str, int]:
        """Every declared field of ``buf``; LayoutError where the buffer ends before one does."""
        if len(buf) < self.least:
            raise LayoutError(f"{self.name} needs {self.least} bytes, the buffer has {len(buf)}")
        word = int.from_bytes(buf[: self.least], "big")
        out = {}
        for name, shift, mask, wrap in self._table:
            bits = (word >> shift) & mask
            out[name] = bits - wrap if bits > mask >> 1 and wrap else bits
        return out

    def pack(self, values: Mapping[str, int], size: int | None = None) -> bytes:
        """``size`` bytes (by default the layout's own size) with these fields set and the rest zero.

        Raises LayoutError for an undeclared name, a value out of range, or a non-zero field beyond ``size``.
        """
        size = self.size if size is None else size
        top = max(size, self.least) * 8
        word = 0
        for name, value in values.items():
            f = self.by_name.get(name)
            if f is None:
                raise LayoutError(f"{self.name} has no field {name}")
            word |= f.encode(value) << (top - f.end)
        whole = word.to_bytes(top // 8, "big")
        if any(whole[size:]):
            raise LayoutError(f"{self.name}: a field is set beyond the {size} bytes asked for")
        return whole[:size]

    def patch(self, buf: bytes, values: Mapping[str, int]) -> bytes:
        """``buf`` with these fields replaced and every other bit as it was."""
        top = len(buf) * 8
        word = int.from_bytes(buf, "big")
        for name, value in values.items():
            f = self.by_name.get(name)
            if f is None or f.end > top:
                raise LayoutError(f"{self.name} has no field {name} in {len(buf)} bytes")
            shift = top - f.end
            word = (word & ~(f.mask << shift)) | (f.encode(value) << shift)
        return word.to_bytes(len(buf), "big")

    def reserved(self, buf: bytes | memoryview) -> bytes:
        """The first ``size`` bytes of ``buf`` with the declared fields cleared: the bytes that no field covers."""
        head = bytes(buf[: self.size])
        kept = int.from_bytes(head, "big") & (self._reserved >> 8 * (self.size - len(head)))
        return kept.to_bytes(len(head), "big")
