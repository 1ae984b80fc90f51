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


@dataclass(frozen=True, slots=True)
class Row:
    """One play: load, requests, VFs, unload and a second load under ``fault`` (None: without any fault).

    ``mode`` is the one that the device offers; a kernel that does not know VHCA_ID mode stays in FUNC_ID mode.
    """

    fault: PlannedFault | None
    mode: Mode = Mode.VHCA_ID
    supplier: Supplier = Supplier.PF

    def __str__(self) -> str:
        return f"{'no fault' if self.fault is None else text(self.fault)}, {self.mode.value}, {self.supplier}"
