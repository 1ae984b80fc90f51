from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.prm.eq import (
    EQ_DOORBELL,
    EQ_DOORBELL_ARM,
    decode_doorbell,
    encode_command_event,
    encode_doorbell,
    fresh,
    is_new,
    owner_of,
    with_owner,
)
from fwpages.prm.event import COMMAND_EQE
from fwpages.prm.layout import LayoutError


def test_a_fresh_ring_has_nothing_for_the_driver() -> None:
    ring = fresh(8)
    assert ring.shape == (8, 64)
    assert ring[:, :63].any() == False  # noqa: E712  # a NumPy truth
    assert not any(is_new(ring[n].tobytes(), n, 3) for n in range(8))


def test_the_owner_bit_flips_on_each_lap() -> None:
    assert [owner_of(n, 2) for n in range(12)] == [0] * 4 + [1] * 4 + [0] * 4
    first = encode_command_event(1, owner_of(0, 2))
    assert is_new(first, 0, 2)
    assert not is_new(first, 4, 2), "the entry of the lap before is not the one of this lap"
    assert is_new(with_owner(first, 1), 4, 2)


def test_a_completion_event() -> None:
    raw = encode_command_event(1 << 31, 1)
    assert raw == bytes([0, 0x0A]) + bytes(30) + bytes.fromhex("80000000") + bytes(27) + b"\x01"
    assert COMMAND_EQE.unpack(raw)["vector"] == 1 << 31


def test_doorbells_lie_where_linux_writes_them() -> None:
    assert (EQ_DOORBELL_ARM, EQ_DOORBELL) == (0x40, 0x48)
    assert encode_doorbell(3, 0x01000005) == bytes.fromhex("03000005")


@given(st.integers(0, 255), st.integers(0, 2**24 - 1))
def test_doorbells_come_back(eqn: int, index: int) -> None:
    assert decode_doorbell(encode_doorbell(eqn, index)) == (eqn, index)


def test_a_doorbell_that_is_too_short() -> None:
    with pytest.raises(LayoutError):
        decode_doorbell(b"\0\0\0")
