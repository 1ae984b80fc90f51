"""A client may send anything: an error reply or the end of the connection, and no descriptor stays behind."""

from __future__ import annotations

import errno
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.link.vfio_user.messages import MAX_DATA, MAX_MESSAGE, StreamError
from tests.link.vfio_client import (
    CAPS,
    HEADER,
    HELLO,
    Talk,
    dma_map,
    dma_unmap,
    memfd,
    message,
    open_fds,
    refused,
    region,
    set_irqs,
)

PAGE = 4096
BIG = (1 << 64) - PAGE
#: words that mean something in some message, or are at an edge
WORDS = [0, 1, 2, 3, 7, 16, 20, 24, 32, 0x24, 4096, 0x7FFFFFFF, 0xFFFFFFFF]


def ends(talk: Talk, data: bytes, fds: list[int] | None = None) -> None:
    with pytest.raises(StreamError):
        talk.raw(data, fds)


def test_version() -> None:
    with Talk(greeted=False) as talk:
        error, body = talk.ask(message(1, HELLO))
    assert error == 0
    assert struct.unpack_from("<HH", body) == (0, 0)
    assert body.endswith(b"\0")
    caps = json.loads(body[4:-1])["capabilities"]
    assert caps["max_msg_fds"] == 8
    assert caps["max_data_xfer_size"] == MAX_DATA


def test_version_without_capabilities() -> None:
    with Talk(greeted=False) as talk:
        assert talk.ask(message(1, struct.pack("<HH", 0, 1)))[0] == 0


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b"", errno.EINVAL),
        (b"\0\0\0", errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b"{}", errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b"{}\0{}\0", errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b"{\0", errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b"\xff\0", errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b"[]\0", errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b'{"capabilities":[]}\0', errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b'{"capabilities":{"max_msg_fds":-1}}\0', errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b'{"capabilities":{"max_msg_fds":true}}\0', errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b'{"capabilities":{"max_data_xfer_size":0}}\0', errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b'{"capabilities":{"max_data_xfer_size":"1M"}}\0', errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b'{"capabilities":{"max_dma_maps":[]}}\0', errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b'{"capabilities":{"pgsizes":null}}\0', errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b'{"capabilities":{"twin_socket":true}}\0', errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b'{"capabilities":{"write_multiple":1}}\0', errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b"[" * 4000 + b"\0", errno.EINVAL),
        (struct.pack("<HH", 0, 0) + b" " * 5000 + b"\0", errno.E2BIG),
    ],
)
def test_version_that_cannot_be(body: bytes, number: int) -> None:
    with Talk(greeted=False) as talk:
        assert talk.ask(message(1, body)) == (number, b"")
        assert talk.ask(message(1, HELLO))[0] == 0


def test_another_major_version_is_refused_and_ends_the_connection() -> None:
    with Talk(greeted=False) as talk:
        assert talk.ask(message(1, struct.pack("<HH", 1, 0) + CAPS)) == (errno.EINVAL, b"")
        assert talk.session.over == "the client speaks version 1.0, the server 0.0"


def test_a_capability_that_the_protocol_does_not_have_may_be_anything() -> None:
    with Talk(greeted=False) as talk:
        assert talk.ask(message(1, struct.pack("<HH", 0, 0) + b'{"capabilities":{"migration":3}}\0'))[0] == 0


def test_version_with_a_descriptor() -> None:
    before = open_fds()
    with Talk(greeted=False) as talk:
        assert talk.ask(message(1, HELLO), [memfd(PAGE)])[0] == errno.EINVAL
        assert open_fds() == before


def test_nothing_before_version() -> None:
    with Talk(greeted=False) as talk:
        ends(talk, message(4, struct.pack("<IIII", 16, 0, 0, 0)))


def test_version_twice(talk: Talk) -> None:
    ends(talk, message(1, HELLO))


def test_info(talk: Talk) -> None:
    error, body = talk.ask(message(4, struct.pack("<IIII", 16, 0, 0, 0)))
    assert (error, struct.unpack("<IIII", body)) == (0, (16, 0b11, 9, 5))


def test_region_info(talk: Talk) -> None:
    def info(index: int) -> tuple[int, ...]:
        error, body = talk.ask(message(5, struct.pack("<IIIIQQ", 32, 0, index, 0, 0, 0)))
        assert error == 0
        return struct.unpack("<IIIIQQ", body)

    assert info(0) == (32, 3, 0, 0, 256, 0)
    assert info(1) == (32, 0, 1, 0, 0, 0)
    assert info(7) == (32, 3, 7, 0, 64, 0)
    refused(talk, message(5, struct.pack("<IIIIQQ", 32, 0, 9, 0, 0, 0)), errno.EINVAL)
    refused(talk, message(5, struct.pack("<IIIIQQ", 31, 0, 0, 0, 0, 0)), errno.EINVAL)


