"""A vfio-user server: one client at a time, until it is stopped.

Theory of operation. The loop is a small one over ``selectors``, in one thread. ``step`` waits until the client's
socket, the listening socket or the wake-up pipe is readable, or the device's deadline has come, and does what is due.
It serves the present client first: the client may be gone, and so make room for one that connects in the same moment.
A second client is turned away; one that has gone may come back.

For a client, the loop receives exactly the bytes that its ``Connection`` needs next, so descriptors stay with their
message, feeds them, and sends the reply. It does so at most ``BURST`` times in a row, so that deadlines are met under
load. A client that does not read its replies is not read from once ``MOST_UNSENT`` bytes are pending.

A device may wait for its client in the middle of a message or of a tick (``transfers``). ``_Line`` is the way there: it
sends the command, and receives and feeds what comes until the answer is there, for at most ``ANSWER`` seconds. So there
is a loop within the loop, which serves nobody but that client, and ends with ``stop`` too.

``stop`` may be called from a signal handler: it writes a byte into the pipe, which ends the wait. An error of the
stream, or of the socket, ends the connection and not the server: the device loses the client's memory and its power.
"""

from __future__ import annotations

import os
import select
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fwpages.link.vfio_user.connection import Connection
from fwpages.link.vfio_user.listener import Listener, receive
from fwpages.link.vfio_user.messages import MAX_MESSAGE, StreamError
from fwpages.link.vfio_user.transfers import CutOffError

#: most bytes of replies that wait for a client; beyond that the client is not read from
MOST_UNSENT = 4 * MAX_MESSAGE
#: most receives in a row before deadlines are checked
BURST = 256
#: seconds that the device waits for its client's answer: a machine that stands still for a while (a debugger, a host
#: that swaps) should keep its device; QEMU itself waits 5 s for an answer of ours
ANSWER = 30.0


class Device(Protocol):
    """The device that the server serves: a connection for each client, and deadlines."""

    @property
    def deadline(self) -> float | None:
        """The time at which to call ``tick`` (seconds of ``time.monotonic``); None for never."""

    def connected(self) -> Connection:
        """Begin with a new client."""

    def disconnected(self, reason: str) -> None:
        """End with the client, whose memory is gone."""

    def tick(self) -> None:
        """Do what is due at the deadline."""


@dataclass(slots=True)
class _Client:
    socket: socket.socket
    session: Connection
    unsent: bytearray = field(default_factory=bytearray)
    events: int = selectors.EVENT_READ
    #: the reason for the end of the connection
    gone: str = ""


class Server:
    """Serves ``device`` at ``path``. SocketError from the constructor where it cannot listen there."""

    def __init__(self, path: Path, device: Device, clock: Callable[[], float] = time.monotonic) -> None:
        self._device, self._clock = device, clock
        self._listener = Listener(path)
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener.socket, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._client: _Client | None = None
        self._stopped = False
        #: connections accepted so far
        self.clients = 0

    @property
    def waker(self) -> int:
        """A descriptor for ``signal.set_wakeup_fd``: a byte written to it wakes the loop."""
        return self._waker

    @property
    def stopped(self) -> bool:
        """``stop`` was called."""
        return self._stopped

    @property
    def busy(self) -> bool:
        """A client is connected."""
        return self._client is not None

    def stop(self) -> None:
        """End ``run`` soon. May be called from a signal handler or another thread."""
        self._stopped = True
        # a full pipe wakes the loop anyway, and a closed one has none to wake
        with suppress(OSError):
            os.write(self._waker, b"\0")

    def run(self) -> None:
        """Serve until ``stop``."""
        while not self._stopped:
            self.step(None)

    def step(self, most: float | None = 0.0) -> None:
        """Wait at most ``most`` seconds (None: until the device's deadline), and do what is due."""
        ready = {key.fileobj for key, _ in self._selector.select(self._wait(most))}
        # first the client that is there: it may be gone, and make room for the next
        if self._client is not None and self._client.socket in ready:
            self._serve(self._client)
        if self._wake in ready:
            os.read(self._wake, 4096)
        if self._listener.socket in ready:
            self._accept()
        due = self._device.deadline
        if due is not None and due <= self._clock():
            self._device.tick()
            if self._client is not None:
                self._settle(self._client)

    def _wait(self, most: float | None) -> float | None:
        """Return the seconds to wait: at most ``most``, and no longer than until the device's deadline."""
        due = self._device.deadline
        if due is None:
            return most
        left = max(0.0, due - self._clock())
        return left if most is None else min(most, left)

    def close(self) -> None:
        """Close all descriptors and remove the socket."""
        if self._client is not None:
            self._end(self._client, "the server stops")
        self._selector.close()
        self._listener.close()
        for fd in (self._wake, self._waker):
            if fd >= 0:
                os.close(fd)
        self._wake = self._waker = -1

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        client = self._listener.accept()
        if client is None:
            return
        if self._client is not None:
            client.close()
            return
        self.clients += 1
        here = self._client = _Client(client, self._device.connected())
        here.session.attach(_Line(here, self._wake, self._clock, lambda: self._stopped))
        self._selector.register(client, selectors.EVENT_READ)

    def _serve(self, client: _Client) -> None:
        try:
            _send(client)
            for _ in range(BURST):
                if len(client.unsent) > MOST_UNSENT or client.gone:
                    break
                _take(client)
        except BlockingIOError:
            pass
        except (StreamError, OSError) as e:
            client.gone = client.gone or _reason(e)
        self._settle(client)

    def _settle(self, client: _Client) -> None:
        """End the connection where it is over; else watch for what is to come."""
        if client.gone:
            self._end(client, client.gone)
        else:
            self._watch(client)

    def _watch(self, client: _Client) -> None:
        reading = selectors.EVENT_READ if len(client.unsent) <= MOST_UNSENT else 0
        events = reading | (selectors.EVENT_WRITE if client.unsent else 0)
        if events != client.events:
            client.events = events
            self._selector.modify(client.socket, events)

    def _end(self, client: _Client, reason: str) -> None:
        self._client = None
        self._selector.unregister(client.socket)
        client.socket.close()
        client.session.close()
        self._device.disconnected(reason)


