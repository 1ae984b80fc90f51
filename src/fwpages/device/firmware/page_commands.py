"""QUERY_PAGES and MANAGE_PAGES as firmware executes them."""

from __future__ import annotations

from fwpages.device.firmware import demand
from fwpages.device.firmware.offences import OffenceName, RefusedError
from fwpages.device.firmware.state import Phase, State
from fwpages.pages.words import many
from fwpages.prm.identity import Mode
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, QueryPages


def query_pages(s: State, c: Command) -> Answer:
    """Answer which function needs how many pages: boot and init pages are the supplier's own, regular ones anyone's."""
    match c.op_mod:
        case QueryPages.REGULAR:
            slot = s.page_owner(c)
            count = demand.outstanding(s, slot)
            demand.answered(s, slot)
        case QueryPages.BOOT | QueryPages.INIT:
            slot, count = 0, _startup_pages(s, c)
        case _:
            raise RefusedError(OffenceName.BAD_OP_MOD, f"QUERY_PAGES with op_mod {c.op_mod:#x}")
    who = s.identity(slot)
    assert who is not None
    named = who.fields
    if slot == 0 and s.mode is Mode.FUNC_ID:
        named = named | {"function_id": s.device.boot_function}
    return Answer(c.opcode, fields={**named, "num_pages": count})


def _startup_pages(s: State, c: Command) -> int:
    """Return the boot or init pages that the start still needs; init pages can be asked about after boot pages."""
    s.require(c, Phase.STARTING)
    slot = s.page_owner(c)
    if slot:
        owner = s.identity(slot)
        raise RefusedError(OffenceName.BAD_PARAMETER, f"boot and init pages are the supplier's own, not {owner}'s")
    if c.op_mod == QueryPages.INIT:
        if s.booting:
            raise RefusedError(OffenceName.WRONG_STATE, f"init pages asked about, {s.startup_need} boot pages missing")
        return s.startup_need
    return s.startup_need if s.booting else 0


def manage_pages(s: State, c: Command) -> Answer:
    """Execute GIVE, TAKE or CANT_GIVE, by op_mod. A buffer that is longer than the command is no error.

    Drivers that are used on hardware send such ones: Snabb's GIVE, FreeBSD's CANT_GIVE (docs/drivers.md).
    """
    if c.op_mod not in (ManagePages.GIVE, ManagePages.TAKE, ManagePages.CANT_GIVE):
        raise RefusedError(OffenceName.BAD_OP_MOD, f"MANAGE_PAGES with op_mod {c.op_mod:#x}")
    slot = s.page_owner(c)
    if c.op_mod == ManagePages.GIVE:
        _give(s, c, slot)
        return Answer(c.opcode)
    if c.op_mod == ManagePages.TAKE:
        return _take(s, c, slot)
    demand.refused(s.functions[slot])
    return Answer(c.opcode)


def _give(s: State, c: Command, slot: int) -> None:
    """Accept all pages, or none: at most as many as firmware wants for the function."""
    s.require(c, Phase.STARTING, Phase.WORKING)
    n = c["input_num_entries"]
    if n > c.pas.size:
        raise RefusedError(OffenceName.COUNT_MISMATCH, f"input_num_entries {n}, {c.pas.size} page addresses")
    if not n:
        raise RefusedError(OffenceName.EMPTY_GIVE, "input_num_entries 0")
    wanted = s.functions[slot].wanted if s.phase is Phase.WORKING else s.startup_need if slot == 0 else 0
    if n > wanted:
        raise RefusedError(OffenceName.UNREQUESTED_GIVE, f"{many(n)}, {wanted} wanted")
    s.store.give(s.user(slot), c.given)
    if s.phase is Phase.WORKING:
        demand.given(s.functions[slot], n)


def _take(s: State, c: Command, slot: int) -> Answer:
    """Return pages: while the HCA works those asked back, before INIT_HCA and after TEARDOWN_HCA any."""
    f, held = s.functions[slot], s.held(slot)
    free = f.asked_back if s.phase is Phase.WORKING else held
    n = min(c["input_num_entries"], s.device.profile.take_limit, free)
    pages = s.take(slot, n)
    demand.taken(f, n, held - n)
    return Answer(c.opcode, fields={"output_num_entries": n}, pas=pages)
