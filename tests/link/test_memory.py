from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.link.bus import BusError
from fwpages.link.memory import Memory

PAGE = 4096


@given(st.lists(st.tuples(st.integers(0, 8 * PAGE), st.binary(min_size=1, max_size=2 * PAGE)), max_size=12))
def test_what_is_written_is_read_across_ranges(writes: list[tuple[int, bytes]]) -> None:
    """Three ranges in a row, lent and solid, against one array."""
    m, model, base = Memory(), bytearray(8 * PAGE), 1 << 40
    m.map(base, 3 * PAGE)
    m.map(base + 3 * PAGE, 2 * PAGE, solid=True)
    m.map(base + 5 * PAGE, 3 * PAGE)
    for at, data in writes:
        if at + len(data) > len(model):
            with pytest.raises(BusError):
                m.write(base + at, data)
        else:
            m.write(base + at, data)
            model[at : at + len(data)] = data
    assert m.read(base, len(model)) == model
    assert m.mapped == len(model)


@pytest.mark.parametrize(("iova", "length"), [(0xFFF, 1), (0x3000, 1), (0x2FFF, 2), (0x1000, 0x2001), (-4, 4), (0, 9)])
def test_what_is_not_mapped_cannot_be_reached(iova: int, length: int) -> None:
    m = Memory()
    m.map(0x1000, 0x2000)
    with pytest.raises(BusError, match=r"is not mapped|no such range"):
        m.read(iova, length)
    with pytest.raises(BusError):
        m.write(iova, bytes(length))
    assert m.read(0x1000, 0x2000) == bytes(0x2000)


def test_nothing_is_written_where_a_part_cannot_be() -> None:
    m = Memory()
    m.map(0x1000, 0x1000)
    with pytest.raises(BusError):
        m.write(0x1FF0, b"x" * 0x20)
    assert m.read(0x1000, 0x1000) == bytes(0x1000)


@pytest.mark.parametrize(("iova", "length"), [(0x1800, PAGE), (0, 100), (0, 0), (-PAGE, PAGE)])
def test_whole_pages_are_mapped(iova: int, length: int) -> None:
    with pytest.raises(ValueError, match="are not whole pages"):
        Memory().map(iova, length)


@pytest.mark.parametrize(("iova", "length"), [(0x2000, PAGE), (0x1000, 2 * PAGE), (0x3000, PAGE), (0, 16 * PAGE)])
def test_nothing_is_mapped_twice(iova: int, length: int) -> None:
    m = Memory()
    m.map(0x2000, 2 * PAGE)
    with pytest.raises(ValueError, match="mapped already"):
        m.map(iova, length)


def test_ranges_are_unmapped_whole_and_together() -> None:
    m = Memory()
    for n in range(4):
        m.map(n * PAGE, PAGE)
    m.map(8 * PAGE, 2 * PAGE)
    m.unmap(PAGE, 2 * PAGE)
    assert m.mapped == 4 * PAGE
    m.read(0, PAGE)
    with pytest.raises(BusError):
        m.read(PAGE, 1)
    for iova, length, words in ((8 * PAGE, PAGE, "in two"), (PAGE, PAGE, "not mapped"), (3 * PAGE, 2 * PAGE, "not")):
        with pytest.raises(ValueError, match=words):
            m.unmap(iova, length)
    m.map(PAGE, 2 * PAGE)


def test_32_gib_cost_nothing_until_they_are_touched() -> None:
    m = Memory()
    m.map(1 << 32, 8_000_000 * PAGE)
    m.write((1 << 32) + 7_999_999 * PAGE + 4000, b"end")
    assert m.read((1 << 32) + 7_999_999 * PAGE + 3999, 5) == b"\0end\0"


def test_views_are_in_place() -> None:
    m = Memory()
    m.map(0, 4 * PAGE, solid=True)
    m.map(4 * PAGE, 4 * PAGE)
    m.view(PAGE - 2, 4)[:] = 7
    assert m.read(PAGE - 3, 6) == b"\0\x07\x07\x07\x07\0"
    m.view(5 * PAGE, PAGE)[0] = 9
    assert m.read(5 * PAGE, 1) == b"\x09"
    for iova in (5 * PAGE - 1, 4 * PAGE - 1):
        with pytest.raises(BusError, match="not in one piece"):
            m.view(iova, 2)


@pytest.mark.parametrize("stride", [1024, -1024, 600])
def test_blocks_are_in_place(stride: int) -> None:
    m = Memory()
    m.map(0, 4 * PAGE, solid=True)
    start = 8192
    rows = m.blocks(start, 4, stride, 576)
    assert rows is not None
    rows[:] = np.arange(4, dtype=np.uint8)[:, None] + 1
    assert [m.read(start + n * stride, 576) for n in range(4)] == [bytes([n + 1]) * 576 for n in range(4)]


def test_blocks_that_are_not_of_one_range() -> None:
    m = Memory()
    m.map(0, 4 * PAGE, solid=True)
    m.map(4 * PAGE, 4 * PAGE)
    for iova, count, stride in ((0, 17, 1024), (0, 2, -1024), (5 * PAGE, 2, 1024), (99 * PAGE, 1, 1024), (0, 2, 100)):
        assert m.blocks(iova, count, stride, 576) is None
