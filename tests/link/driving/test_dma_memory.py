from __future__ import annotations

import pytest

from fwpages.link.driving.dma_memory import DmaMemory, Window, window_in
from fwpages.link.driving.pci_device import DeviceError, IovaRange
from fwpages.link.queue.driver import AREAS_SIZE
from tests.link.driving.registers import Registers

GIB = 1 << 30


@pytest.mark.parametrize(
    ("ranges", "start", "pages"),
    [
        # no unit in the way; Intel's: the hole of interrupt messages below 4 GiB; AMD's: one below 1 TiB, too
        ([(0, (1 << 48) - 1)], 4 * GIB, 1 << 24),
        ([(0, 0xFEDFFFFF), (0xFEF00000, (1 << 39) - 1)], 4 * GIB, 1 << 24),
        ([(0, 0xFEDFFFFF), (0xFEF00000, 0xFCFFFFFFFF), (1 << 40, (1 << 48) - 1)], 4 * GIB, 1 << 24),
        # one of 36 bits has room for less
        ([(0, 0xFEDFFFFF), (0xFEF00000, (1 << 36) - 1)], 4 * GIB, (60 * GIB - AREAS_SIZE) >> 12),
        # the range with most room, of two that are too small for all
        ([(4 * GIB, 8 * GIB), (16 * GIB, 36 * GIB - 1)], 16 * GIB, (20 * GIB - AREAS_SIZE) >> 12),
        # 32 bits alone
        ([(0, 0xFEDFFFFF)], 2 << 20, (0xFEE00000 - (2 << 20) - AREAS_SIZE) // (2 << 20) << 9),
    ],
)
def test_the_window_lies_in_one_range(ranges: list[tuple[int, int]], start: int, pages: int) -> None:
    w = window_in([IovaRange(*r) for r in ranges], 1 << 24)
    assert (w.queue, w.lent, w.pages) == (start, start + AREAS_SIZE, pages)
    assert any(low <= w.queue and w.queue + w.size - 1 <= last for low, last in ranges)


@pytest.mark.parametrize("ranges", [[], [(0, GIB)], [(4 * GIB, 6 * GIB)]])
def test_ranges_without_room(ranges: list[tuple[int, int]]) -> None:
    with pytest.raises(DeviceError, match="no range of I/O addresses has room"):
        window_in([IovaRange(*r) for r in ranges], 1 << 24)


def test_ranges_are_unmapped_one_by_one_as_they_were_mapped() -> None:
    device = Registers()
    memory = DmaMemory(device, Window(GIB, GIB + (4 << 20), 1024))
    for n in (0, 2, 3):
        memory.map(GIB + (n << 20), 1 << 20)
    assert memory.mapped == 3 << 20
    memory.unmap(GIB + (2 << 20), 2 << 20)
    assert device.mapped == [(GIB, 0, 1 << 20)]
    memory.view(GIB + 5, 3)[:] = 7
    assert memory.view(GIB + 4, 5).tolist() == [0, 7, 7, 7, 0]
    device.close()


@pytest.mark.parametrize("at", [GIB - 4096, GIB + (8 << 20)])
def test_nothing_is_mapped_outside_the_window(at: int) -> None:
    device = Registers()
    memory = DmaMemory(device, Window(GIB, GIB + (4 << 20), 1024))
    with pytest.raises(ValueError, match="outside the window"):
        memory.map(at, 4096)
    device.close()
