"""A whole life of a device, as a scenario tells it: the steps in their order, the triggered ones at their moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from fwpages.device import Firmware, Offence, PlannedFault, Raised, ResetFunction, Want, faulty
from fwpages.host import (
    Books,
    Close,
    Config,
    DisableVport,
    Done,
    EnableVport,
    Finding,
    FunctionsChanged,
    HealthFatal,
    Host,
    LinkLost,
    Misuse,
    Open,
    WantedMode,
    books,
)
from fwpages.host.io import OperationKind
from fwpages.link.faults.injector import LinkInjector
from fwpages.link.inprocess import InProcess
from fwpages.link.queue.inprocess import InProcessQueue
from fwpages.link.tap import Tap
from fwpages.prm.opcodes import Teardown
from fwpages.scenario.assumptions import under
from fwpages.scenario.fault_syntax import split, text
from fwpages.scenario.format import OpenStep, Scenario, ScenarioError, Step
from fwpages.scenario.interpreter import OWN, Moment, MomentKind, PlannedStep, Schedule, moment_of, planned
from fwpages.scenario.topology import device_profile, functions

MODE_BIT = "icm_mng_function_id_mode"
#: steps of the link after which a device is called restless, and life goes on without waiting for it to come to rest:
#: three times what a burst of as many page requests as the largest queue bound needs
RESTLESS = 50_000


@dataclass(frozen=True, slots=True)
class FailedOperation:
    """An operation that did not succeed, as the scenario names it (``enable vf0``), and why."""

    operation: str
    detail: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a life went: the books of each session, and what else went wrong.

    ``offences`` are the driver's, as the firmware saw them, with the session; ``excused`` those that a fault, by its
    name, made it commit, and that are none of its own; ``failed`` operations that did not succeed; ``missed`` steps
    whose moment and faults whose opportunity never came; ``mapped`` pages of memory that are still lent at the end;
    ``faults`` those that took effect; ``skipped`` steps that could not be taken because of them.
    """

    sessions: tuple[Books, ...]
    offences: tuple[tuple[int, Offence], ...]
    excused: tuple[tuple[int, Offence, str], ...]
    failed: tuple[FailedOperation, ...]
    missed: tuple[str, ...]
    commands: int
    seconds: float
    mapped: int
    faults: tuple[str, ...]
    skipped: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Nothing is wrong on either side, everything that was to happen did, and no memory is left mapped."""
        quiet = not (self.offences or self.failed or self.missed or self.skipped)
        left_open = any(b.end == "open" for b in self.sessions)
        return quiet and all(b.clean for b in self.sessions) and (left_open or not self.mapped)


class ScenarioRun:
    """One run of a scenario over the direct link, or over the command queue (``link``), where everything is bytes.

    ``mode`` other than auto is asked for at every open; a mode that the device does not offer is a ScenarioError.
    ``seed`` shuffles the order in which firmware returns pages. ``on_step`` is told which step is about to happen.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        mode: WantedMode = "auto",
        seed: int | None = None,
        tap: Tap | None = None,
        checked: bool = False,
        faults: Iterable[PlannedFault] = (),
        on_step: Callable[[int, Step], None] | None = None,
        link: Literal["direct", "queue"] = "direct",
    ) -> None:
        scenario = under(scenario)
        profile = device_profile(scenario)
        if mode == "vhca_id" and not profile.max.get(MODE_BIT):
            raise ScenarioError(f"VHCA_ID mode was asked for, but {profile.name} does not offer it ({MODE_BIT} is 0)")
        if seed is not None:
            profile = msgspec.structs.replace(profile, order="shuffled", seed=seed)
        pairs = functions(scenario, profile)
        vports = {spec.name: info.vport for spec, info in pairs}
        self._names = {vport: name for name, vport in vports.items()}
        self._by_identity = {
            who: spec.name for spec, _ in pairs for who in ((spec.function_id, spec.ec), (spec.vhca_id, False))
        }
        for n, step in enumerate(scenario.step):
            if isinstance(step, OpenStep) and step.mode == "vhca_id" and not profile.max.get(MODE_BIT):
                raise ScenarioError(f"step[{n}].mode: {profile.name} does not offer VHCA_ID mode ({MODE_BIT} is 0)")
        self._schedule = Schedule(planned(scenario, list(vports)), begun=0.0)
        config = Config(profile.supplier, bounds=scenario.bounds.bounds())
        of_device, of_link = split([*(PlannedFault(f.name, f.at, f.times) for f in scenario.fault), *faults])
        firmware = Firmware(profile, [s for s, _ in pairs])
        joined = InProcessQueue if link == "queue" else InProcess
        self.link = joined(
            Host(config),
            faulty(firmware, of_device) if of_device else firmware,
            faults=LinkInjector(of_link),
            tap=tap,
            checked=checked,
            on_event=self._heard,
        )
        self.link.feed(FunctionsChanged(tuple(info for _, info in pairs)))
        self._actions = _Actions(self.link, mode, vports, self._wait)
        self._on_step = on_step
        self._moments: set[Moment] = set()
        # by session: an open that is refused for want of a fence ends in the session before it, which is told of once.
        # A session's are final when the next one begins: until then a fence may still prove what became of its pages
        self._books: dict[int, Books] = {}
        self._failed: list[FailedOperation] = []
        self._skipped: list[str] = []

    def run(self) -> RunResult:
        """Take every step from the first to the last; raises ScenarioError where a step cannot be taken."""
        while step := self._schedule.next_in_row:
            self._take(step)
            if step.step.settle:
                self._settle()
        self._settle(math.inf)
        self.link.check()
        return self._result()

    def _settle(self, until: float | None = None) -> None:
        """Until nothing is on its way and nothing is waited for; triggered steps at their moments.

        Time passes for what the host or the device waits for, and where ``until`` is told, also for moments that
        steps name, up to then.
        """
        for _ in range(RESTLESS):
            if self._fire() or self.link.step():
                continue
            due, at = self.link.deadline, self._next_time()
            if due is None and until is None:
                return
            if until is not None and min((t for t in (due, at) if t is not None), default=math.inf) > until:
                return
            if at is not None and (due is None or at < due):
                self.link.now = at
            elif not self.link.wake():
                return
        self._skipped.append(f"coming to rest: still busy after {RESTLESS} steps at {self.link.now:.3f} s")

    def _next_time(self) -> float | None:
        """The next time that a step names; a step whose time has come waits for something else."""
        return min((t for t in self._schedule.times if t > self.link.now), default=None)

    def _fire(self) -> bool:
        """Take the first triggered step that is due."""
        step = next(self._schedule.due(self._moments, self.link.now, self.link.submitted), None)
        if step is not None:
            self._take(step)
        return step is not None

    def _take(self, step: PlannedStep) -> None:
        self._schedule.taken(step)
        if self._on_step is not None:
            self._on_step(step.number, step.step)
        if not step.applies(self.link.host.session.mode):
            return
        try:
            step.perform(self._actions)
        except Misuse as e:
            if not (self.link.took or self._failed):
                raise ScenarioError(f"{step}: {e}") from None
            self._skipped.append(f"{step}: {e}")

    def _wait(self, seconds: float) -> None:
        then = self.link.now + seconds
        self._settle(then)
        self.link.now = max(self.link.now, then)

    def _heard(self, e: Done | Finding | Raised) -> None:
        if isinstance(e, Done):
            operation = e.operation
            name = "" if operation.vport is None else self._names[operation.vport]
            moment = moment_of(operation.kind, name)
            if moment is not None:
                self._moments.add(moment)
            if not e.ok:
                self._failed.append(FailedOperation(f"{operation.kind} {name}".rstrip(), e.detail))
            if operation.kind is OperationKind.OPEN:
                self._note(self.link.host.before)
        elif isinstance(e, Raised):
            name = self._by_identity.get((e.event.number, e.event.ec), OWN)
            self._moments.add(Moment(MomentKind.REQUEST, name))

    def _note(self, of: Books | None) -> None:
        if of is not None:
            self._books[of.session] = of

    def _result(self) -> RunResult:
        host = self.link.host
        self._note(host.before)
        if host.session.number:
            self._note(books(host))
        return RunResult(
            tuple(self._books.values()),
            tuple(self.link.offences),
            tuple(self.link.excused),
            tuple(self._failed),
            (*map(str, self._schedule.left), *(f"fault {text(f)}" for f in self.link.missed)),
            self.link.submitted,
            self.link.now,
            self.link.mapped,
            self.link.took,
            tuple(self._skipped),
        )


@dataclass(frozen=True, slots=True)
class _Actions:
    """The steps' actions as inputs of our own host and firmware; ``wait`` lets virtual time pass."""

    link: InProcess
    mode: WantedMode
    vports: Mapping[str, int]
    wait: Callable[[float], None]

    def open(self, mode: WantedMode) -> None:
        self.link.feed(Open(mode if self.mode == "auto" else self.mode))

    def close(self, teardown: Teardown) -> None:
        self.link.feed(Close(teardown))

    def enable(self, function: str) -> None:
        self.link.feed(EnableVport(self.vports[function]))

    def disable(self, function: str) -> None:
        self.link.feed(DisableVport(self.vports[function]))

    def request(self, function: str, pages: int) -> None:
        self.link.stir(Want(function, pages))

    def reset(self, function: str) -> None:
        self.link.stir(ResetFunction(function))

    def health(self, reason: str) -> None:
        self.link.feed(HealthFatal(reason))

    def lose_link(self, reason: str, seconds: float) -> None:  # noqa: ARG002  # our link comes back with a reset
        self.link.feed(LinkLost(reason))
