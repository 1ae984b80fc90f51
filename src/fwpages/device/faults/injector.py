"""A firmware into which faults are injected.

Theory of operation. ``FaultyFirmware`` wraps a sound ``Firmware`` and has its interface. Before a command reaches the
sound firmware, each planned fault is asked whether the command is an opportunity (its *trigger*). The first fault that
is due then executes the command in its own manner (its *effect*): it may refuse it, execute it and drop or change the
answer, hold the answer back, or raise events. An effect that finds nothing to change returns None, must leave
everything as it was, and does not count as an opportunity; effects that need to look first therefore work on a clone
and replace ``inner`` when they succeed. So no caller may keep a reference to ``inner``: ask for it each time.

Faults of events, which lose or repeat a page request, act on the effects of any input.

The sound firmware inside stays sound: its invariants hold throughout, and ``holds`` says what it really holds. Only its
words to the driver are false. A fault is therefore a deviation that a driver can observe, never a corrupt device.

``FaultyFirmware`` remembers three things for effects to draw on: the page returned last, the function disabled last,
and the answers held back. All of them are part of ``key``, so that an explorer can branch at any point.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec
import numpy as np

from fwpages.custody.findings import FindingName
from fwpages.device.faults.plan import FaultPlan, Moment, PlannedFault
from fwpages.device.firmware.firmware import Firmware
from fwpages.device.firmware.functions import FunctionSpec
from fwpages.device.firmware.io import (
    Completed,
    Effect,
    Executed,
    HostVfs,
    Input,
    Raised,
    Reset,
    ResetFunction,
    Submitted,
    Tick,
    Triggered,
    Want,
)
from fwpages.device.firmware.offences import OffenceName
from fwpages.device.firmware.state import EqContext, Phase
from fwpages.prm.identity import Identity, Mode
from fwpages.prm.message import Command, PageArray, encode_answer
from fwpages.prm.opcodes import Opcode

#: returns whether a command is an opportunity
Trigger: TypeAlias = Callable[["FaultyFirmware", Command], bool]
#: executes the command with the fault; None, and nothing changed, where there was nothing to change
Act: TypeAlias = Callable[["FaultyFirmware", float, Submitted], list[Effect] | None]


@dataclass(frozen=True, slots=True)
class CommandFault:
    """A fault that takes effect at a command.

    ``findings`` are the findings by which a driver names it: none where it does no harm. ``offences`` are those that
    it may make a correct driver commit, and that are therefore not blamed on the driver.
    """

    words: str
    trigger: Trigger
    act: Act
    findings: tuple[FindingName, ...] = ()
    offences: frozenset[OffenceName] = frozenset()


@dataclass(frozen=True, slots=True)
class EventFault:
    """A fault that takes effect at a page request, which then arrives ``copies`` times; otherwise as CommandFault."""

    words: str
    copies: int
    findings: tuple[FindingName, ...] = ()
    offences: frozenset[OffenceName] = frozenset()


DeviceFault: TypeAlias = CommandFault | EventFault


def moment_of(firmware: Firmware, command: Command | None) -> Moment:
    """Return the moment of this command, or of what happens without one; the state is that before it."""
    phase = firmware.phase
    if phase is Phase.CLOSING or (command is not None and command.opcode == Opcode.TEARDOWN_HCA):
        return Moment.TEARDOWN
    if phase is Phase.WORKING:
        return Moment.RUNTIME
    return Moment.BOOT if phase is Phase.OFF or firmware.booting else Moment.INIT


def names_own(f: FaultyFirmware, c: Command) -> bool:
    """Return whether an e-switch command names the supplier itself."""
    return f.spec_of(c) is f.inner.specs[0]


@dataclass(slots=True)
class FaultyFirmware:
    """A firmware with faults from ``catalogue``, injected as ``plan`` says."""

    inner: Firmware
    plan: FaultPlan
    catalogue: Mapping[str, DeviceFault]
    #: answers held back, each with the time when it is due (None: when the next session begins)
    held_back: tuple[tuple[float | None, Completed], ...] = ()
    last_returned: PageArray = field(default_factory=lambda: np.zeros(0, np.uint64))
    last_disabled: FunctionSpec | None = None
    #: commands of the last input that were executed and whose answers are kept back: no part of ``key``
    executed: tuple[Executed, ...] = ()
    #: faults that took effect at the last input; no part of ``key`` either
    triggered: tuple[Triggered, ...] = ()

    def feed(self, now: float, x: Input) -> list[Effect]:
        """As ``Firmware.feed``, with the faults that are due."""
        self.executed, self.triggered = (), ()
        match x:
            case Submitted():
                return self._events(self._command(now, x))
            case Tick():
                return self._due(now)
            case Reset():
                self.held_back = tuple((t, e) for t, e in self.held_back if t is None)
                return self.inner.feed(now, x)
            case Want() | ResetFunction() | HostVfs():
                return self._events(self.inner.feed(now, x))

    @property
    def deadline(self) -> float | None:
        """The time when the next answer that is held back is due."""
        return min((t for t, _ in self.held_back if t is not None), default=None)

    def _due(self, now: float) -> list[Effect]:
        out: list[Effect] = [e for t, e in self.held_back if t is not None and t <= now]
        self.held_back = tuple((t, e) for t, e in self.held_back if t is None or t > now)
        return out

    def _command(self, now: float, x: Submitted) -> list[Effect]:
        # all triggers look at the state before the command, whichever fault then executes it
        moment = moment_of(self.inner, x.command)
        faults = ((n, fault) for n, fault in self._command_faults() if self.plan.concerns(n, moment))
        asked = [(n, fault.act) for n, fault in faults if fault.trigger(self, x.command)]
        effects: list[Effect] | None = None
        for n, act in asked:
            if not self.plan.due(n):
                self.plan.count(n)
            elif effects is None:
                effects = act(self, now, x)
                if effects is not None:
                    self.plan.take(n)
                    self.triggered = (*self.triggered, Triggered(self.plan.faults[n].name))
        return self.run(now, x) if effects is None else effects

    def _command_faults(self) -> list[tuple[int, CommandFault]]:
        known = ((n, self.catalogue.get(f.name)) for n, f in enumerate(self.plan.faults))
        return [(n, fault) for n, fault in known if isinstance(fault, CommandFault)]

    def inject(self, name: str, now: float, x: Submitted) -> list[Effect] | None:
        """Execute ``x`` with this fault, planned or not; None, and nothing changed, where it has no opportunity.

        An explorer, which chooses the moment of each fault itself, uses this in the place of a plan.
        """
        fault = self.catalogue[name]
        if not isinstance(fault, CommandFault) or not fault.trigger(self, x.command):
            return None
        effects = fault.act(self, now, x)
        if effects is not None:
            self.plan.note(name)
        return effects

    @property
    def took(self) -> tuple[str, ...]:
        """The names of the faults that took effect, in their order."""
        return self.plan.took

    @property
    def missed(self) -> tuple[PlannedFault, ...]:
        """The faults that never reached their first planned opportunity."""
        return self.plan.missed

    def run(self, now: float, x: Submitted) -> list[Effect]:
        """Execute a command as a sound firmware does, and remember what later effects draw on."""
        effects = self.inner.feed(now, x)
        done = next((e.answer for e in effects if isinstance(e, Completed) and e.answer.ok), None)
        if done is None:
            return effects
        c = x.command
        match c.opcode:
            case Opcode.MANAGE_PAGES if done.pas.size:
                self.last_returned = done.pas[-1:].copy()
            case Opcode.DISABLE_HCA | Opcode.DEALLOC_SF if not names_own(self, c):
                self.last_disabled = self.spec_of(c)
            case Opcode.ENABLE_HCA if names_own(self, c):
                effects = effects + [held for t, held in self.held_back if t is None]
                self.held_back = tuple((t, held) for t, held in self.held_back if t is not None)
        return effects

    def keep(self, effects: list[Effect]) -> None:
        """Note that the answers among these effects are kept back."""
        self.executed = tuple(Executed(e.id, e.answer) for e in effects if isinstance(e, Completed))

    def adopt(self, trial: FaultyFirmware) -> None:
        """Continue from the state of ``trial``, a clone on which an effect was tried."""
        self.inner, self.last_returned, self.held_back = trial.inner, trial.last_returned, trial.held_back

    def _copies(self) -> dict[int, int]:
        """How often a page request arrives by each fault of events that may strike now, by its place in the plan."""
        known = ((n, self.catalogue.get(f.name)) for n, f in enumerate(self.plan.faults))
        moment = moment_of(self.inner, None)
        events = ((n, fault) for n, fault in known if isinstance(fault, EventFault))
        return {n: fault.copies for n, fault in events if self.plan.concerns(n, moment)}

    def _events(self, effects: list[Effect]) -> list[Effect]:
        """Apply the faults of events: a page request arrives as often as the fault says."""
        copies = self._copies()
        out: list[Effect] = []
        for e in effects:
            n = self.plan.first_due(copies) if copies and isinstance(e, Raised) else None
            if n is not None:
                self.triggered = (*self.triggered, Triggered(self.plan.faults[n].name))
            out += [e] * (1 if n is None else copies[n])
        return out

    def spec_of(self, c: Command) -> FunctionSpec | None:
        """Return the function that an e-switch command names."""
        return self.inner.eswitch_function(c)

    def other_pages(self, who: Identity) -> PageArray:
        """Return the pages that firmware holds for other functions than ``who`` (uint64 addresses)."""
        rest = [pages for name, pages in self.inner.holds().items() if name != who]
        return np.concatenate(rest) if rest else np.zeros(0, np.uint64)

    # the parts of the interface of Firmware that a link and an explorer use

    @property
    def mode(self) -> Mode:
        """The mode of the sound firmware."""
        return self.inner.mode

    @property
    def phase(self) -> Phase:
        """The phase of the sound firmware's session."""
        return self.inner.phase

    @property
    def eqs(self) -> Mapping[int, EqContext]:
        """The event queues of the sound firmware by number."""
        return self.inner.eqs

    @property
    def checksums(self) -> bool:
        """As ``Firmware.checksums``."""
        return self.inner.checksums

    @property
    def uar_size(self) -> int:
        """As ``Firmware.uar_size``."""
        return self.inner.uar_size

    def holds(self) -> dict[Identity, PageArray]:
        """The pages that the sound firmware really holds; as ``Firmware.holds``."""
        return self.inner.holds()

    def check(self) -> None:
        """Check the invariants of the sound firmware, which no fault may break."""
        self.inner.check()

    def clone(self) -> FaultyFirmware:
        """Return an independent copy in the same state."""
        plan = self.plan
        return FaultyFirmware(
            self.inner.clone(),
            FaultPlan(plan.faults, dict(plan.opportunities), plan.took),
            self.catalogue,
            self.held_back,
            self.last_returned,
            self.last_disabled,
        )

    def key(self) -> bytes:
        """Return 16 bytes that are equal for states with equal futures."""
        late = [(t, e.id, e.answer.opcode, encode_answer(e.answer)) for t, e in self.held_back]
        digest = hashlib.blake2b(self.inner.key(), digest_size=16)
        plan = self.plan
        digest.update(
            msgspec.msgpack.encode((plan.faults, sorted(plan.opportunities.items()), late, self.last_disabled))
        )
        digest.update(self.last_returned.tobytes())
        return digest.digest()
