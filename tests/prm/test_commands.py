"""Bit positions are those of the structs in mlx5_ifc.h, packed by hand, not taken from the tables under test."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
import pytest

from fwpages.prm.capability import GENERAL
from fwpages.prm.commands import FORMS, UNKNOWN, form_of
from fwpages.prm.message import (
    Answer,
    Command,
    decode_answer,
    decode_command,
    encode_answer,
    encode_command,
)
from fwpages.prm.opcodes import Opcode

PAGES = np.array([0x1_0000_1000, 0xFFFF_FFFF_FFFF_F000], np.uint64)


def words(*dwords: int) -> bytes:
    return struct.pack(f">{len(dwords)}I", *dwords)


def hexes(bits: Mapping[int, int], size: int) -> bytes:
    """``size`` bytes with the value of each field whose *last* bit is given."""
    return sum(value << (size * 8 - 1 - last) for last, value in bits.items()).to_bytes(size, "big")


#: command, its bytes
REQUESTS = [
    (Command(Opcode.QUERY_PAGES, 1), words(0x01070000, 0x1, 0, 0)),
    (
        Command(Opcode.QUERY_PAGES, 3, {"embedded_cpu_function": 1, "function_id": 0xBEEF}, uid=0x1234),
        words(0x01071234, 0x3, 0x8000BEEF, 0),
    ),
    (
        Command(
            Opcode.MANAGE_PAGES, 1, {"embedded_cpu_function": 1, "function_id": 0x31, "input_num_entries": 2}, PAGES
        ),
        words(0x01080000, 1, 0x80000031, 2, 0x1, 0x00001000, 0xFFFFFFFF, 0xFFFFF000),
    ),
    (
        Command(Opcode.MANAGE_PAGES, 2, {"function_id": 0x2A, "input_num_entries": 0x300}),
        words(0x01080000, 2, 0x2A, 0x300),
    ),
    (Command(Opcode.MANAGE_PAGES, 0, {"function_id": 7}), words(0x01080000, 0, 7, 0)),
    (Command(Opcode.QUERY_HCA_CAP, 1), words(0x01000000, 1, 0, 0)),
    (
        Command(
            Opcode.QUERY_HCA_CAP,
            0x12,
            {"other_function": 1, "ec_vf_function": 1, "function_id_type": 1, "function_id": 0x51},
        ),
        words(0x01000000, 0x12, 0xD0000051, 0),
    ),
    (
        Command(
            Opcode.SET_HCA_CAP, 0, {"other_function": 1, "function_id_type": 1, "function_id": 3}, data=b"\x5a" * 4096
        ),
        words(0x01090000, 0, 0x90000003, 0) + b"\x5a" * 4096,
    ),
    (
        Command(Opcode.ENABLE_HCA, 0, {"embedded_cpu_function": 1, "function_id_type": 1, "function_id": 9}),
        words(0x01040000, 0, 0x90000009, 0),
    ),
    (Command(Opcode.DISABLE_HCA, 0, {"function_id": 2}), words(0x01050000, 0, 2, 0)),
    (Command(Opcode.INIT_HCA, data=bytes(16)), words(0x01020000, 0, 0, 0) + bytes(16)),
    (Command(Opcode.TEARDOWN_HCA, 0, {"profile": 2}), words(0x01030000, 0, 2, 0)),
    (Command(Opcode.QUERY_ISSI), words(0x010A0000, 0, 0, 0)),
    (Command(Opcode.SET_ISSI, 0, {"current_issi": 1}), words(0x010B0000, 0, 1, 0)),
    (Command(Opcode.QUERY_ADAPTER), words(0x01010000, 0, 0, 0)),
    (Command(Opcode.SET_DRIVER_VERSION, data=b"v" * 64), words(0x010D0000, 0, 0, 0) + b"v" * 64),
    (
        Command(Opcode.ACCESS_REG, 1, {"register_id": 0x7004, "argument": 5}, data=b"\1\2\3\4"),
        words(0x08050000, 1, 0x7004, 5, 0x01020304),
    ),
    (Command(Opcode.ALLOC_UAR), words(0x08020000, 0, 0, 0)),
    (Command(Opcode.DEALLOC_UAR, 0, {"uar": 0xABCDEF}), words(0x08030000, 0, 0x00ABCDEF, 0)),
    (Command(Opcode.DESTROY_EQ, 0, {"eq_number": 0xFE}), words(0x03020000, 0, 0xFE, 0)),
]

ANSWERS = [
    (
        Answer(Opcode.QUERY_PAGES, 0, 0, {"embedded_cpu_function": 1, "function_id": 0x2A, "num_pages": -50}),
        words(0, 0, 0x8000002A, 0xFFFFFFCE),
    ),
    (
        Answer(Opcode.QUERY_PAGES, 0, 0, {"embedded_cpu_function": 0, "function_id": 0, "num_pages": 0x7FFFFFFF}),
        words(0, 0, 0, 0x7FFFFFFF),
    ),
    (
        Answer(Opcode.MANAGE_PAGES, 0, 0, {"output_num_entries": 0xFFFFFFFF}, PAGES[::-1].copy()),
        words(0, 0, 0xFFFFFFFF, 0, 0xFFFFFFFF, 0xFFFFF000, 0x1, 0x00001000),
    ),
    (Answer(Opcode.QUERY_HCA_CAP, data=b"\xc3" * 4096), words(0, 0, 0, 0) + b"\xc3" * 4096),
    (Answer(Opcode.SET_HCA_CAP, 0x3, 0x9F2BEA), words(0x03000000, 0x009F2BEA, 0, 0)),
    (Answer(Opcode.ENABLE_HCA, 0x51, 0xFFFFFFFF), words(0x51000000, 0xFFFFFFFF, 0)),
    (Answer(Opcode.TEARDOWN_HCA, 0, 0, {"state": 1}), words(0, 0, 0, 1)),
    (
        Answer(Opcode.QUERY_ISSI, 0, 0, {"current_issi": 1, "supported_issi_dw0": 0x80000002}),
        words(0, 0, 1, *[0] * 24, 0x80000002),
    ),
    (Answer(Opcode.ALLOC_UAR, 0, 0, {"uar": 0x2B}), words(0, 0, 0x2B, 0)),
    (Answer(Opcode.CREATE_EQ, 0, 0, {"eq_number": 0xFF}), words(0, 0, 0xFF, 0)),
    (Answer(Opcode.QUERY_ADAPTER, data=bytes(256)), words(0, 0, 0, 0) + bytes(256)),
]


def name(x: object) -> str:
    return str(x)[:40] if isinstance(x, Command | Answer) else ""


@pytest.mark.parametrize(("command", "raw"), REQUESTS, ids=name)
def test_a_command_lies_where_the_manual_says(command: Command, raw: bytes) -> None:
    assert encode_command(command) == raw
    read = decode_command(raw)
    assert {k: v for k, v in read.fields.items() if v} == {k: v for k, v in command.fields.items() if v}
    assert (read.opcode, read.op_mod, read.uid, read.data) == (
        command.opcode,
        command.op_mod,
        command.uid,
        command.data,
    )
    assert read.pas.tolist() == command.pas.tolist()


@pytest.mark.parametrize(("answer", "raw"), ANSWERS, ids=name)
def test_an_answer_lies_where_the_manual_says(answer: Answer, raw: bytes) -> None:
    assert encode_answer(answer) == raw
    if answer.opcode == Opcode.QUERY_ISSI:
        assert len(raw) == 112
    assert decode_answer(answer.opcode, raw) == answer


def test_an_event_queue_context_lies_where_the_manual_says() -> None:
    fields = {
        "log_eq_size": 0x1F,
        "uar_page": 0xABCDEF,
        "intr": 0xFED,
        "log_page_size": 0x15,
        "event_bitmask_0": 0x8000000000000C00,
        "event_bitmask_1": 1,
        "event_bitmask_2": 2,
        "event_bitmask_3": 3,
    }
    context = 0x80
    raw = bytearray(272)
    raw[0:2] = b"\x03\x01"
    for last, value in (
        (context + 0x67, 0x1F),
        (context + 0x7F, 0xABCDEF),
        (context + 0xBF, 0xFED),
        (context + 0xC7, 0x15),
        (0x2FF, 0x8000000000000C00),
        (0x33F, 1),
        (0x37F, 2),
        (0x3BF, 3),
    ):
        for i, b in enumerate(hexes({last: value}, 272)):
            raw[i] |= b
    command = Command(Opcode.CREATE_EQ, 0, fields, PAGES)
    assert encode_command(command) == bytes(raw) + words(0x1, 0x1000, 0xFFFFFFFF, 0xFFFFF000)
    assert decode_command(encode_command(command)) == command


@pytest.mark.parametrize(
    ("field", "bit", "width"),
    [
        ("page_request_disable", 0x6, 1),
        ("vhca_id", 0x30, 16),
        ("log_max_eq_sz", 0xE0, 8),
        ("fast_teardown", 0xFB, 1),
        ("log_max_eq", 0xFC, 4),
        ("force_teardown", 0x110, 1),
        ("release_all_pages", 0x145, 1),
        ("pkey_table_size", 0x190, 16),
        ("vport_group_manager", 0x1A0, 1),
        ("nic_flow_table", 0x1A6, 1),
        ("eswitch_manager", 0x1A7, 1),
        ("port_type", 0x1B6, 2),
        ("num_ports", 0x1B8, 8),
        ("cmdif_checksum", 0x210, 2),
        ("eth_net_offloads", 0x21C, 1),
        ("uar_4k", 0x240, 1),
        ("icm_mng_function_id_mode", 0x2A0, 1),
        ("log_uar_page_sz", 0x490, 16),
        ("max_num_sf", 0x640, 16),
        ("sf", 0x680, 1),
        ("log_max_sf", 0x683, 5),
        ("sf_base_id", 0x6F0, 16),
    ],
)
def test_a_capability_lies_where_the_manual_says(field: str, bit: int, width: int) -> None:
    page = GENERAL.pack({field: (1 << width) - 1})
    assert page == hexes({bit + width - 1: (1 << width) - 1}, 4096)


#: the fields of a request behind its header, all ones, as its third and fourth dword
WIDEST = [
    (Opcode.QUERY_PAGES, ("embedded_cpu_function", "function_id"), words(0x8000FFFF, 0)),
    (
        Opcode.MANAGE_PAGES,
        ("embedded_cpu_function", "function_id", "input_num_entries"),
        words(0x8000FFFF, 0xFFFFFFFF),
    ),
    *(
        (op, ("other_function", "ec_vf_function", "function_id_type", "function_id"), words(0xD000FFFF, 0))
        for op in (Opcode.QUERY_HCA_CAP, Opcode.SET_HCA_CAP)
    ),
    *(
        (op, ("embedded_cpu_function", "function_id_type", "function_id"), words(0x9000FFFF, 0))
        for op in (Opcode.ENABLE_HCA, Opcode.DISABLE_HCA)
    ),
    (Opcode.INIT_HCA, ("sw_vhca_id",), words(0, 0x3FFF0000)),
    (Opcode.TEARDOWN_HCA, ("profile",), words(0xFFFF, 0)),
    (Opcode.SET_ISSI, ("current_issi",), words(0xFFFF, 0)),
    (Opcode.ACCESS_REG, ("register_id", "argument"), words(0xFFFF, 0xFFFFFFFF)),
    (Opcode.DEALLOC_UAR, ("uar",), words(0xFFFFFF, 0)),
    (Opcode.DESTROY_EQ, ("eq_number",), words(0xFF, 0)),
    (Opcode.ALLOC_SF, ("function_id",), words(0xFFFF, 0)),
    (Opcode.DEALLOC_SF, ("function_id",), words(0xFFFF, 0)),
]


@pytest.mark.parametrize(("opcode", "fields", "raw"), WIDEST, ids=name)
def test_a_field_is_as_wide_as_the_manual_says(opcode: Opcode, fields: tuple[str, ...], raw: bytes) -> None:
    layout = FORMS[opcode].request.fixed
    header = {"opcode": 0xFFFF, "uid": 0xFFFF, "op_mod": 0xFFFF}
    assert layout.unpack(words(0xFFFFFFFF, 0xFFFF) + raw) == {
        **header,
        **{n: layout.by_name[n].mask for n in fields},
    }
    assert layout.pack({**header, **{n: layout.by_name[n].mask for n in fields}}) == (words(0xFFFFFFFF, 0xFFFF) + raw)


@pytest.mark.parametrize(
    ("opcode", "field", "raw"),
    [
        (Opcode.QUERY_PAGES, "function_id", words(0, 0, 0xFFFF, 0)),
        (Opcode.QUERY_ISSI, "current_issi", words(0, 0, 0xFFFF, *[0] * 25)),
        (Opcode.QUERY_ISSI, "supported_issi_dw0", words(*[0] * 27, 0xFFFFFFFF)),
        (Opcode.ALLOC_UAR, "uar", words(0, 0, 0xFFFFFF, 0)),
        (Opcode.CREATE_EQ, "eq_number", words(0, 0, 0xFF, 0)),
        (Opcode.TEARDOWN_HCA, "state", words(0, 0, 0, 1)),
    ],
)
def test_a_field_of_an_answer_is_as_wide_as_the_manual_says(opcode: Opcode, field: str, raw: bytes) -> None:
    layout = FORMS[opcode].reply.fixed
    assert layout.pack({field: layout.by_name[field].mask}) == raw


def test_every_opcode_has_its_layouts() -> None:
    assert set(FORMS) == set(Opcode)
    for opcode, form in FORMS.items():
        assert form_of(opcode) is form
        for shape in (form.request, form.reply):
            assert shape.tail in (None, "pas", "data")
            assert shape.fixed.size >= 8
    assert form_of(0x7FF) is UNKNOWN


def test_an_unknown_command_keeps_its_bytes() -> None:
    raw = words(0x07FF0001, 0x22, 0xDEADBEEF, 5)
    read = decode_command(raw)
    assert (read.opcode, read.uid, read.op_mod, read.data) == (0x7FF, 1, 0x22, raw[8:])
    assert encode_command(read) == raw
    back = decode_answer(0x7FF, words(0x02000000, 7, 9))
    assert (back.status, back.syndrome, back.data) == (2, 7, words(9))
    assert encode_answer(back) == words(0x02000000, 7, 9)
