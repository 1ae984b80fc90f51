"""The e-switch of an embedded CPU: its external host, vports that the driver makes, and the states of SFs.

The external host switches its PF's VFs on by itself; the driver of the embedded CPU learns their number by
QUERY_ESW_FUNCTIONS, and of each change by an event. It sends no ENABLE_HCA for them: it has taken a VF into its
e-switch when it arms the events of the VF's vport (Linux: ``mlx5_esw_vport_enable``, 6.12 and 7.2). Firmware asks for
the VF's pages then. It is not known when hardware does: the host's own driver may start the VF earlier. For pages that
come earlier, let the function ``Want`` them.

Source of the layouts: ``mlx5_ifc.h`` (``nic_vport_context``) and ``mlx5_ifc_vhca_event.h``.
"""

from __future__ import annotations

from fwpages.device.firmware.hca_commands import name_is_free, switch_off, switch_on
from fwpages.device.firmware.offences import OffenceName, RefusedError
from fwpages.device.firmware.state import State
from fwpages.prm.commands import ESW_FUNCTIONS
from fwpages.prm.esw_functions import FURTHER_PF, HOST, HOST_PF, NETWORK_FUNCTION
from fwpages.prm.event import EswitchEvent, EventType
from fwpages.prm.identity import FunctionType
from fwpages.prm.layout import Field, Layout
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import EswFunctions, VhcaState

_PF_TYPES = {FunctionType.HOST_PF: HOST_PF, FunctionType.SPF: FURTHER_PF}
#: bytes of MODIFY_NIC_VPORT_CONTEXT between its first 16 and the context, and the context's events
_CONTEXT = 0x800 // 8 - 16
_EVENTS = Layout("nic_vport_context", 8, (Field("arm_change_event", 0x20, 1), Field("events", 0x3B, 5)))
_SELECT_EVENTS = 1 << (31 - 0x1A)


def query_esw_functions(s: State, c: Command) -> Answer:
    """Answer the external host's PF and how many VFs it has on; with the other op_mod, an entry for each such PF."""
    if c.op_mod == EswFunctions.HOST:
        s.eswitch.told = s.eswitch.host_vfs
        exists = not s.device.profile.ecpf or _slot(s, FunctionType.HOST_PF) is not None
        context = {"host_pf_not_exist": not exists, **({"host_pf_disabled": 1} if not exists else {})}
        counts = {"host_num_of_vfs": s.eswitch.host_vfs, "host_total_vfs": s.device.profile.max_vfs if exists else 0}
        return Answer(c.opcode, data=HOST.pack({**context, **counts}).ljust(ESW_FUNCTIONS, b"\0"))
    if c.op_mod != EswFunctions.NETWORK_FUNCTIONS or not _has_network_functions(s):
        raise RefusedError(OffenceName.BAD_OP_MOD, f"QUERY_ESW_FUNCTIONS with op_mod {c.op_mod:#x}")
    s.eswitch.told = s.eswitch.host_vfs
    entries = [_entry(s, slot) for slot, spec in enumerate(s.device.roster.specs) if spec.type in _PF_TYPES]
    data = b"".join(entries).ljust(ESW_FUNCTIONS, b"\0")
    return Answer(c.opcode, fields={"net_function_num": len(entries)}, data=data)


def _slot(s: State, kind: FunctionType) -> int | None:
    return next((n for n, spec in enumerate(s.device.roster.specs) if spec.type is kind), None)


def _has_network_functions(s: State) -> bool:
    return _slot(s, FunctionType.SPF) is not None


def _entry(s: State, slot: int) -> bytes:
    """An external host's PF, or a further one, which has a host number of its own and whose vport the driver makes."""
    specs = s.device.roster.specs
    spec, further = specs[slot], specs[slot].type is FunctionType.SPF
    return NETWORK_FUNCTION.pack(
        {
            "host_number": 1 + sum(x.type is FunctionType.SPF for x in specs[:slot]) if further else 0,
            "pci_pf_type": _PF_TYPES[spec.type],
            "pci_num_vfs": 0 if further else s.eswitch.host_vfs,
            "pci_total_vfs": 0 if further else s.device.profile.max_vfs,
            "vhca_id": s.vhca_id(slot),
            "vhca_state": VhcaState.IN_USE,
            "esw_vport_manual": further,
        }
    )


