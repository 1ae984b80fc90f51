"""Modules without their debug information, which a trial reads in the tree and no machine needs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from fwpages.trial.errors import MissingError
from fwpages.trial.modules import Module

#: the section that a module built with CONFIG_DEBUG_INFO has, by its name in the file's table of names
_DEBUG_INFO: Final = b"\0.debug_info\0"
_RELOCATED: Final = b".rela.debug_info\0"
#: seconds for one module: the largest takes one
_PATIENCE: Final = 60.0


def stripped(module: Module) -> Module:
    """The module as ``make modules_install INSTALL_MOD_STRIP=1`` leaves it; the same where it has no debug information.

    mlx5_core has 130 MB of it: each load would cost a machine as much memory, and its free memory would say nothing of
    a leak. MissingError where binutils' ``strip`` is not here, or fails.
    """
    if _DEBUG_INFO not in module.data and _RELOCATED not in module.data:
        return module
    program = shutil.which("strip")
    if program is None:
        raise MissingError(
            f"{module.name} has debug information, and there is no `strip` to take it out (package binutils)"
        )
    with tempfile.TemporaryDirectory(prefix="fwpages-strip-") as scratch:
        before, after = Path(scratch, "before.ko"), Path(scratch, "after.ko")
        before.write_bytes(module.data)
        words = [program, "--strip-debug", "-o", str(after), str(before)]
        try:
            done = subprocess.run(words, capture_output=True, timeout=_PATIENCE, check=False)  # noqa: S603  # ours
        except subprocess.TimeoutExpired:
            raise MissingError(f"{module.name}: `strip` did not end within {_PATIENCE:.0f} s") from None
        if done.returncode:
            raise MissingError(f"{module.name}: {done.stderr.decode('utf-8', 'replace').strip()}")
        return replace(module, data=after.read_bytes())
