"""A walk through a world in words: for each step its messages, each function's pages, and the threads that wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from itertools import groupby
from typing import Literal, TypeAlias

from fwpages.device import Effect as DeviceEffect
from fwpages.device import Input as DeviceInput
from fwpages.device import Offence, ResetFunction, Submitted, Want
from fwpages.device import Reset as DeviceReset
from fwpages.explore.check.replay import Walked
from fwpages.explore.model.driver import Input as DriverInput
from fwpages.explore.model.driver import NotQueued, Run
from fwpages.explore.model.log import FromDriver, LogEntry, ToDevice, ToDriver
from fwpages.explore.model.moves import (
    AnswerArrives,
    DeviceIsReset,
    DeviceTakes,
    MemoryIsMapped,
    Move,
    RequestArrives,
    ThreadRuns,
    TimePasses,
    UserActs,
)
from fwpages.explore.model.plan import wants
from fwpages.explore.model.wording import (
    answer_of,
    answer_words,
    command_words,
    is_vport_command,
    move_words,
    oldest_request,
    request_words,
)
from fwpages.explore.model.world import World
from fwpages.host import (
    Aborted,
    Answered,
    Done,
    Fenced,
    Finding,
    LinkLost,
    Mapped,
    Open,
    PageRequest,
    Reset,
    Send,
    Tick,
    Unmap,
)
from fwpages.host import Effect as DriverEffect
from fwpages.pages.words import many
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode

#: the parts of the two sides, from left to right as a chart draws them
Part: TypeAlias = Literal["host", "pages", "eswitch", "firmware"]
PARTS: tuple[Part, ...] = ("host", "pages", "eswitch", "firmware")
#: a chart's colours: ``ok``, ``bad`` (a fault, a refusal), ``note``
Mark: TypeAlias = Literal["ok", "bad", "note"]
#: this many findings of one name in a row are shown one by one
_MOST = 3


@dataclass(frozen=True, slots=True)
class Message:
    """A message of one part to another, or a note of one part alone. ``about``: the finding or offence that it is."""

    sender: Part
    receiver: Part
    text: str
    mark: Mark = "ok"
    about: str = ""


class StepKind(Enum):
    """The kinds of steps by what a chart may fold."""

    #: the driver's user opens the device
    OPEN = 0
    #: a command taken, an answer delivered, memory mapped, a thread that runs: without a fault
    ROUTINE = 1
    OTHER = 2


@dataclass(frozen=True, slots=True)
class Step:
    """A step: its number from 1, its actor, the move in words, its messages, and the state after it.

    ``pages``: for each function with any, how many 4 KiB pages firmware holds and how many by the driver's accounts
    (None while they are unknown). ``counters``: those that are not zero. ``waiting``: what each waiting thread of the
    driver waits for. ``repeated``: a message says the same as ``words``.
    """

    number: int
    actor: str
    words: str
    messages: tuple[Message, ...]
    pages: Mapping[str, tuple[int, int | None]]
    counters: Mapping[str, int]
    waiting: Mapping[str, str]
    kind: StepKind = StepKind.OTHER
    repeated: bool = False


def narrate(walk: Iterable[Walked]) -> list[Step]:
    """The steps of a walk."""
    return [_step(n, x.before, x.move, x.after) for n, x in enumerate(walk, 1)]


def _step(number: int, before: World, move: Move, after: World) -> Step:
    view, words = after.driver.view(), move_words(before, move)
    messages = _shortened(m for entry in after.log if (m := _message(after, entry)) is not None)
    return Step(
        number,
        _actor(move),
        words,
        messages,
        _pages(after),
        {name: count for name, count in view.counters.items() if count},
        view.waiting,
        _kind(before, move),
        any(m.text == _as_message(before, move, words) for m in messages),
    )


def _shortened(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Many findings of one name in a row, as of 768 unknown pages, become the first and how many follow."""
    out: list[Message] = []
    for about, group in groupby(messages, key=lambda m: (m.sender, m.receiver, m.mark, m.about)):
        same = list(group)
        name = about[-1]
        if len(same) > _MOST and name:
            same[1:] = [replace(same[0], text=f"{name}: and {len(same) - 1:,} more")]
        out += same
    return tuple(out)


def _actor(move: Move) -> str:
    match move:
        case UserActs(user=user):
            return user if user in ("driver", "eswitch") else "device"
        case DeviceTakes() | DeviceIsReset():
            return "device"
        case ThreadRuns():
            return "driver"
        case TimePasses():
            return "clock"
        case _:
            return "link"


