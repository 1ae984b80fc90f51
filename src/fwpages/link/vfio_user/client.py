"""A vfio-user client: a device behind a UNIX socket, driven from this process. ``fwpages serve`` is such a server.

Theory of operation. A request is sent and its reply awaited, one at a time: an access to a register has to be over
before the next one anyway. Every wait is bounded, whatever comes meanwhile. Memory is one file in RAM; each DMA_MAP
passes its descriptor, so that the server can map it. A server that does not asks for bytes by DMA_READ and DMA_WRITE,
while a reply is awaited or in between. It is answered within what is mapped, and while the device is a bus master: not
before its driver made it one, and not after a reset. Interrupts are eventfds.

A connection that ended, a reply that is none, and a server that does not answer in time are the same for a driver: the
device is out of reach (DeviceError), now and later. That proves nothing for the memory: by the protocol a device keeps
its state when its client has gone, and a server keeps the memory that it mapped.
"""

from __future__ import annotations

import array
import errno
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from fwpages.link.driving.pci_device import DeviceError, Facts, IovaRange
from fwpages.link.driving.setup import BUS_MASTER, COMMAND, enable_msix
from fwpages.link.memory import Bytes
from fwpages.link.vfio_user import client_messages as c
from fwpages.link.vfio_user.connection import BAR0, CONFIG
from fwpages.link.vfio_user.interrupts import MSIX
from fwpages.link.vfio_user.lent_memory import LentMemory
from fwpages.link.vfio_user.listener import receive
from fwpages.link.vfio_user.messages import (
    HEADER_SIZE,
    MAX_FDS,
    Header,
    MessageError,
    StreamError,
    Type,
    command,
    errno_words,
    error_reply,
    parse_header,
    reply,
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
        self._memory: LentMemory | None = None
        #: by its configuration space the device may access memory
        self._master = False
        #: when what is being awaited is late (``time.monotonic``)
        self._late = 0.0
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
        self._late = time.monotonic() + self._timeout
        try:
            self._send(command(self._next, kind, body), fds)
            got = self._reply(kind)
        except TimeoutError:
            raise self._gone(f"the server does not answer {kind.name} in {self._timeout:g} s") from None
        except OSError as e:
            raise self._gone(f"the connection ended at {kind.name}: {e.strerror or e}") from None
        except StreamError as e:
            raise self._gone(str(e)) from None
        if got.error:
            words = errno_words(max(got.error, 0))
            raise DeviceError(f"{self._path}: the server refuses {kind.name}: {words}")
        return got.body

    def _gone(self, why: str) -> DeviceError:
        self._lost = f"{self._path}: {why}"
        return DeviceError(self._lost)

    def _send(self, data: bytes, fds: Sequence[int]) -> None:
        """Send a message whole; descriptors go with its first byte."""
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self._hurry()
        sent = self._socket.sendmsg([data], passed, socket.MSG_NOSIGNAL)
        if sent < len(data):
            self._socket.sendall(data[sent:], socket.MSG_NOSIGNAL)

    def _reply(self, kind: Type) -> c.Reply:
        """Wait for the reply to the request that was sent; requests of the server's own are answered meanwhile."""
        while (got := self._message()).request:
            self._answer(got.header, got.body)
        head = got.header
        if (head.id, head.command) != (self._next, kind):
            raise StreamError(f"a reply to message {head.id}, command {head.command}, came to {kind.name}")
        return got

    def _message(self) -> c.Reply:
        head = parse_header(self._exactly(HEADER_SIZE))
        return c.Reply(head, self._exactly(head.body))

    def _answer(self, head: Header, body: bytes) -> None:
        """Answer a request of the server's own: it may access the memory that is mapped, and nothing else."""
        try:
            answer = reply(head, self._accessed(c.parse_access(head.command, body)))
        except MessageError as e:
            answer = error_reply(head, e.errno)
        if head.wants_reply:
            self._send(answer, ())

    def _accessed(self, access: c.Access) -> bytes:
        """Carry an access to memory out; return the body of its reply. MessageError where it is refused."""
        if not self._master:
            raise MessageError(errno.EPERM, "the device is no bus master")
        if self._memory is not None and access.data is None:
            data = self._memory.read(access.iova, access.count)
            if data is not None:
                return c.access_reply(access, data)
        elif self._memory is not None and access.data is not None and self._memory.write(access.iova, access.data):
            return c.access_reply(access)
        raise MessageError(errno.EFAULT, f"{access.count} bytes at {access.iova:#x} are not mapped")

    def _hurry(self) -> None:
        """Let the socket wait no longer than until the awaited is late; TimeoutError where it is."""
        left = self._late - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            self._hurry()
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
        if offset <= COMMAND < offset + len(data):
            self._master = bool(data[COMMAND - offset] & BUS_MASTER)

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
            self._memory = LentMemory(size)
        except OSError as e:
            raise DeviceError(
                f"{size >> 20} MiB of addresses for DMA memory cannot be had: {e.strerror or e}"
            ) from None
        return self._memory.bytes

    def map(self, iova: int, offset: int, size: int) -> None:
        """As ``PciDevice``; a server that refuses a piece keeps those before it, which ``close`` ends."""
        memory = self._lent()
        for at in range(0, size, PIECE):
            piece = min(PIECE, size - at)
            self._ask(Type.DMA_MAP, c.dma_map(iova + at, offset + at, piece), [memory.fd])
            memory.map(iova + at, offset + at, piece)

    def unmap(self, iova: int, offset: int, size: int) -> None:
        """As ``PciDevice``."""
        memory = self._lent()
        for at in range(0, size, PIECE):
            piece = min(PIECE, size - at)
            self._ask(Type.DMA_UNMAP, c.dma_unmap(iova + at, piece))
            memory.unmap(iova + at, piece)
        memory.discard(offset, size)

    def _lent(self) -> LentMemory:
        if self._memory is None:
            raise ValueError("nothing is allocated, or it is closed: there is no memory to map")
        return self._memory

    def reset(self) -> None:
        """As ``PciDevice``. DeviceError where the server offers no reset."""
        if not self.facts.reset:
            raise DeviceError(f"{self._path}: {self.facts.no_reset}")
        self._ask(Type.DEVICE_RESET)
        self._master = False

    def fileno(self) -> int:
        """Return the socket: between requests it is readable where the connection ends, or the server asks."""
        return self._socket.fileno()

    def trouble(self) -> str:
        """As ``PciDevice``; a request of the server's own is answered."""
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
        return self._asked()

    def _asked(self) -> str:
        """Answer a request of the server's own that came with nothing awaited; return the reason where it is none."""
        self._late = time.monotonic() + self._timeout
        try:
            got = self._message()
            if not got.request:
                raise StreamError(f"a reply to message {got.header.id} that nothing asked for")
            self._answer(got.header, got.body)
        except TimeoutError:
            self._gone(f"the server does not end its request in {self._timeout:g} s")
        except (OSError, StreamError) as e:
            self._gone(str(e))
        return self._lost

    def close(self) -> None:
        """As ``PciDevice``."""
        self._lost = self._lost or f"{self._path}: the device is closed"
        self._socket.close()
        if self._memory is not None:
            self._memory.close()
            self._memory = None
