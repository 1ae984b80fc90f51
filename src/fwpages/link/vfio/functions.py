"""PCI functions of this machine as sysfs has them: driver, group, reset method, and who uses them.

``root`` is where the machine's files lie: "/", or a tree of files in tests.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

ADDRESS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
VENDOR_MELLANOX = 0x15B3
VFIO = "vfio-pci"
PCI = "sys/bus/pci"
_IFF_UP = 1
_SIOCGIFADDR = 0x8915
#: the access control service: an extended capability, its control word at 6, and the bits that isolate a function
_ACS, _ACS_CONTROL, _ACS_NEEDED = 0x000D, 6, 0x001D
_EXTENDED = 0x100


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of a function."""

    name: str
    up: bool
    addresses: tuple[str, ...]
    uppers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A device of an IOMMU group, and the driver that it is bound to ("" for none)."""

    address: str
    driver: str


@dataclass(frozen=True, slots=True)
class Function:
    """A PCI function. ``driver``, ``override`` and ``parent`` (of a VF) are empty where there is none.

    ``group`` is the number of its IOMMU group, None without an IOMMU; ``resets`` are the kernel's ways to reset it, the
    first of which is used, None where the kernel does not tell; ``rdma_users`` are processes with its RDMA device open.
    """

    address: str
    vendor: int
    device: int
    network: bool
    driver: str
    override: str
    group: int | None
    members: tuple[Member, ...]
    resets: tuple[str, ...] | None
    parent: str
    vfs: int
    sfs: int
    interfaces: tuple[Interface, ...]
    rdma: tuple[str, ...]
    rdma_users: tuple[int, ...]


def read(path: Path) -> str:
    """Return a file's content without white space around it; "" where it cannot be read."""
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def function(address: str, root: Path) -> Function | None:
    """Return the function at this address; None where there is none."""
    folder = root / PCI / "devices" / address
    if not folder.is_dir():
        return None
    override = read(folder / "driver_override")
    rdma = _names(folder / "infiniband")
    methods = folder / "reset_method"
    group = _target(folder / "iommu_group")
    return Function(
        address=address,
        vendor=_number(folder / "vendor"),
        device=_number(folder / "device"),
        network=_number(folder / "class") >> 16 == 0x02,
        driver=_target(folder / "driver"),
        override="" if override == "(null)" else override,
        group=int(group) if group.isdigit() else None,
        members=tuple(_members(folder / "iommu_group" / "devices")),
        resets=tuple(read(methods).split()) if methods.exists() else None,
        parent=_target(folder / "physfn"),
        vfs=_number(folder / "sriov_numvfs", 10),
        sfs=sum(1 for _ in folder.glob("mlx5_core.sf.*")),
        interfaces=tuple(_interface(folder / "net" / name, root) for name in _names(folder / "net")),
        rdma=rdma,
        rdma_users=tuple(sorted(_users(root, [f"/dev/infiniband/{f}" for name in rdma for f in _verbs(root, name)]))),
    )


def _number(path: Path, base: int = 16) -> int:
    text = read(path)
    try:
        return int(text, base)
    except ValueError:
        return 0


def _target(link: Path) -> str:
    """Return the last part of a link's target; "" where there is no link."""
    try:
        return link.readlink().name
    except OSError:
        return ""


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else ()


def _members(folder: Path) -> Iterator[Member]:
    for name in _names(folder):
        yield Member(name, _target(folder / name / "driver"))


def _interface(folder: Path, root: Path) -> Interface:
    flags = _number(folder / "flags")
    uppers = tuple(sorted(p.name.removeprefix("upper_") for p in folder.glob("upper_*")))
    return Interface(folder.name, bool(flags & _IFF_UP), tuple(_addresses(folder.name, root)), uppers)


def _addresses(name: str, root: Path) -> Iterator[str]:
    """Yield the interface's addresses: the first of IPv4, and those of IPv6 that are not of the link alone."""
    if root == Path("/"):
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            answer = ioctl(s.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            yield socket.inet_ntoa(answer[20:24])
    for line in read(root / "proc" / "net" / "if_inet6").splitlines():
        fields = line.split()
        # the fourth is the scope: 20 is that of the link
        if len(fields) == 6 and fields[5] == name and fields[3] != "20":
            yield socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0]))


def _verbs(root: Path, rdma: str) -> list[str]:
    """Return the files of /dev/infiniband by which programs use this RDMA device."""
    folder = root / "sys" / "class" / "infiniband_verbs"
    return [name for name in _names(folder) if read(folder / name / "ibdev") == rdma]


def users(root: Path, group: int) -> list[int]:
    """Return the processes that have this VFIO group open, as far as this user may see them."""
    return sorted(_users(root, [f"/dev/vfio/{group}"]))


def _users(root: Path, files: list[str]) -> Iterator[int]:
    if not files:
        return
    for process in (root / "proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(str(_link(fd)) in files for fd in (process / "fd").iterdir()):
                yield int(process.name)


def _link(fd: Path) -> str:
    try:
        return str(fd.readlink())
    except OSError:
        return ""


def isolation(address: str, root: Path) -> list[tuple[str, bool | None]]:
    """Return the bridges above a function and whether each isolates what is below it (ACS); None: not known."""
    try:
        place = (root / PCI / "devices" / address).resolve()
    except OSError:
        return []
    above = [part for part in place.parts[:-1] if ADDRESS.fullmatch(part)]
    return [(name, _acs(root / PCI / "devices" / name / "config")) for name in reversed(above)]


def _acs(config: Path) -> bool | None:
    """Return whether the bits of the access control service are on; None where the file does not show it."""
    try:
        space = config.read_bytes()
    except OSError:
        return None
    if len(space) <= _EXTENDED:
        return None  # only root sees the rest
    at = _EXTENDED
    for _ in range(64):
        head = int.from_bytes(space[at : at + 4], "little")
        if not head or at < _EXTENDED:
            return False
        if head & 0xFFFF == _ACS:
            control = int.from_bytes(space[at + _ACS_CONTROL : at + _ACS_CONTROL + 2], "little")
            return control & _ACS_NEEDED == _ACS_NEEDED
        at = head >> 20
    return False
