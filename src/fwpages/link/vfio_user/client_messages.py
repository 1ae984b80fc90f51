"""The messages of vfio-user as a client sends them, and the replies as it reads them; no sockets, no descriptors.

``messages`` has the same messages as a server reads them, and what both need. Numbers are little-endian. A reply that
is none to its request is a ``StreamError``.
Source: the vfio-user protocol specification, version 0.
"""

from __future__ import annotations

import errno
import json
import struct
from dataclasses import dataclass

from fwpages.link.vfio_user import messages as m

#: flags of DEVICE_GET_INFO: the device can be reset, it is a PCI device
RESET, PCI = 1 << 0, 1 << 1


@dataclass(frozen=True, slots=True)
class Reply:
    """The header of a message from the server, and the bytes of its body. ``error`` is an errno, 0 for none."""

    header: m.Header
    body: bytes

    @property
    def error(self) -> int:
        """The errno with which the server refused; 0 where it did not."""
        return (self.header.error or -1) if self.header.flags & m.Flags.ERROR else 0

    @property
    def request(self) -> bool:
        """It is no reply, but a request of the server's own."""
        return not self.header.flags & m.TYPE


@dataclass(frozen=True, slots=True)
class Access:
    """A device's access to memory of the client: it reads ``count`` bytes, or writes ``data`` where there is some."""

    iova: int
    count: int
    data: bytes | None = None


def parse_access(number: int, body: bytes) -> Access:
    """Parse a request of the server's own; m.MessageError where it is none, or malformed.

    The fields are those of the protocol's text: a count of eight bytes, and data from byte 16 on.
    """
    if number not in (m.Type.DMA_READ, m.Type.DMA_WRITE):
        raise m.MessageError(errno.ENOTSUP, f"command {number} is none of a server")
    if len(body) < m.DMA_ACCESS.size:
        raise m.MessageError(errno.EINVAL, f"an access to memory with {len(body)} bytes")
    iova, count = m.DMA_ACCESS.unpack_from(body)
    if count > m.MAX_DATA:
        raise m.MessageError(errno.E2BIG, f"an access to {count} bytes of memory")
    data = body[m.DMA_ACCESS.size :] if number == m.Type.DMA_WRITE else None
    if not count or len(body) - m.DMA_ACCESS.size != (0 if data is None else count):
        raise m.MessageError(errno.EINVAL, f"an access to {count} bytes of memory with {len(body)} bytes")
    return Access(iova, count, data)


def access_reply(access: Access, data: bytes = b"") -> bytes:
    """Make the body of the reply: the same fields, and the bytes that were read."""
    return m.DMA_ACCESS.pack(access.iova, access.count) + data


def version(fds: int) -> bytes:
    """Propose version 0.0, as QEMU does, with room for so many descriptors in a message."""
    caps = {"capabilities": {"max_msg_fds": fds, "max_data_xfer_size": m.MAX_DATA}}
    return m.VERSION.pack(0, 0) + json.dumps(caps).encode() + b"\0"


def read_version(body: bytes) -> None:
    """Check the server's version: major 0. m.StreamError for another one."""
    major, minor = _fields(m.VERSION, body, "VERSION")
    if major:
        raise m.StreamError(f"the server speaks version {major}.{minor}, version 0 is spoken here")


def get_info() -> bytes:
    """Ask for the kind of device."""
    return m.INFO.pack(m.INFO.size, 0, 0, 0)


def read_info(body: bytes) -> int:
    """Return the flags of the device."""
    return _fields(m.INFO, body, "DEVICE_GET_INFO")[1]


def get_region(index: int) -> bytes:
    """Ask for the size of a region."""
    return m.REGION_INFO.pack(m.REGION_INFO.size, 0, index, 0, 0, 0)


def read_region(body: bytes) -> int:
    """Return the bytes of the region, 0 where it does not exist."""
    return _fields(m.REGION_INFO, body, "DEVICE_GET_REGION_INFO")[4]


def get_irqs(index: int) -> bytes:
    """Ask for the number of interrupts of a kind."""
    return m.INFO.pack(m.INFO.size, 0, index, 0)


def read_irqs(body: bytes) -> int:
    """Return the number of interrupts."""
    return _fields(m.INFO, body, "DEVICE_GET_IRQ_INFO")[3]


def set_irqs(index: int, count: int) -> bytes:
    """Let interrupts 0 to ``count`` - 1 signal the eventfds that come with the message."""
    flags = m.Irqs.EVENTFD | m.Irqs.TRIGGER
    return m.SET_IRQS.pack(m.SET_IRQS.size, flags, index, 0, count)


def dma_map(iova: int, offset: int, size: int) -> bytes:
    """Map bytes of the descriptor that comes with the message, for reading and writing."""
    return m.DMA_MAP.pack(m.DMA_MAP.size, m.READABLE | m.WRITABLE, offset, iova, size)


def dma_unmap(iova: int, size: int) -> bytes:
    """Unmap what one ``dma_map`` mapped: the protocol wants the same range."""
    return m.DMA_UNMAP.pack(m.DMA_UNMAP.size, 0, iova, size)


def region_read(region: int, offset: int, count: int) -> bytes:
    """Read bytes of a region."""
    return m.REGION_IO.pack(offset, region, count)


def read_region_read(body: bytes, count: int) -> bytes:
    """Return the bytes that were read; m.StreamError for another number of them."""
    data = body[m.REGION_IO.size :]
    if len(data) != count:
        raise m.StreamError(f"{len(data)} bytes in the reply to a read of {count}")
    return data


def region_write(region: int, offset: int, data: bytes) -> bytes:
    """Write bytes of a region."""
    return m.REGION_IO.pack(offset, region, len(data)) + data


def _fields(layout: struct.Struct, body: bytes, what: str) -> tuple[int, ...]:
    if len(body) < layout.size:
        raise m.StreamError(f"{len(body)} bytes in the reply to {what}, it has {layout.size}")
    return layout.unpack_from(body)
