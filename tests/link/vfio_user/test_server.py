"""The server's loop, one step at a time: whose turn it is, what time it is, and how it ends."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fwpages.link.vfio_user.messages import MAX_MESSAGE
from fwpages.link.vfio_user.server import ANSWER, BURST, MOST_UNSENT, Server
from fwpages.link.vfio_user.transfers import CutOffError
from tests.link.vfio_client import HELLO, Board, Wire, dma_map, memfd, message, open_fds, region
from tests.link.vfio_user.test_server_sockets import Shelf


class Loop:
    """A server on a clock that stands still unless it is set, or goes on by ``pace`` at each look."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "s"
        self.now = 100.0
        self.shelf = Shelf()
        self.pace = 0.0
        self.server = Server(self.path, self.shelf, self.clock)

    def clock(self) -> float:
        self.now += self.pace
        return self.now

    def joined(self) -> Wire:
        """A client that has been greeted."""
        client = Wire(self.path)
        self.server.step()
        client.send(message(1, HELLO))
        self.server.step()
        assert client.answer()[0] == 0
        return client


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    before = open_fds()
    loop = Loop(tmp_path)
    with loop.server:
        yield loop
    assert open_fds() == before
    assert list(tmp_path.iterdir()) == []


def test_a_client_is_there_from_its_first_step_to_its_last(loop: Loop) -> None:
    states = [loop.server.busy]
    client = loop.joined()
    states.append(loop.server.busy)
    client.close()
    loop.server.step()
    assert [*states, loop.server.busy] == [False, True, False]
    assert (loop.server.clients, loop.shelf.went) == (1, ["the client has gone"])


def test_one_that_knocks_as_the_other_goes_is_let_in_by_the_same_step(loop: Loop) -> None:
    loop.joined().close()
    second = Wire(loop.path)
    loop.server.step()
    assert loop.shelf.came == 2
    second.close()


def test_a_second_client_does_not_wait(loop: Loop) -> None:
    """A second client is refused at once, and one that comes later finds the place free."""
    first, second = loop.joined(), Wire(loop.path)
    loop.server.step()
    assert second.closed()
    first.close()
    third = Wire(loop.path)
    loop.server.step()
    assert loop.server.clients == 2
    for client in (second, third):
        client.close()


def test_a_step_without_a_client_takes_no_longer_than_it_may(loop: Loop) -> None:
    start = time.monotonic()
    loop.server.step()
    loop.server.step(0.01)
    assert time.monotonic() - start < 5


def test_a_deadline_that_has_come_ends_a_wait_without_end(loop: Loop) -> None:
    for due in (loop.now, loop.now - 50):
        loop.shelf.deadline = due
        loop.server.step(None)
    assert loop.shelf.ticks == 2


def test_a_deadline_is_not_served_before_its_time(loop: Loop) -> None:
    loop.shelf.deadline = loop.now + 0.02
    loop.server.step(None)
    assert loop.shelf.ticks == 0, "by the server's clock nothing has passed"
    loop.now += 0.02
    loop.server.step()
    assert loop.shelf.ticks == 1


def test_a_client_that_never_pauses_does_not_keep_the_clock_waiting(loop: Loop) -> None:
    client = loop.joined()
    client.send(message(13, flags=0x10) * (2 * BURST + 1))
    served = []
    for _ in range(3):
        loop.shelf.deadline = loop.now
        loop.server.step()
        served.append(loop.shelf.board.resets)
    assert served == [BURST, 2 * BURST, 2 * BURST + 1]
    assert loop.shelf.ticks == 3
    client.close()


def test_a_refused_message_leaves_the_client_where_it_is(loop: Loop) -> None:
    client = loop.joined()
    client.send(region(9, 3, 0, 4) + region(9, 7, 0, 4))
    loop.server.step()
    assert [client.answer()[0], client.answer()[0]] == [22, 0]
    assert loop.server.busy
    client.close()


def test_the_device_gets_the_reason_for_the_end_of_a_connection(loop: Loop) -> None:
    client = loop.joined()
    client.send(message(9, size=3))
    loop.server.step()
    assert client.closed()
    assert loop.shelf.went == ["message 7 says that it has 3 bytes, 16 to 1052672 can be"]
    client.close()


