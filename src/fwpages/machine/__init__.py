"""The running machine: how much memory each mlx5 function holds now.

``counters()`` reads the driver's counters once. ``inspect()`` reads the driver's own lists of pages, in the running
kernel or in a core. ``record()`` records the driver's calls about pages from now on, by events in tracefs that it
removes at its end; nothing else writes a file of the kernel. Nothing here sends a command to firmware or takes a lock
of devlink, unless ``counters`` is told to ask firmware.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fwpages.machine.calls.recorder import record as record
    from fwpages.machine.inspection import Inspection as Inspection
    from fwpages.machine.inspection import inspect as inspect
    from fwpages.machine.sampling import counters as counters

__all__ = ["Inspection", "counters", "inspect", "record"]

_HOMES = {
    "Inspection": "fwpages.machine.inspection",
    "counters": "fwpages.machine.sampling",
    "inspect": "fwpages.machine.inspection",
    "record": "fwpages.machine.calls.recorder",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fwpages.machine' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """With the names that are not imported yet."""
    return sorted({*globals(), *__all__})
