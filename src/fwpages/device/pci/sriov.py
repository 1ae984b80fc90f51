"""The SR-IOV capability of a physical function (PCI Express Base, "Single Root I/O Virtualization").

The driver of the physical function enables its virtual functions, but no driver can load on them: the server has no
configuration space for them. A virtual machine that needs them must have devices at the numbers that ``OFFSET`` and
``STRIDE`` give: function 0 of devices 1, 2, 3 … on the same bus. Below a root port Linux does not scan these by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

#: where the capability lies: the first of the extended ones
SRIOV = 0x100
CONTROL, NUM_VFS = SRIOV + 0x08, SRIOV + 0x10
#: from the physical function's number to that of the first virtual one, and from one to the next
OFFSET = STRIDE = 8
#: devices on a bus beside the physical function's own
MOST_VFS = 31
#: bytes of a virtual function's BAR 0, a power of two
VF_BAR = 1 << 20
#: "ConnectX Family mlx5Gen Virtual Function" (Linux: ``mlx5_core_pci_table``)
VF_DEVICE_ID = 0x101E
_HEADER = 1 << 16 | 0x0010
#: page sizes of 4, 8, 64 KiB, 256 KiB, 1 and 4 MiB, as every device has to have
_PAGE_SIZES = 0x553

#: offset, bytes, value, what of it may be written
Register: TypeAlias = tuple[int, int, int, int]


def registers(vfs: int) -> Iterator[Register]:
    """The registers of the capability for so many virtual functions, those that are not 0."""
    if not 1 <= vfs <= MOST_VFS:
        raise ValueError(f"1 to {MOST_VFS} virtual functions, not {vfs}")
    yield SRIOV, 4, _HEADER, 0
    # enable, memory space; migration and ARI are not there
    yield CONTROL, 2, 0, 0b0_1001
    yield SRIOV + 0x0C, 2, vfs, 0
    yield SRIOV + 0x0E, 2, vfs, 0
    yield NUM_VFS, 2, 0, 0xFFFF
    yield SRIOV + 0x14, 2, OFFSET, 0
    yield SRIOV + 0x16, 2, STRIDE, 0
    yield SRIOV + 0x1A, 2, VF_DEVICE_ID, 0
    yield SRIOV + 0x1C, 4, _PAGE_SIZES, 0
    yield SRIOV + 0x20, 4, 1, 0xFFFFFFFF
    # 64 bits, prefetchable
    yield SRIOV + 0x24, 8, 0xC, (1 << 64) - VF_BAR
