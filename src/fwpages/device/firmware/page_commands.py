"""QUERY_PAGES and MANAGE_PAGES as firmware executes them (PROTOCOL.md, "Commands")."""

from __future__ import annotations

from fwpages.device.firmware import demand as appetite
from fwpages.device.firmware.offences import OffenceName, RefusedError
from fwpages.device.firmware.state import Phase, State
from fwpages.pages.words import many
from fwpages.prm.identity import Mode
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, QueryPages


def query_pages(s: State, c: Command) -> Answer:
    """Boot and init pages are the supplier's own and asked for in its start; regular ones are anybody's."""
    if c.op_mod == QueryPages.REGULAR:
        slot = s.page_owner(c)
        count = appetite.outstanding(s, slot)
        appetite.answered(s, slot)
    elif c.op_mod in (QueryPages.BOOT, QueryPages.INIT):
        s.require(c, Phase.STARTING)
        slot = s.page_owner(c)
        if slot:
            raise RefusedError(
                OffenceName.BAD_PARAMETER, f"boot and init pages are the supplier's own, not {s.identity(slot)}'s"
            )
        if s.booting and c.op_mod == QueryPages.INIT:
            raise RefusedError(OffenceName.WRONG_STATE, f"init pages asked about, {s.startup_need} boot pages missing")
        count = s.startup_need if s.booting or c.op_mod == QueryPages.INIT else 0
    else:
        raise RefusedError(OffenceName.BAD_OP_MOD, f"QUERY_PAGES with op_mod {c.op_mod:#x}")
    who = s.identity(slot)
    assert who is not None
    named = who.fields
    if slot == 0 and s.mode is Mode.FUNC_ID:
        named = named | {"function_id": s.device.boot_function}
    return Answer(c.opcode, fields={**named, "num_pages": count})


def manage_pages(s: State, c: Command) -> Answer:
    """GIVE, TAKE or CANT_GIVE, by op_mod."""
    if c.op_mod not in (ManagePages.GIVE, ManagePages.TAKE, ManagePages.CANT_GIVE):
        raise RefusedError(OffenceName.BAD_OP_MOD, f"MANAGE_PAGES with op_mod {c.op_mod:#x}")
    if c.op_mod != ManagePages.GIVE and c.pas.size:
        raise RefusedError(OffenceName.BAD_LENGTH, f"{c.pas.size} page addresses where none belong")
    slot = s.page_owner(c)
    if c.op_mod == ManagePages.GIVE:
        _give(s, c, slot)
        return Answer(c.opcode)
    if c.op_mod == ManagePages.TAKE:
        return _take(s, c, slot)
    appetite.refused(s.functions[slot])
    return Answer(c.opcode)


def _give(s: State, c: Command, slot: int) -> None:
    """Accepted up to what firmware wants for the function: all of them, or none."""
    s.require(c, Phase.STARTING, Phase.WORKING)
    n = c["input_num_entries"]
    if n != c.pas.size:
        raise RefusedError(OffenceName.COUNT_MISMATCH, f"input_num_entries {n}, {c.pas.size} page addresses")
    if not n:
        raise RefusedError(OffenceName.EMPTY_GIVE, "input_num_entries 0")
    wanted = s.functions[slot].wanted if s.phase is Phase.WORKING else s.startup_need if slot == 0 else 0
    if n > wanted:
        raise RefusedError(OffenceName.UNREQUESTED_GIVE, f"{many(n)}, {wanted} wanted")
    s.store.give(s.user(slot), c.pas)
    if s.phase is Phase.WORKING:
        appetite.given(s.functions[slot], n)


def _take(s: State, c: Command, slot: int) -> Answer:
    """While the HCA works firmware lets go of what it asked back; before INIT_HCA and after TEARDOWN_HCA, of all."""
    f, held = s.functions[slot], s.held(slot)
    free = f.asked_back if s.phase is Phase.WORKING else held
    n = min(c["input_num_entries"], s.device.profile.take_limit, free)
    pages = s.take(slot, n)
    appetite.taken(f, n, held - n)
    return Answer(c.opcode, fields={"output_num_entries": n}, pas=pages)
