"""A driver's e-switch in a virtual machine: its mode, its VFs, and its counters beside the server's books."""

from __future__ import annotations

import base64
import gzip
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from fwpages.custody.accounts import DEBUGFS
from fwpages.prm.identity import FunctionType
from fwpages.scenario import load as load_scenario
from fwpages.scenario.format import Scenario
from fwpages.trial.archives import Member, cpio
from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from fwpages.trial.qemu import Machine
from tests.vm.lab import agree

#: functions of an ECPF: name, type, index, vhca_id, the pages that each wants once it is enabled
HOST_PF = ("host-pf", "host_pf", 0, 0x1, 300)
HOST_VFS = (("vf0", "vf", 0, 0x31, 40), ("vf1", "vf", 1, 0x32, 50))
EC_VFS = (("ec-vf0", "ec_vf", 0, 0x51, 60), ("ec-vf1", "ec_vf", 1, 0x52, 70))
SPF = ("spf0", "spf", 0, 0x61, 80)
Function = tuple[str, str, int, int, int]


def ecpf(*functions: Function, steps: str = "", capabilities: str = "", more: str = "") -> Scenario:
    """A scenario of an ECPF with these functions; capabilities as a TOML table's entries, ``more`` keys of the last."""
    head = f'[device]\nprofile = "bluefield3"\ninit_pages = 2000\ncapabilities = {{ {capabilities} }}\n'
    keys = ("name", "type", "index", "vhca_id", "pages")
    rows = [
        "[[function]]\n" + "".join(f"{k} = {v!r}\n".replace("'", '"') for k, v in zip(keys, row, strict=True))
        for row in functions
    ]
    return load_scenario("lab", text=head + "".join(rows) + more + '[[step]]\ndo = "open"\n' + steps)


def step(do: str, function: str, more: str = "") -> str:
    return f'[[step]]\ndo = "{do}"\nfunction = "{function}"\n{more}\n'


class Difference(StrEnum):
    """The ways in which Linux counts otherwise than firmware, by its design (docs/howto/real-driver.md names them)."""

    #: pages that were given before the e-switch had the vport: in the total alone, to their end
    EARLY = "given before the vport was enabled"
    #: pages that were given after the vport was disabled: in the total alone, too
    AFTER = "given after the vport was disabled"


#: devlink's name in the guest
DEVLINK = "/usr/sbin/devlink"
#: a machine whose kernel's log has room for the dumps of all commands: 8 MB of two lives of every function
LOGGED = Machine(append="log_buf_len=32M")


def load(g: Guest, *, dumps: bool = False) -> None:
    """Load the driver; with ``dumps`` the kernel's log has each command in hexadecimal numbers (``kernel_log``).

    The console does not: an emulated serial port takes longer for the numbers than the driver for its commands.
    """
    g.ok("dmesg -n 7; load dyndbg=+p" if dumps else "load")
    g.ok("cd /sys/bus/pci/devices/$(address); [ ! -e sriov_drivers_autoprobe ] || echo 0 > sriov_drivers_autoprobe")


def kernel_log(g: Guest) -> str:
    """The kernel's log from its first line on, with the dumps that its console does not have.

    The kernel keeps it in a ring, and numbers its records. While the oldest that /dev/kmsg has is the first of all,
    the ring has never gone round, and no line is lost.
    """
    log = gzip.decompress(base64.b64decode(g.ok("dmesg | gzip -c | base64"))).decode("utf-8", "replace")
    # one read of /dev/kmsg is one record
    oldest = re.match(r"\d+,(\d+),[^;]*;(.*)", g.ok("dd if=/dev/kmsg bs=8192 count=1 2>/dev/null"))
    assert oldest is not None
    assert oldest[1] == "0", f"the kernel has lost the first {oldest[1]} lines of its log: log_buf_len is too small"
    assert oldest[2] in log.partition("\n")[0], "dmesg has left out the first lines: it takes the last 16 MiB"
    return log


def with_devlink(kernel: Kernel, folder: Path) -> Kernel:
    """The kernel with an initramfs in ``folder`` that has this machine's devlink, with its libraries."""
    tool = shutil.which("devlink", path="/usr/sbin:/sbin:/usr/bin:/bin")
    assert tool is not None, "devlink is in Debian's package iproute2"
    needs = subprocess.run(["ldd", tool], capture_output=True, text=True, check=True).stdout
    files = {DEVLINK: tool, **{name: name for name in re.findall(r"(/\S+) \(0x", needs)}}
    folders = {str(parent) for name in files for parent in Path(name).parents if parent != Path("/")}
    rows = [Member(name[1:], None, 0o755) for name in sorted(folders)]
    rows += [Member(name[1:], Path(file).read_bytes(), 0o755) for name, file in files.items()]
    return with_files(kernel, folder / "with-devlink", rows)


def with_files(kernel: Kernel, target: Path, files: list[Member]) -> Kernel:
    """The kernel with an initramfs, ``target``, that has these files too, in place of its own of their names."""
    base = kernel.initrd.read_bytes()
    # Linux unpacks one archive after the other; the next begins at a multiple of four bytes
    target.write_bytes(base + b"\0" * (-len(base) % 4) + cpio(files))
    return replace(kernel, initrd=target)


def devlink(g: Guest, *words: str) -> str:
    """Run devlink in the guest (``with_devlink``); what it printed."""
    return g.ok(shlex.join([DEVLINK, *words]))


def settled(g: Guest) -> None:
    """Wait until the e-switch has done what it heard of: it has devlink's lock meanwhile, which this command takes."""
    devlink(g, "dev", "eswitch", "show", f"pci/{g.ok('address').strip()}")


def mode(g: Guest, name: str) -> None:
    """Let devlink switch the e-switch to this mode."""
    devlink(g, "dev", "eswitch", "set", f"pci/{g.ok('address').strip()}", "mode", name)


def quiet(lab: Lab, seconds: float = 3.0) -> None:
    """Wait until the driver has sent no command for so long."""
    lab.wait(lambda: lab.call(lambda: lab.serving.device.now - lab.serving.observer.last_command) > seconds)


def vfs(g: Guest, n: int) -> None:
    """Let the driver have so many VFs by SR-IOV: those of a PF, EC VFs of an ECPF."""
    g.ok(f"echo {n} > /sys/bus/pci/devices/$(address)/sriov_numvfs")


def books(lab: Lab, g: Guest, held: Mapping[str, int], *apart: tuple[Difference, FunctionType, int]) -> None:
    """Both sides hold this: each counter of the driver is the sum of its type on ours.

    ``apart`` are pages of a type that Linux has in its total alone.
    """
    lab.until(held)
    agree(lab, g)
    counters = g.pages()
    kinds = {spec.name: spec.type for spec in lab.serving.observer.inner.specs}
    missing = {kind: sum(n for _, of, n in apart if of is kind) for kind in FunctionType}
    for kind, name in DEBUGFS.items():
        if name in counters:
            mine = sum(n for function, n in held.items() if kinds[function] is kind)
            assert counters[name] == mine - missing[kind], (name, counters, held)
    assert counters["fw_pages_give_dropped"] == counters["fw_pages_alloc_failed"] == 0