def test_irq_info(talk: Talk) -> None:
    def count(index: int) -> int:
        error, body = talk.ask(message(7, struct.pack("<IIII", 16, 0, index, 0)))
        assert error == 0
        return int.from_bytes(body[12:], "little")

    assert [count(i) for i in range(5)] == [0, 0, 64, 1, 0]
    refused(talk, message(7, struct.pack("<IIII", 16, 0, 5, 0)), errno.EINVAL)


def test_regions_are_read_and_written(talk: Talk) -> None:
    error, body = talk.ask(region(10, 0, 8, 4, b"abcd"))
    assert (error, body) == (0, struct.pack("<QII", 8, 0, 4))
    error, body = talk.ask(region(9, 0, 6, 8))
    assert (error, body) == (0, struct.pack("<QII", 6, 0, 8) + b"\0\0abcd\0\0")


@pytest.mark.parametrize(
    "data",
    [
        region(9, 0, 256, 1),
        region(9, 0, 255, 2),
        region(9, 0, 0, 0),
        region(9, 0, 0, MAX_DATA + 1),
        region(9, 0, (1 << 64) - 1, 2),
        region(9, 0, (1 << 64) - 4, 4),
        region(9, 1, 0, 1),
        region(9, 9, 0, 1),
        region(9, 0xFFFFFFFF, 0, 1),
        region(9, 0, 0, 4, b"more"),
        region(10, 0, 254, 4, b"abcd"),
        region(10, 0, 0, 8, b"abcd"),
        region(10, 0, 0, 2, b"abcd"),
        region(10, 0, (1 << 64) - 2, 4, b"abcd"),
        region(10, 6, 0, 4, b"abcd"),
    ],
)
def test_regions_out_of_range(talk: Talk, data: bytes) -> None:
    refused(talk, data, errno.EINVAL)
    assert not any(talk.board.regions[0])


def test_posted_write_has_no_answer(talk: Talk) -> None:
    body = struct.pack("<QII", 0, 0, 4) + b"abcd"
    assert talk.raw(message(10, body, flags=0x10)) == b""
    assert talk.raw(message(10, body[:-1], flags=0x10)) == b""
    assert talk.board.regions[0][:4] == b"abcd"


def test_reset(talk: Talk) -> None:
    assert talk.ask(message(13)) == (0, b"")
    assert talk.board.resets == 1
    refused(talk, message(13, b"\0"), errno.EINVAL)
    assert talk.board.resets == 1


# -- memory -----------------------------------------------------------------------------------------------------------


def test_dma_map_and_unmap(talk: Talk) -> None:
    assert talk.ask(dma_map(0x10000, PAGE), [memfd(PAGE)]) == (0, b"")
    talk.memory.write(0x10010, b"hello")
    assert talk.memory.read(0x10010, 5) == b"hello"
    assert talk.ask(dma_unmap(0x10000, PAGE)) == (0, struct.pack("<IIQQ", 24, 0, 0x10000, PAGE))
    assert len(talk.memory) == 0


def test_dma_unmap_all(talk: Talk) -> None:
    for n in range(3):
        assert talk.ask(dma_map(n * PAGE, PAGE), [memfd(PAGE)])[0] == 0
    refused(talk, dma_unmap(0, PAGE, flags=2), errno.EINVAL)
    assert talk.ask(dma_unmap(0, 0, flags=2)) == (0, struct.pack("<IIQQ", 24, 2, 0, 0))
    assert len(talk.memory) == 0


def test_dma_unmap_of_what_was_never_mapped(talk: Talk) -> None:
    """As the kernel's VFIO does; QEMU unmaps more than it mapped."""
    assert talk.ask(dma_unmap(0x10000, PAGE)) == (0, struct.pack("<IIQQ", 24, 0, 0x10000, PAGE))


def test_dma_map_over_a_mapping(talk: Talk) -> None:
    assert talk.ask(dma_map(0x10000, 2 * PAGE), [memfd(2 * PAGE)])[0] == 0
    for at, size in ((0x10000, 2 * PAGE), (0x11000, PAGE), (0xF000, 2 * PAGE), (0x11000, 2 * PAGE)):
        refused(talk, dma_map(at, size), errno.EEXIST, [memfd(2 * PAGE)])


@pytest.mark.parametrize("flags", [0x09, 0x11, 0x0A, 0x12, 0x0C, 0x14])
def test_masking_is_refused_as_the_interrupts_say(talk: Talk, flags: int) -> None:
    """What GET_IRQ_INFO says of MSI-X has no MASKABLE."""
    error, body = talk.ask(message(7, struct.pack("<IIII", 16, 0, 2, 0)))
    assert (error, body[4] & 0b10) == (0, 0)
    refused(talk, set_irqs(0, 1, flags, data=b"\1" if flags & 2 else b""), errno.ENOTSUP)