def _kind(w: World, move: Move) -> StepKind:
    if isinstance(move, UserActs):
        deed = w.rules.plan[move.user][w.next_deed[w.rules.users.index(move.user)]]
        return StepKind.OPEN if isinstance(deed.act, Open) else StepKind.OTHER
    if isinstance(move, DeviceTakes | AnswerArrives | MemoryIsMapped):
        return StepKind.ROUTINE if move.fault is None else StepKind.OTHER
    return StepKind.ROUTINE if isinstance(move, ThreadRuns) else StepKind.OTHER


def _as_message(w: World, move: Move, words: str) -> str:
    """The move as a message of its step says it, where one does."""
    match move:
        case DeviceTakes(fault=None, id=n):
            return f"executes {command_words(w, next(e.command for e in w.sent if e.id == n))}"
        case AnswerArrives(fault=None):
            return answer_words(answer_of(w, move).answer)
        case RequestArrives(fault=None):
            return request_words(w, oldest_request(w))
        case _:
            return words


def _pages(w: World) -> dict[str, tuple[int, int | None]]:
    held = w.held
    theirs: Counter[str] = Counter()
    mine: Counter[str] = Counter()
    for side, accounts in ((theirs, w.holds), (mine, held or {})):
        for who, pages in accounts.items():
            side[w.name(who)] += pages.size
    return {
        name: (theirs.get(name, 0), None if held is None else mine.get(name, 0))
        for name in sorted(theirs.keys() | mine.keys())
    }


# -- messages ---------------------------------------------------------------------------------------------------------


def _message(w: World, entry: LogEntry) -> Message | None:
    """An entry of a step's log as a chart draws it: commands when they are sent, answers and requests when seen."""
    if isinstance(entry, ToDriver):
        return _arrival(w, entry.input) or _notice(entry.input)
    if isinstance(entry, FromDriver):
        return _driver_effect(w, entry.effect)
    return _device_input(w, entry.input) if isinstance(entry, ToDevice) else _device_effect(entry.effect)


def _arrival(w: World, x: DriverInput) -> Message | None:
    """Answers and page requests, as the driver gets them."""
    match x:
        case Answered(answer=a, id=n):
            part: Part = next((_part(e.command) for e in w.session_commands if e.id == n), "host")
            return Message("firmware", part, answer_words(a), "ok" if a.ok else "bad")
        case PageRequest():
            return Message("firmware", "pages", request_words(w, x))
        case NotQueued(request=r):
            return Message("firmware", "pages", f"{request_words(w, r)}, not queued: no memory", "bad")
        case _:
            return None


def _notice(x: DriverInput) -> Message | None:
    """Inputs that come from the link, from the clock and from the driver's own machine."""
    match x:
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
            return Message("host", "host", f"thread `{name}` runs", "note")
        case _:
            return None


def _driver_effect(w: World, x: DriverEffect) -> Message | None:
    match x:
        case Send(command=c):
            return Message(_part(c), "firmware", command_words(w, c))
        case Unmap(iova=iova, pages=n):
            return Message("pages", "pages", f"unmaps {many(n)} at {iova:#x}", "note")
        case Reset(reason=reason):
            return Message("host", "firmware", f"reset: {reason}", "note")
        case Done(operation=done, ok=ok, detail=detail):
            who: Part = "host" if done.vport is None else "eswitch"
            end = "done" if ok else f"failed, {detail}"
            return Message(who, who, f"{w.rules.moment(done)}: {end}", "note" if ok else "bad")
        case Finding(name=name, detail=detail):
            return Message("host", "host", f"{name}: {detail}", "bad", name)
        case _:
            return None


def _device_input(w: World, x: DeviceInput) -> Message | None:
    """A command that the device executes, and inputs that are no command."""
    match x:
        case Submitted(command=c):
            return Message("firmware", "firmware", f"executes {command_words(w, c)}", "note")
        case Want(function=name, pages=n):
            return Message("firmware", "firmware", wants(name, n), "note")
        case ResetFunction(function=name):
            return Message("firmware", "firmware", f"reset of {name}", "note")
        case DeviceReset():
            return Message("firmware", "firmware", "reset: everything is dropped", "note")
        case _:
            return None


def _device_effect(x: DeviceEffect) -> Message | None:
    if isinstance(x, Offence):
        return Message("firmware", "firmware", f"refuses: {x.name}: {x.detail}", "bad", x.name)
    return None


def _part(c: Command) -> Part:
    """The part of the driver that sends this command."""
    if c.opcode == Opcode.MANAGE_PAGES:
        return "pages"
    return "eswitch" if is_vport_command(c) else "host"
