"""Lines of other parts of the kernel set the cause of what the driver prints beside them, and make nothing alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.custody.accounts import Report, SessionAccount, Verdict
from tests.auditor.logs import START, SWEEP, audit_lines, only

DEV = "0000:17:00.0"
GAVE_UP = (
    f"mlx5_core {DEV}: wait_func:1151:(pid 1510): MODIFY_CQ(0x403) timeout. Will cause a leak of a command resource"
)

AER = "pcieport 0000:16:00.0: AER: Uncorrected (Fatal) error received: 0000:17:00.0"
DPC = "pcieport 0000:16:00.0: DPC: containment event, status:0x1f01 source:0x0000"
HOTPLUG = "pcieport 0000:16:00.0: pciehp: Slot(4): Link Down"
EEH = "EEH: Frozen PHB#0-PE#10000 detected"
DMAR = "DMAR: [DMA Write NO_PASID] Request device [17:00.0] fault addr 0xfe800000 [fault reason 0x05]"
AMD = f"mlx5_core {DEV}: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x31 address=0xfffc0000 flags=0x20]"
SMMU = f"arm-smmu-v3 arm-smmu-v3.0.auto: event: F_TRANSLATION client: {DEV} sid: 0x100 ssid: 0x0 iova: 0x1000"
NO_IRQ = "__common_interrupt: 7.34 No irq handler for vector"


def _own(*messages: str) -> list[str]:
    return [f"mlx5_core {DEV}: {m}" for m in messages]


def _report(tmp: Path, *lines: str, step: float = 0.5) -> Report:
    return audit_lines(tmp, [f"[{100 + i * step:12.6f}] {line}" for i, line in enumerate(lines)])


def _session(tmp: Path, *lines: str, step: float = 0.5) -> SessionAccount:
    return only(_report(tmp, *lines, step=step))


def _found(s: SessionAccount) -> list[tuple[str, str]]:
    return sorted((f.name, f.blame) for f in s.findings)


ALL = [AER, DPC, HOTPLUG, EEH, DMAR, AMD, SMMU, NO_IRQ]


@pytest.mark.parametrize("line", ALL)
def test_without_a_line_of_the_drivers_there_is_no_session(line: str, tmp_path: Path) -> None:
    report = _report(tmp_path, line.replace(f"mlx5_core {DEV}", f"nvme {DEV}"))
    assert (report.verdict, report.sessions) == (Verdict.NOT_KNOWN, [])


# -- the link


@pytest.mark.parametrize("beside", [AER, DPC, HOTPLUG, EEH])
@pytest.mark.parametrize(
    "own",
    [
        _own("poll_health:800:(pid 0): device's health compromised - reached miss count"),
        _own("mlx5_error_sw_reset:227:(pid 9): start", "handling bad device here"),
        _own("starting health recovery flow", "health recovery failed"),
        _own("Skipping wait for vf pages stage"),
    ],
    ids=["health", "error", "recovery", "wait"],
)
@pytest.mark.parametrize("after", [False, True])
def test_a_device_in_error_behind_a_lost_link_is_the_links(
    beside: str, own: list[str], after: bool, tmp_path: Path
) -> None:
    s = _session(tmp_path, *([*own, beside] if after else [beside, *own]))
    assert (s.end, _found(s)) == ("lost", [("link-lost", "link")])
    assert beside in s.findings[0].detail


@pytest.mark.parametrize("beside", [AER, DPC, HOTPLUG])
def test_commands_without_an_answer_behind_a_lost_link_are_the_links(beside: str, tmp_path: Path) -> None:
    s = _session(tmp_path, beside, *_own("give fail -110", "page notify failed func_id(3) err(-110)"), GAVE_UP)
    assert s.end == "lost"
    assert {f.blame for f in s.findings} == {"link"}
    assert "command-unanswered" in {f.name for f in s.findings}


@pytest.mark.parametrize("beside", [AER, DPC, HOTPLUG, EEH])
def test_a_load_that_fails_behind_a_lost_link_is_the_links(beside: str, tmp_path: Path) -> None:
    own = _own("wait_fw_init:199:(pid 18): Firmware over 120000 MS in pre-initializing state, aborting")
    s = _session(tmp_path, beside, *own, *_own("mlx5_init_one failed with error code -110"))
    assert (s.end, _found(s)) == ("failed", [("load-failed", "link")])


def test_firmware_that_said_what_is_wrong_before_its_link_went_is_to_blame(tmp_path: Path) -> None:
    own = _own("Health issue observed, unrecoverable hardware error, severity(3) ERROR:", "synd 0x8: unrecoverable")
    assert "link" not in {f.blame for f in _session(tmp_path, *own, DPC).findings}
    assert "link-lost" in {f.name for f in _session(tmp_path, DPC, *own).findings}


@pytest.mark.parametrize(
    "line",
    [
        AER.replace("0000:17:00.0", "0000:18:00.0"),  # of another card
        DPC.replace("0000:16", "0001:16"),  # in another domain
        HOTPLUG.replace("16:00.0", "64:02.0"),  # of a port that it cannot be below
        DMAR.replace("17:00.0", "18:00.0"),
        DMAR.replace("17:00.0", "17:00.1"),
        NO_IRQ,
    ],
)
def test_lines_about_others_change_nothing(line: str, tmp_path: Path) -> None:
    own = _own("handling bad device here")
    assert _found(_session(tmp_path, line, *own)) == _found(_session(tmp_path, *own)) == [("device-error", "device")]


def test_lines_of_another_hour_change_nothing(tmp_path: Path) -> None:
    for lines in ((DPC, GAVE_UP), (GAVE_UP, DPC)):
        assert _found(_session(tmp_path, *lines, step=3600)) == [("command-unanswered", "device")]


# -- the IOMMU


@pytest.mark.parametrize("beside", [DMAR, AMD, SMMU])
@pytest.mark.parametrize(
    ("command", "step"),
    [("ENABLE_HCA(0x104)", "enable hca failed"), ("QUERY_ISSI(0x10a)", "failed to set issi")],
)
def test_a_first_command_that_the_iommu_blocks_is_not_the_devices(
    beside: str, command: str, step: str, tmp_path: Path
) -> None:
    waited = f"wait_func:1151:(pid 1): {command} timeout. Will cause a leak of a command resource"
    own = _own("firmware version: 26.35.3006", waited, step, "mlx5_init_one failed with error code -110")
    s = _session(tmp_path, own[0], beside, *own[1:], step=30)
    assert (s.end, _found(s)) == ("failed", [("load-failed", "unknown")])
    assert "IOMMU" in s.findings[0].remedy
    assert beside in s.findings[0].detail


@pytest.mark.parametrize("beside", [DMAR, AMD, SMMU])
def test_an_access_that_the_iommu_blocked_is_found_in_a_session_that_complains_of_nothing(
    beside: str, tmp_path: Path
) -> None:
    s = _session(tmp_path, *_own(*START), beside, *_own(*SWEEP), step=3600)
    assert _found(s) == [("iommu-fault", "unknown")]
    s = _session(tmp_path, *_own("firmware version: 26.35.3006"), beside, GAVE_UP, step=30)
    assert _found(s) == [("command-unanswered", "unknown"), ("iommu-fault", "unknown")]


# -- interrupts


@pytest.mark.parametrize("beside", [NO_IRQ, "do_IRQ: 1.40 No irq handler for vector", "irq 55: nobody cared (try"])
def test_an_answer_whose_interrupt_went_nowhere_is_a_lost_interrupt(beside: str, tmp_path: Path) -> None:
    s = _session(tmp_path, beside, GAVE_UP, step=60)
    assert _found(s) == [("interrupt-lost", "unknown")]
    assert "MODIFY_CQ" in s.findings[0].detail
    assert "reset" not in s.findings[0].remedy


def test_a_give_whose_interrupt_went_nowhere_leaves_its_pages_doubtful(tmp_path: Path) -> None:
    gave = "give_pages:411:(pid 7): npages 9, ec_function 0, func_id 0x3, err -110"
    s = _session(tmp_path, *_own(*START), NO_IRQ, *_own(gave))
    assert _found(s) == [("give-unanswered", "unknown")]
    assert s.totals.doubtful == 9


# -- the function goes


@pytest.mark.parametrize(
    "line", [f"pci {DEV}: Removing from iommu group 5", f"iommu: Removing device {DEV} from group 5"]
)
def test_a_function_that_is_removed_tells_nothing_of_its_pages(line: str, tmp_path: Path) -> None:
    s = _session(tmp_path, *_own("firmware version: 26.35.3006"), line)
    assert (s.end, s.verdict) == ("removed", Verdict.NOT_KNOWN)
    s = _session(tmp_path, *_own(*START, *SWEEP), line)
    assert (s.end, s.verdict) == ("closed", Verdict.CLEAN)
    s = _session(tmp_path, HOTPLUG, *_own("E-Switch: cleanup"), line)
    assert (s.end, _found(s)) == ("lost", [("link-lost", "link")])
    s = _session(tmp_path, *_own("E-Switch: cleanup"), HOTPLUG, line)
    assert (s.end, _found(s)) == ("removed", [])


def test_what_is_not_listed_stays_counted_under_the_new_cause(tmp_path: Path) -> None:
    s = _session(tmp_path, NO_IRQ, *[GAVE_UP] * 40, *_own("Link up"), step=0.001)
    assert {f.name for f in s.findings} == {"interrupt-lost"}
    assert f"(and {40 - len(s.findings)} more like it)" in s.findings[-1].detail
