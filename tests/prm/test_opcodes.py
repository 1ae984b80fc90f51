from __future__ import annotations

import pytest

from fwpages.prm.opcodes import (
    CAP_CURRENT,
    CapType,
    ManagePages,
    Opcode,
    QueryPages,
    Teardown,
    op_mod_suffix,
    opcode_name,
)

NUMBERS = {
    "QUERY_PAGES": 0x107,
    "MANAGE_PAGES": 0x108,
    "QUERY_HCA_CAP": 0x100,
    "SET_HCA_CAP": 0x109,
    "ENABLE_HCA": 0x104,
    "DISABLE_HCA": 0x105,
    "INIT_HCA": 0x102,
    "TEARDOWN_HCA": 0x103,
    "QUERY_ISSI": 0x10A,
    "SET_ISSI": 0x10B,
    "QUERY_ADAPTER": 0x101,
    "SET_DRIVER_VERSION": 0x10D,
    "ACCESS_REG": 0x805,
    "ALLOC_UAR": 0x802,
    "DEALLOC_UAR": 0x803,
    "CREATE_EQ": 0x301,
    "DESTROY_EQ": 0x302,
    "ALLOC_SF": 0x113,
    "DEALLOC_SF": 0x114,
    "CREATE_ESW_VPORT": 0x733,
    "DESTROY_ESW_VPORT": 0x734,
    "QUERY_ESW_FUNCTIONS": 0x740,
    "MODIFY_NIC_VPORT_CONTEXT": 0x755,
    "QUERY_VHCA_STATE": 0xB0D,
    "MODIFY_VHCA_STATE": 0xB0E,
}


def test_numbers() -> None:
    assert {name: int(opcode) for name, opcode in Opcode.__members__.items()} == NUMBERS
    assert (QueryPages.BOOT, QueryPages.INIT, QueryPages.REGULAR) == (1, 2, 3)
    assert (ManagePages.CANT_GIVE, ManagePages.GIVE, ManagePages.TAKE) == (0, 1, 2)
    assert (Teardown.GRACEFUL, Teardown.FORCE, Teardown.PREPARE_FAST) == (0, 1, 2)
    assert [int(t) for t in CapType] == [0, 1, 2, 3, 4, 5, 7, 8, 9, 0xC, 0xD, 0xF, 0x20]
    assert (CapType.GENERAL, CapType.FLOW_TABLE, CapType.ESWITCH_FLOW_TABLE, CapType.ESWITCH) == (0, 7, 8, 9)
    assert CAP_CURRENT == 1


@pytest.mark.parametrize(
    ("opcode", "op_mod", "words"),
    [
        (0x108, 2, "MANAGE_PAGES(TAKE)"),
        (0x108, 0, "MANAGE_PAGES(CANT_GIVE)"),
        (0x108, 9, "MANAGE_PAGES(0x9)"),
        (0x107, 1, "QUERY_PAGES(boot)"),
        (0x107, 0, "QUERY_PAGES"),
        (0x100, 0x12, "QUERY_HCA_CAP(eswitch, max)"),
        (0x100, 1, "QUERY_HCA_CAP(general, current)"),
        (0x100, 0xFFF, "QUERY_HCA_CAP(0xfff)"),
        (0x109, 0, "SET_HCA_CAP(general)"),
        (0x104, 0, "ENABLE_HCA"),
        (0x104, 3, "ENABLE_HCA(0x3)"),
        (0x7FF, 0, "opcode 0x7ff"),
    ],
)
def test_in_words(opcode: int, op_mod: int, words: str) -> None:
    assert opcode_name(opcode) + op_mod_suffix(opcode, op_mod) == words
