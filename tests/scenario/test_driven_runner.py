"""Our host over a socket on the served device: accounts, findings and audits as in one process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fwpages.custody.accounts import Verdict
from fwpages.host import Open
from fwpages.link.driving.opening import begun
from fwpages.link.driving.pci_device import DeviceError
from fwpages.link.vfio_user import served_device
from fwpages.link.vfio_user.client import VfioUserDevice
from fwpages.link.vfio_user.messages import Type
from fwpages.prm.opcodes import Opcode
from fwpages.report.serve import serve_report
from fwpages.scenario import ScenarioError, load
from fwpages.scenario.driven_runner import DrivenRun
from fwpages.scenario.fault_syntax import fault
from tests.scenario.driving import ECPF, FUNCTIONS, PF, STEPS, agrees, drive, findings, served, step
from tests.sockets import short

HEALTH = """
[[step]]
do = "open"
[[step]]
do = "enable"
function = "vf0"
[[step]]
do = "health"
at = 0.15
[[step]]
do = "wait"
seconds = 0.5
[[step]]
do = "open"
[[step]]
do = "close"
"""


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    with short(tmp_path) as folder:
        yield folder


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device's steps are waited for no longer than such a device takes; late faults come as soon."""
    monkeypatch.setattr("fwpages.scenario.driven_runner.STEP_WAIT", 1.0)
    monkeypatch.setattr("fwpages.scenario.served_steps.STEP_WAIT", 1.0)


def test_a_life_is_as_in_one_process(tmp_path: Path) -> None:
    plan = load("test", text=PF + STEPS)
    d = drive(plan, tmp_path)
    assert (d.result.verdict, d.result.missed, d.result.mapped) == (Verdict.CLEAN, (), 0), d.said
    agrees(d, plan, "auto")
    report = serve_report(d.serving, scenario="test")
    assert (report.verdict, report.offences) == (Verdict.CLEAN, []), report


