"""The constants of a world: its functions, the deeds of its users, the faults that it allows, and its assumptions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Generic, TypeAlias, TypeVar

import msgspec

from fwpages.device import (
    DEVICE_FAULTS,
    Asks,
    CommandFault,
    DeviceFault,
    EventFault,
    FunctionSpec,
    PlannedFault,
    Profile,
)
from fwpages.device.faults.effects import Late
from fwpages.explore.model.driver import DriverConfig
from fwpages.explore.model.plan import Deed, Plan, plan
from fwpages.host import Close, HealthFatal, LinkLost, VportInfo
from fwpages.host.io import Operation
from fwpages.link.faults.link_faults import (
    LINK_FAULTS,
    AnswerFault,
    DeliveryFault,
    Fate,
    LinkFault,
    MapFault,
    ResetFault,
)
from fwpages.prm.identity import Identity, Mode
from fwpages.prm.opcodes import Teardown
from fwpages.scenario import Scenario, ScenarioError
from fwpages.scenario.assumptions import assumed, under
from fwpages.scenario.fault_syntax import known
from fwpages.scenario.format import ExpectTable, Switch
from fwpages.scenario.interpreter import Moment
from fwpages.scenario.topology import device_profile, functions


@dataclass(frozen=True, slots=True)
class QueueFault:
    """A fault of the driver's own machine that only worlds have: no scenario can name its moment."""

    words: str


WORLD_FAULTS: Mapping[str, QueueFault] = MappingProxyType(
    {"request-not-queued": QueueFault("a page request comes, and there is no memory to queue it")}
)

FaultRow: TypeAlias = DeviceFault | LinkFault | QueueFault
#: every fault that a world may allow
_ROWS: Mapping[str, FaultRow] = {**DEVICE_FAULTS, **LINK_FAULTS, **WORLD_FAULTS}
Row_co = TypeVar("Row_co", bound=FaultRow, covariant=True)
Row = TypeVar("Row", bound=FaultRow)


@dataclass(frozen=True, slots=True)
class Injected(Generic[Row_co]):
    """A fault that a world may inject, by name; its row holds the trigger and the effect."""

    name: str
    row: Row_co

    def __str__(self) -> str:
        return f"{self.name}: {self.row.words}"


