"""A run with our own host on a device that others provide, in real time: over vfio-user, or by VFIO.

Without a scenario the device is opened, its page requests are answered until ``stop``, and it is closed. A session that
the device ends (a fatal syndrome, a lost link) is followed by another one, once the device is fenced.

With a scenario the steps of the row follow each other. The driver takes ``open``, ``close``, ``enable``, ``disable``
and ``wait``. The others only the device can take: ``request`` and ``reset`` of a function, ``health``, ``lose-link``.
For these the row waits until the function holds what it should then, or the session is over; a step for which nothing
came within ``STEP_WAIT`` never happened. So one scenario runs on both sides: ``fwpages serve`` takes
the device's steps, and waits for the driver's.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from fwpages.device import FunctionSpec, Raised
from fwpages.host import (
    Bounds,
    Close,
    Config,
    DisableVport,
    Done,
    EnableVport,
    Finding,
    FunctionsChanged,
    Host,
    Misuse,
    Open,
    Phase,
    VportInfo,
    WantedMode,
)
from fwpages.host.io import OperationKind
from fwpages.link.driving.dma_memory import DmaMemory, window_in
from fwpages.link.driving.driven import Driven
from fwpages.link.driving.functions import ToldFunctions, beyond_host, beyond_sriov
from fwpages.link.driving.opening import Described
from fwpages.link.driving.pci_device import PciDevice
from fwpages.link.tap import EswitchTap
from fwpages.prm.identity import Names, Supplier
from fwpages.prm.opcodes import Teardown
from fwpages.scenario.assumptions import under
from fwpages.scenario.driven_lines import DrivenLines
from fwpages.scenario.event_lines import OnEvent
from fwpages.scenario.expected_pages import ExpectedPages
from fwpages.scenario.format import Scenario, ScenarioError
from fwpages.scenario.interpreter import PlannedStep, Schedule, planned
from fwpages.scenario.run_books import RunBooks
from fwpages.scenario.runner import RunResult, SkippedStep
from fwpages.scenario.topology import device_profile, functions, names_of

#: seconds without any event that the row waits for a step that only the device can take: a served device goes on with
#: the next one when its driver has not followed the last for 60 s
STEP_WAIT = 75.0
#: seconds without anything to do after which the device counts as done with what followed from a step
QUIET = 0.02
#: sessions that the device may end, one after the other, before the run gives up: a device that never recovers ends
MOST_RECOVERIES = 10


@dataclass(frozen=True, slots=True)
class Roles:
    """The functions that the user names: each side's words for them, and the supplier that drives them.

    ``named``: they win over those that the device tells of itself.
    """

    supplier: Supplier
    pairs: tuple[tuple[FunctionSpec, VportInfo], ...] = ()
    named: bool = False

    @property
    def names(self) -> Names:
        """The functions' names, each with its identities in either mode."""
        return names_of(self.pairs)

    @property
    def infos(self) -> dict[str, VportInfo]:
        """The functions' vports, by their names."""
        return {spec.name: info for spec, info in self.pairs}


def roles_of(described: Described, scenario: Scenario | None) -> Roles:
    """The supplier and its functions, by the scenario where there is one; ScenarioError where the device is another.

    What an embedded CPU's external host has is known once the device is open.
    """
    if scenario is None:
        return Roles(described.supplier)
    profile = device_profile(scenario)
    if profile.ecpf != described.supplier.ecpf:
        kinds = ("a PF", "an ECPF")
        theirs = kinds[described.supplier.ecpf]
        raise ScenarioError(f"device.profile: {profile.name} is for {kinds[profile.ecpf]}, the device is {theirs}")
    roles = Roles(profile.supplier, functions(scenario, profile), named=True)
    if against := beyond_sriov(roles.infos, described):
        raise ScenarioError(f"function {against}")
    return roles


def host_for(
    device: PciDevice, described: Described, roles: Roles, scenario: Scenario | None = None
) -> tuple[Host, DmaMemory]:
    """Make the host that drives the device, and its memory: as much of it as the device's I/O addresses have room for.

    Times are the scenario's, else those that the device tells. DeviceError where the addresses have too little room.
    """
    bounds = bounds_for(described, scenario)
    window = window_in(device.ranges, bounds.memory)
    bounds = dataclasses.replace(bounds, memory=window.pages)
    chosen = scenario is not None and (scenario.bounds.reclaim_progress or scenario.bounds.wait_progress)
    asks = described.command_time is not None and not chosen
    config = Config(roles.supplier, window.lent, bounds, described.slots, asks_times=asks, asks_functions=True)
    return Host(config), DmaMemory(device, window)


