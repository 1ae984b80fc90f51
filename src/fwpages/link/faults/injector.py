"""Injection of planned faults into a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

from fwpages.device import FaultPlan
from fwpages.host import Map
from fwpages.link.faults.byte_faults import BYTE_FAULTS, EntryFault, EventEntryFault, ReturnedEntryFault
from fwpages.link.faults.link_faults import (
    LINK_FAULTS,
    AnswerFault,
    DeliveryFault,
    Fate,
    LinkFault,
    MapFault,
    ResetFault,
)
from fwpages.link.memory import Memory
from fwpages.link.queue.driver import BASE, QueueHost, Slot
from fwpages.pages import PAGE_SIZE
from fwpages.prm.event import EQE_SIZE
from fwpages.prm.message import Answer, Command
from fwpages.prm.queue import ENTRY_SIZE

F = TypeVar("F", bound=LinkFault)

_FAULTS: Mapping[str, LinkFault] = MappingProxyType({**LINK_FAULTS, **BYTE_FAULTS})


@dataclass(slots=True)
class LinkInjector(FaultPlan):
    """The planned faults of one link and its state; a link asks at each opportunity for the fault that is due."""

    #: the device is unreachable, until it is reset or (``for_good``) for the rest of the run
    gone: bool = False
    for_good: bool = False

    def due_fault(self, kind: type[F], command: Command | None = None) -> F | None:
        """Take the first fault of this kind that is due at this opportunity; another one that is due waits."""
        places = [n for n, f in enumerate(self.faults) if _at(_FAULTS[f.name], kind, command)]
        n = self.first_due(places)
        fault = None if n is None else _FAULTS[self.faults[n].name]
        return fault if isinstance(fault, kind) else None

    def command(self, c: Command) -> Fate:
        """Decide the fate of a command."""
        if self.gone:
            return Fate.LINK_LOST
        fault = self.due_fault(DeliveryFault, c)
        fate = Fate.CARRIED if fault is None else fault.fate
        if fate in (Fate.LINK_LOST, Fate.LINK_LOST_FOR_GOOD):
            self.gone, self.for_good = True, fate is Fate.LINK_LOST_FOR_GOOD
        return fate

    def answers(self, a: Answer) -> Sequence[Answer]:
        """Return the answers that arrive in the place of one."""
        fault = self.due_fault(AnswerFault)
        return (a,) if fault is None else fault.arrive(a)

    def mapped_at(self, m: Map) -> int | None:
        """Return the I/O address at which a chunk is mapped; None where it cannot be mapped."""
        fault = self.due_fault(MapFault)
        return m.iova if fault is None else fault.place(m)

    def reset(self) -> bool:
        """Return whether a reset is carried out; it makes the device reachable again."""
        if self.for_good or self.due_fault(ResetFault) is not None:
            return False
        self.gone = False
        return True

    def spoil(self, driver: QueueHost, slot: Slot) -> None:
        """Change the command that the driver has written into this slot, where a fault is due."""
        fault = self.due_fault(EntryFault, slot.sent.command)
        if fault is not None:
            fault.spoil(driver, slot)

    def copy(self) -> LinkInjector:
        """Return an independent copy."""
        return replace(self, opportunities=dict(self.opportunities))


def _at(fault: LinkFault, kind: type[LinkFault], command: Command | None) -> bool:
    return isinstance(fault, kind) and (command is None or fault.match(command))


class SpoiledBus:
    """A device's access to ``memory``, on which returned entries and events are changed where a fault is due."""

    def __init__(self, memory: Memory, faults: LinkInjector) -> None:
        self._memory = memory
        self._faults = faults
        self.read = memory.read
        self.blocks = memory.blocks

    def write(self, iova: int, data: bytes | bytearray | memoryview) -> None:
        """As ``Bus.write``; a fault may change the data, or drop it."""
        changed: bytes | bytearray | memoryview | None = data
        if BASE <= iova < BASE + PAGE_SIZE and len(data) == ENTRY_SIZE:
            returned = self._faults.due_fault(ReturnedEntryFault)
            changed = data if returned is None else returned.change(bytes(data))
        elif len(data) == EQE_SIZE:
            event = self._faults.due_fault(EventEntryFault)
            changed = data if event is None else event.change(bytes(data))
        if changed is not None:
            self._memory.write(iova, changed)
