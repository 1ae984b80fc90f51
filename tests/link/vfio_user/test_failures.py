"""A device that is wrong as a whole, seen from BAR 0: what a driver reads then, and which writes are still accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.link.queue.bar import Identity, Segment
from fwpages.link.vfio_user.failures import Trouble, syndrome_of
from fwpages.prm.segment import NicInterface, field_of

#: the two words of the queue's address, and registers beside them
QUEUE, ELSEWHERE = (0x10, 0x14), (0x0C, 0x18, 0x1FC, 0x10040)


def trouble() -> tuple[Segment, Trouble]:
    segment = Segment(Identity())
    return segment, Trouble(segment)


def field(segment: Segment, name: str) -> int:
    return field_of(segment.word(name), name)


def accepted(t: Trouble, *offsets: int) -> list[bool]:
    return [t.accepts(at) for at in offsets]


@given(st.integers(1, 0xFF), st.sampled_from(["syndrome", "Synd", "SYNDROME:", "synd:"]), st.text(" .-z", max_size=5))
def test_a_syndrome_that_is_named_is_the_one(number: int, word: str, around: str) -> None:
    assert syndrome_of(f"{around} {word} {number:#x} {around}") == number


@pytest.mark.parametrize("reason", ["", "0x10", "syndrome 16", "syndrome 0x100", "syndrome 0x10e9", "synd 0x00"])
def test_a_text_that_names_none_is_firmware_s_internal_error(reason: str) -> None:
    assert syndrome_of(reason) == 1


def test_at_first_nothing_is_wrong() -> None:
    _, t = trouble()
    assert (t.lost, t.fatal, t.stopped) == (False, False, False)
    assert accepted(t, *QUEUE, *ELSEWHERE) == [True] * 6


def test_a_fatal_state_is_in_the_health_buffer_and_nowhere_else() -> None:
    """Linux takes it for fatal by ``rfr``; whatever takes it out of the buffer ends it."""
    segment, t = trouble()
    t.report("syndrome 0x10")
    assert (field(segment, "synd"), field(segment, "rfr"), field(segment, "severity")) == (0x10, 1, 0)
    assert (t.fatal, t.stopped, t.lost) == (True, True, False)
    t.report("syndrome 0x8")
    assert field(segment, "synd") == 8
    segment.reset()
    assert (t.fatal, t.stopped, field(segment, "rfr")) == (False, False, 0)


def test_firmware_in_a_fatal_state_accepts_only_the_address_of_the_queue() -> None:
    segment, t = trouble()
    t.report("syndrome 0x1")
    assert accepted(t, *ELSEWHERE, *QUEUE, *ELSEWHERE) == [False] * 4 + [True] * 2 + [False] * 4
    segment.reset()
    assert all(accepted(t, *ELSEWHERE))


def test_a_lost_device_is_stopped_and_not_fatal() -> None:
    _, t = trouble()
    t.lost = True
    assert (t.stopped, t.fatal) == (True, False)


@pytest.mark.parametrize("word", QUEUE)
def test_a_device_that_was_reset_behind_its_driver_waits_for_a_queue(word: int) -> None:
    segment, t = trouble()
    t.idle()
    assert field(segment, "nic_interface") == NicInterface.DISABLED
    assert not t.stopped
    assert not any(accepted(t, *ELSEWHERE))
    assert t.accepts(word)
    assert all(accepted(t, *ELSEWHERE))


def test_writes_are_accepted_at_once_after_the_driver_s_own_reset() -> None:
    _, t = trouble()
    t.idle()
    t.clear()
    assert all(accepted(t, *ELSEWHERE))
