"""A server reaches its client's memory by messages: within what is mapped, while the device is a bus master."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from fwpages.link.driving.pci_device import DeviceError
from fwpages.link.vfio_user.client import VfioUserDevice
from fwpages.link.vfio_user.lent_memory import LentMemory
from tests.link.vfio_client import HEADER, open_fds
from tests.link.vfio_user.test_client import sound
from tests.sockets import short

#: two ranges of two pages, one behind the other: pages 4 to 7 of 16
AT, OFFSET, SIZE = 1 << 32, 16 << 10, 8 << 10
READ, WRITE = 11, 12


def command(kind: int, iova: int, count: int, data: bytes = b"", flags: int = 0) -> bytes:
    return HEADER.pack(7, kind, 32 + len(data), flags, 0) + struct.pack("<QQ", iova, count) + data


class Asking:
    """A server that asks for memory before it answers a read of a register, and a client with some."""

    def __init__(self, path: Path) -> None:
        self.commands: list[bytes] = []
        self.answers: list[tuple[int, int, bytes]] = []
        self.endless = False
        listener = socket.socket(socket.AF_UNIX)
        with listener:
            listener.bind(str(path))
            listener.listen(1)
            self._thread = threading.Thread(target=self._serve, args=(listener.dup(),))
            self._thread.start()
        self.device = VfioUserDevice(path)
        self.ram = self.device.allocate(64 << 10)
        self.ram[:] = np.arange(self.ram.size) >> 8
        for at in (0, SIZE):
            self.device.map(AT + at, OFFSET + at, SIZE)
        self.device.config_write(0x04, b"\6\0")

    def _serve(self, listener: socket.socket) -> None:
        with listener:
            self.client, _ = listener.accept()
        # the client may end the connection first
        with self.client as client, suppress(ConnectionError):
            while head := client.recv(16, socket.MSG_WAITALL):
                number, kind, size, flags, error = HEADER.unpack(head)
                body = client.recv(size - 16, socket.MSG_WAITALL) if size > 16 else b""
                if flags & 1:
                    self.answers.append((flags, error, body))
                    if self.endless:
                        client.sendall(command(READ, AT, 1))
                    continue
                if kind == 9:
                    client.sendall(b"".join(self.commands))
                    self.commands.clear()
                if not self.endless:
                    client.sendall(sound(number, kind, body))

    def ask(self, *commands: bytes) -> list[tuple[int, int, bytes]]:
        """The client's answers: flags, errno and body of each."""
        self.commands, self.answers = list(commands), []
        # what it answers to the first read lies before its second one
        assert [self.device.bar_read(0), self.device.bar_read(0)] == [b"abcd", b"abcd"]
        return self.answers

    def close(self) -> None:
        self.device.close()
        # the mapping goes with the last array over it
        self.ram = np.zeros(0, np.uint8)
        self._thread.join(30)


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    before = open_fds()
    with short(tmp_path) as folder:
        asking = Asking(folder / "s")
        yield asking
        asking.close()
    # fewer, where what an earlier test left was cleared away meanwhile
    assert open_fds() <= before


def test_memory_that_is_mapped_is_read_and_written_also_across_two_ranges(asking: Asking) -> None:
    iova = AT + SIZE - 2
    (read,) = asking.ask(command(READ, iova, 4))
    assert read == (1, 0, struct.pack("<QQ", iova, 4) + b"\x5f\x5f\x60\x60")
    written, read = asking.ask(command(WRITE, iova, 4, b"wxyz"), command(READ, iova, 4))
    assert written == (1, 0, struct.pack("<QQ", iova, 4))
    assert read[2][16:] == b"wxyz" == asking.ram[OFFSET + SIZE - 2 :][:4].tobytes()


def test_what_wants_no_reply_gets_none(asking: Asking) -> None:
    assert asking.ask(command(WRITE, AT, 1, b"!", flags=0x10), command(READ, 0, 1, flags=0x10)) == []
    assert asking.ram[OFFSET] == ord("!")


