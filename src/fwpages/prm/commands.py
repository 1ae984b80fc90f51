"""The layouts of every command that this project knows, in and out (``mlx5_ifc.h``: ``*_in_bits``, ``*_out_bits``)."""

from __future__ import annotations

from dataclasses import dataclass

from fwpages.prm.layout import Field, Layout
from fwpages.prm.opcodes import Opcode

#: bytes of one capability page
CAP_PAGE = 4096
#: bytes of ``query_esw_functions_out`` behind its first 16, where it is about the external host alone
ESW_FUNCTIONS = 0x400 // 8 - 16
#: bytes of an entry of the answer that is about several functions, and the most that a device can have
#: (``query_host_net_function_num_max`` has 5 bits)
NET_FUNCTION, MOST_NET_FUNCTIONS = 64, 31


@dataclass(frozen=True)
class Shape:
    """The fixed part of a message and what follows it: page addresses (``pas``), raw ``data``, or nothing."""

    fixed: Layout
    tail: str | None = None


@dataclass(frozen=True)
class Form:
    """A command's two messages."""

    request: Shape
    reply: Shape


_IN = (Field("opcode", 0x0, 16), Field("uid", 0x10, 16), Field("op_mod", 0x30, 16))
_OUT = (Field("status", 0x0, 8), Field("syndrome", 0x20, 32))
_FUNCTION = (Field("embedded_cpu_function", 0x40, 1), Field("function_id", 0x50, 16))
_OTHER = (
    Field("other_function", 0x40, 1),
    Field("ec_vf_function", 0x41, 1),
    Field("function_id_type", 0x43, 1),
    Field("function_id", 0x50, 16),
)
_HCA = (
    Field("embedded_cpu_function", 0x40, 1),
    Field("function_id_type", 0x43, 1),
    Field("function_id", 0x50, 16),
)
_VHCA_STATE = (
    Field("arm_change_event", 0x80, 1),
    Field("vhca_state", 0x8C, 4),
    Field("sw_function_id", 0xA0, 32),
)
_VHCA_SELECT = (Field("select_sw_function_id", 0x7E, 1), Field("select_arm_change_event", 0x7F, 1))
_EQ_CONTEXT = (
    Field("log_eq_size", 0x80 + 0x63, 5),
    Field("uar_page", 0x80 + 0x68, 24),
    Field("intr", 0x80 + 0xB4, 12),
    Field("log_page_size", 0x80 + 0xC3, 5),
    Field("event_bitmask_0", 0x2C0, 64),
    Field("event_bitmask_1", 0x300, 64),
    Field("event_bitmask_2", 0x340, 64),
    Field("event_bitmask_3", 0x380, 64),
)


def _in(name: str, *fields: Field, size: int = 16, tail: str | None = None) -> Shape:
    return Shape(Layout(f"{name}_in", size, (*_IN, *fields)), tail)


def _out(name: str, *fields: Field, size: int = 16, tail: str | None = None) -> Shape:
    return Shape(Layout(f"{name}_out", size, (*_OUT, *fields)), tail)


def _plain(name: str, *fields: Field, in_size: int = 16, out_size: int = 16) -> Form:
    return Form(_in(name, *fields, size=in_size), _out(name, size=out_size))


