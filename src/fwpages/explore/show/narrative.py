"""A walk through a world in words: who did what, who said what to whom, who stands still, who has which pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, TypeAlias

from fwpages.device import DEVICE_FAULTS, Offence, ResetFunction, Submitted, Want
from fwpages.device import Reset as DeviceReset
from fwpages.explore.check.replay import Walked
from fwpages.explore.model.driver import NotQueued, Run
from fwpages.explore.model.rules import WORLD_FAULTS
from fwpages.explore.model.world import Act, World
from fwpages.explore.show.wants import wants
from fwpages.host import (
    Aborted,
    Answered,
    Done,
    Fenced,
    Finding,
    LinkLost,
    Mapped,
    PageRequest,
    Reset,
    Send,
    Tick,
    Unmap,
)
from fwpages.link.faults.link_faults import LINK_FAULTS
from fwpages.pages.words import many
from fwpages.prm.identity import Identity, named
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages, opcode_name
from fwpages.prm.status import status_words

#: who takes part, from left to right as a chart draws them
Part: TypeAlias = Literal["host", "pages", "eswitch", "firmware"]
PARTS: tuple[Part, ...] = ("host", "pages", "eswitch", "firmware")
#: as many findings of one name in a row are told one by one
_MOST = 3


@dataclass(frozen=True, slots=True)
class Message:
    """Something said by one part to another, or to itself. ``mark``: ``ok``, ``bad`` (a fault, a refusal), ``note``."""

    sender: Part
    receiver: Part
    text: str
    mark: Literal["ok", "bad", "note"] = "ok"


@dataclass(frozen=True, slots=True)
class Step:
    """A step: its number from 1, who made it, in words, what was said, and how things stand afterwards.

    ``pages``: for each function with any, how many 4 KiB pages firmware has and how many the driver's books say (None
    while they do not know). ``waiting``: what each thread of the driver that stands still waits for. ``counters``:
    those that are not zero.
    """

    number: int
    actor: str
    words: str
    messages: tuple[Message, ...]
    pages: Mapping[str, tuple[int, int | None]]
    counters: Mapping[str, int]
    waiting: Mapping[str, str]


def narrate(walk: Iterable[Walked]) -> list[Step]:
    """The steps of a walk."""
    return [
        Step(
            n,
            _actor(x.act),
            words(x.before, x.act),
            _shortened(m for who, what in x.after.log if (m := _said(x.after, who, what)) is not None),
            _pages(x.after),
            {name: count for name, count in x.after.driver.view().counters.items() if count},
            x.after.driver.view().waiting,
        )
        for n, x in enumerate(walk, 1)
    ]


def _shortened(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Many findings of one name in a row, as of 768 pages that nobody knows, as the first and how many follow."""
    out: list[Message] = []
    for _, group in groupby(messages, key=lambda m: (m.sender, m.receiver, m.mark, m.text.partition(": ")[0])):
        same = list(group)
        if len(same) <= _MOST or ": " not in same[0].text:
            out += same
            continue
        name = same[0].text.partition(": ")[0]
        out += [same[0], replace(same[0], text=f"{name}: and {len(same) - 1:,} more")]
    return tuple(out)


def fault_words(name: str) -> str:
    """What a fault is, in words."""
    if name in WORLD_FAULTS:
        return WORLD_FAULTS[name]
    return DEVICE_FAULTS[name].words if name in DEVICE_FAULTS else LINK_FAULTS[name].words


def words(w: World, act: Act) -> str:
    """One thing that can happen next, in words."""
    match act:
        case ("user", str(lane)):
            return w.rules.plan[lane][w.places[w.rules.lanes.index(lane)]].words
        case ("device", int(n), *fault):
            does = f"takes {_command(w, next(e.command for e in w.sent if e.id == n))}"
        case ("give up", int(n), *fault):
            does = f"carries {_command(w, next(e.command for e in w.sent if e.id == n))}"
        case ("answer", int(n), *fault):
            x = next(x for x in w.inbox if isinstance(x, Answered) and x.id == n)
            does = f"hands over the answer: {_answer(x.answer)}"
        case ("request", *fault):
            r = next(x for x in w.inbox if isinstance(x, PageRequest))
            does = f"hands over {_request(w, r)}"
        case ("map", *fault):
            does = "maps memory"
        case ("reset", *fault):
            does = "resets the device"
        case ("lost",):
            return "finds the device gone"
        case ("thread", str(name)):
            return f"thread `{name}` goes on"
        case _:
            return "time passes" if w.quiet else "time runs out while something is under way"
    return f"{does}; {fault[0]}: {fault_words(str(fault[0]))}" if fault else does


def _actor(act: Act) -> str:
    match act:
        case ("user", str(lane)):
            return lane if lane in ("driver", "eswitch") else "device"
        case ("device", *_) | ("reset", *_):
            return "device"
        case ("thread", *_):
            return "driver"
        case ("time",):
            return "clock"
        case _:
            return "link"


def _pages(w: World) -> dict[str, tuple[int, int | None]]:
    held = w.driver.held()
    theirs: Counter[str] = Counter()
    mine: Counter[str] = Counter()
    for side, books in ((theirs, w.firmware.holds()), (mine, held or {})):
        for who, pages in books.items():
            side[w.name(who)] += pages.size
    return {
        name: (theirs.get(name, 0), None if held is None else mine.get(name, 0))
        for name in sorted(theirs.keys() | mine.keys())
    }


# -- messages ---------------------------------------------------------------------------------------------------------


