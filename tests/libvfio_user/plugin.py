"""libvfio-user's own tests against our server: what they call in its C library does nothing, the socket is ours.

PYTHONPATH=.:FOLDER/test/py python -m pytest -c /dev/null -p tests.libvfio_user.plugin FOLDER/test/py/test_negotiate.py

FOLDER is a copy of its sources (github.com/nutanix/libvfio-user); nothing of it is here. Each file wants a process of
its own: some tests count descriptors, which a test before that failed may have left open. What passes, and why the rest
does not, is in ``docs/reference/vfio-user.md``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from fwpages.link.vfio_user import messages
from fwpages.link.vfio_user.server import Server
from fwpages.scenario import load
from fwpages.scenario.served_runner import ServedRun

PLAN = '[device]\nprofile = "connectx7"\n[[step]]\ndo = "open"\n'
_Function: TypeAlias = Callable[..., int | None]
#: seconds in which the server does what is there to do
RUN = 0.01

#: the errno of the last error reply, 0 for none
_last = [0]
_servers: dict[int, _Served] = {}


class _Served:
    """A server behind a context of the library."""

    def __init__(self, path: bytes) -> None:
        self.server = Server(Path(os.fsdecode(path)), ServedRun(load("served", text=PLAN)))
        self._had_client = False

    def attach(self) -> int:
        """As ``vfu_attach_ctx``: a client has come, and said its version."""
        _last[0] = 0
        # the client of a test before, which failed
        if self.server._client is not None:
            self.server._end(self.server._client, "the next test")
        self._had_client = False
        result = self.run()
        return self._failed(_last[0]) if _last[0] else result

    def run(self) -> int:
        """As ``vfu_run_ctx``: serve what the client has sent; it fails once the client has gone."""
        end = time.monotonic() + RUN
        while time.monotonic() < end:
            self.server.step(RUN / 5)
        gone, self._had_client = self._had_client and not self.server.busy, self.server.busy
        return self._failed(errno.ENOTCONN) if gone else 0

    @staticmethod
    def _failed(number: int) -> int:
        ctypes.set_errno(number)
        return -1


def _create(_: int, path: bytes, *__: object) -> int:
    for number in tuple(_servers):
        _destroy(number)
    served = _Served(path)
    _servers[id(served)] = served
    return id(served)


def _destroy(number: int) -> None:
    served = _servers.pop(number, None)
    if served is not None:
        served.server.close()


class _Library:
    """The library: four of its functions are served, all others succeed and do nothing."""

    def __init__(self) -> None:
        self.vfu_create_ctx: _Function = _create
        self.vfu_attach_ctx: _Function = lambda number: _servers[number].attach()
        self.vfu_run_ctx: _Function = lambda number: _servers[number].run()
        self.vfu_destroy_ctx: _Function = _destroy

    def __getattr__(self, name: str) -> _Function:
        # one of its own for each name: the tests give it attributes, as to one of ctypes
        made: _Function = lambda *_: 0  # noqa: E731
        setattr(self, name, made)
        return made


_library, _cdll, _error_reply = _Library(), ctypes.CDLL, messages.error_reply


def _load(name: str | None, *args: Any, **options: Any) -> Any:
    return _library if "libvfio-user" in str(name) else _cdll(name, *args, **options)


def _noted(h: messages.Header, number: int) -> bytes:
    _last[0] = number
    return _error_reply(h, number)


ctypes.CDLL = _load  # type: ignore[assignment,misc]  # the tests load the library by it
messages.error_reply = _noted
os.environ["LIBVFIO_SO_DIR"] = "/"
# a reply that does not come is a failure
socket.setdefaulttimeout(2)