@dataclass(frozen=True)
class Rules:
    """A world's constants. ``allowed``: the faults that may be injected; ``scenario``: without what is not assumed.

    ``eager``: memory is mapped at once where no fault of mapping is allowed. Without it every other move may come
    before, which changes no verdict and costs states. ``commuting``: states that differ only in the order in which
    moves that commute were made have one key (``World.key``).
    """

    name: str
    design: str
    scenario: Scenario
    assume: Mapping[Switch, bool | None]
    profile: Profile
    pairs: tuple[tuple[FunctionSpec, VportInfo], ...]
    plan: Plan
    allowed: Mapping[str, PlannedFault]
    eager: bool = True
    commuting: bool = False

    @cached_property
    def config(self) -> DriverConfig:
        """The driver's configuration."""
        return DriverConfig(
            self.profile.supplier,
            self.scenario.bounds.bounds(),
            page_shift=12 if self.assume["host_pages_4k"] else 16,
            keeps_vhca_id=self.assume["keeps_vhca_id"],
            software_reset=self.profile.software_reset and self.assume["software_reset"] is not False,
        )

    @cached_property
    def boot_function(self) -> int:
        """The number by which firmware names the supplier before the mode is switched: 0, or one that is not taken."""
        if self.assume["boot_names_zero"]:
            return 0
        taken = {spec.function_id for spec, _ in self.pairs}
        return next(n for n in range(1, 1 << 16) if n not in taken)

    @cached_property
    def specs(self) -> Mapping[str, FunctionSpec]:
        """The functions beside the supplier, by name."""
        return {spec.name: spec for spec, _ in self.pairs}

    @cached_property
    def sharing(self) -> frozenset[str]:
        """The functions whose vhca_id is also that of another one, before or after them."""
        specs = self.specs.values()
        return frozenset(s.name for s in specs if any(o is not s and o.vhca_id == s.vhca_id for o in specs))

    @cached_property
    def deeds(self) -> tuple[Deed, ...]:
        """The deeds of all users."""
        return tuple(deed for deeds in self.plan.values() for deed in deeds)

    @cached_property
    def closes_fast(self) -> bool:
        """Some close is a fast or a forced one."""
        return any(isinstance(d.act, Close) and d.act.how is not Teardown.GRACEFUL for d in self.deeds)

    @cached_property
    def gives_up_several(self) -> bool:
        """A driver may give up several commands at once without an early time-out.

        It does so where it loses the device or is told that it is lost, where a fast or forced close ends what is under
        way, and where two commands stay without an answer: by two faults, or by one fault and one that firmware
        completes when the function has its pages.
        """
        lost = any(isinstance(d.act, HealthFatal | LinkLost) for d in self.deeds) or any(
            f.row.fate in (Fate.LINK_LOST, Fate.LINK_LOST_FOR_GOOD) for f in self.delivery_faults
        )
        unanswered = bool(self.allowed) and (self.scenario.bounds.faults > 1 or self._repeated)
        return lost or self.closes_fast or unanswered or bool(self.assume["vport_command_waits"])

    @property
    def _repeated(self) -> bool:
        """Some fault is injected at every opportunity once it was."""
        return any(fault.times == 0 for fault in self.allowed.values())

    @cached_property
    def users(self) -> tuple[str, ...]:
        """The users, in the order in which their deeds are offered."""
        return tuple(self.plan)

    @cached_property
    def command_faults(self) -> tuple[Injected[CommandFault], ...]:
        """The faults of the device that may be injected into a command."""
        return self._of(CommandFault)

    @cached_property
    def request_faults(self) -> tuple[Injected[EventFault | QueueFault], ...]:
        """The faults of a page request in delivery, in the order of their tables."""
        rows = ((name, row) for name, row in _ROWS.items() if name in self.allowed)
        return tuple(Injected(name, row) for name, row in rows if isinstance(row, EventFault | QueueFault))

    @cached_property
    def delivery_faults(self) -> tuple[Injected[DeliveryFault], ...]:
        """The faults by which the link gives a command up or is lost."""
        return self._of(DeliveryFault)

    @cached_property
    def answer_faults(self) -> tuple[Injected[AnswerFault], ...]:
        """The faults of an answer in delivery."""
        return self._of(AnswerFault)

    @cached_property
    def map_faults(self) -> tuple[Injected[MapFault], ...]:
        """The faults of memory that is mapped."""
        return self._of(MapFault)

    @cached_property
    def reset_faults(self) -> tuple[Injected[ResetFault], ...]:
        """The faults of a reset."""
        return self._of(ResetFault)

    def _of(self, kind: type[Row]) -> tuple[Injected[Row], ...]:
        """The allowed faults of a kind, in the order of the scenario."""
        rows = ((name, _ROWS.get(name)) for name in self.allowed)
        return tuple(Injected(name, row) for name, row in rows if isinstance(row, kind))

    @cached_property
    def awaited_moments(self) -> frozenset[Moment]:
        """The moments that some deed waits for: no others are part of a state."""
        return frozenset(d.step.after for deeds in self.plan.values() for d in deeds if d.step.after is not None)

    @cached_property
    def names(self) -> Mapping[Identity, tuple[str, ...]]:
        """The functions' names by every identity that they have: more than one where a vhca_id is reused."""
        out: dict[Identity, tuple[str, ...]] = {}
        for mode in Mode:
            for spec, _ in self.pairs:
                who = spec.identity(mode)
                if who is not None:
                    out[who] = (*out.get(who, ()), spec.name)
        return out

    def function(self, done: Operation) -> str:
        """The name of the function whose vport an operation is about: its number where no function has it."""
        number = done.vport
        return next((s.name for s, i in self.pairs if i.vport == number), "" if number is None else f"{number:#x}")

    def moment(self, done: Operation) -> str:
        """An operation as the scenario names it: ``enable vf0`` for ``enable vport 0x1``."""
        return done.kind.value if done.vport is None else f"{done.kind.value} {self.function(done)}"

    @cached_property
    def fingerprint(self) -> str:
        """Eight hex digits over all that decides what can happen: worlds of equal fingerprints have the same moves."""
        quiet = msgspec.structs.replace(self.scenario, expect=ExpectTable(), assume={})
        # a world has but one value of each of these: without them, strings that were made before them stay good
        text = repr((self.design, quiet, self.config_items, self.eager))
        for only in (f", asks={Asks.ALLOC!r}", ", next_vhca_id=None"):
            text = text.replace(only, "")
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    @property
    def config_items(self) -> list[tuple[str, bool | None]]:
        """The switches that can make a difference in this world."""
        relevant = {"boot_names_zero", "switch_at_set_cap"}
        if "eswitch" in self.plan:
            relevant.add("vport_command_waits")
        # our host has neither a page size of its own nor a table that keeps a vhca_id, and always fences first
        if self.design != "fwpages":
            relevant |= {"host_pages_4k", "keeps_vhca_id"} if "eswitch" in self.plan else {"host_pages_4k"}
            if any(isinstance(d.act, HealthFatal) for d in self.deeds):
                relevant.add("software_reset")
        return [(k, v) for k, v in self.assume.items() if k in relevant]


def rules(
    name: str,
    scenario: Scenario,
    design: str,
    *,
    overrides: Mapping[Switch, bool] = MappingProxyType({}),
    eager: bool = True,
    commuting: bool = False,
) -> Rules:
    """The rules of a world. Raises ScenarioError, which names the key path, for a scenario that no world can be."""
    stands = assumed(scenario, overrides)
    scenario = msgspec.structs.replace(under(scenario, overrides), description="")
    profile = device_profile(scenario)
    pairs = functions(scenario, profile)
    allowed: dict[str, PlannedFault] = {}
    for n, f in enumerate(scenario.fault):
        if f.name in allowed:
            raise ScenarioError(f"fault[{n}].name: {f.name} is there already")
        allowed[f.name] = _allowed(f"fault[{n}]", PlannedFault(f.name, f.at, f.times, f.during))
    return Rules(name, design, scenario, stands, profile, pairs, plan(scenario, pairs), allowed, eager, commuting)


def _allowed(where: str, fault: PlannedFault) -> PlannedFault:
    """The fault itself; ScenarioError, which names the key path, for one that no world can have."""
    row = WORLD_FAULTS.get(fault.name) or _ROWS.get(known(fault).name)
    if fault.at != 1 or fault.during is not None:
        key = "at" if fault.at != 1 else "during"
        raise ScenarioError(f"{where}.{key}: in a world a fault is tried at every moment; leave it out")
    if isinstance(row, CommandFault) and isinstance(row.act, Late):
        raise ScenarioError(f"{where}.name: in a world any answer may be late; set bounds.timeouts instead")
    if fault.times != 1 and (fault.times or not isinstance(row, CommandFault)):
        raise ScenarioError(f"{where}.times: in a world a fault is injected once; one of the device once or always (0)")
    return fault
