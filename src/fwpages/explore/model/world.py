"""A world: a driver, a firmware, what is under way between them, and where each user is. It can be branched.

What is under way may be delivered in any order that real hardware allows: the device takes commands from their slots
as it likes; its page requests come in their order; an answer may overtake requests, unless the driver's link reads
the event queue first. A time-out is a choice: free when nothing else is under way, else one of ``bounds.timeouts``.
"""

from __future__ import annotations

import hashlib
from copy import copy
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TypeAlias

from fwpages.device import Completed, FaultyFirmware, Firmware, Offence, faulty
from fwpages.explore.model.driver import Driver
from fwpages.explore.model.rules import Rules
from fwpages.host import (
    Answered,
    Done,
    Finding,
    FunctionsChanged,
    LinkLost,
    Map,
    PageRequest,
    Send,
)
from fwpages.prm.identity import Identity, Mode, named
from fwpages.prm.message import Answer, Command

#: so many TAKEs in a row that brought nothing are more than any world's deadlines leave room for
MANY_FRUITLESS = 9
#: what can be done next, as a tuple that says it without the objects that it is about: ``("device", 12)``
Act: TypeAlias = tuple[str | int, ...]
#: who was told or said what, in order: ``("driver<", input)``, ``("driver>", effect)``, ``("device<", …)``
Log: TypeAlias = list[tuple[str, object]]


@dataclass(slots=True)
class World:
    """A state of a world. Everything that decides its future is in ``key``; ``log`` is the last step's.

    ``sent``: commands that the device has not looked at. ``inbox``: what the driver's link has for it, in the order in
    which it came about. ``kept``: answers that firmware holds back, with the function that they wait for. ``deaf``:
    commands given up by the link, whose answers do not get through. ``places`` and ``awaited``: of each user, how many
    deeds are done and what must end before the next. ``struck``: faults that strike again and again from now on.
    """

    rules: Rules
    driver: Driver
    firmware: FaultyFirmware
    now: float = 0.0
    sent: tuple[Send, ...] = ()
    #: commands not yet answered, for those who tell what an answer is about
    asked: tuple[Send, ...] = ()
    inbox: tuple[Answered | PageRequest | LinkLost, ...] = ()
    kept: tuple[tuple[str, Answered], ...] = ()
    maps: tuple[Map, ...] = ()
    resets: int = 0
    deaf: frozenset[int] = frozenset()
    session: int = 0
    gone: str = ""
    places: tuple[int, ...] = ()
    awaited: tuple[str | None, ...] = ()
    moments: frozenset[str] = frozenset()
    faults_left: int = 0
    timeouts_left: int = 0
    struck: tuple[str, ...] = ()
    #: the session in which a fault struck last
    hurt: int = 0
    #: TAKEs in a row by which firmware let go of nothing
    fruitless: int = 0
    #: names of the findings of this session
    found: frozenset[str] = frozenset()
    log: Log = field(default_factory=list)

    def clone(self) -> World:
        """A world of its own in the same state."""
        new = copy(self)
        new.driver, new.firmware, new.log = self.driver.clone(), self.firmware.clone(), []
        return new

    def __copy__(self) -> World:
        # a third of the time of dataclasses.replace, and made for every transition of a search
        return World(*_values(self))

    @property
    def quiet(self) -> bool:
        """Nothing is under way: only a user, or time, can go on."""
        return not (self.sent or self.inbox or self.maps or self.resets or self.driver.threads())

    @property
    def sound(self) -> bool:
        """No fault has struck so far, and no time-out came while an answer was on its way."""
        bounds = self.rules.scenario.bounds
        return (self.faults_left, self.timeouts_left) == (bounds.faults, bounds.timeouts)

    def said(self, kind: str) -> list[object]:
        """What was said in the last step: ``driver<`` inputs of the driver, ``device>`` effects of the device …"""
        return [what for who, what in self.log if who == kind]

    @property
    def ended(self) -> list[Done]:
        """The operations that ended in the last step."""
        return [what for what in self.said("driver>") if isinstance(what, Done)]

    @property
    def offences(self) -> list[Offence]:
        """What the firmware blamed the driver for in the last step."""
        return [what for what in self.said("device>") if isinstance(what, Offence)]

    def meant(self, mode: Mode, c: Command) -> str:
        """The function that a page command names when it is read in ``mode``."""
        return self.name(named(mode, c["function_id"], c["embedded_cpu_function"]))

    def name(self, who: Identity) -> str:
        """A function as the scenario names it, ``self`` for the supplier; the identity where it is nobody's."""
        own = self.firmware.inner.specs[0]
        if who in (own.identity(Mode.FUNC_ID), own.identity(Mode.VHCA_ID)):
            return "self"
        if who.mode is Mode.FUNC_ID and (who.number, who.ec) == (self.rules.boot_function, own.ec):
            return "self"
        names = self.rules.names.get(who, (str(who),))
        return next((name for name in names if len(names) > 1 and self.firmware.inner.is_enabled(name)), names[0])

    def key(self) -> bytes:
        """16 bytes: equal keys, equal futures. Command ids count by their order, session numbers by being current."""
        late = [x for x in self.inbox if isinstance(x, Answered)] + [x for _, x in self.kept]
        ids = sorted({e.id for e in self.sent} | {x.id for x in late} | self.deaf)
        rank = {n: i for i, n in enumerate(ids)}
        parts = (
            [(rank[e.id], e.slot, e.session == self.session, _command(e.command)) for e in self.sent],
            [self._item(x, rank) for x in self.inbox],
            [(who, self._item(x, rank)) for who, x in self.kept],
            [(m.iova, m.pages) for m in self.maps],
            self.resets,
            sorted(rank[n] for n in self.deaf),
            self.gone,
            self.places,
            self.awaited,
            sorted(self.moments),
            self.faults_left,
            self.timeouts_left,
            self.struck,
            self.fruitless,
            self.hurt == self.session,
            bool(self.found),
        )
        digest = hashlib.blake2b(self.driver.key(), digest_size=16)
        digest.update(self.firmware.key())
        digest.update(repr(parts).encode())
        return digest.digest()

    def _item(self, x: Answered | PageRequest | LinkLost, rank: dict[int, int]) -> object:
        if isinstance(x, Answered):
            return rank[x.id], x.session == self.session, _answer(x.answer)
        return (x.session == self.session, x.event) if isinstance(x, PageRequest) else "lost"


_values = attrgetter(*(f.name for f in fields(World)))


def _command(c: Command) -> object:
    return c.opcode, c.op_mod, sorted(c.fields.items()), c.pas.tobytes(), c.data


def _answer(a: Answer) -> object:
    return a.opcode, a.status, sorted(a.fields.items()), a.pas.tobytes(), a.data


def world(rules: Rules, driver: Driver) -> World:
    """The world before anything happened: the device is there, its functions are known to the e-switch."""
    specs = [spec for spec, _ in rules.pairs]
    at_init = not rules.assume["switch_at_set_cap"]
    firmware = Firmware(rules.profile, specs, switch_at_init=at_init, boot_function=rules.boot_function)
    bounds = rules.scenario.bounds
    w = World(
        rules,
        driver,
        faulty(firmware, ()),
        places=(0,) * len(rules.lanes),
        awaited=(None,) * len(rules.lanes),
        faults_left=bounds.faults,
        timeouts_left=bounds.timeouts,
    )
    if rules.pairs:
        driver.feed(0.0, FunctionsChanged(tuple(info for _, info in rules.pairs)))
    return w


#: what Completed and Finding are, for the modules that take worlds apart
__all__ = ["Act", "Completed", "Finding", "Log", "World", "world"]
