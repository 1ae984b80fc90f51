"""Memory that a client keeps to itself: what the device asks of it, and what may happen before it answers."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator

import pytest

from fwpages.device import Want, profile
from fwpages.device.firmware.loadable import LoadableFirmware
from fwpages.link.bus import BusError
from fwpages.link.queue.device import DeviceEvent
from fwpages.link.queue.offences import WireOffence
from fwpages.link.vfio_user.guest_memory import GuestMemory
from fwpages.link.vfio_user.messages import MAX_DATA, DmaMap, StreamError, parse_header
from fwpages.link.vfio_user.served_device import ServedDevice
from fwpages.link.vfio_user.transfers import MOST_OWED, Layout, Transfers
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.opcodes import Opcode
from fwpages.prm.queue import CMDQ_ENTRY
from tests.link.vfio_client import HEADER, dma_map, dma_unmap, memfd, message, open_fds, region, set_irqs
from tests.link.vfio_driver import BAR, CONFIG, QUEUE, RAM
from tests.link.vfio_user.kept_memory import READ, WRITE, KeptDriver, ShortDriver, answer

PAGE = 4096
DOORBELL = region(10, BAR, 0x18, 4, b"\0\0\0\1")


class Bench:
    def __init__(self) -> None:
        self.firmware = LoadableFirmware(profile("connectx4-lx"))
        self.seen: list[DeviceEvent] = []
        self.device = ServedDevice(self.firmware, profile("connectx4-lx"), watch=lambda _, x: self.seen.append(x))

    @property
    def wrong(self) -> list[str]:
        return [x.name for x in self.seen if isinstance(x, WireOffence)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(params=[KeptDriver, ShortDriver])
def either(request: pytest.FixtureRequest, bench: Bench) -> Iterator[KeptDriver]:
    before = open_fds()
    d: KeptDriver = request.param(bench.device)
    yield d
    d.close()
    assert open_fds() == before


@pytest.fixture
def driver(bench: Bench) -> Iterator[KeptDriver]:
    before = open_fds()
    d = KeptDriver(bench.device)
    yield d
    d.close()
    assert open_fds() == before


def enable(driver: KeptDriver, slot: int = 0) -> None:
    """An entry with ENABLE_HCA in this slot, for the device to read."""
    fields = {"type": 7, "input_length": 16, "input": Opcode.ENABLE_HCA << 112, "output_length": 16, "ownership": 1}
    os.pwrite(driver.ram, CMDQ_ENTRY.pack(fields), QUEUE + slot * 64)


def owned(driver: KeptDriver, slot: int = 0) -> bool:
    """The device has not given the entry back."""
    return bool(os.pread(driver.ram, 64, QUEUE + slot * 64)[63] & 1)


def commands(driver: KeptDriver) -> list[int]:
    """The commands that the server sent, in their order."""
    headers = [HEADER.unpack_from(m) for m in driver.sent]
    return [command for _, command, _, flags, _ in headers if not flags & 1]


# -- a driver whose memory the device cannot reach by itself ---------------------------------------------------------


def test_a_whole_session(bench: Bench, either: KeptDriver) -> None:
    own = either.up()
    bench.device.stir(Want("self", 10))
    assert os.eventfd_read(either.irqs[1]) == 1
    assert either.event(1) == PageRequestEvent(own, 10)
    either.give(own, 10)
    assert bench.firmware.held("self") == 6 + 4465 + 10
    either.down(own)
    assert bench.firmware.held("self") == 0
    assert bench.firmware.offences == ()
    assert bench.wrong == []
    assert {READ, WRITE} == set(commands(either))


def test_the_reply_to_a_doorbell_comes_before_the_device_asks_for_anything(driver: KeptDriver) -> None:
    """A processor that waits for the reply to its write cannot answer before it has it."""
    enable(driver)
    driver.sent.clear()
    driver.feed(DOORBELL)
    kinds = [(HEADER.unpack_from(m)[1], HEADER.unpack_from(m)[3]) for m in driver.sent]
    assert kinds[:2] == [(10, 1), (READ, 0)]
    assert not owned(driver)


def test_a_posted_doorbell_has_no_reply_at_all(driver: KeptDriver) -> None:
    enable(driver)
    driver.sent.clear()
    assert driver.feed(message(10, struct.pack("<QII", 0x18, BAR, 4) + b"\0\0\0\1", flags=0x10)) == b""
    assert {HEADER.unpack_from(m)[1] for m in driver.sent} == {READ, WRITE}


# -- what comes between a command of the server and its answer -------------------------------------------------------


def test_registers_are_read_and_written_meanwhile(driver: KeptDriver) -> None:
    enable(driver)
    replies: list[bytes] = []
    driver.meanwhile.extend(
        [
            lambda: replies.append(driver.feed(region(9, BAR, 0x4, 2))),
            lambda: replies.append(driver.feed(region(9, CONFIG, 0, 4))),
            lambda: replies.append(driver.feed(set_irqs(0, 0, 0x21))),
        ]
    )
    driver.feed(DOORBELL)
    assert [r[32:].hex() for r in replies] == ["0005", "b3151510", ""]
    assert not owned(driver)


def test_a_command_that_is_handed_over_meanwhile_comes_next(bench: Bench, driver: KeptDriver) -> None:
    enable(driver)
    replies: list[bytes] = []

    def second() -> None:
        enable(driver, 1)
        replies.append(driver.feed(region(10, BAR, 0x18, 4, b"\0\0\0\2")))

    driver.meanwhile.append(second)
    driver.feed(DOORBELL)
    assert len(replies[0]) == 32
    assert not owned(driver)
    assert not owned(driver, 1)
    assert bench.wrong == []


def test_memory_that_goes_meanwhile_is_read_once_more_and_not_written(bench: Bench, driver: KeptDriver) -> None:
    """What was asked for before the unmap is the client's to answer; nothing is asked for after it."""
    enable(driver)
    driver.meanwhile.append(lambda: driver.feed(dma_unmap(0, RAM)))
    driver.sent.clear()
    driver.feed(DOORBELL)
    assert commands(driver) == [READ]
    assert owned(driver)
    assert bench.wrong == ["dma-fault"]


