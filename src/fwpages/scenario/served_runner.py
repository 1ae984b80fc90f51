"""A scenario lived with a driver of somebody else's: it opens and closes the device, the scenario does the rest.

The row of steps begins anew with each client. A step that only the driver can take is waited for: ``open`` until it
takes page requests, ``close`` until it has closed the device. A function that a scenario enables begins its life by
itself (it asks for its pages), and gives them back when it is disabled: the driver need not have an e-switch. ``at``
counts seconds from the driver's first command.

``health`` lasts until the driver resets the device. ``lose-link`` lasts for the ``wait`` steps that follow it in the
file, or ``LOST_FOR``; the device loses all that it has, so that it comes back as after a reset. While either lasts,
nothing happens inside the device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import takewhile

import msgspec

from fwpages.device import FunctionSpec, PlannedFault, Profile, ResetFunction, Submitted, Want, faulty
from fwpages.device.firmware.ethernet_capabilities import ethernet_pages
from fwpages.device.firmware.loadable import LoadableFirmware, with_fdb
from fwpages.device.pci.sriov import MOST_VFS
from fwpages.link.queue.device import Seen
from fwpages.link.tap import Tap
from fwpages.link.vfio_user.connection import Connection
from fwpages.link.vfio_user.served_device import ServedDevice
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType
from fwpages.scenario.assumptions import under
from fwpages.scenario.event_lines import OnEvent
from fwpages.scenario.fault_syntax import split
from fwpages.scenario.format import (
    CloseStep,
    DisableStep,
    EnableStep,
    HealthStep,
    LoseStep,
    OpenStep,
    RequestStep,
    ResetStep,
    Scenario,
    ScenarioError,
    Step,
    WaitStep,
)
from fwpages.scenario.observer import Observer
from fwpages.scenario.topology import check_moments, device_profile, fitting, functions

#: seconds after which a step counts as over although the driver has not done what it was asked for; an emulated
#: processor that shares its host with others gives 50,000 pages in a few seconds
PATIENCE = 60.0
#: seconds without a command after which a driver counts as done with loading: to hit it there, let ``health`` or
#: ``lose-link`` come ``at`` a time or ``after`` something
QUIET = 3.0
#: seconds for a driver to reset a device in a fatal state. Linux notices within some two seconds (``poll_health``), but
#: first ends what it is doing: a command of its load or unload that is not answered takes 60 s
RESET_PATIENCE = 2 * PATIENCE
#: seconds that a link is lost for where the scenario does not say
LOST_FOR = 10.0


@dataclass(frozen=True, slots=True)
class Expected:
    """A function that is to hold so many pages, by a time at the latest."""

    function: str
    held: int
    until: float


class ServedRun:
    """A served device that lives a scenario. Give it to ``fwpages.link.vfio_user.server.Server``.

    ``on_event`` is told in words what happens, with the seconds since this was made. With ``sriov`` the driver finds
    the scenario's VFs and may switch them on by itself. ScenarioError for what a served device cannot have.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int | None = None,
        faults: Iterable[PlannedFault] = (),
        tap: Tap | None = None,
        on_event: OnEvent | None = None,
        clock: Callable[[], float] = time.monotonic,
        sriov: bool = False,
    ) -> None:
        scenario = under(scenario)
        profile = device_profile(scenario)
        if seed is not None:
            profile = msgspec.structs.replace(profile, order="shuffled", seed=seed)
        specs = [spec for spec, _ in functions(scenario, profile)]
        of_device, of_link = split([*(PlannedFault(f.name, f.at, f.times) for f in scenario.fault), *faults])
        if of_link:
            raise ScenarioError(f"fault {of_link[0].name!r} is one of the link: a served device has none of these")
        self.steps = scenario.step
        self._pages = {spec.name: spec.pages for spec in specs}
        check_moments(scenario, self._pages)
        self._plan = [self._resolve(n, step) for n, step in enumerate(self.steps)]
        self.vfs = _vfs(profile, specs) if sriov else 0
        pages = profile.capability_pages or ethernet_pages()
        firmware = LoadableFirmware(profile, specs, pages=with_fdb(pages) if sriov else pages)
        self.firmware = faulty(firmware, of_device) if of_device else firmware
        self.seen = Observer(self.firmware, tap, on_event)
        self.device = ServedDevice(
            self.firmware,
            profile,
            watch=self._watch,
            on_client=self._client,
            on_refusal=lambda words: self.seen.say(self.device.now, f"refused: {words}"),
            clock=clock,
            vfs=self.vfs,
        )
        self._clock = clock
        self._looked = 0.0
        #: steps that the driver did not follow within ``PATIENCE``
        self.unfollowed: list[str] = []
        self._start_row()

    def _resolve(self, n: int, step: Step) -> tuple[str, ...]:
        pattern = getattr(step, "function", None)
        if pattern is None:
            return ()
        allowed = [*self._pages, "self"] if isinstance(step, RequestStep) else list(self._pages)
        return fitting(n, pattern, allowed)

    def _start_row(self) -> None:
        self._row = [n for n, step in enumerate(self.steps) if not step.triggered]
        self._waiting = [n for n, step in enumerate(self.steps) if step.triggered]
        self._expected: list[Expected] = []
        self._not_before = 0.0
        #: when trouble comes at the latest, whether the driver is at rest or not
        self._stir_by: float | None = None
        #: until when the link is lost; until when the driver should have reset a device in a fatal state
        self._lost_until: float | None = None
        self._reset_until: float | None = None
        self._session = 0
        self._begun: float | None = None
        self._commands = self.seen.commands
        self._stirred = False
        self.seen.moments.clear()

    # -- what the server calls ----------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When to call ``tick`` (seconds of the clock)."""
        if self._stirred:
            return self._clock()
        offset = self._clock() - self.device.now
        times = [self._not_before, *(e.until for e in self._expected)]
        times += [t for t in (self._lost_until, self._reset_until) if t is not None]
        times += [] if self._begun is None else [self._begun + (self.steps[n].at or 0.0) for n in self._waiting]
        # a time that has come stays due until ``tick`` has looked
        ahead = [t + offset for t in times if t > self._looked]
        own = self.device.deadline
        return min([*ahead, *([] if own is None else [own])], default=None)

    def connected(self) -> Connection:
        """A client came: the scenario begins."""
        self._start_row()
        return self.device.connected()

    def disconnected(self, reason: str) -> None:
        """It is gone."""
        self.seen.over(self.device.now, "gone", reason)
        self._lost_until = self._reset_until = None
        self.device.disconnected(reason)

    def tick(self) -> None:
        """A deadline has come, or something happened that a step may have waited for."""
        own = self.device.deadline
        if own is not None and own <= self._clock():
            self.device.tick()
        self._stirred, self._looked = False, self.device.now
        self._restore()
        self._fire()
        while self._row and self._at_rest() and self._take(self._row[0]):
            self._row.pop(0)
            self._fire()

    def _client(self, t: float, reason: str) -> None:
        self.seen.say(t, f"the virtual machine is gone: {reason}" if reason else "a virtual machine is here")

    def _watch(self, t: float, x: Seen) -> None:
        # the resets of a machine that starts are not its driver's doing
        if self._begun is None and isinstance(x, Submitted):
            self._begun = t
        self.seen.watch(t, x, self.device.slot_of(x))
        self._stirred = True

    # -- steps --------------------------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Every step was taken."""
        return not self._row and not self._waiting

    @property
    def missed(self) -> tuple[str, ...]:
        """The steps that the present client's driver has not come to."""
        return tuple(f"step[{n}] ({_tag(self.steps[n])})" for n in sorted(self._row + self._waiting))

    def _at_rest(self) -> bool:
        now, inner = self.device.now, self.seen.inner
        if now < self._not_before or not self._recovered():
            return False
        left = []
        for e in self._expected:
            held = inner.held(e.function)
            if held == e.held or (held < e.held and not inner.asks(e.function)):
                continue
            if now < e.until and self.seen.open:
                left.append(e)
            elif self.seen.open:
                self.unfollowed.append(f"{e.function}: {many(held)} held, {e.held:,} expected")
        self._expected = left
        return not left

    def _recovered(self) -> bool:
        """No reset is waited for (any more)."""
        if self._reset_until is None:
            return True
        if self.device.stopped and self.device.now < self._reset_until:
            return False
        if self.device.stopped:
            self.unfollowed.append("health: the driver has not reset the device")
        self._reset_until = None
        return True

    def _restore(self) -> None:
        """The link comes back when its time has come."""
        if self._lost_until is not None and self.device.now >= self._lost_until:
            self._lost_until = None
            self.device.restore()
            self.seen.back(self.device.now)

    def _fire(self) -> None:
        """The triggered steps whose moment has come."""
        now = self.device.now
        for n in tuple(self._waiting):
            step = self.steps[n]
            due = (
                (step.at is None or (self._begun is not None and now >= self._begun + step.at))
                and (step.after is None or step.after in self.seen.moments)
                and (step.command is None or self.seen.commands - self._commands >= step.command)
            )
            if due and self._take(n):
                self._waiting.remove(n)

    def _take(self, n: int) -> bool:
        """Do this step; False where it has to wait for the driver."""
        step, seen = self.steps[n], self.seen
        match step:
            case OpenStep():
                s = seen.session
                if s is None or s.number == self._session or not seen.open:
                    return False
                self._session = s.number
                return True
            case CloseStep():
                return self._session > 0 and seen.sessions[self._session - 1].end != "open"
        if not seen.open or (self.device.stopped and not isinstance(step, WaitStep)):
            return False
        if step.only is not None and step.only != seen.inner.mode:
            return True
        if isinstance(step, WaitStep):
            self._not_before = self.device.now + step.seconds
            return True
        if isinstance(step, HealthStep | LoseStep):
            if not step.triggered and not self._quiet():
                return False
            self._break(n, step)
        for name in self._plan[n]:
            self._do(step, name)
        if not step.settle:
            self._expected.clear()
            self._reset_until = None
        return True

    def _quiet(self) -> bool:
        """The driver has nothing to do (or never rests); where not, time is what is waited for."""
        now, last = self.device.now, self.seen.last_command
        if self._stir_by is None:
            self._stir_by = now + PATIENCE
        self._not_before = min(last + QUIET, self._stir_by)
        if now < self._not_before:
            return False
        self._stir_by = None
        return True

    def _break(self, n: int, step: HealthStep | LoseStep) -> None:
        now = self.device.now
        self._expected.clear()
        if isinstance(step, HealthStep):
            self._reset_until = now + RESET_PATIENCE
            self.device.fail(step.reason)
            self.seen.troubled(now, "health", step.reason)
        else:
            self._lost_until = now + (self._waits_after(n) or LOST_FOR)
            self.device.lose()
            self.seen.troubled(now, "lost", step.reason)

    def _waits_after(self, n: int) -> float:
        """Seconds that the row waits right after this step."""
        waits = takewhile(lambda s: isinstance(s, WaitStep) and not s.triggered, self.steps[n + 1 :])
        return sum(s.seconds for s in waits if isinstance(s, WaitStep))

    def _do(self, step: Step, name: str) -> None:
        held = self.seen.inner.held(name)
        match step:
            case RequestStep():
                self._stir(Want(name, step.pages), name, max(0, held + step.pages))
            case EnableStep():
                self._stir(Want(name, self._pages[name]), name, held + self._pages[name])
                self.seen.moments.add(f"enable {name}")
            case DisableStep() | ResetStep():
                self._stir(ResetFunction(name), name, 0)
                if isinstance(step, DisableStep):
                    self.seen.moments.add(f"disable {name}")

    def _stir(self, x: Want | ResetFunction, name: str, held: int) -> None:
        self._expected = [e for e in self._expected if e.function != name]
        self._expected.append(Expected(name, held, self.device.now + PATIENCE))
        self.device.stir(x)


def _vfs(p: Profile, specs: Iterable[FunctionSpec]) -> int:
    """VFs of the SR-IOV capability: up to the last that the scenario has."""
    if p.ecpf:
        raise ScenarioError(f"{p.name} is an embedded CPU's: SR-IOV is served for a PF only")
    last = max((f.function_id for f in specs if f.type is FunctionType.VF), default=0)
    if not 1 <= last <= MOST_VFS:
        raise ScenarioError(f"SR-IOV needs functions of type vf in the scenario, with an index up to {MOST_VFS - 1}")
    return last


def _tag(step: Step) -> str:
    return str(step.__struct_config__.tag)
