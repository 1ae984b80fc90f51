"""The answer to QUERY_ESW_FUNCTIONS: the external host of an embedded CPU, or an entry for each of its PFs and others.

Source: ``host_params_context`` and ``network_function_params`` of ``mlx5_ifc.h``. ``op_mod`` says which one it is
(``EswFunctions``); both begin behind the first 16 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from fwpages.prm.commands import NET_FUNCTION as ENTRY
from fwpages.prm.layout import Field, Layout
from fwpages.prm.opcodes import EswFunctions

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


@dataclass(frozen=True, slots=True)
class OtherFunctions:
    """The functions of other hosts that the e-switch of an embedded CPU has.

    ``host_pf``: an external host's PF exists. ``vfs`` are those that this host has on, of ``total_vfs`` that it can
    have. ``further`` are the vhca_ids of the further PFs.
    """

    host_pf: bool
    vfs: int = 0
    total_vfs: int = 0
    further: tuple[int, ...] = ()


def other_functions(op_mod: int, entries: int, data: bytes) -> OtherFunctions:
    """Decode the answer to this op_mod. LayoutError where it is shorter than what it says that it has.

    Of several external hosts the first counts, as for Linux (``mlx5_esw_get_host_pf_info``).
    """
    if op_mod == EswFunctions.HOST:
        host = HOST.unpack(data)
        return OtherFunctions(not host["host_pf_not_exist"], host["host_num_of_vfs"], host["host_total_vfs"])
    each = [NETWORK_FUNCTION.unpack(data[at : at + ENTRY]) for at in range(0, entries * ENTRY, ENTRY)]
    hosts = [e for e in each if e["pci_pf_type"] == HOST_PF]
    further = tuple(e["vhca_id"] for e in each if e["pci_pf_type"] == FURTHER_PF)
    if not hosts:
        return OtherFunctions(host_pf=False, further=further)
    return OtherFunctions(True, hosts[0]["pci_num_vfs"], hosts[0]["pci_total_vfs"], further)
