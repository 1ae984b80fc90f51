"""The configuration of a host: the supplier that it drives, where its DMA memory lies, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass, field

from fwpages.custody.bounds import Bounds
from fwpages.prm.identity import Supplier
from fwpages.prm.opcodes import PAGE_SLOT


@dataclass(frozen=True, slots=True)
class Config:
    """The supplier that is driven, and the I/O address where its DMA memory starts (a positive multiple of 4 KiB).

    ``slots`` is the size of the command queue, 2 at least: the last slot is for page commands. ``asks_times``: the
    device tells its times in a register (DTOR), and those for pages to come back are waited for. ``asks_functions``:
    the device is asked which functions its e-switch may enable (``host.functions``).
    """

    supplier: Supplier = field(default_factory=Supplier)
    base: int = 1 << 32
    bounds: Bounds = field(default_factory=Bounds)
    slots: int = PAGE_SLOT + 1
    asks_times: bool = False
    asks_functions: bool = False
    driver_version: str = "fwpages,host,0.1.0"
