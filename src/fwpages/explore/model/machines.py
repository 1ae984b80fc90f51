"""The machines of a world's states: fed without being changed, and whatever is asked of one is worked out once.

Theory of operation. A move touches the driver, or the device, or neither; the other stays as it is. So worlds share
their machines: a machine in a world is never changed, and to feed it makes another one. Few states of a driver and of
a firmware make many states of a world: 10,000 transitions of two VFs lead to 551 states of our host and 123 of the
firmware. Hence the facts of a machine (its key, what its check says, what it holds) are kept with it, and so is the
outcome of each input that it was fed.

Machines are known by identity, which holds because the table keeps them alive. One that is reached by another path is
another object, and is worked out again: that costs time and changes nothing. So the table may be emptied at any moment,
and is when it is full.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from fwpages.device import Effect as DeviceEffect
from fwpages.device import FaultyFirmware, FirmwareError, Submitted
from fwpages.device import Input as DeviceInput
from fwpages.explore.model.driver import Driver, View
from fwpages.explore.model.driver import Input as DriverInput
from fwpages.host import Answered, CustodyError, Misuse
from fwpages.host import Effect as DriverEffect
from fwpages.pages.space import Addresses
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import Identity
from fwpages.prm.message import Answer, Command

#: machines in a table. One has some 10 KB with its facts and outcomes, so 160 MB at most
MOST = 16_384

#: the messages between the machines, without their times and receivers
Message: TypeAlias = Command | Answer | PageRequestEvent
#: a machine after an input, and its effects
DriverFed: TypeAlias = tuple[Driver, tuple[DriverEffect, ...]]
DeviceFed: TypeAlias = tuple[FaultyFirmware, tuple[DeviceEffect, ...]]


class DriverFacts:
    """One state of a driver, all that is asked of it, and the outcome of each input so far (None: Misuse)."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.outcomes: dict[Hashable, DriverFed | None] = {}
        #: see ``Machines.released``: by the firmware's identity, with the firmware, which must stay
        self.released: dict[int, tuple[FaultyFirmware, Mapping[Identity, Addresses]]] = {}

    @cached_property
    def key(self) -> bytes:
        """See ``Driver.key``."""
        return self.driver.key()

    @cached_property
    def unordered_key(self) -> bytes:
        """See ``Driver.unordered_key``."""
        return self.driver.unordered_key()

    @cached_property
    def slots(self) -> Mapping[int, int]:
        """See ``Driver.slots``."""
        return self.driver.slots()

    @cached_property
    def pending(self) -> tuple[int, ...]:
        """See ``Driver.pending``."""
        return self.driver.pending()

    @cached_property
    def deadline(self) -> float | None:
        """See ``Driver.deadline``."""
        return self.driver.deadline

    @cached_property
    def threads(self) -> tuple[str, ...]:
        """See ``Driver.threads``."""
        return self.driver.threads()

    @cached_property
    def view(self) -> View:
        """See ``Driver.view``."""
        return self.driver.view()

    @cached_property
    def held(self) -> Mapping[Identity, Addresses] | None:
        """See ``Driver.held``."""
        return self.driver.held()

    @cached_property
    def broken(self) -> str | None:
        """The invariant that does not hold (``Driver.check``); None where all do."""
        return _broken(self.driver)

    def feed(self, now: float, x: DriverInput) -> DriverFed | None:
        """Feed a copy."""
        after = self.driver.clone()
        try:
            return after, tuple(after.feed(now, x))
        except Misuse:
            return None


class DeviceFacts:
    """One state of a firmware, all that is asked of it, and the outcome of each input so far (None: no opportunity)."""

    def __init__(self, firmware: FaultyFirmware) -> None:
        self.firmware = firmware
        self.outcomes: dict[Hashable, DeviceFed | None] = {}

    @cached_property
    def key(self) -> bytes:
        """See ``FaultyFirmware.key``."""
        return self.firmware.key()

    @cached_property
    def holds(self) -> Mapping[Identity, Addresses]:
        """See ``FaultyFirmware.holds``."""
        return self.firmware.holds()

    @cached_property
    def broken(self) -> str | None:
        """The invariant that does not hold (``FaultyFirmware.check``); None where all do."""
        return _broken(self.firmware)

    def feed(self, now: float, x: DeviceInput, fault: str | None) -> DeviceFed | None:
        """Feed a copy."""
        after = self.firmware.clone()
        if fault is None or not isinstance(x, Submitted):
            return after, tuple(after.feed(now, x))
        effects = after.inject(fault, now, x)
        return None if effects is None else (after, tuple(effects))


