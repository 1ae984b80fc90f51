"""Capabilities about the functions that an e-switch has, of the general page and of the second one.

Names and bits are those of ``mlx5_ifc.h`` (``cmd_hca_cap``, ``cmd_hca_cap_2``). A comment names the place in Linux 7.2
that reads a field.
"""

from __future__ import annotations

from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.layout import Field, Layout

GENERAL = Layout(
    "cmd_hca_cap",
    CAP_PAGE,
    (
        # mlx5_query_hca_caps: Linux asks for GENERAL_2 only where this is set
        Field("hca_cap_2", 0x20, 1),
        # mlx5_vhca_event_supported, mlx5_vhca_state_cap_handle: events about SFs
        Field("event_on_vhca_state_teardown_request", 0x23, 1),
        Field("event_on_vhca_state_in_use", 0x24, 1),
        Field("event_on_vhca_state_active", 0x25, 1),
        Field("event_on_vhca_state_allocated", 0x26, 1),
        Field("vhca_state", 0x3EA, 1),
        # mlx5_esw_query_functions: further PFs (SPFs) have entries there
        Field("query_host_net_function_num_max", 0x2E0, 5),
        Field("query_host_net_function_v1", 0x3FA, 1),
    ),
)
GENERAL_2 = Layout(
    "cmd_hca_cap_2",
    CAP_PAGE,
    (
        # mlx5_core_ec_sriov_enabled, mlx5_core_ec_vf_vport_base
        Field("ec_vf_vport_base", 0x390, 16),
        # mlx5_vport_use_vhca_id_as_func_id
        Field("function_id_type_vhca_id", 0x5C2, 1),
    ),
)