RESETS: dict[str, bytes] = {
    "DEVICE_RESET": message(13),
    "function-level reset": region(10, CONFIG, 0x68, 2, b"\0\x80"),
}


@pytest.mark.parametrize("how", RESETS)
@pytest.mark.parametrize("after", [0, 1])
def test_a_reset_that_comes_meanwhile_is_a_fence(bench: Bench, driver: KeptDriver, how: str, after: int) -> None:
    """Once it is answered the device touches no memory: not for the command that it is in the middle of, nor later."""
    enable(driver)
    driver.sent.clear()
    driver.meanwhile.extend([lambda: driver.feed(answer(driver.out.popleft(), driver.ram))] * after)
    driver.meanwhile.append(lambda: driver.feed(RESETS[how]))
    driver.feed(DOORBELL)
    assert commands(driver) == [READ, WRITE][: after + 1]
    assert owned(driver) or after
    assert (bench.wrong, bench.device.endpoint.resets) == ([], 1)
    late = answer(driver.out.popleft(), driver.ram)
    assert driver.feed(late) == b"", "an answer that nobody waits for"
    with pytest.raises(StreamError, match="a reply to no command"):
        driver.feed(late)
    driver.session.close()


def test_a_device_works_after_such_a_reset(bench: Bench, driver: KeptDriver) -> None:
    enable(driver)
    driver.meanwhile.append(lambda: driver.feed(message(13)))
    driver.feed(DOORBELL)
    driver.feed(answer(driver.out.popleft(), driver.ram))
    driver.set_up()
    driver.down(driver.up())
    assert bench.wrong == []


def test_a_client_that_only_resets_owes_answers_up_to_a_bound(driver: KeptDriver) -> None:
    for _ in range(MOST_OWED + 1):
        driver.set_up()
        enable(driver)
        driver.meanwhile.append(lambda: driver.feed(message(13)))
        driver.feed(DOORBELL)
    with pytest.raises(StreamError, match=f"{MOST_OWED + 1} commands of the server are not answered"):
        driver.feed(DOORBELL)


def test_what_firmware_does_by_itself_is_cut_off_too(bench: Bench, driver: KeptDriver) -> None:
    driver.up()
    driver.sent.clear()
    driver.meanwhile.append(lambda: driver.feed(message(13)))
    bench.device.stir(Want("self", 10))
    assert commands(driver) == [WRITE]
    assert bench.device.queue.firmware.phase == "off"
    driver.feed(answer(driver.out.popleft(), driver.ram))


