"""A program of ours on rdma-core's driver of mlx5 devices, unmodified, in a guest, with the loader that it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from fwpages.trial.errors import MissingError
from fwpages.trial.guest import Guest
from tests.vm.guest import Job, begin_program, with_vfio

_HERE = Path(__file__).parent / "rdma"
#: the packages that ``make rdma`` unpacks, and what is compiled against them: the guest sees the repository
BUILD = Path(__file__).parents[2] / "build" / "rdma"
_LIBRARIES = BUILD / "root" / "usr" / "lib" / "x86_64-linux-gnu"
_CLIENT, _ABOVE_ZERO = BUILD / "client", BUILD / "above_zero.so"


def compiled() -> None:
    """Compile the program against rdma-core, and the library to preload. MissingError where something is not there."""
    if not (BUILD / "version").is_file():
        raise MissingError(f"there is no rdma-core in {BUILD}: make rdma")
    if shutil.which("gcc") is None:
        raise MissingError("there is no gcc here: apt install gcc libc6-dev")
    headers = ["-I", str(BUILD / "root" / "usr" / "include")]
    libraries = [str(_LIBRARIES / f"lib{name}.so.1") for name in ("mlx5", "ibverbs")]
    # they need a newer C library than this machine's, and get it in the guest
    _compile(_CLIENT, *headers, str(_HERE / "client.c"), *libraries, "-Wl,--allow-shlib-undefined")
    _compile(_ABOVE_ZERO, "-shared", "-fPIC", str(_HERE / "above_zero.c"))


def _compile(target: Path, *words: str) -> None:
    """Compile into ``target``, whole: another process may do the same at once."""
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    command = ["gcc", "-O1", "-Wall", "-Werror", "-o", str(fresh), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    fresh.replace(target)


def bound(g: Guest) -> str:
    """Give the served device to vfio-pci, as its user does; return its address."""
    address = with_vfio(g)
    device = f"/sys/bus/pci/devices/{address}"
    g.ok(f"echo vfio-pci >{device}/driver_override; echo {address} >/sys/bus/pci/drivers_probe; [ -e {device}/driver ]")
    return address


def start(g: Guest, address: str, *, above_zero: bool) -> Job:
    """Start the program; with ``above_zero`` no I/O address that it is offered is 0."""
    preload = ["--preload", str(_ABOVE_ZERO)] if above_zero else []
    loader = str(_LIBRARIES / "ld-linux-x86-64.so.2")
    return begin_program(g, [loader, *preload, "--library-path", str(_LIBRARIES), str(_CLIENT), address])
