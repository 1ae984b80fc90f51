from __future__ import annotations

from fwpages.host import HealthFatal, LinkLost
from fwpages.link.driving.health import STUCK, Health
from fwpages.link.queue.bar import Identity, Segment
from fwpages.prm.segment import word_at


def reader(segment: Segment, *, stuck: bool = False):  # type: ignore[no-untyped-def]
    def read(offset: int) -> bytes:
        if stuck and offset == word_at("health_counter"):
            return bytes([0, 0, 0, 7])
        return segment.read(offset, 4)

    return read


def test_a_healthy_device() -> None:
    health, segment = Health(), Segment(Identity())
    assert [health.look(t, reader(segment)) for t in (0.0, 100.0, 200.0)] == [None] * 3


def test_all_ones_are_a_lost_link() -> None:
    assert Health().look(0.0, lambda _: b"\xff" * 4) == LinkLost("all reads return ones")


def test_a_syndrome_is_fatal_where_firmware_asks_for_a_reset() -> None:
    segment = Segment(Identity())
    segment.set("synd", 0x1)
    assert Health().look(0.0, reader(segment)) is None
    segment.set("rfr", 1)
    assert Health().look(0.0, reader(segment)) == HealthFatal("syndrome 0x1, firmware internal error")


def test_an_interface_that_the_device_disabled() -> None:
    segment = Segment(Identity())
    segment.disable()
    assert Health().look(0.0, reader(segment)) == HealthFatal("the NIC interface is disabled")


def test_a_counter_that_stands_still_is_fatal_after_its_time_and_forgotten_at_a_reset() -> None:
    health, read = Health(), reader(Segment(Identity()), stuck=True)
    assert health.look(1.0, read) is None
    assert health.look(STUCK + 0.9, read) is None
    assert health.look(STUCK + 1.0, read) == HealthFatal("the health counter stands still at 7 for 8 s")
    health.begin()
    assert health.look(STUCK + 2.0, read) is None
