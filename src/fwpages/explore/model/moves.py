"""The moves of a world: everything that can come next, each kind a frozen class with its own effect.

Theory of operation. A move is one thing that one process does: a user, the device, the link, a thread of the driver,
the clock. ``moves`` lists every move that may be possible now, in an order that never changes, since a path is written
as the places in that list (``check.replay``). ``take`` makes one of them on a copy of the world. Some moves turn out
not to be possible only when they are made (the driver may not be asked now; the command gives a fault no opportunity):
then ``take`` returns None, and the list keeps its places.

A fault is part of the move that it disturbs: the device takes a command *and* refuses it, an answer is delivered *and*
comes again. So a search branches at every opportunity of every fault that the world allows, and each costs one of
``bounds.faults``. A fault of the device with ``times = 0`` is chosen once; from then on it is injected at every further
opportunity, without a choice.

``process`` and ``freedom`` are for liveness: a cycle in which a process could always move and never does is not fair,
and users, faults and early time-outs are never obliged to move.

To add a kind of move: a class with ``process``, ``freedom`` and ``make``, a member of ``Move``, a place in ``moves``,
and its words in ``wording``. They are Structs, which are made in a third of a dataclass's time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import IntEnum
from typing import TypeAlias

import msgspec
from msgspec import structs

from fwpages.device import CommandFault, EventFault, Phase, ResetFunction, Submitted, Want
from fwpages.device import Effect as DeviceEffect
from fwpages.device import Reset as DeviceReset
from fwpages.explore.model.driver import NotQueued, Run
from fwpages.explore.model.exchange import carry_out, fed_device, feed_device, feed_driver, lose_link, map_memory
from fwpages.explore.model.log import ToDevice
from fwpages.explore.model.rules import Injected, QueueFault
from fwpages.explore.model.world import MANY_FRUITLESS, Reach, World
from fwpages.host import Aborted, Answered, LinkLost, Open, PageRequest, Send, Tick
from fwpages.link.faults.link_faults import AnswerFault, DeliveryFault, Fate, MapFault, ResetFault
from fwpages.prm.identity import FunctionType
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import ManagePages, Opcode


class Freedom(IntEnum):
    """How free a process is not to make a move."""

    #: it happens some time, if it stays possible
    OBLIGED = 0
    #: a user may stop at any moment, unless a goal says that users act
    USER = 1
    #: a fault, or a time-out while something is pending
    OPTIONAL = 2


class UserActs(msgspec.Struct, frozen=True):
    """A user of the plan does its next deed."""

    user: str

    @property
    def process(self) -> str:
        """All users are one process: none of them is obliged to move."""
        return "user"

    def freedom(self, _: World) -> Freedom:
        """Users may stop."""
        return Freedom.USER

    def make(self, w: World) -> bool:
        """The deed, unless it is only for a session of the other mode: then it is left out."""
        n = w.rules.users.index(self.user)
        deed = w.rules.plan[self.user][w.next_deed[n]]
        w.next_deed = (*w.next_deed[:n], w.next_deed[n] + 1, *w.next_deed[n + 1 :])
        if not deed.step.applies(w.view.mode):
            return True
        if isinstance(deed.act, Want):
            return _want(w, deed.act)
        if isinstance(deed.act, ResetFunction):
            return w.firmware.inner.phase is Phase.WORKING and feed_device(w, deed.act)
        w.awaited = (*w.awaited[:n], deed.awaits, *w.awaited[n + 1 :])
        if isinstance(deed.act, Open):
            w.found = frozenset()
        return feed_driver(w, deed.act)


class DeviceTakes(msgspec.Struct, frozen=True):
    """The device takes command ``id`` from its slot and executes it; ``fault``: with this fault of the device."""

    id: int
    fault: Injected[CommandFault] | None = None

    @property
    def process(self) -> str:
        """The device."""
        return "device"

    def freedom(self, _: World) -> Freedom:
        """Every command is taken some time."""
        return _faulty_or_obliged(self.fault)

    def make(self, w: World) -> bool:
        """The command is executed. False where it gives the fault no opportunity."""
        send = _sent(w, self.id)
        w.sent = tuple(e for e in w.sent if e is not send)
        x = Submitted(send.id, send.command, send.command.reply_length)
        w.log.append(ToDevice(x))
        before = w.firmware.inner.total
        effects = _executed(w, x) if self.fault is None else fed_device(w, x, self.fault.name)
        if effects is None:
            return False
        if self.fault is not None:
            _spend_fault(w, self.fault.name)
        if send.command.opcode == Opcode.MANAGE_PAGES and send.command.op_mod == ManagePages.TAKE:
            # not counted beyond the bound: more of the same is the same state, and so a cycle is found
            w.fruitless = min(w.fruitless + 1, MANY_FRUITLESS) if w.firmware.inner.total == before else 0
        return carry_out(w, effects, send)


class LinkGivesUp(msgspec.Struct, frozen=True):
    """The link gives command ``id`` up, whether the device executes it or not; or the link is lost with it."""

    id: int
    fault: Injected[DeliveryFault]

    @property
    def process(self) -> str:
        """The link, as it gives commands up."""
        return "give up"

    def freedom(self, _: World) -> Freedom:
        """Always a fault."""
        return Freedom.OPTIONAL

    def make(self, w: World) -> bool:
        """The driver learns of it; the device sees the command only if the fault lets it."""
        _spend_fault(w, self.fault.name)
        send = _sent(w, self.id)
        fate = self.fault.row.fate
        if fate in (Fate.LINK_LOST, Fate.LINK_LOST_FOR_GOOD):
            w.reach = Reach.UNTIL_RESET if fate is Fate.LINK_LOST else Reach.NEVER_AGAIN
            w.sent, w.held_back = (), ()
            return lose_link(w)
        if fate is Fate.DROPPED:
            w.sent = tuple(e for e in w.sent if e is not send)
        else:
            w.given_up |= {self.id}
        return feed_driver(w, Aborted(send.session, self.id, "given up by the link"))


class AnswerArrives(msgspec.Struct, frozen=True):
    """The link delivers the answer to command ``id``."""

    id: int
    fault: Injected[AnswerFault] | None = None

    @property
    def process(self) -> str:
        """The link, as it delivers answers."""
        return "answer"

    def freedom(self, _: World) -> Freedom:
        """Every answer is delivered some time."""
        return _faulty_or_obliged(self.fault)

    def make(self, w: World) -> bool:
        """The driver sees the answer; with a fault twice, or as one to another command."""
        x = next(x for x in w.inbox if isinstance(x, Answered) and x.id == self.id)
        arriving: tuple[Answer, ...] = (x.answer,)
        if self.fault is not None:
            _spend_fault(w, self.fault.name)
            arriving = self.fault.row.arrive(x.answer)
        if len(arriving) == 1:
            w.inbox = tuple(y for y in w.inbox if y is not x)
        return feed_driver(w, structs.replace(x, answer=arriving[0]))


class RequestArrives(msgspec.Struct, frozen=True):
    """The link delivers the oldest page request."""

    fault: Injected[EventFault | QueueFault] | None = None

    @property
    def process(self) -> str:
        """The link, as it delivers page requests."""
        return "request"

    def freedom(self, _: World) -> Freedom:
        """Every request is delivered some time."""
        return _faulty_or_obliged(self.fault)

    def make(self, w: World) -> bool:
        """The driver sees the request; with a fault not at all, twice, or without memory to queue it."""
        x = next(x for x in w.inbox if isinstance(x, PageRequest))
        row = None
        if self.fault is not None:
            _spend_fault(w, self.fault.name)
            row = self.fault.row
        copies = row.copies if isinstance(row, EventFault) else 1
        if copies <= 1:
            w.inbox = tuple(y for y in w.inbox if y is not x)
        return not copies or feed_driver(w, NotQueued(x) if isinstance(row, QueueFault) else x)


class LossArrives(msgspec.Struct, frozen=True):
    """The link reports that it cannot reach the device."""

    @property
    def process(self) -> str:
        """The link, as it reports its loss."""
        return "lost"

    def freedom(self, _: World) -> Freedom:
        """The link reports it some time."""
        return Freedom.OBLIGED

    def make(self, w: World) -> bool:
        """The driver learns of it."""
        w.inbox = tuple(x for x in w.inbox if not isinstance(x, LinkLost))
        return lose_link(w)


class MemoryIsMapped(msgspec.Struct, frozen=True):
    """The driver's machine maps the first chunk of memory that the driver asked for."""

    fault: Injected[MapFault] | None = None

    @property
    def process(self) -> str:
        """The driver's machine."""
        return "map"

    def freedom(self, _: World) -> Freedom:
        """Memory is mapped some time."""
        return _faulty_or_obliged(self.fault)

    def make(self, w: World) -> bool:
        """The driver learns where the memory lies; with a fault elsewhere than asked, or nowhere."""
        if self.fault is None:
            return map_memory(w, w.maps[0].iova)
        _spend_fault(w, self.fault.name)
        return map_memory(w, self.fault.row.place(w.maps[0]))


