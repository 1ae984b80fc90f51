"""BusyBox, the only program of a machine: a static one of this machine's."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import Final

from fwpages.trial.archives import member
from fwpages.trial.errors import MissingError
from fwpages.trial.qemu import BUILD

_HINT: Final = "apt install busybox-static, or set FWPAGES_BUSYBOX to a static BusyBox for x86-64"
_PT_INTERP: Final = 3
_X86_64: Final = 62


def busybox() -> bytes:
    """A static BusyBox: FWPAGES_BUSYBOX, this machine's, or that of ``make vm``. MissingError where there is none."""
    given = os.environ.get("FWPAGES_BUSYBOX")
    if given:
        data = Path(given).read_bytes() if Path(given).is_file() else b""
        if not is_static(data):
            raise MissingError(f"FWPAGES_BUSYBOX={given} is no static program for x86-64: {_HINT}")
        return data
    found = shutil.which("busybox")
    data = Path(found).read_bytes() if found else b""
    if is_static(data):
        return data
    built = BUILD / "new" / "initramfs"
    inside = member(built, "bin/busybox") if built.is_file() else None
    if inside is not None:
        return inside
    here = f"{found} needs libraries of this machine" if found else "there is no BusyBox here"
    raise MissingError(f"{here}: {_HINT}")


def is_static(data: bytes) -> bool:
    """Tell whether this is a 64-bit x86 program in ELF that needs no interpreter (``PT_INTERP``)."""
    if len(data) < 64 or data[:5] != b"\x7fELF\x02" or struct.unpack_from("<H", data, 18)[0] != _X86_64:
        return False
    offset, size, count = *struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54)
    if offset + size * count > len(data):
        return False
    kinds = [struct.unpack_from("<I", data, offset + n * size)[0] for n in range(count)]
    return bool(kinds) and _PT_INTERP not in kinds