def test_an_event_may_be_consumed_before_its_write_is_answered(bench: Bench, driver: KeptDriver) -> None:
    """The client writes it, and a processor reads it at once; the client's answer comes later."""
    own = driver.up()

    def consume() -> None:
        written = answer(driver.out.popleft(), driver.ram)
        assert driver.event(1) == PageRequestEvent(own, 10)
        driver.arm(driver.eqns[1], 1, driver.uar)
        driver.feed(written)

    driver.meanwhile.append(consume)
    bench.device.stir(Want("self", 10))
    assert bench.wrong == []
    bench.device.stir(Want("self", 20))
    assert driver.event(1) == PageRequestEvent(own, 20)
    assert os.eventfd_read(driver.irqs[1]) == 1


def test_an_interrupt_that_is_armed_meanwhile_comes_with_the_event(bench: Bench, driver: KeptDriver) -> None:
    own = driver.up()
    driver.meanwhile.append(lambda: driver.arm(driver.eqns[1], 1, driver.uar))
    bench.device.stir(Want("self", 10))
    assert os.eventfd_read(driver.irqs[1]) == 1
    assert driver.event(1) == PageRequestEvent(own, 10)
    assert bench.wrong == []


# -- answers that are none --------------------------------------------------------------------------------------------


def reply(number: int, command: int, body: bytes = b"", error: int = 0) -> bytes:
    return HEADER.pack(number, command, 16 + len(body), 0x21 if error else 1, error) + body


WRONG: dict[str, Callable[[int], bytes]] = {
    "refused: Bad address": lambda n: reply(n, READ, error=errno.EFAULT),
    "refused: no reason given": lambda n: HEADER.pack(n, READ, 16, 0x21, 0),
    "refused: error 4294967295": lambda n: reply(n, READ, error=0xFFFFFFFF),
    "with 0 bytes": lambda n: reply(n, READ),
    "with 79 bytes": lambda n: reply(n, READ, struct.pack("<QQ", QUEUE, 64) + bytes(63)),
    "with 80 bytes for others": lambda n: reply(n, READ, struct.pack("<QQ", QUEUE, 63) + bytes(64)),
    "80 bytes for others": lambda n: reply(n, READ, struct.pack("<QQ", QUEUE + 64, 64) + bytes(64)),
    "a reply to command 12": lambda n: reply(n, WRITE),
}


@pytest.mark.parametrize("words", WRONG)
def test_an_answer_that_is_none_is_a_fault_of_this_access(bench: Bench, driver: KeptDriver, words: str) -> None:
    enable(driver)
    driver.meanwhile.append(lambda: driver.feed(WRONG[words](HEADER.unpack_from(driver.out.popleft())[0])))
    driver.feed(DOORBELL)
    (fault,) = [x for x in bench.seen if isinstance(x, WireOffence)]
    assert fault.name == "dma-fault"
    assert words.rpartition(": ")[2] in fault.detail
    driver.ok(Opcode.ENABLE_HCA)


def test_a_reply_to_nothing_ends_the_connection(driver: KeptDriver) -> None:
    for number in (0, 1, 0xFFFF):
        with pytest.raises(StreamError, match=f"message {number} is a reply to no command"):
            driver.feed(reply(number, READ))
        driver.session.close()


def test_a_reply_with_descriptors_ends_the_connection_and_keeps_none(driver: KeptDriver) -> None:
    enable(driver)
    before = open_fds()

    def with_fd() -> None:
        data = answer(driver.out.popleft(), driver.ram)
        driver.session.feed(data[:16], [memfd(PAGE)])
        driver.session.feed(data[16:])

    driver.meanwhile.append(with_fd)
    with pytest.raises(StreamError, match="a reply with 1 descriptors"):
        driver.feed(DOORBELL)
    assert open_fds() == before


# -- memory of both kinds ---------------------------------------------------------------------------------------------


