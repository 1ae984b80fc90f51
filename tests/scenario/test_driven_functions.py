"""The functions that a device behind a socket tells of itself, and what a scenario says against it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fwpages.auditor.audit import audit
from fwpages.device import HostVfs, Profile
from fwpages.host import WantedMode
from fwpages.link.driving.opening import begun
from fwpages.link.vfio_user.server import Server
from fwpages.readers.trace_writer import TraceWriter
from fwpages.report.drive import DriveReport, drive_report
from fwpages.scenario import Scenario, ScenarioError, load, topology
from fwpages.scenario.driven_runner import DrivenRun, roles_of
from fwpages.scenario.served_runner import ServedRun
from tests.scenario.driving import LEAST, Clock, Passing, SteppedDevice
from tests.sockets import short

HEAD = """
[device]
profile = "{}"
init_pages = 20
"""
OPEN = '[[step]]\ndo = "open"\n'
PF, ECPF = HEAD.format("connectx7"), HEAD.format("bluefield3")


def function(name: str, kind: str, vhca: int, index: int = 0) -> str:
    return f'[[function]]\nname = "{name}"\ntype = "{kind}"\nindex = {index}\nvhca_id = {vhca}\npages = 4\n'


def vfs(count: int) -> str:
    return "".join(function(f"vf{n}", "vf", 0x31 + n, n) for n in range(count))


HOST = function("host-pf", "host_pf", 1) + vfs(2) + function("ec-vf0", "ec_vf", 0x51)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    with short(tmp_path) as folder:
        yield folder


def drive(
    text: str,
    folder: Path,
    *,
    scenario: str | None = None,
    mode: WantedMode = "auto",
    host_vfs: tuple[int, ...] = (),
    **options: Any,
) -> tuple[list[str], DriveReport, str]:
    """Drive what ``text`` serves, both by one made clock: its lines about functions, the report, and the trace.

    Without a scenario the external host has so many VFs on, one after the other, each when the driver has listed its
    functions; then the device is closed.
    """
    clock, stream, said = Clock(), io.StringIO(), list[str]()
    serving, numbers = ServedRun(load("test", text=text), clock=clock, **options), iter(host_vfs)
    plan = None if scenario is None else load("test", text=scenario)

    def heard(_: float, words: str) -> None:
        if "functions" in words:
            said.append(words)
        if words.startswith("functions beside"):
            then = next(numbers, None)
            if then is None:
                run.stop()
            else:
                serving.device.stir(HostVfs(then))

    with pytest.MonkeyPatch.context() as m, Server(folder / "s", serving, clock) as server:
        m.setattr("fwpages.link.driving.driven.INTERVAL", LEAST)
        with closing(SteppedDevice(folder / "s", server)) as device:
            described = begun(device)
            roles = roles_of(described, plan)
            writer = TraceWriter(stream, device="driven", supplier=roles.supplier, names=roles.names)
            run = DrivenRun(device, described, plan, mode=mode, tap=writer, on_event=heard, checked=True, clock=clock)
            run.link._selector = Passing(run.link, server, serving, clock)  # type: ignore[assignment]  # it selects as the other does
            with run:
                result = run.run()
            writer.end()
        serving.observer.inner.check()
    report = drive_report(result, device.facts, described, run.functions, scenario=None, mode=mode)
    return said, report, stream.getvalue()


@pytest.mark.parametrize("mode", ["func_id", "vhca_id"])
def test_a_pf_lists_its_vfs_by_sriov_and_its_sfs(mode: WantedMode, tmp_path: Path) -> None:
    said, report, trace = drive(PF + vfs(3) + OPEN, tmp_path, mode=mode, sriov=True)
    assert said == ["functions beside the PF: 3 VFs (vf0 to vf2), 256 SFs (sf0 to sf255)"]
    assert report.device.functions == {"vf": 3, "sf": 256}
    assert report.verdict == "clean"
    assert [s.clean for s in audit(io.StringIO(trace)).sessions] == [True]


def test_a_device_that_shows_no_sriov_capability_has_sfs_alone(tmp_path: Path) -> None:
    said, _, _ = drive(PF + vfs(3) + OPEN, tmp_path)
    assert said == ["functions beside the PF: 256 SFs (sf0 to sf255)"]


def test_an_embedded_cpu_follows_the_functions_of_its_external_host(tmp_path: Path) -> None:
    """The host switches two VFs on and both off; the driver, which lists them, enables none."""
    said, report, trace = drive(ECPF + HOST + OPEN, tmp_path, host_vfs=(2, 0), sriov=True)
    beside, rest = "functions beside the ECPF: ", "1 EC VF (ec-vf0), 512 SFs (sf0 to sf511)"
    changed = "the device says that its functions have changed"
    assert said == [
        f"{beside}1 host PF (host-pf0), {rest}",
        changed,
        f"{beside}1 host PF (host-pf0), 2 VFs (vf0, vf1), {rest}",
        changed,
        f"{beside}1 host PF (host-pf0), {rest}",
    ]
    assert report.device.functions == {"host_pf": 1, "ec_vf": 1, "sf": 512}
    assert report.verdict == "clean"
    assert [s.clean for s in audit(io.StringIO(trace)).sessions] == [True]
    events = [row["eqe"][2:4] for row in map(json.loads, trace.splitlines()) if row["kind"] == "event"]
    assert events == ["0e", "0e"]


def test_further_pfs_are_told_by_the_answer_with_an_entry_for_each_function(tmp_path: Path) -> None:
    spfs = "".join(function(f"s{n}", "spf", 0x61 + n, n) for n in range(3))
    said, _, _ = drive(ECPF + HOST + spfs + OPEN, tmp_path)
    assert said == ["functions beside the ECPF: 1 host PF (host-pf0), 3 SPFs (spf0 to spf2), 512 SFs (sf0 to sf511)"]


@pytest.mark.parametrize(
    ("served", "named", "words"),
    [
        (PF + vfs(1), PF + vfs(3), "function vf1, vf2: the device has 1 VF, by SR-IOV"),
        (ECPF + HOST, ECPF + HOST + function("e", "ec_vf", 0x52, 1), "function e: the device has 1 EC VF, by SR-IOV"),
        (
            ECPF + function("ec-vf0", "ec_vf", 0x51),
            ECPF + function("host-pf", "host_pf", 1),
            "function host-pf: by QUERY_ESW_FUNCTIONS the device has no host PF",
        ),
    ],
)
def test_a_scenario_that_names_more_than_the_device_has_is_refused(
    served: str, named: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioError, match=words):
        drive(served + OPEN, tmp_path, scenario=named + OPEN + '[[step]]\ndo = "enable"\nfunction = "*"', sriov=True)


def test_more_vfs_than_the_external_host_can_have_are_refused_before_one_is_enabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_device = topology.device_profile

    def smaller(plan: Scenario) -> Profile:
        return msgspec.structs.replace(of_device(plan), max_vfs=2)

    monkeypatch.setattr("fwpages.scenario.served_runner.device_profile", smaller)
    with pytest.raises(ScenarioError, match="function vf2: by QUERY_ESW_FUNCTIONS the device has 2 host VFs"):
        drive(ECPF + HOST + OPEN, tmp_path, scenario=ECPF + HOST + function("vf2", "vf", 0x33, 2) + OPEN)
