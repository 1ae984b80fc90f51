"""The conversation of one client with the server: bytes and descriptors in, replies out. No socket.

The reader asks ``need`` how many bytes to read next and feeds exactly those, with the descriptors that came with them.
A message's descriptors come with its own bytes, so no message gets those of another.
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

#: regions of a PCI device by their numbers in VFIO: six BARs, ROM, configuration space, VGA
REGIONS = 9
BAR0, CONFIG = 0, 7


class Endpoint(Protocol):
    """The device behind the server. Accesses lie within their region."""

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
        self.messages = 0
        self.refused = 0

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
        self._buffer.clear()
        return self._message(header, body)

    def close(self) -> None:
        """End the connection: close descriptors of an incomplete message, mappings and eventfds."""
        self._close_fds()
        self._memory.close()
        self._irqs.clear()
        self._buffer.clear()
        self._header = None

    def _close_fds(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def _message(self, header: m.Header, body: bytes) -> bytes:
        self.messages += 1
        try:
            answer = m.reply(header, self._answer(m.parse(header.command, body)))
        except m.MessageError as e:
            self.refused += 1
            if self._on_refusal is not None:
                self._on_refusal(str(e))
            answer = m.error_reply(header, e.errno)
        finally:
            self._close_fds()
        return answer if header.wants_reply else b""

    def _answer(self, request: m.Request) -> bytes:
        if isinstance(request, m.Version):
            return self._version(request)
        if not self._greeted:
            raise m.StreamError("the first message is not VERSION")
        if isinstance(request, m.DmaMap):
            return self._map(request)
        if isinstance(request, m.SetIrqs):
            self._irqs.set(request, self._fds)
            self._fds.clear()
            return b""
        if self._fds:
            raise m.MessageError(errno.EINVAL, f"{len(self._fds)} descriptors with a message that takes none")
        return self._plain(request)

    def _version(self, v: m.Version) -> bytes:
        if self._greeted:
            raise m.StreamError("a second VERSION")
        if v.major != 0:
            raise m.MessageError(errno.ENOTSUP, f"version {v.major}.{v.minor} is not spoken, 0.0 is")
        if self._fds:
            raise m.MessageError(errno.EINVAL, "VERSION with a descriptor")
        self._greeted = True
        return m.version_reply()

    def _map(self, request: m.DmaMap) -> bytes:
        if len(self._fds) > 1:
            raise m.MessageError(errno.EINVAL, f"DMA_MAP with {len(self._fds)} descriptors")
        fd = self._fds.pop() if self._fds else None
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
                done = self._memory.unmap(request.iova, request.size)
                self._changed(Unmapped(request.iova, request.size))
                return m.unmap_reply(request.iova, done)
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
