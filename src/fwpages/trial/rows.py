"""The rows of a campaign: each a fault at a moment, on a device in one mode, under one kind of supplier."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

from fwpages.device import PlannedFault
from fwpages.prm.identity import Mode
from fwpages.scenario.fault_syntax import text


@unique
class Supplier(StrEnum):
    """The function whose driver gives the pages."""

    PF = "pf"
    ECPF = "ecpf"


@unique
class Trouble(StrEnum):
    """A trouble of the whole device: it begins at run time, after the page requests are served."""

    #: the device is gone and back after a reset (reads say all ones), or does not come back
    LINK_LOST = "link-lost"
    LINK_LOST_FOR_GOOD = "link-lost-for-good"
    #: firmware reports a fatal state; the device can be reset by software, or (``STUCK``) cannot
    FATAL = "fatal-state"
    STUCK = "fatal-state-no-reset"


@dataclass(frozen=True, slots=True)
class Row:
    """One play: load, requests, VFs, unload and a second load under ``fault`` or ``trouble`` (None: without).

    ``mode`` is the one that the device offers; a kernel that does not know VHCA_ID mode stays in FUNC_ID mode.
    """

    fault: PlannedFault | None
    mode: Mode = Mode.VHCA_ID
    supplier: Supplier = Supplier.PF
    trouble: Trouble | None = None

    @property
    def label(self) -> str:
        """The fault or trouble as it is typed; ``none`` for neither."""
        if self.fault is not None:
            return text(self.fault)
        return self.trouble.value if self.trouble is not None else "none"

    def __str__(self) -> str:
        return f"{self.label}, {self.mode.value}, {self.supplier}"
