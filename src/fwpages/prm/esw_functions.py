"""The answer to QUERY_ESW_FUNCTIONS: the external host of an embedded CPU, or an entry for each of its PFs and others.

Source: ``host_params_context`` and ``network_function_params`` of ``mlx5_ifc.h``. ``op_mod`` says which one it is
(``EswFunctions``); both begin behind the first 16 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from fwpages.prm.layout import Field, Layout
from fwpages.prm.opcodes import EswFunctions

#: bytes of an entry
ENTRY = 64
#: ``pci_pf_type`` of an external host's PF, and of a further PF
HOST_PF, FURTHER_PF = 0, 1

HOST = Layout(
    "host_params_context",
    ENTRY,
    (
        Field("host_pf_not_exist", 0xD, 1),
        Field("host_pf_disabled", 0xF, 1),
        Field("host_num_of_vfs", 0x10, 16),
        Field("host_total_vfs", 0x20, 16),
    ),
)
NETWORK_FUNCTION = Layout(
    "network_function_params",
    ENTRY,
    (
        Field("host_number", 0x0, 8),
        Field("pci_pf_type", 0x8, 4),
        Field("pci_num_vfs", 0x10, 16),
        Field("pci_total_vfs", 0x20, 16),
        Field("vhca_id", 0x40, 16),
        Field("vhca_state", 0x50, 4),
        Field("esw_vport_manual", 0x6A, 1),
    ),
)


def host_vfs(op_mod: int, entries: int, data: bytes) -> tuple[int, int] | None:
    """The VFs that the external host has on, and that it can have, by the answer to this op_mod.

    None where the answer is too short.
    """
    if op_mod == EswFunctions.HOST:
        host = HOST.unpack(data) if len(data) >= HOST.least else None
        return None if host is None else (host["host_num_of_vfs"], host["host_total_vfs"])
    whole = [e for e in _entries(entries, data) if e["pci_pf_type"] == HOST_PF]
    return (whole[0]["pci_num_vfs"], whole[0]["pci_total_vfs"]) if whole else None


def _entries(count: int, data: bytes) -> Iterator[dict[str, int]]:
    for start in range(0, count * ENTRY, ENTRY):
        if len(data) - start >= NETWORK_FUNCTION.least:
            yield NETWORK_FUNCTION.unpack(data[start : start + ENTRY])
