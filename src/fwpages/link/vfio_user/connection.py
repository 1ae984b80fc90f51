"""The conversation of one client with the server: bytes and descriptors in, replies out. No socket.

The reader asks ``need`` how many bytes to read next and feeds exactly those, with the descriptors that came with them.
A message's descriptors come with its own bytes, so no message gets those of another.

While the device waits for memory that the client keeps to itself (``transfers``), ``feed`` is called again for what the
client sends meanwhile. The reply to the write that set the device going is then sent before anything is waited for.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import Protocol

from fwpages.link.vfio_user import messages as m
from fwpages.link.vfio_user.guest_memory import GuestMemory
from fwpages.link.vfio_user.interrupts import KINDS, Interrupts
from fwpages.link.vfio_user.memory_events import Mapped, MemoryEvent, Unmapped
from fwpages.link.vfio_user.transfers import Line, Transfers

#: regions of a PCI device by their numbers in VFIO: six BARs, ROM, configuration space, VGA
REGIONS = 9
BAR0, CONFIG = 0, 7


class Endpoint(Protocol):
    """The device behind the server. Accesses lie within their region."""

    @property
    def is_cut(self) -> bool:
        """The device is to be reset as soon as it no longer waits for memory."""

    def size(self, region: int) -> int:
        """Return the bytes of a region, 0 where there is none."""

    def read(self, region: int, offset: int, length: int) -> bytes:
        """Read ``length`` bytes."""

    def write(self, region: int, offset: int, data: bytes) -> None:
        """Write bytes."""

    def reset(self) -> None:
        """Reset the function."""


class Connection:
    """One connection, from VERSION to its end. ``on_refusal`` is called with the reason for each refused message.

    ``on_memory`` is called with each map and unmap that the client asked for; not at the end of the connection.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        memory: GuestMemory,
        irqs: Interrupts,
        on_refusal: Callable[[str], None] | None = None,
        on_memory: Callable[[MemoryEvent], None] | None = None,
    ) -> None:
        self._endpoint, self._memory, self._irqs = endpoint, memory, irqs
        self._on_refusal, self._on_memory = on_refusal, on_memory
        self._buffer = bytearray()
        self._header: m.Header | None = None
        self._fds: list[int] = []
        self._greeted = False
        self._transfers: Transfers | None = None
        #: the reply to a write, to be sent before the device waits for the client
        self._early = b""
        #: the reason to end the connection once the replies are sent
        self.over = ""
        self.messages = 0
        self.refused = 0

    def attach(self, line: Line) -> None:
        """Reach memory without a descriptor over this line from now on; before, every access to it fails."""

        def send(data: bytes) -> None:
            early, self._early = self._early, b""
            line.send(early + data)

        self._transfers = Transfers(send, line.receive, lambda: self._endpoint.is_cut)
        self._memory.remote = self._transfers

    @property
    def need(self) -> int:
        """The bytes still missing of the present message; at least 1."""
        whole = m.HEADER_SIZE if self._header is None else self._header.body
        return whole - len(self._buffer)

    @property
    def halfway(self) -> bool:
        """A message is incomplete."""
        return self._header is not None or bool(self._buffer) or bool(self._fds)

    def feed(self, data: bytes, fds: Sequence[int] = (), *, cut: bool = False) -> bytes:
        """Take at most ``need`` bytes, and the descriptors that came with them; return the bytes to send.

        ``cut``: the kernel dropped descriptors that had no room. StreamError where the connection must end; ``close``
        comes next in any case.
        """
        self._fds += fds
        if cut or len(self._fds) > m.MAX_FDS:
            raise m.StreamError(f"a message with more than {m.MAX_FDS} descriptors")
        if len(data) > self.need:
            raise m.StreamError(f"{len(data)} bytes where {self.need} were missing")
        self._buffer += data
        if self.need:
            return b""
        if self._header is None:
            self._header = m.parse_header(bytes(self._buffer))
            self._buffer.clear()
            if self._header.body:
                return b""
        header, body, self._header = self._header, bytes(self._buffer), None
        # what comes while this message is carried out has descriptors of its own
        own, self._fds = self._fds, []
        self._buffer.clear()
        try:
            return self._reply(header, body, own) if header.is_reply else self._message(header, body, own)
        finally:
            for fd in own:
                os.close(fd)

    def close(self) -> None:
        """End the connection: close descriptors of an incomplete message, mappings and eventfds."""
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        self._memory.close()
        self._irqs.clear()
        self._buffer.clear()
        self._header = None

    def _reply(self, header: m.Header, body: bytes, fds: list[int]) -> bytes:
        """Take the reply to a command of the server."""
        if self._transfers is None or not self._transfers.expects(header.id):
            raise m.StreamError(f"message {header.id} is a reply to no command")
        if fds:
            raise m.StreamError(f"message {header.id} is a reply with {len(fds)} descriptors")
        self._transfers.answered(header, body)
        return b""

    def _message(self, header: m.Header, body: bytes, fds: list[int]) -> bytes:
        self.messages += 1
        if self._transfers is not None:
            self._transfers.check()
        try:
            request = m.parse(header.command, body)
            early = _early(header, request)
            self._early = early
            answer = m.reply(header, self._answer(request, fds))
            sent, self._early = early != self._early, b""
            if sent:
                return b""
        except m.MessageError as e:
            self.refused += 1
            if self._on_refusal is not None:
                self._on_refusal(str(e))
            answer = m.error_reply(header, e.errno)
        return answer if header.wants_reply else b""

    def _answer(self, request: m.Request, fds: list[int]) -> bytes:
        """Carry out a request and return the body of its reply. Descriptors that are kept are taken out of ``fds``."""
        if isinstance(request, m.Version):
            return self._version(request, fds)
        if not self._greeted:
            raise m.StreamError("the first message is not VERSION")
        if isinstance(request, m.DmaMap):
            return self._map(request, fds)
        if isinstance(request, m.SetIrqs):
            self._irqs.set(request, fds)
            fds.clear()
            return b""
        if fds:
            raise m.MessageError(errno.EINVAL, f"{len(fds)} descriptors with a message that takes none")
        return self._plain(request)

    def _version(self, v: m.Version, fds: list[int]) -> bytes:
        if self._greeted:
            raise m.StreamError("a second VERSION")
        if v.major != 0:
            self.over = f"the client speaks version {v.major}.{v.minor}, the server 0.0"
            raise m.MessageError(errno.EINVAL, f"version {v.major}.{v.minor} is not spoken, 0.0 is")
        if fds:
            raise m.MessageError(errno.EINVAL, "VERSION with a descriptor")
        self._greeted = True
        if self._transfers is not None:
            self._transfers.limit(v.max_data)
        return m.version_reply(v)

    def _map(self, request: m.DmaMap, fds: list[int]) -> bytes:
        if len(fds) > 1:
            raise m.MessageError(errno.EINVAL, f"DMA_MAP with {len(fds)} descriptors")
        fd = fds.pop() if fds else None
        self._memory.map(request, fd)
        self._changed(Mapped(request.iova, request.size))
        return b""

    def _changed(self, x: MemoryEvent) -> None:
        if self._on_memory is not None:
            self._on_memory(x)

    def _plain(self, request: m.Request) -> bytes:
        """Answer a message that takes no descriptors."""
        match request:
            case m.DmaUnmap():
                self._memory.unmap(request.iova, request.size)
                self._changed(Unmapped(request.iova, request.size))
                return m.unmap_reply(request)
            case m.GetInfo():
                return m.info_reply(REGIONS, KINDS)
            case m.GetRegionInfo():
                return m.region_info_reply(request.index, self._size(request.index), writable=True)
            case m.GetIrqInfo():
                return m.irq_info_reply(request.index, self._irqs.count(request.index))
            case m.RegionRead():
                self._within(request.region, request.offset, request.count)
                return m.read_reply(request, self._endpoint.read(request.region, request.offset, request.count))
            case m.RegionWrite():
                self._within(request.region, request.offset, len(request.data))
                self._endpoint.write(request.region, request.offset, request.data)
                return m.write_reply(request)
            case _:
                self._endpoint.reset()
                return b""

    def _size(self, region: int) -> int:
        if region >= REGIONS:
            raise m.MessageError(errno.EINVAL, f"there is no region {region}")
        return self._endpoint.size(region)

    def _within(self, region: int, offset: int, count: int) -> None:
        size = self._size(region)
        if offset + count > size:
            raise m.MessageError(errno.EINVAL, f"{count} bytes at {offset:#x} of region {region} of {size:#x} bytes")


def _early(header: m.Header, request: m.Request) -> bytes:
    """Return the whole reply to a write, which depends on nothing; empty for another request."""
    if not isinstance(request, m.RegionWrite) or not header.wants_reply:
        return b""
    return m.reply(header, m.write_reply(request))
