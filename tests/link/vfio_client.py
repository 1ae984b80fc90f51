"""A vfio-user client as the tests speak it: well-formed messages, and any other bytes."""

from __future__ import annotations

import array
import fcntl
import json
import os
import socket
import struct
from pathlib import Path
from types import TracebackType

from fwpages.link.vfio_user.connection import Connection
from fwpages.link.vfio_user.guest_memory import GuestMemory
from fwpages.link.vfio_user.interrupts import Interrupts
from fwpages.link.vfio_user.messages import HEADER_SIZE

HEADER = struct.Struct("<HHIII")
CAPS = json.dumps({"capabilities": {"max_msg_fds": 8, "max_data_xfer_size": 1 << 20}}).encode() + b"\0"
HELLO = struct.pack("<HH", 0, 0) + CAPS


def message(command: int, body: bytes = b"", *, number: int = 7, flags: int = 0, size: int | None = None) -> bytes:
    return HEADER.pack(number, command, HEADER_SIZE + len(body) if size is None else size, flags, 0) + body


def dma_map(iova: int, size: int, offset: int = 0, flags: int = 3, argsz: int = 32) -> bytes:
    return message(2, struct.pack("<IIQQQ", argsz, flags, offset, iova, size))


def dma_unmap(iova: int, size: int, flags: int = 0) -> bytes:
    return message(3, struct.pack("<IIQQ", 24, flags, iova, size))


def set_irqs(start: int, count: int, flags: int = 0x24, index: int = 2, data: bytes = b"") -> bytes:
    return message(8, struct.pack("<IIIII", 20, flags, index, start, count) + data)


def region(command: int, index: int, offset: int, count: int, data: bytes = b"") -> bytes:
    return message(command, struct.pack("<QII", offset, index, count) + data)


def memfd(size: int, *, sealed: bool = True) -> int:
    fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(fd, size)
    if sealed:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


class Board:
    """An endpoint of two regions: 256 bytes of registers, and a configuration space of 64."""

    def __init__(self) -> None:
        self.regions = {0: bytearray(256), 7: bytearray(64)}
        self.resets = 0
        self.is_cut = False

    def size(self, index: int) -> int:
        return len(self.regions.get(index, b""))

    def read(self, index: int, offset: int, length: int) -> bytes:
        return bytes(self.regions[index][offset : offset + length])

    def write(self, index: int, offset: int, data: bytes) -> None:
        self.regions[index][offset : offset + len(data)] = data

    def reset(self) -> None:
        self.resets += 1


class Talk:
    """A session without a socket. ``ask`` feeds a message whole and returns (errno, body)."""

    def __init__(self, *, greeted: bool = True) -> None:
        self.board, self.memory, self.irqs = Board(), GuestMemory(), Interrupts(64)
        self.refusals: list[str] = []
        self.session = Connection(self.board, self.memory, self.irqs, self.refusals.append)
        if greeted:
            assert self.ask(message(1, HELLO))[0] == 0

    def raw(self, data: bytes, fds: list[int] | None = None) -> bytes:
        """Feed bytes as a socket would hand them over; the descriptors come with the first of them."""
        out, left = b"", list(fds or [])
        while data:
            n = self.session.need
            out += self.session.feed(data[:n], left)
            data, left = data[n:], []
        return out

    def ask(self, data: bytes, fds: list[int] | None = None) -> tuple[int, bytes]:
        answer = self.raw(data, fds)
        number, command, size, flags, error = HEADER.unpack_from(answer)
        asked = HEADER.unpack_from(data)
        assert (number, command, size) == (asked[0], asked[1], len(answer))
        assert flags == (0x21 if error else 0x1)
        return error, answer[HEADER_SIZE:]

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.session.close()


class Wire:
    """A client on a real socket."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        try:
            self.socket.connect(str(path))
        except BaseException:
            self.socket.close()
            raise

    def send(self, data: bytes, fds: list[int] | None = None) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([data], ancillary)

    def answer(self) -> tuple[int, bytes]:
        head = self._exactly(HEADER_SIZE)
        _, _, size, _, error = HEADER.unpack(head)
        return error, self._exactly(size - HEADER_SIZE)

    def _exactly(self, n: int) -> bytes:
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def closed(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()


def refused(talk: Talk, data: bytes, number: int, fds: list[int] | None = None) -> None:
    """The message is answered with this errno, its descriptors are closed, and the next one is served."""
    before = open_fds() - len(fds or [])
    assert talk.ask(data, fds) == (number, b"")
    assert open_fds() == before
    assert talk.refusals
    assert talk.ask(region(9, 7, 0, 4))[0] == 0
