"""QUERY_HCA_CAP and SET_HCA_CAP as firmware executes them, and the switch of the identity mode."""

from __future__ import annotations

from fwpages.device.firmware.offences import OffenceName, RefusedError
from fwpages.device.firmware.state import Phase, State
from fwpages.device.profiles import exceeding
from fwpages.prm.capability import GENERAL, general, read_general
from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.identity import Mode
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CAP_CURRENT, CapType


def _about(s: State, c: Command) -> int:
    return s.eswitch_owner(c) if c["other_function"] else 0


def query_hca_cap(s: State, c: Command) -> Answer:
    """Answer the supplier's general capabilities, or another function's vhca_id; other types are all zero."""
    slot = _about(s, c)
    if c.op_mod >> 1 != CapType.GENERAL:
        page = bytes(CAP_PAGE)
    elif slot == 0 and c.op_mod & CAP_CURRENT:
        page = general(s.current)
    else:
        page = s.max_page(slot)
    return Answer(c.opcode, data=page)


def set_hca_cap(s: State, c: Command) -> Answer:
    """Switch capabilities that are offered; icm_mng_function_id_mode of the supplier switches the identity mode."""
    if c.op_mod & CAP_CURRENT:
        raise RefusedError(OffenceName.BAD_OP_MOD, f"SET_HCA_CAP with op_mod {c.op_mod:#x}")
    slot = _about(s, c)
    own_general = slot == 0 and c.op_mod >> 1 == CapType.GENERAL
    s.require(c, Phase.STARTING if slot == 0 else Phase.WORKING)
    if len(c.data) != CAP_PAGE:
        raise RefusedError(OffenceName.BAD_LENGTH, f"{len(c.data)} bytes of capabilities, a page has {CAP_PAGE}")
    most = read_general(s.max_page(slot)) if c.op_mod >> 1 == CapType.GENERAL else {}
    values = read_general(c.data)
    beyond = exceeding(values, most)
    if beyond is not None:
        raise RefusedError(
            OffenceName.CAPABILITY_NOT_OFFERED, f"{beyond} = {values[beyond]:#x}, {most.get(beyond, 0):#x} offered"
        )
    if any(GENERAL.reserved(c.data)):
        raise RefusedError(OffenceName.CAPABILITY_NOT_OFFERED, "a bit is set that is not offered")
    if own_general:
        _set_own(s, values)
    return Answer(c.opcode)


def _set_own(s: State, values: dict[str, int]) -> None:
    by_vhca_id = bool(values["icm_mng_function_id_mode"])
    if s.mode is Mode.VHCA_ID and not by_vhca_id:
        raise RefusedError(OffenceName.MODE_BACK, "icm_mng_function_id_mode = 0 after it was set")
    s.current = {k: v for k, v in values.items() if v} | {"vhca_id": s.device.max["vhca_id"]}
    if by_vhca_id and not s.device.switch_at_init:
        s.mode = Mode.VHCA_ID
