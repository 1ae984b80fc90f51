"""The commands that open, start and close a session and enable and disable functions, as firmware executes them."""

from __future__ import annotations

from fwpages.device.firmware import demand
from fwpages.device.firmware.functions import Asks
from fwpages.device.firmware.io import Offence
from fwpages.device.firmware.offences import OffenceName, RefusedError
from fwpages.device.firmware.state import Phase, State
from fwpages.pages.words import many
from fwpages.prm.capability import TEARDOWN_NEEDS
from fwpages.prm.event import EswitchEvent, EventType
from fwpages.prm.identity import FunctionType, Mode
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Teardown

#: ISSIs that QUERY_ISSI offers, bit n for ISSI n; 0 is always there
SUPPORTED_ISSI = 0b10


def enable_hca(s: State, c: Command) -> Answer:
    """Begin a session in FUNC_ID mode, for the supplier; for another function, want its pages.

    Between ALLOC_SF and DEALLOC_SF it activates an SF (Linux: ``mlx5_sf_activate``), which wants its pages from
    ALLOC_SF on, or from here on (``asks``).
    """
    slot = s.eswitch_owner(c)
    if slot == 0:
        s.require(c, Phase.OFF)
        _begin(s)
        return Answer(c.opcode)
    s.require(c, Phase.WORKING)
    f, spec = s.functions[slot], s.device.roster.specs[slot]
    if spec.type is FunctionType.SF and not f.allocated:
        raise RefusedError(OffenceName.SF_NOT_ALLOCATED, spec.name)
    if f.activated if f.allocated else f.enabled:
        raise RefusedError(OffenceName.ALREADY_ENABLED, spec.name)
    if not f.enabled:
        switch_on(s, slot)
    f.activated = f.allocated
    return Answer(c.opcode)


def name_is_free(s: State, slot: int) -> bool:
    """Return whether no other function with this one's vhca_id is enabled or allocated."""
    home = s.home(slot)
    return not any((f.enabled or f.allocated) and f.slot != slot and s.home(f.slot) == home for f in s.functions)


def _require_name(s: State, slot: int) -> None:
    if not name_is_free(s, slot):
        raise RefusedError(OffenceName.VHCA_ID_IN_USE, s.device.roster.specs[slot].name)


def switch_on(s: State, slot: int) -> None:
    """Enable a function, which wants its pages; RefusedError where another one has its vhca_id."""
    _require_name(s, slot)
    home = s.home(slot)
    s.functions[slot].enabled = True
    s.eswitch.leaving.discard(slot)
    demand.begin(s, slot)
    demand.want(s.functions[home], s.device.roster.specs[slot].pages, 0)


def _begin(s: State) -> None:
    """Keep the pages that the last session left behind out of this one."""
    s.store.keep()
    s.users.clear()
    s.eswitch.forget()
    for f in s.functions:
        demand.forget(f)
    s.current = s.device.profile.capabilities(current=True) | {"vhca_id": s.device.max["vhca_id"]}
    s.phase, s.mode, s.issi = Phase.STARTING, Mode.FUNC_ID, 0


def disable_hca(s: State, c: Command) -> Answer:
    """End the session, for the supplier; for another function, ask all its pages back.

    An SF that was activated stays allocated (Linux: ``mlx5_sf_deactivate``).
    """
    slot = s.eswitch_owner(c)
    if slot == 0:
        s.require(c, Phase.STARTING, Phase.CLOSING)
        _end(s)
        return Answer(c.opcode)
    s.require(c, Phase.WORKING)
    f, spec = s.functions[slot], s.device.roster.specs[slot]
    if spec.type is FunctionType.SF and not f.allocated:
        raise RefusedError(OffenceName.SF_NOT_ALLOCATED, spec.name)
    if not (f.activated if f.allocated else f.enabled):
        raise RefusedError(OffenceName.NOT_ENABLED, spec.name)
    if f.enabled:
        switch_off(s, slot)
    if f.activated and slot in s.eswitch.armed:
        s.eswitch.armed.remove(slot)
        s.eswitch.news.append(EswitchEvent(EventType.VHCA_STATE_CHANGE, spec.function_id))
    f.activated = False
    return Answer(c.opcode)


def _end(s: State) -> None:
    held = {f.slot: s.held(f.slot) for f in s.functions if s.home(f.slot) == f.slot}
    words = ", ".join(f"{n} of {s.identity(slot)}" for slot, n in held.items() if n)
    if words:
        s.noted.append(Offence(OffenceName.DISABLED_WITH_PAGES, s.identity(0), f"pages held: {words}"))
    s.phase = Phase.OFF


