"""The general capability page (``cmd_hca_cap_bits``): the fields that the page protocol and a start-up look at."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.layout import Field, Layout
from fwpages.prm.opcodes import Teardown

#: the capability that a profile of TEARDOWN_HCA needs; the graceful one needs none
TEARDOWN_NEEDS: Mapping[int, str] = MappingProxyType(
    {Teardown.FORCE: "force_teardown", Teardown.PREPARE_FAST: "fast_teardown"}
)

GENERAL = Layout(
    "cmd_hca_cap",
    CAP_PAGE,
    (
        Field("page_request_disable", 0x6, 1),
        Field("vhca_id", 0x30, 16),
        Field("log_max_eq_sz", 0xE0, 8),
        Field("fast_teardown", 0xFB, 1),
        Field("log_max_eq", 0xFC, 4),
        Field("force_teardown", 0x110, 1),
        Field("release_all_pages", 0x145, 1),
        Field("pkey_table_size", 0x190, 16),
        Field("vport_group_manager", 0x1A0, 1),
        Field("nic_flow_table", 0x1A6, 1),
        Field("eswitch_manager", 0x1A7, 1),
        Field("port_type", 0x1B6, 2),
        Field("num_ports", 0x1B8, 8),
        Field("cmdif_checksum", 0x210, 2),
        Field("eth_net_offloads", 0x21C, 1),
        Field("uar_4k", 0x240, 1),
        Field("nic_cap_reg", 0x251, 1),
        Field("icm_mng_function_id_mode", 0x2A0, 1),
        Field("log_uar_page_sz", 0x490, 16),
        Field("max_num_sf", 0x640, 16),
        Field("sf", 0x680, 1),
        Field("log_max_sf", 0x683, 5),
        Field("sf_base_id", 0x6F0, 16),
    ),
)


def general(values: Mapping[str, int]) -> bytes:
    """A general capability page with these fields; LayoutError for a name or value that does not fit."""
    return GENERAL.pack(values)


def read_general(page: bytes) -> dict[str, int]:
    """The fields of a general capability page; LayoutError where it is too short for them."""
    return GENERAL.unpack(page)
