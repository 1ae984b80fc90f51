"""The client against the real server, and against servers that do not behave."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fwpages.link.driving.pci_device import DeviceError
from fwpages.link.vfio_user.client import VfioUserDevice
from fwpages.link.vfio_user.connection import Connection
from fwpages.link.vfio_user.guest_memory import GuestMemory
from fwpages.link.vfio_user.interrupts import Interrupts
from fwpages.link.vfio_user.server import Server
from tests.link.vfio_client import HEADER, Board, open_fds
from tests.sockets import short


class Stand:
    """A board behind a server."""

    deadline = None

    def __init__(self) -> None:
        self.board, self.memory, self.irqs = Board(), GuestMemory(), Interrupts(8)
        self.refusals: list[str] = []

    def connected(self) -> Connection:
        return Connection(self.board, self.memory, self.irqs, self.refusals.append)

    def disconnected(self, reason: str) -> None: ...

    def tick(self) -> None: ...


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    with short(tmp_path) as folder:
        yield folder


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    stand = Stand()
    # an MSI-X capability at 0x20
    stand.board.regions[7][0x06], stand.board.regions[7][0x34], stand.board.regions[7][0x20] = 0x10, 0x20, 0x11
    with Server(tmp_path / "s", stand) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        yield stand
        server.stop()
        thread.join(30)


def test_registers_memory_interrupts_and_a_reset(stand: Stand, tmp_path: Path) -> None:
    before = open_fds()
    d = VfioUserDevice(tmp_path / "s")
    assert (d.facts.transport, d.facts.reset) == ("vfio-user", "DEVICE_RESET")
    d.bar_write(0x18, b"\1\2\3\4")
    d.config_write(0x04, b"\6")
    assert (d.bar_read(0x18), d.config_read(0x04, 2), bytes(stand.board.regions[0][0x18:0x1C])) == (
        b"\1\2\3\4",
        b"\6\0",
        b"\1\2\3\4",
    )
    ram = d.allocate(16 << 20)
    d.map(1 << 32, 4 << 20, 5 << 20)
    assert len(stand.memory) == 3  # pieces of 2 MiB
    ram[(4 << 20) + 7] = 9
    assert stand.memory.read((1 << 32) + 6, 3) == b"\0\x09\0"
    stand.memory.write((1 << 32) + 8, b"\5")
    assert ram[(4 << 20) + 8] == 5
    d.unmap(1 << 32, 4 << 20, 5 << 20)
    assert len(stand.memory) == 0
    assert not ram.any()  # it is given back
    event = os.eventfd(0, os.EFD_NONBLOCK)
    d.arm([event])
    assert stand.irqs.signal(0)
    assert os.eventfd_read(event) == 1
    assert stand.board.regions[7][0x23] == 0x80
    d.reset()
    assert (stand.board.resets, stand.refusals, d.trouble()) == (1, [], "")
    d.close()
    os.close(event)
    del ram
    # the server's thread closes its own in its time
    end = time.monotonic() + 30
    while open_fds() != before:
        assert time.monotonic() < end


def test_what_the_server_refuses_is_said_and_the_device_stays(stand: Stand, tmp_path: Path) -> None:
    d = VfioUserDevice(tmp_path / "s")
    d.allocate(1 << 20)
    d.map(1 << 32, 0, 4096)
    with pytest.raises(DeviceError, match="the server refuses DMA_MAP: File exists"):
        d.map(1 << 32, 0, 4096)
    with pytest.raises(DeviceError, match="the server refuses REGION_READ"):
        d.bar_read(1 << 20)
    with pytest.raises(ValueError, match="a register has 4 bytes"):
        d.bar_write(0, b"12")
    assert d.config_read(0, 1) == b"\0"
    d.close()
    d.close()


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"there is no socket; start `fwpages serve"):
        VfioUserDevice(tmp_path / "none")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "old"))
    with pytest.raises(DeviceError, match="no server listens there any more"):
        VfioUserDevice(tmp_path / "old")
    with pytest.raises(DeviceError, match="AF_UNIX path too long"):
        VfioUserDevice(tmp_path / ("x" * 120))


Answers = Callable[[int, int, bytes], bytes]


def reply(
    number: int, command: int, body: bytes = b"", flags: int = 1, error: int = 0, size: int | None = None
) -> bytes:
    return HEADER.pack(number, command, 16 + len(body) if size is None else size, flags, error) + body


def sound(number: int, command: int, body: bytes) -> bytes:
    """What a server with a PCI device answers."""
    rows = {
        1: struct.pack("<HH", 0, 0),
        4: struct.pack("<IIII", 16, 3, 9, 5),
        5: struct.pack("<IIIIQQ", 32, 3, 0, 0, 4096, 0),
        7: struct.pack("<IIII", 16, 9, 2, 8),
        9: body[:12] + struct.pack("<I", 4) + b"abcd",
    }
    return reply(number, command, rows.get(command, b""))


@contextmanager
def server(path: Path, answers: Answers) -> Iterator[list[bytes]]:
    """A server that answers each message with any bytes; none ends the connection. The messages that it got."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    got: list[bytes] = []

    def run() -> None:
        client, _ = listener.accept()
        # the client may end the connection first
        with client, suppress(ConnectionError):
            while head := client.recv(16, socket.MSG_WAITALL):
                number, command, size, *_ = HEADER.unpack(head)
                body = client.recv(size - 16, socket.MSG_WAITALL) if size > 16 else b""
                got.append(head + body)
                out = answers(number, command, body)
                if not out:
                    return
                client.sendall(out)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield got
    finally:
        listener.close()
        thread.join(30)


