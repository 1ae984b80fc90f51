"""QEMU: where it is, and its command line for a machine with one vfio-user device."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Final

import msgspec

from fwpages.trial.errors import MissingError
from fwpages.trial.kernel import Kernel

#: the products of ``make vm``, where the package lies in its repository
BUILD: Final = Path(__file__).parents[3] / "build" / "vm"
#: the kernel's command line: an emulated timer may tick late on a busy machine, which Linux would take for a broken
#: one; and an emulated processor has no secrets to guard
APPEND: Final = "console=ttyS0 panic=-1 loglevel=8 no_timer_check mitigations=off"
#: the name of the serial port's socket in the machine's folder
PORT: Final = "port"
#: QEMU's file of the kernel's console there
CONSOLE: Final = "console.log"


@unique
class Accelerator(Enum):
    """The processor of a machine: this machine's own by KVM, or an emulated one."""

    KVM = "kvm"
    TCG = "tcg"


_PROCESSOR: Final = {
    Accelerator.KVM: ("-accel", "kvm", "-cpu", "host"),
    Accelerator.TCG: ("-accel", "tcg,thread=multi", "-cpu", "max"),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """A virtual machine: its memory (MiB), places for VFs, additions to the kernel's command line and to QEMU's.

    Unless ``shared`` is set, QEMU keeps the memory to itself, and the device asks it for each access. Unless ``posted``
    is set, a processor waits for the device's reply to each write of a register. With ``strict_iommu`` the device
    reaches only the pages that its driver maps, one by one; with ``remapping`` the IOMMU guards interrupts too, without
    which no kernel hands a device to a user's program. ``more`` are words of QEMU's command line; files that they
    name without a folder lie in the machine's folder.
    """

    memory: int = 1024
    shared: bool = True
    posted: bool = True
    strict_iommu: bool = False
    remapping: bool = False
    vfs: int = 0
    append: str = ""
    more: tuple[str, ...] = ()
    accelerator: Accelerator = Accelerator.TCG


def qemu() -> str:
    """The QEMU to start. MissingError where there is none."""
    given = os.environ.get("FWPAGES_QEMU")
    if given:
        return given
    if (BUILD / "qemu").exists():
        return str(BUILD / "qemu")
    found = shutil.which("qemu-system-x86_64")
    if found is None:
        raise MissingError(
            "no QEMU: `apt install qemu-system-x86` where that is 10.1 or newer, `make vm` in a repository of fwpages "
            "on Debian, or set FWPAGES_QEMU (10.1 or newer, with vfio-user)"
        )
    return found


def command_line(kernel: Kernel, machine: Machine, device: str | None) -> list[str]:
    """The words that start a machine with the device at this socket, or without one.

    The working folder is the machine's own: the socket's name is from there, as a UNIX socket's name is short.
    """
    memory = f"{machine.memory}M"
    append = f"{APPEND} {'intel_iommu=on iommu=strict ' if machine.strict_iommu else ''}{machine.append}"
    backend = f"memory-backend-{'memfd,share=on' if machine.shared else 'ram'},id=ram,size={memory}"
    remapping = "on" if machine.remapping else "off"
    return [
        qemu(), "-M", "q35,kernel-irqchip=split" if machine.strict_iommu else "q35", *_PROCESSOR[machine.accelerator],
        "-smp", "1", "-m", memory,
        "-object", backend, "-machine", "memory-backend=ram",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", os.path.abspath(kernel.image), "-initrd", os.path.abspath(kernel.initrd), "-append", append.strip(),
        "-serial", f"file:{CONSOLE}", "-chardev", f"socket,id=port,path={PORT}", "-serial", "chardev:port",
        *(["-device", f"intel-iommu,intremap={remapping},caching-mode=on"] if machine.strict_iommu else []),
        "-device", "pcie-root-port,id=rp0,slot=1",
        *(word for n in range(1, machine.vfs + 1) for word in ("-device", f"pci-testdev,bus=rp0,addr={n}")),
        *(["-device", _vfio_user(device, posted=machine.posted)] if device is not None else []),
        *machine.more,
    ]  # fmt: skip


def _vfio_user(socket: str, *, posted: bool) -> str:
    """The option of the device at this socket."""
    words: dict[str, object] = {"driver": "vfio-user-pci", "bus": "rp0", "socket": {"type": "unix", "path": socket}}
    if not posted:
        words["x-no-posted-writes"] = True
    return msgspec.json.encode(words).decode()