class DeviceIsReset(msgspec.Struct, frozen=True):
    """The device does the reset that the driver asked for."""

    fault: Injected[ResetFault] | None = None

    @property
    def process(self) -> str:
        """The link, as it resets the device."""
        return "reset"

    def freedom(self, _: World) -> Freedom:
        """A reset is done some time."""
        return _faulty_or_obliged(self.fault)

    def make(self, w: World) -> bool:
        """Everything in the device is dropped; with a fault, or for a device lost for good, nothing happens."""
        w.resets -= 1
        if self.fault is not None:
            _spend_fault(w, self.fault.name)
        if self.fault is not None or w.reach is Reach.NEVER_AGAIN:
            return True
        w.reach, w.sent, w.held_back = Reach.REACHABLE, (), ()
        return feed_device(w, DeviceReset())


class ThreadRuns(msgspec.Struct, frozen=True):
    """A thread of the driver runs from a place where it can be interrupted to the next one."""

    thread: str

    @property
    def process(self) -> str:
        """Each thread is a process of its own."""
        return f"thread {self.thread}"

    def freedom(self, _: World) -> Freedom:
        """Every thread runs some time."""
        return Freedom.OBLIGED

    def make(self, w: World) -> bool:
        """One step of the thread."""
        return feed_driver(w, Run(self.thread))


