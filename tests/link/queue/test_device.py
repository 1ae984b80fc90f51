"""The device's end alone: what a driver that knows nothing of this project may do to it, right and wrong."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.device import Completed, Firmware, Offence, Phase, Raised, Submitted, Want, profile
from fwpages.host import Send
from fwpages.link.memory import Memory
from fwpages.link.queue.bar import BAR_SIZE, Identity, uar_at
from fwpages.link.queue.blocks import read_blocks
from fwpages.link.queue.device import DeviceEvent, Entry, QueueDevice
from fwpages.link.queue.driver import BASE, Completion, DriverEvent, QueueHost, RaisedRequest
from fwpages.link.queue.offences import BY_STATUS, WireOffence
from fwpages.prm.delivery import Delivery
from fwpages.prm.eq import EQ_DOORBELL, EQ_DOORBELL_ARM, encode_doorbell
from fwpages.prm.event import EventType
from fwpages.prm.mailbox import MAX_MESSAGE
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.prm.queue import CMDQ_ENTRY, entry_is_signed, sign_entry
from fwpages.prm.segment import NicInterface, field_of, read_field
from fwpages.prm.status import Status
from tests.link.faults.spoil import spoil

LENT = 1 << 32


class Rig:
    """A device, memory, and a driver that can be made to do anything."""

    def __init__(self, *, checksum: int = 0, signatures: bool | None = None, init_pages: int = 100) -> None:
        p = profile("connectx7")
        p = msgspec.structs.replace(
            p,
            boot_pages=3,
            init_pages=init_pages,
            max={**p.max, "cmdif_checksum": checksum},
            current={**p.current, "cmdif_checksum": checksum},
        )
        self.memory = Memory()
        self.memory.map(LENT, 1 << 24)
        self.interrupts: list[int] = []
        self.seen: list[DeviceEvent] = []
        self.firmware = Firmware(p)
        self.device = QueueDevice(self.firmware, self.memory, self.interrupts.append, watch=self.seen.append)
        self.driver = QueueHost(
            self.memory, self.device, signatures=bool(checksum) if signatures is None else signatures
        )
        self.ids = 0

    @property
    def offences(self) -> list[WireOffence]:
        return [x for x in self.seen if isinstance(x, WireOffence)]

    def send(self, c: Command, slot: int = 0) -> None:
        self.ids += 1
        self.driver.submit(Send(1, self.ids, slot, c))

    def carry(self, slot: int = 0) -> list[DriverEvent]:
        self.driver.ring(slot)
        while self.device.step(0.0):
            pass
        return self.driver.recover()

    def run(self, c: Command, slot: int = 0) -> Answer:
        self.send(c, slot)
        came = [x for x in self.carry(slot) if isinstance(x, Completion)]
        assert len(came) == 1
        assert came[0].answer is not None
        return came[0].answer

    def pages(self, n: int, start: int = 0) -> Command:
        pas = np.uint64(LENT) + (np.arange(start, start + n, dtype=np.uint64) << np.uint64(12))
        return Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, {"input_num_entries": n}, pas)

    def boot(self) -> Rig:
        for c in (Command(Opcode.ENABLE_HCA), Command(Opcode.QUERY_PAGES, QueryPages.BOOT), self.pages(3)):
            assert self.run(c).ok
        return self

    def eq(self, mask: int, page: int, intr: int = 2) -> int:
        uar = self.run(Command(Opcode.ALLOC_UAR))["uar"]
        fields = {"log_eq_size": 6, "uar_page": uar, "event_bitmask_0": mask, "intr": intr}
        pas = np.array([LENT + (page << 12)], np.uint64)
        return self.run(Command(Opcode.CREATE_EQ, fields=fields, pas=pas))["eq_number"]

    def up(self) -> Rig:
        self.boot()
        assert self.run(self.pages(self.firmware.specs[0].pages or 100, 3)).ok
        assert self.run(Command(Opcode.INIT_HCA)).ok
        return self


# -- a sound driver ---------------------------------------------------------------------------------------------------


def test_a_command_is_executed_once_the_doorbell_rings() -> None:
    rig = Rig()
    rig.send(Command(Opcode.ENABLE_HCA))
    assert not rig.device.step(0.0)
    assert rig.driver.poll() == []
    rig.driver.ring(0)
    assert [rig.device.pending, rig.device.step(0.0), rig.device.pending] == [True, True, False]
    (came,) = rig.driver.poll()
    assert came == Completion(1, 1, Answer(Opcode.ENABLE_HCA))
    assert rig.firmware.phase is Phase.STARTING
    assert [type(x) for x in rig.seen] == [Submitted, Completed]
    assert entry_is_signed(rig.driver.entry(0).tobytes())


@pytest.mark.parametrize("n", [1, 64, 65, 50_000])
def test_pages_arrive_in_order_and_come_back(n: int) -> None:
    rig = Rig(init_pages=n)
    rig.memory.map(LENT + (1 << 24), 1 << 28)
    rig.boot()
    give = rig.pages(n, 3)
    assert rig.run(give, 31).ok
    (held,) = rig.firmware.holds().values()
    assert np.array_equal(held[3:], give.pas)
    took = rig.run(Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"input_num_entries": n}), 31)
    assert took["output_num_entries"] == n
    assert np.array_equal(np.sort(took.pas), np.sort(give.pas))
    assert rig.offences == []


def test_several_slots_in_one_doorbell() -> None:
    rig = Rig().boot()
    for slot in (4, 2, 31):
        rig.send(Command(Opcode.QUERY_PAGES, QueryPages.INIT), slot)
    rig.device.write(0x18, (1 << 4 | 1 << 2 | 1 << 31).to_bytes(4, "big"))
    assert [rig.device.step(0.0) for _ in range(4)] == [True, True, True, False]
    assert len(rig.driver.poll()) == 3


def test_the_first_event_queue_is_created_without_an_event_and_used_from_then_on() -> None:
    rig = Rig().up()
    eqn = rig.eq(1 << EventType.COMMAND, 500, intr=7)
    assert rig.interrupts == []
    rig.send(Command(Opcode.QUERY_ADAPTER))
    rig.driver.ring(0)
    rig.device.step(0.0)
    assert rig.interrupts == [7]
    assert rig.driver.poll() == [], "what comes by event is not looked for"
    (came,) = rig.driver.interrupt(7)
    assert isinstance(came, Completion)
    # and the command that takes the queue away is completed without it
    rig.send(Command(Opcode.DESTROY_EQ, fields={"eq_number": eqn}))
    rig.driver.ring(0)
    rig.device.step(0.0)
    assert rig.interrupts == [7]
    (came,) = rig.driver.poll()
    assert isinstance(came, Completion)


def test_a_page_request_is_handed_out_before_a_completion_that_came_after_it() -> None:
    rig = Rig().up()
    rig.eq(1 << EventType.COMMAND, 500)
    rig.eq(1 << EventType.PAGE_REQUEST, 501, intr=3)
    rig.device.stir(0.0, Want("self", 5))
    rig.send(Command(Opcode.QUERY_ADAPTER))
    rig.driver.ring(0)
    rig.device.step(0.0)
    assert rig.interrupts[-2:] == [3, 2]
    events = rig.driver.interrupt(2)
    assert [type(x) for x in events] == [RaisedRequest, Completion]
    assert rig.driver.interrupt(3) == [], "it was read already"
    assert any(isinstance(x, Raised) for x in rig.seen)


def test_a_page_request_without_a_queue_is_not_delivered() -> None:
    rig = Rig().up()
    rig.device.stir(0.0, Want("self", 5))
    assert rig.offences == []
    rig.eq(1 << EventType.PAGE_REQUEST, 501)
    assert [type(x) for x in rig.driver.recover()] == [RaisedRequest], "firmware tells once it can"


# -- the segment ------------------------------------------------------------------------------------------------------


def test_the_segment_as_a_driver_reads_it() -> None:
    d = Rig().device
    assert d.read(0x0, 8) == bytes.fromhex("0027001c000503ea")
    assert d.read(0x14, 4) == b"\0\0\0\x56", "log sizes, before the address is written"
    assert read_field(d.read, "initializing") == 0
    assert read_field(d.read, "embedded_cpu") == 0
    assert d.read(0x200, 0x30) == bytes(0x30)
    assert d.read(0x230, 4) != b"\xff" * 4, "all ones is a device that is gone"
    beats = [read_field(d.read, "health_counter") for _ in range(3)]
    assert len(set(beats)) == 3
    assert read_field(d.read, "health_syndrome") == 0
    assert d.read(BAR_SIZE - 8, 8) == bytes(8)
    ecpf = QueueDevice(Rig().firmware, Memory(), lambda _: None, identity=Identity(embedded_cpu=True))
    assert ecpf.read(0x1FC, 4) == b"\x40\x80\0\0"


def test_the_queue_s_address_keeps_the_log_sizes() -> None:
    d = Rig().device
    d.write(0x10, (1).to_bytes(4, "big"))
    d.write(0x14, (0x2705000).to_bytes(4, "big"))
    assert d.segment.queue == 0x1_0270_5000
    assert d.read(0x14, 4) == (0x2705056).to_bytes(4, "big")


def test_an_interface_that_is_off_executes_nothing() -> None:
    rig = Rig()
    rig.send(Command(Opcode.ENABLE_HCA))
    low = int.from_bytes(rig.device.read(0x14, 4), "big")
    rig.device.write(0x14, (low & 0xFFFFF000 | NicInterface.DISABLED << 8).to_bytes(4, "big"))
    assert field_of(int.from_bytes(rig.device.read(0x14, 4), "big"), "nic_interface") == 1
    assert rig.carry() == []
    assert [o.name for o in rig.offences] == ["interface-off"]


def test_a_software_reset() -> None:
    rig = Rig().boot()
    rig.device.write(0x14, (NicInterface.SOFTWARE_RESET << 8).to_bytes(4, "big"))
    assert rig.device.pending
    assert rig.device.step(0.0)
    assert rig.firmware.phase is Phase.OFF
    assert not rig.firmware.holds()
    assert field_of(int.from_bytes(rig.device.read(0x14, 4), "big"), "nic_interface") == NicInterface.DISABLED
    rig.driver.reset()
    rig.boot()


@pytest.mark.parametrize(("offset", "length"), [(0x18, 1), (0x1A, 2), (0x19, 4), (0x18, 12), (0x18, 0)])
def test_registers_are_written_whole(offset: int, length: int) -> None:
    rig = Rig()
    rig.device.write(offset, b"\xff" * length)
    assert [o.name for o in rig.offences] == ["bad-access"]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, BAR_SIZE - 8), st.binary(max_size=9)), max_size=20))
def test_whatever_is_written_to_bar_0(writes: list[tuple[int, bytes]]) -> None:
    rig = Rig()
    for offset, data in writes:
        rig.device.write(offset & ~3 if len(data) in (4, 8) else offset, data)
        rig.device.read(offset, len(data))
        while rig.device.step(0.0):
            pass
    assert all(isinstance(o, WireOffence) for o in rig.offences)


# -- the command doorbell ---------------------------------------------------------------------------------------------


def test_a_doorbell_without_a_queue() -> None:
    rig = Rig()
    rig.device.write(0x18, b"\0\0\0\x01")
    assert [o.name for o in rig.offences] == ["no-queue"]


def test_a_doorbell_for_a_queue_that_cannot_be_reached() -> None:
    rig = Rig()
    rig.device.write(0x14, (0x5000).to_bytes(4, "big"))
    rig.device.write(0x18, b"\0\0\0\x01")
    assert rig.device.step(0.0)
    assert [o.name for o in rig.offences] == ["dma-fault"]


def test_a_doorbell_for_slots_that_there_are_not() -> None:
    rig = Rig()
    rig.device.segment = type(rig.device.segment)(Identity(log_cmdq_size=2))
    rig.driver.start()
    rig.device.write(0x18, b"\x80\0\0\x10")
    assert [(o.name, o.slot) for o in rig.offences] == [("slot-unknown", 4), ("slot-unknown", 31)]
    assert not rig.device.pending


def test_a_doorbell_for_an_entry_that_was_not_handed_over() -> None:
    rig = Rig()
    rig.run(Command(Opcode.ENABLE_HCA))
    rig.driver.ring(0)
    rig.device.step(0.0)
    assert [(o.name, o.slot) for o in rig.offences] == [("not-owned", 0)]


def test_a_slot_whose_command_is_not_answered_is_not_looked_at() -> None:
    rig = Rig()
    rig.run(Command(Opcode.ENABLE_HCA))
    rig.device._entries[99] = Entry(5, BASE, bytes(64), [], 16)
    rig.send(Command(Opcode.QUERY_ISSI), 5)
    assert rig.carry(5) == []
    assert [(o.name, o.slot) for o in rig.offences] == [("slot-busy", 5)]


def test_a_doorbell_rung_twice_is_rung_once() -> None:
    rig = Rig()
    rig.send(Command(Opcode.ENABLE_HCA))
    rig.driver.ring(0)
    rig.driver.ring(0)
    assert [rig.device.step(0.0) for _ in range(2)] == [True, False]
    assert rig.offences == []


# -- entries and chains -----------------------------------------------------------------------------------------------

STATUS = {
    "entry-type": Delivery.CMD_DESCR_ERR,
    "entry-reserved": Delivery.RES_FLD_NOT_CLR_ERR,
    "input-length": Delivery.IN_LENGTH_ERR,
    "output-length": Delivery.OUT_LENGTH_ERR,
    "input-unaligned": Delivery.IN_PTR_ALIGN_ERR,
    "output-unaligned": Delivery.OUT_PTR_ALIGN_ERR,
    "input-unmapped": Delivery.FW_ERR,
    "input-token": Delivery.TOK_ERR,
    "output-token": Delivery.TOK_ERR,
    "input-order": Delivery.BAD_BLK_NUM_ERR,
    "input-loop": Delivery.BAD_BLK_NUM_ERR,
    "input-short": Delivery.IN_LENGTH_ERR,
    "output-short": Delivery.OUT_LENGTH_ERR,
}


@pytest.mark.parametrize("checksum", [0, 1, 3])
@pytest.mark.parametrize("name", STATUS)
def test_what_cannot_be_read_is_not_executed_and_says_why(name: str, checksum: int) -> None:
    rig = Rig(checksum=checksum).boot()
    big = Command(Opcode.QUERY_HCA_CAP, 1) if name.startswith("output") else rig.pages(100, 3)
    rig.send(big)
    spoil(name, rig.driver, rig.driver.slots[0])
    (came,) = rig.carry()
    assert isinstance(came, Completion)
    raw = rig.driver.entry(0).tobytes()
    assert raw[63] >> 1 == STATUS[name]
    assert entry_is_signed(raw)
    (offence,) = rig.offences
    assert (offence.name, offence.slot, offence.status) == (BY_STATUS[STATUS[name]], 0, STATUS[name])
    if STATUS[name] is Delivery.FW_ERR:
        assert came.answer is None
    else:
        assert came.answer == Answer(big.opcode, Status.INTERNAL_ERR, STATUS[name])
    assert rig.firmware.held("self") == 3, "nothing was executed"
    assert rig.run(rig.pages(100, 3)).ok, "and the slot is as good as before"


@pytest.mark.parametrize(("length", "status"), [(7, 7), (0, 7), (MAX_MESSAGE + 1, 7), (1 << 31, 7)])
def test_input_lengths(length: int, status: int) -> None:
    rig = Rig().boot()
    rig.send(Command(Opcode.QUERY_PAGES, QueryPages.INIT))
    _patch(rig, input_length=length)
    rig.carry()
    assert rig.driver.entry(0)[63] >> 1 == status


@pytest.mark.parametrize("length", [7, 0, MAX_MESSAGE + 1, 0xFFFFFFFF])
def test_output_lengths(length: int) -> None:
    rig = Rig().boot()
    rig.send(Command(Opcode.QUERY_PAGES, QueryPages.INIT))
    _patch(rig, output_length=length)
    rig.carry()
    assert rig.driver.entry(0)[63] >> 1 == Delivery.OUT_LENGTH_ERR


def _patch(rig: Rig, **fields: int) -> None:
    entry = rig.driver.entry(0)
    entry[:] = np.frombuffer(sign_entry(CMDQ_ENTRY.patch(entry.tobytes(), fields)), np.uint8)


def test_a_command_too_short_for_its_fields_is_answered_as_such() -> None:
    rig = Rig().boot()
    rig.send(Command(Opcode.QUERY_PAGES, QueryPages.INIT))
    _patch(rig, input_length=8)
    (came,) = rig.carry()
    assert isinstance(came, Completion)
    assert came.answer is not None
    assert came.answer.status == Status.BAD_INP_LEN
    assert [o.name for o in rig.offences] == ["bad-input-length"]


def test_an_answer_that_does_not_fit_is_firmware_s_to_refuse() -> None:
    rig = Rig().boot()
    rig.send(Command(Opcode.QUERY_HCA_CAP, 1))
    _patch(rig, output_length=16)
    rig.carry()
    assert rig.driver.entry(0)[32] == Status.BAD_OUTP_LEN
    assert [x.name for x in rig.seen if isinstance(x, Offence)] == ["reply-too-small"]


@pytest.mark.parametrize("checksum", [1, 3])
def test_signatures_are_checked_while_asked_for(checksum: int) -> None:
    for name in ("entry", "mailbox"):
        rig = Rig(checksum=checksum).boot()
        rig.send(rig.pages(100, 3))
        if name == "entry":
            spoil("entry-signature", rig.driver, rig.driver.slots[0])
        else:
            rig.driver.slots[0].request[1, 300] ^= 1
        rig.carry()
        assert rig.driver.entry(0)[63] >> 1 == Delivery.SIGNAT_ERR
        assert [o.name for o in rig.offences] == ["bad-signature"]


def test_signatures_are_not_looked_at_while_not_asked_for() -> None:
    rig = Rig().boot()
    rig.send(rig.pages(100, 3))
    spoil("entry-signature", rig.driver, rig.driver.slots[0])
    (came,) = rig.carry()
    assert isinstance(came, Completion)
    assert came.answer is not None
    assert came.answer.ok


def test_a_driver_that_does_not_sign_its_mailboxes_is_refused_its_boot_pages() -> None:
    """As Linux would be by a profile whose current cmdif_checksum starts above 0."""
    rig = Rig(checksum=1, signatures=False)
    assert rig.run(Command(Opcode.ENABLE_HCA)).ok
    assert rig.run(rig.pages(3)) == Answer(Opcode.MANAGE_PAGES, Status.INTERNAL_ERR, Delivery.SIGNAT_ERR)


def test_a_signed_answer_that_was_changed_is_no_answer() -> None:
    rig = Rig(checksum=3).boot()
    rig.send(Command(Opcode.QUERY_HCA_CAP, 1))
    rig.driver.ring(0)
    rig.device.step(0.0)
    rig.driver.slots[0].reply[4, 7] ^= 1
    (came,) = rig.driver.poll()
    assert came == Completion(1, rig.ids, None, "the answer's signature is wrong")


# -- event queues -----------------------------------------------------------------------------------------------------


def test_event_doorbells_that_mean_nothing() -> None:
    rig = Rig().up()
    eqn = rig.eq(1 << EventType.COMMAND, 500)
    uar = next(iter(rig.firmware.eqs.values())).uar
    for at, data, name in (
        (uar * 4096 + EQ_DOORBELL, encode_doorbell(eqn + 1, 0), "doorbell-unknown"),
        ((uar + 1) * 4096 + EQ_DOORBELL_ARM, encode_doorbell(eqn, 0), "doorbell-unknown"),
        (uar * 4096 + EQ_DOORBELL_ARM, encode_doorbell(eqn, 9), "doorbell-index"),
    ):
        rig.seen.clear()
        rig.device.write(at, data)
        assert [o.name for o in rig.offences] == [name]
    rig.seen.clear()
    rig.device.write(uar * 4096 + 0x800, bytes(8))
    rig.device.write(0x3000, bytes(4))
    assert rig.seen == []


def test_uars_lie_behind_the_segment() -> None:
    assert uar_at(0x1040) is None
    assert uar_at(16 * 4096 + 0x40) == (16, 0x40)
    assert uar_at(BAR_SIZE) is None
    assert Rig().up().run(Command(Opcode.ALLOC_UAR))["uar"] == 16


def test_an_event_queue_that_runs_full() -> None:
    rig = Rig().up()
    rig.eq(1 << EventType.PAGE_REQUEST, 501)
    for _ in range(66):
        rig.device.stir(0.0, Want("self", 1))
    assert [o.name for o in rig.offences] == ["eq-overrun"] * 2
    assert len(rig.driver.recover()) == 64


def test_an_event_queue_in_memory_that_is_gone() -> None:
    rig = Rig().up()
    rig.eq(1 << EventType.PAGE_REQUEST, 501)
    rig.memory.unmap(LENT, 1 << 24)
    rig.device.stir(0.0, Want("self", 1))
    assert [o.name for o in rig.offences] == ["dma-fault"]


def test_output_mailboxes_that_go_away_while_the_command_is_executed() -> None:
    rig = Rig().boot()
    rig.send(Command(Opcode.QUERY_HCA_CAP, 1))
    feed = rig.firmware.feed
    area = rig.driver.area(1)

    def late(now: float, x: object) -> object:
        rig.memory.unmap(area, rig.driver._areas[1])
        return feed(now, x)  # type: ignore[arg-type]

    rig.device.firmware = _Like(rig.firmware, late)  # type: ignore[assignment]
    (came,) = rig.carry()
    assert isinstance(came, Completion)
    assert came.answer is None, "what was executed is not known"
    assert [o.name for o in rig.offences] == ["dma-fault"]


class _Like:
    def __init__(self, firmware: Firmware, feed: Callable[[float, object], object]) -> None:
        self.firmware, self.feed = firmware, feed

    def __getattr__(self, name: str) -> object:
        return getattr(self.firmware, name)


# -- anything at all --------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(st.integers(0, 2**32), st.integers(0, 3))
def test_no_bytes_break_it(seed: int, checksum: int) -> None:
    """Entries and mailboxes of real commands with a few bytes changed."""
    draw = random.Random(seed)
    rig = Rig(checksum=checksum).boot()
    commands = [
        rig.pages(100, 3),
        Command(Opcode.QUERY_HCA_CAP, 1),
        Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"input_num_entries": 80}),
        Command(Opcode.CREATE_EQ, fields={"log_eq_size": 6, "event_bitmask_0": 1 << 10}, pas=rig.pages(1, 9).pas),
        Command(draw.randrange(0x900, 1 << 16), data=draw.randbytes(draw.randrange(2000))),
    ]
    for slot in range(6):
        rig.send(draw.choice(commands), slot)
        s = rig.driver.slots[slot]
        for _ in range(draw.randrange(3)):
            target = draw.choice([rig.driver.entry(slot), s.request.reshape(-1), s.reply.reshape(-1)])
            if target.size:
                target[draw.randrange(target.size)] = draw.choice([0, 1, 0xFF, draw.randrange(256)])
        if draw.random() < 0.5:
            rig.driver.entry(slot)[:] = np.frombuffer(sign_entry(rig.driver.entry(slot).tobytes()), np.uint8)
        rig.carry(slot)
    rig.firmware.check()
    assert all(isinstance(o, WireOffence) for o in rig.offences)


def test_blocks_over_a_plain_bus() -> None:
    class Plain:
        def __init__(self, memory: Memory) -> None:
            self.read, self.write = memory.read, memory.write

    memory = Memory()
    memory.map(0, 1 << 16)
    for n in range(8):
        memory.write(n * 4096, bytes([n]) * 10)
    for stride in (4096, -4096):
        out = np.zeros((8, 10), np.uint8)
        read_blocks(Plain(memory), 0 if stride > 0 else 7 * 4096, stride, out)
        assert out[:, 0].tolist() == list(range(8))[:: 1 if stride > 0 else -1]


def test_every_status_answers_an_offence() -> None:
    assert set(BY_STATUS) == set(Delivery) - {Delivery.OK}
