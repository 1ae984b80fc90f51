"""Planned faults: at which of its opportunities each one takes effect, how many it had, and which took effect.

An opportunity is a command, event, mapping and so on of the kind that the fault is about. Two rules hold wherever
faults are injected. At most one fault takes effect at one opportunity; another one that is due waits for the next.
And an opportunity at which the effect finds nothing to change does not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Moment(StrEnum):
    """A part of a session, as the firmware tells it from its own state."""

    #: until the boot pages are given
    BOOT = "boot"
    #: from then on until INIT_HCA is done
    INIT = "init"
    #: from then on until TEARDOWN_HCA
    RUNTIME = "runtime"
    #: TEARDOWN_HCA, and all that follows
    TEARDOWN = "teardown"


#: effects of faults that are remembered: a fault at every opportunity of a driver that goes on for ever has no end
MOST_TOOK = 5_000


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault by name, to take effect from its ``at``-th opportunity (from 1) at ``times`` in a row (0: at all).

    Where there is a ``during``, commands and events of other moments are no opportunities.
    """

    name: str
    at: int = 1
    times: int = 1
    during: Moment | None = None

    def due(self, opportunity: int) -> bool:
        """Return whether the fault takes effect at this opportunity."""
        return opportunity >= self.at and (self.times == 0 or opportunity < self.at + self.times)


@dataclass(slots=True)
class FaultPlan:
    """Planned faults and their progress; ``took`` names those that took effect, in their order."""

    faults: tuple[PlannedFault, ...] = ()
    #: opportunities so far of each fault, by its place in ``faults``
    opportunities: dict[int, int] = field(default_factory=dict)
    took: tuple[str, ...] = ()

    def due(self, n: int) -> bool:
        """Return whether fault ``n`` takes effect at the opportunity that it has now."""
        return self.faults[n].due(self.opportunities.get(n, 0) + 1)

    def concerns(self, n: int, moment: Moment) -> bool:
        """Return whether what happens at this moment can be an opportunity of fault ``n``."""
        return self.faults[n].during in (None, moment)

    def count(self, n: int) -> None:
        """Count an opportunity of fault ``n``."""
        self.opportunities[n] = self.opportunities.get(n, 0) + 1

    def take(self, n: int) -> None:
        """Record that fault ``n`` took effect at this opportunity."""
        self.count(n)
        self.note(self.faults[n].name)

    def note(self, name: str) -> None:
        """Record that the fault of this name took effect; beyond ``MOST_TOOK`` times in all, nothing more is kept."""
        if len(self.took) < MOST_TOOK:
            self.took = (*self.took, name)

    def first_due(self, places: Iterable[int]) -> int | None:
        """Take the first due one of the faults at these places, all of which have an opportunity; return its place.

        Those that are not due count the opportunity. Those that are due but come second do not, and so wait.
        """
        taken = None
        for n in places:
            if not self.due(n):
                self.count(n)
            elif taken is None:
                self.take(n)
                taken = n
        return taken

    @property
    def missed(self) -> tuple[PlannedFault, ...]:
        """The faults that never reached their first planned opportunity."""
        return tuple(f for n, f in enumerate(self.faults) if self.opportunities.get(n, 0) < f.at)
