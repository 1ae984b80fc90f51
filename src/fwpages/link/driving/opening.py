"""A device before its driver opens it: fenced, ready, and what it says of itself."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from fwpages.link.driving import setup
from fwpages.link.driving.pci_device import DeviceError, PciDevice
from fwpages.link.queue.driver import MOST_SLOTS
from fwpages.prm.identity import Supplier
from fwpages.prm.segment import CMD_IF_REV, read_field
from fwpages.prm.timeouts import RECOVERY_OF_LINUX, decode_time

#: seconds for firmware to be ready after a reset: as Linux waits before it asks for anything (``FW_PRE_INIT_TIMEOUT``)
READY = 120.0
#: seconds between two looks whether it is
_LOOK = 0.01
_ALL_ONES = 0xFFFF
#: one slot for page commands, and one for all others
LEAST_SLOTS = 2


@dataclass(frozen=True, slots=True)
class Described:
    """A device's own words: vendor and device number, firmware version, which supplier it is, its time for a command.

    ``command_time`` is in seconds, None where the device tells none. ``slots`` is the size of its command queue.
    ``vfs`` are those that it can have itself (TotalVFs of SR-IOV), None where it does not show that.
    """

    vendor: int
    device: int
    firmware: str
    supplier: Supplier
    command_time: float | None
    slots: int
    vfs: int | None = None


def fence(device: PciDevice) -> None:
    """Reset the device, and see that it is done. DeviceError where that is not proven.

    A proof is a reset that the device confirmed, after which it answers in its configuration space, bus mastering off.
    That is switched off before, since the kernel restores the register as it was.
    """
    with suppress(DeviceError):
        setup.stop_master(device)  # a device that is out of reach cannot be told
    device.reset()
    if not setup.there(device):
        raise DeviceError("after its reset the device does not answer in its configuration space")
    if setup.master(device):
        raise DeviceError("after its reset the device is still a bus master")


def ready(device: PciDevice) -> None:
    """Switch the memory space on and wait until firmware is ready. DeviceError where it does not get there."""
    setup.memory_on(device)
    end = time.monotonic() + READY
    while _field(device, "initializing"):
        if not setup.there(device):
            raise DeviceError("the device does not answer: all reads return ones")
        if time.monotonic() > end:
            raise DeviceError(f"firmware is not ready after {READY:g} s: `initializing` stays set")
        time.sleep(_LOOK)


def begun(device: PciDevice) -> Described:
    """Begin with a device whatever it did before: fence it, wait until it is ready, and read what it says of itself.

    DeviceError where it cannot be fenced, does not get ready, or is none of the family.
    """
    fence(device)
    ready(device)
    rev = _field(device, "cmd_interface_rev")
    if rev != CMD_IF_REV:
        gone = "; all ones: the device is gone" if rev == _ALL_ONES else ""
        raise DeviceError(f"command interface revision {rev:#x}, {CMD_IF_REV} is spoken here{gone}")
    major, minor, sub = (_field(device, f"fw_rev_{part}") for part in ("major", "minor", "subminor"))
    ecpf = bool(_field(device, "embedded_cpu"))
    vfs = setup.total_vfs(device)
    # those of an embedded CPU are its own, not the external host's (Linux: mlx5_sriov_init)
    supplier = Supplier(ecpf, *((0, vfs or 0) if ecpf else (vfs or 0, 0)))
    slots = 1 << _field(device, "log_cmdq_size")
    if not LEAST_SLOTS <= slots <= MOST_SLOTS:
        raise DeviceError(f"a command queue of {slots} slots: {LEAST_SLOTS} to {MOST_SLOTS} can be driven")
    numbers = setup.vendor_and_device(device)
    return Described(*numbers, f"{major}.{minor}.{sub:04}", supplier, _command_time(device), slots, vfs)


def _command_time(device: PciDevice) -> float | None:
    """Return how long a command may take, as Linux reads it: only where ``cmd_q_init_to`` is told too."""
    if not _field(device, "cmd_q_init_to"):
        return None
    return decode_time(_field(device, "cmd_exec_to")) + RECOVERY_OF_LINUX


def _field(device: PciDevice, name: str) -> int:
    return read_field(lambda offset, _: device.bar_read(offset), name)
