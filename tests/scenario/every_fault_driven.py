"""Our host drives the served device over its socket: every scenario, mode, supplier and fault of the device.

Accounts, findings and audits are those of the same run in one process, in virtual time. It takes real time, a second or
two a run, and is collected only where it is named (``make test-drive``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fwpages.device import DEVICE_FAULTS
from fwpages.host import WantedMode
from fwpages.report.serve import serve_report
from fwpages.scenario import load, names
from fwpages.scenario.fault_syntax import fault
from fwpages.scenario.format import BoundsTable
from fwpages.scenario.topology import device_profile
from tests.scenario.driving import ECPF, PF, STEPS, agrees, drive
from tests.sockets import short

MODES: tuple[WantedMode, ...] = ("func_id", "vhca_id")
QUICK = BoundsTable(command=0.3, reclaim_progress=0.3, wait_progress=0.5, fence=1.0)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """As pytest's, by a name that is short enough for sockets in it."""
    with short(tmp_path) as folder:
        yield folder


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that a fault keeps from being followed is waited for no longer than it needs on a busy machine."""
    monkeypatch.setattr("fwpages.scenario.driven_runner.STEP_WAIT", 1.0)
    monkeypatch.setattr("fwpages.scenario.served_steps.STEP_WAIT", 1.0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", names())
def test_every_scenario_of_the_library(name: str, mode: WantedMode, tmp_path: Path) -> None:
    plan = load(name)
    if mode == "vhca_id" and not device_profile(plan).max.get("icm_mng_function_id_mode"):
        pytest.skip("the device does not offer VHCA_ID mode")
    d = drive(plan, tmp_path, mode=mode, checked=name != "connectx5-heavy")
    assert d.result.missed == (), d.said
    agrees(d, plan, mode)
    assert not serve_report(d.serving, scenario=name).offences


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("head", [PF, ECPF], ids=["pf", "ecpf"])
def test_a_life(head: str, mode: WantedMode, tmp_path: Path) -> None:
    plan = load("test", text=head + STEPS)
    d = drive(plan, tmp_path, mode=mode)
    assert d.result.missed == (), d.said
    agrees(d, plan, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("head", [PF, ECPF], ids=["pf", "ecpf"])
@pytest.mark.parametrize("name", DEVICE_FAULTS)
@pytest.mark.usefixtures("short_waits")
def test_every_fault_of_the_device(name: str, head: str, mode: WantedMode, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(load("test", text=head + STEPS), bounds=QUICK)
    planned = fault(name)
    d = drive(plan, tmp_path, mode=mode, faults=[planned])
    agrees(d, plan, mode, planned)