def test_an_access_may_cross_from_a_file_to_memory_that_the_client_keeps(driver: KeptDriver) -> None:
    memory = driver.device.memory  # type: ignore[attr-defined]  # a served device's
    fd = memfd(PAGE)
    driver.ask(dma_map(RAM, PAGE), [os.dup(fd)])
    driver.ask(dma_map(RAM + PAGE, PAGE, flags=1))
    memory.write(RAM - 2, b"abcd")
    assert (os.pread(driver.ram, 2, RAM - 2), os.pread(fd, 2, 0)) == (b"ab", b"cd")
    assert memory.read(RAM - 2, 4) == b"abcd"
    with pytest.raises(BusError, match="not mapped for it"):
        memory.write(RAM + PAGE - 1, b"xy")
    assert os.pread(fd, 1, PAGE - 1) == b"\0", "nothing written"
    driver.meanwhile.append(lambda: driver.feed(dma_unmap(RAM, PAGE)))
    with pytest.raises(BusError, match="was unmapped during an access"):
        memory.read(RAM - 2, 4)
    os.close(fd)


def test_without_a_line_such_memory_cannot_be_reached() -> None:
    memory = GuestMemory()
    memory.map(DmaMap(0, PAGE, 0, True, True), None)
    with pytest.raises(BusError, match="not mapped for it"):
        memory.read(0, 1)


# -- sizes and layouts ------------------------------------------------------------------------------------------------


class Client:
    """A client with 64 KiB of memory behind the transfers alone."""

    def __init__(self, layout: Layout = Layout.TEXT, most: int = MAX_DATA) -> None:
        self.ram, self.layout = memfd(1 << 16), layout
        self.asked: list[bytes] = []
        self.transfers = Transfers(self.asked.append, self.receive, lambda: False)
        self.transfers.limit(most)

    def receive(self) -> None:
        data = answer(self.asked[-1], self.ram, self.layout)
        self.transfers.answered(parse_header(data[:16]), data[16:])

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.ram)


@pytest.mark.parametrize("most", [1, 7, 64, 1 << 16, 1 << 40])
def test_an_access_is_cut_to_what_the_client_takes(most: int) -> None:
    data = bytes(range(1, 256)) * 2
    with Client(most=most) as client:
        client.transfers.write(0x100, memoryview(data))
        assert client.transfers.read(0x100, len(data)) == data
        counts = [struct.unpack_from("<QI", m, 16)[1] for m in client.asked]
        assert sum(counts) == 2 * len(data)
        assert max(counts) == min(most, len(data))


#: what the device reads first: bytes that settle the layout, or may not
FIRST: dict[str, bytes] = {
    "an entry": b"\7" + bytes(62) + b"\1",
    "a beginning": b"\7" + bytes(63),
    "an end": bytes(63) + b"\1",
    "a middle": bytes(20) + b"\1" + bytes(43),
    "just after the gap": bytes(4) + b"\1" + bytes(59),
    "just before the end": bytes(59) + b"\1" + bytes(4),
    "four bytes": b"\0\1\0\0",
    "two bytes": b"\0\1",
    "one byte": b"\1",
}


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("what", FIRST)
def test_the_first_bytes_that_are_not_0_settle_the_layout(layout: Layout, what: str) -> None:
    first = FIRST[what]
    with Client(layout) as client:
        assert client.transfers.read(0x200, 64) == bytes(64)
        before = client.transfers.layout
        os.pwrite(client.ram, first, 0x100)
        os.pwrite(client.ram, b"\xff" * 8, 0x100 + len(first))
        assert client.transfers.read(0x100, len(first)) == first
        assert (before, client.transfers.layout) == (None, layout)
        client.transfers.write(0x300, memoryview(b"hello"))
        assert os.pread(client.ram, 8, 0x2FE) == b"\0\0hello\0"


def test_message_ids_start_over_and_leave_out_those_that_are_owed(driver: KeptDriver) -> None:
    transfers = driver.device.memory.remote  # type: ignore[attr-defined]  # a served device's
    enable(driver)
    driver.meanwhile.append(lambda: driver.feed(message(13)))
    driver.feed(DOORBELL)
    driver.out.clear()
    transfers._next = 0xFFFE
    driver.set_up()
    driver.sent.clear()
    driver.ok(Opcode.ENABLE_HCA)
    driver.ok(Opcode.SET_ISSI, current_issi=1)
    numbers = [HEADER.unpack_from(m)[0] for m in driver.sent if not HEADER.unpack_from(m)[3] & 1]
    assert numbers == [0xFFFE, 0xFFFF, *range(1, len(numbers) - 1)]
