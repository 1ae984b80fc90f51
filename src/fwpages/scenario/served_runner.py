"""A run of a scenario with an unmodified driver: a device served to a virtual machine.

The row of steps begins anew with each client (``served_steps``). A step that only the driver can take is waited for:
``open`` until it takes page requests, ``close`` until it has closed the device. So are ``enable`` and ``disable`` of
functions that the driver's e-switch enables. Another function that a scenario enables asks for its pages by itself, and
gives them back when it is disabled. ``at`` counts seconds from the driver's first command.

``health`` lasts until the driver resets the device. ``lose-link`` lasts for the ``wait`` steps that follow it in the
file, or ``LOST_FOR``; the device loses its state, so that it comes back as after a reset. While either lasts, nothing
happens inside the device.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from fwpages.device import FaultyFirmware, FunctionSpec, PlannedFault, Profile, faulty
from fwpages.device.firmware.eswitch_capabilities import with_eswitch
from fwpages.device.firmware.ethernet_capabilities import ethernet_pages
from fwpages.device.firmware.loadable import LoadableFirmware
from fwpages.device.pci.sriov import MOST_VFS
from fwpages.link.queue.device import DeviceEvent
from fwpages.link.tap import DeviceTap
from fwpages.link.vfio_user.connection import Connection
from fwpages.link.vfio_user.served_device import ServedDevice
from fwpages.prm.identity import FunctionType
from fwpages.scenario.assumptions import under
from fwpages.scenario.event_lines import OnEvent
from fwpages.scenario.fault_syntax import split
from fwpages.scenario.format import Scenario, ScenarioError
from fwpages.scenario.interpreter import PlannedStep, planned
from fwpages.scenario.observer import Observer
from fwpages.scenario.served_steps import ByEswitch, ServedSteps
from fwpages.scenario.timeout_syntax import timeouts as times
from fwpages.scenario.topology import device_profile, functions

#: steps that drivers of clients have not come to, the first of them: a server may have clients without end
MOST_MISSED = 1000


@dataclass(frozen=True, slots=True)
class MissedStep:
    """A step that the driver of this client, counted from 1, has not come to; 0 where no client came."""

    client: int
    step: PlannedStep

    def __str__(self) -> str:
        return str(self.step) if self.client < 2 else f"{self.step} of client {self.client}"


class ServedRun:
    """A served device that runs a scenario. Give it to ``fwpages.link.vfio_user.server.Server``.

    ``on_event`` is called with each event in words, and the seconds since this was made. With ``sriov`` the driver
    finds the scenario's VFs and may switch them on by itself; with ``eswitch`` it enables and disables every function,
    as our own host does. ``timeouts`` are told to the driver, before the profile's own (``KEY=SECONDS,…``).
    ScenarioError for a scenario that cannot be served.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int | None = None,
        faults: Iterable[PlannedFault] = (),
        tap: DeviceTap | None = None,
        on_event: OnEvent | None = None,
        clock: Callable[[], float] = time.monotonic,
        sriov: bool = False,
        eswitch: bool = False,
        timeouts: str = "",
    ) -> None:
        scenario = under(scenario)
        profile = device_profile(scenario)
        if seed is not None:
            profile = msgspec.structs.replace(profile, order="shuffled", seed=seed)
        if scenario.assume.get("software_reset") is False:
            profile = msgspec.structs.replace(profile, software_reset=False)
        if timeouts:
            profile = msgspec.structs.replace(profile, timeouts=times(timeouts, profile.timeouts))
        specs = [spec for spec, _ in functions(scenario, profile, served=not eswitch)]
        of_device = _of_device(scenario, faults)
        self.profile = profile
        self._pages = {spec.name: spec.pages for spec in specs}
        self._steps = planned(scenario, list(self._pages))
        self._eswitch = (
            ByEswitch(frozenset(self._pages), once=True) if eswitch else _by_eswitch(profile, specs, sriov=sriov)
        )
        self.vfs = _vfs(profile, specs) if sriov else 0
        pages = profile.capability_pages or ethernet_pages()
        firmware = LoadableFirmware(profile, specs, pages=with_eswitch(pages, profile, specs))
        self.firmware = faulty(firmware, of_device) if of_device else firmware
        self.observer = Observer(self.firmware, tap, on_event)
        self.device = ServedDevice(
            self.firmware,
            profile,
            watch=self._watch,
            on_client=self._client,
            on_refusal=lambda words: self.observer.say(self.device.now, f"refused: {words}"),
            on_memory=lambda t, x: self.observer.reached(t, x, self.device.queue.in_use),
            clock=clock,
            vfs=self.vfs,
        )
        self._clock = clock
        self._looked = 0.0
        #: steps that the driver did not follow within ``STEP_WAIT``
        self.unfollowed: list[str] = []
        #: something happened that a step may wait for
        self._stirred = False
        #: clients that came, and the steps that each of them that has gone left
        self.clients = 0
        self._left: list[MissedStep] = []
        self._here = False
        self._with_client = self._begin()

    def _begin(self) -> ServedSteps:
        """The row of steps, from its beginning."""
        self._stirred = False
        return ServedSteps(self._steps, self.device, self.observer, self._pages, self._eswitch, self.unfollowed)

    # -- what the server calls ----------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """The time at which to call ``tick`` (seconds of the clock)."""
        if self._stirred:
            return self._clock()
        offset = self._clock() - self.device.now
        # a time that has come stays due until ``tick`` has looked
        ahead = [t + offset for t in self._with_client.times if t > self._looked]
        own, line = self.device.deadline, self.observer.lines.due
        known = [*([] if own is None else [own]), *([] if line is None else [line + offset])]
        return min([*ahead, *known], default=None)

    def connected(self) -> Connection:
        """Begin the scenario: a client has connected."""
        self._with_client = self._begin()
        self.clients += 1
        self._here = True
        return self.device.connected()

    def disconnected(self, reason: str) -> None:
        """End the open session: the client is gone, and its memory with it."""
        self.observer.over(self.device.now, "gone", reason)
        self.observer.unreachable(self.device.now)
        self._with_client.disconnected()
        self._left, self._here = list(self.missed[:MOST_MISSED]), False
        self.device.disconnected(reason)

    def tick(self) -> None:
        """Take the steps that are due: a deadline has come, or something happened that a step may wait for."""
        own = self.device.deadline
        if own is not None and own <= self._clock():
            self.device.tick()
        self._stirred, self._looked = False, self.device.now
        self.observer.lines.settle(self._looked)
        self._with_client.go_on()

    def _client(self, t: float, reason: str) -> None:
        self.observer.say(t, f"the virtual machine is gone: {reason}" if reason else "a virtual machine is here")

    def _watch(self, t: float, x: DeviceEvent) -> None:
        self._with_client.observe(t, x)
        self.observer.watch(t, x, self.device.slot_of(x), self.device.memory_of(x))
        self._stirred = True

    @property
    def finished(self) -> bool:
        """Every step was taken."""
        return not self._with_client.left

    @property
    def missed_faults(self) -> tuple[PlannedFault, ...]:
        """The faults that never reached their first planned opportunity."""
        return self.firmware.missed if isinstance(self.firmware, FaultyFirmware) else ()

    @property
    def missed(self) -> tuple[MissedStep, ...]:
        """The steps that the driver of a client has not come to: of each client so far; all, where none came."""
        if self.clients and not self._here:
            return tuple(self._left)
        return (*self._left, *(MissedStep(self.clients, step) for step in self._with_client.left))


