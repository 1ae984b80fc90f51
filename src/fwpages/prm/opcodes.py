"""Opcodes and op_mods, spelled as the manual and Linux spell them."""

from __future__ import annotations

from enum import IntEnum


class Opcode(IntEnum):
    """The commands that this project knows the fields of."""

    QUERY_HCA_CAP = 0x100
    QUERY_ADAPTER = 0x101
    INIT_HCA = 0x102
    TEARDOWN_HCA = 0x103
    ENABLE_HCA = 0x104
    DISABLE_HCA = 0x105
    QUERY_PAGES = 0x107
    MANAGE_PAGES = 0x108
    SET_HCA_CAP = 0x109
    QUERY_ISSI = 0x10A
    SET_ISSI = 0x10B
    SET_DRIVER_VERSION = 0x10D
    ALLOC_SF = 0x113
    DEALLOC_SF = 0x114
    CREATE_EQ = 0x301
    DESTROY_EQ = 0x302
    CREATE_ESW_VPORT = 0x733
    DESTROY_ESW_VPORT = 0x734
    QUERY_ESW_FUNCTIONS = 0x740
    MODIFY_NIC_VPORT_CONTEXT = 0x755
    ALLOC_UAR = 0x802
    DEALLOC_UAR = 0x803
    ACCESS_REG = 0x805
    QUERY_VHCA_STATE = 0xB0D
    MODIFY_VHCA_STATE = 0xB0E


#: register of ACCESS_REG that tells the device the host's byte order (Linux: MLX5_REG_HOST_ENDIANNESS)
HOST_ENDIANNESS = 0x7004

#: the command slot of page commands: the last of a queue of 32 (Linux: cmd.c, vars.max_reg_cmds and page_queue)
PAGE_SLOT = 31


class QueryPages(IntEnum):
    """op_mod of QUERY_PAGES: which pages are asked about."""

    BOOT = 1
    INIT = 2
    REGULAR = 3


class ManagePages(IntEnum):
    """op_mod of MANAGE_PAGES."""

    CANT_GIVE = 0
    GIVE = 1
    TAKE = 2


class EswFunctions(IntEnum):
    """op_mod of QUERY_ESW_FUNCTIONS: the external host alone, or an entry for each function of another host."""

    HOST = 0
    NETWORK_FUNCTIONS = 1 << 14


class VhcaState(IntEnum):
    """vhca_state of QUERY_VHCA_STATE, and of an entry of QUERY_ESW_FUNCTIONS."""

    INVALID = 0
    ALLOCATED = 1
    ACTIVE = 2
    IN_USE = 3
    TEARDOWN_REQUEST = 4


class Teardown(IntEnum):
    """profile of TEARDOWN_HCA."""

    GRACEFUL = 0
    FORCE = 1
    PREPARE_FAST = 2


class CapType(IntEnum):
    """Which capability page QUERY_HCA_CAP and SET_HCA_CAP are about (op_mod = type << 1 | current)."""

    GENERAL = 0x0
    ETHERNET_OFFLOADS = 0x1
    ODP = 0x2
    ATOMIC = 0x3
    ROCE = 0x4
    IPOIB = 0x5
    FLOW_TABLE = 0x7
    ESWITCH_FLOW_TABLE = 0x8
    ESWITCH = 0x9
    QOS = 0xC
    DEBUG = 0xD
    DEVICE_MEMORY = 0xF
    GENERAL_2 = 0x20


#: op_mod bit of QUERY_HCA_CAP: the current value is asked for, not the maximum
CAP_CURRENT = 1


def opcode_name(opcode: int) -> str:
    """The opcode's name, or its number for a command that this project does not know."""
    try:
        return Opcode(opcode).name
    except ValueError:
        return f"opcode {opcode:#x}"


def op_mod_suffix(opcode: int, op_mod: int) -> str:
    """The op_mod in words, in brackets, where it has some; nothing where it is 0 and means nothing."""
    try:
        if opcode == Opcode.MANAGE_PAGES:
            return f"({ManagePages(op_mod).name})"
        if opcode == Opcode.QUERY_PAGES:
            return f"({QueryPages(op_mod).name.lower()})"
        if opcode == Opcode.SET_HCA_CAP:
            return f"({CapType(op_mod >> 1).name.lower()})"
        if opcode == Opcode.QUERY_HCA_CAP:
            return f"({CapType(op_mod >> 1).name.lower()}, {'current' if op_mod & CAP_CURRENT else 'max'})"
    except ValueError:
        pass
    return f"({op_mod:#x})" if op_mod else ""
