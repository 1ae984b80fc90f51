"""A world: a driver, a firmware, the messages pending between them, and how far each user is. It can be branched.

Theory of operation. The explorer runs the production state machines, the driver and the firmware, side by side in one
process. Neither does I/O, so a state of the whole is a value: the two machines, and what is pending between them.

``sent`` are commands in their slots that the device has not taken. ``inbox`` holds what the driver's link has to
deliver, oldest first. ``held_back`` are answers that firmware completes only when a function has its pages. ``maps``
and ``resets`` are the driver's own requests for memory and for a reset. Each pending thing is one move that can come
next, in any order that real hardware allows: the device takes commands from their slots in any order, page requests
arrive in theirs, and an answer may overtake requests unless the driver's link reads the event queue first
(``Driver.ordered``). ``moves`` lists the moves, ``take`` makes one of them on a copy.

``key`` is 16 bytes over everything that decides the future, and nothing else: two states of one key have the same
moves, which lead to states of the same keys (``check.soundness`` tests it). Hence the key leaves out what only labels
things: command ids count by their order, sessions by being the current one or an old one, and the log not at all.

Where the rules say ``commuting``, it leaves out more: what moves that commute leave behind in the order in which they
were made. These are the order in which commands were sent that have their slots at once, and the order of answers that
may overtake each other. A driver gives up commands in the order in which it sent them, so the order stays in the key
where several can be given up at once.

Time stands still while something is pending. A time-out is a move: free where nothing else is pending, else one of the
``bounds.timeouts`` that the world allows.
"""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import lru_cache
from operator import attrgetter

from fwpages.device import Effect as DeviceEffect
from fwpages.device import FaultyFirmware, Firmware, Offence, faulty
from fwpages.device import Input as DeviceInput
from fwpages.explore.model.driver import Driver, View
from fwpages.explore.model.driver import Input as DriverInput
from fwpages.explore.model.log import FromDevice, FromDriver, LogEntry, ToDevice, ToDriver
from fwpages.explore.model.machines import Machines
from fwpages.explore.model.rules import Rules
from fwpages.host import Answered, Done, FunctionsChanged, LinkLost, Map, PageRequest, Send
from fwpages.host import Effect as DriverEffect
from fwpages.host.io import Operation
from fwpages.pages.space import Addresses
from fwpages.prm.identity import Identity, Mode, named
from fwpages.prm.message import Command
from fwpages.scenario.interpreter import Moment

#: regions of firmware's store, in bits of pages: a world has few pages, and every state of firmware its own tags of
#: them
REGION_SHIFT = 6
#: this many TAKEs in a row that returned no page are more than the deadlines of any world leave room for
MANY_FRUITLESS = 9


class Reach(Enum):
    """How far the driver's link can reach the device."""

    REACHABLE = 0
    UNTIL_RESET = 1
    NEVER_AGAIN = 2


@dataclass(frozen=True, slots=True)
class HeldBack:
    """An answer that firmware completes when ``function`` has the pages that it asked for."""

    function: str
    answered: Answered


