"""The server on its socket: who may use it, clients that come, misbehave, go and come back; nothing leaks."""

from __future__ import annotations

import os
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fwpages.link.vfio_user.connection import Connection
from fwpages.link.vfio_user.guest_memory import GuestMemory
from fwpages.link.vfio_user.interrupts import Interrupts
from fwpages.link.vfio_user.listener import Listener, SocketError
from fwpages.link.vfio_user.server import MOST_UNSENT, Server
from tests.link.vfio_client import HELLO, Board, Wire, dma_map, memfd, message, open_fds, region, set_irqs

PAGE = 4096


class Shelf:
    """Serves the test's board; remembers who came and why they went."""

    def __init__(self) -> None:
        self.board, self.memory, self.irqs = Board(), GuestMemory(), Interrupts(64)
        self.came, self.went, self.ticks = 0, list[str](), 0
        self.deadline: float | None = None

    def connected(self) -> Connection:
        self.came += 1
        return Connection(self.board, self.memory, self.irqs)

    def disconnected(self, reason: str) -> None:
        assert not len(self.memory)
        assert not self.irqs.armed
        self.went.append(reason)

    def tick(self) -> None:
        self.ticks += 1
        self.deadline = None


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def server(tmp_path: Path, shelf: Shelf) -> Iterator[Server]:
    before = open_fds()
    with Server(tmp_path / "s", shelf) as s:
        thread = threading.Thread(target=s.run)
        thread.start()
        yield s
        s.stop()
        thread.join(10)
        assert not thread.is_alive()
    assert open_fds() == before
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def wire(server: Server, tmp_path: Path) -> Iterator[Wire]:
    w = Wire(tmp_path / "s")
    w.send(message(1, HELLO))
    assert w.answer()[0] == 0
    yield w
    w.close()


def eventually(what: str, truth: object) -> None:
    assert callable(truth)
    end = time.monotonic() + 10
    while not truth():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def test_a_conversation(wire: Wire, shelf: Shelf) -> None:
    fd = memfd(PAGE)
    wire.send(dma_map(0, PAGE), [fd])
    assert wire.answer() == (0, b"")
    irq = os.eventfd(0)
    wire.send(set_irqs(0, 1), [irq])
    assert wire.answer() == (0, b"")
    # several in one go
    wire.send(region(10, 0, 0, 4, b"abcd") + region(9, 0, 0, 4))
    assert wire.answer()[0] == 0
    assert wire.answer()[1][16:] == b"abcd"
    shelf.memory.write(0, b"dma")
    shelf.irqs.signal(0)
    assert os.pread(fd, 3, 0) == b"dma"
    assert os.eventfd_read(irq) == 1
    os.close(fd)
    os.close(irq)


def test_descriptors_belong_to_their_message(wire: Wire, shelf: Shelf) -> None:
    """A message without one before it and one after it, all waiting in the socket at once."""
    fd = memfd(PAGE)
    wire.send(region(9, 0, 0, 4))
    wire.send(dma_map(0, PAGE), [fd])
    wire.send(dma_map(PAGE, PAGE))
    assert [wire.answer()[0] for _ in range(3)] == [0, 0, 0]
    shelf.memory.write(0, b"x")
    shelf.memory.remote = None
    with pytest.raises(Exception, match="not mapped for it"):
        shelf.memory.write(PAGE, b"x")
    os.close(fd)


def test_clients_come_and_go(server: Server, shelf: Shelf, tmp_path: Path) -> None:
    fd, rounds = memfd(PAGE), 20
    base = open_fds()
    for n in range(rounds):
        w = Wire(tmp_path / "s")
        w.send(message(1, HELLO))
        w.send(dma_map(0, PAGE), [fd])
        assert [w.answer()[0] for _ in range(2)] == [0, 0]
        w.close()
        eventually("it is gone", lambda n=n: len(shelf.went) == n + 1)
    assert shelf.came == rounds
    assert open_fds() == base
    assert set(shelf.went) == {"the client has gone"}
    os.close(fd)


def test_second_client_is_turned_away(wire: Wire, server: Server, tmp_path: Path) -> None:
    other = Wire(tmp_path / "s")
    assert other.closed()
    other.close()
    wire.send(region(9, 0, 0, 4))
    assert wire.answer()[0] == 0
    assert server.clients == 1