def host_vfs(s: State, count: int) -> None:
    """The external host has so many VFs on: those that it has no more give their pages back.

    ValueError for more than the device has, or a device without an external host.
    """
    most = s.device.profile.max_vfs if s.device.profile.ecpf else 0
    if not 0 <= count <= most:
        raise ValueError(f"{count} VFs of an external host, which has {most}")
    if count == s.eswitch.host_vfs:
        return
    s.eswitch.host_vfs = count
    for slot, spec in enumerate(s.device.roster.specs):
        if spec.type is FunctionType.VF and spec.function_id > count and s.functions[slot].enabled:
            switch_off(s, slot)
    s.eswitch.news.append(EswitchEvent(EventType.ESW_FUNCTIONS_CHANGED))


def create_esw_vport(s: State, c: Command) -> Answer:
    """Make the vport of a further physical function, which QUERY_ESW_FUNCTIONS names by its vhca_id."""
    slot = s.home_of(c["managed_vhca_id"])
    if slot is None or s.device.roster.specs[slot].type is not FunctionType.SPF:
        raise RefusedError(OffenceName.UNKNOWN_FUNCTION, f"no further PF with vhca_id {c['managed_vhca_id']:#x}")
    if slot in s.eswitch.vports:
        raise RefusedError(OffenceName.ALREADY_ENABLED, f"{s.device.roster.specs[slot].name} has a vport")
    s.eswitch.vports.add(slot)
    return Answer(c.opcode, fields={"vport_num": s.device.roster.specs[slot].vport})


def destroy_esw_vport(s: State, c: Command) -> Answer:
    """Take away a vport that CREATE_ESW_VPORT made."""
    slot = s.device.roster.by_vport.get(c["vport_num"])
    if slot not in s.eswitch.vports:
        raise RefusedError(OffenceName.NOT_ENABLED, f"CREATE_ESW_VPORT made no vport {c['vport_num']:#x}")
    s.eswitch.vports.remove(slot)
    return Answer(c.opcode)


def modify_nic_vport_context(s: State, c: Command) -> Answer:
    """Keep nothing; a VF of the external host whose events are armed wants its pages."""
    events = _EVENTS.unpack(c.data[_CONTEXT:].ljust(_EVENTS.size, b"\0"))
    if c["other_vport"] and c["field_select"] & _SELECT_EVENTS and events["arm_change_event"] and events["events"]:
        slot = s.device.roster.by_vport.get(c["vport_number"])
        if slot is not None and _waits_for_eswitch(s, slot):
            switch_on(s, slot)
    return Answer(c.opcode)


def _waits_for_eswitch(s: State, slot: int) -> bool:
    """The external host has this VF on, and no e-switch had it so far."""
    spec = s.device.roster.specs[slot]
    of_host = s.device.profile.ecpf and spec.type is FunctionType.VF and spec.function_id <= s.eswitch.host_vfs
    return of_host and not s.functions[slot].enabled and name_is_free(s, slot)


def query_vhca_state(s: State, c: Command) -> Answer:
    """Answer the state of an SF: never *active*, after which Linux would look for the SF's registers in BAR 2."""
    slot = _sf(s, c)
    if slot is None:
        return Answer(c.opcode, fields={"vhca_state": VhcaState.INVALID})
    state = VhcaState.ALLOCATED if s.functions[slot].allocated else VhcaState.INVALID
    fields = {"vhca_state": state, "sw_function_id": s.eswitch.sw_ids.get(slot, 0)}
    return Answer(c.opcode, fields={**fields, "arm_change_event": slot in s.eswitch.armed})


def modify_vhca_state(s: State, c: Command) -> Answer:
    """Note the driver's own number of an SF, and whether it wants an event when the state changes."""
    slot = _sf(s, c)
    if slot is None:
        return Answer(c.opcode)
    if c["select_sw_function_id"]:
        s.eswitch.sw_ids[slot] = c["sw_function_id"]
    if c["select_arm_change_event"]:
        (s.eswitch.armed.add if c["arm_change_event"] else s.eswitch.armed.discard)(slot)
    return Answer(c.opcode)


def _sf(s: State, c: Command) -> int | None:
    """The SF with this function_id, None where the device could have one: Linux arms the events of all that can be.

    RefusedError for another number.
    """
    number, p = c["function_id"], s.device.profile
    slot = s.device.roster.by_eswitch(number, ec=False)
    if slot is not None and s.device.roster.specs[slot].type is FunctionType.SF:
        return slot
    if slot is None and p.sf_base_id <= number < p.sf_base_id + p.max_sf:
        return None
    raise RefusedError(OffenceName.NOT_AN_SF, f"function_id {number:#x}")
