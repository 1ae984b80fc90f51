"""Time-outs that a device tells its driver: two words of the initialization segment, and the register DTOR.

Each is a 32-bit word: the unit in bits 31:29, the number of units in bits 19:0. ``cmd_exec_to`` and ``cmd_q_init_to``
lie in the segment (``prm.segment``). A driver reads any of them only where ``cmd_q_init_to`` is not 0; then 0 in
another one is no time at all, and not "not told".

Source: Linux, ``lib/tout.c`` (tout_convert_reg_field_to_ms, mlx5_tout_query_iseg, tout_query_dtor) and ``mlx5_ifc.h``
(``default_timeout``, ``dtor_reg``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fwpages.prm.layout import Field, Layout, LayoutError

#: bits of the number of units
_VALUE = Field("to_value", 0xC, 20)
_WORD = Layout("default_timeout", 4, (Field("to_multiplier", 0x0, 3), _VALUE))
#: milliseconds of each unit: millisecond, second, minute, hour
_UNITS = (1, 1_000, 60_000, 3_600_000)
#: the units that a driver looks at: Linux ignores the highest bit of three
_UNIT_MASK = 3

DTOR = Layout(
    "dtor_reg",
    64,
    (
        Field("pcie_toggle", 0x20, 32),
        Field("health_poll", 0xA0, 32),
        Field("full_crdump", 0xC0, 32),
        Field("fw_reset", 0xE0, 32),
        Field("flush_on_err", 0x100, 32),
        Field("pci_sync_update", 0x120, 32),
        Field("tear_down", 0x140, 32),
        Field("fsm_reactivate", 0x160, 32),
        Field("reclaim_pages", 0x180, 32),
        Field("reclaim_vfs_pages", 0x1A0, 32),
        Field("reset_unload", 0x1C0, 32),
    ),
)

#: seconds that Linux takes where a device tells none, by DTOR's names (``tout_def_sw_val``). Linux adds ``pcie_toggle``
#: to ``fw_reset`` and ``tear_down`` to ``pci_sync_update``: these two are less than its own figures by that
DTOR_OF_LINUX: Mapping[str, float] = MappingProxyType(
    {
        "pcie_toggle": 2.0,
        "health_poll": 2.0,
        "full_crdump": 60.0,
        "fw_reset": 58.0,
        "flush_on_err": 2.0,
        "pci_sync_update": 2.0,
        "tear_down": 3.0,
        "fsm_reactivate": 5.0,
        "reclaim_pages": 5.0,
        "reclaim_vfs_pages": 120.0,
        "reset_unload": 300.0,
    }
)
#: the same of the two words in the segment: ``cmd_exec_to``, ``cmd_q_init_to``
COMMAND_OF_LINUX, INIT_OF_LINUX = 60.0, 2.0
#: seconds that Linux waits once more for a command whose time is over (``MLX5_CMD_TIMEOUT_RECOVER_MSEC``)
RECOVERY_OF_LINUX = 5.0


def encode_time(seconds: float) -> int:
    """The word for a time, in the smallest unit that has room for it, rounded up; LayoutError where none has."""
    ms = round(seconds * 1_000)
    for unit, length in enumerate(_UNITS):
        value = -(-ms // length)
        if ms >= 0 and value <= _VALUE.mask:
            return int.from_bytes(_WORD.pack({"to_multiplier": unit, "to_value": value}), "big")
    raise LayoutError(f"a time of {seconds} s does not fit 20 bits, not even of hours")


def decode_time(word: int) -> float:
    """Seconds, as Linux reads the word."""
    fields = _WORD.unpack(word.to_bytes(4, "big"))
    return fields["to_value"] * _UNITS[fields["to_multiplier"] & _UNIT_MASK] / 1_000


def encode_dtor(seconds: Mapping[str, float]) -> bytes:
    """The register with these times, by the names of ``DTOR``; a field that is not named is 0, no time at all."""
    return DTOR.pack({name: encode_time(time) for name, time in seconds.items()})


def decode_dtor(data: bytes) -> dict[str, float]:
    """The times that the register tells, in seconds, by the names of ``DTOR``; LayoutError where it ends early."""
    return {name: decode_time(word) for name, word in DTOR.unpack(data).items()}
