"""When a fault has its opportunity, and what it then does: the verbs that the table of faults is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from fwpages.device.faults.injector import Act, FaultyFirmware, Match, names_own
from fwpages.device.firmware.functions import FunctionSpec
from fwpages.device.firmware.io import Completed, Effect, Raised, ResetFunction, Submitted, Want
from fwpages.prm.capability import GENERAL
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity, named
from fwpages.prm.message import Answer, Command, PageArray
from fwpages.prm.opcodes import CAP_CURRENT, CapType, ManagePages, Opcode, QueryPages
from fwpages.prm.status import Status

#: an address that no host in its right mind gives: bit 60
NEVER = np.uint64(1 << 60)


# -- when -------------------------------------------------------------------------------------------------------------


def pages(kind: ManagePages) -> Match:
    """A MANAGE_PAGES of this kind."""
    return lambda _, c: c.opcode == Opcode.MANAGE_PAGES and c.op_mod == kind


def function(f: FaultyFirmware, c: Command) -> Identity:
    """Whom a page command names, in the firmware's own mode."""
    return named(f.inner.mode, c["function_id"], c["embedded_cpu_function"])


def op(*opcodes: Opcode, own: bool | None = None) -> Match:
    """One of these commands; for the supplier itself, or not, where that counts."""
    return lambda f, c: c.opcode in opcodes and (own is None or names_own(f, c) is own)


def control(_: FaultyFirmware, c: Command) -> bool:
    """Any command but MANAGE_PAGES."""
    return c.opcode != Opcode.MANAGE_PAGES


def other_caps(_: FaultyFirmware, c: Command) -> bool:
    """QUERY_HCA_CAP about another function."""
    return c.opcode == Opcode.QUERY_HCA_CAP and bool(c["other_function"])


def negotiated(f: FaultyFirmware, _: Command) -> bool:
    """Page requests can come, and release_all was negotiated."""
    return f.inner.pages_eqn is not None and f.inner.release_all


def not_negotiated(f: FaultyFirmware, _: Command) -> bool:
    """Page requests can come, and release_all was not negotiated."""
    return f.inner.pages_eqn is not None and not f.inner.release_all


def listening(f: FaultyFirmware, _: Command) -> bool:
    """Page requests can come."""
    return f.inner.pages_eqn is not None


GIVE, TAKE = pages(ManagePages.GIVE), pages(ManagePages.TAKE)
QUERY_PAGES = op(Opcode.QUERY_PAGES)
SET_CAP = op(Opcode.SET_HCA_CAP)
ENABLE = op(Opcode.ENABLE_HCA, Opcode.ALLOC_SF, own=False)
DISABLE = op(Opcode.DISABLE_HCA, Opcode.DEALLOC_SF, own=False)
TEARDOWN = op(Opcode.TEARDOWN_HCA)


# -- what -------------------------------------------------------------------------------------------------------------


def lost(_: FaultyFirmware, __: float, ___: Submitted) -> list[Effect]:
    """Not done, not answered."""
    return []


def silent(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect]:
    """Done, not answered."""
    return [e for e in f.run(now, x) if not isinstance(e, Completed)]


def late(by: float | None) -> Act:
    """Done, and answered so many seconds later; None: in the next session."""

    def act(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect]:
        effects = f.run(now, x)
        due = None if by is None else now + by
        f.held_back = (*f.held_back, *((due, e) for e in effects if isinstance(e, Completed)))
        return [e for e in effects if not isinstance(e, Completed)]

    return act


def refuse(status: Status) -> Act:
    """Not done, and answered with this status."""
    return lambda _, __, x: [Completed(x.id, Answer(x.command.opcode, status, 0xBAD))]


def edit(change: Callable[[FaultyFirmware, Command, Answer], Answer | None]) -> Act:
    """The command is executed, and its answer changed; where there is nothing to change it was no opportunity."""

    def act(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect] | None:
        trial = f.clone()
        effects = trial.run(now, x)
        out: list[Effect] = []
        for e in effects:
            if isinstance(e, Completed):
                answer = change(f, x.command, e.answer) if e.answer.ok else None
                if answer is None:
                    return None
                out.append(Completed(e.id, answer))
            else:
                out.append(e)
        f.inner, f.last_returned, f.held_back = trial.inner, trial.last_returned, trial.held_back
        return out

    return act


