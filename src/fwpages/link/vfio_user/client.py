"""A vfio-user client: a device behind a UNIX socket, driven from this process. ``fwpages serve`` is such a server.

Theory of operation. A request is sent and its reply awaited, one at a time: an access to a register has to be over
before the next one anyway. Every wait is bounded. Memory is one sparse file in RAM, sealed so that it cannot shrink;
each DMA_MAP passes its descriptor, so that the server reaches the memory by itself and asks for nothing. Interrupts are
eventfds.

A connection that ended, a reply that is none, and a server that does not answer in time are the same for a driver: the
device is out of reach (DeviceError), now and later. That proves nothing for the memory: by the protocol a device keeps
its state when its client has gone, and a server keeps the memory that it mapped.
"""

from __future__ import annotations

import array
import errno
import fcntl
import mmap
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from fwpages.link.driving.pci_device import DeviceError, Facts, IovaRange
from fwpages.link.driving.setup import enable_msix
from fwpages.link.memory import Bytes
from fwpages.link.vfio_user import client_messages as c
from fwpages.link.vfio_user.connection import BAR0, CONFIG
from fwpages.link.vfio_user.interrupts import MSIX
from fwpages.link.vfio_user.listener import receive
from fwpages.link.vfio_user.messages import (
    HEADER_SIZE,
    MAX_FDS,
    StreamError,
    Type,
    command,
    errno_words,
    error_reply,
    parse_header,
)

#: seconds for a reply: a server may carry out a command of 50,000 pages inside a write of the doorbell
REPLY = 30.0
#: bytes of one DMA_MAP: a server that judges what its client lets go of sees it range by range
PIECE = 2 << 20
#: I/O addresses of a device without an I/O memory management unit in the way: what 48 bits can name
_RANGES = (IovaRange(0, (1 << 48) - 1),)