def instead(command: int, out: Callable[[int], bytes]) -> Answers:
    """A sound server but for one command."""
    return lambda number, kind, body: out(number) if kind == command else sound(number, kind, body)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (instead(1, lambda n: b""), "the server has closed the connection"),
        (instead(1, lambda n: b"HTTP/1.1 400 Bad Request\r\n"), "says that it has 825110831 bytes"),
        (instead(1, lambda n: reply(n, 1, size=8)), "says that it has 8 bytes"),
        (instead(1, lambda n: reply(n, 1, size=1 << 30)), "says that it has 1073741824"),
        (instead(1, lambda n: reply(n, 1, b"\0")), "1 bytes in the reply to VERSION, it has 4"),
        (instead(1, lambda n: reply(n, 1, struct.pack("<HH", 1, 0))), "the server speaks version 1.0"),
        (instead(1, lambda n: reply(n + 1, 1)), "a reply to message 2, command 1, came to VERSION"),
        (instead(4, lambda n: reply(n, 5)), "command 5, came to DEVICE_GET_INFO"),
        (instead(4, lambda n: reply(n, 4, flags=0x21, error=errno.EPERM)), "refuses DEVICE_GET_INFO: Operation not"),
        (instead(4, lambda n: reply(n, 4, flags=0x21)), "refuses DEVICE_GET_INFO: no reason given"),
        (instead(4, lambda n: reply(n, 4, struct.pack("<IIII", 16, 0, 9, 5))), "no PCI device with a BAR 0 and MSI-X"),
        (instead(5, lambda n: reply(n, 5, struct.pack("<IIIIQQ", 32, 0, 0, 0, 0, 0))), "no PCI device with a BAR 0"),
        (instead(7, lambda n: reply(n, 7, struct.pack("<IIII", 16, 0, 2, 0))), "no PCI device with a BAR 0 and MSI-X"),
    ],
)
def test_a_server_that_does_not_behave_at_the_start(tmp_path: Path, answers: Answers, words: str) -> None:
    before = open_fds()
    with server(tmp_path / "s", answers), pytest.raises(DeviceError, match=words):
        VfioUserDevice(tmp_path / "s")
    assert open_fds() == before


def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with server(tmp_path / "s", instead(9, lambda n: HEADER.pack(n, 9, 36, 1, 0))):
        d = VfioUserDevice(tmp_path / "s", timeout=0.05)
        with pytest.raises(DeviceError, match=r"does not answer REGION_READ in 0.05 s"):
            d.bar_read(0)
        # it stays so: a late reply would be taken for that to the next request
        with pytest.raises(DeviceError, match=r"does not answer REGION_READ in 0.05 s"):
            d.config_write(0, b"\0")
        assert "does not answer" in d.trouble()
        d.close()


def test_a_read_of_another_length(tmp_path: Path) -> None:
    with server(tmp_path / "s", instead(9, lambda n: reply(n, 9, bytes(17)))):
        d = VfioUserDevice(tmp_path / "s")
        with pytest.raises(DeviceError, match="1 bytes in the reply to a read of 4"):
            d.bar_read(0)
        d.close()


def test_a_device_without_a_reset_proves_no_fence(tmp_path: Path) -> None:
    with server(tmp_path / "s", instead(4, lambda n: reply(n, 4, struct.pack("<IIII", 16, 2, 9, 5)))):
        d = VfioUserDevice(tmp_path / "s")
        with pytest.raises(DeviceError, match="its device cannot be reset"):
            d.reset()
        d.close()


def test_the_end_of_the_connection_is_noticed_between_requests(stand: Stand, tmp_path: Path) -> None:
    with server(tmp_path / "t", instead(9, lambda n: b"")):
        d = VfioUserDevice(tmp_path / "t")
        assert d.trouble() == ""
        with pytest.raises(DeviceError):
            d.bar_read(0)
        assert d.trouble() == f"{tmp_path / 't'}: the server has closed the connection"
        d.close()
