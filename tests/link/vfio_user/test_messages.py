"""The messages of vfio-user, byte by byte: as its specification lays them out, and up to each bound that is kept to."""

from __future__ import annotations

import errno
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.link.vfio_user import messages as m
from fwpages.link.vfio_user.messages import (
    DmaMap,
    DmaUnmap,
    Header,
    MessageError,
    RegionRead,
    RegionWrite,
    Request,
    SetIrqs,
    StreamError,
    Type,
    Version,
    parse,
)
from tests.link.vfio_client import HEADER, dma_map, dma_unmap, message, region, set_irqs

TOP = 1 << 64
u16, u32 = (st.integers(0, (1 << n) - 1) for n in (16, 32))


def asked(data: bytes) -> Request:
    """The request in a whole message."""
    h = m.parse_header(data[: m.HEADER_SIZE])
    assert h.body == len(data) - m.HEADER_SIZE
    return parse(h.command, data[m.HEADER_SIZE :])


def outcome(command: int, body: bytes) -> Request | int:
    """The request, or the errno that answers it."""
    try:
        return parse(command, body)
    except MessageError as e:
        return e.errno


# -- headers ----------------------------------------------------------------------------------------------------------


def test_a_header_byte_by_byte() -> None:
    h = m.parse_header(bytes.fromhex("3412 0900 20000000 10000000 00000000"))
    assert h == Header(0x1234, Type.REGION_READ, 32, 0x10)
    assert (h.body, h.wants_reply) == (16, False)


@given(u16, u16, st.integers(m.HEADER_SIZE, m.MAX_MESSAGE), u32.map(lambda n: n & ~0xF) | u32, u32)
def test_a_header_of_a_command_or_a_reply_is_read_and_any_other_ends_the_stream(
    number: int, command: int, size: int, flags: int, error: int
) -> None:
    data = HEADER.pack(number, command, size, flags, error)
    if flags & 0xF > 1:
        with pytest.raises(StreamError, match=f"message {number} is of type {flags & 0xF}, which is neither"):
            m.parse_header(data)
        return
    h = m.parse_header(data)
    assert h == Header(number, command, size, flags, error)
    assert h.wants_reply is not bool(flags & 0x10)
    assert (h.is_reply, h.failed) == (bool(flags & 1), bool(flags & 0x20))


@pytest.mark.parametrize(
    ("size", "can_be"), [(15, False), (16, True), (m.MAX_MESSAGE, True), (m.MAX_MESSAGE + 1, False)]
)
def test_a_message_has_room_for_its_header_and_an_end(size: int, can_be: bool) -> None:
    data = message(Type.REGION_READ, size=size)
    if can_be:
        assert m.parse_header(data).size == size
        return
    with pytest.raises(StreamError, match=rf"message 7 says that it has {size} bytes, 16 to {m.MAX_MESSAGE} can be"):
        m.parse_header(data)


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_header_has_16_bytes(length: int) -> None:
    with pytest.raises(StreamError, match=f"this has {length}"):
        m.parse_header(bytes(length))


# -- what a client asks -----------------------------------------------------------------------------------------------

