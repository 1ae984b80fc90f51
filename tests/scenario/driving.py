"""A served device in a thread, and our own host that drives it over the socket."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fwpages.auditor.audit import audit
from fwpages.device import PlannedFault
from fwpages.host import WantedMode
from fwpages.link.driving.opening import begun
from fwpages.link.vfio_user.client import VfioUserDevice
from fwpages.link.vfio_user.server import Server
from fwpages.readers.trace_writer import TraceWriter
from fwpages.scenario import RunResult, Scenario, ScenarioRun
from fwpages.scenario.driven_runner import DrivenRun
from fwpages.scenario.served_runner import ServedRun

PF = """
[device]
profile = "connectx7"
init_pages = 20
[bounds]
command = 0.3
reclaim_progress = 0.3
wait_progress = 0.5
fence = 1.0
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
ECPF = PF.replace("connectx7", "bluefield3").replace('"vf0"\ntype = "vf"', '"host-pf"\ntype = "host_pf"')
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
    """What both sides say of one run, and the driver's trace."""

    result: RunResult
    serving: ServedRun
    trace: str
    said: list[str] = field(default_factory=list)


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
    stream, said = io.StringIO(), list[str]()
    with served(plan, folder / "s", faults=faults, **options) as serving:
        device = VfioUserDevice(folder / "s")
        described = begun(device)
        writer = TraceWriter(stream, device="driven", supplier=described.supplier)
        with DrivenRun(
            device,
            described,
            plan,
            mode=mode,
            tap=writer,
            on_event=lambda _, words: said.append(words),
            checked=checked,
        ) as run:
            result = run.run()
        writer.end()
    return Drove(result, serving, stream.getvalue(), said)


def accounts(result: RunResult) -> list[tuple[object, ...]]:
    """Each session's mode, end and functions."""
    return [(b.mode, b.end, *b.functions) for b in result.sessions]


def findings(result: RunResult) -> set[tuple[str, object]]:
    return {(f.name, f.function) for b in result.sessions for f in b.findings}


def as_in_process(plan: Scenario, mode: WantedMode, faults: tuple[PlannedFault, ...]) -> RunResult:
    return ScenarioRun(plan, mode=mode, faults=faults, link="queue").run()


def agrees(d: Drove, plan: Scenario, mode: WantedMode, *faults: PlannedFault) -> None:
    """What was found, and where the pages are, is as in one process; the audit of the trace says the same."""
    mine = as_in_process(plan, mode, faults)
    assert findings(d.result) == findings(mine), d.said
    assert accounts(d.result) == accounts(mine), d.said
    audited = audit(io.StringIO(d.trace)).sessions
    assert [s.totals.given for s in audited] == [sum(f.given for f in b.functions) for b in mine.sessions]
    d.serving.observer.inner.check()
