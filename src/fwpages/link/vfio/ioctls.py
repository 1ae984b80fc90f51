"""The calls of VFIO: containers, groups and devices, and type 1 of the I/O memory management unit, version 2.

Source: ``include/uapi/linux/vfio.h``; structures are of the machine's byte order. The kernel writes back into what it
is given, so every argument is a ``bytearray``.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from fwpages.link.driving.pci_device import IovaRange

_API_VERSION, _CHECK_EXTENSION, _SET_IOMMU = 0x3B64, 0x3B65, 0x3B66
_GROUP_STATUS, _GROUP_CONTAINER, _GROUP_DEVICE = 0x3B67, 0x3B68, 0x3B6A
_DEVICE_INFO, _REGION_INFO, _IRQ_INFO, _SET_IRQS, _DEVICE_RESET = 0x3B6B, 0x3B6C, 0x3B6D, 0x3B6E, 0x3B6F
_IOMMU_INFO, _MAP, _UNMAP = 0x3B70, 0x3B71, 0x3B72

#: ``VFIO_TYPE1v2_IOMMU``: an unmap never cuts a mapping
TYPE1_V2 = 3
BAR0, CONFIG = 0, 7
MSIX, ERROR = 2, 3
_VIABLE = 1 << 0
_CAN_RESET = 1 << 0
_READ_WRITE = 0b11
_INFO_HAS_CAPABILITIES = 1 << 1
_IOVA_RANGES = 1
_NO_DATA, _EVENTFDS, _TRIGGER = 1 << 0, 1 << 2, 1 << 5

_STATUS = struct.Struct("=II")
_DEVICE = struct.Struct("=IIIIII")
_REGION = struct.Struct("=IIIIQQ")
_IRQ = struct.Struct("=IIII")
_IRQS = struct.Struct("=IIIII")
_IOMMU = struct.Struct("=IIQII")
_DMA_MAP = struct.Struct("=IIQQQ")
_DMA_UNMAP = struct.Struct("=IIQQ")
_CAPABILITY = struct.Struct("=HHI")
_RANGES = struct.Struct("=HHIII")
_RANGE = struct.Struct("=QQ")


@dataclass(frozen=True, slots=True)
class Region:
    """A region of a device: its bytes, and where they lie in the device's descriptor."""

    size: int
    offset: int


def _call(fd: int, number: int, data: bytes) -> bytearray:
    """Make a call whose argument the kernel reads and writes back; OSError as the kernel has it."""
    buffer = bytearray(data)
    fcntl.ioctl(fd, number, buffer, True)
    return buffer


def speaks(container: int) -> bool:
    """Return whether the kernel has version 0 of this interface, and type 1 version 2."""
    return fcntl.ioctl(container, _API_VERSION) == 0 and bool(fcntl.ioctl(container, _CHECK_EXTENSION, TYPE1_V2))


def viable(group: int) -> bool:
    """Return whether every device of the group is VFIO's, or no driver's."""
    return bool(_STATUS.unpack(_call(group, _GROUP_STATUS, _STATUS.pack(_STATUS.size, 0)))[1] & _VIABLE)


def join(group: int, container: int) -> None:
    """Put the group into the container, and let type 1 version 2 manage its memory."""
    _call(group, _GROUP_CONTAINER, struct.pack("=i", container))
    fcntl.ioctl(container, _SET_IOMMU, TYPE1_V2)


def device_of(group: int, address: str) -> int:
    """Return a descriptor of the device. The kernel resets it, now and when the descriptor is closed."""
    return int(fcntl.ioctl(group, _GROUP_DEVICE, bytearray(address.encode() + b"\0"), True))


def can_reset(device: int) -> bool:
    """Return whether the kernel has a way to reset the device."""
    return bool(_DEVICE.unpack(_call(device, _DEVICE_INFO, _DEVICE.pack(_DEVICE.size, 0, 0, 0, 0, 0)))[1] & _CAN_RESET)


def region(device: int, index: int) -> Region:
    """Return a region of the device."""
    answer = _call(device, _REGION_INFO, _REGION.pack(_REGION.size, 0, index, 0, 0, 0))
    _, _, _, _, size, offset = _REGION.unpack(answer)
    return Region(size, offset)


def irqs(device: int, index: int) -> int:
    """Return the number of interrupts of a kind."""
    return int(_IRQ.unpack(_call(device, _IRQ_INFO, _IRQ.pack(_IRQ.size, 0, index, 0)))[3])


def set_irqs(device: int, index: int, eventfds: Sequence[int]) -> None:
    """Let interrupts 0, 1, … signal these eventfds; without any the interrupts are disabled."""
    data = struct.pack(f"={len(eventfds)}i", *eventfds)
    flags = (_EVENTFDS if eventfds else _NO_DATA) | _TRIGGER
    _call(device, _SET_IRQS, _IRQS.pack(_IRQS.size + len(data), flags, index, 0, len(eventfds)) + data)


def reset(device: int) -> None:
    """Reset the device; on return it is done."""
    fcntl.ioctl(device, _DEVICE_RESET)


def ranges(container: int) -> list[IovaRange]:
    """Return the I/O addresses that can be mapped, ascending; 48 bits where the kernel does not tell them."""
    size = _IOMMU.unpack(_call(container, _IOMMU_INFO, _IOMMU.pack(_IOMMU.size, 0, 0, 0, 0)))[0]
    answer = bytes(_call(container, _IOMMU_INFO, _IOMMU.pack(size, 0, 0, 0, 0).ljust(size, b"\0")))
    _, flags, _, at, _ = _IOMMU.unpack_from(answer)
    while flags & _INFO_HAS_CAPABILITIES and at:
        kind, _, following = _CAPABILITY.unpack_from(answer, at)
        if kind == _IOVA_RANGES:
            count = _RANGES.unpack_from(answer, at)[3]
            first = at + _RANGES.size
            return [IovaRange(*_RANGE.unpack_from(answer, first + n * _RANGE.size)) for n in range(count)]
        at = following
    return [IovaRange(0, (1 << 48) - 1)]


def dma_map(container: int, address: int, iova: int, size: int) -> None:
    """Map ``size`` bytes of this process at ``address`` for the device at ``iova``; the kernel pins their pages."""
    _call(container, _MAP, _DMA_MAP.pack(_DMA_MAP.size, _READ_WRITE, address, iova, size))


def dma_unmap(container: int, iova: int, size: int) -> None:
    """Unmap them."""
    _call(container, _UNMAP, _DMA_UNMAP.pack(_DMA_UNMAP.size, 0, iova, size))


def opened(path: str) -> int:
    """Open one of VFIO's files."""
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)
