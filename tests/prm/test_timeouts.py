"""Time-outs as words of 32 bits, and the register that has most of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.prm.layout import LayoutError
from fwpages.prm.timeouts import DTOR, DTOR_OF_LINUX, decode_dtor, decode_time, encode_dtor, encode_time

#: the most units that 20 bits have
MOST = (1 << 20) - 1


@pytest.mark.parametrize(
    ("seconds", "word"),
    [
        (0, 0x0000_0000),
        (0.001, 0x0000_0001),
        (2, 0x0000_07D0),
        (60, 0x0000_EA60),
        (1048.575, 0x000F_FFFF),
        (1048.576, 0x2000_0419),  # no room for milliseconds: 1,049 seconds
        (7200, 0x2000_1C20),
        (MOST, 0x200F_FFFF),
        (MOST + 1, 0x4000_4445),  # 17,477 minutes
        (MOST * 3600, 0x600F_FFFF),
    ],
)
def test_a_time_is_a_number_of_units(seconds: float, word: int) -> None:
    """lib/tout.c: the unit is in the highest three bits, of which a driver looks at two, the number in the last 20."""
    assert encode_time(seconds) == word
    assert decode_time(word) >= seconds
    assert decode_time(word | 1 << 31) == decode_time(word)
    assert decode_time(word | 0x1FF << 20) == decode_time(word), "reserved"


@given(st.integers(0, MOST * 3_600_000))
def test_a_time_comes_back_as_it_was_or_rounded_up_by_less_than_its_unit(ms: int) -> None:
    word = encode_time(ms / 1_000)
    back = round(decode_time(word) * 1_000)
    assert 0 <= back - ms < {0: 1, 1: 1_000, 2: 60_000, 3: 3_600_000}[word >> 29]


@given(st.integers(0, MOST), st.integers(0, 3))
def test_what_linux_reads_is_the_number_times_its_unit(n: int, unit: int) -> None:
    assert decode_time(unit << 29 | n) == n * (1, 1_000, 60_000, 3_600_000)[unit] / 1_000


@pytest.mark.parametrize("seconds", [-1, -0.001, MOST * 3600 + 1])
def test_a_time_that_no_unit_has_room_for_is_refused(seconds: float) -> None:
    with pytest.raises(LayoutError, match="does not fit"):
        encode_time(seconds)


def test_the_register_byte_by_byte() -> None:
    """mlx5_ifc.h, dtor_reg: pcie_toggle_to at 0x20, then a gap of three words, then the others in a row."""
    whole = encode_dtor({name: 0.001 * n for n, name in enumerate(DTOR_OF_LINUX, 1)})
    words = [int.from_bytes(whole[n : n + 4], "big") for n in range(0, 64, 4)]
    assert words == [0, 1, 0, 0, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0]
    assert [f.name for f in DTOR] == [*DTOR_OF_LINUX]
    assert len(encode_dtor({})) == DTOR.size == 64


def test_the_register_is_read_as_it_was_written_and_not_where_it_ends_early() -> None:
    told = {"reclaim_pages": 2.0, "reclaim_vfs_pages": 0.25, "fw_reset": 7200.0}
    assert decode_dtor(encode_dtor(told)) == dict.fromkeys((f.name for f in DTOR), 0.0) | told
    with pytest.raises(LayoutError):
        decode_dtor(bytes(59))
