"""Rules of every bus, whatever memory is behind it: a range may cross mappings, and is reached whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from fwpages.bench.wire import Scattered
from fwpages.device import profile
from fwpages.device.pci.config_space import identity_of
from fwpages.device.pci.function import PciFunction
from fwpages.link.bus import Bus, BusError
from fwpages.link.faults.injector import LinkInjector, SpoiledBus
from fwpages.link.memory import Memory
from fwpages.link.vfio_user.endpoint import MasterGate
from fwpages.link.vfio_user.guest_memory import GuestMemory
from fwpages.link.vfio_user.messages import DmaMap
from tests.link.vfio_client import memfd, open_fds

PAGE = 4096
#: two mappings in a row, and one behind a gap
BASE, END, ISLAND = 0x10000, 0x12000, 0x14000


def mapped(memory: Memory, *, solid: bool = False) -> Memory:
    for at in (BASE, BASE + PAGE, ISLAND):
        memory.map(at, PAGE, solid=solid)
    return memory


def guest() -> GuestMemory:
    memory, fd = GuestMemory(), memfd(3 * PAGE)
    for n, at in enumerate((BASE + PAGE, ISLAND, BASE)):
        memory.map(DmaMap(at, PAGE, n * PAGE, True, True), os.dup(fd))
    os.close(fd)
    return memory


def gated() -> MasterGate:
    pci = PciFunction(identity_of(profile("connectx7")))
    pci.config_write(4, b"\6\0")
    return MasterGate(pci, mapped(Memory()))


BUSES: dict[str, Callable[[], Bus]] = {
    "lent": lambda: mapped(Memory()),
    "solid": lambda: mapped(Memory(), solid=True),
    "scattered": lambda: mapped(Scattered()),
    "a guest's": guest,
    "behind bus mastering": gated,
    "spoiled, with nothing to spoil": lambda: SpoiledBus(mapped(Memory()), LinkInjector()),
}


@pytest.fixture(params=BUSES)
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    before = open_fds()
    made = BUSES[request.param]()
    yield made
    if isinstance(made, GuestMemory):
        made.close()
    assert open_fds() == before


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_what_is_written_over_a_border_is_read_over_it(
    bus: Bus, kind: Callable[[bytes], bytes | bytearray | memoryview]
) -> None:
    data = bytes(range(1, 201))
    bus.write(BASE + PAGE - 100, kind(data))
    assert bus.read(BASE + PAGE - 101, 202) == b"\0" + data + b"\0"
    assert bus.read(BASE, 2 * PAGE).count(0) == 2 * PAGE - 200


@pytest.mark.parametrize(
    ("iova", "length"), [(END - 4, 8), (BASE - 4, 8), (END, 1), (BASE, ISLAND + 1 - BASE), (ISLAND + PAGE - 1, 2)]
)
def test_a_range_that_is_not_mapped_whole_is_refused_whole(bus: Bus, iova: int, length: int) -> None:
    with pytest.raises(BusError, match="0x"):
        bus.read(iova, length)
    with pytest.raises(BusError):
        bus.write(iova, b"\xff" * length)
    assert not any(bus.read(BASE, 2 * PAGE) + bus.read(ISLAND, PAGE)), "and nothing was written"


def test_the_last_byte_of_a_mapping_is_reached(bus: Bus) -> None:
    for at in (END - 1, ISLAND, ISLAND + PAGE - 1):
        bus.write(at, b"\x5a")
        assert bus.read(at, 1) == b"\x5a"
