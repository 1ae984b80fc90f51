"""The steps of a scenario with one driver of a served device: which are taken, and which are still waited for.

The driver opens and closes the device; the scenario does the rest. ``open`` counts as taken when the driver takes page
requests, ``close`` when it has closed the device. All other steps need a device that is open and not stopped; they are
taken at once, and what the driver has to do about them is written down: a function that is to hold so many pages, a
device that is to be reset. The next step of the row waits until the driver has done so, or has had its time.

``enable`` and ``disable`` wait for the driver where its e-switch enables the function: the host PF, an SPF, an EC VF,
a VF by SR-IOV. An external host's VFs are switched on and off by their host, in one step and by their number: the first
ones, through 0. The step waits then until the driver's e-switch has followed. Other functions ask for their pages by
themselves: the driver need not have an e-switch.

``health`` and ``lose-link`` concern the whole device. In the row they wait until the driver has finished loading, which
shows in that it sends no command for ``QUIET`` seconds; so does a change of a host's VFs, which Linux does not hear of
while it enables its e-switch. With a trigger they come at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fwpages.device import HostVfs, ResetFunction, Submitted, Want
from fwpages.host import WantedMode
from fwpages.link.queue.device import DeviceEvent
from fwpages.link.vfio_user.served_device import ServedDevice
from fwpages.pages.words import many
from fwpages.prm.opcodes import Teardown
from fwpages.scenario.format import CloseStep, DisableStep, EnableStep, HealthStep, LoseStep, OpenStep, WaitStep
from fwpages.scenario.interpreter import Moment, MomentKind, PlannedStep, Schedule
from fwpages.scenario.observer import Observer

#: seconds after which a step counts as over although the driver has not done what it was asked for; an emulated
#: processor that shares its host with others gives 50,000 pages in a few seconds
STEP_WAIT = 60.0
#: seconds without a command after which a driver counts as done with loading: to break the device during the load, let
#: ``health`` or ``lose-link`` come ``at`` a time or ``after`` something
QUIET = 3.0
#: seconds between looks whether a driver has read what is in its event queues
LOOK = 0.01
#: seconds for a driver to reset a device in a fatal state. Linux notices within some two seconds (``poll_health``), but
#: first ends what it is doing: a command of its load or unload that is not answered takes 60 s
RESET_WAIT = 2 * STEP_WAIT
#: seconds that a link is lost for where the scenario does not say
LOST_FOR = 10.0


@dataclass(frozen=True, slots=True)
class Expected:
    """A function that is to hold so many pages (4 KiB each), by a time at the latest; None: all that it asks for."""

    function: str
    held: int | None
    until: float


@dataclass(frozen=True, slots=True)
class ByEswitch:
    """The functions that the driver's own e-switch enables and disables.

    ``names`` are all of them, ``of_host`` the VFs of an external host with their numbers from 1 on: the host has them
    on or off, as many as it likes of the first ones, and the driver follows. ``once``: the driver goes by the same
    scenario. It is let to read each answer before the next step, and what it could not enable or disable the first time
    is not waited for.
    """

    names: frozenset[str] = frozenset()
    of_host: Mapping[str, int] = field(default_factory=dict)
    once: bool = False


class ServedSteps:
    """The steps with one client, from its connection on; times are seconds of the served device.

    ``pages`` has the pages that each function wants once it is enabled. Steps that the driver has not followed in time
    are added to ``unfollowed``.
    """

    def __init__(
        self,
        steps: Sequence[PlannedStep],
        device: ServedDevice,
        observer: Observer,
        pages: Mapping[str, int],
        eswitch: ByEswitch,
        unfollowed: list[str],
    ) -> None:
        self._schedule = Schedule(steps)
        self._device = device
        self._observer = observer
        self._pages = pages
        self._eswitch = eswitch
        #: how many VFs the external host is to have on, by the number of the step that says so
        self._host_vfs: dict[int, int] = {}
        self._unfollowed = unfollowed
        self._expected: list[Expected] = []
        #: what the driver has tried to enable or disable, and no step has waited for so far
        self._tried: set[Moment] = set()
        self._not_before = 0.0
        #: the next step of the row does not wait for what the driver has to do about those before it; a later one does
        self._at_once = False
        #: when the row's ``health`` or ``lose-link`` comes at the latest, whether the driver is quiet or not
        self._break_by: float | None = None
        #: until when the link is lost; until when the driver should have reset a device in a fatal state
        self._lost_until: float | None = None
        self._reset_until: float | None = None
        #: the session that the row has come to
        self._session = 0
        self._commands_before = observer.commands
        observer.moments.clear()

    # -- for the run ------------------------------------------------------------------------------------------------

    @property
    def left(self) -> tuple[PlannedStep, ...]:
        """The steps not yet taken."""
        return self._schedule.left

    @property
    def times(self) -> tuple[float, ...]:
        """The times at which to call ``go_on``, those that have passed included."""
        until = (t for t in (self._lost_until, self._reset_until) if t is not None)
        return (self._not_before, *(e.until for e in self._expected), *until, *self._schedule.times)

    def observe(self, t: float, x: DeviceEvent) -> None:
        """Start the clock of the steps with the first command: a machine that starts resets the device before it."""
        if not isinstance(x, Submitted):
            return
        if self._schedule.begun is None:
            self._schedule.begun = t
        switch = self._observer.switch(x.command) if self._eswitch.once else None
        if switch is not None:
            self._tried.add(switch)

    def disconnected(self) -> None:
        """The client is gone: neither the link nor a reset is waited for."""
        self._lost_until = self._reset_until = None

    def go_on(self) -> None:
        """Take every step whose turn or trigger has come."""
        self._restore()
        self._fire()
        while (step := self._schedule.next_in_row) is not None and self._at_rest() and self._take(step):
            self._schedule.taken(step)
            self._at_once = not step.step.settle
            self._fire()

    # -- when a step is taken ---------------------------------------------------------------------------------------

    def _restore(self) -> None:
        """Bring the link back when its time has come."""
        if self._lost_until is not None and self._device.now >= self._lost_until:
            self._lost_until = None
            self._device.restore()
            self._observer.back(self._device.now)

    def _fire(self) -> None:
        """Take the triggered steps that are due."""
        commands = self._observer.commands - self._commands_before
        for step in self._schedule.due(self._observer.moments, self._device.now, commands):
            if self._take(step):
                self._schedule.taken(step)

    def _take(self, step: PlannedStep) -> bool:
        """Take this step; False where it has to wait for the driver."""
        if not self._ready(step):
            return False
        if not isinstance(step.step, OpenStep | CloseStep) and not step.applies(self._observer.inner.mode):
            return True
        if self._comes_when_quiet(step) and not self._quiet():
            return False
        if not self._host_follows(step) or not all(step.perform(self)):
            return False
        self._expect_switched(step)
        # a later step of the kind waits for a try of its own
        self._tried = {m for m in self._tried if m.function not in step.functions}
        return True

    def _comes_when_quiet(self, step: PlannedStep) -> bool:
        """Tell whether the step waits in the row until the driver is quiet: about the whole device, or a host's VFs."""
        if step.step.triggered:
            return False
        if isinstance(step.step, HealthStep | LoseStep):
            return True
        return bool(self._of_host(step)) and step.number not in self._host_vfs

    def _of_host(self, step: PlannedStep) -> list[int]:
        """The numbers of an external host's VFs that the step enables or disables."""
        if not isinstance(step.step, EnableStep | DisableStep):
            return []
        return [self._eswitch.of_host[name] for name in step.functions if name in self._eswitch.of_host]

    def _host_follows(self, step: PlannedStep) -> bool:
        """Let the external host have as many VFs on as this step says; False while it has none on in between.

        It goes through 0, and on from there once the driver has heard of that: so do hosts, and Linux relies on it.
        """
        numbers = self._of_host(step)
        if not numbers:
            return True
        now, told = self._observer.inner.host_vfs
        enables = isinstance(step.step, EnableStep)
        count = self._host_vfs.setdefault(step.number, max(now, *numbers) if enables else min(now, min(numbers) - 1))
        if now == count:
            return True
        if now == 0 and told:
            return False
        self._device.stir(HostVfs(count if now == 0 else 0))
        return now == 0 or count == 0

    def _expect_switched(self, step: PlannedStep) -> None:
        """Functions that the driver has enabled are to have their pages, those that it has disabled none."""
        if isinstance(step.step, EnableStep | DisableStep):
            held = None if isinstance(step.step, EnableStep) else 0
            for name in self._eswitch.names.intersection(step.functions):
                self._expect(name, held)

    def _ready(self, step: PlannedStep) -> bool:
        """Tell whether the device is as the step needs it: open and not stopped, unless the driver alone takes it."""
        match step.step:
            case OpenStep() | CloseStep():
                return True
            case WaitStep():
                return self._observer.open
            case _:
                return self._observer.open and not self._device.stopped

    def _quiet(self) -> bool:
        """Tell whether the driver has finished loading, or has had ``STEP_WAIT``; if not, wait for the time."""
        now = self._device.now
        if self._break_by is None:
            self._break_by = now + STEP_WAIT
        self._not_before = min(self._observer.last_command + QUIET, self._break_by)
        if now < self._not_before:
            return False
        self._break_by = None
        return True

    def _at_rest(self) -> bool:
        """Tell whether the driver has followed every step so far, or has had its time."""
        if self._device.now < self._not_before:
            return False
        if self._at_once:
            return True
        if self._eswitch.once and self._device.queue.rings.waiting:
            # what comes next would cross an answer that the driver has not read
            self._not_before = self._device.now + LOOK
            return False
        if not self._recovered():
            return False
        self._expected = [e for e in self._expected if self._pending(e)]
        return not self._expected

    def _pending(self, e: Expected) -> bool:
        inner = self._observer.inner
        held = inner.held(e.function)
        asks = inner.asks(e.function)
        due = held + asks if e.held is None else e.held
        if held == due or (held < due and not asks) or not self._observer.open:
            return False
        if self._device.now < e.until:
            return True
        self._unfollowed.append(f"{e.function}: {many(held)} held, {due:,} expected")
        return False

    def _recovered(self) -> bool:
        """Tell whether no reset is waited for."""
        if self._reset_until is None:
            return True
        if self._device.stopped and self._device.now < self._reset_until:
            return False
        if self._device.stopped:
            self._unfollowed.append("health: the driver has not reset the device")
        self._reset_until = None
        return True

    # -- actions: True where the step is taken ----------------------------------------------------------------------

    def open(self, mode: WantedMode) -> bool:  # noqa: ARG002  # the driver chooses
        """Tell whether the driver has opened the device anew and takes page requests."""
        s = self._observer.session
        if s is None or s.number == self._session or not self._observer.open:
            return False
        self._session = s.number
        return True

    def close(self, teardown: Teardown) -> bool:  # noqa: ARG002  # the driver chooses
        """Tell whether the driver has closed the session that the row has come to."""
        return self._session > 0 and self._observer.sessions[self._session - 1].end != "open"

    def enable(self, function: str) -> bool:
        """Wait for the driver's e-switch to enable the function; where it does not, let it ask for pages by itself."""
        if function in self._eswitch.names:
            return self._follows(function, MomentKind.ENABLE)
        pages = self._pages[function]
        self._stir(Want(function, pages), self._observer.inner.held(function) + pages)
        self._observer.moments.add(Moment(MomentKind.ENABLE, function))
        return True

    def disable(self, function: str) -> bool:
        """Wait for the driver's e-switch to disable the function; else let it give its pages back by itself."""
        if function in self._eswitch.names:
            return self._follows(function, MomentKind.DISABLE)
        self._stir(ResetFunction(function), 0)
        self._observer.moments.add(Moment(MomentKind.DISABLE, function))
        return True

    def request(self, function: str, pages: int) -> bool:
        """Let firmware ask for pages of the function, or give some back."""
        return self._stir(Want(function, pages), max(0, self._observer.inner.held(function) + pages))

    def reset(self, function: str) -> bool:
        """Let the function be reset; one that the driver's e-switch has enabled wants its pages anew."""
        enabled = self._observer.inner.is_enabled(function)
        return self._stir(ResetFunction(function), self._pages[function] if enabled else 0)

    def health(self, reason: str) -> bool:
        """Put the device into a fatal state, in which it stays until the driver resets it."""
        now = self._device.now
        self._expected.clear()
        self._reset_until = now + RESET_WAIT
        self._device.fail(reason)
        self._observer.troubled(now, "health", reason)
        return True

    def lose_link(self, reason: str, seconds: float) -> bool:
        """Take the device out of reach; it loses its state, and comes back as after a reset."""
        now = self._device.now
        self._expected.clear()
        self._lost_until = now + (seconds or LOST_FOR)
        self._device.lose()
        self._observer.troubled(now, "lost", reason)
        return True

    def wait(self, seconds: float) -> bool:
        """Let the row wait."""
        self._not_before = self._device.now + seconds
        return True

    def _stir(self, x: Want | ResetFunction, held: int) -> bool:
        """Let this happen inside the device; the function is to hold so many pages then."""
        self._expect(x.function, held)
        self._device.stir(x)
        return True

    def _expect(self, function: str, held: int | None) -> None:
        self._expected = [e for e in self._expected if e.function != function]
        self._expected.append(Expected(function, held, self._device.now + STEP_WAIT))

    def _follows(self, function: str, kind: MomentKind) -> bool:
        """Tell whether the driver's e-switch has enabled, or disabled, the function."""
        moment = Moment(kind, function)
        if self._observer.inner.is_enabled(function) is (kind is MomentKind.ENABLE):
            self._observer.moments.add(moment)
            return True
        return moment in self._tried
