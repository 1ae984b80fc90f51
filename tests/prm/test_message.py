from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.prm.event import EventType, decode_page_request, encode_page_request
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import NO_PAGES, Answer, Command, decode_answer, decode_command, encode_answer, encode_command
from fwpages.prm.opcodes import ManagePages, Opcode
from tests.conftest import Line


def test_every_recorded_message_is_read_and_written_back_alike(trace: list[Line]) -> None:
    seen = 0
    for line in trace:
        if line.kind == "command":
            command = decode_command(line.sent)
            assert encode_command(command, len(line.sent)) == line.sent
            answer = decode_answer(command.opcode, line.answered)
            assert encode_answer(answer, len(line.answered)) == line.answered
            assert answer.ok
        else:
            event = decode_page_request(line.eqe)
            assert event is not None
            assert line.eqe[1] == EventType.PAGE_REQUEST
            assert encode_page_request(event, line.eqe[63] & 1) == line.eqe
        seen += 1
    assert seen == 40


def test_the_answer_of_every_recorded_command_has_the_length_set_aside(trace: list[Line]) -> None:
    for line in trace:
        if line.kind == "command":
            command = decode_command(line.sent)
            assert command.reply_length == len(line.answered), str(command)


def test_pages_are_one_native_array_however_many() -> None:
    pages = (np.arange(1, 50_001, dtype=np.uint64) << np.uint64(12)) | np.uint64(1 << 63)
    calls = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    command = Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, {"input_num_entries": 50_000}, pages)
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        raw = encode_command(command)
        read = decode_command(raw)
        again = decode_answer(Opcode.MANAGE_PAGES, encode_answer(Answer(Opcode.MANAGE_PAGES, pas=pages)))
    finally:
        sys.setprofile(before)
    assert calls < 1000
    assert len(raw) == 16 + 8 * 50_000
    assert raw[16:24] == (1 << 63 | 0x1000).to_bytes(8, "big")
    for got in (read.pas, again.pas):
        assert got.dtype == np.uint64
        assert got.dtype.isnative
        assert got.shape == (50_000,)
        assert np.array_equal(got, pages)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(0, 7))
def test_addresses_keep_all_their_bits_and_half_ones_are_dropped(addresses: list[int], extra: int) -> None:
    command = Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, pas=np.array(addresses, np.uint64))
    raw = encode_command(command)
    assert decode_command(raw + bytes(extra)).pas.tolist() == addresses


def test_lengths_pad_and_limit() -> None:
    take = Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"input_num_entries": 3})
    assert take.reply_length == 16 + 24
    short = Answer(Opcode.MANAGE_PAGES, fields={"output_num_entries": 1}, pas=np.array([0x1000], np.uint64))
    raw = encode_answer(short, take.reply_length)
    assert len(raw) == 40
    read = decode_answer(Opcode.MANAGE_PAGES, raw)
    assert read.pas.tolist() == [0x1000, 0, 0]
    assert read["output_num_entries"] == 1
    with pytest.raises(LayoutError, match="takes 24 bytes, the buffer has 20"):
        encode_answer(short, 20)
    assert encode_command(take, 16) == encode_command(take)
    with pytest.raises(LayoutError, match="beyond the 8 bytes"):
        encode_command(take, 8)


@pytest.mark.parametrize(
    ("command", "length"),
    [
        (Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, {"input_num_entries": 9}), 16),
        (Command(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE), 16),
        (Command(Opcode.QUERY_HCA_CAP), 4112),
        (Command(Opcode.QUERY_ADAPTER), 272),
        (Command(Opcode.ACCESS_REG, data=bytes(20)), 36),
        (Command(Opcode.ENABLE_HCA), 12),
        (Command(Opcode.QUERY_ISSI), 112),
        (Command(0x7FF), 8),
        # 2 is TAKE for MANAGE_PAGES only
        (Command(Opcode.QUERY_PAGES, 2), 16),
        (Command(Opcode.SET_HCA_CAP, 2), 16),
    ],
)
def test_reply_length(command: Command, length: int) -> None:
    assert command.reply_length == length