class TimePasses(msgspec.Struct, frozen=True):
    """Nothing comes until the driver's deadline."""

    @property
    def process(self) -> str:
        """The clock."""
        return "time"

    def freedom(self, w: World) -> Freedom:
        """Time passes where nothing else is pending; a time-out before that is never obliged to come."""
        return Freedom.OBLIGED if w.quiet else Freedom.OPTIONAL

    def make(self, w: World) -> bool:
        """The driver's deadline comes."""
        due = w.deadline
        if due is None:
            return False
        if not w.quiet:
            w.timeouts_left -= 1
        w.now = max(w.now, due)
        return feed_driver(w, Tick())


Move: TypeAlias = (
    UserActs
    | DeviceTakes
    | LinkGivesUp
    | AnswerArrives
    | RequestArrives
    | LossArrives
    | MemoryIsMapped
    | DeviceIsReset
    | ThreadRuns
    | TimePasses
)


def take(w: World, move: Move) -> World | None:
    """The world after this move, its ``log`` of this step alone; None where it is not possible. ``w`` is unchanged."""
    new = w.clone()
    return new if move.make(new) else None


def moves(w: World) -> list[Move]:
    """Every move that may be possible now, in an order that never changes; a fault after the move that it disturbs."""
    facts = w.machines.driver(w.driver)
    out: list[Move] = [UserActs(user) for n, user in enumerate(w.rules.users) if _may(w, n)]
    if w.sent:
        out += _commands(w)
    if w.inbox:
        out += _deliveries(w)
    if w.maps:
        out += [MemoryIsMapped(), *(MemoryIsMapped(f) for f in w.rules.map_faults if w.faults_left)]
    if w.resets:
        out += [DeviceIsReset(), *(DeviceIsReset(f) for f in w.rules.reset_faults if w.faults_left)]
    out += [ThreadRuns(name) for name in facts.threads]
    if facts.deadline is not None and (w.quiet or w.timeouts_left):
        out.append(TimePasses())
    return out


def _may(w: World, n: int) -> bool:
    """User ``n`` has a deed left, and all that it waits for has happened."""
    deeds = w.rules.plan[w.rules.users[n]]
    if w.next_deed[n] >= len(deeds) or w.awaited[n] is not None:
        return False
    return deeds[w.next_deed[n]].step.due(w.moments)


def _commands(w: World) -> Iterator[Move]:
    """The moves of each command in its slot: executed, executed with a fault, given up."""
    faults = [f for f in w.rules.command_faults if w.faults_left and f.name not in w.lasting]
    delivery_faults = w.rules.delivery_faults if w.faults_left else ()
    for e in w.sent:
        yield DeviceTakes(e.id)
        yield from (DeviceTakes(e.id, f) for f in faults)
        yield from (LinkGivesUp(e.id, f) for f in delivery_faults if f.row.match(e.command))


def _deliveries(w: World) -> Iterator[Move]:
    """The moves of the inbox: the oldest page request, and each answer that the driver's link may read before it."""
    before_requests = True
    for x in w.inbox:
        if isinstance(x, PageRequest):
            if before_requests:
                yield RequestArrives()
                yield from (RequestArrives(f) for f in w.rules.request_faults if w.faults_left)
            before_requests = False
        elif isinstance(x, LinkLost):
            yield LossArrives()
        elif before_requests or not w.driver.ordered:
            yield AnswerArrives(x.id)
            yield from (AnswerArrives(x.id, f) for f in w.rules.answer_faults if w.faults_left)


# -- parts of moves ---------------------------------------------------------------------------------------------------


def _faulty_or_obliged(fault: object) -> Freedom:
    return Freedom.OBLIGED if fault is None else Freedom.OPTIONAL


def _sent(w: World, n: int) -> Send:
    return next(e for e in w.sent if e.id == n)


def _want(w: World, x: Want) -> bool:
    """A function asks for pages only while its firmware runs, and returns pages only if it has some."""
    inner = w.firmware.inner
    name = inner.specs[0].name if x.function == "self" else x.function
    spec = w.rules.specs.get(name)
    ready = spec is None or spec.type is FunctionType.UNKNOWN or inner.is_enabled(name)
    working = inner.phase is Phase.WORKING and ready
    return working and (x.pages > 0 or inner.held(name) > 0) and feed_device(w, replace(x, function=name))


def _executed(w: World, x: Submitted) -> tuple[DeviceEffect, ...] | None:
    """The effects of a command: with the first lasting fault that it gives an opportunity, else as it should be."""
    for name in w.lasting:
        effects = fed_device(w, x, name)
        if effects is not None:
            return effects
    return fed_device(w, x)


def _spend_fault(w: World, name: str) -> None:
    """A fault is injected: one fewer is left, and one with ``times = 0`` is injected again from now on."""
    w.faults_left -= 1
    w.faulted_session = w.session
    if w.rules.allowed[name].times == 0:
        w.lasting = (*w.lasting, name)
