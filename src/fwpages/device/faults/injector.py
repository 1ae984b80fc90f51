"""A firmware that goes wrong on purpose, in ways that have names.

``FaultyFirmware`` wraps a ``Firmware`` and speaks as it does. A fault waits for its *opportunity*: the n-th command (or
event) of the kind that it is about. Which faults there are, ``fwpages.device.faults.catalogue`` says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from fwpages.device.firmware.firmware import Firmware
from fwpages.device.firmware.functions import FunctionSpec
from fwpages.device.firmware.io import Completed, Effect, Input, Raised, Reset, ResetFunction, Submitted, Tick, Want
from fwpages.device.firmware.state import EqContext, Phase
from fwpages.prm.identity import Identity, Mode
from fwpages.prm.message import Command, PageArray, encode_answer
from fwpages.prm.opcodes import Opcode

Match: TypeAlias = Callable[["FaultyFirmware", Command], bool]
#: carries out the command in its own way; None says that this was no opportunity after all
Act: TypeAlias = Callable[["FaultyFirmware", float, Submitted], list[Effect] | None]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by name at its ``at``-th opportunity (from 1), and at ``times`` in a row (0: at all that follow)."""

    name: str
    at: int = 1
    times: int = 1

    def due(self, opportunity: int) -> bool:
        """This opportunity is taken."""
        return opportunity >= self.at and (self.times == 0 or opportunity < self.at + self.times)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a fault is: in words, when, what it does, and which findings name it (none where it harms nobody)."""

    words: str
    match: Match
    act: Act
    named: tuple[str, ...] = ()


def names_own(f: FaultyFirmware, c: Command) -> bool:
    """An e-switch command that names the supplier itself."""
    return f.spec_of(c) is f.inner.specs[0]


#: faults of events rather than commands: how often the event then comes
EVENT_COPIES: Mapping[str, int] = MappingProxyType({"request-lost": 0, "request-twice": 2})


@dataclass(slots=True)
class FaultyFirmware:
    """A firmware with faults; ``took`` names those that took effect, in their order."""

    inner: Firmware
    faults: tuple[Fault, ...]
    rules: Mapping[str, Rule]
    #: opportunities so far of each fault, by its place in ``faults``
    seen: dict[int, int] = field(default_factory=dict)
    took: tuple[str, ...] = ()
    #: answers that are held back: when due (None: when the next session begins), and what
    held_back: tuple[tuple[float | None, Completed], ...] = ()
    #: the page that came back last, and the function that was disabled last
    last_returned: PageArray = field(default_factory=lambda: np.zeros(0, np.uint64))
    last_disabled: FunctionSpec | None = None

    def feed(self, now: float, x: Input) -> list[Effect]:
        """As ``Firmware.feed``, with whatever goes wrong."""
        match x:
            case Submitted():
                return self._command(now, x)
            case Tick():
                return self._due(now)
            case Reset():
                self.held_back = tuple((t, e) for t, e in self.held_back if t is None)
                return self.inner.feed(now, x)
            case Want() | ResetFunction():
                return self._events(self.inner.feed(now, x))

    @property
    def deadline(self) -> float | None:
        """When the next answer that is held back is due."""
        return min((t for t, _ in self.held_back if t is not None), default=None)

    def _due(self, now: float) -> list[Effect]:
        out: list[Effect] = [e for t, e in self.held_back if t is not None and t <= now]
        self.held_back = tuple((t, e) for t, e in self.held_back if t is None or t > now)
        return out

    def _command(self, now: float, x: Submitted) -> list[Effect]:
        effects: list[Effect] | None = None
        asked = [(n, f) for n, f in enumerate(self.faults) if f.name in self.rules]
        for n, fault in [(n, f) for n, f in asked if self.rules[f.name].match(self, x.command)]:
            if not self._due_now(n):
                self._count(n)
            elif effects is None:
                effects = self.rules[fault.name].act(self, now, x)
                if effects is not None:
                    self._strike(n)
        return self._events(self.run(now, x) if effects is None else effects)

    def strike(self, name: str, now: float, x: Submitted) -> list[Effect] | None:
        """Carry out ``x`` with this fault, whatever was planned; None, and nothing done, where it has no opportunity.

        For an explorer, which chooses the moment itself.
        """
        rule = self.rules[name]
        effects = rule.act(self, now, x) if rule.match(self, x.command) else None
        if effects is not None:
            self.took = (*self.took, name)
        return effects

    def _due_now(self, n: int) -> bool:
        """Fault ``n`` strikes at this opportunity; where another has taken it, at the next."""
        return self.faults[n].due(self.seen.get(n, 0) + 1)

    def _count(self, n: int) -> None:
        self.seen[n] = self.seen.get(n, 0) + 1

    def _strike(self, n: int) -> None:
        self._count(n)
        self.took = (*self.took, self.faults[n].name)

    @property
    def missed(self) -> tuple[Fault, ...]:
        """The faults whose opportunity never came."""
        return tuple(f for n, f in enumerate(self.faults) if self.seen.get(n, 0) < f.at)

    def run(self, now: float, x: Submitted) -> list[Effect]:
        """Execute a command as a sound firmware does; what a later fault needs to know is noted."""
        effects = self.inner.feed(now, x)
        c = x.command
        for e in effects:
            if isinstance(e, Completed) and e.answer.ok:
                if c.opcode == Opcode.MANAGE_PAGES and e.answer.pas.size:
                    self.last_returned = e.answer.pas[-1:].copy()
                if c.opcode in (Opcode.DISABLE_HCA, Opcode.DEALLOC_SF) and not names_own(self, c):
                    self.last_disabled = self.spec_of(c)
                if c.opcode == Opcode.ENABLE_HCA and names_own(self, c):
                    effects = effects + [held for t, held in self.held_back if t is None]
                    self.held_back = tuple((t, held) for t, held in self.held_back if t is not None)
        return effects

    def _events(self, effects: list[Effect]) -> list[Effect]:
        """Faults of events: one that is lost, one that comes twice."""
        out: list[Effect] = []
        about = [n for n, f in enumerate(self.faults) if f.name in EVENT_COPIES]
        for e in effects:
            copies = None
            for n in about if isinstance(e, Raised) else ():
                if not self._due_now(n):
                    self._count(n)
                elif copies is None:
                    self._strike(n)
                    copies = EVENT_COPIES[self.faults[n].name]
            out += [e] * (1 if copies is None else copies)
        return out

    def spec_of(self, c: Command) -> FunctionSpec | None:
        """The function that an e-switch command names."""
        return self.inner.meant(c)

    def other_pages(self, who: Identity) -> PageArray:
        """Pages that firmware holds for other functions than ``who``."""
        rest = [pages for name, pages in self.inner.holds().items() if name != who]
        return np.concatenate(rest) if rest else np.zeros(0, np.uint64)

    # what a link and an explorer use of a firmware

    @property
    def mode(self) -> Mode:
        """The mode of the firmware inside."""
        return self.inner.mode

    @property
    def phase(self) -> Phase:
        """Where the session of the firmware inside is."""
        return self.inner.phase

    @property
    def eqs(self) -> Mapping[int, EqContext]:
        """The event queues of the firmware inside."""
        return self.inner.eqs

    @property
    def checksums(self) -> bool:
        """What the firmware inside says about signatures."""
        return self.inner.checksums

    def holds(self) -> dict[Identity, PageArray]:
        """What the firmware inside really holds."""
        return self.inner.holds()

    def check(self) -> None:
        """The firmware inside is sound: it is what it says that is not."""
        self.inner.check()

    def clone(self) -> FaultyFirmware:
        """A faulty firmware of its own."""
        return FaultyFirmware(
            self.inner.clone(),
            self.faults,
            self.rules,
            dict(self.seen),
            self.took,
            self.held_back,
            self.last_returned,
            self.last_disabled,
        )

    def key(self) -> bytes:
        """The inner key, how far each fault is, and what it needs to know."""
        late = [(t, e.id, e.answer.opcode, encode_answer(e.answer)) for t, e in self.held_back]
        digest = hashlib.blake2b(self.inner.key(), digest_size=16)
        digest.update(repr((self.faults, sorted(self.seen.items()), late, self.last_disabled)).encode())
        digest.update(self.last_returned.tobytes())
        return digest.digest()
