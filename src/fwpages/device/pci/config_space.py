"""The configuration space of a PCI Express function: its registers, and the bits that a driver may write or clear.

Offsets and bits are those of the PCI Local Bus and PCI Express Base specifications. Registers are little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass

from fwpages.device.pci.sriov import registers
from fwpages.device.profiles import Profile

CONFIG_SIZE = 4096
#: extended capabilities begin here
EXTENDED = 256
VENDOR_MELLANOX = 0x15B3

COMMAND, STATUS = 0x04, 0x06
MEMORY_SPACE, BUS_MASTER = 1 << 1, 1 << 2
BAR0 = 0x10
PCIE, MSIX = 0x60, 0xA0
DEVICE_CONTROL = PCIE + 0x08
INITIATE_FLR = 1 << 15
MSIX_CONTROL = MSIX + 0x02
MSIX_ENABLE, MSIX_MASK_ALL = 1 << 15, 1 << 14

#: device ids (Linux: ``mlx5_core_pci_table``)
CONNECTX4_LX, CONNECTX5, CONNECTX7, BLUEFIELD3 = 0x1015, 0x1017, 0x1021, 0xA2DC

_BY_PROFILE = {
    "connectx4": 0x1013,
    "connectx4-lx": CONNECTX4_LX,
    "connectx4-lx-dual": CONNECTX4_LX,
    "connectx5": CONNECTX5,
    "connectx7": CONNECTX7,
    "bluefield3": BLUEFIELD3,
}


@dataclass(frozen=True, slots=True)
class PciIdentity:
    """The identity of a function: an Ethernet controller of this vendor and device id."""

    device_id: int
    vendor_id: int = VENDOR_MELLANOX
    subsystem_id: int = 0x0001
    revision: int = 0


def identity_of(profile: Profile) -> PciIdentity:
    """Return the PCI identity of a device with this profile; ConnectX-7 or BlueField-3 for an unknown profile."""
    return PciIdentity(_BY_PROFILE.get(profile.name, BLUEFIELD3 if profile.ecpf else CONNECTX7))


@dataclass(frozen=True, slots=True)
class MsixPlace:
    """The offsets in BAR 0 of the MSI-X table (16 bytes a vector) and of the pending bits."""

    vectors: int
    table: int
    pending: int


class ConfigSpace:
    """4096 bytes, each with a mask of the bits that can be written and of those that a written 1 clears.

    With ``vfs`` it has a capability for so many virtual functions. While ``extended`` is off, extended capabilities
    read as zeros.
    """

    def __init__(self, identity: PciIdentity, bar_size: int, msix: MsixPlace, vfs: int = 0) -> None:
        if bar_size & (bar_size - 1) or bar_size < 4096:
            raise ValueError(f"a BAR has a power of two of bytes, not {bar_size:#x}")
        self._initial = bytearray(CONFIG_SIZE)
        self._mask = bytearray(CONFIG_SIZE)
        self._clears = bytearray(CONFIG_SIZE)
        self._header(identity, bar_size)
        self._express()
        self._msix(msix)
        for register in registers(vfs) if vfs else ():
            self._put(*register)
        self.extended = True
        self._bytes = bytearray(self._initial)

    def _put(self, offset: int, size: int, value: int, writable: int = 0, clears: int = 0) -> None:
        for table, bits in ((self._initial, value), (self._mask, writable), (self._clears, clears)):
            table[offset : offset + size] = bits.to_bytes(size, "little")

    def _header(self, i: PciIdentity, bar_size: int) -> None:
        self._put(0x00, 2, i.vendor_id)
        self._put(0x02, 2, i.device_id)
        self._put(COMMAND, 2, 0, MEMORY_SPACE | BUS_MASTER | 0x0540)
        self._put(STATUS, 2, 0x0010, 0, 0xF900)
        self._put(0x08, 4, 0x020000 << 8 | i.revision)
        self._put(0x0C, 1, 0, 0xFF)
        # 64 bits, prefetchable; the bits that cannot be written give the size
        self._put(BAR0, 8, 0xC, (1 << 64) - bar_size)
        self._put(0x2C, 2, i.vendor_id)
        self._put(0x2E, 2, i.subsystem_id)
        self._put(0x34, 1, PCIE)
        self._put(0x3C, 1, 0, 0xFF)

    def _express(self) -> None:
        self._put(PCIE, 2, 0x10 | MSIX << 8)
        self._put(PCIE + 0x02, 2, 0x0002)
        # device: payloads up to 512 bytes, extended tags, role-based errors, function-level reset
        self._put(PCIE + 0x04, 4, 1 << 28 | 1 << 15 | 1 << 5 | 2)
        self._put(DEVICE_CONTROL, 2, 0x2910, 0x7FFF)
        self._put(PCIE + 0x0A, 2, 0, 0, 0x000F)
        # link: 16 GT/s, 16 lanes
        self._put(PCIE + 0x0C, 4, 16 << 4 | 4)
        self._put(PCIE + 0x10, 2, 0, 0x03FB)
        self._put(PCIE + 0x12, 2, 16 << 4 | 4)
        self._put(PCIE + 0x24, 4, 0x1F)
        self._put(PCIE + 0x28, 2, 0, 0xFFFF)
        self._put(PCIE + 0x2C, 4, 0b11110)
        self._put(PCIE + 0x30, 2, 4, 0x000F)

    def _msix(self, m: MsixPlace) -> None:
        self._put(MSIX, 2, 0x11)
        self._put(MSIX_CONTROL, 2, m.vectors - 1, MSIX_ENABLE | MSIX_MASK_ALL)
        self._put(MSIX + 0x04, 4, m.table)
        self._put(MSIX + 0x08, 4, m.pending)

    def reset(self) -> None:
        """Set all registers as after power-on."""
        self._bytes[:] = self._initial

    def read(self, offset: int, length: int) -> bytes:
        """Return these bytes."""
        end = offset + length if self.extended else min(offset + length, EXTENDED)
        return bytes(self._bytes[offset:end]).ljust(length, b"\0")

    def word(self, offset: int) -> int:
        """Return the 16-bit register at this offset."""
        return int.from_bytes(self._bytes[offset : offset + 2], "little")

    def write(self, offset: int, data: bytes) -> bool:
        """Write the writable bits. Return whether a function-level reset was asked for, which is left to the caller."""
        at = range(offset, offset + len(data))
        for n, new in zip(at, data, strict=True):
            mask, old = self._mask[n], self._bytes[n]
            self._bytes[n] = ((old & ~mask) | (new & mask)) & ~(new & self._clears[n])
        high = DEVICE_CONTROL + 1
        return high in at and bool(data[high - offset] & INITIATE_FLR >> 8)
