"""A load that failed, or a device that was lost, as the lines of a log tell of it: the facts, gathered in one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from fwpages.readers.observations import (
    CommandRefused,
    LoadStepFailed,
    ObjectKept,
    Place,
    PlatformEvent,
    PlatformLine,
    Recovery,
)

#: lines of others about the function or its slot that one incident keeps
MAX_BESIDE = 8


class Health(Enum):
    """The device by the driver's own lines."""

    FINE = "fine"
    IN_ERROR = "in error"
    #: and the driver has freed pages since, without asking for them
    PAGES_FREED = "pages freed"


@dataclass(slots=True, eq=False)
class Incident:
    """The lines of the driver and of the kernel about one incident, from the line at ``place`` on.

    ``link``: the first line that shows that the device cannot be reached, at ``unreached``. ``steps``: the steps of a
    load that failed, with ``err``, and ``over`` once the driver has given the load up. ``recovery``: the last word on
    it. ``explained``: firmware said what is wrong before the link went. ``gone``: the line by which the driver left.
    ``objects``: lines about objects that the driver kept, or that firmware did not let it destroy. ``beside``: lines
    of other parts of the kernel about it.
    """

    place: Place
    health: Health = Health.FINE
    link: str = ""
    unreached: Place | None = None
    steps: list[LoadStepFailed] = field(default_factory=list)
    err: int | None = None
    over: bool = False
    recovery: Recovery | None = None
    explained: bool = False
    gone: str = ""
    objects: list[ObjectKept | CommandRefused] = field(default_factory=list)
    beside: list[PlatformLine] = field(default_factory=list)

    def lose_link(self, text: str, place: Place) -> None:
        """A line shows that the device cannot be reached; the first one counts."""
        if not self.link:
            self.link, self.unreached = text, place

    @property
    def lost_before_load(self) -> bool:
        """The link was lost by a device that worked, and the load that failed came after it."""
        at = self.unreached
        return at is not None and self.recovery is not None and all(v.place.line > at.line for v in self.steps)

    @property
    def load_failed(self) -> bool:
        """A load failed."""
        return self.over or bool(self.steps)

    def some(self, event: PlatformEvent) -> bool:
        """A line of another part of the kernel says this."""
        return any(v.event is event for v in self.beside)
