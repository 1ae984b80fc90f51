"""The messages of vfio-user as bytes and as values; no sockets, no descriptors.

Every message starts with a header of 16 bytes; numbers are little-endian. A message from a client either becomes a
value whose lengths, ranges and sums are valid, or is refused: ``MessageError`` where an error reply answers it,
``StreamError`` where the stream itself is out of step and the connection ends.
Source: the vfio-user protocol specification, version 0, in the form that QEMU 10.1 and later sends.
"""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TypeAlias

HEADER_SIZE = 16
#: most bytes of one region access or one transfer without a descriptor
MAX_DATA = 1 << 20
#: the largest errno of Linux (``MAX_ERRNO``)
MOST_ERRNO = 4095
#: most descriptors in one message
MAX_FDS = 8
#: a message has at most this many bytes, header included: the largest access and room for its fields
MAX_MESSAGE = MAX_DATA + 4096
#: most bytes of the capabilities in a version message
MAX_VERSION = 4096
#: DMA ranges that one client may have mapped at a time: the kernel's own default for a VFIO container
MAX_MAPS = 65535

HEADER = struct.Struct("<HHIII")
VERSION = struct.Struct("<HH")
DMA_MAP = struct.Struct("<IIQQQ")
DMA_UNMAP = struct.Struct("<IIQQ")
INFO = struct.Struct("<IIII")
REGION_INFO = struct.Struct("<IIIIQQ")
SET_IRQS = struct.Struct("<IIIII")
REGION_IO = struct.Struct("<QII")
DMA_ACCESS = struct.Struct("<QQ")


class Type(IntEnum):
    """``command`` of a header."""

    VERSION = 1
    DMA_MAP = 2
    DMA_UNMAP = 3
    DEVICE_GET_INFO = 4
    DEVICE_GET_REGION_INFO = 5
    DEVICE_GET_IRQ_INFO = 7
    DEVICE_SET_IRQS = 8
    REGION_READ = 9
    REGION_WRITE = 10
    DMA_READ = 11
    DMA_WRITE = 12
    DEVICE_RESET = 13


class Flags(IntFlag):
    """``flags`` of a header: the type of message in the lowest four bits, then these."""

    REPLY = 1 << 0
    NO_REPLY = 1 << 4
    ERROR = 1 << 5


class Irqs(IntFlag):
    """``flags`` of DEVICE_SET_IRQS."""

    NONE = 1 << 0
    BOOL = 1 << 1
    EVENTFD = 1 << 2
    MASK = 1 << 3
    UNMASK = 1 << 4
    TRIGGER = 1 << 5


#: the bits of a header's flags that say the type of message
TYPE = 0xF

_DATA = Irqs.NONE | Irqs.BOOL | Irqs.EVENTFD
_ACTION = Irqs.MASK | Irqs.UNMASK | Irqs.TRIGGER

READABLE, WRITABLE = 1, 2
_UNMAP_ALL = 1 << 1
_TOP = 1 << 64


class MessageError(ValueError):
    """A message that is answered with an error reply; ``errno`` is what the reply says."""

    def __init__(self, number: int, words: str) -> None:
        super().__init__(words)
        self.errno = number


class StreamError(ValueError):
    """The bytes are no message, or not one for this point: the rest cannot be trusted, and the connection ends."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first 16 bytes. ``size`` counts the whole message, header included."""

    id: int
    command: int
    size: int
    flags: int
    error: int = 0

    @property
    def body(self) -> int:
        """Bytes that follow the header."""
        return self.size - HEADER_SIZE

    @property
    def wants_reply(self) -> bool:
        """The client waits for a reply."""
        return not self.flags & Flags.NO_REPLY

    @property
    def is_reply(self) -> bool:
        """It answers a command of the server."""
        return self.flags & TYPE == Flags.REPLY

    @property
    def failed(self) -> bool:
        """The command that it answers failed."""
        return bool(self.flags & Flags.ERROR)


@dataclass(frozen=True, slots=True)
class Version:
    """The version that a client proposes, and the names of the capabilities that it lists.

    It takes ``max_fds`` descriptors in one message, and ``max_data`` bytes in one transfer.
    """

    major: int
    minor: int
    max_fds: int = 1
    max_data: int = MAX_DATA
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DmaMap:
    """Map ``size`` bytes at ``iova``, from ``offset`` of the descriptor, where there is one."""

    iova: int
    size: int
    offset: int
    readable: bool
    writable: bool


@dataclass(frozen=True, slots=True)
class DmaUnmap:
    """Unmap a range of I/O addresses; all of them where ``size`` is 0."""

    iova: int
    size: int


