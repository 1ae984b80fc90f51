"""The kernels that a trial can be held on: a built tree, an image with its modules, and those of ``make vm``."""

from __future__ import annotations

import struct
from enum import StrEnum, unique
from pathlib import Path
from typing import Final

from fwpages.trial.busybox import busybox
from fwpages.trial.errors import MissingError
from fwpages.trial.initramfs import initramfs, with_present_init
from fwpages.trial.kernel import Kernel
from fwpages.trial.modules import Module, Modules, modules_in
from fwpages.trial.qemu import BUILD
from fwpages.trial.stripped import stripped

#: the driver on trial
DRIVER: Final = "mlx5_core"
#: what a bzImage has at 0x202, and the place of the offset of its version (Documentation/arch/x86/boot.rst)
_MAGIC, _MAGIC_AT, _VERSION_AT, _VERSION_FROM = b"HdrS", 0x202, 0x20E, 0x200
_IMAGE: Final = Path("arch", "x86", "boot", "bzImage")


@unique
class Debian(StrEnum):
    """The kernels of ``make vm``: the newest of Debian, and two older ones."""

    NEW = "new"
    OLD = "old"
    OLDEST = "oldest"


def of_tree(tree: Path, into: Path) -> Kernel:
    """A kernel that was built in this tree, with its initramfs in the folder ``into``. MissingError says what lacks."""
    image = tree / _IMAGE
    if not image.is_file():
        raise MissingError(f"{tree} has no {_IMAGE}: `make -j$(nproc) bzImage modules` there, or name another tree")
    config = tree / ".config"
    return _kernel(image, modules_in(tree), into, config if config.is_file() else None)


def of_image(image: Path, folder: Path, into: Path) -> Kernel:
    """A kernel image with the modules of this folder, as ``make modules_install`` lays them.

    The folder is ``/lib/modules/RELEASE``, or one in which ``lib/modules`` lies. MissingError says what lacks.
    """
    release = release_of(image)
    places = [folder, folder / release, *(folder / base / "modules" / release for base in ("lib", "usr/lib"))]
    place = next((p for p in places[1:] if p.is_dir()), folder)
    if not place.is_dir():
        raise MissingError(f"{folder} is no folder of modules")
    configs = (image.with_name(f"config-{release}"), place / "config", place / "build" / ".config")
    return _kernel(image, modules_in(place), into, next((c for c in configs if c.is_file()), None))


def debian(which: Debian, into: Path) -> Kernel:
    """A kernel of ``make vm``, with its initramfs in the folder ``into``. MissingError where it was not made."""
    folder = BUILD / which
    version = folder / "version"
    if not version.is_file():
        raise MissingError(
            f"there is no kernel {which} in {BUILD}: `make vm` makes it, in a repository of fwpages and on Debian; "
            "elsewhere take --kernel IMAGE --modules DIR"
        )
    return _made(folder / "vmlinuz", with_present_init(folder / "initramfs"), into, version.read_text().strip(), None)


def release_of(image: Path) -> str:
    """The release of a kernel image, as ``uname -r`` says it. MissingError where it is no bzImage."""
    try:
        with image.open("rb") as f:
            data = f.read(1 << 16)
    except OSError as e:
        raise MissingError(f"{image}: {e.strerror}") from None
    if data[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC:
        raise MissingError(f"{image} is no bzImage of Linux for x86; a vmlinux is not one: take arch/x86/boot/bzImage")
    at = _VERSION_FROM + int(struct.unpack_from("<H", data, _VERSION_AT)[0])
    words = data[at:].split(b"\0", 1)[0].split()
    if not words:
        raise MissingError(f"{image} does not say its release")
    return words[0].decode("ascii", "replace")


def _kernel(image: Path, modules: Modules, into: Path, config: Path | None) -> Kernel:
    release = release_of(image)
    driver = modules.in_order(DRIVER)
    _fitting(image, release, modules, driver)
    return _made(image, initramfs(busybox(), [stripped(m) for m in driver]), into, release, config)


def _fitting(image: Path, release: str, modules: Modules, driver: list[Module]) -> None:
    """MissingError where a module was built for another kernel: it would not load."""
    for m in driver:
        if m.release not in ("", release):
            raise MissingError(
                f"{modules.where}: {m.name} was built for {m.release}, and {image} is {release}: build both at once"
            )


def _made(image: Path, data: bytes, into: Path, name: str, config: Path | None) -> Kernel:
    into.mkdir(parents=True, exist_ok=True)
    target = into / f"{name}.cpio"
    target.write_bytes(data)
    return Kernel(image, target, name, config)
