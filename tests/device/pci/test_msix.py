"""The vector table and the pending bits: no interrupt is lost, none comes twice, whatever is masked when."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.device.pci.config_space import MsixPlace
from fwpages.device.pci.msix import ENTRY_SIZE, MsixTable

TABLE, PENDING = 0x4000, 0xC000


def made(vectors: int = 8) -> MsixTable:
    return MsixTable(MsixPlace(vectors, TABLE, PENDING))


def set_mask(t: MsixTable, vector: int, masked: int) -> None:
    t.write(TABLE + vector * ENTRY_SIZE + 12, struct.pack("<I", masked))


def pending(t: MsixTable) -> list[int]:
    size = (t.place.vectors + 63) // 64 * 8
    word = int.from_bytes(t.read(PENDING, size), "little")
    return [n for n in range(t.place.vectors) if word >> n & 1]


def test_every_vector_is_masked_until_the_driver_says_otherwise() -> None:
    t = made(3)
    assert t.read(TABLE, 3 * ENTRY_SIZE) == (bytes(12) + b"\1\0\0\0") * 3
    set_mask(t, 1, 0)
    assert [t.masked(v) for v in range(3)] == [True, False, True]


@settings(max_examples=50)
@given(
    moves=st.lists(
        st.tuples(st.sampled_from(["raise", "mask", "unmask", "due", "all"]), st.integers(0, 69)), max_size=40
    )
)
def test_what_waits_goes_once_as_soon_as_it_may(moves: list[tuple[str, int]]) -> None:
    t, waits, masked = made(70), set[int](), set(range(70))
    for what, v in moves:
        if what == "raise":
            t.hold(v)
            waits.add(v)
        elif what in ("mask", "unmask"):
            set_mask(t, v, int(what == "mask"))
            masked = masked | {v} if what == "mask" else masked - {v}
        else:
            may = waits if what == "all" else waits - masked
            assert t.due(everything=what == "all") == tuple(sorted(may))
            waits = waits - may
        assert pending(t) == sorted(waits)
        assert {n for n in range(70) if t.masked(n)} == masked


@pytest.mark.parametrize(("vectors", "size"), [(1, 8), (64, 8), (65, 16), (2048, 256)])
def test_pending_bits_are_whole_qwords_in_the_order_of_their_vectors(vectors: int, size: int) -> None:
    t = made(vectors)
    assert (t.owns(PENDING + size - 1), t.owns(PENDING + size)) == (True, False)
    t.hold(vectors - 1)
    bits = t.read(PENDING, size)
    assert int.from_bytes(bits, "little") == 1 << vectors - 1
    at = (vectors - 1) // 8
    assert t.read(PENDING + at, 1) == bits[at : at + 1] != b"\0"
    t.write(PENDING, b"\xff" * size)
    assert t.read(PENDING, size) == bits, "a driver cannot write them"


def test_of_an_entry_the_address_the_data_and_the_mask_can_be_set() -> None:
    """The address is one of a dword; beside the mask the last word is reserved."""
    t = made(2)
    t.write(TABLE + ENTRY_SIZE, b"\xff" * ENTRY_SIZE)
    assert t.read(TABLE + ENTRY_SIZE, ENTRY_SIZE).hex() == "fcffffff" + "ffffffff" * 2 + "01000000"
    assert t.read(TABLE, ENTRY_SIZE) == bytes(12) + b"\1\0\0\0"


@given(at=st.integers(-8, 8 * ENTRY_SIZE + 8), data=st.binary(min_size=1, max_size=24))
def test_what_is_no_row_of_whole_words_changes_nothing(at: int, data: bytes) -> None:
    t = made()
    before = t.read(TABLE, 8 * ENTRY_SIZE)
    t.write(TABLE + at, data)
    after = t.read(TABLE, 8 * ENTRY_SIZE)
    if at < 0 or at % 4 or len(data) % 4 or at + len(data) > len(before):
        assert after == before
    else:
        assert (after[:at], after[at + len(data) :]) == (before[:at], before[at + len(data) :])


@given(at=st.integers(0, 8 * ENTRY_SIZE - 1), length=st.integers(1, 16))
def test_a_read_sees_what_lies_there_and_zeros_behind_the_end(at: int, length: int) -> None:
    t = made()
    whole = t.read(TABLE, 8 * ENTRY_SIZE)
    assert t.read(TABLE + at, length) == whole[at : at + length].ljust(length, b"\0")


def test_a_reset_masks_everything_and_forgets_what_waited() -> None:
    t = made()
    t.write(TABLE, struct.pack("<IIII", 0xFEE00000, 0, 0x41, 0))
    t.hold(0)
    t.hold(5)
    t.reset()
    fresh = made()
    assert t.read(TABLE, 8 * ENTRY_SIZE) == fresh.read(TABLE, 8 * ENTRY_SIZE)
    assert (pending(t), t.due(everything=True)) == ([], ())


def test_place_and_table_do_not_claim_each_other_s_bytes() -> None:
    t = made(4)
    owned = [n for n in range(TABLE - 64, PENDING + 64) if t.owns(n)]
    assert owned == [*range(TABLE, TABLE + 4 * ENTRY_SIZE), *range(PENDING, PENDING + 8)]
