"""The initial RAM filesystem of a machine: BusyBox, our ``init`` and the kernel's modules, as a cpio archive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from fwpages.trial.archives import Member, cpio
from fwpages.trial.modules import Module

_FOLDERS: Final = ("bin", "dev", "proc", "sys", "tmp", "modules", "more")
_EXECUTABLE: Final = 0o755


def _init() -> Member:
    """The first program of a machine: a script of ours for BusyBox."""
    return Member("init", files("fwpages.trial").joinpath("init").read_bytes(), _EXECUTABLE)


def initramfs(busybox: bytes, driver: Sequence[Module], more: Sequence[Module] = ()) -> bytes:
    """The archive, with the modules of the driver in the order in which they load; ``more`` are loaded on request."""
    return cpio(
        [
            *(Member(name, None, _EXECUTABLE) for name in _FOLDERS),
            Member("bin/busybox", busybox, _EXECUTABLE),
            _init(),
            *_modules("modules", driver),
            *_modules("more", more),
        ]
    )


def _modules(folder: str, modules: Iterable[Module]) -> list[Member]:
    every = list(modules)
    order = "".join(f"{m.name}.ko\n" for m in every)
    return [*(Member(f"{folder}/{m.name}.ko", m.data) for m in every), Member(f"{folder}/order", order.encode())]


def with_present_init(base: Path) -> bytes:
    """An initramfs of ours, made earlier, with the present ``init``: Linux unpacks one archive after the other."""
    data = base.read_bytes()
    # an archive that follows another one begins at a multiple of four bytes
    return data + b"\0" * (-len(data) % 4) + cpio([_init()])
