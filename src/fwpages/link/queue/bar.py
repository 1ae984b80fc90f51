"""BAR 0 as a device keeps it: the registers that a driver reads, and the effects of its writes.

The initialization segment lies at 0. UAR ``n``, as ALLOC_UAR answers it, is the page at ``n`` times its size: 4 KiB,
unless the driver's pages are larger (``log_uar_page_sz``). Numbers start at ``FIRST_UAR``. The pages between belong to
the PCI function (MSI-X table and pending bits). The BAR has ``BAR_SIZE`` bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from fwpages.device.firmware.queue_commands import FIRST_UAR, MOST_UARS
from fwpages.prm.segment import (
    CMD_IF_REV,
    INIT_SEG,
    SEGMENT_SIZE,
    NicInterface,
    field_of,
    queue_address,
    with_field,
    word_at,
)
from fwpages.prm.timeouts import encode_time

UAR_SIZE = 4096
BAR_SIZE = (FIRST_UAR + MOST_UARS) * UAR_SIZE
#: bytes of a register
_WORD = 4


@dataclass(frozen=True, slots=True)
class Identity:
    """The constant fields of the segment: firmware version, embedded CPU, the size of the command queue, and offers.

    ``command_time`` and ``init_time`` are the two time-outs in seconds, None where the device tells none.
    """

    fw_rev: tuple[int, int, int] = (28, 39, 1002)
    embedded_cpu: bool = False
    log_cmdq_size: int = 5
    log_cmdq_stride: int = 6
    software_reset: bool = True
    command_time: float | None = None
    init_time: float | None = None


class Segment:
    """The initialization segment. Each read of the health counter advances it: firmware counts while it runs."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self._bytes = bytearray()
        self._beats = 0
        self.reset()

    def reset(self) -> None:
        """Reset as at power-on: no command queue."""
        i = self.identity
        major, minor, sub = i.fw_rev
        self._bytes = bytearray(
            INIT_SEG.pack(
                {
                    "fw_rev_major": major,
                    "fw_rev_minor": minor,
                    "fw_rev_subminor": sub,
                    "cmd_interface_rev": CMD_IF_REV,
                    "log_cmdq_size": i.log_cmdq_size,
                    "log_cmdq_stride": i.log_cmdq_stride,
                    "embedded_cpu": int(i.embedded_cpu),
                    "fw_reset_supported": int(i.software_reset),
                    "cmd_exec_to": encode_time(i.command_time or 0),
                    "cmd_q_init_to": encode_time(i.init_time or 0),
                    "fw_ver": minor << 16 | major,
                }
            )
        )

    @property
    def queue(self) -> int:
        """The I/O address of the command queue; 0 while the driver has written none."""
        return queue_address(self.word("cmdq_phy_addr_63_32"), self.word("cmdq_phy_addr_31_12"))

    @property
    def interface(self) -> int:
        """The value of ``nic_interface``, which the driver writes."""
        return field_of(self.word("nic_interface"), "nic_interface")

    def word(self, name: str) -> int:
        """Return the 32-bit word that contains this field."""
        at = word_at(name)
        return int.from_bytes(self._bytes[at : at + _WORD], "big")

    def set(self, name: str, value: int) -> None:
        """Set one field; LayoutError where the value does not fit."""
        at = word_at(name)
        self._bytes[at : at + _WORD] = with_field(self.word(name), name, value).to_bytes(_WORD, "big")

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the segment; zeros beyond its end."""
        at = word_at("health_counter")
        if offset <= at < offset + length:
            self._beats = (self._beats + 1) & 0xFFFFFF
            self.set("health_counter", self._beats)
        return bytes(self._bytes[offset : offset + length]).ljust(length, b"\0")

    def write_queue(self, offset: int, word: int) -> None:
        """Write one of the two words of the queue's address; the log sizes are read-only.

        A reset by software that the device does not offer is not begun.
        """
        if offset == word_at("cmdq_phy_addr_63_32"):
            self.set("cmdq_phy_addr_63_32", word)
            return
        self.set("cmdq_phy_addr_31_12", field_of(word, "cmdq_phy_addr_31_12"))
        interface = field_of(word, "nic_interface")
        if interface != NicInterface.SOFTWARE_RESET or self.identity.software_reset:
            self.set("nic_interface", interface)

    def disable(self) -> None:
        """Disable the interface until the driver writes the queue's address again."""
        self.set("nic_interface", NicInterface.DISABLED)


def in_segment(offset: int) -> bool:
    """Return whether this offset of BAR 0 is in the segment."""
    return 0 <= offset < SEGMENT_SIZE


def uar_at(offset: int, size: int = UAR_SIZE) -> tuple[int, int] | None:
    """Return the UAR at this offset of BAR 0 and the offset in it, UARs of ``size`` bytes; None where there is none."""
    number, inside = divmod(offset, size)
    return (number, inside) if FIRST_UAR <= number < FIRST_UAR + MOST_UARS else None
