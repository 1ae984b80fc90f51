from __future__ import annotations

from functools import reduce
from operator import xor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.prm.delivery import Delivery, DeliveryError
from fwpages.prm.layout import LayoutError
from fwpages.prm.mailbox import (
    CONTROL,
    MAX_MESSAGE,
    STRIDE,
    Rows,
    answer_in,
    chain,
    check,
    column,
    evenly,
    of_answer,
    of_command,
    put,
    sign,
    signed,
)
from fwpages.prm.message import Answer, Command, decode_command, encode_answer, encode_command
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.prm.queue import CMDQ_ENTRY, MAILBOX, entry_is_signed, input_message, mailboxes_for, sign_entry
from tests.prm.golden_dumps import QueueDump, dumps

DUMPS = dumps()
INPUTS = [d for d in DUMPS if d.is_input]


def pages(n: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.random.default_rng(n).integers(1, 1 << 50, n, np.uint64) << np.uint64(12)


def give(n: int) -> Command:
    return Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, {"input_num_entries": n}, pages(n))


def made(n: int, token: int = 9, start: int = 1 << 32) -> Rows:
    rows = np.full((n, STRIDE), 0xEE, np.uint8)
    chain(rows, evenly(start, n), token)
    return rows


# -- what Linux wrote -------------------------------------------------------------------------------------------------


def test_the_log_has_what_is_tested_on() -> None:
    assert len(INPUTS) == 35
    assert max(len(d.blocks) for d in DUMPS) == 39


@pytest.mark.parametrize("d", DUMPS, ids=lambda d: f"{d.slot}-{d.entry[60]}-{'in' if d.is_input else 'out'}")
def test_linux_signs_its_entries(d: QueueDump) -> None:
    if d.is_input:
        assert entry_is_signed(d.entry)
        assert sign_entry(CMDQ_ENTRY.patch(d.entry, {"signature": 0})) == d.entry
    else:
        # the firmware it was watched on gave entries back with the driver's signature
        assert not entry_is_signed(d.entry) or d.entry[63] == 0


@pytest.mark.parametrize("d", INPUTS, ids=lambda d: f"{d.slot}-{d.entry[60]}")
def test_a_command_is_put_together_as_linux_does(d: QueueDump) -> None:
    e = CMDQ_ENTRY.unpack(d.entry)
    command = decode_command(input_message(d.entry, d.blocks))
    m = of_command(command)
    # nothing of these commands is unknown, except what SET_HCA_CAP and others carry as data
    assert (m.inline, m.length, m.mailboxes) == (d.entry[16:32], e["input_length"], len(d.blocks))
    if not d.blocks:
        return
    addresses = np.array([e["input_mailbox"], *(MAILBOX.unpack(b)["next"] for b in d.blocks)], np.uint64)
    rows = np.full((len(d.blocks), 576), 0xEE, np.uint8)
    chain(rows, addresses[:-1], e["token"])
    column(rows, "next")[-1] = addresses[-1]  # Linux keeps chains that are longer than the command takes
    put(rows, m)
    assert [row.tobytes() for row in rows] == list(d.blocks)
    check(rows[:, CONTROL:], 0, e["token"])


# -- chains -----------------------------------------------------------------------------------------------------------


def test_control_parts_as_the_layout_reads_them() -> None:
    rows = made(3, token=7, start=0x2706000)
    read = [MAILBOX.unpack(row.tobytes()) for row in rows]
    assert [v["next"] for v in read] == [0x2706400, 0x2706800, 0]
    assert [v["block_number"] for v in read] == [0, 1, 2]
    assert {v["token"] for v in read} == {7}
    assert not any(MAILBOX.reserved(row.tobytes())[512:].strip(b"\0") for row in rows)
    assert (rows[:, 576:] == 0xEE).all(), "what lies between mailboxes is not touched"


def test_a_chain_of_none() -> None:
    rows = made(0)
    put(rows, of_command(Command(Opcode.QUERY_ISSI)))
    assert rows.shape == (0, STRIDE)


