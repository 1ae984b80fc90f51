"""The table of the commands that firmware executes: the phases in which each is allowed, and its function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fwpages.device.firmware import capability_commands as capability
from fwpages.device.firmware import eswitch_commands as eswitch
from fwpages.device.firmware import hca_commands as hca
from fwpages.device.firmware import page_commands as pages
from fwpages.device.firmware import queue_commands as queue
from fwpages.device.firmware.offences import OffenceName, RefusedError
from fwpages.device.firmware.state import Phase, State
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode, opcode_name


@dataclass(frozen=True, slots=True)
class Rule:
    """The phases and the function of one opcode. ``booted``: boot pages must have been given."""

    execute: Callable[[State, Command], Answer]
    phases: tuple[Phase, ...]
    booted: bool = False


_START = (Phase.STARTING,)
_WORK = (Phase.WORKING,)
_UP = (Phase.STARTING, Phase.WORKING)
_OPEN = (Phase.STARTING, Phase.WORKING, Phase.CLOSING)

#: ENABLE_HCA and DISABLE_HCA check the phase themselves: it depends on the function that they name
RULES: Mapping[int, Rule] = MappingProxyType(
    {
        Opcode.ENABLE_HCA: Rule(hca.enable_hca, tuple(Phase)),
        Opcode.DISABLE_HCA: Rule(hca.disable_hca, tuple(Phase)),
        Opcode.QUERY_ISSI: Rule(hca.query_issi, _START),
        Opcode.SET_ISSI: Rule(hca.set_issi, _START),
        Opcode.QUERY_PAGES: Rule(pages.query_pages, _OPEN),
        Opcode.MANAGE_PAGES: Rule(pages.manage_pages, _OPEN),
        Opcode.ACCESS_REG: Rule(queue.access_reg, _UP, booted=True),
        Opcode.QUERY_HCA_CAP: Rule(capability.query_hca_cap, _UP, booted=True),
        Opcode.SET_HCA_CAP: Rule(capability.set_hca_cap, _UP, booted=True),
        Opcode.INIT_HCA: Rule(hca.init_hca, _START),
        Opcode.TEARDOWN_HCA: Rule(hca.teardown_hca, _WORK),
        Opcode.QUERY_ADAPTER: Rule(queue.query_adapter, _UP, booted=True),
        Opcode.SET_DRIVER_VERSION: Rule(queue.done, _WORK),
        Opcode.ALLOC_UAR: Rule(queue.alloc_uar, _WORK),
        Opcode.DEALLOC_UAR: Rule(queue.dealloc_uar, _WORK),
        Opcode.CREATE_EQ: Rule(queue.create_eq, _WORK),
        Opcode.DESTROY_EQ: Rule(queue.destroy_eq, _WORK),
        Opcode.CREATE_ESW_VPORT: Rule(eswitch.create_esw_vport, _WORK),
        Opcode.DESTROY_ESW_VPORT: Rule(eswitch.destroy_esw_vport, _WORK),
        Opcode.QUERY_ESW_FUNCTIONS: Rule(eswitch.query_esw_functions, _OPEN, booted=True),
        Opcode.MODIFY_NIC_VPORT_CONTEXT: Rule(eswitch.modify_nic_vport_context, _OPEN, booted=True),
        Opcode.QUERY_VHCA_STATE: Rule(eswitch.query_vhca_state, _WORK),
        Opcode.MODIFY_VHCA_STATE: Rule(eswitch.modify_vhca_state, _WORK),
        Opcode.ALLOC_SF: Rule(hca.alloc_sf, _WORK),
        Opcode.DEALLOC_SF: Rule(hca.dealloc_sf, _WORK),
    }
)


def execute(s: State, c: Command, reply_length: int) -> Answer:
    """Execute a command; RefusedError, and nothing changed, where it breaks a rule."""
    rule = RULES.get(c.opcode)
    if rule is None:
        raise RefusedError(OffenceName.UNKNOWN_COMMAND, opcode_name(c.opcode))
    s.require(c, *rule.phases)
    if rule.booted and s.booting:
        raise RefusedError(OffenceName.WRONG_STATE, f"{opcode_name(c.opcode)}, {s.startup_need} boot pages missing")
    if reply_length < c.least_reply:
        raise RefusedError(OffenceName.REPLY_TOO_SMALL, f"{reply_length} bytes for an answer of {c.least_reply}")
    return rule.execute(s, c)
