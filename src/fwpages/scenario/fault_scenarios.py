"""The scenario in which a fault strikes, where none is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from fwpages.device import PlannedFault

#: the scenario of every fault that is not in the table below, and of a run without faults
DEFAULT_SCENARIO: Final = "connectx7"

#: fault → the scenario that has what it needs
_OTHERS: Mapping[str, str] = MappingProxyType(
    {
        # a function that is enabled after another one was disabled
        "vhca-id-again": "late-return",
        # a device on which release_all cannot be negotiated
        "release-all-unasked": "connectx4-lx",
        # a reset
        "not-fenced": "health-recovery",
    }
)


def default_scenario(faults: Iterable[PlannedFault]) -> str:
    """The scenario for these faults: that of the first one that needs another than ``DEFAULT_SCENARIO``."""
    return next((_OTHERS[f.name] for f in faults if f.name in _OTHERS), DEFAULT_SCENARIO)
