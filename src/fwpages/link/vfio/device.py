"""A function of this machine on vfio-pci, as a ``PciDevice``.

Theory of operation. A *group* is what the I/O memory management unit can tell apart: its devices are driven by one
process, all of them. A *container* is its map of I/O addresses. The device's own descriptor gives its regions, by
``pread`` and ``pwrite``: the kernel makes one access of 32 bits of each. Memory is anonymous and private, in huge pages
where the kernel has some; the kernel pins what is mapped.

The kernel resets the function when it is opened and when it is closed, as well as it can. That is no proof; a reset
that is asked for, was answered with 0 and is a function-level reset is one.
"""

from __future__ import annotations

import errno
import mmap
import os
import resource
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from fwpages.link.driving.pci_device import DeviceError, Facts, IovaRange
from fwpages.link.memory import Bytes
from fwpages.link.vfio import ioctls
from fwpages.link.vfio.functions import Function, users
from fwpages.link.vfio.prospects import reset_of

R = TypeVar("R")

#: a huge page, and what its address is a multiple of
_HUGE = 2 << 20
#: ``MAP_NORESERVE``: address space of memory that is mostly never used counts for nothing
_NO_RESERVE = 0x4000


class Container:
    """A container with one group in it: its I/O addresses. The device is not opened by it, so it is not reset."""

    def __init__(self, f: Function) -> None:
        self.fd = self.group = -1
        try:
            self.fd = _open("/dev/vfio/vfio", f, "the module vfio_iommu_type1 or the kernel's VFIO is missing")
            if not ioctls.speaks(self.fd):
                raise DeviceError("/dev/vfio/vfio: the kernel has no type 1 version 2: modprobe vfio_iommu_type1")
            self.group = _open(f"/dev/vfio/{f.group}", f, "bind the function to vfio-pci")
            if not ioctls.viable(self.group):
                raise DeviceError(f"{f.address}: its IOMMU group {f.group} is not viable: {_members(f)}")
            self._join(f)
            self.ranges: Sequence[IovaRange] = tuple(ioctls.ranges(self.fd))
        except BaseException:
            self.close()
            raise

    def _join(self, f: Function) -> None:
        try:
            ioctls.join(self.group, self.fd)
        except OSError as e:
            why = e.strerror or str(e)
            if e.errno == errno.EPERM:
                why = (
                    "the machine has no interrupt remapping (switch it on in its firmware; in QEMU intremap=on with "
                    "kernel-irqchip=split)"
                )
            raise DeviceError(f"{f.address}: the IOMMU does not take its group {f.group}: {why}") from None

    def close(self) -> None:
        """Close both."""
        for fd in (self.group, self.fd):
            if fd >= 0:
                os.close(fd)
        self.group = self.fd = -1


def _members(f: Function) -> str:
    return ", ".join(f"{m.address} ({m.driver or 'no driver'})" for m in f.members)


def _open(path: str, f: Function, missing: str) -> int:
    try:
        return ioctls.opened(path)
    except OSError as e:
        if e.errno == errno.EBUSY:
            who = ", ".join(map(str, users(Path("/"), f.group or 0))) or "another one"
            raise DeviceError(f"{path}: it is in use, by process {who}") from None
        if e.errno in (errno.EACCES, errno.EPERM):
            raise DeviceError(f"{path}: {e.strerror}; run this as root, or as the owner of the file") from None
        if e.errno in (errno.ENOENT, errno.ENODEV):
            raise DeviceError(f"{path}: {e.strerror}; {missing}") from None
        raise DeviceError(f"{path}: {e.strerror or e}") from None


