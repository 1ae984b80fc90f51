"""Types are read from BTF by name, and a damaged blob is refused with what is wrong about it."""

from __future__ import annotations

import struct
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.machine.structures.btf import Btf, NoTypeError
from fwpages.machine.structures.errors import FileError
from tests.machine.btf_writer import BtfWriter
from tests.machine.kernels import SHAPES, driver_types, kernel_types


def of(writer: BtfWriter) -> Btf:
    return Btf(writer.blob(), "types")


def place(types: Btf, name: str, path: str) -> tuple[int, int]:
    member = types.structure(name).member(path)
    return member.offset, member.size


def test_members_are_found_by_name_and_by_path() -> None:
    w = BtfWriter()
    inner = w.struct("inner", [("a", w.u8), ("b", w.u64)])
    w.struct("outer", [("first", w.u32), ("inner", inner), ("tail", w.array(w.u16, 3)), ("p", w.pointer)])
    types = of(w)
    assert types.structure("outer").size == 40
    assert place(types, "outer", "first") == (0, 4)
    assert place(types, "outer", "inner.b") == (16, 8)
    assert place(types, "outer", "p") == (32, 8)
    tail = types.structure("outer").member("tail")
    assert (tail.offset, tail.size, tail.count, tail.each) == (24, 6, 3, 2)


def test_members_of_anonymous_parts_are_members_of_the_whole() -> None:
    w = BtfWriter()
    either = w.struct("", [("x", w.u64), ("", w.struct("", [("y", w.u16), ("z", w.u16)]))], union=True)
    w.struct("outer", [("first", w.u64), ("", either), ("last", w.u8)])
    types = of(w)
    assert place(types, "outer", "x") == (8, 8)
    assert place(types, "outer", "z") == (10, 2)
    assert place(types, "outer", "last") == (16, 1)


def test_bit_fields_have_their_bits() -> None:
    w = BtfWriter()
    w.bits("flags", [("one", 1), ("three", 3), ("rest", 4)])
    member = of(w).structure("flags").member("three")
    assert member.of(bytes([0b1010_1100])) == 0b110


def test_typedefs_and_nested_arrays_are_measured() -> None:
    w = BtfWriter()
    name = w.typedef("u64_t", w.typedef("again", w.u64))
    w.struct("outer", [("grid", w.array(w.array(name, 3), 2)), ("last", w.u8)])
    types = of(w)
    assert place(types, "outer", "grid") == (0, 48)
    assert place(types, "outer", "last") == (48, 1)


def test_the_types_of_a_module_continue_those_of_the_kernel() -> None:
    base = BtfWriter()
    head = base.struct("list_head", [("next", base.pointer), ("prev", base.pointer)])
    module = BtfWriter(base)
    module.struct("page", [("list", head), ("addr", base.u64)])
    kernel = of(base)
    types = Btf(module.blob(), "module", kernel)
    assert place(types, "page", "list.prev") == (8, 8)
    assert place(types, "page", "addr") == (16, 8)
    assert types.structure("list_head").size == 16
    assert not kernel.has("page")


def test_a_structure_of_a_module_comes_before_one_of_the_kernel_with_its_name() -> None:
    base = BtfWriter()
    base.struct("thing", [("a", base.u8)])
    module = BtfWriter(base)
    module.struct("thing", [("a", base.u64)])
    assert Btf(module.blob(), "module", of(base)).structure("thing").size == 8


def test_a_structure_that_is_only_announced_is_none() -> None:
    w = BtfWriter()
    w.add(7, 0, 0, b"", 0, 1, "thing")
    w.typedef("thing", w.u8)
    with pytest.raises(NoTypeError, match="thing"):
        of(w).structure("thing")


def test_values_of_enums_have_their_names() -> None:
    w = BtfWriter()
    w.enum("small", {"A": 0, "B": -1})
    w.enum64("large", {"C": 1 << 40})
    assert of(w).enumerators("small") == {"A": 0, "B": -1}
    assert of(w).enumerators("large") == {"C": 1 << 40}
    assert of(w).enumerators("none") == {}


def test_what_is_not_there_is_named() -> None:
    w = BtfWriter()
    w.struct("outer", [("a", w.u8)])
    with pytest.raises(NoTypeError, match="struct other"):
        of(w).structure("other")
    with pytest.raises(NoTypeError, match=r"struct outer has no member a\.b"):
        of(w).structure("outer").member("a.b")


def test_kinds_that_are_of_no_use_are_passed_over() -> None:
    w = BtfWriter()
    w.add(12, 0, 1, b"", 0, 1, "function")
    w.add(13, 2, 0, bytes(16), 0, 1)
    w.add(14, 0, 1, bytes(4), 0, 1, "variable")
    w.add(15, 1, 0, bytes(12), 0, 1, ".data")
    w.add(16, 0, 8, b"", 8, 8, "double")
    w.add(17, 0, 1, bytes(4), 0, 1, "tag")
    w.add(18, 0, 1, b"", 0, 1, "other")
    w.struct("after", [("a", w.u8)])
    assert of(w).structure("after").size == 1


GOOD = kernel_types(SHAPES["7.2"]).blob()


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b"", "too few"),
        (b"\x7fELF" + bytes(60), "no BTF"),
        (b"\xeb\x9f" + GOOD[2:], "big-endian"),
        (GOOD[:2] + b"\x02" + GOOD[3:], "version 2"),
        (GOOD[:-10], "cut short"),
        (GOOD[:-1] + b"x", "strings"),
        (GOOD[:24] + struct.pack("<III", 0, 25 << 24, 0) + GOOD[36:], "kind 25"),
        (GOOD[:24] + struct.pack("<III", 0, 4 << 24 | 0xFFFF, 0) + GOOD[36:], "beyond the end"),
    ],
)
def test_what_is_no_btf_is_refused_with_what_is_wrong(blob: bytes, words: str) -> None:
    with pytest.raises(FileError, match=words):
        Btf(blob, "file")


def test_a_type_of_itself_has_no_end_and_is_refused() -> None:
    w = BtfWriter()
    at = w.next
    w.add(8, 0, at, b"", 8, 8, "circle")
    w.add(4, 1, 8, struct.pack("<III", w.text("a"), at, 0), 8, 8, "outer")
    with pytest.raises(FileError, match="itself"):
        of(w).structure("outer").member("a")


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 30), changes=st.integers(1, 8))
def test_damaged_types_raise_nothing_but_their_own_errors(seed: int, changes: int) -> None:
    random = Random(seed)
    base = kernel_types(SHAPES["7.2"])
    driver = bytearray(driver_types(SHAPES["7.2"], base).blob())
    for _ in range(changes):
        driver[random.randrange(len(driver))] = random.randrange(256)
    try:
        types = Btf(bytes(driver), "module", of(base))
        for path in ("priv.page_root_xa.xa_head", "priv.sriov.max_vfs", "cmd.vars.bitmask"):
            types.structure("mlx5_core_dev").member(path)
        types.enumerators("mlx5_func_type")
    except (FileError, NoTypeError):
        pass
