"""A tree of files as sysfs and procfs have them, for one function and its neighbours."""

from __future__ import annotations

from pathlib import Path

ADDRESS = "0000:3b:00.1"


class Machine:
    """A VF without anything that stands against driving it, on vfio-pci; ``write`` and ``link`` change it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        bridge = root / "sys/devices/pci0000:3a/0000:3a:00.0"
        self.place = bridge / ADDRESS
        self.folder = root / "sys/bus/pci/devices" / ADDRESS
        self.place.mkdir(parents=True)
        self.folder.parent.mkdir(parents=True)
        self.folder.symlink_to(self.place)
        (self.folder.parent / bridge.name).symlink_to(bridge)
        for driver in ("vfio-pci", "mlx5_core"):
            (root / "sys/bus/pci/drivers" / driver).mkdir(parents=True)
        for name, text in {
            "vendor": "0x15b3",
            "device": "0x101e",
            "class": "0x020000",
            "driver_override": "vfio-pci",
            "reset_method": "flr pm bus",
        }.items():
            self.write(name, text)
        self.member(ADDRESS)
        self.link("iommu_group", root / "sys/kernel/iommu_groups/7")
        self.link("physfn", self.folder.parent / "0000:3b:00.0")
        self.link("driver", root / "sys/bus/pci/drivers/vfio-pci")

    def write(self, name: str, text: str) -> None:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")

    def link(self, name: str, target: Path) -> None:
        link = self.place / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)

    def driver(self, name: str) -> None:
        """Bind the function to another driver, or to none."""
        (self.place / "driver").unlink(missing_ok=True)
        if name:
            self.link("driver", self.root / "sys/bus/pci/drivers" / name)

    def member(self, address: str, driver: str = "") -> None:
        """Put a device into the function's group."""
        folder = self.root / "sys/kernel/iommu_groups/7/devices" / address
        folder.parent.mkdir(parents=True, exist_ok=True)
        if address == ADDRESS:
            folder.symlink_to(self.place)
            return
        folder.mkdir()
        if driver:
            (folder / "driver").symlink_to(self.root / "sys/bus/pci/drivers" / driver)

    def interface(self, name: str, flags: str = "0x1002", upper: str = "") -> None:
        self.write(f"net/{name}/flags", flags)
        if upper:
            self.write(f"net/{name}/upper_{upper}/ifindex", "9")

    def opened(self, process: int, file: str) -> None:
        """Let a process have a file open."""
        folder = self.root / "proc" / str(process) / "fd"
        folder.mkdir(parents=True)
        (folder / "3").symlink_to(file)
