"""The files of the kernel that are read, and no others: an allow-list, and one function that opens a file.

``File`` has a row for each. Among debugfs's own, ``QPs/``, ``EQs/`` and ``CQs/`` are left out because a read of them
sends a query to firmware, and every ``reset`` because it is there to be written. Nothing is opened but by a row, and
nothing for writing.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from enum import Enum, StrEnum, unique
from pathlib import Path

#: bytes that are read of a file; each has a number or a few lines
_MOST_BYTES = 1 << 16
#: a number as the kernel prints it, decimal or with 0x, of 64 bits at most
_NUMBER = re.compile(r"-?(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,19})")
#: at and above this a 32-bit counter went below zero
_NEGATIVE = 1 << 31

PCI_DRIVER = "sys/bus/pci/drivers/mlx5_core"
PCI_DEVICES = "sys/bus/pci/devices"
SF_DRIVER = "sys/bus/auxiliary/drivers/mlx5_core.sf"
SF_DEVICES = "sys/bus/auxiliary/devices"
INFINIBAND = "sys/class/infiniband"
NODES = "sys/devices/system/node"
DEBUGFS = "sys/kernel/debug"
MLX5 = f"{DEBUGFS}/mlx5"
_PAGES = MLX5 + "/{device}/pages/"
_COMMANDS = MLX5 + "/{device}/commands/"
_MANAGE_PAGES = _COMMANDS + "MANAGE_PAGES/"


@unique
class File(Enum):
    """A file that may be read. ``{device}`` is a function's name, ``{name}`` an RDMA device's or a node's."""

    TOTAL = _PAGES + "fw_pages_total"
    VFS = _PAGES + "fw_pages_vfs"
    SFS = _PAGES + "fw_pages_sfs"
    HOST_PF = _PAGES + "fw_pages_host_pf"
    EC_VFS = _PAGES + "fw_pages_ec_vfs"
    SPFS = _PAGES + "fw_pages_spfs"
    ALLOC_FAILED = _PAGES + "fw_pages_alloc_failed"
    GIVE_DROPPED = _PAGES + "fw_pages_give_dropped"
    RECLAIM_DISCARD = _PAGES + "fw_pages_reclaim_discard"
    SLOTS_INUSE = _COMMANDS + "slots_inuse"
    N = _MANAGE_PAGES + "n"
    AVERAGE = _MANAGE_PAGES + "average"
    FAILED = _MANAGE_PAGES + "failed"
    FAILED_MBOX_STATUS = _MANAGE_PAGES + "failed_mbox_status"
    LAST_FAILED_ERRNO = _MANAGE_PAGES + "last_failed_errno"
    LAST_FAILED_MBOX_STATUS = _MANAGE_PAGES + "last_failed_mbox_status"
    LAST_FAILED_SYNDROME = _MANAGE_PAGES + "last_failed_syndrome"
    VHCA_ID = MLX5 + "/{device}/vhca_id"
    NUMA_NODE = PCI_DEVICES + "/{device}/numa_node"
    VENDOR = PCI_DEVICES + "/{device}/vendor"
    DEVICE_ID = PCI_DEVICES + "/{device}/device"
    IB_FW_PAGES = INFINIBAND + "/{name}/fw_pages"
    IB_FW_VER = INFINIBAND + "/{name}/fw_ver"
    NODE_MEMORY = NODES + "/{name}/meminfo"
    MEMORY = "proc/meminfo"
    RELEASE = "proc/sys/kernel/osrelease"
    DRIVER_VERSION = "sys/module/mlx5_core/version"
    DRIVER_TAINT = "sys/module/mlx5_core/taint"
    LOCKDOWN = "sys/kernel/security/lockdown"
    KPTR_RESTRICT = "proc/sys/kernel/kptr_restrict"
    PRINTK_RATELIMIT = "proc/sys/kernel/printk_ratelimit"
    PRINTK_RATELIMIT_BURST = "proc/sys/kernel/printk_ratelimit_burst"
    COMMAND_LINE = "proc/cmdline"


class Reason(StrEnum):
    """The reason why a figure is not known."""

    ABSENT = "this driver has no such file"
    DENIED = "permission denied"
    GONE = "the function went away while it was read"
    NO_DEBUGFS = "debugfs is not mounted"
    NO_MLX5 = "debugfs has no folder of this function"
    ODD = "the file holds no number"
    NEGATIVE = "the driver's counter went below zero"
    FAILED = "the file cannot be read"


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that gave no figure, and the reason."""

    reason: Reason


_REASONS = {
    errno.ENOENT: Reason.ABSENT,
    errno.ENOTDIR: Reason.ABSENT,
    errno.EACCES: Reason.DENIED,
    errno.EPERM: Reason.DENIED,  # lockdown
    errno.ENODEV: Reason.GONE,
    errno.ENXIO: Reason.GONE,
    errno.EIO: Reason.GONE,  # debugfs, of a file that is being removed
}


def _printable(text: str) -> str:
    """The text without characters that change a terminal, which a copied file may have in it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a machine below ``root``: ``/``, or a copy of another machine's."""

    root: Path

    @property
    def live(self) -> bool:
        """True for this machine itself."""
        return self.root == Path("/")

    def text(self, file: File, **names: str) -> str | Unread:
        """The file's text, without blanks at its ends; an ``Unread`` with the reason where there is none."""
        path = os.path.join(self.root, file.value.format(**names))  # a third of the time of a Path
        try:
            # a copied tree may have a pipe in a file's place: it must not stop the reader
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return Unread(Reason.FAILED)
                return _printable(os.read(fd, _MOST_BYTES).decode("utf-8", "replace").strip())
            finally:
                os.close(fd)
        except OSError as e:
            return Unread(_REASONS.get(e.errno or 0, Reason.FAILED))

    def number(self, file: File, **names: str) -> int | Unread:
        """The number in the file, decimal or with 0x; counters of 32 bits that went below zero are not known."""
        text = self.text(file, **names)
        if isinstance(text, Unread):
            return text
        try:
            return int(text, 0) if _NUMBER.fullmatch(text) else Unread(Reason.ODD)
        except ValueError:
            return Unread(Reason.ODD)

    def counter(self, file: File, **names: str) -> int | Unread:
        """A count of the driver's; one that went below zero is not known."""
        value = self.number(file, **names)
        return Unread(Reason.NEGATIVE) if isinstance(value, int) and not 0 <= value < _NEGATIVE else value

    def names(self, folder: str) -> list[str] | Unread:
        """The names in a folder, sorted; without those that are no text to print: the kernel has none such."""
        try:
            return sorted(filter(str.isprintable, os.listdir(self.root / folder)))
        except OSError as e:
            return Unread(_REASONS.get(e.errno or 0, Reason.FAILED))

    def listed(self, folder: str) -> list[str]:
        """The names in a folder; none where it cannot be read."""
        names = self.names(folder)
        return [] if isinstance(names, Unread) else names

    def link(self, path: str) -> str | None:
        """The last name of the target of a symbolic link; None where there is none."""
        target = self.target(path)
        return None if target is None else os.path.basename(target)

    def target(self, path: str) -> str | None:
        """The target of a symbolic link, as it is written; None where there is none, or it is no text to print."""
        try:
            target = os.readlink(self.root / path)  # as it is written, not as a path
        except OSError:
            return None
        return target if target.isprintable() else None

    def there(self, path: str) -> bool | None:
        """True if there is such a file or folder; None where that cannot be looked up."""
        try:
            (self.root / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return None
        return True

    def readable(self, path: str) -> bool:
        """True if this process may read the file, by its mode: it is not opened."""
        return os.access(self.root / path, os.R_OK)
