from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.prm.layout import LayoutError
from fwpages.prm.segment import (
    INIT_SEG,
    SEGMENT_SIZE,
    NicInterface,
    field_of,
    queue_address,
    read_field,
    with_field,
    word_at,
)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("fw_rev_major", 0x0),
        ("cmd_interface_rev", 0x4),
        ("cmdq_phy_addr_63_32", 0x10),
        ("cmdq_phy_addr_31_12", 0x14),
        ("nic_interface", 0x14),
        ("log_cmdq_size", 0x14),
        ("log_cmdq_stride", 0x14),
        ("command_doorbell_vector", 0x18),
        ("initializing", 0x1FC),
        ("embedded_cpu", 0x1FC),
        ("fw_ver", 0x230),
        ("synd", 0x23C),
        ("cmd_exec_to", 0xFF8),
        ("cmd_q_init_to", 0xFFC),
        ("internal_timer_h", 0x1000),
        ("health_counter", 0x1010),
    ],
)
def test_fields_lie_where_the_driver_reads_them(name: str, word: int) -> None:
    assert word_at(name) == word
    assert INIT_SEG.least <= SEGMENT_SIZE


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        # fw_rev is minor << 16 | major, cmdif_rev << 16 | subminor
        ("fw_rev_major", 0x0027001C, 28),
        ("fw_rev_minor", 0x0027001C, 39),
        ("cmd_interface_rev", 0x000503EA, 5),
        ("fw_rev_subminor", 0x000503EA, 1002),
        ("log_cmdq_size", 0x56, 5),
        ("log_cmdq_stride", 0x56, 6),
        ("nic_interface", 0x02705756, 7),
        ("cmdq_phy_addr_31_12", 0x02705000, 0x2705),
        ("initializing", 1 << 31, 1),
        ("embedded_cpu", 1 << 23, 1),
        ("health_counter", 0x01000002, 2),
        ("health_syndrome", 0x01000002, 1),
        ("synd", 0x00070000, 7),
    ],
)
def test_bits_are_those_of_the_word(name: str, word: int, value: int) -> None:
    assert field_of(word, name) == value
    assert field_of(with_field(0, name, value), name) == value
    assert with_field(word, name, value) == word


@given(st.sampled_from(INIT_SEG.fields), st.integers(0, 2**32 - 1), st.data())
def test_a_field_set_changes_nothing_else(field: object, word: int, data: st.DataObject) -> None:
    name = getattr(field, "name")  # noqa: B009
    value = data.draw(st.integers(0, INIT_SEG.by_name[name].mask))
    new = with_field(word, name, value)
    assert field_of(new, name) == value
    assert with_field(new, name, field_of(word, name)) == word


def test_every_field_is_within_one_word() -> None:
    for f in INIT_SEG:
        assert f.bit // 32 == (f.end - 1) // 32


def test_a_value_that_does_not_fit() -> None:
    with pytest.raises(LayoutError):
        with_field(0, "nic_interface", 8)


def test_the_address_of_the_queue() -> None:
    assert queue_address(0x1, 0x02705F56) == 0x1_0270_5000


def test_a_field_is_read_from_its_word() -> None:
    asked = []

    def read(offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return b"\0\0\0\x56"

    assert read_field(read, "log_cmdq_size") == 5
    assert asked == [(0x14, 4)]


def test_states_of_the_interface() -> None:
    assert [int(n) for n in NicInterface] == [0, 1, 7]