@dataclass(frozen=True, slots=True)
class GetInfo:
    """Ask for the kind of the device."""


@dataclass(frozen=True, slots=True)
class GetRegionInfo:
    """Ask for the size and the access flags of region ``index``. ``argsz``: bytes that the reply may take."""

    index: int
    argsz: int


@dataclass(frozen=True, slots=True)
class GetIrqInfo:
    """Ask for the number of interrupts of kind ``index``."""

    index: int


@dataclass(frozen=True, slots=True)
class SetIrqs:
    """Set or clear eventfds of interrupts ``start`` to ``start + count`` of kind ``index``, mask or raise them.

    ``states`` has one byte for each where the message carries booleans.
    """

    index: int
    start: int
    count: int
    data: Irqs
    action: Irqs
    states: bytes = b""


@dataclass(frozen=True, slots=True)
class RegionRead:
    """Read ``count`` bytes of a region."""

    region: int
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class RegionWrite:
    """Write bytes of a region."""

    region: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the function."""


Request: TypeAlias = (
    Version | DmaMap | DmaUnmap | GetInfo | GetRegionInfo | GetIrqInfo | SetIrqs | RegionRead | RegionWrite | Reset
)


def parse_header(buf: bytes) -> Header:
    """Parse the header of a command or a reply. StreamError for other types, invalid sizes, or other than 16 bytes."""
    if len(buf) != HEADER_SIZE:
        raise StreamError(f"a header has {HEADER_SIZE} bytes, this has {len(buf)}")
    h = Header(*HEADER.unpack(buf))
    if h.flags & TYPE not in (0, Flags.REPLY):
        raise StreamError(f"message {h.id} is of type {h.flags & TYPE}, which is neither a command nor a reply")
    if not HEADER_SIZE <= h.size <= MAX_MESSAGE:
        raise StreamError(f"message {h.id} says that it has {h.size} bytes, {HEADER_SIZE} to {MAX_MESSAGE} can be")
    return h


def command(number: int, what: Type, body: bytes) -> bytes:
    """Make a command of the server."""
    return HEADER.pack(number, what, HEADER_SIZE + len(body), 0, 0) + body


def reply(h: Header, body: bytes = b"") -> bytes:
    """Make the reply to this command."""
    return HEADER.pack(h.id, h.command, HEADER_SIZE + len(body), Flags.REPLY, 0) + body


def error_reply(h: Header, number: int) -> bytes:
    """Make the reply that the command failed with an ``errno``."""
    return HEADER.pack(h.id, h.command, HEADER_SIZE, Flags.REPLY | Flags.ERROR, number)


def errno_words(number: int) -> str:
    """Return the words for an errno from a reply: the field is optional, and may be any number of 32 bits."""
    if not number:
        return "no reason given"
    return os.strerror(number) if number <= MOST_ERRNO else f"error {number}"


def _fixed(layout: struct.Struct, body: bytes, what: str, *, exact: bool = True) -> tuple[int, ...]:
    if len(body) < layout.size or (exact and len(body) != layout.size):
        raise MessageError(errno.EINVAL, f"{what} has {layout.size} bytes, this has {len(body)}")
    return layout.unpack_from(body)


def _version(body: bytes) -> Version:
    major, minor = _fixed(VERSION, body, "VERSION", exact=False)
    text = body[VERSION.size :]
    if len(text) > MAX_VERSION:
        raise MessageError(errno.E2BIG, f"{len(text)} bytes of capabilities, {MAX_VERSION} at most")
    if not text:
        return Version(major, minor)
    if text[-1] or b"\0" in text[:-1]:
        raise MessageError(errno.EINVAL, "capabilities are one text that ends with a NUL")
    caps = _capabilities(text[:-1])
    return Version(major, minor, caps.get("max_msg_fds", 1), caps.get("max_data_xfer_size", MAX_DATA), frozenset(caps))


#: the capabilities that are numbers, and the least and most that each can be
_NUMBERS = {
    "max_msg_fds": (0, (1 << 16) - 1),
    "max_data_xfer_size": (1, (1 << 64) - 1),
    "max_dma_maps": (0, (1 << 64) - 1),
    "pgsizes": (1, (1 << 64) - 1),
}
#: the capabilities of other types
_OTHERS: dict[str, type] = {"twin_socket": dict, "write_multiple": bool}


def _capabilities(text: bytes) -> dict[str, int]:
    """Return the capabilities that are numbers, from JSON. MessageError where one is of another type than its own.

    Names that the protocol's text does not have, as ``migration``, are ignored.
    """
    try:
        proposed = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise MessageError(errno.EINVAL, f"capabilities are not JSON: {e}") from None
    caps = proposed.get("capabilities", {}) if isinstance(proposed, dict) else None
    if not isinstance(caps, dict):
        raise MessageError(errno.EINVAL, "capabilities hold a table of this name")
    for name, kind in _OTHERS.items():
        if name in caps and not isinstance(caps[name], kind):
            raise MessageError(errno.EINVAL, f"capability {name} is of another type: {caps[name]!r:.40}")
    return {name: _number(name, caps[name]) for name in _NUMBERS if name in caps}


def _number(name: str, value: object) -> int:
    least, most = _NUMBERS[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise MessageError(errno.EINVAL, f"capability {name} is a number from {least}, not {value!r:.40}")
    return value


def _dma_map(body: bytes) -> DmaMap:
    argsz, flags, offset, iova, size = _fixed(DMA_MAP, body, "DMA_MAP")
    if argsz < DMA_MAP.size:
        raise MessageError(errno.EINVAL, f"DMA_MAP with argsz {argsz}")
    if flags & ~(READABLE | WRITABLE):
        raise MessageError(errno.EINVAL, f"DMA_MAP with flags {flags:#x}")
    if not size or iova + size > _TOP or offset + size > 1 << 63:
        raise MessageError(errno.EINVAL, f"DMA_MAP of {size:#x} bytes at {iova:#x} from {offset:#x}")
    return DmaMap(iova, size, offset, bool(flags & READABLE), bool(flags & WRITABLE))


def _dma_unmap(body: bytes) -> DmaUnmap:
    argsz, flags, iova, size = _fixed(DMA_UNMAP, body, "DMA_UNMAP", exact=False)
    if argsz < DMA_UNMAP.size:
        raise MessageError(errno.EINVAL, f"DMA_UNMAP with argsz {argsz}")
    if flags & ~_UNMAP_ALL or len(body) != DMA_UNMAP.size:
        raise MessageError(errno.EINVAL, f"DMA_UNMAP with flags {flags:#x} and {len(body)} bytes")
    if (not size or iova + size > _TOP) if not flags else (iova or size):
        raise MessageError(errno.EINVAL, f"DMA_UNMAP of {size:#x} bytes at {iova:#x} with flags {flags:#x}")
    return DmaUnmap(iova, size)


def _get_info(body: bytes) -> GetInfo:
    argsz, *_ = _fixed(INFO, body, "DEVICE_GET_INFO")
    if argsz < INFO.size:
        raise MessageError(errno.EINVAL, f"DEVICE_GET_INFO with argsz {argsz}")
    return GetInfo()


def _get_region_info(body: bytes) -> GetRegionInfo:
    argsz, _, index, *_ = _fixed(REGION_INFO, body, "DEVICE_GET_REGION_INFO")
    if argsz < REGION_INFO.size:
        raise MessageError(errno.EINVAL, f"DEVICE_GET_REGION_INFO with argsz {argsz}")
    return GetRegionInfo(index, argsz)


def _get_irq_info(body: bytes) -> GetIrqInfo:
    argsz, _, index, _ = _fixed(INFO, body, "DEVICE_GET_IRQ_INFO")
    if argsz < INFO.size:
        raise MessageError(errno.EINVAL, f"DEVICE_GET_IRQ_INFO with argsz {argsz}")
    return GetIrqInfo(index)


def _set_irqs(body: bytes) -> SetIrqs:
    argsz, flags, index, start, count = _fixed(SET_IRQS, body, "DEVICE_SET_IRQS", exact=False)
    states = body[SET_IRQS.size :]
    _check_irqs(flags, start, count)
    if argsz < SET_IRQS.size or start + count > 1 << 32:
        raise MessageError(errno.EINVAL, f"DEVICE_SET_IRQS with argsz {argsz}, {count} from {start}")
    if len(states) != (count if flags & Irqs.BOOL else 0):
        raise MessageError(errno.EINVAL, f"DEVICE_SET_IRQS of {count} with {len(states)} bytes of data")
    return SetIrqs(index, start, count, Irqs(flags & _DATA), Irqs(flags & _ACTION), states)


def _check_irqs(flags: int, start: int, count: int) -> None:
    """MessageError where the flags are not those of one thing to do; of no interrupt, that is to disarm all."""
    if flags & ~(_DATA | _ACTION) or (flags & _DATA).bit_count() != 1 or (flags & _ACTION).bit_count() != 1:
        raise MessageError(errno.EINVAL, f"DEVICE_SET_IRQS with flags {flags:#x}")
    if not count and (start or flags != Irqs.NONE | Irqs.TRIGGER):
        raise MessageError(errno.EINVAL, f"DEVICE_SET_IRQS of none from {start} with flags {flags:#x}")


def _region_io(body: bytes, what: str, *, exact: bool) -> tuple[int, int, int]:
    offset, region, count = _fixed(REGION_IO, body, what, exact=exact)
    if not count or count > MAX_DATA or offset + count > _TOP:
        raise MessageError(errno.EINVAL, f"{what} of {count} bytes at {offset:#x}")
    return region, offset, count


def _region_read(body: bytes) -> RegionRead:
    return RegionRead(*_region_io(body, "REGION_READ", exact=True))


def _region_write(body: bytes) -> RegionWrite:
    region, offset, count = _region_io(body, "REGION_WRITE", exact=False)
    if len(body) != REGION_IO.size + count:
        raise MessageError(errno.EINVAL, f"REGION_WRITE of {count} bytes with {len(body) - REGION_IO.size}")
    return RegionWrite(region, offset, body[REGION_IO.size :])


def _reset(body: bytes) -> Reset:
    if body:
        raise MessageError(errno.EINVAL, f"DEVICE_RESET with {len(body)} bytes")
    return Reset()


_PARSERS: dict[int, Callable[[bytes], Request]] = {
    Type.VERSION: _version,
    Type.DMA_MAP: _dma_map,
    Type.DMA_UNMAP: _dma_unmap,
    Type.DEVICE_GET_INFO: _get_info,
    Type.DEVICE_GET_REGION_INFO: _get_region_info,
    Type.DEVICE_GET_IRQ_INFO: _get_irq_info,
    Type.DEVICE_SET_IRQS: _set_irqs,
    Type.REGION_READ: _region_read,
    Type.REGION_WRITE: _region_write,
    Type.DEVICE_RESET: _reset,
}


#: commands of the protocol that a server may leave out: file descriptors for regions, several writes in one message,
#: features of the device, and the two for the data of a migration
_OPTIONAL = (6, 15, 16, 17, 18)


def parse(number: int, body: bytes) -> Request:
    """Parse a request; MessageError where it is malformed, or this server does not serve it.

    ENOTSUP is the answer to an optional command, EINVAL to a number that is no command of a client.
    """
    parser = _PARSERS.get(number)
    if parser is None:
        reason = errno.ENOTSUP if number in _OPTIONAL else errno.EINVAL
        raise MessageError(reason, f"command {number} is not served")
    return parser(body)


def version_reply(v: Version) -> bytes:
    """Make the body of the reply to VERSION: 0.0, and the server's limits of the kinds that the client listed.

    0.0 is at most what a client can propose. QEMU refuses a reply of 0.1.
    """
    limits = {"max_msg_fds": MAX_FDS, "max_data_xfer_size": MAX_DATA, "max_dma_maps": MAX_MAPS}
    caps = {"capabilities": {name: limit for name, limit in limits.items() if name in v.names}}
    return VERSION.pack(0, 0) + json.dumps(caps).encode() + b"\0"


def info_reply(regions: int, irqs: int) -> bytes:
    """Describe a PCI device that can be reset, with so many regions and kinds of interrupts."""
    return INFO.pack(INFO.size, 0b11, regions, irqs)


def region_info_reply(index: int, size: int, *, writable: bool) -> bytes:
    """Describe a region of ``size`` bytes that only messages can access; 0 where there is none."""
    flags = READABLE | (WRITABLE if writable else 0) if size else 0
    return REGION_INFO.pack(REGION_INFO.size, flags, index, 0, size, 0)


def irq_info_reply(index: int, count: int) -> bytes:
    """Describe ``count`` interrupts, signalled by eventfds; their number does not change."""
    return INFO.pack(INFO.size, 0b1001 if count else 0, index, count)


def unmap_reply(request: DmaUnmap) -> bytes:
    """Confirm that these bytes are unmapped: the request once more."""
    flags = 0 if request.size else _UNMAP_ALL
    return DMA_UNMAP.pack(DMA_UNMAP.size, flags, request.iova, request.size)


def read_reply(request: RegionRead, data: bytes) -> bytes:
    """Make the reply with the bytes that were read."""
    return REGION_IO.pack(request.offset, request.region, len(data)) + data


def write_reply(request: RegionWrite) -> bytes:
    """Confirm a write."""
    return REGION_IO.pack(request.offset, request.region, len(request.data))
