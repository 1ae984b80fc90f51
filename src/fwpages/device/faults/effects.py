"""Effects of faults: how a firmware executes a command with a fault.

An effect returns what the firmware then hands back, or None where the command gives it nothing to change; it must then
have changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np
from msgspec.structs import replace

from fwpages.device.faults.injector import Act, FaultyFirmware
from fwpages.device.firmware.functions import FunctionSpec
from fwpages.device.firmware.io import Completed, Effect, Raised, ResetFunction, Submitted, Want
from fwpages.prm.capability import GENERAL
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity, named
from fwpages.prm.message import Answer, Command, PageArray
from fwpages.prm.opcodes import CAP_CURRENT, CapType, QueryPages
from fwpages.prm.status import Status

#: an address that no host gives: bit 60
NEVER = np.uint64(1 << 60)


def page_function(f: FaultyFirmware, c: Command) -> Identity:
    """Return the function that a page command names, in the firmware's own mode."""
    return named(f.inner.mode, c["function_id"], c["embedded_cpu_function"])


def lost(_: FaultyFirmware, __: float, ___: Submitted) -> list[Effect]:
    """Neither execute nor answer the command."""
    return []


def silent(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect]:
    """Execute the command and drop the answer."""
    effects = f.run(now, x)
    f.keep(effects)
    return [e for e in effects if not isinstance(e, Completed)]


class Delay(Enum):
    """The time by which an answer is late, measured by the time that a driver gives a command."""

    #: half of that time
    IN_TIME = (0.5, 0.0)
    #: half as much again, and ten seconds: Linux waits five seconds more (``wait_func_handle_exec_timeout``)
    TOO_LATE = (1.5, 10.0)

    def seconds(self, command: float) -> float:
        """Seconds, where the driver gives a command ``command`` seconds."""
        share, more = self.value
        return share * command + more


@dataclass(frozen=True, slots=True)
class Late:
    """Execute the command and answer it ``by`` this delay later; None: in the next session.

    A value, as the explorer has to tell it from other effects: in its worlds every answer may be late.
    """

    by: Delay | None

    def __call__(self, f: FaultyFirmware, now: float, x: Submitted) -> list[Effect]:
        """Execute the command; the answer is held back."""
        effects = f.run(now, x)
        f.keep(effects)
        due = None if self.by is None else now + self.by.seconds(f.inner.command_time)
        f.held_back = (*f.held_back, *((due, e) for e in effects if isinstance(e, Completed)))
        return [e for e in effects if not isinstance(e, Completed)]


def refuse(status: Status) -> Act:
    """Answer with this status and execute nothing."""
    return lambda _, __, x: [Completed(x.id, Answer(x.command.opcode, status, 0xBAD))]


def edit(change: Callable[[FaultyFirmware, Command, Answer], Answer | None]) -> Act:
    """Execute the command and change its answer, where it is OK; ``change`` returns None for nothing to change."""

    def act(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect] | None:
        return _executed(f, now, x, lambda a: change(f, x.command, a))

    return act


def _executed(
    f: FaultyFirmware, now: float, x: Submitted, change: Callable[[Answer], Answer | None]
) -> list[Effect] | None:
    """Execute ``x`` with a changed answer; None, and nothing executed, where it is refused or nothing to change."""
    trial = f.clone()
    out: list[Effect] = []
    for e in trial.run(now, x):
        if not isinstance(e, Completed):
            out.append(e)
            continue
        answer = change(e.answer) if e.answer.ok else None
        if answer is None:
            return None
        out.append(Completed(e.id, answer))
    f.adopt(trial)
    return out


def count(change: Callable[[Command, int], int]) -> Act:
    """Change the count field of the answer."""

    def changed(_: FaultyFirmware, c: Command, a: Answer) -> Answer:
        return replace(a, fields={**a.fields, "output_num_entries": change(c, a["output_num_entries"])})

    return edit(changed)


