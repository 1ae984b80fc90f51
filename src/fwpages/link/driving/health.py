"""The health of a device as its driver polls it: syndrome, all ones, and a counter that must go on.

As Linux's ``poll_health``: ``mlx5_health_check_fatal_sensors`` and the counter in ``health.c``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from fwpages.host import HealthFatal, LinkLost
from fwpages.prm.health import health_words
from fwpages.prm.segment import NicInterface, field_of, word_at

#: seconds between two looks: Linux looks every two seconds; a look is four reads
INTERVAL = 0.25
#: seconds without a step of the counter after which firmware counts as stuck: Linux takes three looks of two seconds
STUCK = 8.0
_ALL_ONES = 0xFFFFFFFF

Trouble: TypeAlias = HealthFatal | LinkLost


@dataclass(slots=True)
class Health:
    """The watch over one device. ``begin`` forgets what was seen: the device was reset or set up anew."""

    _counter: int | None = None
    _since: float = 0.0

    def begin(self) -> None:
        """Forget the counter."""
        self._counter = None

    def look(self, now: float, read: Callable[[int], bytes]) -> Trouble | None:
        """Read the health registers by ``read(offset)`` of BAR 0; return what is wrong, None where nothing is."""
        rev, severity, syndrome, counter, queue = (
            int.from_bytes(read(word_at(name)), "big")
            for name in ("cmd_interface_rev", "rfr", "synd", "health_counter", "nic_interface")
        )
        if rev == _ALL_ONES:
            return LinkLost("all reads return ones")
        number = field_of(syndrome, "synd")
        if number and field_of(severity, "rfr"):
            return HealthFatal(f"syndrome {number:#x}, {health_words(number)}")
        if field_of(queue, "nic_interface") == NicInterface.DISABLED:
            return HealthFatal("the NIC interface is disabled")
        return self._judged(now, field_of(counter, "health_counter"))

    def _judged(self, now: float, counter: int) -> Trouble | None:
        if counter != self._counter:
            self._counter, self._since = counter, now
            return None
        if now - self._since < STUCK:
            return None
        return HealthFatal(f"the health counter stands still at {counter} for {now - self._since:.0f} s")