ASKED: dict[str, tuple[str, Request]] = {
    "version without capabilities": ("0100 0000 0100", Version(0, 1)),
    "version": (
        "0100 0000 0000" + b'{"capabilities":{"max_msg_fds":8}}'.hex() + "00",
        Version(0, 0, 8, names=frozenset({"max_msg_fds"})),
    ),
    "version of someone who says other things": (
        "0100 0000 0000" + b'{"capabilities":{"pgsizes":4096,"migration":[]},"more":1}'.hex() + "00",
        Version(0, 0, 1, names=frozenset({"pgsizes"})),
    ),
    "memory with a descriptor": (
        "0200 20000000 03000000 0010000000000000 0000000001000000 0000200000000000",
        DmaMap(1 << 32, 0x200000, 0x1000, True, True),
    ),
    "memory for reading": (
        "0200 20000000 01000000 0000000000000000 0000c00000000000 0000020000000000",
        DmaMap(0xC00000, 0x20000, 0, True, False),
    ),
    "memory for writing": (
        "0200 20000000 02000000 0000000000000000 0000c00000000000 0000020000000000",
        DmaMap(0xC00000, 0x20000, 0, False, True),
    ),
    "memory that goes": ("0300 18000000 00000000 0000000001000000 0000200000000000", DmaUnmap(1 << 32, 0x200000)),
    "all memory": ("0300 18000000 02000000 0000000000000000 0000000000000000", DmaUnmap(0, 0)),
    "device": ("0400 10000000 00000000 00000000 00000000", m.GetInfo()),
    "region": ("0500 20000000 00000000 07000000 00000000" + "00" * 16, m.GetRegionInfo(7, 32)),
    "interrupts": ("0700 10000000 00000000 02000000 00000000", m.GetIrqInfo(2)),
    "eventfds": ("0800 14000000 24000000 02000000 03000000 02000000", SetIrqs(2, 3, 2, m.Irqs.EVENTFD, m.Irqs.TRIGGER)),
    "interrupts by booleans": (
        "0800 14000000 22000000 02000000 00000000 03000000 010001",
        SetIrqs(2, 0, 3, m.Irqs.BOOL, m.Irqs.TRIGGER, b"\1\0\1"),
    ),
    "a mask": ("0800 14000000 09000000 02000000 00000000 01000000", SetIrqs(2, 0, 1, m.Irqs.NONE, m.Irqs.MASK)),
    "an unmask": ("0800 14000000 11000000 02000000 00000000 01000000", SetIrqs(2, 0, 1, m.Irqs.NONE, m.Irqs.UNMASK)),
    "read": ("0900 1000000000000000 00000000 04000000", RegionRead(0, 16, 4)),
    "write": ("0a00 1800000000000000 00000000 04000000 80000000", RegionWrite(0, 24, b"\x80\0\0\0")),
    "reset": ("0d00", m.Reset()),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_request_byte_by_byte(name: str) -> None:
    text, value = ASKED[name]
    data = bytes.fromhex(text)
    assert parse(int.from_bytes(data[:2], "little"), data[2:]) == value


#: the most that there can be of everything
MOST = [
    (dma_map(TOP - 4096, 4096), DmaMap(TOP - 4096, 4096, 0, True, True)),
    (dma_map(0, 4096, offset=(1 << 63) - 4096), DmaMap(0, 4096, (1 << 63) - 4096, True, True)),
    (dma_map(0, 1, flags=0, argsz=0xFFFFFFFF), DmaMap(0, 1, 0, False, False)),
    (dma_unmap(TOP - 4096, 4096), DmaUnmap(TOP - 4096, 4096)),
    (set_irqs(0xFFFFFFFF, 1), SetIrqs(2, 0xFFFFFFFF, 1, m.Irqs.EVENTFD, m.Irqs.TRIGGER)),
    (set_irqs(0, 0xFFFFFFFF), SetIrqs(2, 0, 0xFFFFFFFF, m.Irqs.EVENTFD, m.Irqs.TRIGGER)),
    (region(9, 8, TOP - m.MAX_DATA, m.MAX_DATA), RegionRead(8, TOP - m.MAX_DATA, m.MAX_DATA)),
    (region(9, 0xFFFFFFFF, 0, 1), RegionRead(0xFFFFFFFF, 0, 1)),
]


@pytest.mark.parametrize(("data", "value"), MOST)
def test_a_request_at_its_bounds_is_taken(data: bytes, value: Request) -> None:
    assert asked(data) == value


def test_capabilities_have_a_bound() -> None:
    most = b"\0\0\0\0" + b"{}".ljust(m.MAX_VERSION - 1) + b"\0"
    assert parse(Type.VERSION, most) == Version(0, 0)
    with pytest.raises(MessageError, match="4097 bytes of capabilities, 4096 at most") as e:
        parse(Type.VERSION, most[:-1] + b" \0")
    assert e.value.errno == errno.E2BIG


REFUSED = [
    (dma_map(0x10000, 0), errno.EINVAL, "DMA_MAP of 0x0 bytes at 0x10000 from 0x0"),
    (dma_map(TOP - 4096, 4097), errno.EINVAL, "DMA_MAP of 0x1001 bytes at 0xfffffffffffff000 from 0x0"),
    (dma_map(0, 4097, offset=(1 << 63) - 4096), errno.EINVAL, "from 0x7ffffffffffff000"),
    (dma_map(0, 4096, flags=7), errno.EINVAL, "DMA_MAP with flags 0x7"),
    (dma_map(0, 4096, argsz=31), errno.EINVAL, "DMA_MAP with argsz 31"),
    (dma_unmap(0x1000, 0, flags=2), errno.EINVAL, "DMA_UNMAP of 0x0 bytes at 0x1000 with flags 0x2"),
    (dma_unmap(0x1000, 4096, flags=1), errno.EINVAL, "DMA_UNMAP with flags 0x1 and 24 bytes"),
    (dma_unmap(0x1000, 4096) + b"\0", errno.EINVAL, "DMA_UNMAP with flags 0x0 and 25 bytes"),
    (set_irqs(0, 1, flags=0x26), errno.EINVAL, "DEVICE_SET_IRQS with flags 0x26"),
    (set_irqs(0, 2, flags=0x22, data=b"\1"), errno.EINVAL, "DEVICE_SET_IRQS of 2 with 1 bytes of data"),
    (region(9, 0, 0, m.MAX_DATA + 1), errno.EINVAL, f"REGION_READ of {m.MAX_DATA + 1} bytes at 0x0"),
    (region(9, 0, TOP - 3, 4), errno.EINVAL, "REGION_READ of 4 bytes at 0xfffffffffffffffd"),
    (region(10, 0, 8, 4, b"abcde"), errno.EINVAL, "REGION_WRITE of 4 bytes with 5"),
    (message(13, b"x"), errno.EINVAL, "DEVICE_RESET with 1 bytes"),
    (message(6), errno.ENOTSUP, "command 6 is not served"),
    (message(14), errno.EINVAL, "command 14 is not served"),
    (message(4, bytes(15)), errno.EINVAL, "DEVICE_GET_INFO has 16 bytes, this has 15"),
    (message(4, bytes(16)), errno.EINVAL, "DEVICE_GET_INFO with argsz 0"),
    (message(5, bytes(33)), errno.EINVAL, "DEVICE_GET_REGION_INFO has 32 bytes, this has 33"),
    (message(7, bytes(16)), errno.EINVAL, "DEVICE_GET_IRQ_INFO with argsz 0"),
]


@pytest.mark.parametrize(("data", "number", "words"), REFUSED, ids=[r[2] for r in REFUSED])
def test_a_refusal_names_the_message_and_its_values(data: bytes, number: int, words: str) -> None:
    with pytest.raises(MessageError) as e:
        parse(HEADER.unpack_from(data)[1], data[m.HEADER_SIZE :])
    assert (e.value.errno, words in str(e.value)) == (number, True), str(e.value)


@given(st.sampled_from(Type), st.binary(max_size=64))
def test_any_bytes_are_a_request_or_an_errno(command: Type, body: bytes) -> None:
    request = outcome(command, body)
    if isinstance(request, int):
        assert request in (errno.EINVAL, errno.ENOTSUP, errno.E2BIG)
    if isinstance(request, DmaMap | DmaUnmap):
        assert request.iova + request.size <= TOP, "a range ends where the addresses end"
    if isinstance(request, RegionWrite):
        assert body.endswith(request.data)


# -- what it is answered ----------------------------------------------------------------------------------------------

ASKING = Header(0x1234, Type.REGION_READ, 32, 0)


def test_an_answer_has_the_number_of_what_was_asked() -> None:
    assert m.reply(ASKING, b"ab").hex() == "34120900120000000100000000000000" + b"ab".hex()
    assert m.error_reply(ASKING, errno.EINVAL).hex() == "34120900100000002100000016000000"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (m.info_reply(9, 5), "10000000 03000000 09000000 05000000"),
        (
            m.region_info_reply(0, 0x400000, writable=True),
            "20000000 03000000 00000000 00000000 0000400000000000" + "0" * 16,
        ),
        (
            m.region_info_reply(6, 512, writable=False),
            "20000000 01000000 06000000 00000000 0002000000000000" + "0" * 16,
        ),
        (m.region_info_reply(1, 0, writable=True), "20000000 00000000 01000000 00000000 0000000000000000" + "0" * 16),
        (m.irq_info_reply(2, 64), "10000000 09000000 02000000 40000000"),
        (m.irq_info_reply(1, 0), "10000000 00000000 01000000 00000000"),
        (m.unmap_reply(DmaUnmap(0, 0)), "18000000 02000000 0000000000000000 0000000000000000"),
        (m.unmap_reply(DmaUnmap(0x10000, 0x1000)), "18000000 00000000 0000010000000000 0010000000000000"),
        (m.read_reply(RegionRead(7, 0x10, 4), b"abcd"), "1000000000000000 07000000 04000000 61626364"),
        (m.write_reply(RegionWrite(0, 0x18, b"abcd")), "1800000000000000 00000000 04000000"),
    ],
)
def test_an_answer_byte_by_byte(body: bytes, text: str) -> None:
    assert body.hex() == text.replace(" ", "")


@pytest.mark.parametrize("names", [(), ("max_msg_fds",), ("max_data_xfer_size", "max_dma_maps", "max_msg_fds"), ("x",)])
def test_the_answer_to_a_version_is_0_0_and_names_the_bounds_that_the_client_named(names: tuple[str, ...]) -> None:
    """QEMU refuses a reply of 0.1."""
    body = m.version_reply(Version(0, 1, names=frozenset(names)))
    assert (body[:4], body[-1], body.count(0, 4)) == (bytes(4), 0, 1)
    bounds = {"max_msg_fds": m.MAX_FDS, "max_data_xfer_size": m.MAX_DATA, "max_dma_maps": m.MAX_MAPS}
    announced = json.loads(body[4:-1])["capabilities"]
    assert announced == {name: bounds[name] for name in names if name in bounds}


def test_the_longest_access_fits_into_a_message_in_both_directions() -> None:
    assert len(region(Type.REGION_WRITE, 0, 0, m.MAX_DATA, bytes(m.MAX_DATA))) <= m.MAX_MESSAGE
    assert len(m.reply(ASKING, m.read_reply(RegionRead(0, 0, m.MAX_DATA), bytes(m.MAX_DATA)))) <= m.MAX_MESSAGE
