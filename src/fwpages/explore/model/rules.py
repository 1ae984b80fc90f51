"""What does not change in a world: who is there, what its users will do, what may go wrong, what is assumed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import msgspec

from fwpages.device import DEVICE_FAULTS, CommandFault, FunctionSpec, PlannedFault, Profile
from fwpages.explore.model.driver import DriverConfig
from fwpages.explore.model.plan import Plan, plan
from fwpages.host import VportInfo
from fwpages.link.faults.link_faults import LINK_FAULTS, LinkFault
from fwpages.prm.identity import Identity, Mode
from fwpages.scenario import Scenario, ScenarioError
from fwpages.scenario.assumptions import assumed, under
from fwpages.scenario.fault_syntax import known
from fwpages.scenario.format import ExpectTable, Switch
from fwpages.scenario.topology import device_profile, functions

#: a fault of the driver's own machine, which only worlds have: the explorer needs no moment that it can be planned for
NOT_QUEUED = "request-not-queued"
WORLD_FAULTS: Mapping[str, str] = MappingProxyType(
    {NOT_QUEUED: "a page request comes, and there is no memory to queue it"}
)

#: faults of time: in a world every answer may be late, so `timeouts` in [bounds] says all that these would
_OF_TIME = ("-late", "-too-late", "-next-session")


@dataclass(frozen=True)
class Rules:
    """A world's constants. ``allowed`` are the faults that may strike; ``scenario`` holds only what is assumed.

    ``eager``: memory is mapped at once where no fault of mapping is allowed; without it every other thing may happen
    before, which changes no verdict and costs states.
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

    @cached_property
    def config(self) -> DriverConfig:
        """What the driver is told."""
        return DriverConfig(
            self.profile.supplier,
            self.scenario.bounds.bounds(),
            page_shift=12 if self.assume["host_pages_4k"] else 16,
            keeps_vhca_id=self.assume["keeps_vhca_id"],
        )

    @cached_property
    def boot_function(self) -> int:
        """The number by which firmware names the supplier before the mode is switched: 0, or one that nobody has."""
        if self.assume["boot_names_zero"]:
            return 0
        taken = {spec.function_id for spec, _ in self.pairs}
        return next(n for n in range(1, 1 << 16) if n not in taken)

    @cached_property
    def specs(self) -> Mapping[str, FunctionSpec]:
        """The functions beside the supplier, by name."""
        return {spec.name: spec for spec, _ in self.pairs}

    @cached_property
    def lanes(self) -> tuple[str, ...]:
        """The users, in the order in which their deeds are offered."""
        return tuple(self.plan)

    @cached_property
    def device_faults(self) -> tuple[str, ...]:
        """The faults of the device that may strike at a command."""
        return tuple(n for n in self.allowed if isinstance(DEVICE_FAULTS.get(n), CommandFault))

    def link_faults(self, kind: type[LinkFault]) -> tuple[str, ...]:
        """The faults of the link that take effect at this kind of thing."""
        return tuple(n for n in self.allowed if isinstance(LINK_FAULTS.get(n), kind))

    @cached_property
    def heard(self) -> frozenset[str]:
        """The moments that some deed waits for: no others are part of a state."""
        return frozenset(d.after for deeds in self.plan.values() for d in deeds if d.after is not None)

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

    def moment(self, what: str) -> str:
        """An operation as the scenario names it: ``enable vf0`` for ``enable vport 0x1``."""
        verb, vport, number = what.partition(" vport ")
        if not vport:
            return what
        return f"{verb} {next((s.name for s, i in self.pairs if i.vport == int(number, 16)), number)}"

    @cached_property
    def fingerprint(self) -> str:
        """Eight hex digits for all that decides what can happen: equal ones have the same moves."""
        quiet = msgspec.structs.replace(self.scenario, expect=ExpectTable(), assume={})
        text = repr((self.design, quiet, self.config_items, self.eager))
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    @property
    def config_items(self) -> list[tuple[str, bool | None]]:
        """The switches that this world's machines are told of, and that can make a difference in it."""
        told = {"boot_names_zero", "switch_at_set_cap"}
        if "eswitch" in self.plan:
            told.add("vport_command_waits")
        if self.design != "fwpages":  # our host has neither a page size of its own nor a table that keeps a vhca_id
            told |= {"host_pages_4k", "keeps_vhca_id"} if "eswitch" in self.plan else {"host_pages_4k"}
        return [(k, v) for k, v in self.assume.items() if k in told]


def rules(
    name: str,
    scenario: Scenario,
    design: str,
    *,
    overrides: Mapping[Switch, bool] = MappingProxyType({}),
    eager: bool = True,
) -> Rules:
    """The rules of a world; ScenarioError, which names the key path, for what a world cannot have."""
    stands = assumed(scenario, overrides)
    scenario = msgspec.structs.replace(under(scenario, overrides), description="")
    profile = device_profile(scenario)
    pairs = functions(scenario, profile)
    allowed = {}
    for n, f in enumerate(scenario.fault):
        fault = PlannedFault(f.name, f.at, f.times)
        if f.name not in WORLD_FAULTS:
            known(fault)
        if f.at != 1:
            raise ScenarioError(f"fault[{n}].at: in a world a fault may strike at any moment; leave it out")
        if f.name.endswith(_OF_TIME):
            raise ScenarioError(f"fault[{n}].name: in a world any answer may be late; set bounds.timeouts instead")
        if f.name in allowed:
            raise ScenarioError(f"fault[{n}].name: {f.name} is there already")
        if f.times != 1 and (f.times or not isinstance(DEVICE_FAULTS.get(f.name), CommandFault)):
            raise ScenarioError(
                f"fault[{n}].times: in a world a fault strikes once, one of the device once or always (0)"
            )
        allowed[f.name] = fault
    return Rules(name, design, scenario, stands, profile, pairs, plan(scenario, pairs), allowed, eager)