@pytest.mark.parametrize(
    "data",
    [
        dma_map(0x10000, 0),
        dma_map(BIG, 2 * PAGE),
        dma_map(0x10000, PAGE, offset=BIG),
        dma_map(0x10000, PAGE, offset=(1 << 63)),
        dma_map(0x10000, 2 * PAGE),
        dma_map(0x10000, PAGE, offset=1),
        dma_map(0x10000, PAGE, flags=4),
        dma_map(0x10000, PAGE, argsz=31),
        message(2, b"\0" * 31),
        message(2, b"\0" * 33),
        message(2),
    ],
)
def test_dma_map_that_cannot_be(talk: Talk, data: bytes) -> None:
    refused(talk, data, errno.EINVAL, [memfd(PAGE)])
    assert len(talk.memory) == 0


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (dma_unmap(0x10000, 0), errno.EINVAL),
        (dma_unmap(BIG, 2 * PAGE), errno.EINVAL),
        (dma_unmap(0x10000, PAGE // 2), errno.EINVAL),
        (dma_unmap(0x10800, PAGE), errno.EINVAL),
        (dma_unmap(0xF800, PAGE), errno.EINVAL),
        (dma_unmap(0, 0, flags=1), errno.EINVAL),
        (dma_unmap(0x10000, PAGE, flags=8), errno.EINVAL),
        (message(3, b"\0" * 24), errno.EINVAL),
        (message(3, b"\0" * 23), errno.EINVAL),
    ],
)
def test_dma_unmap_that_cannot_be(talk: Talk, data: bytes, number: int) -> None:
    assert talk.ask(dma_map(0x10000, PAGE), [memfd(PAGE)])[0] == 0
    refused(talk, data, number)
    assert talk.memory.read(0x10000, 1) == b"\0"


def test_dma_map_with_too_many_descriptors(talk: Talk) -> None:
    refused(talk, dma_map(0x10000, PAGE), errno.EINVAL, [memfd(PAGE), memfd(PAGE)])


def test_descriptors_where_none_belong(talk: Talk) -> None:
    refused(talk, message(4, struct.pack("<IIII", 16, 0, 0, 0)), errno.EINVAL, [memfd(PAGE)])
    refused(talk, region(9, 0, 0, 4), errno.EINVAL, [memfd(PAGE)])
    refused(talk, dma_unmap(0, 0, flags=2), errno.EINVAL, [memfd(PAGE)])
    refused(talk, message(13), errno.EINVAL, [memfd(PAGE)])


def test_more_descriptors_than_a_message_may_have(talk: Talk) -> None:
    before = open_fds()
    ends(talk, dma_map(0x10000, PAGE), [memfd(PAGE) for _ in range(9)])
    talk.session.close()
    assert open_fds() == before


def test_descriptors_that_the_kernel_dropped(talk: Talk) -> None:
    with pytest.raises(StreamError):
        talk.session.feed(dma_map(0x10000, PAGE)[:16], [memfd(PAGE)], cut=True)


# -- the stream -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [0, 6, 11, 12, 14, 15, 16, 17, 18, 0xFFFF])
def test_commands_that_are_optional_or_unknown(talk: Talk, command: int) -> None:
    number = errno.ENOTSUP if command in (6, 15, 16, 17, 18) else errno.EINVAL
    refused(talk, message(command, b"\0" * 64), number)
    refused(talk, message(command), number, [memfd(PAGE)])


@pytest.mark.parametrize("size", [0, 15, MAX_MESSAGE + 1, 0xFFFFFFFF])
def test_sizes_that_cannot_be(talk: Talk, size: int) -> None:
    ends(talk, message(9, size=size))


@pytest.mark.parametrize("flags", [1, 2, 0xF])
def test_replies_instead_of_commands(talk: Talk, flags: int) -> None:
    ends(talk, message(9, flags=flags))


@pytest.mark.parametrize("cut", [1, 8, 15, 16, 17, 40])
def test_half_messages(talk: Talk, cut: int) -> None:
    before = open_fds()
    assert talk.raw(dma_map(0x10000, PAGE)[:cut], [memfd(PAGE)]) == b""
    assert talk.session.halfway
    talk.session.close()
    assert open_fds() == before


def test_byte_by_byte(talk: Talk) -> None:
    out = b"".join(talk.session.feed(bytes([b])) for b in region(9, 7, 0, 4))
    assert HEADER.unpack_from(out)[2] == len(out) == 16 + 16 + 4


def test_more_bytes_than_were_asked_for(talk: Talk) -> None:
    with pytest.raises(StreamError):
        talk.session.feed(b"\0" * 17)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.builds(message, st.integers(0, 17), st.binary(max_size=64)),
            st.builds(
                lambda c, words: message(c, b"".join(w.to_bytes(4, "little") for w in words)),
                st.integers(1, 13),
                st.lists(
                    st.sampled_from([0, 1, 2, 3, 7, 16, 20, 24, 32, 0x24, 4096, 0x7FFFFFFF, 0xFFFFFFFF]), max_size=10
                ),
            ),
        ),
        max_size=20,
    ),
    st.integers(0, 10),
)
def test_any_bytes(parts: list[bytes], with_fd: int) -> None:
    before = open_fds()
    with Talk() as talk:
        try:
            for n, part in enumerate(parts):
                talk.raw(part, [memfd(PAGE)] if part and n == with_fd else None)
        except StreamError:
            pass
    assert open_fds() == before
