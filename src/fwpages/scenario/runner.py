"""A run of a scenario: our own host and firmware in one process, in virtual time.

The steps of the row follow each other: the next one is taken when nothing is pending between host and firmware, unless
the last one says ``settle = false``. Triggered steps are taken when they are due. Time moves only when
nothing else can.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from fwpages.custody.accounts import Verdict, verdict_of
from fwpages.device import Firmware, Offence, PlannedFault, Profile, ResetFunction, Want, faulty
from fwpages.host import (
    Books,
    Close,
    Config,
    DisableVport,
    EnableVport,
    FunctionsChanged,
    HealthFatal,
    Host,
    LinkLost,
    Misuse,
    Open,
    WantedMode,
)
from fwpages.link.faults.consequences import Excused
from fwpages.link.faults.injector import LinkInjector
from fwpages.link.inprocess import InProcess
from fwpages.link.queue.inprocess import InProcessQueue
from fwpages.link.tap import Tap
from fwpages.prm.identity import Names, Supplier
from fwpages.prm.opcodes import Teardown
from fwpages.scenario.assumptions import under
from fwpages.scenario.fault_syntax import split
from fwpages.scenario.format import OpenStep, Scenario, ScenarioError, Step
from fwpages.scenario.interpreter import PlannedStep, Schedule, planned
from fwpages.scenario.run_books import FailedOperation, RunBooks, SessionTimeline
from fwpages.scenario.topology import device_profile, functions, names_of

MODE_BIT = "icm_mng_function_id_mode"
#: steps of the link after which a device is called restless, and the row goes on without waiting for it: three times
#: what a burst of as many page requests as the largest queue bound needs
RESTLESS = 50_000


@dataclass(frozen=True, slots=True)
class SkippedStep:
    """A step that could not be taken because of a fault, and why."""

    step: PlannedStep
    reason: str

    def __str__(self) -> str:
        return f"{self.step}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Restless:
    """Host and device that were still busy after ``RESTLESS`` steps of the link, at this time (seconds)."""

    at: float

    def __str__(self) -> str:
        return f"coming to rest: still busy after {RESTLESS} steps at {self.at:.3f} s"


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run: the books of each session, and what else went wrong.

    ``offences`` are the driver's, as the firmware saw them, with the session; ``excused`` those that an injected fault
    caused, and that are not blamed on the driver; ``failed`` operations that did not succeed; ``missed_steps`` those
    whose trigger and ``missed_faults`` those whose opportunity never came; ``commands`` the number of commands;
    ``seconds`` of virtual time; ``mapped`` pages (4 KiB) of memory that are still lent at the end; ``faults`` those
    that took effect; ``skipped`` steps that could not be taken because of them. ``supplier`` and ``names`` are the
    scenario's. ``timelines`` have the pages of each session over time.
    """

    sessions: tuple[Books, ...]
    offences: tuple[tuple[int, Offence], ...]
    excused: tuple[Excused, ...]
    failed: tuple[FailedOperation, ...]
    missed_steps: tuple[PlannedStep, ...]
    missed_faults: tuple[PlannedFault, ...]
    commands: int
    seconds: float
    mapped: int
    faults: tuple[str, ...]
    skipped: tuple[SkippedStep | Restless, ...]
    supplier: Supplier
    names: Names
    timelines: Mapping[int, SessionTimeline] = field(compare=False, repr=False)

    @property
    def missed(self) -> tuple[PlannedStep | PlannedFault, ...]:
        """Everything that was asked for and never happened."""
        return (*self.missed_steps, *self.missed_faults)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the sessions. Offences, failed operations and steps not possible are findings.

        So is memory that is mapped after clean sessions. With a step or a fault that never happened, or without any
        session, the rest is not known.
        """
        sessions = [b.judged().verdict for b in self.sessions]
        left_mapped = bool(self.mapped) and set(sessions) <= {Verdict.CLEAN}
        wrong = bool(self.offences or self.failed or self.skipped) or left_mapped
        return verdict_of([*sessions, *[Verdict.FINDINGS] * wrong, *[Verdict.NOT_KNOWN] * bool(self.missed)])

    @property
    def clean(self) -> bool | None:
        """True: the run proves that nothing is wrong; False: something is; None: not known, or a session is open."""
        return self.verdict.clean


class ScenarioRun:
    """One run of a scenario over the direct link, or over the command queue (``link``), where everything is bytes.

    ``mode`` other than auto is asked for at every open. ``seed`` shuffles the order in which firmware returns pages.
    ``checked`` checks every invariant after every input. ``on_step`` is called with each step before it is taken.
    ScenarioError for a scenario that cannot be run, and for a mode that the device does not offer.
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
        # our own host waits as the scenario's bounds say, whatever a device would tell its driver
        profile = msgspec.structs.replace(device_profile(scenario), timeouts=None)
        _check_modes(scenario, profile, mode)
        if seed is not None:
            profile = msgspec.structs.replace(profile, order="shuffled", seed=seed)
        pairs = functions(scenario, profile)
        vports = {spec.name: info.vport for spec, info in pairs}
        self._schedule = Schedule(planned(scenario, list(vports)), begun=0.0)
        of_device, of_link = split([*(PlannedFault(f.name, f.at, f.times, f.during) for f in scenario.fault), *faults])
        firmware = Firmware(profile, [s for s, _ in pairs])
        joined = InProcessQueue if link == "queue" else InProcess
        host = Host(Config(profile.supplier, bounds=scenario.bounds.bounds()))
        self._books = RunBooks(host, lambda: self.link.now, pairs)
        self.link = joined(
            host,
            faulty(firmware, of_device) if of_device else firmware,
            faults=LinkInjector(of_link),
            tap=tap,
            checked=checked,
            on_event=self._books.note,
        )
        self.link.feed(FunctionsChanged(tuple(info for _, info in pairs)))
        self._actions = _Actions(self.link, mode, vports, self._wait)
        self._on_step = on_step
        self._skipped: list[SkippedStep | Restless] = []
        self._supplier = profile.supplier
        self._names = names_of(pairs)

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
        """Go on until nothing is pending; triggered steps are taken when they are due.

        Time passes for what the host or the device waits for. With ``until`` it also passes for the times that steps
        name, up to then.
        """
        for _ in range(RESTLESS):
            if not (self._fire() or self.link.step() or self._pass_time(until)):
                return
        self._skipped.append(Restless(self.link.now))

    def _pass_time(self, until: float | None) -> bool:
        """Move the clock to the next time at which something is due; False where there is none (by ``until``)."""
        due, at = self.link.deadline, self._next_time()
        if until is None:
            if due is None:
                return False
        elif min((t for t in (due, at) if t is not None), default=math.inf) > until:
            return False
        if at is not None and (due is None or at < due):
            self.link.now = at
            return True
        return self.link.wake()

    def _next_time(self) -> float | None:
        """The next time that a step names; a step whose time has come waits for something else."""
        return min((t for t in self._schedule.times if t > self.link.now), default=None)

    def _fire(self) -> bool:
        """Take the first triggered step that is due."""
        step = next(self._schedule.due(self._books.moments, self.link.now, self.link.submitted), None)
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
            if not (self.link.took or self._books.failed):
                raise ScenarioError(f"{step}: {e}") from None
            self._skipped.append(SkippedStep(step, str(e)))

    def _wait(self, seconds: float) -> None:
        then = self.link.now + seconds
        self._settle(then)
        self.link.now = max(self.link.now, then)

    def _result(self) -> RunResult:
        return RunResult(
            tuple(self._books.sessions.values()),
            tuple(self.link.offences),
            tuple(self.link.excused),
            tuple(self._books.failed),
            self._schedule.left,
            tuple(self.link.missed),
            self.link.submitted,
            self.link.now,
            self.link.mapped,
            self.link.took,
            tuple(self._skipped),
            self._supplier,
            self._names,
            self._books.timelines,
        )


def _check_modes(scenario: Scenario, profile: Profile, mode: WantedMode) -> None:
    """ScenarioError where VHCA_ID mode is asked for and the device does not offer it."""
    if profile.max.get(MODE_BIT):
        return
    if mode == "vhca_id":
        raise ScenarioError(f"VHCA_ID mode was asked for, but {profile.name} does not offer it ({MODE_BIT} is 0)")
    for n, step in enumerate(scenario.step):
        if isinstance(step, OpenStep) and step.mode == "vhca_id":
            raise ScenarioError(f"step[{n}].mode: {profile.name} does not offer VHCA_ID mode ({MODE_BIT} is 0)")


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
