"""fwpages: the host–firmware page protocol of mlx5 devices (ConnectX, BlueField), both ends of it.

``audit(path)`` reads the logs of a real driver, and ``diff(a, b)`` compares two; ``machine`` shows the pages of the
functions of this machine; ``Device`` and ``open`` run a device on the embedded firmware, ``drive`` drives one that
others provide.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fwpages import machine  # exported
    from fwpages.api import Device as Device
    from fwpages.api import OperationError as OperationError
    from fwpages.api import open as open  # noqa: A004
    from fwpages.auditor.audit import InputError as InputError
    from fwpages.auditor.audit import audit as audit
    from fwpages.comparison import diff as diff
    from fwpages.driving import drive as drive

    __version__: str

__all__ = ["Device", "InputError", "OperationError", "audit", "diff", "drive", "machine", "open"]

_HOMES = {
    "Device": "fwpages.api",
    "OperationError": "fwpages.api",
    "open": "fwpages.api",
    "InputError": "fwpages.auditor.audit",
    "audit": "fwpages.auditor.audit",
    "diff": "fwpages.comparison",
    "drive": "fwpages.driving",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: a bare ``import fwpages`` stays quick."""
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("fwpages")
    if name == "machine":
        return importlib.import_module("fwpages.machine")
    if name not in _HOMES:
        raise AttributeError(f"module 'fwpages' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """With the names that are not imported yet: ``help(fwpages)`` shows them by this."""
    return sorted({*globals(), *__all__, "__version__"})
