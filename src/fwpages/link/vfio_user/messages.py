"""The messages of vfio-user as bytes and as values; no sockets, no descriptors.

Every message starts with a header of 16 bytes; numbers are little-endian. Whatever a client sends either becomes a
value whose lengths, ranges and sums are in order, or is refused: ``MessageError`` where an error reply answers it,
``StreamError`` where the stream itself is out of step and the connection ends.
Source: the vfio-user protocol specification, version 0; PROTOCOL.md, "vfio-user, as QEMU ≥ 10.1 speaks it".
"""

from __future__ import annotations

import errno
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TypeAlias

HEADER_SIZE = 16
#: bytes of one region access or one descriptor-less transfer that are offered and kept to
MAX_DATA = 1 << 20
#: descriptors in one message that are offered and kept to
MAX_FDS = 8
#: a message has at most this many bytes, header included: the largest access and room for its fields
MAX_MESSAGE = MAX_DATA + 4096
#: the text of capabilities in a version message
MAX_VERSION = 4096
#: DMA ranges that one client may have mapped at a time: the kernel's own default for a VFIO container
MAX_MAPS = 65535

_HEADER = struct.Struct("<HHIII")
_VERSION = struct.Struct("<HH")
_DMA_MAP = struct.Struct("<IIQQQ")
_DMA_UNMAP = struct.Struct("<IIQQ")
_INFO = struct.Struct("<IIII")
_REGION_INFO = struct.Struct("<IIIIQQ")
_SET_IRQS = struct.Struct("<IIIII")
_REGION_IO = struct.Struct("<QII")


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
    """What came cannot be a message, or not at this point: nothing after it can be trusted, the connection ends."""


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
        """The client waits for an answer."""
        return not self.flags & Flags.NO_REPLY


@dataclass(frozen=True, slots=True)
class Version:
    """What a client proposes. ``max_fds`` is how many descriptors it takes in one message."""

    major: int
    minor: int
    max_fds: int = 1


@dataclass(frozen=True, slots=True)
class DmaMap:
    """A range becomes reachable: ``size`` bytes at ``iova``, from ``offset`` of the descriptor, where there is one."""

    iova: int
    size: int
    offset: int
    readable: bool
    writable: bool


@dataclass(frozen=True, slots=True)
class DmaUnmap:
    """A range of I/O addresses is reachable no more; all of them where ``size`` is 0."""

    iova: int
    size: int


@dataclass(frozen=True, slots=True)
class GetInfo:
    """What kind of device is this?"""


@dataclass(frozen=True, slots=True)
class GetRegionInfo:
    """How large is region ``index``, and what may be done with it? ``argsz``: bytes that the answer may take."""

    index: int
    argsz: int


@dataclass(frozen=True, slots=True)
class GetIrqInfo:
    """How many interrupts of kind ``index`` are there?"""

    index: int


