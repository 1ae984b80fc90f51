"""A kernel that a virtual machine can start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel image and an initramfs of ours. ``name`` is its release; ``config``: its configuration, where known."""

    image: Path
    initrd: Path
    name: str
    config: Path | None = None