@pytest.mark.parametrize(
    "data",
    [
        message(9, size=0),
        message(9, size=0xFFFFFFFF),
        message(1, HELLO),
        message(4, flags=1),
    ],
)
def test_stream_out_of_step_ends(wire: Wire, shelf: Shelf, tmp_path: Path, data: bytes) -> None:
    wire.send(data)
    assert wire.closed()
    eventually("it is gone", lambda: shelf.went)
    again = Wire(tmp_path / "s")
    again.send(message(1, HELLO))
    assert again.answer()[0] == 0
    again.close()


@pytest.mark.parametrize("cut", [3, 16, 30])
def test_gone_in_the_middle_of_a_message(wire: Wire, shelf: Shelf, cut: int) -> None:
    fd = memfd(PAGE)
    wire.send(dma_map(0, PAGE)[:cut], [fd])
    wire.close()
    eventually("it is gone", lambda: shelf.went)
    assert shelf.went == ["the client has gone, in the middle of a message"]
    os.close(fd)


def test_too_many_descriptors(wire: Wire, shelf: Shelf) -> None:
    fds = [memfd(PAGE) for _ in range(30)]
    wire.send(dma_map(0, PAGE), fds)
    assert wire.closed()
    eventually("it is gone", lambda: shelf.went)
    assert "descriptors" in shelf.went[0]
    for fd in fds:
        os.close(fd)


def test_replies_that_the_client_does_not_read(wire: Wire, server: Server, shelf: Shelf) -> None:
    """The server stops listening to that client, and serves on when it reads again."""
    shelf.board.regions[0] = bytearray(1 << 20)
    wire.socket.setblocking(False)
    sent = 0
    end = time.monotonic() + 2
    while time.monotonic() < end and sent < 200:
        with suppress(BlockingIOError):
            wire.send(region(9, 0, 0, 1 << 20))
            sent += 1
    assert server._client is not None
    assert len(server._client.unsent) <= MOST_UNSENT + (2 << 20)
    wire.socket.settimeout(10)
    for _ in range(sent):
        assert wire.answer()[0] == 0


def test_deadlines(server: Server, shelf: Shelf) -> None:
    shelf.deadline = time.monotonic() + 0.05
    os.write(server.waker, b"x")
    eventually("it ticked", lambda: shelf.ticks)


# -- the socket -------------------------------------------------------------------------------------------------------


def test_mode(server: Server, tmp_path: Path) -> None:
    mode = (tmp_path / "s").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_socket_in_use_is_refused(server: Server, shelf: Shelf, tmp_path: Path) -> None:
    before = open_fds()
    with pytest.raises(SocketError, match="another server"):
        Server(tmp_path / "s", shelf)
    assert open_fds() == before
    w = Wire(tmp_path / "s")
    w.send(message(1, HELLO))
    assert w.answer()[0] == 0
    w.close()


def test_socket_of_another_program_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen()
        with pytest.raises(SocketError, match="another server"):
            Server(tmp_path / "s", shelf)
    assert (tmp_path / "s").is_socket()


def test_stale_socket_is_replaced(shelf: Shelf, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(tmp_path / "s"))
    with Server(tmp_path / "s", shelf):
        pass
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_other_things_are_not_replaced(shelf: Shelf, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SocketError, match="something else"):
        Server(path, shelf)
    assert path.is_symlink() or path.exists()
    assert not path.with_name(path.name + ".lock").exists(), "nothing is left where nothing was made"


def test_no_such_folder(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(SocketError, match="No such file"):
        Server(tmp_path / "no" / "s", shelf)


def test_path_too_long(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(SocketError, match="at most 107"):
        Server(tmp_path / ("s" * 200), shelf)
    assert list(tmp_path.iterdir()) == []


def test_socket_of_a_successor_is_left(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "s")
    (tmp_path / "s").unlink()
    (tmp_path / "s").write_text("another's")
    listener.close()
    assert (tmp_path / "s").read_text() == "another's"


def test_server_that_was_killed_leaves_a_stale_socket(shelf: Shelf, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from fwpages.link.vfio_user.listener import Listener;"
        "Listener(Path(sys.argv[1])); print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "s")], stdout=subprocess.PIPE) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == b"up\n"
        with pytest.raises(SocketError):
            Server(tmp_path / "s", shelf)
        p.kill()
    with Server(tmp_path / "s", shelf):
        pass


def test_reply_layout(wire: Wire) -> None:
    wire.send(message(4, struct.pack("<IIII", 16, 0, 0, 0)))
    assert wire.answer() == (0, struct.pack("<IIII", 16, 3, 9, 5))
