"""Write the initramfs of a kernel of Debian's, whose packages were unpacked: ``initramfs.py ROOT RELEASE TARGET``."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

from fwpages.trial.errors import MissingError
from fwpages.trial.initramfs import initramfs
from fwpages.trial.kernels import DRIVER
from fwpages.trial.modules import modules_in

#: for dumps with a VMCOREINFO, for a folder of this machine in the guest, and for a program there that drives a device:
#: those tests that need them load them
MORE = ("qemu_fw_cfg", "virtio_pci", "9pnet_virtio", "9p", "vfio_pci", "vfio_iommu_type1")


def main(root: Path, release: str, target: Path) -> None:
    """Write it, from the modules and the BusyBox below ``root``."""
    folder = next(f for f in (root / "usr/lib/modules" / release, root / "lib/modules" / release) if f.is_dir())
    busybox = next(f for f in (root / "usr/bin/busybox", root / "bin/busybox") if f.is_file())
    modules = modules_in(folder)
    # Debian's packages do not say what is built in: their modules.builtin is made where they are installed
    more = modules.in_order(*(name for name in MORE if name in modules.files))
    data = initramfs(busybox.read_bytes(), modules.in_order(DRIVER), more)
    target.write_bytes(gzip.compress(data, 1))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    except MissingError as e:
        sys.exit(f"make vm: {e}")
