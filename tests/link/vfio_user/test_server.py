"""The server's loop, one step at a time: whose turn it is, what time it is, and how it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fwpages.link.vfio_user.server import BURST, Server
from tests.link.vfio_client import HELLO, Wire, dma_map, memfd, message, open_fds, region
from tests.link.vfio_user.test_server_sockets import Shelf


class Loop:
    """A server on a clock that stands still unless it is set."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "s"
        self.now = 100.0
        self.shelf = Shelf()
        self.server = Server(self.path, self.shelf, lambda: self.now)

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
