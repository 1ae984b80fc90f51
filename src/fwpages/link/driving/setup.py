"""The configuration space as a driver sets it up: memory space, bus mastering, and where MSI-X is.

Offsets and bits are those of the PCI Local Bus and PCI Express Base specifications. Registers are little-endian.
"""

from __future__ import annotations

from collections.abc import Iterator

from fwpages.link.driving.pci_device import DeviceError, PciDevice

#: the command register, and the bit that lets a device access memory
COMMAND, BUS_MASTER = 0x04, 1 << 2
_VENDOR, _STATUS, _CAPABILITIES, _EXTENDED = 0x00, 0x06, 0x34, 0x100
_MEMORY_SPACE, _INTX_OFF = 1 << 1, 1 << 10
_HAS_CAPABILITIES = 1 << 4
_MSIX, _SRIOV = 0x11, 0x0010
#: MSI-X enable and function mask, in the control word at 2
_MSIX_ON, _MSIX_MASKED = 1 << 15, 1 << 14
#: TotalVFs of the SR-IOV capability
_TOTAL_VFS = 0x0E
#: no device has this vendor: the device does not answer
_NOBODY = 0xFFFF
#: most capabilities that fit the space: a list that leads in a circle ends
_MOST = 64


def word(device: PciDevice, offset: int, size: int = 2) -> int:
    """Return a register of the configuration space."""
    return int.from_bytes(device.config_read(offset, size), "little")


def there(device: PciDevice) -> bool:
    """Return whether the device answers: one whose link is lost reads as all ones."""
    return word(device, _VENDOR) != _NOBODY


def vendor_and_device(device: PciDevice) -> tuple[int, int]:
    """Return the vendor's and the device's number."""
    return word(device, _VENDOR), word(device, _VENDOR + 2)


def memory_on(device: PciDevice) -> None:
    """Switch the memory space on, and INTx off: BAR 0 answers, and the device reaches no memory."""
    device.config_write(COMMAND, (word(device, COMMAND) | _MEMORY_SPACE | _INTX_OFF).to_bytes(2, "little"))


def master_on(device: PciDevice) -> None:
    """Switch bus mastering on: VFIO leaves it to its user, after each reset anew. DeviceError where it stays off."""
    device.config_write(COMMAND, (word(device, COMMAND) | BUS_MASTER).to_bytes(2, "little"))
    if not master(device) or not there(device):
        raise DeviceError("bus mastering cannot be switched on: the device does not answer in its configuration space")


def stop_master(device: PciDevice) -> None:
    """Switch bus mastering off. The kernel restores the register after a reset: as it was before."""
    device.config_write(COMMAND, (word(device, COMMAND) & ~BUS_MASTER).to_bytes(2, "little"))


def master(device: PciDevice) -> bool:
    """Return whether bus mastering is on."""
    return bool(word(device, COMMAND) & BUS_MASTER)


def capabilities(device: PciDevice) -> Iterator[tuple[int, int]]:
    """Yield the id and the offset of each capability."""
    if not word(device, _STATUS) & _HAS_CAPABILITIES:
        return
    at = word(device, _CAPABILITIES, 1) & ~3
    for _ in range(_MOST):
        if not at:
            return
        yield word(device, at, 1), at
        at = word(device, at + 1, 1) & ~3


def msix_at(device: PciDevice) -> int:
    """Return the offset of the MSI-X capability; DeviceError where there is none."""
    found = next((at for number, at in capabilities(device) if number == _MSIX), None)
    if found is None:
        raise DeviceError("the device has no MSI-X capability, and its interrupts are needed")
    return found


def enable_msix(device: PciDevice) -> None:
    """Switch MSI-X on, where the transport leaves that to its user."""
    at = msix_at(device) + 2
    device.config_write(at, (word(device, at) & ~_MSIX_MASKED | _MSIX_ON).to_bytes(2, "little"))


def total_vfs(device: PciDevice) -> int | None:
    """Return TotalVFs of the SR-IOV capability; None where the device has none, or does not show it."""
    at = _EXTENDED
    for _ in range(_MOST):
        head = word(device, at, 4)
        if not head or head == 0xFFFFFFFF:
            return None
        if head & 0xFFFF == _SRIOV:
            return word(device, at + _TOTAL_VFS)
        at = head >> 20
        if at < _EXTENDED:
            return None
    return None
