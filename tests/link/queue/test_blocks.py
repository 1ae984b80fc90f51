"""Pieces of memory that lie evenly: however a bus reaches them, the same bytes come and go, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.link.bus import Bus, BusError
from fwpages.link.memory import Memory
from fwpages.link.queue.blocks import NEAR, read_blocks, write_blocks

SIZE = 1 << 16


class Pieces:
    """A bus that can only be read and written, and counts how often; ``gap`` cannot be reached."""

    def __init__(self, memory: Memory, gap: range = range(0)) -> None:
        self.memory, self.gap = memory, gap
        self.reads: list[tuple[int, int]] = []

    def _check(self, iova: int, length: int) -> None:
        if range(max(iova, self.gap.start), min(iova + length, self.gap.stop)):
            raise BusError(f"{iova:#x}")

    def read(self, iova: int, length: int) -> bytes:
        self.reads.append((iova, length))
        self._check(iova, length)
        return self.memory.read(iova, length)

    def write(self, iova: int, data: bytes | bytearray | memoryview) -> None:
        self._check(iova, len(data))
        self.memory.write(iova, data)


def filled(*, solid: bool = True) -> Memory:
    """Memory in which no two pieces are alike."""
    memory = Memory()
    memory.map(0, SIZE, solid=solid)
    memory.write(0, np.random.default_rng(1).bytes(SIZE))
    return memory


BUSES: dict[str, Callable[[], Bus]] = {
    "in place": filled,
    "by pages": lambda: filled(solid=False),
    "by read and write": lambda: Pieces(filled()),
}
strides = st.one_of(st.integers(-2 * NEAR, 2 * NEAR), st.sampled_from([0, NEAR, -NEAR, NEAR + 1, 1024, -1024]))


@given(st.sampled_from(sorted(BUSES)), st.integers(0, SIZE), st.integers(1, 5), strides, st.integers(1, 600))
def test_pieces_are_read_as_if_one_by_one(kind: str, start: int, count: int, stride: int, length: int) -> None:
    bus, whole = BUSES[kind](), filled().read(0, SIZE)
    places = [start + n * stride for n in range(count)]
    out = np.zeros((count, length), np.uint8)
    if all(0 <= at <= SIZE - length for at in places):
        read_blocks(bus, start, stride, out)
        assert [row.tobytes() for row in out] == [whole[at : at + length] for at in places]
    else:
        with pytest.raises(BusError):
            read_blocks(bus, start, stride, out)


@given(st.sampled_from(sorted(BUSES)), st.integers(0, 5), st.integers(1, 5), strides, st.integers(1, 600))
def test_pieces_are_written_and_nothing_between_them(
    kind: str, page: int, count: int, stride: int, length: int
) -> None:
    bus, model = BUSES[kind](), bytearray(filled().read(0, SIZE))
    start = 0x9000 + page * 512
    rows = np.random.default_rng(count).integers(0, 256, (count, length), np.uint8)
    places = [start + n * stride for n in range(count)]
    if any(not 0 <= at <= SIZE - length for at in places):
        return
    write_blocks(bus, start, stride, rows)
    for at, row in zip(places, rows, strict=True):
        model[at : at + length] = row.tobytes()
    assert bus.read(0, SIZE) == model


@pytest.mark.parametrize(
    ("stride", "reads"),
    [
        (1024, [(8192, 3 * 1024 + 512)]),
        (-1024, [(8192 - 3 * 1024, 3 * 1024 + 512)]),
        (NEAR, [(8192, 3 * NEAR + 512)]),
        (NEAR + 512, [(8192 + n * (NEAR + 512), 512) for n in range(4)]),
        (256, [(8192 + n * 256, 512) for n in range(4)]),
    ],
)
def test_pieces_that_are_near_are_read_at_once(stride: int, reads: list[tuple[int, int]]) -> None:
    """The gap between them costs less than a message for each; far ones are read one by one, as are laps over laps."""
    bus = Pieces(filled())
    read_blocks(bus, 8192, stride, np.zeros((4, 512), np.uint8))
    assert bus.reads == reads


def test_what_is_between_them_need_not_be_there() -> None:
    bus, out = Pieces(filled(), range(512, 1024)), np.zeros((2, 512), np.uint8)
    read_blocks(bus, 0, 1024, out)
    assert [row.tobytes() for row in out] == [bus.memory.read(0, 512), bus.memory.read(1024, 512)]


def test_a_piece_that_is_not_there_is_an_error() -> None:
    bus = Pieces(filled(), range(1024, 1025))
    with pytest.raises(BusError, match="0x400"):
        read_blocks(bus, 0, 1024, np.zeros((2, 512), np.uint8))
    with pytest.raises(BusError, match="0x400"):
        write_blocks(bus, 0, 1024, np.zeros((2, 512), np.uint8))
