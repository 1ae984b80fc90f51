"""Guest memory that a client keeps to itself: the device asks the client to read and write it, message by message.

Theory of operation. A range that a client maps without a descriptor is reached by DMA_READ and DMA_WRITE: commands of
the server, which the client answers on the same socket. A device waits for each answer. Meanwhile the client goes on:
it may read registers, ring doorbells, unmap memory or reset the device, and it may need the answers before it can give
its own, as QEMU does, whose processors hold its lock while they wait. So the line behind a transfer serves every other
message that comes in between, one after the other. A reset in between, or the end of the client, cuts the transfer off
(``CutOffError``): the device does not touch memory again before the reset is carried out.

There are two layouts of these messages. The protocol's text has a count of eight bytes, and data from byte 16 on.
QEMU (10.1 to 11.1, ``VFIOUserDMARW``) has a count of four bytes, data from byte 12 on, and four unused bytes at the
end. The lengths are equal. The first answer with bytes that only one of them can have settles which a client uses: the
upper half of a count of eight bytes is 0, and so are the unused bytes. A device begins with a command queue entry,
which has such bytes: its type at the beginning, its owner at the end.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Protocol

from fwpages.link.bus import BusError
from fwpages.link.vfio_user.messages import DMA_ACCESS, MAX_DATA, Header, StreamError, Type, command, errno_words

#: answers that a reset made nobody wait for, and that may still come; a client that owes more of them gives none
MOST_OWED = 256

_SHORT = struct.Struct("<QI")
#: bytes by which the layouts differ: the upper half of a count, or what is unused at the end
_GAP = 4


class CutOffError(Exception):
    """A transfer that the device waits for no longer: it is to be reset, or the client is gone."""


class Line(Protocol):
    """The way to a client. Other messages of the client are served while ``receive`` waits."""

    def send(self, data: bytes) -> None:
        """Send bytes; an answer to them is waited for from now on."""

    def receive(self) -> None:
        """Wait for a part of a message and feed it to the connection. CutOffError where none will come."""


class Layout(Enum):
    """Where the data is in a message: as in the protocol's text, or as QEMU has it."""

    TEXT = "text"
    SHORT = "short"


class Transfers:
    """DMA by messages: ``send`` and ``receive`` are those of a ``Line``, ``is_cut`` returns whether a reset waits.

    ``layout`` is None until an answer has shown it; until then writes go by the protocol's text.
    """

    def __init__(self, send: Callable[[bytes], None], receive: Callable[[], None], is_cut: Callable[[], bool]) -> None:
        self._send, self._receive, self._is_cut = send, receive, is_cut
        self._most = MAX_DATA
        self._next = 0
        self._awaited: int | None = None
        self._answer: tuple[Header, bytes] | None = None
        self._owed: set[int] = set()
        self.layout: Layout | None = None
        #: messages sent
        self.sent = 0

    def limit(self, most: int) -> None:
        """Transfer at most so many bytes in a message from now on: the client takes no more."""
        self._most = min(most, MAX_DATA)

    # -- the device's side --------------------------------------------------------------------------------------------

    def read(self, iova: int, length: int) -> bytes:
        """Read bytes of the client's memory. BusError where the client refuses, CutOffError where it is cut off."""
        return b"".join(self._read(at, n) for at, n in self._pieces(iova, length))

    def write(self, iova: int, data: memoryview) -> None:
        """Write bytes into the client's memory. BusError where the client refuses, CutOffError where it is cut off."""
        for at, n in self._pieces(iova, len(data)):
            part = bytes(data[at - iova : at - iova + n])
            short = self.layout is Layout.SHORT
            body = _SHORT.pack(at, n) + part + bytes(_GAP) if short else DMA_ACCESS.pack(at, n) + part
            self._ask(Type.DMA_WRITE, at, n, body)

    def _pieces(self, iova: int, length: int) -> Iterator[tuple[int, int]]:
        for at in range(iova, iova + length, self._most):
            yield at, min(self._most, iova + length - at)

    def _read(self, iova: int, n: int) -> bytes:
        answer = self._raw(iova, n)
        if self.layout is None and any(answer):
            self._settle(iova, n, answer)
        return answer[:n] if self.layout is Layout.SHORT else answer[_GAP:]

    def _raw(self, iova: int, n: int) -> bytes:
        """Return the answer's bytes from where the layouts begin to differ: ``n`` and ``_GAP`` more."""
        body = self._ask(Type.DMA_READ, iova, n, DMA_ACCESS.pack(iova, n))
        if len(body) != DMA_ACCESS.size + n or _SHORT.unpack_from(body) != (iova, n):
            raise BusError(f"the client answered DMA_READ of {n} bytes at {iova:#x} with {len(body)} bytes for others")
        answer = body[_SHORT.size :]
        if self.layout is None and any(answer[:_GAP]):
            self.layout = Layout.SHORT
        elif self.layout is None and any(answer[-_GAP:]):
            self.layout = Layout.TEXT
        return answer

    def _settle(self, iova: int, n: int, answer: bytes) -> None:
        """Find the layout of an answer that both fit, by bytes that are not 0 under one of them."""
        first = next(at for at, byte in enumerate(answer[_GAP:]) if byte)
        for at in (first, first + _GAP):
            if self.layout is None:
                self._raw(iova + max(0, min(at, n - _GAP)), min(n, _GAP))

    # -- the client's side --------------------------------------------------------------------------------------------

    def expects(self, number: int) -> bool:
        """Return whether a reply with this message id answers a command that was sent."""
        return number == self._awaited or number in self._owed

    def answered(self, header: Header, body: bytes) -> None:
        """Take a reply; one that nobody waits for any longer is dropped."""
        if header.id == self._awaited:
            self._awaited, self._answer = None, (header, body)
        else:
            self._owed.discard(header.id)

    def _ask(self, what: Type, iova: int, n: int, body: bytes) -> bytes:
        """Send a command and return the body of its reply, once it is there."""
        while self.expects(self._next):
            self._next = (self._next + 1) & 0xFFFF
        number = self._awaited = self._next
        self._next = (self._next + 1) & 0xFFFF
        self.sent += 1
        self._send(command(number, what, body))
        try:
            while self._answer is None:
                self._receive()
                if self._is_cut():
                    raise CutOffError("the device is to be reset")
            header, answer = self._answer
        except CutOffError:
            self._give_up(number)
            raise
        finally:
            self._answer = None
        if header.command != what:
            raise BusError(f"the client answered {what.name} with a reply to command {header.command}")
        if header.failed:
            raise BusError(f"the client refused {what.name} of {n} bytes at {iova:#x}: {errno_words(header.error)}")
        return answer

    def _give_up(self, number: int) -> None:
        """Remember an answer that may still come."""
        if self._awaited == number:
            self._awaited = None
            self._owed.add(number)

    def check(self) -> None:
        """Raise StreamError where the client owes more answers than any that gives some."""
        if len(self._owed) > MOST_OWED:
            raise StreamError(f"{len(self._owed)} commands of the server are not answered")
