"""Trees of sysfs, debugfs and proc as kernels have them: functions, their counters, and what each generation lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

#: the files below ``pages/``, without their prefix, by generation of the driver
_OLD = ("total", "vfs", "host_pf")
_FAILURES = ("alloc_failed", "give_dropped", "reclaim_discard")
PAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "5.15": (),
        "5.18": _OLD,
        "6.1": (*_OLD, "sfs", *_FAILURES),
        "6.5": (*_OLD, "sfs", "ec_vfs", *_FAILURES),
        "6.8": (*_OLD, "sfs", "ec_vfs", *_FAILURES),
        "6.12": (*_OLD, "sfs", "ec_vfs", *_FAILURES),
        "7.2": (*_OLD, "sfs", "ec_vfs", "spfs", *_FAILURES),
        "7.2 without types": ("total", *_FAILURES),
        "vendor 5.8": (*_OLD, *_FAILURES),
        "vendor 23.10": (*_OLD, "sfs", "ec_vfs", *_FAILURES),
    }
)
_STATISTICS = ("n", "average", "failed", "failed_mbox_status", "last_failed_errno", "last_failed_mbox_status")
#: releases and versions of the driver by generation
RELEASES: Mapping[str, tuple[str, str | None]] = MappingProxyType(
    {g: (g.split()[0], None) for g in PAGES if not g.startswith("vendor")}
    | {"vendor 5.8": ("5.4.0-150-generic", "5.8-1.1.2"), "vendor 23.10": ("5.15.0-91-generic", "23.10-1.1.9")}
)
CONNECTX7, BLUEFIELD3 = 0x1021, 0xA2DC
GIB = 1 << 20  # in KiB


@dataclass(frozen=True)
class Machine:
    """A tree at ``root``, to which functions are added."""

    root: Path
    generation: str = "6.12"
    nodes: int = 2

    def __post_init__(self) -> None:
        release, version = RELEASES[self.generation]
        self.write("proc/sys/kernel/osrelease", release)
        self.write("proc/meminfo", f"MemTotal: {8 * self.nodes * GIB} kB\nMemFree: {4 * self.nodes * GIB} kB")
        for n in range(self.nodes):
            rows = f"Node {n} MemTotal: {8 * GIB} kB\nNode {n} MemFree: {4 * GIB} kB"
            self.write(f"sys/devices/system/node/node{n}/meminfo", rows)
        self.write("sys/devices/system/node/online", "0")
        self.write("sys/module/mlx5_core/taint", "" if version is None else "OE")
        if version is not None:
            self.write("sys/module/mlx5_core/version", version)
        for file in ("bind", "new_id", "uevent", "unbind"):
            self.write(f"sys/bus/pci/drivers/mlx5_core/{file}", "")
        self.write("sys/kernel/debug/clear_warn_once", "")

    def write(self, path: str, text: object) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", "utf-8")

    def link(self, path: str, target: str) -> None:
        """A link as sysfs has them: relative to its own place."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to("../" * path.count("/") + target)

    def pci(
        self, name: str, *, node: int = 0, device: int = CONNECTX7, physfn: str | None = None, net: str | None = None
    ) -> None:
        """A PCI function that mlx5_core is bound to."""
        home = f"sys/devices/pci0000:00/{name}"
        for file, text in (("vendor", "0x15b3"), ("device", f"{device:#06x}"), ("numa_node", node)):
            self.write(f"{home}/{file}", text)
        self.link(f"sys/bus/pci/devices/{name}", home)
        self.link(f"sys/bus/pci/drivers/mlx5_core/{name}", home)
        if physfn is not None:
            self.link(f"{home}/physfn", f"sys/devices/pci0000:00/{physfn}")
        if net is not None:
            self.write(f"{home}/net/{net}/ifindex", 2)
        self.auxiliary(name, f"mlx5_core.eth.{len(self.names('sys/bus/auxiliary/devices'))}")

    def auxiliary(self, below: str, name: str) -> str:
        home = f"sys/devices/pci0000:00/{below}/{name}"
        self.write(f"{home}/uevent", "")
        self.link(f"sys/bus/auxiliary/devices/{name}", home)
        return home

    def sf(self, name: str, *, of: str) -> None:
        """An SF of a PCI function."""
        home = self.auxiliary(of, name)
        self.write(f"{home}/sfnum", 88)
        self.link(f"sys/bus/auxiliary/drivers/mlx5_core.sf/{name}", home)
        self.auxiliary(f"{of}/{name}", f"mlx5_core.eth.{len(self.names('sys/bus/auxiliary/devices'))}")

    def rdma(self, name: str, *, of: str, pages: int) -> None:
        """An RDMA device of a function."""
        home = f"sys/devices/pci0000:00/{of}/infiniband/{name}"
        self.write(f"{home}/fw_pages", pages)
        self.write(f"{home}/fw_ver", "28.39.1002")
        self.link(f"{home}/device", f"sys/devices/pci0000:00/{of}")
        self.link(f"sys/class/infiniband/{name}", home)

    def counters(self, name: str, total: int, **others: object) -> None:
        """The function's folder in debugfs as this generation of the driver has it; what is not given is 0."""
        generation = self.generation
        home = f"sys/kernel/debug/mlx5/{name}"
        values = {"total": total, **others}
        for file in PAGES[generation]:
            self.write(f"{home}/pages/fw_pages_{file}", values.get(file, 0))
        newer = generation not in ("5.15",)
        for file in _STATISTICS if newer else ("n", "average"):
            self.write(f"{home}/commands/MANAGE_PAGES/{file}", values.get(file, 0))
        if newer:
            self.write(f"{home}/commands/MANAGE_PAGES/last_failed_syndrome", values.get("last_failed_syndrome", "0x0"))
            self.write(f"{home}/commands/slots_inuse", values.get("slots_inuse", 0))
        if generation in ("6.12", "7.2", "7.2 without types"):
            self.write(f"{home}/vhca_id", "0x2a")
        # what must not be read
        for file in ("QPs/0x1/state", "EQs/0x1/num_eqes", "CQs/0x1/cqn", "commands/MANAGE_PAGES/reset"):
            self.write(f"{home}/{file}", "never read")

    def names(self, folder: str) -> list[str]:
        path = self.root / folder
        return sorted(p.name for p in path.iterdir()) if path.exists() else []


PF, VF, SF = "0000:3b:00.0", "0000:3b:00.2", "mlx5_core.sf.2"


def server(root: Path, generation: str = "6.12") -> Machine:
    """A PF on node 1 with a VF and an SF, all with counters."""
    m = Machine(root, generation)
    m.pci(PF, node=1, net="ens3f0np0")
    m.pci(VF, node=1, physfn=PF)
    m.sf(SF, of=PF)
    m.counters(PF, 15_237, vfs=512, sfs=812, n=214, average=31_000)
    m.counters(VF, 37)
    m.counters(SF, 9)
    return m
