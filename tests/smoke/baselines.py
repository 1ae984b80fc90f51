"""The baseline of docs/baselines that a kernel is compared with."""

from __future__ import annotations

import re
from pathlib import Path

BASELINES = Path(__file__).parents[2] / "docs" / "baselines"
_VERSION = re.compile(r"\d+(?:\.\d+)*")
_NAME = re.compile(r"linux-(\d+(?:\.\d+)*)(-smoke)?\.json")


def chosen(release: str, folder: Path = BASELINES) -> tuple[Path, str]:
    """The baseline for this release of Linux, and what is to be said of the choice: "" where it is the kernel's own.

    A whole campaign goes before a smoke set. Without one of the same version it is that of the newest kernel: a later
    kernel should be no worse.
    """
    match = _VERSION.match(release)
    version = match[0] if match else release
    found = [(m, file) for file in folder.iterdir() if (m := _NAME.fullmatch(file.name))]
    own = [(m[2] is None, file) for m, file in found if m[1] == version]
    if own:
        return max(own)[1], ""
    *_, newest = max((tuple(map(int, m[1].split("."))), m[2] is None, file) for m, file in found)
    return newest, f"no baseline in {folder} is of Linux {version}: compared with {newest.name}"