def test_a_server_without_a_mapping_of_the_memory_asks_for_every_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of another make may: here no descriptor comes with the memory."""
    send = VfioUserDevice._send
    asked: list[bytes] = []

    def without_memory(d: VfioUserDevice, data: bytes, fds: Sequence[int]) -> None:
        if data[2] in (Type.DMA_READ, Type.DMA_WRITE):
            asked.append(data)
        send(d, data, () if data[2] == Type.DMA_MAP else fds)

    monkeypatch.setattr(VfioUserDevice, "_send", without_memory)
    plan = load("test", text=FUNCTIONS + STEPS)
    d = drive(plan, tmp_path)
    assert (d.result.verdict, d.result.missed, d.result.mapped) == (Verdict.CLEAN, (), 0), d.said
    agrees(d, plan, "auto")
    assert len(asked) > 100


@pytest.mark.parametrize("log_size", [1, 3])
@pytest.mark.parametrize("faults", ["", "enable-unanswered-done", "give-unanswered-lost@runtime"])
def test_a_short_command_queue_has_page_commands_on_its_last_slot(
    log_size: int, faults: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = served_device._identity
    monkeypatch.setattr(served_device, "_identity", lambda p: replace(said(p), log_cmdq_size=log_size))
    plan, planned = load("test", text=FUNCTIONS + STEPS), [fault(f) for f in faults.split()]
    d = step(plan, tmp_path, faults=planned)
    sent = [row for row in map(json.loads, d.trace.splitlines()) if row["kind"] == "submit"]
    slots = {(row["in"].startswith(f"{Opcode.MANAGE_PAGES:04x}"), row["slot"]) for row in sent}
    last = (1 << log_size) - 1
    assert slots <= {(True, last), *((False, n) for n in range(last))}
    assert (True, last) in slots
    assert d.result.verdict is (Verdict.FINDINGS if faults else Verdict.CLEAN), d.said
    d.serving.observer.inner.check()


@pytest.mark.parametrize(
    ("timeouts", "bounds", "waited"),
    [
        ("reclaim_pages=2", "", "2 s"),
        ("reclaim_pages=0", "", "5 s"),
        ("reclaim_pages=2000", "", "300 s"),
        ("reclaim_pages=2", "reclaim_progress = 1.0", "1 s"),
        ("", "", "5 s"),
    ],
)
def test_pages_are_waited_for_as_long_as_the_device_tells_unless_the_scenario_says(
    timeouts: str, bounds: str, waited: str, tmp_path: Path
) -> None:
    plan = load("test", text=FUNCTIONS.replace("reclaim_retry", f"{bounds}\nreclaim_retry") + STEPS)
    d = step(plan, tmp_path, faults=[fault("take-nothing@teardownx*")], timeouts=timeouts)
    assert f"did not come back: no progress for {waited}" in " ".join(d.said), d.said


def test_a_fault_of_the_device_is_found_as_in_one_process(tmp_path: Path) -> None:
    plan, planned = load("test", text=PF + STEPS), fault("take-nothing@teardown")
    d = drive(plan, tmp_path, faults=[planned])
    assert d.serving.missed_faults == (), d.said
    agrees(d, plan, "auto", planned)


def test_a_fatal_syndrome_is_polled_and_the_device_is_reset_and_opened_anew(tmp_path: Path) -> None:
    plan = load("test", text=PF + HEALTH)
    d = drive(plan, tmp_path)
    assert [b.end for b in d.result.sessions] == ["reset", "closed"], d.said
    assert d.result.verdict is Verdict.CLEAN
    assert "the device reports a fatal state: syndrome 0x1, firmware internal error" in d.said
    assert [s.dropped for s in d.serving.observer.sessions] == [True, False]


def test_a_lost_link_is_fenced_once_the_device_is_back(tmp_path: Path) -> None:
    lost = HEALTH.replace('"health"', '"lose-link"')
    plan = load("test", text=PF.replace("fence = 1.0", "fence = 5.0") + lost)
    with pytest.MonkeyPatch.context() as m:
        m.setattr("fwpages.scenario.served_steps.LOST_FOR", 0.5)
        d = drive(plan, tmp_path)
    assert [b.end for b in d.result.sessions] == ["lost", "closed"], d.said
    assert findings(d.result) == {("link-lost", None)}
    assert [f.discarded for f in d.result.sessions[0].functions] == [57, 8]


def test_a_server_that_goes_is_no_fence(tmp_path: Path) -> None:
    """Its memory stays out of reach: the session ends unfenced, and no other can be opened."""
    plan = load("test", text=PF + STEPS)
    with served(plan, tmp_path / "s"):
        device = VfioUserDevice(tmp_path / "s")
        run = DrivenRun(device, begun(device), plan, checked=True)
        run.link.feed(Open())
        while not run.link.idle:
            run.link.step(1.0)
    held = run.link.host.left()
    with run:
        while run.link.host.session.phase != "ended":
            run.link.step(1.0)
        assert run.link.host.left() == held == 57
        assert [f.name for f in run.link.host.session.findings.values()] == ["link-lost", "not-fenced"]
        assert run.link.memory.mapped


def test_without_a_scenario_it_answers_until_it_is_stopped(tmp_path: Path) -> None:
    """And opens the device anew where the device has ended the session."""
    text = PF + HEALTH.replace('[[step]]\ndo = "enable"\nfunction = "vf0"\n', "")
    with served(load("test", text=text), tmp_path / "s") as serving:
        device = VfioUserDevice(tmp_path / "s")
        with DrivenRun(device, begun(device)) as run:

            def stop() -> None:
                end = time.monotonic() + 30
                while len(serving.observer.sessions) < 2 or not serving.observer.open:
                    assert time.monotonic() < end
                    time.sleep(0.01)
                run.stop()

            thread = threading.Thread(target=stop)
            thread.start()
            result = run.run()
            thread.join()
    assert [b.end for b in result.sessions] == ["reset", "closed"]
    assert result.verdict is Verdict.CLEAN


def test_the_scenario_has_to_be_of_the_devices_kind(tmp_path: Path) -> None:
    with served(load("test", text=ECPF + STEPS), tmp_path / "s"):
        device = VfioUserDevice(tmp_path / "s")
        with pytest.raises(ScenarioError, match="connectx7 is for a PF, the device is an ECPF"):
            DrivenRun(device, begun(device), load("test", text=PF + STEPS))
        device.close()


def test_a_step_that_the_device_does_not_take_never_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fwpages.scenario.driven_runner.STEP_WAIT", 0.1)
    open_alone = '[[step]]\ndo = "open"\n'
    asked = open_alone + '[[step]]\ndo = "request"\nfunction = "self"\npages = 5\n[[step]]\ndo = "close"\n'
    with served(load("test", text=PF + open_alone), tmp_path / "s"):
        device = VfioUserDevice(tmp_path / "s")
        with DrivenRun(device, begun(device), load("test", text=PF + asked)) as run:
            result = run.run()
    assert [str(s) for s in result.missed] == ["step[1] (request)"]
    assert result.verdict is Verdict.NOT_KNOWN


def test_a_device_that_is_in_use_is_not_driven_by_a_second(tmp_path: Path) -> None:
    with served(load("test", text=PF + STEPS), tmp_path / "s"):
        first = VfioUserDevice(tmp_path / "s")
        with pytest.raises(DeviceError, match=r"the server has closed the connection|the connection ended"):
            VfioUserDevice(tmp_path / "s")
        first.close()