@dataclass(slots=True)
class World:
    """A state of a world. Everything that decides its future is in ``key``; ``log`` is of the last step.

    ``session_commands``: every command of the current session, so that a chart can say to which an answer belongs.
    ``given_up``: ids of commands that the link gave up; their answers are not delivered. ``next_deed`` and
    ``awaited``: of each user, the place of its next deed and the operation that must end before it. ``moments``: which
    moments that some deed waits for have come. ``lasting``: faults that are injected at every further opportunity.
    ``faulted_session``: the session in which a fault was injected last. ``fruitless``: TAKEs in a row that returned no
    page. ``found``: names of the findings of this session.
    """

    rules: Rules
    driver: Driver
    firmware: FaultyFirmware
    machines: Machines
    now: float = 0.0
    sent: tuple[Send, ...] = ()
    session_commands: tuple[Send, ...] = ()
    inbox: tuple[Answered | PageRequest | LinkLost, ...] = ()
    held_back: tuple[HeldBack, ...] = ()
    maps: tuple[Map, ...] = ()
    resets: int = 0
    given_up: frozenset[int] = frozenset()
    session: int = 0
    reach: Reach = Reach.REACHABLE
    next_deed: tuple[int, ...] = ()
    awaited: tuple[Operation | None, ...] = ()
    moments: frozenset[Moment] = frozenset()
    faults_left: int = 0
    timeouts_left: int = 0
    lasting: tuple[str, ...] = ()
    faulted_session: int = 0
    fruitless: int = 0
    found: frozenset[str] = frozenset()
    log: list[LogEntry] = field(default_factory=list)

    def clone(self) -> World:
        """A world of its own in the same state, with an empty log; both have the same machines, which do not change."""
        # a third of the time of dataclasses.replace, and made for every transition of a search
        new = World(*_values(self))
        new.log = []
        return new

    @property
    def quiet(self) -> bool:
        """Nothing is pending: only a user, or time, can make the next move."""
        return not (self.sent or self.inbox or self.maps or self.resets or self.machines.driver(self.driver).threads)

    @property
    def deadline(self) -> float | None:
        """See ``Driver.deadline``."""
        return self.machines.driver(self.driver).deadline

    @property
    def broken(self) -> str | None:
        """The invariant of one of its machines that does not hold; None where all do."""
        broken = self.machines.driver(self.driver).broken
        return self.machines.device(self.firmware).broken if broken is None else broken

    @property
    def view(self) -> View:
        """See ``Driver.view``."""
        return self.machines.driver(self.driver).view

    @property
    def held(self) -> Mapping[Identity, Addresses] | None:
        """The pages by the driver's books: see ``Driver.held``."""
        return self.machines.driver(self.driver).held

    @property
    def holds(self) -> Mapping[Identity, Addresses]:
        """The pages that firmware has: see ``FaultyFirmware.holds``."""
        return self.machines.device(self.firmware).holds

    @property
    def released(self) -> Mapping[Identity, Addresses]:
        """The pages that firmware holds and the driver takes to be its own, of each function that has some."""
        return self.machines.released(self.driver, self.firmware)

    @property
    def faultless(self) -> bool:
        """No fault was injected so far, and no time-out came while something was pending."""
        bounds = self.rules.scenario.bounds
        return (self.faults_left, self.timeouts_left) == (bounds.faults, bounds.timeouts)

    @property
    def driver_inputs(self) -> list[DriverInput]:
        """The inputs of the driver in the last step."""
        return [e.input for e in self.log if isinstance(e, ToDriver)]

    @property
    def driver_effects(self) -> list[DriverEffect]:
        """The effects of the driver in the last step."""
        return [e.effect for e in self.log if isinstance(e, FromDriver)]

    @property
    def device_inputs(self) -> list[DeviceInput]:
        """The inputs of the device in the last step."""
        return [e.input for e in self.log if isinstance(e, ToDevice)]

    @property
    def device_effects(self) -> list[DeviceEffect]:
        """The effects of the device in the last step."""
        return [e.effect for e in self.log if isinstance(e, FromDevice)]

    @property
    def ended(self) -> list[Done]:
        """The operations that ended in the last step."""
        return [x for x in self.driver_effects if isinstance(x, Done)]

    @property
    def offences(self) -> list[Offence]:
        """The driver's offences that firmware reported in the last step."""
        return [x for x in self.device_effects if isinstance(x, Offence)]

    def function_of(self, c: Command, mode: Mode) -> str:
        """The function that a page command names when its fields are read in ``mode``."""
        return self.name(named(mode, c["function_id"], c["embedded_cpu_function"]))

    def name(self, who: Identity) -> str:
        """A function as the scenario names it, ``self`` for the supplier; the identity itself where none has it."""
        own = self.firmware.inner.specs[0]
        if who in (own.identity(Mode.FUNC_ID), own.identity(Mode.VHCA_ID)):
            return "self"
        if who.mode is Mode.FUNC_ID and (who.number, who.ec) == (self.rules.boot_function, own.ec):
            return "self"
        names = self.rules.names.get(who, (str(who),))
        return next((name for name in names if len(names) > 1 and self.firmware.inner.is_enabled(name)), names[0])

    def key(self) -> bytes:
        """16 bytes over all that decides the future: states of equal keys have equal futures."""
        parts = (
            *(self._unordered() if self._commutes else self._ordered()),
            self.machines.device(self.firmware).key,
            [(m.iova, m.pages) for m in self.maps] if self.maps else [],
            self.resets,
            self.reach.value,
            self.next_deed,
            # which operation a user waits for follows from its last deed
            [operation is not None for operation in self.awaited],
            _names(self.moments),
            self.faults_left,
            self.timeouts_left,
            self.lasting,
            self.fruitless,
            self.faulted_session == self.session,
            bool(self.found),
        )
        # version 2 writes equal values alike; later ones also write which of them are one object
        return hashlib.blake2b(marshal.dumps(parts, 2), digest_size=16).digest()  # type: ignore[arg-type]  # all plain

    @property
    def _commutes(self) -> bool:
        """The order in which commands were sent is to be left out, and decides nothing."""
        return self.rules.commuting and not (self.timeouts_left or self.rules.gives_up_several)

    def _ordered(self) -> tuple[object, ...]:
        """The driver and the messages, with ids by their order: that in which the commands were sent."""
        rank = self._ranks()
        return (
            self.machines.driver(self.driver).key,
            [self._command(e, rank) for e in self.sent] if self.sent else [],
            [self._pending(x, rank) for x in self.inbox] if self.inbox else [],
            [(x.function, self._pending(x.answered, rank)) for x in self.held_back] if self.held_back else [],
            sorted([rank[n] for n in self.given_up]) if self.given_up else [],
        )

    def _unordered(self) -> tuple[object, ...]:
        """The driver and the messages, with slots for ids, and in no order but that in which they must arrive.

        What is pending and has no slot any more is nothing that a driver waits for, whatever its id. Of the ids that
        were given up those matter whose command the device can still take.
        """
        facts = self.machines.driver(self.driver)
        slots = facts.slots
        inbox: list[list[object]] = [[]]
        for x in self.inbox:
            if isinstance(x, Answered):
                inbox[-1 if self.driver.ordered else 0].append(self._pending(x, slots))
            else:
                inbox += [[self._pending(x, slots)], []]
        return (
            facts.unordered_key,
            sorted([(*self._command(e, slots), e.id in self.given_up) for e in self.sent]),
            [sorted(part, key=repr) for part in inbox if part],
            sorted([(x.function, self._pending(x.answered, slots)) for x in self.held_back], key=repr),
        )

    def _ranks(self) -> dict[int, int]:
        """The ids of pending commands and answers, each with its place in their order."""
        ids = [e.id for e in self.sent]
        ids += [x.id for x in self.inbox if isinstance(x, Answered)]
        if self.held_back:
            ids += [x.answered.id for x in self.held_back]
        ids += self.given_up
        return {n: i for i, n in enumerate(sorted(set(ids)))}

    def _command(self, e: Send, names: Mapping[int, int]) -> tuple[int, int, bool, bytes]:
        return names.get(e.id, -1), e.slot, e.session == self.session, self.machines.digest(e.command)

    def _pending(self, x: Answered | PageRequest | LinkLost, names: Mapping[int, int]) -> object:
        if isinstance(x, Answered):
            return names.get(x.id, -1), x.session == self.session, self.machines.digest(x.answer)
        return (x.session == self.session, self.machines.digest(x.event)) if isinstance(x, PageRequest) else "lost"


@lru_cache(maxsize=4_096)  # a world has few sets of moments, and every state of it one of them
def _names(moments: frozenset[Moment]) -> tuple[str, ...]:
    """The moments by name, in order."""
    return tuple(sorted([m.kind + m.function for m in moments]))


_values = attrgetter(*(f.name for f in fields(World)))


def world(rules: Rules, driver: Driver) -> World:
    """The first state: the device is there, and the e-switch knows which functions there are."""
    specs = [spec for spec, _ in rules.pairs]
    at_init = not rules.assume["switch_at_set_cap"]
    firmware = Firmware(
        rules.profile,
        specs,
        switch_at_init=at_init,
        boot_function=rules.boot_function,
        region_shift=REGION_SHIFT,
    )
    bounds = rules.scenario.bounds
    w = World(
        rules,
        driver,
        faulty(firmware, ()),
        Machines(),
        next_deed=(0,) * len(rules.users),
        awaited=(None,) * len(rules.users),
        faults_left=bounds.faults,
        timeouts_left=bounds.timeouts,
    )
    if rules.pairs:
        driver.feed(0.0, FunctionsChanged(tuple(info for _, info in rules.pairs)))
    return w
