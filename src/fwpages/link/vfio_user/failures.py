"""Failures of a served device as a whole: its firmware is in a fatal state, or its link is lost.

A fatal state is reported in the health buffer of the initialization segment (``health_buffer`` in ``mlx5_ifc.h``), and
a reset clears it. Firmware in that state executes nothing, while the health counter advances. A device whose link is
lost reads as all ones, ignores every write, and accesses no memory.
"""

from __future__ import annotations

import re

from fwpages.link.queue.bar import Segment
from fwpages.prm.segment import field_of, word_at

#: ``MLX5_INITIAL_SEG_HEALTH_SYNDROME_FW_INTERNAL_ERR``
FW_INTERNAL_ERR = 0x01

_QUEUE = range(word_at("cmdq_phy_addr_63_32"), word_at("cmdq_phy_addr_31_12") + 4)
_NAMED = re.compile(r"synd(?:rome)?:? 0x([0-9a-f]{1,2})\b", re.IGNORECASE)


def syndrome_of(reason: str) -> int:
    """Return the syndrome that a text names as in "syndrome 0x10"; firmware's internal error where it names none."""
    found = _NAMED.search(reason)
    return (int(found[1], 16) if found else 0) or FW_INTERNAL_ERR


class Trouble:
    """The failure of the device with this segment; none at first. Accesses to BAR 0 pass through it."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        #: the link is lost: no part of the device responds
        self.lost = False
        #: reset without its driver's knowledge: it ignores writes until the driver writes the queue's address
        self._unused = False

    @property
    def fatal(self) -> bool:
        """Firmware reports a fatal state."""
        return bool(field_of(self._segment.word("synd"), "synd"))

    @property
    def stopped(self) -> bool:
        """Firmware executes nothing."""
        return self.lost or self.fatal

    def report(self, reason: str) -> None:
        """Fill the health buffer. Linux takes a syndrome for fatal where ``rfr`` is set (``sensor_fw_synd_rfr``).

        ``severity`` stays 0, which is not valid: Linux then calls it an error (``mlx5_health_get_severity``).
        """
        self._segment.set("synd", syndrome_of(reason))
        self._segment.set("rfr", 1)

    def idle(self) -> None:
        """Mark the device as reset without its driver's knowledge: ``nic_interface`` reads DISABLED."""
        self._segment.disable()
        self._unused = True

    def clear(self) -> None:
        """Forget such a reset: the driver itself reset the device, or it was powered on."""
        self._unused = False

    def accepts(self, offset: int) -> bool:
        """Return whether the device takes notice of a write at this offset of BAR 0."""
        if offset in _QUEUE:
            self._unused = False
            return True
        return not (self._unused or self.fatal)
