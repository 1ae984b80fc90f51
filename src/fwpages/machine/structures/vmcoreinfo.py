"""VMCOREINFO: the note in which a kernel says where its main structures are. ``/proc/kcore`` and every core have it.

A line is ``KEY=VALUE`` or ``KEY(NAME)=VALUE``: ``SYMBOL`` has addresses as they are in memory, ``NUMBER`` plain
numbers. Layout: Linux, Documentation/admin-guide/kdump/vmcoreinfo.rst.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LINE = re.compile(r"(\w+)(?:\((\w+)\))?=(.*)")


@dataclass(frozen=True, slots=True)
class Vmcoreinfo:
    """The note's lines: ``plain`` by key, ``symbols`` and ``numbers`` by name. A line of another form is left out."""

    plain: Mapping[str, str]
    symbols: Mapping[str, int]
    numbers: Mapping[str, int]

    @classmethod
    def parse(cls, note: bytes) -> Vmcoreinfo:
        """The content of the note as values."""
        plain: dict[str, str] = {}
        symbols: dict[str, int] = {}
        numbers: dict[str, int] = {}
        for line in note.decode("ascii", "replace").splitlines():
            m = _LINE.fullmatch(line.strip("\0 "))
            if m is None:
                continue
            key, name, value = m.groups()
            if name is None:
                plain[key] = value
            elif key == "SYMBOL" and re.fullmatch(r"(0x)?[0-9a-fA-F]+", value):
                symbols[name] = int(value, 16)
            elif key == "NUMBER" and re.fullmatch(r"-?[0-9]+|0x[0-9a-fA-F]+", value):
                numbers[name] = int(value, 0)
        return cls(plain, symbols, numbers)

    @property
    def release(self) -> str | None:
        """The kernel's version, as ``uname -r`` prints it."""
        return self.plain.get("OSRELEASE")

    @property
    def page_size(self) -> int | None:
        """Bytes of a page of this kernel."""
        size = self.plain.get("PAGESIZE", "")
        return int(size) if size.isdigit() else None