def _vfs(p: Profile, specs: Iterable[FunctionSpec]) -> int:
    """The number of VFs for the SR-IOV capability: up to the last that the scenario has."""
    kind = FunctionType.EC_VF if p.ecpf else FunctionType.VF
    last = max((f.function_id for f in specs if f.type is kind), default=0)
    if not 1 <= last <= MOST_VFS:
        raise ScenarioError(
            f"SR-IOV of {p.name} needs functions of type {kind} in the scenario, with an index up to {MOST_VFS - 1}"
        )
    return last


def _by_eswitch(p: Profile, specs: Sequence[FunctionSpec], *, sriov: bool) -> ByEswitch:
    """The functions that the driver's own e-switch enables and disables, those of an external host among them."""
    kinds = {FunctionType.EC_VF if p.ecpf else FunctionType.VF} if sriov else set()
    of_host: dict[str, int] = {}
    if p.ecpf and p.max.get("eswitch_manager"):
        kinds |= {FunctionType.HOST_PF, FunctionType.VF, FunctionType.SPF}
        of_host = {spec.name: spec.function_id for spec in specs if spec.type is FunctionType.VF}
    return ByEswitch(frozenset(spec.name for spec in specs if spec.type in kinds), of_host)


def _of_device(scenario: Scenario, faults: Iterable[PlannedFault]) -> tuple[PlannedFault, ...]:
    """The faults of the scenario, then ``faults``; ScenarioError for one of the link."""
    of_device, of_link = split([*(PlannedFault(f.name, f.at, f.times, f.during) for f in scenario.fault), *faults])
    if of_link:
        raise ScenarioError(f"fault {of_link[0].name!r} is one of the link: a served device has none of these")
    return of_device