@given(st.integers(1, 20), st.integers(0, 255), st.integers(0, 2**32))
def test_signatures_make_ff(n: int, token: int, seed: int) -> None:
    rows = made(n, token)
    rows[:, :512] = np.random.default_rng(seed).integers(0, 256, (n, 512), np.uint8)
    sign(rows)
    for row in rows:
        raw = row[:576].tobytes()
        assert reduce(xor, raw[512:575]) == 0xFF
        assert reduce(xor, raw) == 0xFF
    assert signed(rows).all()
    at = seed % 576
    rows[n // 2, at] ^= 1
    assert signed(rows).tolist() == [i != n // 2 for i in range(n)]


def test_a_mailbox_of_another_command() -> None:
    rows = made(5)
    column(rows, "token")[3] = 8
    with pytest.raises(DeliveryError, match="mailbox 13 has token 8, the entry 9") as e:
        check(renumbered(rows, 10)[:, CONTROL:576], 10, 9)
    assert e.value.status is Delivery.TOK_ERR


def renumbered(rows: Rows, start: int) -> Rows:
    column(rows, "block_number")[:] = np.arange(start, start + len(rows))
    return rows


def test_a_mailbox_out_of_its_place() -> None:
    rows = made(5)
    column(rows, "block_number")[2] = 4
    with pytest.raises(DeliveryError, match="mailbox 2 of the chain says that it is number 4") as e:
        check(rows[:, CONTROL:576], 0, 9)
    assert e.value.status is Delivery.BAD_BLK_NUM_ERR


# -- messages ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 128, 768, 50_000])
def test_pages_there_and_back(n: int) -> None:
    c = give(n)
    m = of_command(c)
    rows = made(m.mailboxes)
    put(rows, m)
    whole = m.inline + rows[:, :512].tobytes()
    assert whole[: m.length] == encode_command(c)
    assert not any(whole[m.length :]), "zeros behind the end"
    answer = Answer(Opcode.MANAGE_PAGES, fields={"output_num_entries": n}, pas=c.pas)
    length = 16 + 8 * n
    m = of_answer(answer, length)
    rows = made(mailboxes_for(length))
    put(rows, m)
    assert answer_in(Opcode.MANAGE_PAGES, m.inline, rows, length) == answer
    assert m.inline + rows[:, :512].tobytes()[: length - 16] == encode_answer(answer)


@settings(max_examples=50)
@given(st.sampled_from([Opcode.SET_HCA_CAP, Opcode.SET_DRIVER_VERSION, Opcode.INIT_HCA]), st.binary(max_size=3000))
def test_data_there_and_back(opcode: Opcode, data: bytes) -> None:
    c = Command(opcode, data=data)
    m = of_command(c)
    rows = made(m.mailboxes)
    put(rows, m)
    assert decode_command((m.inline + rows[:, :512].tobytes())[: m.length]) == decode_command(encode_command(c))


@given(st.integers(0, 300), st.integers(8, 3000))
def test_an_answer_is_cut_to_the_room_that_there_is(n: int, length: int) -> None:
    answer = Answer(Opcode.MANAGE_PAGES, fields={"output_num_entries": n}, pas=pages(n))
    m = of_answer(answer, length)
    rows = made(mailboxes_for(length))
    put(rows, m)
    whole = (m.inline + rows[:, :512].tobytes())[:length]
    want = encode_answer(answer).ljust(length, b"\0")[:length]
    # an address that there is not room for as a whole is left out
    end = 16 + (length - 16) // 8 * 8 if length >= 16 else length
    assert whole[:end] == want[:end]
    assert len(whole) == length


def test_an_answer_that_is_too_short_for_its_fields() -> None:
    with pytest.raises(LayoutError):
        answer_in(Opcode.MANAGE_PAGES, bytes(16), made(0), 4)


def test_the_longest_message_is_a_command_of_2_to_the_20_pages() -> None:
    assert of_command(give(1 << 20)).length == MAX_MESSAGE


def test_pages_on_a_command_that_carries_none() -> None:
    with pytest.raises(LayoutError, match="carries no page addresses"):
        of_command(Command(Opcode.INIT_HCA, pas=pages(3)))


def test_a_command_with_pages_behind_many_fields_is_encoded_whole() -> None:
    """CREATE_EQ's addresses follow 272 bytes of fields."""
    c = Command(Opcode.CREATE_EQ, fields={"log_eq_size": 8, "uar_page": 0x2B}, pas=pages(4))
    m = of_command(c)
    rows = made(m.mailboxes)
    put(rows, m)
    assert (m.inline + rows[:, :512].tobytes())[: m.length] == encode_command(c)