@dataclass(frozen=True, slots=True)
class SetIrqs:
    """Interrupts ``start`` to ``start + count`` of kind ``index`` get or lose eventfds, are masked, or are raised.

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
    """Read ``count`` bytes."""

    region: int
    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class RegionWrite:
    """Write these bytes."""

    region: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Reset:
    """A function-level reset."""


Request: TypeAlias = (
    Version | DmaMap | DmaUnmap | GetInfo | GetRegionInfo | GetIrqInfo | SetIrqs | RegionRead | RegionWrite | Reset
)


def parse_header(buf: bytes) -> Header:
    """The header of a command. StreamError for a reply, a size that cannot be, or other than 16 bytes."""
    if len(buf) != HEADER_SIZE:
        raise StreamError(f"a header has {HEADER_SIZE} bytes, this has {len(buf)}")
    h = Header(*_HEADER.unpack(buf))
    if h.flags & 0xF:
        raise StreamError(f"message {h.id} is of type {h.flags & 0xF}, a client sends commands")
    if not HEADER_SIZE <= h.size <= MAX_MESSAGE:
        raise StreamError(f"message {h.id} says that it has {h.size} bytes, {HEADER_SIZE} to {MAX_MESSAGE} can be")
    return h


def reply(h: Header, body: bytes = b"") -> bytes:
    """The answer to this command."""
    return _HEADER.pack(h.id, h.command, HEADER_SIZE + len(body), Flags.REPLY, 0) + body


def error_reply(h: Header, number: int) -> bytes:
    """The answer that says that it was not done, with an ``errno``."""
    return _HEADER.pack(h.id, h.command, HEADER_SIZE, Flags.REPLY | Flags.ERROR, number)


def _fixed(layout: struct.Struct, body: bytes, what: str, *, exact: bool = True) -> tuple[int, ...]:
    if len(body) < layout.size or (exact and len(body) != layout.size):
        raise MessageError(errno.EINVAL, f"{what} has {layout.size} bytes, this has {len(body)}")
    return layout.unpack_from(body)


def _version(body: bytes) -> Version:
    major, minor = _fixed(_VERSION, body, "VERSION", exact=False)
    text = body[_VERSION.size :]
    if len(text) > MAX_VERSION:
        raise MessageError(errno.E2BIG, f"{len(text)} bytes of capabilities, {MAX_VERSION} at most")
    if not text:
        return Version(major, minor)
    if text[-1] or b"\0" in text[:-1]:
        raise MessageError(errno.EINVAL, "capabilities are one text that ends with a NUL")
    try:
        told = json.loads(text[:-1])
    except (ValueError, RecursionError) as e:
        raise MessageError(errno.EINVAL, f"capabilities are not JSON: {e}") from None
    caps = told.get("capabilities", {}) if isinstance(told, dict) else None
    fds = caps.get("max_msg_fds", 1) if isinstance(caps, dict) else None
    if not isinstance(fds, int) or isinstance(fds, bool) or not 0 <= fds < 1 << 16:
        raise MessageError(errno.EINVAL, "capabilities hold a table with a number max_msg_fds")
    return Version(major, minor, fds)


def _dma_map(body: bytes) -> DmaMap:
    argsz, flags, offset, iova, size = _fixed(_DMA_MAP, body, "DMA_MAP")
    if argsz < _DMA_MAP.size:
        raise MessageError(errno.EINVAL, f"DMA_MAP with argsz {argsz}")
    if flags & ~(READABLE | WRITABLE):
        raise MessageError(errno.EINVAL, f"DMA_MAP with flags {flags:#x}")
    if not size or iova + size > _TOP or offset + size > 1 << 63:
        raise MessageError(errno.EINVAL, f"DMA_MAP of {size:#x} bytes at {iova:#x} from {offset:#x}")
    return DmaMap(iova, size, offset, bool(flags & READABLE), bool(flags & WRITABLE))


def _dma_unmap(body: bytes) -> DmaUnmap:
    argsz, flags, iova, size = _fixed(_DMA_UNMAP, body, "DMA_UNMAP", exact=False)
    if argsz < _DMA_UNMAP.size:
        raise MessageError(errno.EINVAL, f"DMA_UNMAP with argsz {argsz}")
    if flags & ~_UNMAP_ALL or len(body) != _DMA_UNMAP.size:
        raise MessageError(errno.ENOTSUP, f"DMA_UNMAP with flags {flags:#x} and {len(body)} bytes")
    if (not size or iova + size > _TOP) if not flags else (iova or size):
        raise MessageError(errno.EINVAL, f"DMA_UNMAP of {size:#x} bytes at {iova:#x} with flags {flags:#x}")
    return DmaUnmap(iova, size)


def _get_info(body: bytes) -> GetInfo:
    argsz, *_ = _fixed(_INFO, body, "DEVICE_GET_INFO")
    if argsz < _INFO.size:
        raise MessageError(errno.EINVAL, f"DEVICE_GET_INFO with argsz {argsz}")
    return GetInfo()


def _get_region_info(body: bytes) -> GetRegionInfo:
    argsz, _, index, *_ = _fixed(_REGION_INFO, body, "DEVICE_GET_REGION_INFO")
    if argsz < _REGION_INFO.size:
        raise MessageError(errno.EINVAL, f"DEVICE_GET_REGION_INFO with argsz {argsz}")
    return GetRegionInfo(index, argsz)


def _get_irq_info(body: bytes) -> GetIrqInfo:
    argsz, _, index, _ = _fixed(_INFO, body, "DEVICE_GET_IRQ_INFO")
    if argsz < _INFO.size:
        raise MessageError(errno.EINVAL, f"DEVICE_GET_IRQ_INFO with argsz {argsz}")
    return GetIrqInfo(index)


def _set_irqs(body: bytes) -> SetIrqs:
    argsz, flags, index, start, count = _fixed(_SET_IRQS, body, "DEVICE_SET_IRQS", exact=False)
    states = body[_SET_IRQS.size :]
    if flags & ~(_DATA | _ACTION) or (flags & _DATA).bit_count() != 1 or (flags & _ACTION).bit_count() != 1:
        raise MessageError(errno.EINVAL, f"DEVICE_SET_IRQS with flags {flags:#x}")
    if argsz < _SET_IRQS.size or start + count > 1 << 32:
        raise MessageError(errno.EINVAL, f"DEVICE_SET_IRQS with argsz {argsz}, {count} from {start}")
    if len(states) != (count if flags & Irqs.BOOL else 0):
        raise MessageError(errno.EINVAL, f"DEVICE_SET_IRQS of {count} with {len(states)} bytes of data")
    return SetIrqs(index, start, count, Irqs(flags & _DATA), Irqs(flags & _ACTION), states)


def _region_io(body: bytes, what: str, *, exact: bool) -> tuple[int, int, int]:
    offset, region, count = _fixed(_REGION_IO, body, what, exact=exact)
    if not count or count > MAX_DATA or offset + count > _TOP:
        raise MessageError(errno.EINVAL, f"{what} of {count} bytes at {offset:#x}")
    return region, offset, count


def _region_read(body: bytes) -> RegionRead:
    return RegionRead(*_region_io(body, "REGION_READ", exact=True))


def _region_write(body: bytes) -> RegionWrite:
    region, offset, count = _region_io(body, "REGION_WRITE", exact=False)
    if len(body) != _REGION_IO.size + count:
        raise MessageError(errno.EINVAL, f"REGION_WRITE of {count} bytes with {len(body) - _REGION_IO.size}")
    return RegionWrite(region, offset, body[_REGION_IO.size :])


def _reset(body: bytes) -> Reset:
    if body:
        raise MessageError(errno.EINVAL, f"DEVICE_RESET with {len(body)} bytes")
    return Reset()


_PARSERS: dict[Type, Callable[[bytes], Request]] = {
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


def parse(command: int, body: bytes) -> Request:
    """What the client asks for; MessageError where it cannot be meant, or this server does not know it."""
    try:
        parser = _PARSERS[Type(command)]
    except ValueError:
        raise MessageError(errno.ENOTSUP, f"command {command} is not served") from None
    return parser(body)


def version_reply() -> bytes:
    """Version 0.0 and what this server takes (QEMU refuses a reply of 0.1)."""
    caps = {"capabilities": {"max_msg_fds": MAX_FDS, "max_data_xfer_size": MAX_DATA, "max_dma_maps": MAX_MAPS}}
    return _VERSION.pack(0, 0) + json.dumps(caps).encode() + b"\0"


def info_reply(regions: int, irqs: int) -> bytes:
    """A PCI device that can be reset, with so many regions and kinds of interrupts."""
    return _INFO.pack(_INFO.size, 0b11, regions, irqs)


def region_info_reply(index: int, size: int, *, writable: bool) -> bytes:
    """A region of ``size`` bytes, reached by messages only; 0 where there is none."""
    flags = READABLE | (WRITABLE if writable else 0) if size else 0
    return _REGION_INFO.pack(_REGION_INFO.size, flags, index, 0, size, 0)


def irq_info_reply(index: int, count: int) -> bytes:
    """So many interrupts, signalled by eventfds; their number does not change."""
    return _INFO.pack(_INFO.size, 0b1001 if count else 0, index, count)


def unmap_reply(iova: int, size: int) -> bytes:
    """These bytes are reachable no more."""
    return _DMA_UNMAP.pack(_DMA_UNMAP.size, 0, iova, size)


def read_reply(request: RegionRead, data: bytes) -> bytes:
    """What was read."""
    return _REGION_IO.pack(request.offset, request.region, len(data)) + data


def write_reply(request: RegionWrite) -> bytes:
    """It was written."""
    return _REGION_IO.pack(request.offset, request.region, len(request.data))
