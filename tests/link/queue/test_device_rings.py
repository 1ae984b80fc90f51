from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fwpages.device.firmware.state import EqContext
from fwpages.link.memory import Memory
from fwpages.link.queue.device_rings import Rings
from fwpages.prm.eq import encode_command_event, fresh, is_new
from fwpages.prm.event import COMMAND_EQE, EventType

MASK = 1 << EventType.COMMAND
PAGES = (0x5000, 0x2000)


class Rig:
    """A ring of 128 entries on two pages that do not follow each other, and a driver that reads it."""

    def __init__(self, log_size: int = 7) -> None:
        self.memory = Memory()
        self.memory.map(0, 0x10000, solid=True)
        self.log_size = log_size
        self.interrupts: list[int] = []
        self.rings = Rings(self.memory, self.interrupts.append)
        self.eqs = {3: EqContext(MASK, 0x10, log_size, 4096, 5, PAGES[: max(1, (64 << log_size) >> 12)])}
        for page in PAGES:
            self.memory.write(page, fresh(64).tobytes())
        self.rings.add(self.eqs)
        self.index = 0

    def post(self, n: int) -> bool:
        return self.rings.post(3, encode_command_event(n))

    def read(self) -> list[int]:
        out = list[int]()
        while True:
            at = self.index % (1 << self.log_size)
            entry = self.memory.read(PAGES[at // 64] + at % 64 * 64, 64)
            if not is_new(entry, self.index, self.log_size):
                return out
            self.index += 1
            out.append(COMMAND_EQE.unpack(entry)["vector"])

    def ring(self, *, arm: bool = True) -> bool:
        return self.rings.doorbell(3, self.index & 0xFFFFFF, arm=arm)


@given(st.lists(st.integers(0, 40), max_size=60))
def test_a_driver_reads_all_that_is_raised_lap_after_lap(bursts: list[int]) -> None:
    rig, sent, got = Rig(), 0, list[int]()
    for burst in bursts:
        for _ in range(burst):
            assert rig.post(sent)
            sent += 1
        got += rig.read()
        assert rig.ring(arm=False)
    assert got == list(range(sent))


def test_an_armed_queue_interrupts_once() -> None:
    rig = Rig()
    rig.post(1)
    assert not rig.interrupts, "not armed yet"
    rig.ring()
    assert rig.interrupts == [5], "armed while something waits"
    rig.post(2)
    assert rig.interrupts == [5]
    rig.read()
    rig.ring()
    assert rig.interrupts == [5]
    rig.post(3)
    rig.post(4)
    assert rig.interrupts == [5, 5]


def test_a_consumer_index_without_arming() -> None:
    rig = Rig()
    rig.post(1)
    rig.read()
    rig.ring(arm=False)
    rig.post(2)
    assert rig.interrupts == []


def test_a_full_queue_takes_no_more_ever() -> None:
    rig = Rig(log_size=2)
    assert [rig.post(n) for n in range(6)] == [True] * 4 + [False] * 2
    assert rig.read() == [0, 1, 2, 3]
    rig.ring()
    assert not rig.post(7), "what was lost is lost: the queue is in error"
    assert rig.rings[3].overrun


def test_the_index_has_24_bits() -> None:
    rig = Rig(log_size=2)
    ring = rig.rings[3]
    ring.produced = ring.consumed = rig.index = (1 << 24) - 2
    rig.memory.write(PAGES[0], (bytes(63) + b"\0") * 2 + (bytes(63) + b"\0") * 2)
    for n in range(4):
        assert rig.post(n)
    assert not rig.post(4)
    assert rig.read() == [0, 1, 2, 3]
    assert rig.ring()
    assert ring.waiting == 0


def test_what_was_never_raised_cannot_be_consumed() -> None:
    rig = Rig()
    rig.post(1)
    for index in (2, 0x800000, 0xFFFFFF):
        assert not rig.rings.doorbell(3, index, arm=True)
    assert rig.rings[3].waiting == 1
    assert rig.interrupts == []


def test_queues_come_and_go() -> None:
    rig = Rig()
    rig.post(1)
    before = rig.rings[3]
    rig.rings.add(rig.eqs)
    assert rig.rings[3] is before
    numbers = [rig.rings.commands]
    rig.rings.add({3: EqContext(0, 0x10, 7, 4096, 5, PAGES)})
    assert rig.rings[3].produced == 0, "another queue of the same number"
    assert [*numbers, rig.rings.commands] == [3, None]
    rig.rings.drop({})
    assert 3 not in rig.rings
