"""The UNIX socket that a vfio-user server listens on. It replaces no other server's, and is removed at the end."""

from __future__ import annotations

import array
import fcntl
import os
import socket
import stat
from pathlib import Path

from fwpages.link.vfio_user.messages import MAX_FDS

#: bytes of a UNIX socket's name: ``sun_path`` of ``struct sockaddr_un`` without its last, which is 0 (unix(7))
MOST_PATH = 107


class SocketError(OSError):
    """The socket cannot be created at this path; the text says why."""


class Listener:
    """A listening socket at ``path``, mode 0600, which the caller alone may use. A context manager.

    SocketError where something else lies there, or a server listens there already. A socket without a listener is
    replaced. A lock file beside it (``path`` + ``.lock``) keeps two servers that start at the same time apart.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock, self._locked = -1, False
        self._inode: int | None = None
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._claim()
        except BaseException:
            self.close()
            raise
        self._inode = self.path.lstat().st_ino

    def _claim(self) -> None:
        length = len(os.fsencode(self.path))
        if length > MOST_PATH:
            raise SocketError(f"{self.path}: {length} bytes, and the name of a UNIX socket has at most {MOST_PATH}")
        lock = self.path.with_name(self.path.name + ".lock")
        try:
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._locked = True
            self._clear()
            # the socket must have this mode from the moment of its creation
            old = os.umask(0o177)
            try:
                self.socket.bind(str(self.path))
            finally:
                os.umask(old)
            self.socket.listen(4)
            self.socket.setblocking(False)
        except BlockingIOError:
            raise SocketError(f"{self.path}: another server is using it") from None
        except SocketError:
            raise
        except OSError as e:
            raise SocketError(f"{self.path}: {e.strerror or e}") from None

    def _clear(self) -> None:
        """Remove a socket without a listener."""
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise SocketError(f"{self.path}: there is something else than a socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(self.path))
            except ConnectionRefusedError:
                self.path.unlink()
                return
            except BlockingIOError:
                pass
        raise SocketError(f"{self.path}: another server is using it")

    def accept(self) -> socket.socket | None:
        """Accept the next client; None where it has gone again."""
        try:
            client, _ = self.socket.accept()
        except OSError:
            return None
        client.setblocking(False)
        return client

    def close(self) -> None:
        """Stop listening and remove the socket, unless another has taken its place."""
        self.socket.close()
        inode, self._inode = self._inode, None
        if inode is not None:
            try:
                if self.path.lstat().st_ino == inode:
                    self.path.unlink()
            except FileNotFoundError:
                pass
        if self._lock >= 0:
            if self._locked:
                self.path.with_name(self.path.name + ".lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock, self._locked = -1, False

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def receive(client: socket.socket, length: int) -> tuple[bytes, list[int], bool]:
    """Receive at most ``length`` bytes, their descriptors, and whether the kernel dropped some.

    BlockingIOError where nothing is there; no bytes at the end of the connection.
    """
    room = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)
    data, ancillary, flags, _ = client.recvmsg(length, room, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds), bool(flags & socket.MSG_CTRUNC)