def test_a_server_that_closes_lets_go_of_its_client_and_its_memory(loop: Loop) -> None:
    client, fd = loop.joined(), memfd(4096)
    client.send(dma_map(0, 4096), [fd])
    loop.server.step()
    assert client.answer()[0] == 0
    loop.server.close()
    assert loop.shelf.went == ["the server stops"]
    assert client.closed()
    client.close()
    os.close(fd)


def test_a_stop_that_comes_first_is_not_lost(loop: Loop) -> None:
    loop.server.stop()
    loop.server.run()
    assert loop.server.stopped


def test_a_stop_may_come_often_and_late(loop: Loop) -> None:
    """As a signal handler does: more bytes than the pipe holds, and after the server has closed."""
    for _ in range((1 << 16) + 1):
        loop.server.stop()
    loop.server.step()
    loop.server.close()
    loop.server.stop()


# -- a device that waits for its client ------------------------------------------------------------------------------


class Reader(Board):
    """A board that reads eight bytes of its client's memory at each write, and keeps them."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__()
        self.shelf = shelf
        self.got: list[bytes | str] = []

    def write(self, index: int, offset: int, data: bytes) -> None:
        super().write(index, offset, data)
        try:
            self.got.append(self.shelf.memory.read(0, 8))
        except CutOffError as e:
            self.got.append(str(e))


@pytest.fixture
def reading(loop: Loop) -> Iterator[tuple[Wire, Reader]]:
    """A client that keeps its memory to itself, and rang."""
    board = loop.shelf.board = Reader(loop.shelf)
    client = loop.joined()
    client.send(dma_map(0, 4096))
    loop.server.step()
    assert client.answer()[0] == 0
    client.send(region(10, 0, 0, 4, b"ring"))
    yield client, board
    client.close()


DMA = struct.pack("<QQ", 0, 8)


def test_a_device_gets_its_client_s_answer(loop: Loop, reading: tuple[Wire, Reader]) -> None:
    """The client need not have read what it is asked: its answer lies in the socket, after another message."""
    client, board = reading
    client.send(region(9, 0, 0, 4) + message(11, DMA + b"8 bytes!", number=0, flags=1))
    loop.server.step()
    assert board.got == [b"8 bytes!"]
    assert client.answer() == (0, struct.pack("<QII", 0, 0, 4)), "the write, before anything is asked"
    assert client.answer() == (0, DMA), "DMA_READ"
    assert client.answer() == (0, struct.pack("<QII", 0, 0, 4) + b"ring"), "the read in between"


def test_a_client_that_goes_while_the_device_waits(loop: Loop, reading: tuple[Wire, Reader]) -> None:
    client, board = reading
    client.close()
    loop.server.step()
    assert board.got == ["the client has gone"]
    assert loop.shelf.went == ["the client has gone"]


def test_a_stream_out_of_step_while_the_device_waits(loop: Loop, reading: tuple[Wire, Reader]) -> None:
    client, board = reading
    client.send(message(9, size=3))
    loop.server.step()
    assert board.got == loop.shelf.went == ["message 7 says that it has 3 bytes, 16 to 1052672 can be"]
    assert client.answer()[0] == 0, "the write"


def test_a_client_that_does_not_answer_is_not_waited_for_without_end(loop: Loop, reading: tuple[Wire, Reader]) -> None:
    """However much else it sends."""
    client, board = reading
    client.send(region(9, 0, 0, 4) * 100)
    loop.pace = 1.0
    loop.server.step()
    loop.pace = 0.0
    assert board.got == loop.shelf.went == [f"the client has not answered for {ANSWER:.0f} s"]


def test_a_server_stops_while_the_device_waits(loop: Loop, reading: tuple[Wire, Reader]) -> None:
    _, board = reading
    stopping = threading.Timer(0.1, loop.server.stop)
    stopping.start()
    loop.server.step()
    stopping.join()
    assert loop.server.stopped
    assert board.got == ["the server stops"]


def test_a_client_that_reads_nothing_while_the_device_waits_is_not_read_from(
    loop: Loop, reading: tuple[Wire, Reader]
) -> None:
    client, _ = reading
    loop.shelf.board.regions[7] = bytearray(1 << 20)
    sending = threading.Thread(target=lambda: client.send(region(9, 7, 0, 1 << 20) * 100))
    sending.start()
    stopping = threading.Timer(0.5, loop.server.stop)
    stopping.start()
    loop.server.step()
    stopping.join()
    here = loop.server._client
    assert here is None or len(here.unsent) < MOST_UNSENT + 2 * MAX_MESSAGE
    loop.server.close()
    sending.join(10)
