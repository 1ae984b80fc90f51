"""The initialization segment at the start of BAR 0: where a driver finds the command queue, and the device's health.

Source: ``initial_seg`` and ``health_buffer`` in ``mlx5_ifc.h``, ``struct mlx5_init_seg`` in ``device.h``.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from fwpages.prm.layout import Field, Layout

#: command interface revision that this project speaks (Linux: ``CMD_IF_REV``)
CMD_IF_REV = 5
#: bytes of BAR 0 that the segment takes up, whole pages
SEGMENT_SIZE = 0x3000


class NicInterface(IntEnum):
    """``nic_interface``: what a driver may do with the device (Linux: ``MLX5_INITIAL_SEG_NIC_INTERFACE_*``)."""

    FULL_DRIVER = 0
    DISABLED = 1
    SOFTWARE_RESET = 7


def _at(name: str, byte: int, width: int, bit: int = 0) -> Field:
    """A field ``bit`` bits behind the most significant bit of the byte at ``byte``."""
    return Field(name, byte * 8 + bit, width)


INIT_SEG = Layout(
    "init_seg",
    SEGMENT_SIZE,
    (
        _at("fw_rev_minor", 0x0, 16),
        _at("fw_rev_major", 0x2, 16),
        _at("cmd_interface_rev", 0x4, 16),
        _at("fw_rev_subminor", 0x6, 16),
        _at("cmdq_phy_addr_63_32", 0x10, 32),
        _at("cmdq_phy_addr_31_12", 0x14, 20),
        _at("nic_interface", 0x14, 3, 21),
        _at("log_cmdq_size", 0x17, 4),
        _at("log_cmdq_stride", 0x17, 4, 4),
        _at("command_doorbell_vector", 0x18, 32),
        _at("initializing", 0x1FC, 1),
        # no field of initial_seg, but MLX5_FW_RESET_SUPPORTED_OFFSET of device.h: bit 30
        _at("fw_reset_supported", 0x1FC, 1, 1),
        _at("nic_interface_supported", 0x1FC, 3, 5),
        _at("embedded_cpu", 0x1FC, 1, 8),
        _at("assert_exit_ptr", 0x220, 32),
        _at("assert_callra", 0x224, 32),
        _at("time", 0x22C, 32),
        _at("fw_ver", 0x230, 32),
        _at("hw_id", 0x234, 32),
        _at("rfr", 0x238, 1),
        _at("severity", 0x238, 3, 5),
        _at("irisc_index", 0x23C, 8),
        _at("synd", 0x23D, 8),
        _at("ext_synd", 0x23E, 16),
        _at("cmd_exec_to", 0xFF8, 32),
        _at("cmd_q_init_to", 0xFFC, 32),
        _at("internal_timer_h", 0x1000, 32),
        _at("internal_timer_l", 0x1004, 32),
        _at("health_syndrome", 0x1010, 8),
        _at("health_counter", 0x1011, 24),
    ),
)


def word_at(name: str) -> int:
    """Offset in BAR 0 of the 32-bit word that this field of the segment lies in; KeyError for no field."""
    return INIT_SEG.by_name[name].bit // 32 * 4


def field_of(word: int, name: str) -> int:
    """The field in its 32-bit word, as ``word_at`` names it."""
    f = INIT_SEG.by_name[name]
    return (word >> (32 - f.bit % 32 - f.width)) & f.mask


def with_field(word: int, name: str, value: int) -> int:
    """The word with this field set; LayoutError where the value does not fit."""
    f = INIT_SEG.by_name[name]
    shift = 32 - f.bit % 32 - f.width
    return (word & ~(f.mask << shift)) | f.encode(value) << shift


def read_field(read: Callable[[int, int], bytes], name: str) -> int:
    """The field as ``read(offset, length)`` of BAR 0 gives it now."""
    return field_of(int.from_bytes(read(word_at(name), 4), "big"), name)


def queue_address(high: int, low: int) -> int:
    """The I/O address of the command queue, from the words at 0x10 and 0x14; a multiple of 4 KiB."""
    return high << 32 | field_of(low, "cmdq_phy_addr_31_12") << 12