def count(change: Callable[[Command, int], int]) -> Act:
    """The count field of the answer says something else."""

    def changed(_: FaultyFirmware, c: Command, a: Answer) -> Answer:
        return replace(a, fields={**a.fields, "output_num_entries": change(c, a["output_num_entries"])})

    return edit(changed)


def first_page(page: Callable[[FaultyFirmware, Command, Answer], PageArray | None]) -> Act:
    """The answer names another page in the place of its first."""

    def changed(f: FaultyFirmware, c: Command, a: Answer) -> Answer | None:
        other = page(f, c, a)
        if not a.pas.size or other is None or not other.size:
            return None
        return replace(a, pas=np.concatenate([other[:1], a.pas[1:]]))

    return edit(changed)


def short(_: FaultyFirmware, __: Command, a: Answer) -> Answer | None:
    """Half of the pages that were let go are not named."""
    n = a["output_num_entries"]
    return replace(a, fields={**a.fields, "output_num_entries": n // 2}, pas=a.pas[: n // 2]) if n else None


def long(_: FaultyFirmware, c: Command, a: Answer) -> Answer | None:
    """One page more than was asked for is named."""
    if a["output_num_entries"] < c["input_num_entries"]:
        return None
    more = np.append(a.pas, np.array([NEVER], np.uint64))
    return replace(a, fields={**a.fields, "output_num_entries": more.size}, pas=more)


def foreign(f: FaultyFirmware, c: Command, _: Answer) -> PageArray | None:
    """A page of another function."""
    return f.other_pages(function(f, c))


def twice(_: FaultyFirmware, __: Command, a: Answer) -> PageArray | None:
    """The page that the answer names second."""
    return a.pas[1:2]


def again(f: FaultyFirmware, c: Command, _: Answer) -> PageArray | None:
    """The page that came back last, unless the function has been given it anew: then it would be a lie like no other.

    A firmware that names a page that it goes on to use cannot be told from one that lets it go.
    """
    mine = f.inner.holds().get(function(f, c))
    return None if mine is not None and np.isin(f.last_returned, mine).any() else f.last_returned


def invented(_: FaultyFirmware, __: float, x: Submitted) -> list[Effect]:
    """Not done; the answer names as many pages as asked, none of which exists."""
    n = x.command["input_num_entries"]
    pas = NEVER + (np.arange(n, dtype=np.uint64) << np.uint64(12))
    return [Completed(x.id, Answer(x.command.opcode, fields={"output_num_entries": n}, pas=pas))]


def twice_kept(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect] | None:
    """One page less is let go than the answer names: the first is named once more."""
    c = x.command
    if c["input_num_entries"] < 2:
        return None
    trial = f.clone()
    less = replace(c, fields={**c.fields, "input_num_entries": c["input_num_entries"] - 1})
    out: list[Effect] = []
    for e in trial.run(now, replace(x, command=less)):
        if isinstance(e, Completed):
            if not e.answer.ok or not e.answer.pas.size:
                return None
            pas = np.concatenate([e.answer.pas[:1], e.answer.pas])
            fields = {**e.answer.fields, "output_num_entries": pas.size}
            out.append(Completed(e.id, replace(e.answer, fields=fields, pas=pas)))
        else:
            out.append(e)
    f.inner, f.last_returned, f.held_back = trial.inner, trial.last_returned, trial.held_back
    return out


def nothing(_: FaultyFirmware, __: float, x: Submitted) -> list[Effect]:
    """Not done; the answer names nothing."""
    return [Completed(x.id, Answer(x.command.opcode, fields={"output_num_entries": 0}))]


def num_pages(n: int) -> Act:
    """QUERY_PAGES answers this count."""
    return edit(lambda _, __, a: replace(a, fields={**a.fields, "num_pages": n}))


def boot_name(f: FaultyFirmware, c: Command, a: Answer) -> Answer | None:
    """QUERY_PAGES(boot) names another function."""
    other = next((s.function_id for s in f.inner.specs[1:] if s.type is not FunctionType.SPF and s.function_id), None)
    if c.op_mod != QueryPages.BOOT or other is None:
        return None
    return replace(a, fields={**a.fields, "function_id": other})


def set_less(bit: str) -> Act:
    """SET_HCA_CAP is answered OK, but this bit is left out of what is done."""

    def act(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect] | None:
        c = x.command
        if not GENERAL.unpack(c.data)[bit]:
            return None
        return f.run(now, replace(x, command=replace(c, data=GENERAL.patch(c.data, {bit: 0}))))

    return act


def hide_mode(_: FaultyFirmware, c: Command, a: Answer) -> Answer | None:
    """The current capability says FUNC_ID although the mode was switched."""
    current = c.op_mod == (CapType.GENERAL << 1 | CAP_CURRENT) and not c["other_function"]
    bit = "icm_mng_function_id_mode"
    if not current or not GENERAL.unpack(a.data)[bit]:
        return None
    return replace(a, data=GENERAL.patch(a.data, {bit: 0}))


def vhca_id(pick: Callable[[FaultyFirmware, FunctionSpec], int | None]) -> Act:
    """The capability page of another function names this vhca_id."""

    def changed(f: FaultyFirmware, c: Command, a: Answer) -> Answer | None:
        spec = f.spec_of(c)
        other = None if spec is None else pick(f, spec)
        return None if other is None else replace(a, data=GENERAL.patch(a.data, {"vhca_id": other}))

    return edit(changed)


def someone_elses(f: FaultyFirmware, spec: FunctionSpec) -> int | None:
    """The vhca_id of another function that is enabled."""
    return next((s.vhca_id for s in f.inner.specs[1:] if s is not spec and f.inner.is_enabled(s.name)), None)


def disabled_before(f: FaultyFirmware, spec: FunctionSpec) -> int | None:
    """The vhca_id of the function that was disabled last, where that is another one."""
    last = f.last_disabled
    return None if last is None or last is spec else last.vhca_id


#: a page request that a firmware might make up; None where it has nothing to make it up from
Event: TypeAlias = Callable[[FaultyFirmware], PageRequestEvent | None]


def raise_event(event: Event, *, first: bool = False, eqn: int = 0) -> Act:
    """A page request out of nowhere, before or after the command's answer."""

    def act(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect] | None:
        ev = event(f)
        if ev is None:
            return None
        listening = f.inner.pages_eqn
        raised = Raised(listening or eqn, ev)
        rest = f.run(now, x)
        # what comes while the queue is there must come before the command that takes it away is done
        gone = listening is not None and f.inner.pages_eqn is None
        return [raised, *rest] if first or gone else [*rest, raised]

    return act


def own_request(pages: int, *, release_all: bool = False) -> Event:
    """A page request in the name of the supplier itself."""

    def event(f: FaultyFirmware) -> PageRequestEvent:
        who = f.inner.own
        return PageRequestEvent(who.number, pages, who.ec, release_all)

    return event


def release_other(f: FaultyFirmware) -> PageRequestEvent | None:
    """A release_all for a function that has pages."""
    held = [who for who in f.inner.holds() if who != f.inner.own]
    return PageRequestEvent(held[0].number, 0, held[0].ec, release_all=True) if held else None


def real_want(pages: int, events: int = 1) -> Act:
    """Firmware really wants pages, and says so before it answers: ``events`` requests of ``pages`` each."""

    def act(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect]:
        raised: list[Effect] = []
        for _ in range(events):
            raised += f.inner.feed(now, Want(f.inner.specs[0].name, pages))
        return raised + f.run(now, x)

    return act


def reset_in_give(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect] | None:
    """The function of a GIVE is reset while the GIVE is on its way: release_all goes out before the GIVE is done."""
    who = function(f, x.command)
    spec = next((s for s in f.inner.specs[1:] if s.identity(f.inner.mode) == who), None)
    if spec is None or not f.inner.held(spec.name):
        return None
    trial = f.inner.clone()
    effects = trial.feed(now, ResetFunction(spec.name))
    released = [e for e in effects if isinstance(e, Raised) and e.event.release_all]
    if not released:
        return None
    f.inner = trial
    rest = [e for e in effects if e not in released]
    return [*released, *f.run(now, x), *rest]