REFUSED = [
    (command(READ, AT - 1, 1), errno.EFAULT),
    (command(READ, AT - 1, 2), errno.EFAULT),
    (command(READ, AT + 2 * SIZE - 1, 2), errno.EFAULT),
    (command(READ, 0, 1), errno.EFAULT),
    (command(READ, OFFSET, 1), errno.EFAULT),
    (command(READ, (1 << 64) - 1, 1), errno.EFAULT),
    (command(READ, (1 << 64) - 1, 1 << 20), errno.EFAULT),
    (command(WRITE, AT + 2 * SIZE - 1, 2, b"ab"), errno.EFAULT),
    (command(READ, AT, (1 << 20) + 1), errno.E2BIG),
    (command(READ, AT, 1 << 63), errno.E2BIG),
    (command(READ, AT, 0), errno.EINVAL),
    (command(READ, AT, 1, b"a"), errno.EINVAL),
    (command(WRITE, AT, 2, b"a"), errno.EINVAL),
    (command(WRITE, AT, 1, b"ab"), errno.EINVAL),
    (HEADER.pack(7, READ, 16 + 15, 0, 0) + bytes(15), errno.EINVAL),
    (HEADER.pack(7, 1, 16, 0, 0), errno.ENOTSUP),
    (HEADER.pack(7, 99, 16, 0, 0), errno.ENOTSUP),
]


@pytest.mark.parametrize(("asked", "number"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_everything_else_is_refused_and_changes_nothing(asking: Asking, asked: bytes, number: int) -> None:
    before = asking.ram.copy()
    assert asking.ask(asked) == [(0x21, number, b"")]
    assert np.array_equal(asking.ram, before)


def test_memory_is_out_of_reach_once_it_is_unmapped(asking: Asking) -> None:
    asking.device.unmap(AT, OFFSET, SIZE)
    below, above = asking.ask(command(READ, AT, 1), command(READ, AT + SIZE, 1))
    assert (below[:2], above[:2]) == ((0x21, errno.EFAULT), (1, 0))


def test_memory_is_out_of_reach_after_a_reset_and_without_bus_mastering(asking: Asking) -> None:
    for end in (asking.device.reset, lambda: asking.device.config_write(0x04, b"\2\0")):
        end()
        assert asking.ask(command(READ, AT, 1), command(WRITE, AT, 1, b"!")) == [(0x21, errno.EPERM, b"")] * 2
        asking.device.config_write(0x04, b"\6\0")
        assert asking.ask(command(READ, AT, 1))[0][:2] == (1, 0)


def test_it_is_answered_between_requests_too(asking: Asking) -> None:
    asking.client.sendall(command(READ, AT, 1))
    while not asking.answers:
        assert asking.device.trouble() == ""
    assert asking.answers[0][:2] == (1, 0)


def test_a_server_that_asks_without_end_is_given_up(asking: Asking) -> None:
    asking.device._timeout = 0.2
    asking.endless = True
    asking.commands = [command(READ, AT, 1)]
    with pytest.raises(DeviceError, match=r"does not answer REGION_READ in 0.2 s"):
        asking.device.bar_read(0)
    assert asking.answers


def test_a_request_that_does_not_end_is_given_up(asking: Asking) -> None:
    asking.device._timeout = 0.05
    asking.client.sendall(command(READ, AT, 1)[:20])
    while not (said := asking.device.trouble()):
        time.sleep(0.001)
    assert "does not end its request in 0.05 s" in said


def test_ranges_of_memory_are_found_whatever_their_order() -> None:
    memory = LentMemory(1 << 20)
    memory.map(0x9000, 0x3000, 0x1000)
    memory.map(0x1000, 0x7000, 0x2000)
    memory.map(0x8000, 0x1000, 0x1000)
    assert memory.write(0x8FFF, b"ab")
    assert memory.bytes[[0x1FFF, 0x3000]].tobytes() == b"ab"
    assert memory.read(0x2FFF, 2) is None
    memory.unmap(0x8000, 0x1000)
    assert (memory.read(0x8FFF, 1), memory.read(0x9000, 1), len(memory)) == (None, b"b", 2)
    memory.close()
    assert (memory.read(0x9000, 1), memory.fd) == (None, -1)
    assert not os.path.exists(f"/proc/self/fd/{memory.fd}")