def switch_off(s: State, slot: int) -> None:
    """Disable a function: all its pages are asked back. One that gets another vhca_id has it when they are."""
    s.functions[slot].enabled = False
    demand.end(s, slot)
    if s.device.roster.specs[slot].next_vhca_id is not None:
        s.eswitch.leaving.add(slot)


def rename(s: State) -> None:
    """Give their other vhca_ids to disabled functions of which no page is out, and none is still to be given."""
    left = {n for n in s.eswitch.leaving if not s.held(n) and not s.functions[n].announced}
    s.eswitch.leaving -= left
    s.eswitch.renamed |= left


def init_hca(s: State, c: Command) -> Answer:
    """Start the HCA, which needs its boot and init pages for that."""
    if s.startup_need:
        raise RefusedError(
            OffenceName.PAGES_MISSING, f"{many(s.startup_need, 'boot page' if s.booting else 'init page')} missing"
        )
    s.phase = Phase.WORKING
    if s.current.get("icm_mng_function_id_mode"):
        s.mode = Mode.VHCA_ID
    demand.want(s.functions[0], s.device.roster.specs[0].pages, 0)
    return Answer(c.opcode)


def teardown_hca(s: State, c: Command) -> Answer:
    """Stop the HCA: queues and UARs are destroyed, functions are off, every page can be taken back.

    A profile that the current capabilities do not offer fails as Linux expects it, answered OK with state 1; that the
    driver asked for it is noted.
    """
    profile = c["profile"]
    if profile not in (Teardown.GRACEFUL, Teardown.FORCE, Teardown.PREPARE_FAST):
        raise RefusedError(OffenceName.BAD_PARAMETER, f"TEARDOWN_HCA with profile {profile:#x}")
    capability = TEARDOWN_NEEDS.get(profile)
    if capability and not s.current.get(capability):
        s.noted.append(
            Offence(OffenceName.TEARDOWN_NOT_OFFERED, s.identity(0), f"profile {profile}, {capability} is 0")
        )
        return Answer(c.opcode, fields={"state": 1})
    s.phase = Phase.CLOSING
    for eq in s.eqs.values():
        s.store.vacate(eq.blocks)
    s.eqs.clear()
    s.uars.clear()
    s.users.clear()
    s.eswitch.forget()
    for f in s.functions:
        demand.forget(f)
    return Answer(c.opcode)


def query_issi(s: State, c: Command) -> Answer:
    """Answer the interface revision in use and those supported."""
    return Answer(c.opcode, fields={"current_issi": s.issi, "supported_issi_dw0": SUPPORTED_ISSI})


def set_issi(s: State, c: Command) -> Answer:
    """Choose an interface revision."""
    issi = c["current_issi"]
    if issi and not SUPPORTED_ISSI >> issi & 1:
        raise RefusedError(OffenceName.ISSI_NOT_SUPPORTED, f"ISSI {issi}, supported are {SUPPORTED_ISSI:#b}")
    s.issi = issi
    return Answer(c.opcode)


def _sf(s: State, c: Command) -> int:
    slot = s.device.roster.by_eswitch(c["function_id"], ec=False)
    if slot is None:
        raise RefusedError(OffenceName.UNKNOWN_FUNCTION, f"no function with function_id {c['function_id']:#x}")
    if s.device.roster.specs[slot].type is not FunctionType.SF:
        raise RefusedError(OffenceName.NOT_AN_SF, s.device.roster.specs[slot].name)
    return slot


def alloc_sf(s: State, c: Command) -> Answer:
    """Allocate an SF, which wants its pages at once, or when ENABLE_HCA activates it, as its spec says."""
    slot = _sf(s, c)
    if s.functions[slot].allocated:
        raise RefusedError(OffenceName.SF_ALLOCATED, s.device.roster.specs[slot].name)
    if s.device.roster.specs[slot].asks is Asks.ALLOC:
        switch_on(s, slot)
    else:
        _require_name(s, slot)
    s.functions[slot].allocated = True
    return Answer(c.opcode)


def dealloc_sf(s: State, c: Command) -> Answer:
    """Free an SF: all its pages are asked back."""
    slot = _sf(s, c)
    f = s.functions[slot]
    if not f.allocated:
        raise RefusedError(OffenceName.SF_NOT_ALLOCATED, s.device.roster.specs[slot].name)
    if f.enabled:
        switch_off(s, slot)
    f.allocated = f.activated = False
    return Answer(c.opcode)
