"""Capabilities that let a driver bring up its Ethernet part, or open at all; the page protocol does not need them.

Without them Linux loads, but makes no network interface, and rdma-core opens no device. Names and bits are those of
``mlx5_ifc.h`` (``cmd_hca_cap``, ``per_protocol_networking_offload_caps``, ``flow_table_nic_cap``). No value was read
from hardware. A comment names the place in Linux 7.2, or rdma-core, that reads each field; fields "read by no driver of
Ethernet" say only that such objects exist. ``tests/vm`` checks with Linux 6.12 and 7.2 that the interface is there.
"""

from __future__ import annotations

from collections.abc import Mapping

from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.layout import Field, Layout
from fwpages.prm.opcodes import CapType

_GENERAL = {
    # handle_hca_cap: up to 18 are used
    Field("log_max_qp", 0x9B, 5): 17,
    # mlx5_eth_supported: no Ethernet without the first, a warning without the second
    Field("eth_net_offloads", 0x21C, 1): 1,
    Field("cq_moderation", 0x222, 1): 1,
    # mlx5_wc_support_get (with log_max_sq), map_offset of a blue-flame register: two fill half of a UAR
    Field("bf", 0x260, 1): 1,
    Field("log_bf_reg_size", 0x26B, 5): 9,
    Field("log_max_sq", 0x36B, 5): 16,
    # mlx5e_get_max_sq_wqebbs: 16 blocks of 64 bytes, which is also the most that Linux uses
    Field("max_wqe_sz_sq", 0x290, 16): 1024,
    # mlx5e_rep_max_nch_limit divides them among the vports
    Field("log_max_tir", 0x373, 5): 16,
    # mlx5e_get_max_num_channels, mlx5e_rqt_size: 512 entries, more than Linux has channels
    Field("log_max_rqt_size", 0x393, 5): 9,
    # the lists of mlx5e_vport_context_update_vlans and _addr_list, and mlx5_mpfs_init's table
    Field("log_max_vlan_list", 0x3EB, 5): 12,
    Field("log_max_current_mc_list", 0x3F3, 5): 7,
    Field("log_max_current_uc_list", 0x3FB, 5): 7,
    Field("log_max_l2_table", 0x483, 5): 7,
    # mlx5_vfio_setup_function of rdma-core, which opens no device without it: memory that CREATE_UMEM names may
    # belong to no user context (uid 0); the command is answered OK with a fresh id
    Field("umem_uid_0", 0x252, 1): 1,
    # read by no driver of Ethernet in Linux
    Field("log_max_qp_sz", 0x88, 8): 15,
    Field("log_max_cq_sz", 0xC8, 8): 22,
    Field("log_max_cq", 0xDB, 5): 20,
    Field("log_max_mkey", 0xEA, 6): 20,
    Field("log_max_msg", 0x1C3, 5): 30,
    Field("max_wqe_sz_rq", 0x2B0, 16): 512,
    Field("log_max_transport_domain", 0x323, 5): 16,
    Field("log_max_pd", 0x32B, 5): 16,
    Field("max_flow_counter_15_0", 0x350, 16): 0xFFFF,
    Field("log_max_rq", 0x363, 5): 16,
    Field("log_max_tis", 0x37B, 5): 16,
    Field("log_max_rmp", 0x383, 5): 16,
    Field("log_max_rqt", 0x38B, 5): 16,
}

#: mlx5_eth_supported: no Ethernet where one of them is 0, a warning for self_lb_en_modifiable
_ETHERNET = {
    Field("csum_cap", 0x0, 1): 1,
    Field("vlan_cap", 0x1, 1): 1,
    Field("self_lb_en_modifiable", 0x8, 1): 1,
    Field("max_lso_cap", 0xB, 5): 18,
    Field("rss_ind_tbl_cap", 0x14, 4): 9,
}

#: ``flow_table_prop_layout``; every field of a packet can be matched
_FLOW_TABLE = {
    # mlx5_fs_core_init makes the NIC's tables only where there is support
    Field("ft_support", 0x0, 1): 1,
    # FS_CHAINING_CAPS: what a chain of prioritised tables needs
    Field("flow_modify_en", 0x3, 1): 1,
    Field("modify_root", 0x4, 1): 1,
    Field("identified_miss_table_mode", 0x5, 1): 1,
    Field("flow_table_modify", 0x6, 1): 1,
    # mlx5_ft_pool_get_avail_sz
    Field("log_max_ft_size", 0x22, 6): 24,
    # mlx5_eth_supported: no Ethernet below 3
    Field("max_ft_level", 0x38, 8): 64,
    # esw_create_restore_table, in switchdev mode: headers are modified before the NIC's tables
    Field("log_max_modify_header_context", 0x28, 8): 8,
    Field("max_modify_header_actions", 0x30, 8): 16,
    # read by no driver of Ethernet in Linux
    Field("flow_counter", 0x2, 1): 1,
    Field("log_max_ft_num", 0x78, 8): 16,
    Field("log_max_flow_counter", 0x90, 8): 16,
    Field("log_max_destination", 0x98, 8): 12,
    Field("log_max_flow", 0xB8, 8): 16,
    Field("ft_field_support", 0x100, 96): (1 << 96) - 1,
    Field("ft_field_bitmask_support", 0x180, 96): (1 << 96) - 1,
}
#: offsets in the page, in bits, at which the tables for receive and transmit are described
_FLOW_TABLES = {"nic_receive": 0x200, "nic_transmit": 0x800}


def _page(name: str, fields: Mapping[Field, int]) -> bytes:
    layout = Layout(name, CAP_PAGE, tuple(fields))
    return layout.pack({f.name: value for f, value in fields.items()})


def _flow_tables() -> dict[Field, int]:
    return {
        Field(f"{table}.{f.name}", at + f.bit, f.width): value
        for table, at in _FLOW_TABLES.items()
        for f, value in _FLOW_TABLE.items()
    }


def ethernet_pages() -> dict[tuple[int, bool], bytes]:
    """Return capability pages by (type, current); maximum and current are the same."""
    pages = {
        CapType.GENERAL: _page("cmd_hca_cap", _GENERAL),
        CapType.ETHERNET_OFFLOADS: _page("per_protocol_networking_offload_caps", _ETHERNET),
        CapType.FLOW_TABLE: _page("flow_table_nic_cap", _flow_tables()),
    }
    return {(int(kind), current): page for kind, page in pages.items() for current in (False, True)}
