"""Capabilities that let a driver run the device's e-switch: flow tables of the FDB, vports of every kind, their events.

Names and bits are those of ``mlx5_ifc.h`` (``flow_table_eswitch_cap``, ``e_switch_cap``, ``cmd_hca_cap``,
``cmd_hca_cap_2``). No value was read from hardware. A comment names the place in Linux 7.2 that reads a field; fields
"for messages only" keep Linux from logging that something is not there. Pages that a real device gave are left as they
are, but for its FDB: without one no driver enables a VF.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from fwpages.device.firmware.functions import FunctionSpec
from fwpages.device.profiles import Profile
from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.eswitch_capabilities import GENERAL, GENERAL_2
from fwpages.prm.identity import FunctionType
from fwpages.prm.layout import Field, Layout
from fwpages.prm.opcodes import CapType

#: bytes of a capability page that describe its first flow table (``flow_table_prop_layout``): the receive table of the
#: NIC in ``flow_table_nic_cap``, the FDB in ``flow_table_eswitch_cap``; the tables for ingress and egress follow
_FIRST_TABLE = slice(0x40, 0x80)
_TABLES_OF_ESWITCH = 3

_TABLE = Layout(
    "flow_table_prop_layout",
    _FIRST_TABLE.stop - _FIRST_TABLE.start,
    (
        # for messages only
        Field("ignore_flow_level", 0x15, 1),
    ),
)
_TABLE_VALUES = MappingProxyType({"ignore_flow_level": 1})
_FDB = Layout(
    "flow_table_eswitch_cap",
    CAP_PAGE,
    (
        # for messages only; registers C0 and C1
        Field("fdb_to_vport_reg_c_id", 0x0, 8),
        Field("fdb_modify_header_fwd_to_table", 0x15, 1),
        Field("flow_source", 0x17, 1),
    ),
)
_FDB_VALUES = MappingProxyType({"fdb_to_vport_reg_c_id": 3, "fdb_modify_header_fwd_to_table": 1, "flow_source": 1})
_ESWITCH = Layout(
    "e_switch_cap",
    CAP_PAGE,
    (
        # for messages only
        Field("esw_uplink_ingress_acl", 0x8, 1),
        Field("esw_functions_changed", 0x19, 1),
        # mlx5_ecpf_vport_exists
        Field("ecpf_vport_exists", 0x1B, 1),
        # for messages only
        Field("merged_eswitch", 0x1D, 1),
    ),
)
#: capability pages by (type, current)
Pages = Mapping[tuple[int, bool], bytes]


def with_eswitch(pages: Pages, profile: Profile, specs: Sequence[FunctionSpec]) -> dict[tuple[int, bool], bytes]:
    """Return these pages with what the e-switch of these functions needs, where the profile's device manages one."""
    if not profile.max.get("eswitch_manager"):
        return dict(pages)
    found = dict(pages)
    for current in (False, True):
        nic = pages.get((CapType.FLOW_TABLE, current))
        if nic is not None:
            found.setdefault((int(CapType.ESWITCH_FLOW_TABLE), current), _tables(nic[_FIRST_TABLE]))
        if not profile.pages:
            general = found.get((CapType.GENERAL, current), bytes(CAP_PAGE))
            found[int(CapType.GENERAL), current] = GENERAL.patch(general, _general(profile, specs))
            found[int(CapType.ESWITCH), current] = _ESWITCH.pack({f.name: _of_kind(f, profile) for f in _ESWITCH})
            found[int(CapType.GENERAL_2), current] = GENERAL_2.pack(_general_2(profile, specs))
    return found


def _tables(nic: bytes) -> bytes:
    """The page of the e-switch's tables, each like that of the NIC."""
    table = _TABLE.patch(nic, _TABLE_VALUES)
    page = bytes(_FIRST_TABLE.start) + table * _TABLES_OF_ESWITCH
    return _FDB.patch(page.ljust(CAP_PAGE, b"\0"), _FDB_VALUES)


def _of_kind(f: Field, profile: Profile) -> int:
    """The fields of ``e_switch_cap``; a PF has neither an ECPF's vport nor an external host."""
    return int(profile.ecpf or f.name not in ("ecpf_vport_exists", "esw_functions_changed"))


def _general(profile: Profile, specs: Sequence[FunctionSpec]) -> dict[str, int]:
    further = [spec for spec in specs if spec.type is FunctionType.SPF]
    values = {"hca_cap_2": 1}
    if profile.max_sf:
        values |= {f.name: 1 for f in GENERAL if "vhca_state" in f.name}
    if further:
        # the external host's PF has an entry too
        values |= {"query_host_net_function_v1": 1, "query_host_net_function_num_max": len(further) + 1}
    return values


def _general_2(profile: Profile, specs: Sequence[FunctionSpec]) -> dict[str, int]:
    values = {"function_id_type_vhca_id": int(profile.function_id_type_vhca_id)}
    first = next((spec for spec in specs if spec.type is FunctionType.EC_VF), None)
    if first is not None:
        values["ec_vf_vport_base"] = first.vport - (first.function_id - 1)
    return values
