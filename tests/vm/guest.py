"""Programs of this machine in the guest, dumps of it, and the kernels that ``make vm`` built."""

from __future__ import annotations

import base64
import compileall
import json
import os
import shlex
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fwpages.trial.errors import MissingError
from fwpages.trial.guest import BOOT, PATIENCE, Guest
from fwpages.trial.initramfs import with_present_init
from fwpages.trial.kernel import Kernel
from fwpages.trial.kernels import Debian, debian
from fwpages.trial.qemu import Machine

#: the socket of QEMU's monitor, in the machine's folder
_MONITOR = "monitor"
#: the machine's memory can be dumped (``dump``)
WITH_DUMPS = ("-device", "vmcoreinfo", "-qmp", f"unix:{_MONITOR},server=on,wait=off")
#: this machine's programs run in it (``fwpages``, ``begin``)
WITH_PYTHON = (
    "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
    "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
)  # fmt: skip
PYTHON = Machine(more=WITH_PYTHON)
STRICT = Machine(strict_iommu=True)
#: a device of it can be driven by a program of this machine (``with_vfio``)
VFIO = Machine(strict_iommu=True, remapping=True, more=WITH_PYTHON)


def built(which: Debian, into: Path) -> Kernel:
    """A kernel of ``make vm``, its initramfs with the present ``init`` in ``into``. MissingError where it is not there.

    FWPAGES_KERNEL and FWPAGES_INITRD (FWPAGES_OLD_KERNEL, FWPAGES_OLDEST_KERNEL, …) name others than ``make vm``'s.
    """
    mark = "" if which is Debian.NEW else f"{which.upper()}_"
    image, initrd = os.environ.get(f"FWPAGES_{mark}KERNEL"), os.environ.get(f"FWPAGES_{mark}INITRD")
    if image and initrd:
        target = into / "initramfs"
        target.write_bytes(with_present_init(Path(initrd)))
        return Kernel(Path(image), target, Path(image).name)
    try:
        return debian(which, into)
    except MissingError as e:
        raise MissingError(f"{e}; or set FWPAGES_{mark}KERNEL and FWPAGES_{mark}INITRD") from None


@dataclass(frozen=True)
class Ran:
    """What a program of this machine printed in the guest, and its exit status."""

    stdout: str
    stderr: str
    status: int


@dataclass(frozen=True)
class Job:
    """A program of this machine that runs in the guest: its process id there, and the name of its output."""

    pid: int
    name: str


_REPOSITORY = Path(__file__).parents[2]
#: makes this machine's root, read-only, the guest's /host, with the guest's own kernel in it: what a program sees of
#: /proc, /sys, /dev is the guest's. /tmp and /run are empty and can be written; a repository below them is there still.
_HOST_ROOT = (
    "set -e",
    "for m in $(cat /more/order); do [ -d /sys/module/${m%.ko} ] || insmod /more/$m; done",
    "mkdir -p /host /machine /output",
    "mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose root /machine",
    "mount --bind /machine /host",
    "mount -t proc none /host/proc",
    "mount -t sysfs none /host/sys",
    "mount -t securityfs none /host/sys/kernel/security",
    "mount -t devtmpfs none /host/dev",
    "mount -t debugfs none /host/sys/kernel/debug",
    "mount -t tracefs none /host/sys/kernel/tracing",
    "mount -t tmpfs none /host/tmp",
    "mount -t tmpfs none /host/run",
    "ifconfig lo up",
)
_ENVIRONMENT = ("PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb")


def fwpages(g: Guest, words: Sequence[str], seconds: float = BOOT) -> Ran:
    """Run ``fwpages`` with these words in the guest, on its kernel, as root, without a terminal.

    It is this machine's own, with this repository's sources. Its files are this machine's, and read-only, but for
    /tmp and /run, which are the guest's.
    """
    return finish(g, begin(g, words), seconds, stop="")


def begin(g: Guest, words: Sequence[str]) -> Job:
    """Start ``fwpages`` with these words in the guest, and go on."""
    return begin_program(g, [str(Path(sys.prefix) / "bin" / "fwpages"), *words])


def begin_program(g: Guest, command: Sequence[str]) -> Job:
    """Start a program of this machine in the guest, as ``begin`` does."""
    _host_root(g)
    name = g.ok("mktemp -u /output/XXXXXX").strip()
    # a shell without job control makes what it starts in the background deaf to SIGINT
    line = shlex.join(["/usr/bin/env", "--default-signal=INT", *_ENVIRONMENT, *command])
    pid = g.ok(f"chroot /host {line} </dev/null >{name}.out 2>{name}.err & echo $!")
    return Job(int(pid), name)


def finish(g: Guest, job: Job, seconds: float = PATIENCE, stop: str = "INT") -> Ran:
    """Send a signal to a job ("": none), wait for its end, and return what it printed."""
    if stop:
        g.run(f"kill -{stop} {job.pid}")
    status = g.run(f"wait {job.pid}", seconds).status
    return Ran(g.ok(f"cat {job.name}.out"), g.ok(f"cat {job.name}.err"), status)


def with_vfio(g: Guest) -> str:
    """Load what hands devices to programs; return the address of the served device."""
    _host_root(g)
    g.ok("[ -d /sys/bus/pci/drivers/vfio-pci ] || { echo no vfio-pci in this initramfs: make vm; false; }")
    return g.ok("address").strip()


def read_file(g: Guest, path: str) -> bytes:
    """The content of a file, by the name that it has for ``fwpages`` in the guest."""
    return base64.b64decode(g.ok(f"base64 /host{shlex.quote(path)}"))


def _host_root(g: Guest) -> None:
    """Make this machine's root the guest's /host, once."""
    if g.run("[ -d /output ]").status == 0:
        return
    # the guest can write no bytecode, and compiling the package takes it half a minute
    compileall.compile_dir(_REPOSITORY / "src", quiet=1)
    hidden = {f for f in (str(_REPOSITORY), sys.prefix, sys.base_prefix) if f.startswith(("/tmp/", "/run/"))}
    binds = [f"mkdir -p /host{f}; mount --bind /machine{f} /host{f}" for f in map(shlex.quote, sorted(hidden))]
    g.ok("(" + "; ".join([*_HOST_ROOT, *binds]) + ")")


def dump(g: Guest, file: Path, form: str = "elf") -> Path:
    """Write the machine's memory to a file, in one of QEMU's formats; the machine stands still meanwhile."""
    arguments = {"paging": False, "protocol": f"file:{file}", "format": form}
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(PATIENCE)
        monitor.connect(str(g.folder / _MONITOR))
        with monitor.makefile("rw") as lines:
            lines.readline()
            for command in (
                {"execute": "qmp_capabilities"},
                {"execute": "dump-guest-memory", "arguments": arguments},
            ):
                lines.write(json.dumps(command) + "\n")
                lines.flush()
                while "return" not in (answer := json.loads(lines.readline())):
                    assert "error" not in answer, answer
    return file