def test_what_a_message_cannot_carry_is_refused() -> None:
    page = np.array([0x1000], np.uint64)
    with pytest.raises(LayoutError, match="query_pages_in carries no page addresses"):
        encode_command(Command(Opcode.QUERY_PAGES, 1, pas=page))
    with pytest.raises(LayoutError, match="manage_pages_in carries no data"):
        encode_command(Command(Opcode.MANAGE_PAGES, 1, data=b"x"))
    with pytest.raises(LayoutError, match="no field colour"):
        encode_command(Command(Opcode.QUERY_PAGES, 1, {"colour": 1}))
    with pytest.raises(LayoutError, match="num_pages = "):
        encode_answer(Answer(Opcode.QUERY_PAGES, fields={"num_pages": 1 << 31}))


def test_buffers_too_short_are_refused() -> None:
    for raw in (b"", bytes(7)):
        with pytest.raises(LayoutError, match="at least 8 bytes"):
            decode_command(raw)
    with pytest.raises(LayoutError, match="query_pages_in needs 12 bytes"):
        decode_command(b"\x01\x07" + bytes(9))
    with pytest.raises(LayoutError, match="query_pages_out needs 16 bytes"):
        decode_answer(Opcode.QUERY_PAGES, bytes(15))


def test_reserved_bits_are_dropped() -> None:
    raw = bytearray(encode_command(Command(Opcode.QUERY_PAGES, 1, {"function_id": 3})))
    raw[4] = 0xFF  # bits 0x20 to 0x27 are in no field
    read = decode_command(bytes(raw))
    assert encode_command(read) == encode_command(Command(Opcode.QUERY_PAGES, 1, {"function_id": 3}))


def test_messages_are_equal_by_value_and_never_keys() -> None:
    pages = np.array([0x1000, 0x2000], np.uint64)
    a = Command(Opcode.MANAGE_PAGES, 1, {"function_id": 1}, pages)
    assert a == Command(Opcode.MANAGE_PAGES, 1, {"function_id": 1}, pages.copy())
    for other in (
        Command(Opcode.MANAGE_PAGES, 2, {"function_id": 1}, pages),
        Command(Opcode.MANAGE_PAGES, 1, {"function_id": 2}, pages),
        Command(Opcode.MANAGE_PAGES, 1, {"function_id": 1}, pages[::-1].copy()),
        Command(Opcode.MANAGE_PAGES, 1, {"function_id": 1}, pages, uid=1),
        Answer(Opcode.MANAGE_PAGES, 1, 0, {"function_id": 1}, pages),
        "a",
    ):
        assert a != other
    b = Answer(Opcode.MANAGE_PAGES, 0, 5, data=b"x")
    assert b == Answer(Opcode.MANAGE_PAGES, 0, 5, data=b"x")
    assert b != Answer(Opcode.MANAGE_PAGES, 0, 6, data=b"x")
    assert b != 0
    for message in (a, b):
        with pytest.raises(TypeError, match="unhashable"):
            hash(message)


def test_fields_are_read_by_name() -> None:
    command = Command(Opcode.MANAGE_PAGES, 1, {"function_id": 7})
    assert command["function_id"] == 7
    assert command["input_num_entries"] == 0
    with pytest.raises(KeyError, match="MANAGE_PAGES has no field profile"):
        command["profile"]
    answer = Answer(Opcode.QUERY_PAGES, fields={"num_pages": -1})
    assert answer["num_pages"] == -1
    assert answer["function_id"] == 0
    with pytest.raises(KeyError, match="answer to QUERY_PAGES has no field uar"):
        answer["uar"]


def test_messages_in_words() -> None:
    pages = np.array([0x1000, 0x2000], np.uint64)
    give = Command(Opcode.MANAGE_PAGES, 1, {"function_id": 0x2A, "input_num_entries": 2}, pages)
    assert str(give) == "MANAGE_PAGES(GIVE) function_id=0x2a input_num_entries=0x2 2 pages"
    assert str(Answer(Opcode.QUERY_PAGES, 3, fields={"num_pages": 5})) == (
        "QUERY_PAGES -> bad parameter (0x3) num_pages=0x5"
    )
    assert not Answer(Opcode.QUERY_PAGES, 3).ok


def test_no_pages_cannot_be_written_to() -> None:
    assert NO_PAGES.size == 0
    assert not NO_PAGES.flags.writeable