def _broken(machine: Driver | FaultyFirmware) -> str | None:
    try:
        machine.check()
    except (CustodyError, FirmwareError) as e:
        return str(e)
    return None


@dataclass(frozen=True, slots=True)
class Standing:
    """A driver that stands for those of its key: the time at which it is, the numbers of its commands, the next one."""

    driver: Driver
    now: float
    pending: tuple[int, ...]
    next_id: int


class Machines:
    """The machines of all worlds that come of one, each with its facts, and what passes between them."""

    __slots__ = ("_devices", "_digests", "_drivers", "_same", "standing")

    def __init__(self) -> None:
        self._drivers: dict[int, DriverFacts] = {}
        self._devices: dict[int, DeviceFacts] = {}
        #: the one firmware that stands for all of a key
        self._same: dict[bytes, FaultyFirmware] = {}
        self._digests: dict[int, tuple[Message, bytes]] = {}
        #: the drivers that stand for others (``model.standing``)
        self.standing: dict[Hashable, Standing] = {}

    def driver(self, driver: Driver) -> DriverFacts:
        """The facts of this driver, which is not to be changed from here on."""
        found = self._drivers.get(id(driver))
        if found is None:
            if len(self._drivers) >= MOST:
                self._drivers.clear()
                self.standing.clear()
            found = self._drivers[id(driver)] = DriverFacts(driver)
        return found

    def device(self, firmware: FaultyFirmware) -> DeviceFacts:
        """The facts of this firmware, which is not to be changed from here on."""
        found = self._devices.get(id(firmware))
        if found is None:
            if len(self._devices) >= MOST:
                self._devices.clear()
                self._same.clear()
            found = self._devices[id(firmware)] = DeviceFacts(firmware)
        return found

    def feed_driver(self, driver: Driver, now: float, x: DriverInput) -> DriverFed | None:
        """The driver after this input, with its effects; None where it may not be asked this now (Misuse)."""
        if isinstance(x, Answered):  # an answer has no hash; its digest leaves the syndrome out
            name: Hashable = now, x.session, x.id, self.digest(x.answer), x.answer.syndrome
        else:
            name = now, x
        facts = self.driver(driver)
        if name not in facts.outcomes:
            facts.outcomes[name] = facts.feed(now, x)
        return facts.outcomes[name]

    def feed_device(
        self, firmware: FaultyFirmware, now: float, x: DeviceInput, fault: str | None = None
    ) -> DeviceFed | None:
        """The firmware after this input, with its effects; None where a command gives ``fault`` no opportunity."""
        if isinstance(x, Submitted):  # a command has no hash; its digest leaves the uid out
            name: Hashable = now, fault, x.id, self.digest(x.command), x.command.uid
        else:
            name = now, x
        facts = self.device(firmware)
        if name not in facts.outcomes:
            fed = facts.feed(now, x, fault)
            facts.outcomes[name] = None if fed is None else (self.one(fed[0]), fed[1])
        return facts.outcomes[name]

    def released(self, driver: Driver, firmware: FaultyFirmware) -> Mapping[Identity, Addresses]:
        """The pages that the firmware holds and the driver takes to be its own, of each function that has some."""
        known = self.driver(driver).released
        found = known.get(id(firmware))
        if found is None:
            free = {who: pages[driver.is_free(pages)] for who, pages in self.device(firmware).holds.items()}
            found = known[id(firmware)] = firmware, {who: pages for who, pages in free.items() if pages.size}
        return found[1]

    def one(self, firmware: FaultyFirmware) -> FaultyFirmware:
        """The first firmware of this one's key: a firmware numbers nothing, so equal keys are equal states.

        Not so drivers: of those of one key each has command ids of its own.
        """
        key = firmware.key()
        found = self._same.get(key)
        if found is None:
            found = self._same[key] = firmware
            self.device(firmware).key = key
        return found

    def digest(self, x: Message) -> bytes:
        """16 bytes over the content of a message: equal for equal ones."""
        found = self._digests.get(id(x))
        if found is None:
            if len(self._digests) >= MOST:
                self._digests.clear()
            content = x if isinstance(x, PageRequestEvent) else _content(x)
            found = self._digests[id(x)] = x, hashlib.blake2b(repr(content).encode(), digest_size=16).digest()
        return found[1]


def _content(x: Command | Answer) -> object:
    kind = x.op_mod if isinstance(x, Command) else x.status
    return x.opcode, kind, sorted(x.fields.items()), x.pas.tobytes(), x.data
