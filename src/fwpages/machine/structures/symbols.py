"""Addresses of a kernel's symbols: from ``/proc/kallsyms``, from a file, or from the tables in the kernel's own memory.

Nobody's list has to be complete: what one does not have, the next may. Addresses of 0 stand for *hidden*
(kptr_restrict) and are left out.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice

import numpy as np

from fwpages.machine.structures.btf import Btf
from fwpages.machine.structures.errors import FileError, TornError, UnmappedError
from fwpages.machine.structures.memory import Memory
from fwpages.machine.structures.vmcoreinfo import Vmcoreinfo

#: more symbols than this no kernel has
_MOST_SYMBOLS = 1 << 22
#: the longest name that kallsyms has
_MOST_NAME = 1024
#: more modules than this no kernel has
_MOST_MODULES = 1 << 14
_HALF, _WORD = 1 << 31, (1 << 64) - 1

Symbols = Mapping[str, int]


def from_lines(lines: Iterable[str], wanted: Collection[str], name: str = "/proc/kallsyms") -> dict[str, int]:
    """The addresses of ``wanted`` in lines of the form of ``/proc/kallsyms`` or ``System.map``.

    Raises FileError where a line that has one of the names has no address.
    """
    found: dict[str, int] = {}
    for line in lines:
        words = line.split(None, 3)
        if len(words) < 3 or words[2] not in wanted:
            continue
        try:
            address = int(words[0], 16)
        except ValueError:
            raise FileError(f"{name}: no address before {words[2]}: expected lines such as in /proc/kallsyms") from None
        if address:
            found.setdefault(words[2], address)
    return found


def shifted(found: Symbols, anchors: Symbols) -> dict[str, int]:
    """Move the addresses of a file, which may be as linked, by the distance of a symbol that both have."""
    for anchor in ("_stext", "init_uts_ns", "swapper_pg_dir", "init_top_pgt"):
        if anchor in found and anchor in anchors:
            distance = anchors[anchor] - found[anchor]
            return {name: address + distance & (1 << 64) - 1 for name, address in found.items()}
    return dict(found)


# -- the tables in memory ----------------------------------------------------------------------------------------------


def from_memory(memory: Memory, note: Vmcoreinfo, wanted: Collection[str]) -> dict[str, int]:
    """The addresses of ``wanted`` by the kernel's table of symbols, whose place VMCOREINFO has. Empty where it has not.

    Names are packed: a length, then numbers of tokens. Addresses are offsets of 32 bits; from where, has changed:
    a symbol whose address VMCOREINFO has too decides.
    """
    at = note.symbols
    if not {"kallsyms_names", "kallsyms_num_syms", "kallsyms_token_table", "kallsyms_token_index"} <= at.keys():
        return {}
    try:
        count = memory.number(at["kallsyms_num_syms"], 4)
        if not 0 < count < _MOST_SYMBOLS:
            return {}
        anchors = {"_stext", "init_uts_ns", "swapper_pg_dir", "init_top_pgt"} & at.keys()
        numbers = _numbers(memory, at, count, set(wanted) | anchors)
        return _addresses(memory, at, count, numbers, anchors, note)
    except FileError:  # of a dump that is damaged
        raise
    except (UnmappedError, struct.error, IndexError, ValueError):  # tables that are none
        return {}


def _numbers(memory: Memory, at: Symbols, count: int, wanted: set[str]) -> dict[str, int]:
    """The numbers of the symbols of these names."""
    tokens = _tokens(memory, at)
    end = min((a for a in at.values() if a > at["kallsyms_names"]), default=at["kallsyms_names"])
    names = _as_far_as(memory, at["kallsyms_names"], max(end - at["kallsyms_names"], count * 16))
    found: dict[str, int] = {}
    # the first letter that a name expands to is the symbol's type
    position = 0
    for number in range(count):
        length = names[position]
        position += 1
        if length & 0x80:
            length = (length & 0x7F) | names[position] << 7
            position += 1
        packed = names[position : position + length]
        position += length
        name = b"".join([tokens[b] for b in packed])[1:].decode("ascii", "replace")
        if name in wanted:
            found.setdefault(name, number)
    return found


def _as_far_as(memory: Memory, address: int, size: int) -> bytes:
    """Up to ``size`` bytes, fewer where the core has no more in one piece."""
    step, parts = 1 << 20, []
    while size > 0:
        try:
            parts.append(memory.read(address, min(step, size)))
        except UnmappedError:
            if step <= 4096:
                break
            step //= 16
            continue
        address, size = address + len(parts[-1]), size - len(parts[-1])
    return b"".join(parts)


def _tokens(memory: Memory, at: Symbols) -> list[bytes]:
    places = struct.unpack("<256H", memory.read(at["kallsyms_token_index"], 512))
    table = _as_far_as(memory, at["kallsyms_token_table"], max(places) + _MOST_NAME)
    return [table[p : table.index(0, p)] for p in places]


def _addresses(
    memory: Memory, at: Symbols, count: int, numbers: Mapping[str, int], anchors: set[str], note: Vmcoreinfo
) -> dict[str, int]:
    if "kallsyms_addresses" in at:
        table = np.frombuffer(memory.read(at["kallsyms_addresses"], count * 8), np.uint64)
        return {name: int(table[n]) for name, n in numbers.items()}
    if "kallsyms_offsets" not in at:
        return {}
    offsets = np.frombuffer(memory.read(at["kallsyms_offsets"], count * 4), np.uint32)
    base = memory.number(at["kallsyms_relative_base"]) if "kallsyms_relative_base" in at else at.get("_stext", 0)
    for decode in (_from_base, _from_base_or_absolute, _from_itself):
        found = {name: decode(int(offsets[n]), base, at["kallsyms_offsets"] + 4 * n) for name, n in numbers.items()}
        known = [name for name in anchors if name in found]
        if known and all(found[name] == note.symbols[name] for name in known):
            return found
    return {}


def _from_base(offset: int, base: int, _place: int) -> int:
    return base + offset & _WORD


def _from_base_or_absolute(offset: int, base: int, _place: int) -> int:
    """From the base where the offset is negative; else the offset is the address itself."""
    return base - 1 - (offset - (1 << 32)) & _WORD if offset >= _HALF else offset


def _from_itself(offset: int, _base: int, place: int) -> int:
    """From the place of the offset, as Linux 7 has it."""
    return place + (offset - (1 << 32) if offset >= _HALF else offset) & _WORD


# -- modules -----------------------------------------------------------------------------------------------------------


def linked(memory: Memory, head: int, most: int) -> Iterator[int]:
    """The addresses of the entries of a list (``struct list_head``), its head left out.

    TornError where the list is longer than ``most`` or an entry does not lead back to the one before it.
    """
    before, at = head, memory.number(head)
    for _ in range(most):
        if at == head:
            return
        following, back = struct.unpack("<QQ", memory.read(at, 16))
        if back != before:
            raise TornError(f"the list at {head:#x} does not lead back at {at:#x}")
        yield at
        before, at = at, following
    raise TornError(f"the list at {head:#x} has no end")


def of_module(memory: Memory, types: Btf, modules: int, name: str, wanted: Collection[str]) -> dict[str, int]:
    """The addresses of ``wanted`` in the symbols of a loaded module; ``modules`` is the address of the list of modules.

    Empty where the module is not loaded. Raises NoTypeError, UnmappedError or TornError where the list cannot be
    followed.
    """
    module, table = types.structure("module"), types.structure("mod_kallsyms")
    link, label, place = module.member("list"), module.member("name"), module.member("kallsyms")
    for entry in islice(linked(memory, modules, _MOST_MODULES), _MOST_MODULES):
        start = entry - link.offset
        if memory.text(start + label.offset, label.size) != name:
            continue
        header = memory.read(memory.number(start + place.offset), table.size)
        symtab, count, strtab = (table.member(m).of(header) for m in ("symtab", "num_symtab", "strtab"))
        if count > _MOST_SYMBOLS:
            raise TornError(f"module {name} has {count:,} symbols")
        return _of_table(memory, symtab, count, strtab, wanted)
    return {}


def _of_table(memory: Memory, symtab: int, count: int, strtab: int, wanted: Collection[str]) -> dict[str, int]:
    rows = np.frombuffer(
        memory.read(symtab, count * 24),
        np.dtype(
            [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
        ),
    )
    if not count:
        return {}
    texts = _as_far_as(memory, strtab, int(rows["name"].max()) + _MOST_NAME)
    found = {}
    for name in wanted:
        encoded, at = b"\0" + name.encode() + b"\0", -1
        while (at := texts.find(encoded, at + 1)) >= 0:
            for n in np.flatnonzero(rows["name"] == at + 1):
                found[name] = int(rows["value"][n])
    return found
