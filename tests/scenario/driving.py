"""A served device and our own host that drives it over its socket: in real time, or in one thread by a made clock."""

from __future__ import annotations

import io
import selectors
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fwpages.auditor.audit import audit
from fwpages.device import PlannedFault
from fwpages.host import WantedMode
from fwpages.link.driving.driven import Driven
from fwpages.link.driving.opening import begun
from fwpages.link.vfio_user.client import VfioUserDevice
from fwpages.link.vfio_user.server import Server
from fwpages.readers.trace_writer import TraceWriter
from fwpages.report.drive import DriveReport, drive_report
from fwpages.scenario import RunResult, Scenario, ScenarioRun
from fwpages.scenario.driven_runner import DrivenRun, roles_of
from fwpages.scenario.served_runner import ServedRun

_DEVICE = """
[device]
profile = "connectx7"
init_pages = 20
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
pages = 8
[[function]]
name = "sf0"
type = "sf"
vhca_id = 0x90
pages = 3
"""
BOUNDS = """
[bounds]
command = 0.3
reclaim_progress = 0.3
wait_progress = 0.5
fence = 1.0
"""
#: a TAKE of few addresses, and few of them: what a command has room for costs time, whatever comes back
SMALL = """
[bounds]
pages_per_command = 500
reclaim_retry = 1.0
"""
_DEVICE_OF_ECPF = _DEVICE.replace("connectx7", "bluefield3").replace(
    '"vf0"\ntype = "vf"', '"host-pf"\ntype = "host_pf"'
)
PF, ECPF = _DEVICE + BOUNDS, _DEVICE_OF_ECPF + BOUNDS
FUNCTIONS, FUNCTIONS_OF_ECPF = _DEVICE + SMALL, _DEVICE_OF_ECPF + SMALL
STEPS = """
[[step]]
do = "open"
[[step]]
do = "enable"
function = "*"
[[step]]
do = "request"
function = "*"
pages = 100
[[step]]
do = "request"
function = "self"
pages = -30
[[step]]
do = "reset"
function = "sf0"
[[step]]
do = "disable"
function = "*"
[[step]]
do = "close"
"""


@contextmanager
def served(plan: Scenario, path: Path, **options: Any) -> Iterator[ServedRun]:
    """A device that runs the scenario's steps, and leaves functions to its driver; its books once it has ended."""
    serving = ServedRun(plan, eswitch=True, **options)
    server = Server(path, serving)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield serving
    finally:
        server.stop()
        thread.join(60)
        server.close()


@dataclass
class Drove:
    """Both sides' reports of one run, and the driver's trace."""

    result: RunResult
    serving: ServedRun
    trace: str
    report: DriveReport
    said: list[str] = field(default_factory=list)


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SteppedDevice(VfioUserDevice):
    """A client that lets the server do its part before it waits for it, in the same thread."""

    def __init__(self, path: Path, server: Server) -> None:
        self._server = server
        super().__init__(path)

    def _hurry(self) -> None:
        self._server.step()
        super()._hurry()


#: seconds by which the clock goes on at least where neither side has a deadline before, and between looks at the health
LEAST = 5.0


class Passing:
    """The selector of a link whose clock goes on when neither side has anything to do: to what either waits for."""

    def __init__(self, link: Driven, server: Server, serving: ServedRun, clock: Clock) -> None:
        self._link, self._inner = link, link._selector
        self._server, self._serving, self._clock = server, serving, clock
        self.register, self.unregister, self.close = (
            getattr(self._inner, name) for name in ("register", "unregister", "close")
        )

    def select(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        self._server.step()
        ready = self._inner.select(0)
        if ready or timeout == 0:
            return ready
        now, start = self._clock.now, self._link._start
        own, due = self._link.deadline, self._serving.deadline
        times = [*([] if timeout is None else [now + max(timeout, LEAST)]), *([] if due is None else [due])]
        times += [] if own is None else [start + own]
        assert times, "neither side waits for anything"
        self._clock.now = max(now, min(times))
        self._server.step()
        return self._inner.select(0)


def drive(
    plan: Scenario,
    folder: Path,
    *,
    mode: WantedMode = "auto",
    faults: Iterable[PlannedFault] = (),
    checked: bool = True,
    **options: Any,
) -> Drove:
    """Run the scenario on both sides; ``checked`` looks at every page after every step of the loop."""
    with served(plan, folder / "s", faults=faults, **options) as serving:
        return _drive(plan, serving, VfioUserDevice(folder / "s"), mode, checked=checked)


def step(
    plan: Scenario,
    folder: Path,
    *,
    mode: WantedMode = "auto",
    faults: Iterable[PlannedFault] = (),
    checked: bool = True,
    timeouts: str = "",
) -> Drove:
    """The same in no time: both sides go by one clock, in one thread, with the same bytes on the same socket.

    Both wait longer for a step than the latest answer takes, as a run in one process does; the driver longer than the
    device, which goes on first then.
    """
    clock = Clock()
    serving = ServedRun(plan, eswitch=True, faults=faults, clock=clock, timeouts=timeouts)
    with pytest.MonkeyPatch.context() as m, Server(folder / "s", serving, clock) as server:
        m.setattr("fwpages.link.driving.driven.INTERVAL", LEAST)
        m.setattr("fwpages.scenario.served_steps.STEP_WAIT", 120.0)
        m.setattr("fwpages.scenario.driven_runner.STEP_WAIT", 150.0)
        return _drive(plan, serving, SteppedDevice(folder / "s", server), mode, checked=checked, clock=clock)


def _drive(
    plan: Scenario,
    serving: ServedRun,
    device: VfioUserDevice,
    mode: WantedMode,
    *,
    checked: bool,
    clock: Clock | None = None,
) -> Drove:
    stream, said = io.StringIO(), list[str]()
    with closing(device):
        described = begun(device)
        roles = roles_of(described, plan)
        writer = TraceWriter(stream, device="driven", supplier=roles.supplier, names=roles.names)
        run = DrivenRun(
            device,
            described,
            plan,
            mode=mode,
            tap=writer,
            on_event=lambda _, words: said.append(words),
            checked=checked,
            **({} if clock is None else {"clock": clock}),
        )
        if isinstance(device, SteppedDevice) and clock is not None:
            run.link._selector = Passing(run.link, device._server, serving, clock)  # type: ignore[assignment]  # it selects as the other does
        with run:
            result = run.run()
        writer.end()
    report = drive_report(result, device.facts, described, run.functions, scenario="test", mode=mode)
    return Drove(result, serving, stream.getvalue(), report, said)


def accounts(result: RunResult) -> list[tuple[object, ...]]:
    """Each session's mode, end and functions."""
    return [(b.mode, b.end, *b.functions) for b in result.sessions]


def findings(result: RunResult) -> set[tuple[str, object]]:
    return {(f.name, f.function) for b in result.sessions for f in b.findings}


def as_in_process(plan: Scenario, mode: WantedMode, faults: tuple[PlannedFault, ...]) -> RunResult:
    return ScenarioRun(plan, mode=mode, faults=faults, link="queue").run()


def agrees(d: Drove, plan: Scenario, mode: WantedMode, *faults: PlannedFault) -> None:
    """Findings and places of pages are as in one process; the audit of the trace says the same."""
    mine = as_in_process(plan, mode, faults)
    assert findings(d.result) == findings(mine), d.said
    assert accounts(d.result) == accounts(mine), d.said
    audited = audit(io.StringIO(d.trace)).sessions
    assert [s.totals.given for s in audited] == [sum(f.given for f in b.functions) for b in d.result.sessions]
    d.serving.observer.inner.check()
