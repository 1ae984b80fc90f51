"""The event queues of a device: rings in the driver's memory, each with a producer, a consumer and an arm bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fwpages.device.firmware.state import EqContext
from fwpages.link.bus import Bus, BusError
from fwpages.prm.eq import INDEX_MASK, owner_of, with_owner
from fwpages.prm.event import EQE_SIZE, EventType


@dataclass(slots=True)
class Ring:
    """One event queue. ``produced`` and ``consumed`` count entries since it was created; ``consumed`` has 24 bits.

    ``armed``: the next entry raises the interrupt, once. ``overrun``: an entry found no room; the queue takes none
    from then on, as the driver would read other entries than those that were raised. ``ended``: TEARDOWN_HCA ended it.
    The completion of TEARDOWN_HCA still goes there, and a later doorbell is no offence. ``posting``: the latest entry
    is being written; over a slow bus the driver may see it, and consume it, before that ends.
    """

    context: EqContext
    produced: int = 0
    consumed: int = 0
    armed: bool = False
    posting: bool = False
    overrun: bool = False
    ended: bool = False

    @property
    def takes_commands(self) -> bool:
        """Completions of commands are posted here."""
        return bool(self.context.mask >> EventType.COMMAND & 1)

    @property
    def waiting(self) -> int:
        """Entries that the driver has not consumed by its own count; more than fit where it counts wrongly."""
        return (self.produced - self.consumed) & INDEX_MASK

    @property
    def address(self) -> int:
        """The I/O address of the next entry."""
        eq = self.context
        offset = (self.produced % (1 << eq.log_size)) * EQE_SIZE
        return eq.pas[offset // eq.page_size] + offset % eq.page_size


class Rings:
    """All event queues of a device, by number. ``irq`` is called with the vector of a queue with new entries."""

    def __init__(self, bus: Bus, irq: Callable[[int], None]) -> None:
        self._bus = bus
        self._irq = irq
        self._rings: dict[int, Ring] = {}

    def __getitem__(self, eqn: int) -> Ring:
        return self._rings[eqn]

    def __contains__(self, eqn: int) -> bool:
        return eqn in self._rings

    @property
    def commands(self) -> int | None:
        """The number of the queue that takes completions of commands; None where there is none."""
        return next((n for n, r in self._rings.items() if r.takes_commands and not r.ended), None)

    @property
    def last_commands(self) -> int | None:
        """That queue, or the one that TEARDOWN_HCA ended: the completion of TEARDOWN_HCA goes there."""
        ended = (n for n, r in self._rings.items() if r.takes_commands and r.ended)
        return next(ended, None) if self.commands is None else self.commands

    @property
    def waiting(self) -> int:
        """Entries of all queues that take events which the driver has not consumed."""
        return sum(r.waiting for r in self._rings.values() if not r.ended)

    def takes(self, eqn: int) -> bool:
        """Return whether there is a queue of this number that takes events."""
        return eqn in self._rings and not self._rings[eqn].ended

    def add(self, eqs: Mapping[int, EqContext]) -> None:
        """Add the queues that the firmware has created; one that reuses a number is a new queue."""
        for n, context in eqs.items():
            if n not in self._rings or self._rings[n].context is not context:
                self._rings[n] = Ring(context)

    def drop(self, eqs: Mapping[int, EqContext], *, torn: bool = False) -> None:
        """Drop the queues that the firmware has no more; with ``torn``, after TEARDOWN_HCA, keep them as ended."""
        if not torn:
            self._rings = {n: r for n, r in self._rings.items() if n in eqs}
        for n, ring in self._rings.items():
            ring.ended = n not in eqs

    def post(self, eqn: int, entry: bytes) -> bool:
        """Write this 64-byte entry with its owner bit, and interrupt where the queue is armed.

        Return False, and write nothing, where the queue is full. BusError where its memory cannot be written.
        """
        ring = self._rings[eqn]
        size = ring.context.log_size
        if ring.overrun or ring.waiting >= 1 << size:
            ring.overrun = True
            return False
        address, owner = ring.address, owner_of(ring.produced, size)
        ring.produced += 1
        ring.posting = True
        try:
            self._bus.write(address, with_owner(entry, owner))
        except BusError:
            ring.produced -= 1
            raise
        finally:
            ring.posting = False
        if ring.waiting:
            self._fire(ring)
        return True

    def doorbell(self, eqn: int, index: int, *, arm: bool) -> bool:
        """Take the driver's consumer index, and arm the interrupt where it asks for that.

        Return False, and change nothing, for an index of entries that were never written or were consumed before; an
        ended queue accepts any.
        """
        ring = self._rings[eqn]
        if (index - ring.consumed) & INDEX_MASK > ring.waiting:
            return ring.ended
        ring.consumed = index
        if arm:
            ring.armed = True
            if ring.waiting and not ring.posting:
                self._fire(ring)
        return True

    def _fire(self, ring: Ring) -> None:
        if ring.armed:
            ring.armed = False
            self._irq(ring.context.vector)
