"""A driver whose memory its client keeps to itself: the device reaches it by messages, which the client answers."""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable

from fwpages.link.vfio_user.connection import Connection
from fwpages.link.vfio_user.messages import HEADER_SIZE
from fwpages.link.vfio_user.transfers import Layout
from tests.link.vfio_client import HEADER, dma_map
from tests.link.vfio_driver import RAM, Driver, Served

READ, WRITE = 11, 12


def answer(data: bytes, ram: int, layout: Layout = Layout.TEXT) -> bytes:
    """The reply to a DMA_READ or DMA_WRITE, from and to this file: as the protocol has it, or as QEMU did before 11."""
    number, command, size, _, _ = HEADER.unpack_from(data)
    assert size == len(data)
    start = HEADER_SIZE + (16 if layout is Layout.TEXT else 12)
    iova, count = struct.unpack_from("<QI", data, HEADER_SIZE)
    if command == READ:
        content = os.pread(ram, count, iova)
        body = struct.pack("<QQ", iova, count) + content
        if layout is Layout.SHORT:
            body = struct.pack("<QI", iova, count) + content + bytes(4)
    else:
        assert command == WRITE
        assert count + 32 == len(data)
        os.pwrite(ram, data[start : start + count], iova)
        body = struct.pack("<QI", iova, count) if layout is Layout.TEXT else b""
    return HEADER.pack(number, command, HEADER_SIZE + len(body), 1, 0) + body


class KeptDriver(Driver):
    """The driver of the tests with the same memory, none of which the device can reach by itself.

    ``meanwhile`` are deeds of the client between a command of the server and the answer to it, one each time.
    """

    layout = Layout.TEXT

    def __init__(self, device: Served) -> None:
        self.out = deque[bytes]()
        self.sent: list[bytes] = []
        self.meanwhile = deque[Callable[[], object]]()
        self.answers = True
        super().__init__(device)

    def map_memory(self) -> None:
        self.session.attach(self)
        self.ask(dma_map(0, RAM))

    # -- the line -----------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Keep what the server sends: replies that come early, and commands."""
        while data:
            size = HEADER.unpack_from(data)[2]
            whole, data = data[:size], data[size:]
            self.sent.append(whole)
            if not HEADER.unpack_from(whole)[3] & 1:
                self.out.append(whole)

    def receive(self) -> None:
        """Answer the latest command, after what happens meanwhile."""
        if self.meanwhile:
            self.meanwhile.popleft()()
        elif self.answers:
            self.feed(answer(self.out.popleft(), self.ram, self.layout))

    def feed(self, data: bytes) -> bytes:
        """Give the session a whole message; return what it replies."""
        return feed(self.session, data)

    def ask(self, data: bytes, fds: list[int] | None = None) -> bytes:
        before = len(self.sent)
        out, left = b"", list(fds or [])
        while data:
            n = self.session.need
            out += self.session.feed(data[:n], left)
            data, left = data[n:], []
        early = [m for m in self.sent[before:] if HEADER.unpack_from(m)[3] & 1]
        out = out or early[0]
        assert HEADER.unpack_from(out)[4] == 0, f"errno {HEADER.unpack_from(out)[4]}"
        return out[HEADER_SIZE:]


class ShortDriver(KeptDriver):
    """The same, with messages as QEMU 10 lays them out."""

    layout = Layout.SHORT


def feed(session: Connection, data: bytes) -> bytes:
    out = b""
    while data:
        n = session.need
        out += session.feed(data[:n])
        data = data[n:]
    return out
