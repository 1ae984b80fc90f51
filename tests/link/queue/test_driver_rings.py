"""The driver's end of an event queue, and in its memory whatever a device may write there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.link.bus import BusError
from fwpages.link.memory import Memory
from fwpages.link.queue.driver_rings import HostRing, prepare
from fwpages.prm.eq import encode_command_event, with_owner
from fwpages.prm.event import COMMAND_EQE, EventType
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode

BASE = 1 << 32
MASK = 1 << EventType.PAGE_REQUEST


class Rig:
    """A queue of 2^``log_size`` entries on pages of 2^``log_page`` that lie in reverse, made and announced."""

    def __init__(self, log_size: int, log_page: int = 12, mask: int = MASK) -> None:
        self.memory, self.log_size, self.log_page = Memory(), log_size, log_page
        self.memory.map(BASE, 1 << 18, solid=True)
        self.memory.write(BASE, b"\xa5" * (1 << 18))
        count = max(1, (64 << log_size) >> log_page)
        self.places = [BASE + (n << log_page) for n in reversed(range(count))]
        fields = {"log_eq_size": log_size, "log_page_size": log_page - 12, "uar_page": 0x11, "intr": 3}
        pas = np.array(self.places, np.uint64)
        self.command = Command(Opcode.CREATE_EQ, fields=fields | {"event_bitmask_0": mask}, pas=pas)
        prepare(self.memory, self.command)
        self.ring = HostRing(self.memory, 2, 9, self.command)

    def raised(self, index: int) -> None:
        """As a device writes the entry with this index."""
        page, inside = divmod(index % (1 << self.log_size) * 64, 1 << self.log_page)
        entry = with_owner(encode_command_event(index), index >> self.log_size & 1)
        self.memory.write(self.places[page] + inside, entry)

    def read(self) -> list[int]:
        return [COMMAND_EQE.unpack(e)["vector"] for e in self.ring.new()]


@pytest.mark.parametrize(("log_size", "log_page"), [(0, 12), (2, 12), (6, 12), (8, 12), (10, 16), (11, 16)])
def test_a_prepared_queue_is_empty_and_no_byte_beside_it_is_touched(log_size: int, log_page: int) -> None:
    rig = Rig(log_size, log_page)
    assert rig.read() == []
    size = min(64 << log_size, 1 << log_page)
    entry = bytes(63) + b"\1"
    whole = np.full(1 << 18, 0xA5, np.uint8)
    for at in rig.places:
        whole[at - BASE : at - BASE + size] = np.frombuffer(entry * (size // 64), np.uint8)
    assert rig.memory.read(BASE, 1 << 18) == whole.tobytes()


@given(
    st.sampled_from([(2, 12), (7, 12), (10, 16), (11, 16)]),
    st.lists(st.integers(0, 4), min_size=1, max_size=60),
    st.integers(0, 1 << 25),
)
def test_entries_are_read_once_and_in_order_over_pages_and_laps(
    shape: tuple[int, int], bursts: list[int], start: int
) -> None:
    rig = Rig(*shape)
    rig.ring.index = sent = start >> shape[0] + 1 << shape[0] + 1
    got = []
    for burst in bursts:
        for n in range(burst):
            rig.raised(sent + n)
        sent += burst
        got.append(rig.read())
    assert [len(g) for g in got] == bursts
    assert [n for burst in got for n in burst] == list(range(sent - sum(bursts), sent))
    assert rig.read() == []


def test_a_reader_that_stops_in_between_goes_on_there() -> None:
    rig = Rig(6)
    for n in range(3):
        rig.raised(n)
    assert COMMAND_EQE.unpack(next(rig.ring.new()))["vector"] == 0
    assert rig.ring.index == 1
    assert rig.read() == [1, 2]


def test_a_full_lap_is_read_and_not_read_again() -> None:
    rig = Rig(2)
    for n in range(4):
        rig.raised(n)
    assert rig.read() == [0, 1, 2, 3]
    assert rig.read() == []
    rig.raised(4)
    assert rig.read() == [4]


@pytest.mark.parametrize(
    ("index", "data"), [(0, "09000000"), (0x123456, "09123456"), (0xFFFFFF, "09ffffff"), (0x1000002, "09000002")]
)
def test_the_doorbell_says_how_far_it_was_read_in_24_bits(index: int, data: str) -> None:
    rig = Rig(6)
    rig.ring.index = index
    assert rig.ring.doorbell().hex() == data


def test_a_queue_is_unacknowledged_from_its_first_entry_until_the_doorbell() -> None:
    rig = Rig(6)
    states = [rig.ring.unacknowledged]
    rig.read()
    states.append(rig.ring.unacknowledged)
    rig.raised(0)
    rig.read()
    rig.read()
    states.append(rig.ring.unacknowledged)
    rig.ring.doorbell()
    assert [*states, rig.ring.unacknowledged] == [False, False, True, False]


def test_a_queue_takes_the_events_of_its_mask_alone() -> None:
    ring = Rig(6, mask=1 << EventType.COMMAND | 1 << EventType.NIC_VPORT_CHANGE).ring
    assert [e for e in EventType if ring.takes(e)] == sorted([EventType.COMMAND, EventType.NIC_VPORT_CHANGE])
    assert (ring.session, ring.eqn, ring.uar, ring.vector) == (2, 9, 0x11, 3)


def test_a_queue_in_memory_that_is_not_there_is_not_made() -> None:
    rig = Rig(6)
    rig.memory.unmap(BASE, 1 << 18)
    with pytest.raises(BusError):
        prepare(rig.memory, rig.command)