def first_page(page: Callable[[FaultyFirmware, Command, Answer], PageArray | None]) -> Act:
    """Replace the first page that the answer names."""

    def changed(f: FaultyFirmware, c: Command, a: Answer) -> Answer | None:
        other = page(f, c, a)
        if not a.pas.size or other is None or not other.size:
            return None
        return replace(a, pas=np.concatenate([other[:1], a.pas[1:]]))

    return edit(changed)


def short(_: FaultyFirmware, __: Command, a: Answer) -> Answer | None:
    """Name only half of the pages that firmware let go of."""
    n = a["output_num_entries"]
    return replace(a, fields={**a.fields, "output_num_entries": n // 2}, pas=a.pas[: n // 2]) if n else None


def long(_: FaultyFirmware, c: Command, a: Answer) -> Answer | None:
    """Name one page more than the driver asked for."""
    if a["output_num_entries"] < c["input_num_entries"]:
        return None
    more = np.append(a.pas, np.array([NEVER], np.uint64))
    return replace(a, fields={**a.fields, "output_num_entries": more.size}, pas=more)


def foreign(f: FaultyFirmware, c: Command, _: Answer) -> PageArray | None:
    """Return a page of another function."""
    return f.other_pages(page_function(f, c))


def twice(_: FaultyFirmware, __: Command, a: Answer) -> PageArray | None:
    """Return the page that the answer names second."""
    return a.pas[1:2]


def again(f: FaultyFirmware, c: Command, _: Answer) -> PageArray | None:
    """Return the page returned last, unless the function has been given it again since.

    A firmware that names a page which it still uses cannot be distinguished from one that lets it go.
    """
    mine = f.inner.holds().get(page_function(f, c))
    return None if mine is not None and np.isin(f.last_returned, mine).any() else f.last_returned


def invented(_: FaultyFirmware, __: float, x: Submitted) -> list[Effect]:
    """Execute nothing; answer with as many pages as asked, none of which exists."""
    n = x.command["input_num_entries"]
    pas = NEVER + (np.arange(n, dtype=np.uint64) << np.uint64(12))
    return [Completed(x.id, Answer(x.command.opcode, fields={"output_num_entries": n}, pas=pas))]


def twice_kept(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect] | None:
    """Let go of one page less than the answer names: it names the first page twice."""
    asked = x.command["input_num_entries"]
    if asked < 2:
        return None
    less = replace(x.command, fields={**x.command.fields, "input_num_entries": asked - 1})

    def named_twice(a: Answer) -> Answer | None:
        if not a.pas.size:
            return None
        pas = np.concatenate([a.pas[:1], a.pas])
        return replace(a, fields={**a.fields, "output_num_entries": pas.size}, pas=pas)

    return _executed(f, now, replace(x, command=less), named_twice)


def nothing(_: FaultyFirmware, __: float, x: Submitted) -> list[Effect]:
    """Execute nothing; answer with no pages."""
    return [Completed(x.id, Answer(x.command.opcode, fields={"output_num_entries": 0}))]


def num_pages(n: int) -> Act:
    """Answer QUERY_PAGES with this count."""
    return edit(lambda _, __, a: replace(a, fields={**a.fields, "num_pages": n}))


def boot_name(f: FaultyFirmware, c: Command, a: Answer) -> Answer | None:
    """Name another function in the answer to QUERY_PAGES(boot)."""
    other = next((s.function_id for s in f.inner.specs[1:] if s.type is not FunctionType.SPF and s.function_id), None)
    if c.op_mod != QueryPages.BOOT or other is None:
        return None
    return replace(a, fields={**a.fields, "function_id": other})


def set_less(bit: str) -> Act:
    """Answer SET_HCA_CAP with OK, but execute it without this bit."""

    def act(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect] | None:
        c = x.command
        if not GENERAL.unpack(c.data)[bit]:
            return None
        return f.run(now, replace(x, command=replace(c, data=GENERAL.patch(c.data, {bit: 0}))))

    return act


def hide_mode(_: FaultyFirmware, c: Command, a: Answer) -> Answer | None:
    """Report FUNC_ID in the current capability although the mode was switched."""
    current = c.op_mod == (CapType.GENERAL << 1 | CAP_CURRENT) and not c["other_function"]
    bit = "icm_mng_function_id_mode"
    if not current or not GENERAL.unpack(a.data)[bit]:
        return None
    return replace(a, data=GENERAL.patch(a.data, {bit: 0}))


def vhca_id(pick: Callable[[FaultyFirmware, FunctionSpec], int | None]) -> Act:
    """Put this vhca_id into the capability page of another function."""

    def changed(f: FaultyFirmware, c: Command, a: Answer) -> Answer | None:
        spec = f.spec_of(c)
        other = None if spec is None else pick(f, spec)
        return None if other is None else replace(a, data=GENERAL.patch(a.data, {"vhca_id": other}))

    return edit(changed)


def someone_elses(f: FaultyFirmware, spec: FunctionSpec) -> int | None:
    """Return the vhca_id of another function that is enabled."""
    return next((s.vhca_id for s in f.inner.specs[1:] if s is not spec and f.inner.is_enabled(s.name)), None)


def disabled_before(f: FaultyFirmware, spec: FunctionSpec) -> int | None:
    """Return the vhca_id of the function that was disabled last, where that is another one."""
    last = f.last_disabled
    return None if last is None or last is spec else last.vhca_id


#: makes up a page request; None where the firmware has nothing to make it up from
Event: TypeAlias = Callable[[FaultyFirmware], PageRequestEvent | None]


def raise_event(event: Event, *, first: bool = False, eqn: int = 0) -> Act:
    """Raise a page request that firmware has no reason for, after the command's answer or (``first``) before it."""

    def act(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect] | None:
        ev = event(f)
        if ev is None:
            return None
        listening = f.inner.pages_eqn
        raised = Raised(listening or eqn, ev)
        rest = f.run(now, x)
        # an event of a queue must be raised before the command that destroys the queue is complete
        gone = listening is not None and f.inner.pages_eqn is None
        return [raised, *rest] if first or gone else [*rest, raised]

    return act


def own_request(pages: int, *, release_all: bool = False) -> Event:
    """Return a page request for the supplier itself."""

    def event(f: FaultyFirmware) -> PageRequestEvent:
        who = f.inner.own
        return PageRequestEvent(who.number, pages, who.ec, release_all)

    return event


def release_other(f: FaultyFirmware) -> PageRequestEvent | None:
    """Return a release_all for a function that has pages."""
    held = [who for who in f.inner.holds() if who != f.inner.own]
    return PageRequestEvent(held[0].number, 0, held[0].ec, release_all=True) if held else None


def real_want(pages: int, events: int = 1) -> Act:
    """Let firmware want pages for itself, and raise ``events`` requests of ``pages`` each before the answer."""

    def act(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect]:
        raised: list[Effect] = []
        for _ in range(events):
            raised += f.inner.feed(now, Want(f.inner.specs[0].name, pages))
        return raised + f.run(now, x)

    return act


def reset_in_give(f: FaultyFirmware, now: float, x: Submitted) -> list[Effect] | None:
    """Reset the function of a GIVE before the GIVE is executed: release_all is raised before the GIVE is done."""
    who = page_function(f, x.command)
    spec = next((s for s in f.inner.specs[1:] if s.identity(f.inner.mode) == who), None)
    if spec is None or not f.inner.held(spec.name):
        return None
    trial = f.inner.clone()
    effects = trial.feed(now, ResetFunction(spec.name))
    released = [e for e in effects if _is_release_all(e)]
    if not released:
        return None
    f.inner = trial
    rest = [e for e in effects if not _is_release_all(e)]
    return [*released, *f.run(now, x), *rest]


def _is_release_all(e: Effect) -> bool:
    return isinstance(e, Raised) and e.event.release_all
