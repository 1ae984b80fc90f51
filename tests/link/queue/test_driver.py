"""The driver's end alone, against a device that writes what it likes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from fwpages.host import Send
from fwpages.link.memory import Memory
from fwpages.link.queue.driver import BASE, Completion, DriverEvent, QueueHost, RaisedRequest, WireError
from fwpages.prm.delivery import Delivery
from fwpages.prm.eq import encode_command_event, with_owner
from fwpages.prm.event import EventType, PageRequestEvent, encode_page_request
from fwpages.prm.mailbox import MAX_MESSAGE, column, of_answer, put
from fwpages.prm.message import Answer, Command, decode_command, encode_command
from fwpages.prm.opcodes import CapType, ManagePages, Opcode
from fwpages.prm.queue import CMDQ_ENTRY, entry_is_signed, input_message, mailboxes_for
from fwpages.prm.segment import INIT_SEG, word_at
from fwpages.prm.status import Status

ISSI = Command(Opcode.QUERY_ISSI)
EQ_MEMORY = 1 << 32


class Registers:
    """BAR 0 that remembers what was written."""

    def __init__(self, **fields: int) -> None:
        sound = {"cmd_interface_rev": 5, "log_cmdq_size": 5, "log_cmdq_stride": 6}
        self.bytes = INIT_SEG.pack({**sound, **fields})
        self.written: list[tuple[int, bytes]] = []

    def read(self, offset: int, length: int) -> bytes:
        return self.bytes[offset : offset + length]

    def write(self, offset: int, data: bytes) -> None:
        self.written.append((offset, data))


class Rig:
    def __init__(self, *, signatures: bool = False) -> None:
        self.memory = Memory()
        self.memory.map(EQ_MEMORY, 1 << 20)
        self.mmio = Registers()
        self.driver = QueueHost(self.memory, self.mmio, signatures=signatures)
        self.ids = 0

    def send(self, c: Command = ISSI, slot: int = 0, session: int = 1) -> int:
        self.ids += 1
        self.driver.submit(Send(session, self.ids, slot, c))
        return self.ids

    def answer(self, a: Answer, slot: int = 0, **fields: int) -> None:
        """As a device gives an entry back."""
        raw = self.memory.read(BASE + slot * 64, 64)
        e = CMDQ_ENTRY.unpack(raw)
        m = of_answer(a, e["output_length"])
        rows = np.zeros((mailboxes_for(e["output_length"]), 576), np.uint8)
        put(rows, m)
        for n, row in enumerate(rows):
            self.memory.write(e["output_mailbox"] + n * 1024, row[:512].tobytes())
        new = {"output": int.from_bytes(m.inline, "big"), "ownership": 0, **fields}
        self.memory.write(BASE + slot * 64, CMDQ_ENTRY.patch(raw, new))

    def eq(self, mask: int, number: int, page: int, intr: int = 1) -> None:
        c = Command(
            Opcode.CREATE_EQ,
            fields={"log_eq_size": 6, "uar_page": 0x10, "event_bitmask_0": mask, "intr": intr},
            pas=np.array([EQ_MEMORY + page * 4096], np.uint64),
        )
        self.send(c)
        self.answer(Answer(c.opcode, fields={"eq_number": number}))
        self.driver.recover()

    def post(self, page: int, index: int, entry: bytes) -> None:
        self.memory.write(EQ_MEMORY + page * 4096 + index % 64 * 64, with_owner(entry, index >> 6 & 1))


# -- bringing it up ---------------------------------------------------------------------------------------------------


def test_the_queue_is_announced_once() -> None:
    rig = Rig()
    rig.send()
    rig.send(slot=1)
    rig.driver.ring(1)
    assert rig.mmio.written == [
        (0x10, (BASE >> 32).to_bytes(4, "big")),
        (0x14, bytes(4)),
        (0x18, b"\0\0\0\x02"),
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cmd_interface_rev": 4}, "command interface revision 0x4, 5 is spoken here"),
        ({"cmd_interface_rev": 0xFFFF}, "all ones: the device is gone"),
        ({"initializing": 1}, "still initializing"),
        ({"log_cmdq_size": 6}, r"2\^6 entries of 2\^6 bytes"),
        ({"log_cmdq_stride": 8}, r"2\^5 entries of 2\^8 bytes"),
        ({"log_cmdq_stride": 5}, r"2\^5 entries of 2\^5 bytes"),
    ],
)
def test_a_device_that_cannot_be_driven(fields: dict[str, int], words: str) -> None:
    driver = QueueHost(Memory(), Registers(**fields))
    with pytest.raises(WireError, match=words):
        driver.submit(Send(1, 1, 0, ISSI))


def test_the_stride_is_the_device_s() -> None:
    rig = Rig()
    rig.mmio.bytes = Registers(log_cmdq_size=4, log_cmdq_stride=7).bytes
    rig.send(slot=3)
    assert rig.memory.read(BASE + 3 * 128, 1) == b"\x07"


# -- sending ----------------------------------------------------------------------------------------------------------


def test_an_entry_as_it_is_written() -> None:
    rig = Rig()
    pas = np.arange(1, 101, dtype=np.uint64) << np.uint64(12)
    c = Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, {"input_num_entries": 100}, pas)
    rig.send(c, slot=31)
    raw = rig.memory.read(BASE + 31 * 64, 64)
    e = CMDQ_ENTRY.unpack(raw)
    assert entry_is_signed(raw)
    assert (e["type"], e["token"], e["ownership"], e["delivery_status"]) == (7, 1, 1, 0)
    assert (e["input_length"], e["output_length"], e["output_mailbox"]) == (816, 16, 0)
    blocks = [rig.memory.read(e["input_mailbox"] + n * 1024, 576) for n in range(2)]
    assert decode_command(input_message(raw, blocks)) == decode_command(encode_command(c))


def test_tokens_differ_and_are_never_0() -> None:
    rig, tokens = Rig(), []
    for _ in range(600):
        rig.send()
        tokens.append(rig.memory.read(BASE + 60, 1)[0])
        rig.answer(Answer(ISSI.opcode))
        assert len(rig.driver.poll()) == 1
    assert set(tokens) == set(range(1, 256))
    assert all(a != b for a, b in pairwise(tokens))


def test_a_slot_is_not_used_again_before_its_answer() -> None:
    rig = Rig()
    rig.send()
    with pytest.raises(ValueError, match="slot 0 has a command that is not answered"):
        rig.send()
    rig.answer(Answer(ISSI.opcode))
    rig.driver.poll()
    rig.send()


def test_the_longest_message_has_room() -> None:
    rig = Rig()
    pas = np.arange(1, (1 << 20) + 1, dtype=np.uint64) << np.uint64(12)
    rig.send(Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, {"input_num_entries": 1 << 20}, pas))
    assert CMDQ_ENTRY.unpack(rig.memory.read(BASE, 64))["input_length"] == MAX_MESSAGE


def test_memory_of_mailboxes_grows_and_is_kept() -> None:
    rig = Rig()
    sizes = []
    for n in (1, 100, 5000, 10):
        rig.send(Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"input_num_entries": n}))
        sizes.append(rig.memory.mapped)
        rig.answer(Answer(Opcode.MANAGE_PAGES))
        rig.driver.poll()
    assert sizes == sorted(sizes)
    assert sizes[2] == sizes[3]


# -- hearing ----------------------------------------------------------------------------------------------------------


def test_nothing_is_received_before_the_entry_comes_back() -> None:
    rig = Rig()
    rig.send()
    assert rig.driver.poll() == rig.driver.recover() == []
    rig.answer(Answer(ISSI.opcode, fields={"current_issi": 1}))
    assert rig.driver.poll() == [Completion(1, 1, Answer(ISSI.opcode, fields=_issi(1)))]
    assert rig.driver.poll() == rig.driver.recover() == []


def _issi(current: int) -> dict[str, int]:
    return {"current_issi": current, "supported_issi_dw0": 0}


@pytest.mark.parametrize("status", [d for d in Delivery if d])
def test_delivery_status(status: Delivery) -> None:
    rig = Rig()
    rig.send()
    rig.answer(Answer(ISSI.opcode), delivery_status=status)
    (came,) = rig.driver.poll()
    assert isinstance(came, Completion)
    if status is Delivery.FW_ERR:
        assert (came.answer, came.why) == (None, "firmware error (0x6)")
    else:
        assert came.answer == Answer(ISSI.opcode, Status.INTERNAL_ERR, status)


def test_an_entry_with_another_token_is_none_that_was_waited_for() -> None:
    rig = Rig()
    rig.send()
    rig.answer(Answer(ISSI.opcode), token=0x77)
    assert rig.driver.poll() == []
    assert list(rig.driver.slots) == [0]


def test_an_answer_after_a_reset_is_recognised_by_its_token() -> None:
    rig = Rig()
    late = rig.send(slot=4)
    rig.driver.reset()
    rig.send(session=2)
    rig.answer(Answer(ISSI.opcode), slot=4)
    assert rig.driver.poll() == [Completion(1, late, Answer(ISSI.opcode, fields=_issi(0)))]
    assert rig.driver.poll() == []


def test_a_late_answer_in_a_slot_with_another_command_is_recognised() -> None:
    rig = Rig()
    late = rig.send(slot=4)
    old = rig.memory.read(BASE + 4 * 64, 64)
    rig.driver.reset()
    rig.send(slot=4, session=2)
    rig.memory.write(BASE + 4 * 64, CMDQ_ENTRY.patch(old, {"ownership": 0}))
    assert [x.id for x in rig.driver.poll() if isinstance(x, Completion)] == [late]
    assert list(rig.driver.slots) == [4]


def test_events_come_before_the_completions_that_were_seen_with_them() -> None:
    rig = Rig()
    rig.eq(1 << EventType.COMMAND, 1, 0)
    rig.eq(1 << EventType.PAGE_REQUEST, 2, 1, intr=5)
    rig.send(slot=3)
    rig.answer(Answer(ISSI.opcode), slot=3)
    # the completion of the second CREATE_EQ was found by looking; its event would be entry 0
    rig.post(0, 0, encode_command_event(1 << 3))
    rig.post(1, 0, encode_page_request(PageRequestEvent(0x2A, 5)))
    rig.post(1, 1, encode_page_request(PageRequestEvent(0x2A, -5)))
    rig.mmio.written.clear()
    seen = rig.driver.interrupt(1)
    assert seen[:2] == [
        RaisedRequest(1, 2, PageRequestEvent(0x2A, 5)),
        RaisedRequest(1, 2, PageRequestEvent(0x2A, -5)),
    ]
    assert [x.id for x in seen[2:] if isinstance(x, Completion)] == [rig.ids]
    assert sorted(rig.mmio.written) == [(0x10040, bytes.fromhex("01000001")), (0x10040, bytes.fromhex("02000002"))]
    assert rig.driver.interrupt(5) == []


def test_a_queue_is_read_lap_after_lap() -> None:
    rig = Rig()
    rig.eq(1 << EventType.PAGE_REQUEST, 2, 1)
    got: list[DriverEvent] = []
    for n in range(200):
        rig.post(1, n, encode_page_request(PageRequestEvent(1, n)))
        if n % 7 == 0:
            got += rig.driver.interrupt(1)
    got += rig.driver.interrupt(1)
    assert [x.event.num_pages for x in got if isinstance(x, RaisedRequest)] == list(range(200))


def test_completions_that_belong_to_no_command() -> None:
    rig = Rig()
    rig.eq(1 << EventType.COMMAND, 1, 0)
    rig.send()
    rig.post(0, 0, encode_command_event(0xFFFFFFFF))
    assert rig.driver.interrupt(1) == []
    assert list(rig.driver.slots) == [0]


def test_other_events_are_passed_over() -> None:
    rig = Rig()
    rig.eq(1 << EventType.PAGE_REQUEST, 2, 1)
    rig.post(1, 0, encode_command_event(1))
    rig.post(1, 1, bytes([0, 0x77]) + b"\xff" * 62)
    rig.post(1, 2, encode_page_request(PageRequestEvent(1, 1)))
    assert len(rig.driver.interrupt(1)) == 1


def test_queues_end_with_the_session() -> None:
    rig = Rig()
    rig.eq(1 << EventType.PAGE_REQUEST, 2, 1)
    rig.post(1, 0, encode_page_request(PageRequestEvent(1, 1)))
    rig.driver.reset()
    assert rig.driver.recover() == rig.driver.interrupt(1) == []


def test_signatures_follow_what_is_negotiated() -> None:
    rig = Rig(signatures=True)
    cap = Command(Opcode.SET_HCA_CAP, CapType.GENERAL << 1, data=bytes(4096))
    rig.send(cap)
    assert (column(rig.driver.slots[0].request, "ctrl_signature") != 0).all()
    rig.answer(Answer(cap.opcode))
    (came,) = rig.driver.poll()
    assert isinstance(came, Completion)
    assert came.answer is None, "the answer's entry was not signed"
    rig.driver.reset()
    rig.send(cap)
    raw = rig.memory.read(BASE, 64)
    rig.memory.write(BASE, _signed_back(raw))
    (came,) = rig.driver.poll()
    assert isinstance(came, Completion)
    assert came.answer is not None
    states = [rig.driver.signatures]
    rig.send(ISSI, session=2)
    assert [*states, rig.driver.signatures] == [False, True]


def _signed_back(raw: bytes) -> bytes:
    done = CMDQ_ENTRY.patch(raw, {"ownership": 0, "signature": 0})
    xor = 0
    for b in done:
        xor ^= b
    return CMDQ_ENTRY.patch(done, {"signature": xor ^ 0xFF})


def test_registers_that_are_used() -> None:
    assert (word_at("command_doorbell_vector"), word_at("cmdq_phy_addr_31_12")) == (0x18, 0x14)