class DrivenRun:
    """One run on ``device``, which was begun (``begun``) and is closed at the end. A context manager.

    ``mode`` other than auto is asked for at every open. ``on_event`` is called with each event in words and the seconds
    since this was made, by ``clock``. ``checked`` checks the host's invariants after every step of the loop.
    """

    def __init__(
        self,
        device: PciDevice,
        described: Described,
        scenario: Scenario | None = None,
        *,
        mode: WantedMode = "auto",
        tap: EswitchTap | None = None,
        on_event: OnEvent | None = None,
        checked: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        scenario = None if scenario is None else under(scenario)
        self._roles = roles_of(described, scenario)
        steps = () if scenario is None else planned(scenario, [spec.name for spec, _ in self._roles.pairs])
        host, memory = host_for(device, described, self._roles, scenario)
        names = self._roles.names
        self._lines = DrivenLines(host, names, on_event, tap)
        self._held = ExpectedPages(host, names, {spec.name: spec.pages for spec, _ in self._roles.pairs})
        self._books = RunBooks(host, lambda: self.link.now, self._roles.pairs, self._held.look)
        self.link = Driven(host, device, memory, tap=self._lines, on_event=self._note, clock=clock)
        if self._roles.named:
            self.link.feed(FunctionsChanged(tuple(self._roles.infos.values())))
        self._told = ToldFunctions(host)
        #: why the device cannot be that of the scenario, as it says itself
        self._against = ""
        self._mode, self._checked = mode, checked
        self._schedule = Schedule(steps, begun=0.0)
        self._vports = {spec.name: info.vport for spec, info in self._roles.pairs}
        self._actions = _Actions(self.link, mode, self._vports, self._held, self._wait)
        self._skipped: list[SkippedStep] = []
        self._missed: list[PlannedStep] = []
        self._stopped = False
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.link.watch(self._wake)

    # -- for the caller -----------------------------------------------------------------------------------------------

    @property
    def waker(self) -> int:
        """A descriptor for ``signal.set_wakeup_fd``: a byte written to it wakes the loop."""
        return self._waker

    def stop(self) -> None:
        """Close the device in order, and end. May be called from a signal handler or another thread."""
        self._stopped = True
        # a full pipe wakes the loop anyway
        with suppress(OSError):
            os.write(self._waker, b"\0")

    def run(self) -> RunResult:
        """Take every step of the scenario, or serve until ``stop``; then close what is open.

        ScenarioError where the device, once it is open, has not the functions of the scenario: it is closed before any
        of them is enabled.
        """
        if self._schedule.left:
            self._row()
        else:
            self._serve()
        self._finish()
        self.link.check()
        if self._against:
            raise ScenarioError(f"function {self._against}")
        return self._result()

    @property
    def functions(self) -> Mapping[str, int] | None:
        """How many functions of each type the device tells of; None where the scenario names them."""
        return None if self._roles.named else self._told.counts

    def close(self) -> None:
        """Let go of the device. Bus mastering goes off; what it has not given back stays mapped until then."""
        self.link.close()
        for fd in (self._wake, self._waker):
            if fd >= 0:
                os.close(fd)
        self._wake = self._waker = -1

    def __enter__(self) -> DrivenRun:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- without a scenario -------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Answer page requests until ``stop``; open the device again where it ended a session."""
        for _ in range(1 + MOST_RECOVERIES):
            self._lines.say(self.link.now, f"session {self.link.host.session.number + 1}: the device is opened")
            self.link.feed(Open(self._mode))
            while not self._stopped and self.link.host.session.phase is not Phase.ENDED:
                self._step(None)
            if self._stopped or self.link.host.dirty or self.link.host.session.failure:
                return

    def _finish(self) -> None:
        """Close the session that is open; one that is being opened is waited for. The device is not left open."""
        host = self.link.host
        while host.session.phase is Phase.OPENING:
            self._step(None)
        if host.session.phase is Phase.OPEN:
            self._lines.say(self.link.now, "the device is closed")
            self.link.feed(Close())
        while not self.link.idle:
            self._step(None)

    # -- with one -----------------------------------------------------------------------------------------------------

    def _row(self) -> None:
        while (step := self._schedule.next_in_row) is not None and not self._stopped:
            self._take(step)
            if step.step.settle:
                self._settle(step)
        self._until(lambda: not self._schedule.times or self.link.now > max(self._schedule.times))
        self._settle(None)

    def _take(self, step: PlannedStep) -> None:
        self._schedule.taken(step)
        if not step.applies(self.link.host.session.mode):
            return
        try:
            step.perform(self._actions)
        except Misuse as e:
            self._skipped.append(SkippedStep(step, str(e)))

    def _settle(self, step: PlannedStep | None) -> None:
        """Wait until nothing is pending and the functions hold what they should; the device has its time for that."""
        begun = self.link.now
        self._until(lambda: self._at_rest() or (self.link.idle and self._waited(begun)))
        if not self._held.met:
            if step is not None and not self._books.failed:
                self._missed.append(step)
            self._held.forget()

    def _waited(self, begun: float) -> bool:
        """Nothing has happened for as long as the row waits."""
        return self.link.now - max(begun, self.link.stirred) >= STEP_WAIT

    def _wait(self, seconds: float) -> None:
        end = self.link.now + seconds
        self._until(lambda: self.link.now >= end)

    def _at_rest(self) -> bool:
        """Nothing is pending, and nothing came for a moment."""
        return self.link.idle and self._held.met and self.link.now - self.link.stirred >= QUIET

    # -- the loop -----------------------------------------------------------------------------------------------------

    def _until(self, truth: Callable[[], bool]) -> None:
        """Go on until this is so, or until ``stop``."""
        while not truth() and not self._stopped:
            self._fire()
            self._step(QUIET)

    def _step(self, most: float | None) -> None:
        self.link.step(most)
        with suppress(BlockingIOError):
            os.read(self._wake, 4096)
        self._held.look()
        if self._checked:
            self.link.check()

    def _fire(self) -> None:
        """Take the triggered steps that are due."""
        for step in self._schedule.due(self._books.moments, self.link.now, self.link.submitted):
            self._take(step)

    def _note(self, e: Done | Finding | Raised) -> None:
        self._books.note(e)
        self._lines.note(e)
        if isinstance(e, Done) and e.ok:
            name = next((n for n, vport in self._vports.items() if vport == e.operation.vport), "")
            match e.operation.kind:
                case OperationKind.OPEN:
                    self._held.opened()
                case OperationKind.ENABLE:
                    self._held.enabled(name)
                case OperationKind.DISABLE:
                    self._held.disabled(name)
                case OperationKind.FUNCTIONS:
                    self._functions(e)

    def _functions(self, e: Done) -> None:
        """The device has told of its functions: name them, or compare them with those of the scenario."""
        if not self._roles.named:
            if self._told.note(e):
                self._lines.learn(self._told.names)
                own = "ECPF" if self._roles.supplier.ecpf else "PF"
                self._lines.say(self.link.now, f"functions beside the {own}: {self._told}")
        elif against := beyond_host(self._roles.infos, self.link.host.session.others):
            self._against, self._stopped = against, True

    def _result(self) -> RunResult:
        return RunResult(
            sessions=tuple(self._books.sessions.values()),
            offences=(),
            excused=(),
            failed=tuple(self._books.failed),
            missed_steps=tuple(sorted((*self._missed, *self._schedule.left), key=lambda s: s.number)),
            missed_faults=(),
            commands=self.link.submitted,
            seconds=self.link.now,
            mapped=self.link.mapped,
            faults=(),
            skipped=tuple(self._skipped),
            supplier=self._roles.supplier,
            names=self._roles.names if self._roles.named else self._told.names,
            timelines=self._books.timelines,
        )


def bounds_for(described: Described, scenario: Scenario | None = None) -> Bounds:
    """The scenario's bounds; the time for a command is the device's own where it alone tells one."""
    bounds = Bounds() if scenario is None else scenario.bounds.bounds()
    told = described.command_time
    if told is None or (scenario is not None and scenario.bounds.command is not None):
        return bounds
    return dataclasses.replace(bounds, command=told)


@dataclass(frozen=True, slots=True)
class _Actions:
    """The steps' actions: the driver's own are inputs of the host, the device's are expected of it."""

    link: Driven
    mode: WantedMode
    vports: Mapping[str, int]
    expected: ExpectedPages
    wait_for: Callable[[float], None]

    def open(self, mode: WantedMode) -> None:
        self.link.feed(Open(mode if self.mode == "auto" else self.mode))

    def close(self, teardown: Teardown) -> None:
        self.link.feed(Close(teardown))

    def enable(self, function: str) -> None:
        self.link.feed(EnableVport(self.vports[function]))

    def disable(self, function: str) -> None:
        self.link.feed(DisableVport(self.vports[function]))

    def request(self, function: str, pages: int) -> None:
        self.expected.requested(function, pages)

    def reset(self, function: str) -> None:
        enabled = self.vports[function] in self.link.host.session.vports
        self.expected.reset(function, enabled=enabled)

    def health(self, reason: str) -> None:  # noqa: ARG002  # the device says it in its own words
        self.expected.ended()

    def lose_link(self, reason: str, seconds: float) -> None:  # noqa: ARG002  # and comes back in its own time
        self.expected.ended()

    def wait(self, seconds: float) -> None:
        self.wait_for(seconds)