FORMS: dict[Opcode, Form] = {
    Opcode.QUERY_PAGES: Form(
        _in("query_pages", *_FUNCTION),
        _out("query_pages", *_FUNCTION, Field("num_pages", 0x60, 32, signed=True)),
    ),
    Opcode.MANAGE_PAGES: Form(
        _in("manage_pages", *_FUNCTION, Field("input_num_entries", 0x60, 32), tail="pas"),
        _out("manage_pages", Field("output_num_entries", 0x40, 32), tail="pas"),
    ),
    Opcode.QUERY_HCA_CAP: Form(_in("query_hca_cap", *_OTHER), _out("query_hca_cap", tail="data")),
    Opcode.SET_HCA_CAP: Form(_in("set_hca_cap", *_OTHER, tail="data"), _out("set_hca_cap")),
    Opcode.ENABLE_HCA: _plain("enable_hca", *_HCA, out_size=12),
    Opcode.DISABLE_HCA: _plain("disable_hca", *_HCA, out_size=12),
    Opcode.INIT_HCA: Form(_in("init_hca", Field("sw_vhca_id", 0x62, 14), tail="data"), _out("init_hca")),
    Opcode.TEARDOWN_HCA: Form(
        _in("teardown_hca", Field("profile", 0x50, 16)),
        _out("teardown_hca", Field("state", 0x7F, 1)),
    ),
    Opcode.QUERY_ISSI: Form(
        _in("query_issi"),
        _out("query_issi", Field("current_issi", 0x50, 16), Field("supported_issi_dw0", 0x360, 32), size=112),
    ),
    Opcode.SET_ISSI: _plain("set_issi", Field("current_issi", 0x50, 16)),
    Opcode.QUERY_ADAPTER: Form(_in("query_adapter"), _out("query_adapter", tail="data")),
    Opcode.SET_DRIVER_VERSION: Form(_in("set_driver_version", tail="data"), _out("set_driver_version")),
    Opcode.ACCESS_REG: Form(
        _in("access_reg", Field("register_id", 0x50, 16), Field("argument", 0x60, 32), tail="data"),
        _out("access_reg", tail="data"),
    ),
    Opcode.ALLOC_UAR: Form(_in("alloc_uar"), _out("alloc_uar", Field("uar", 0x48, 24))),
    Opcode.DEALLOC_UAR: _plain("dealloc_uar", Field("uar", 0x48, 24)),
    Opcode.CREATE_EQ: Form(
        _in("create_eq", *_EQ_CONTEXT, size=272, tail="pas"),
        _out("create_eq", Field("eq_number", 0x58, 8)),
    ),
    Opcode.DESTROY_EQ: _plain("destroy_eq", Field("eq_number", 0x58, 8)),
    Opcode.CREATE_ESW_VPORT: Form(
        _in("create_esw_vport", Field("managed_vhca_id", 0x50, 16)),
        _out("create_esw_vport", Field("vport_num", 0x70, 16)),
    ),
    Opcode.DESTROY_ESW_VPORT: _plain("destroy_esw_vport", Field("vport_num", 0x50, 16), out_size=12),
    Opcode.QUERY_ESW_FUNCTIONS: Form(
        _in("query_esw_functions"),
        _out("query_esw_functions", Field("net_function_num", 0x60, 8), tail="data"),
    ),
    Opcode.MODIFY_NIC_VPORT_CONTEXT: Form(
        _in(
            "modify_nic_vport_context",
            Field("other_vport", 0x40, 1),
            Field("vport_number", 0x50, 16),
            Field("field_select", 0x60, 32),
            tail="data",
        ),
        _out("modify_nic_vport_context"),
    ),
    Opcode.QUERY_VHCA_STATE: Form(
        _in("query_vhca_state", *_FUNCTION),
        _out("query_vhca_state", *_VHCA_STATE, size=32),
    ),
    Opcode.MODIFY_VHCA_STATE: Form(
        _in("modify_vhca_state", *_FUNCTION, *_VHCA_SELECT, *_VHCA_STATE, size=32),
        _out("modify_vhca_state"),
    ),
    Opcode.ALLOC_SF: _plain("alloc_sf", Field("function_id", 0x50, 16)),
    Opcode.DEALLOC_SF: _plain("dealloc_sf", Field("function_id", 0x50, 16)),
}

#: what is known of a command that is not in the table: its header, and raw bytes
UNKNOWN = Form(
    Shape(Layout("command_in", 8, _IN), "data"),
    Shape(Layout("command_out", 8, _OUT), "data"),
)
#: the table again, for numbers as they come: to make an opcode of one costs ten times as much as to look it up
_BY_NUMBER: dict[int, Form] = {int(op): form for op, form in FORMS.items()}


def form_of(opcode: int) -> Form:
    """The layouts of ``opcode``; those of an unknown command where the table has none."""
    return _BY_NUMBER.get(opcode, UNKNOWN)
