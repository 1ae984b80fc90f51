"""What can be wrong with a served device as a whole: its firmware is in a fatal state, or nothing of it answers.

A fatal state is what the health buffer of the initialization segment says (``health_buffer`` in ``mlx5_ifc.h``). A
reset clears it; nothing else has to remember it. Firmware in that state executes nothing, while the health counter goes
on. A device whose link is gone reads as all ones, hears nothing that is written, and reaches no memory.
"""

from __future__ import annotations

import re

from fwpages.link.queue.bar import Segment
from fwpages.prm.segment import field_of, word_at

#: ``MLX5_INITIAL_SEG_HEALTH_SYNDROME_FW_INTERNAL_ERR``
FW_INTERNAL_ERR = 0x01
#: the driver may reset firmware by SOFTWARE_RESET in ``nic_interface``: the byte at 0x1fc and its bit
#: (``MLX5_FW_RESET_SUPPORTED_OFFSET``, bit 30 of the word, for which ``initial_seg`` has no name)
RESET_SUPPORTED = (word_at("initializing"), 1 << 6)

_QUEUE = range(word_at("cmdq_phy_addr_63_32"), word_at("cmdq_phy_addr_31_12") + 4)
_NAMED = re.compile(r"synd(?:rome)?:? 0x([0-9a-f]{1,2})\b", re.IGNORECASE)


def syndrome_of(reason: str) -> int:
    """The syndrome that a text names as "syndrome 0x10" does; where it names none, firmware's internal error."""
    found = _NAMED.search(reason)
    return (int(found[1], 16) if found else 0) or FW_INTERNAL_ERR


class Trouble:
    """Stands between a driver and the device behind BAR 0, whose segment this is. Nothing is wrong at first."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        #: nothing of the device answers
        self.lost = False
        #: it has been reset without its driver, and hears nothing until it is given a command queue
        self._unused = False

    @property
    def fatal(self) -> bool:
        """Firmware reports a fatal state."""
        return bool(field_of(self._segment.word("synd"), "synd"))

    @property
    def stopped(self) -> bool:
        """Firmware does nothing."""
        return self.lost or self.fatal

    def report(self, reason: str) -> None:
        """Fill the health buffer. Linux takes a syndrome for fatal where ``rfr`` is set (``sensor_fw_synd_rfr``).

        ``severity`` stays 0, which is not valid: Linux then calls it an error (``mlx5_health_get_severity``).
        """
        self._segment.set("synd", syndrome_of(reason))
        self._segment.set("rfr", 1)

    def idle(self) -> None:
        """The device was reset, and its driver may not know: it says so in ``nic_interface`` (DISABLED)."""
        self._segment.disable()
        self._unused = True

    def clear(self) -> None:
        """The driver itself has reset the device, or it was switched off and on."""
        self._unused = False

    def reads(self, offset: int, data: bytes) -> bytes:
        """What a driver sees in BAR 0 where the device has ``data``."""
        at, bit = RESET_SUPPORTED
        if not offset <= at < offset + len(data):
            return data
        n = at - offset
        return data[:n] + bytes([data[n] | bit]) + data[n + 1 :]

    def hears(self, offset: int) -> bool:
        """The device takes notice of a write at this offset of BAR 0."""
        if offset in _QUEUE:
            self._unused = False
            return True
        return not (self._unused or self.fatal)