def _said(w: World, who: str, what: object) -> Message | None:
    """What one entry of a step's log is in a chart; commands are drawn when they are sent, requests when seen."""
    if who == "driver<":
        return _heard(w, what) or _link(what)
    return _did(w, what) if who == "driver>" else _inside(w, what)


def _heard(w: World, what: object) -> Message | None:
    """Answers and page requests, as the driver gets them."""
    match what:
        case Answered(answer=a, id=n):
            part: Part = next((_part(e.command) for e in w.asked if e.id == n), "host")
            return Message("firmware", part, _answer(a), "ok" if a.ok else "bad")
        case PageRequest() as r:
            return Message("firmware", "pages", _request(w, r))
        case NotQueued(request=r):
            return Message("firmware", "pages", f"{_request(w, r)}, not queued: no memory", "bad")
        case _:
            return None


def _link(what: object) -> Message | None:
    """What else comes to the driver from the link and from its own machine."""
    match what:
        case Aborted(reason=reason):
            return Message("firmware", "host", f"no answer: {reason}", "bad")
        case LinkLost(reason=reason):
            return Message("firmware", "host", f"link lost: {reason}", "bad")
        case Fenced(proof=proof):
            return Message("firmware", "host", f"fenced: {proof}", "note")
        case Mapped(at=None):
            return Message("host", "host", "no memory", "bad")
        case Tick():
            return Message("host", "host", "time runs out", "note")
        case Run(thread=name):
            return Message("host", "host", f"thread `{name}` goes on", "note")
        case _:
            return None


def _did(w: World, what: object) -> Message | None:
    """What the driver does."""
    match what:
        case Send(command=c):
            return Message(_part(c), "firmware", _command(w, c))
        case Unmap(iova=iova, pages=n):
            return Message("pages", "pages", f"unmaps {many(n)} at {iova:#x}", "note")
        case Reset(reason=reason):
            return Message("host", "firmware", f"reset: {reason}", "note")
        case Done(what=name, ok=ok, detail=detail):
            who: Part = "eswitch" if " vport " in name else "host"
            end = "done" if ok else f"failed, {detail}"
            return Message(who, who, f"{w.rules.moment(name)}: {end}", "note" if ok else "bad")
        case Finding(name=name, detail=detail):
            return Message("host", "host", f"{name}: {detail}", "bad")
        case _:
            return None


def _inside(w: World, what: object) -> Message | None:
    """What happens inside the device; its answers and page requests are drawn when the driver sees them."""
    match what:
        case Want() | ResetFunction() | DeviceReset() as x:
            return Message("firmware", "firmware", _inner(x), "note")
        case Submitted(command=c):
            return Message("firmware", "firmware", f"executes {_command(w, c)}", "note")
        case Offence(name=name, detail=detail):
            return Message("firmware", "firmware", f"refuses: {name}: {detail}", "bad")
        case _:
            return None


def _inner(x: Want | ResetFunction | DeviceReset) -> str:
    if isinstance(x, Want):
        return wants(x.function, x.pages)
    return f"reset of {x.function}" if isinstance(x, ResetFunction) else "reset: everything is dropped"


def _part(c: Command) -> Part:
    if c.opcode == Opcode.MANAGE_PAGES:
        return "pages"
    return "eswitch" if _other(c) else "host"


def _other(c: Command) -> bool:
    if c.opcode == Opcode.QUERY_HCA_CAP:
        return bool(c["other_function"])
    own = not c["function_id"] if "function_id" in c.fields else True
    return c.opcode in (Opcode.ALLOC_SF, Opcode.DEALLOC_SF) or (
        c.opcode in (Opcode.ENABLE_HCA, Opcode.DISABLE_HCA) and not own
    )


def _command(w: World, c: Command) -> str:
    """A command for people: the page commands by their kind and function, others by name."""
    name = opcode_name(c.opcode)
    if c.opcode == Opcode.MANAGE_PAGES:
        kind, who = ManagePages(c.op_mod), _whom(w, c)
        return f"{kind.name} {who}" if kind is ManagePages.CANT_GIVE else f"{kind.name} {c['input_num_entries']} {who}"
    if c.opcode == Opcode.QUERY_PAGES:
        return f"{name}({QueryPages(c.op_mod).name.lower()}) {_whom(w, c)}"
    if _other(c) and "function_id" in c.fields:
        return f"{name} function {c['function_id']:#x}"
    return name


def _whom(w: World, c: Command) -> str:
    name = w.meant(w.driver.view().mode, c)
    return f"{name} ({c['function_id']:#x}{'/ec' if c['embedded_cpu_function'] else ''})"


def _answer(a: Answer) -> str:
    name = opcode_name(a.opcode)
    if not a.ok:
        return f"{name}: {status_words(a.status)}"
    if a.opcode == Opcode.MANAGE_PAGES and a.pas.size:
        return f"{name}: OK, {many(a.pas.size)} back"
    if a.opcode == Opcode.QUERY_PAGES:
        return f"{name}: {a['num_pages']} for function {a['function_id']:#x}"
    return f"{name}: OK"


def _request(w: World, r: PageRequest) -> str:
    e = r.event
    who = w.name(_named(w, e.number, ec=e.ec))
    stale = "" if r.session == w.session else f" of session {r.session}"
    if e.release_all:
        return f"page request{stale}: release_all {who}"
    return f"page request{stale}: {who} {e.num_pages:+}"


def _named(w: World, number: int, *, ec: bool) -> Identity:
    return named(w.firmware.mode, number, ec)