class VfioUserDevice:
    """The device that a server at ``path`` serves, from the connection on. DeviceError where there is none.

    ``timeout`` is the seconds that a reply may take. It is a ``PciDevice``.
    """

    ranges: Sequence[IovaRange] = _RANGES

    def __init__(self, path: Path, timeout: float = REPLY) -> None:
        self._path, self._timeout = path, timeout
        self._next = 0
        self._lost = ""
        self._file = -1
        self._map: mmap.mmap | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(timeout)
        try:
            self._connect()
            self.facts = self._begin()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        try:
            self._socket.connect(str(self._path))
        except FileNotFoundError:
            raise DeviceError(
                f"{self._path}: there is no socket; start `fwpages serve --socket {self._path}`"
            ) from None
        except ConnectionRefusedError:
            raise DeviceError(f"{self._path}: no server listens there any more; start it anew") from None
        except OSError as e:
            raise DeviceError(f"{self._path}: {e.strerror or e}") from None

    def _begin(self) -> Facts:
        try:
            c.read_version(self._ask(Type.VERSION, c.version(MAX_FDS)))
            flags = c.read_info(self._ask(Type.DEVICE_GET_INFO, c.get_info()))
            size = c.read_region(self._ask(Type.DEVICE_GET_REGION_INFO, c.get_region(BAR0)))
            vectors = c.read_irqs(self._ask(Type.DEVICE_GET_IRQ_INFO, c.get_irqs(MSIX)))
        except StreamError as e:
            raise self._gone(str(e)) from None
        if not flags & c.PCI or not size or not vectors:
            raise DeviceError(f"{self._path}: no PCI device with a BAR 0 and MSI-X is served there")
        name = str(self._path)
        if flags & c.RESET:
            return Facts(name, "vfio-user", reset="DEVICE_RESET")
        return Facts(name, "vfio-user", reset="", no_reset="the server says that its device cannot be reset")

    # -- messages -----------------------------------------------------------------------------------------------------

    def _ask(self, kind: Type, body: bytes = b"", fds: Sequence[int] = ()) -> bytes:
        """Send a request and return the body of its reply. DeviceError where it is refused, or none comes."""
        if self._lost:
            raise DeviceError(self._lost)
        self._next = self._next % 0xFFFF + 1
        try:
            self._send(command(self._next, kind, body), fds)
            reply = self._reply(kind)
        except TimeoutError:
            raise self._gone(f"the server does not answer {kind.name} in {self._timeout:g} s") from None
        except OSError as e:
            raise self._gone(f"the connection ended at {kind.name}: {e.strerror or e}") from None
        except StreamError as e:
            raise self._gone(str(e)) from None
        if reply.error:
            words = errno_words(max(reply.error, 0))
            raise DeviceError(f"{self._path}: the server refuses {kind.name}: {words}")
        return reply.body

    def _gone(self, why: str) -> DeviceError:
        self._lost = f"{self._path}: {why}"
        return DeviceError(self._lost)

    def _send(self, data: bytes, fds: Sequence[int]) -> None:
        """Send a message whole; descriptors go with its first byte."""
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self._socket.sendmsg([data], passed, socket.MSG_NOSIGNAL)
        if sent < len(data):
            self._socket.sendall(data[sent:], socket.MSG_NOSIGNAL)

    def _reply(self, kind: Type) -> c.Reply:
        """Wait for the reply to the request that was sent; requests of the server's own are refused."""
        while True:
            head = parse_header(self._exactly(HEADER_SIZE))
            reply = c.Reply(head, self._exactly(head.body))
            if not reply.request:
                break
            self._send(error_reply(head, errno.ENOTSUP), ())
        if (head.id, head.command) != (self._next, kind):
            raise StreamError(f"a reply to message {head.id}, command {head.command}, came to {kind.name}")
        return reply

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            more, fds, _ = receive(self._socket, length - len(data))
            for fd in fds:
                os.close(fd)
            if not more:
                raise StreamError("the server has closed the connection")
            data += more
        return bytes(data)

    # -- the device ---------------------------------------------------------------------------------------------------

    def config_read(self, offset: int, length: int) -> bytes:
        """As ``PciDevice``."""
        return self._read(CONFIG, offset, length)

    def config_write(self, offset: int, data: bytes) -> None:
        """As ``PciDevice``."""
        self._ask(Type.REGION_WRITE, c.region_write(CONFIG, offset, data))

    def bar_read(self, offset: int) -> bytes:
        """As ``PciDevice``."""
        return self._read(BAR0, offset, 4)

    def bar_write(self, offset: int, word: bytes) -> None:
        """As ``PciDevice``."""
        if len(word) != 4:
            raise ValueError(f"a register has 4 bytes, not {len(word)}")
        self._ask(Type.REGION_WRITE, c.region_write(BAR0, offset, word))

    def _read(self, region: int, offset: int, length: int) -> bytes:
        body = self._ask(Type.REGION_READ, c.region_read(region, offset, length))
        try:
            return c.read_region_read(body, length)
        except StreamError as e:
            raise self._gone(str(e)) from None

    def arm(self, eventfds: Sequence[int]) -> None:
        """As ``PciDevice``; MSI-X is switched on in the configuration space."""
        self._ask(Type.DEVICE_SET_IRQS, c.set_irqs(MSIX, len(eventfds)), eventfds)
        enable_msix(self)

    def allocate(self, size: int) -> Bytes:
        """As ``PciDevice``; a sparse file, sealed so that the server can map it for good."""
        try:
            self._file = os.memfd_create("fwpages", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.truncate(self._file, size)
            fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            self._map = mmap.mmap(self._file, size)
        except OSError as e:
            raise DeviceError(
                f"{size >> 20} MiB of addresses for DMA memory cannot be had: {e.strerror or e}"
            ) from None
        return np.frombuffer(self._map, np.uint8)

    def map(self, iova: int, offset: int, size: int) -> None:
        """As ``PciDevice``; a server that refuses a piece keeps those before it, which ``close`` ends."""
        for at in range(0, size, PIECE):
            self._ask(Type.DMA_MAP, c.dma_map(iova + at, offset + at, min(PIECE, size - at)), [self._file])

    def unmap(self, iova: int, offset: int, size: int) -> None:
        """As ``PciDevice``."""
        for at in range(0, size, PIECE):
            self._ask(Type.DMA_UNMAP, c.dma_unmap(iova + at, min(PIECE, size - at)))
        if self._map is not None:
            self._map.madvise(mmap.MADV_REMOVE, offset, size)

    def reset(self) -> None:
        """As ``PciDevice``. DeviceError where the server offers no reset."""
        if not self.facts.reset:
            raise DeviceError(f"{self._path}: {self.facts.no_reset}")
        self._ask(Type.DEVICE_RESET)

    def fileno(self) -> int:
        """Return the socket: between requests it is readable only where the connection ends, or a server asks."""
        return self._socket.fileno()

    def trouble(self) -> str:
        """As ``PciDevice``; requests of the server's own are refused."""
        if self._lost:
            return self._lost
        self._socket.setblocking(False)
        try:
            if not self._socket.recv(1, socket.MSG_PEEK):
                self._gone("the server has closed the connection")
                return self._lost
        except BlockingIOError:
            return ""
        except OSError as e:
            self._gone(f"the connection ended: {e.strerror or e}")
            return self._lost
        finally:
            self._socket.settimeout(self._timeout)
        return self._served()

    def _served(self) -> str:
        """Refuse a request of the server's own."""
        try:
            head = parse_header(self._exactly(HEADER_SIZE))
            self._exactly(head.body)
            if not c.Reply(head, b"").request:
                raise StreamError(f"a reply to message {head.id} that nothing asked for")
            self._send(error_reply(head, errno.ENOTSUP), ())
        except (OSError, StreamError) as e:
            self._gone(str(e))
        return self._lost

    def close(self) -> None:
        """As ``PciDevice``."""
        self._lost = self._lost or f"{self._path}: the device is closed"
        self._socket.close()
        if self._map is not None:
            # arrays over it may be in use still: the memory goes with the last of them
            with suppress(BufferError):
                self._map.close()
            self._map = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
