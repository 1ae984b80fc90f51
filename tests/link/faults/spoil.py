"""Byte faults carried out at once, whatever is planned."""

from __future__ import annotations

from fwpages.link.faults.byte_faults import BYTE_FAULTS, EntryFault
from fwpages.link.queue.driver import QueueHost, Slot


def spoil(name: str, driver: QueueHost, slot: Slot) -> None:
    fault = BYTE_FAULTS[name]
    assert isinstance(fault, EntryFault)
    fault.spoil(driver, slot)
