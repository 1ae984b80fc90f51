"""The socket alone: who gets it, what is left of it, and the descriptors that come with bytes."""

from __future__ import annotations

import array
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fwpages.link.vfio_user.listener import MOST_PATH, Listener, SocketError, receive
from fwpages.link.vfio_user.messages import MAX_FDS
from tests.link.vfio_client import open_fds


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A name for a socket; no descriptor is left open by what a test does with it."""
    before = open_fds()
    yield tmp_path / "s"
    assert open_fds() == before


def call(path: Path) -> socket.socket:
    """A client that has connected."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    return client


# -- listening --------------------------------------------------------------------------------------------------------


def test_a_listener_has_its_socket_and_its_lock_until_it_is_closed(path: Path) -> None:
    with Listener(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert sorted(p.name for p in path.parent.iterdir()) == ["s", "s.lock"]
    assert list(path.parent.iterdir()) == []


def test_the_mode_of_other_files_is_as_before(path: Path) -> None:
    old = os.umask(0o027)
    try:
        with Listener(path):
            other = path.with_name("other")
            other.touch(0o666)
        assert stat.S_IMODE(other.stat().st_mode) == 0o640
    finally:
        os.umask(old)


def test_a_second_listener_takes_nothing_from_the_first(path: Path) -> None:
    with Listener(path) as first:
        for _ in range(2):
            with pytest.raises(SocketError, match="s: another server is using it"):
                Listener(path)
        with call(path):
            client = first.accept()
            assert client is not None
            client.close()
    with Listener(path):
        pass


def test_two_that_start_together_are_kept_apart_before_there_is_a_socket(path: Path) -> None:
    """The first has its lock and has not bound its socket yet."""
    with Listener(path):
        path.unlink()
        with pytest.raises(SocketError, match="another server"):
            Listener(path)
        assert not path.exists()


def test_closing_twice_does_not_remove_a_successor_s_socket(path: Path) -> None:
    old = Listener(path)
    old.close()
    with Listener(path):
        old.close()
        call(path).close()


def test_a_lock_that_is_a_link_is_not_followed(path: Path) -> None:
    path.with_name("s.lock").symlink_to(path.with_name("elsewhere"))
    with pytest.raises(SocketError, match="s: "):
        Listener(path)
    assert not path.with_name("elsewhere").exists()


@pytest.mark.parametrize("letter", ["s", "ü"])
def test_a_name_has_at_most_107_bytes_whatever_its_letters(path: Path, letter: str) -> None:
    size = len(letter.encode())
    room, left = divmod(MOST_PATH - len(bytes(path.parent)) - 1, size)
    longest = path.with_name("x" * left + letter * room)
    assert len(bytes(longest)) == 107
    with Listener(longest):
        assert longest.is_socket()
    with pytest.raises(SocketError, match=rf"{letter}: {107 + size} bytes, and the name of a UNIX socket has at most"):
        Listener(longest.with_name(longest.name + letter))
    assert list(path.parent.iterdir()) == []


# -- clients ----------------------------------------------------------------------------------------------------------


def test_accept_does_not_wait(path: Path) -> None:
    with Listener(path) as listener:
        assert listener.accept() is None
        with call(path):
            client = listener.accept()
            assert client is not None
            with client, pytest.raises(BlockingIOError):
                receive(client, 16)


def test_a_client_that_has_gone_again_is_one_whose_bytes_end(path: Path) -> None:
    with Listener(path) as listener:
        call(path).close()
        client = listener.accept()
        assert client is not None
        with client:
            assert receive(client, 16) == (b"", [], False)


# -- bytes and descriptors --------------------------------------------------------------------------------------------


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection; no descriptor is left open by what a test does with it."""
    before = open_fds()
    a, b = socket.socketpair(socket.AF_UNIX)
    b.setblocking(False)
    with a, b:
        yield a, b
    assert open_fds() == before


def send(end: socket.socket, data: bytes, fds: int) -> None:
    """These bytes, and so many descriptors with them."""
    mine = [os.eventfd(n) for n in range(fds)]
    end.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", mine))])
    for fd in mine:
        os.close(fd)


def test_at_most_as_many_bytes_as_are_asked_for(ends: tuple[socket.socket, socket.socket]) -> None:
    a, b = ends
    a.send(b"header and body")
    assert [receive(b, n)[0] for n in (6, 5, 100)] == [b"header", b" and ", b"body"]


@pytest.mark.parametrize("fds", [1, MAX_FDS, MAX_FDS + 1, 30])
def test_descriptors_come_with_their_bytes_up_to_as_many_as_a_message_has(
    ends: tuple[socket.socket, socket.socket], fds: int
) -> None:
    """Those that the kernel dropped are reported: a message that lacks one is not that message."""
    a, b = ends
    send(a, b"with", fds)
    a.send(b"without")
    data, got, cut = receive(b, 4)
    assert (data, len(got), cut) == (b"with", min(fds, MAX_FDS), fds > MAX_FDS)
    assert [os.eventfd_read(fd) for fd in got[1:]] == list(range(1, len(got))), "in their order"
    assert not any(os.get_inheritable(fd) for fd in got), "no child of ours gets a client's memory"
    for fd in got:
        os.close(fd)
    assert receive(b, 7) == (b"without", [], False)
