"""One dump: the message that is in it, and exactly which of its bytes are not known where lines are missing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.prm.message import Command, encode_command
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.prm.queue import CMDQ_ENTRY, ENTRY_SIZE, INLINE, MAILBOX_DATA, MAILBOX_SIZE
from fwpages.readers.dump import Dump, function_of
from fwpages.readers.observations import Place
from tests.auditor.entries import full
from tests.auditor.written_traces import pages
from tests.prm.golden_dumps import dumps

AT = Place("log.txt", 1)


def _dump(*, out: bool | None = False, data_only: bool | None = None) -> Dump:
    return Dump(AT, "dut", 0, Opcode.MANAGE_PAGES, out, data_only)


def _fed(raw: bytes, missing: frozenset[int] = frozenset(), **how: bool | None) -> Dump:
    """A dump of these bytes, without the lines whose numbers are ``missing``."""
    dump = _dump(**how)
    for n in range(len(raw) // 16):
        if n not in missing:
            dump.add(16 * n, raw[16 * n : 16 * n + 16])
    return dump


messages = st.integers(8, 3 * MAILBOX_DATA).flatmap(lambda n: st.binary(min_size=n, max_size=n))


@settings(max_examples=25)
@given(messages, st.booleans())
def test_a_whole_dump_is_its_message(message: bytes, out: bool) -> None:
    dump = _fed(full(message, out=out), out=out)
    assert dump.message() == (message, ())
    assert not dump.short()


@settings(max_examples=25)
@given(messages, st.booleans(), st.data())
def test_the_unknown_bytes_are_exactly_those_of_the_missing_lines(
    message: bytes, out: bool, data: st.DataObject
) -> None:
    raw = full(message, out=out)
    last = len(raw) // 16 - 1
    missing = frozenset(data.draw(st.sets(st.integers(ENTRY_SIZE // 16, last)))) if last >= ENTRY_SIZE // 16 else set()
    dump = _fed(raw, frozenset(missing), out=out)
    got, holes = dump.message()
    assert len(got) == len(message)
    unknown = {at for a, z in holes for at in range(a, z)}
    for at in range(len(message)):
        block, offset = divmod(max(0, at - INLINE), MAILBOX_DATA)
        line = (ENTRY_SIZE + MAILBOX_SIZE * block + offset) // 16 if at >= INLINE else 0
        assert (at in unknown) is (line in missing)
        assert at in unknown or got[at] == message[at]
    assert max(unknown, default=0) < len(message)


@pytest.mark.parametrize("lines", [0, 1, 32, 36, 40])
def test_where_a_dump_ends_early_the_rest_of_the_message_is_not_known(lines: int) -> None:
    message = bytes(n % 251 for n in range(3 * MAILBOX_DATA))
    dump = _fed(full(message, out=False)[: ENTRY_SIZE + 16 * lines])
    got, holes = dump.message()
    # a mailbox has 32 lines of data and 4 of its own
    blocks, rest = divmod(lines, 36)
    known = INLINE + blocks * MAILBOX_DATA + 16 * min(rest, 32)
    assert (got[:known], len(got)) == (message[:known], len(message))
    assert [n for a, z in holes for n in range(a, z)] == [*range(known, len(message))]


@settings(max_examples=25)
@given(messages)
def test_a_data_dump_is_the_message_itself_filled_up_with_zeros(message: bytes) -> None:
    raw = message.ljust(-(-len(message) // 16) * 16, b"\0")
    assert _fed(raw, data_only=True).message() == (raw, ())
    cut = _fed(raw, frozenset({1}), data_only=True)
    holes = ((16, 32),) if len(raw) > 32 else ()
    assert cut.message()[1] == holes


def test_the_first_line_tells_a_full_dump_from_a_data_dump() -> None:
    message = bytes.fromhex("0108000000000001" + "00" * 8)
    assert _fed(full(message, out=False)).data_only is False
    assert _fed(message).data_only is True
    # a headline has said it already
    assert _fed(message, data_only=False).data_only is False
    # without its first line nothing is known
    assert _fed(full(message, out=False), frozenset({0})).data_only is None


@pytest.mark.parametrize(
    ("start", "end", "whole"),
    [(0, 8, True), (0, 16, True), (0, 32, False), (16, 32, False), (31, 33, False), (32, 48, True), (48, 49, False)],
)
def test_bytes_are_there_or_not(start: int, end: int, whole: bool) -> None:
    assert _fed(bytes(range(48)), frozenset({1})).whole(start, end) is whole


@pytest.mark.parametrize(
    ("data_only", "length", "short"),
    [
        (True, 48, True),
        (True, 64, False),
        (False, ENTRY_SIZE, False),
        (False, ENTRY_SIZE + 16, True),
        (False, ENTRY_SIZE + MAILBOX_SIZE, False),
        (False, ENTRY_SIZE + 2 * MAILBOX_SIZE, False),
    ],
)
def test_only_a_full_dump_may_stop_early_and_only_between_mailboxes(data_only: bool, length: int, short: bool) -> None:
    """As older kernels do with long ones."""
    dump = _fed(bytes(length), data_only=data_only)
    assert not dump.short()
    dump.total = 64 if data_only else ENTRY_SIZE + 2 * MAILBOX_SIZE
    assert dump.short() is short


def test_where_the_headline_is_missing_the_queue_entry_tells_opcode_and_direction() -> None:
    for out in (False, True):
        dump = Dump(AT, "dut", 0)
        assert not dump.identify()
        dump.add(0, full(encode_command(Command(Opcode.QUERY_PAGES, 1)), out=out)[:ENTRY_SIZE])
        assert dump.identify()
        assert dump.out is out
        assert out or dump.opcode == Opcode.QUERY_PAGES


def test_recorded_dumps_are_their_messages() -> None:
    for d in dumps():
        message, holes = _fed(d.entry + b"".join(d.blocks), out=not d.is_input).message()
        entry = CMDQ_ENTRY.unpack(d.entry)
        assert (len(message), holes) == (entry["input_length" if d.is_input else "output_length"], ())
        assert message[:2] == d.entry[16:18] if d.is_input else message[0] == 0


@pytest.mark.parametrize("op_mod", ManagePages)
@pytest.mark.parametrize("ec", [0, 1])
def test_a_page_command_names_its_function_in_its_first_bytes(op_mod: int, ec: int) -> None:
    fields = {"function_id": 0x131, "embedded_cpu_function": ec, "input_num_entries": 3}
    message = encode_command(Command(Opcode.MANAGE_PAGES, op_mod, fields, pages(1, 3)))
    assert function_of(message) == function_of(message[:12]) == (0x131, bool(ec))
    reserved = message[:8] + bytes([message[8] | 0x7F]) + message[9:]
    assert function_of(reserved) == (0x131, bool(ec))
    assert function_of(message[:11]) == (None, False)
    assert function_of(b"\x01\x07" + message[2:]) == (None, False)