def _send(client: _Client) -> None:
    """Send what is pending, as much as the socket takes."""
    while client.unsent:
        try:
            n = client.socket.send(client.unsent, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return
        del client.unsent[:n]


def _reason(e: StreamError | OSError) -> str:
    """The words for the end of a connection."""
    return "the client has gone" if isinstance(e, ConnectionError) else str(e)


def _take(client: _Client) -> None:
    """Receive a part of a message, feed it, and send the reply. StreamError where there is nothing more to come."""
    session = client.session
    data, fds, cut = receive(client.socket, session.need)
    if not data and not fds:
        raise StreamError("the client has gone" + (", in the middle of a message" if session.halfway else ""))
    client.unsent += session.feed(data, fds, cut=cut)
    _send(client)
    if session.over:
        raise StreamError(session.over)


class _Line:
    """The way to a client that the device waits for. ``wake`` is readable when the server was woken up."""

    def __init__(self, client: _Client, wake: int, clock: Callable[[], float], stopped: Callable[[], bool]) -> None:
        self._client, self._wake, self._clock, self._stopped = client, wake, clock, stopped
        self._until = 0.0

    def send(self, data: bytes) -> None:
        """Send a command, whose answer is there in ``ANSWER`` seconds."""
        self._client.unsent += data
        self._until = self._clock() + ANSWER
        # a client that has gone shows when it is received from
        with suppress(OSError):
            _send(self._client)

    def receive(self) -> None:
        """Wait for a part of a message and feed it. CutOffError where the client is gone, or the server stops."""
        client = self._client
        left = self._until - self._clock()
        if not client.gone and self._stopped():
            client.gone = "the server stops"
        if not client.gone and left <= 0:
            client.gone = f"the client has not answered for {ANSWER:.0f} s"
        if client.gone:
            raise CutOffError(client.gone)
        self._wait(left)
        try:
            _send(client)
            if len(client.unsent) <= MOST_UNSENT:
                _take(client)
        except BlockingIOError:
            pass
        except (StreamError, OSError) as e:
            client.gone = _reason(e)
            raise CutOffError(client.gone) from None

    def _wait(self, seconds: float) -> None:
        """Wait until the socket is ready, or the server is woken up, at most so long."""
        poll = select.poll()
        reading = select.POLLIN if len(self._client.unsent) <= MOST_UNSENT else 0
        poll.register(self._client.socket, reading | (select.POLLOUT if self._client.unsent else 0))
        poll.register(self._wake, select.POLLIN)
        if any(fd == self._wake for fd, _ in poll.poll(seconds * 1000)):
            os.read(self._wake, 4096)
