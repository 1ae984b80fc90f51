"""Our host drives the served device: every scenario of the library, in both modes, and every fault of the device.

Accounts, findings and audits are those of the same run in one process. Both sides go by one made clock, so that no
time-out of theirs is waited for and no busy machine is late; the bytes are those on the socket. It is collected only
where it is named (``make test-drive``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fwpages.custody.accounts import Verdict
from fwpages.device import DEVICE_FAULTS
from fwpages.host import WantedMode
from fwpages.link.queue.offences import WireOffenceName
from fwpages.report.serve import serve_report
from fwpages.scenario import load, names
from fwpages.scenario.fault_syntax import fault
from fwpages.scenario.topology import device_profile
from tests.scenario.driving import FUNCTIONS, FUNCTIONS_OF_ECPF, STEPS, agrees, drive, step
from tests.sockets import short

#: 5,000 page requests at once
STORM = "request-storm"
MODES: tuple[WantedMode, ...] = ("func_id", "vhca_id")


@pytest.mark.parametrize("head", [FUNCTIONS, FUNCTIONS_OF_ECPF], ids=["pf", "ecpf"])
def test_a_storm_of_page_requests_overruns_the_event_queue_and_the_driver_is_not_blamed(
    head: str, tmp_path: Path
) -> None:
    """In one process the driver reads each request before the next is written: there the queue of 256 is never full."""
    d = step(load("test", text=head + STEPS), tmp_path, faults=[fault(STORM)])
    assert {str(x.offence.name) for x in d.serving.observer.excused} == {str(WireOffenceName.EQ_OVERRUN)}
    assert not d.serving.observer.offences
    (session,) = d.result.sessions
    # what was in the queue when it overran is answered, and comes back
    assert sum(f.given for f in session.functions) == sum(f.returned for f in session.functions) == 37 + 20 + 256
    assert d.result.verdict is Verdict.NOT_KNOWN
    d.serving.observer.inner.check()


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """As pytest's, by a name that is short enough for sockets in it."""
    with short(tmp_path) as folder:
        yield folder


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", names())
def test_every_scenario_of_the_library(name: str, mode: WantedMode, tmp_path: Path) -> None:
    plan = load(name)
    if mode == "vhca_id" and not device_profile(plan).max.get("icm_mng_function_id_mode"):
        pytest.skip("the device does not offer VHCA_ID mode")
    d = step(plan, tmp_path, mode=mode, checked=name != "connectx5-heavy")
    assert d.result.missed == (), d.said
    agrees(d, plan, mode)
    assert not serve_report(d.serving, scenario=name).offences


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("head", [FUNCTIONS, FUNCTIONS_OF_ECPF], ids=["pf", "ecpf"])
def test_a_session_in_real_time(head: str, mode: WantedMode, tmp_path: Path) -> None:
    plan = load("test", text=head + STEPS)
    d = drive(plan, tmp_path, mode=mode)
    assert d.result.missed == (), d.said
    agrees(d, plan, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("head", [FUNCTIONS, FUNCTIONS_OF_ECPF], ids=["pf", "ecpf"])
@pytest.mark.parametrize("name", [name for name in DEVICE_FAULTS if name != STORM])
def test_every_fault_of_the_device(name: str, head: str, mode: WantedMode, tmp_path: Path) -> None:
    plan, planned = load("test", text=head + STEPS), fault(name)
    agrees(step(plan, tmp_path, mode=mode, faults=[planned]), plan, mode, planned)