class VfioDevice:
    """The function ``f``, from its opening on, which resets it. It is a ``PciDevice``."""

    def __init__(self, f: Function) -> None:
        self._address = f.address
        self._device = self._error = -1
        self._map: mmap.mmap | None = None
        self._base = self._skip = 0
        self._armed = False
        self._container = Container(f)
        self.ranges = self._container.ranges
        try:
            self._device = self._do("its device", lambda: ioctls.device_of(self._container.group, f.address))
            self._bar = self._do("BAR 0", lambda: ioctls.region(self._device, ioctls.BAR0))
            self._config = self._do("its configuration space", lambda: ioctls.region(self._device, ioctls.CONFIG))
            self.facts = self._facts(f)
            self._error = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            if self._do("its interrupts", lambda: ioctls.irqs(self._device, ioctls.ERROR)):
                self._do("its errors", lambda: ioctls.set_irqs(self._device, ioctls.ERROR, [self._error]))
        except BaseException:
            self.close()
            raise

    def _facts(self, f: Function) -> Facts:
        if not self._bar.size or not self._do("its interrupts", lambda: ioctls.irqs(self._device, ioctls.MSIX)):
            raise DeviceError(f"{f.address}: it has no BAR 0, or no MSI-X")
        method, why = reset_of(f)
        if not self._do("its description", lambda: ioctls.can_reset(self._device)):
            method, why = "", "the kernel has no way to reset it"
        return Facts(f.address, "vfio", reset=method, no_reset=why)

    def _do(self, what: str, call: Callable[[], R]) -> R:
        """Make a call; DeviceError with its words where the kernel refuses."""
        try:
            return call()
        except OSError as e:
            raise DeviceError(f"{self._address}: {what}: {e.strerror or e}") from None

    def config_read(self, offset: int, length: int) -> bytes:
        """As ``PciDevice``."""
        at = self._config.offset + offset
        return self._do(f"configuration space at {offset:#x}", lambda: os.pread(self._device, length, at))

    def config_write(self, offset: int, data: bytes) -> None:
        """As ``PciDevice``."""
        at = self._config.offset + offset
        self._do(f"configuration space at {offset:#x}", lambda: os.pwrite(self._device, data, at))

    def bar_read(self, offset: int) -> bytes:
        """As ``PciDevice``."""
        return self._do(f"BAR 0 at {offset:#x}", lambda: os.pread(self._device, 4, self._bar.offset + offset))

    def bar_write(self, offset: int, word: bytes) -> None:
        """As ``PciDevice``."""
        if len(word) != 4:
            raise ValueError(f"a register has 4 bytes, not {len(word)}")
        self._do(f"BAR 0 at {offset:#x}", lambda: os.pwrite(self._device, word, self._bar.offset + offset))

    def arm(self, eventfds: Sequence[int]) -> None:
        """As ``PciDevice``; the kernel switches MSI-X on. What was armed before a reset is disarmed first."""
        if self._armed:
            self._do("MSI-X", lambda: ioctls.set_irqs(self._device, ioctls.MSIX, []))
        self._do("MSI-X", lambda: ioctls.set_irqs(self._device, ioctls.MSIX, eventfds))
        self._armed = True

    def allocate(self, size: int) -> Bytes:
        """As ``PciDevice``: anonymous memory that begins with a huge page, and that a child process does not get."""
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
        try:
            self._map = mmap.mmap(-1, size + _HUGE, flags=flags)
        except OSError as e:
            raise DeviceError(
                f"{size >> 20} MiB of addresses for DMA memory cannot be had: {e.strerror or e}"
            ) from None
        # a kernel without them has pages of 4 KiB, which serve as well
        with suppress(OSError):
            self._map.madvise(mmap.MADV_HUGEPAGE)
        self._map.madvise(mmap.MADV_DONTFORK)
        whole: Bytes = np.frombuffer(self._map, np.uint8)
        self._skip = -whole.ctypes.data % _HUGE
        self._base = whole.ctypes.data + self._skip
        return whole[self._skip : self._skip + size]

    def map(self, iova: int, offset: int, size: int) -> None:
        """As ``PciDevice``. What the kernel says about a limit is said with the limit."""
        try:
            ioctls.dma_map(self._container.fd, self._base + offset, iova, size)
        except OSError as e:
            raise DeviceError(f"{size >> 10} KiB cannot be mapped at {iova:#x}: {_map_words(e)}") from None

    def unmap(self, iova: int, offset: int, size: int) -> None:
        """As ``PciDevice``."""
        self._do(f"unmap of {iova:#x}", lambda: ioctls.dma_unmap(self._container.fd, iova, size))
        if self._map is not None:
            self._map.madvise(mmap.MADV_DONTNEED, self._skip + offset, size)

    def reset(self) -> None:
        """As ``PciDevice``: VFIO_DEVICE_RESET. DeviceError where the kernel's reset is none that proves a fence."""
        if not self.facts.reset:
            raise DeviceError(f"{self._address}: {self.facts.no_reset}")
        self._do("its reset", lambda: ioctls.reset(self._device))

    def fileno(self) -> int:
        """Return an eventfd that the kernel signals at an error of the device."""
        return self._error

    def trouble(self) -> str:
        """As ``PciDevice``."""
        try:
            os.eventfd_read(self._error)
        except BlockingIOError:
            return ""
        return f"{self._address}: the kernel reports an uncorrected PCI Express error (its log says which)"

    def close(self) -> None:
        """As ``PciDevice``; the kernel resets the function, as well as it can, and unmaps and unpins all memory."""
        for fd in (self._device, self._error):
            if fd >= 0:
                os.close(fd)
        self._device = self._error = -1
        self._container.close()
        if self._map is not None:
            # arrays over it may be in use still: the memory goes with the last of them
            with suppress(BufferError):
                self._map.close()
            self._map = None


def _map_words(e: OSError) -> str:
    if e.errno == errno.ENOMEM:
        soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        limit = "no limit" if soft == resource.RLIM_INFINITY else f"{soft >> 10} KiB"
        return f"no memory, or more locked than allowed (ulimit -l: {limit})"
    if e.errno == errno.ENOSPC:
        return "more ranges than the kernel allows (vfio_iommu_type1.dma_entry_limit)"
    return e.strerror or str(e)
