"""Firmware's own words in a log: one event of a card is one finding, in the words that a vendor's ticket asks for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from fwpages.custody.accounts import Report
from tests.auditor.logs import audit_lines

#: health buffers as drivers of different years print them: the same content, more or less of it
TODAY = (
    "Health issue observed, firmware internal error, severity(3) ERROR:",
    "assert_var[0] 0x00000f21",
    "assert_var[1] 0x00000007",
    "assert_exit_ptr 0x20a11b34",
    "assert_callra 0x20a11c08",
    "fw_ver 28.41.1000",
    "time 1733000111",
    "hw_id 0x0000021e",
    "rfr 1",
    "crr 0",
    "severity 3 (ERROR)",
    "irisc_index 5",
    "synd 0x1: firmware internal error",
    "ext_synd 0x81a5",
    "raw fw_ver 0x1c2903e8",
)
VENDOR = (
    "assert_var[0] 0x00000f21",
    "assert_exit_ptr 0x20a11b34",
    "assert_callra 0x20a11c08",
    "fw_ver 16.28.2006",
    "hw_id 0x0000020d",
    "irisc_index 5",
    "synd 0x1: firmware internal error",
    "ext_synd 0x81a5",
    "raw fw_ver 0x101c07d6",
)
LINUX_3 = (
    "assert_var[0] 0x00000f21",
    "assert_exit_ptr 0x20a11b34",
    "fw_ver 0x0c100078",
    "synd 0x1: firmware internal error",
    "ext_sync 0x81a5",
)
STALLED = "device's health compromised - reached miss count"


def _log(device: str, messages: Iterable[str], at: float = 100.0) -> list[str]:
    return [f"[{at + i / 1000:12.6f}] mlx5_core {device}: {text}" for i, text in enumerate(messages)]


def _found(report: Report) -> list[tuple[str, list[tuple[str, str]]]]:
    return [(s.device, [(f.name, f.blame) for f in s.findings]) for s in report.sessions]


@pytest.mark.parametrize("printed", [TODAY, VENDOR, LINUX_3])
def test_a_health_buffer_is_one_finding_whoever_prints_it(printed: tuple[str, ...], tmp_path: Path) -> None:
    report = audit_lines(tmp_path, _log("0000:5e:00.0", (STALLED, *printed)))
    assert _found(report) == [("0000:5e:00.0", [("device-error", "device")])]
    [event] = report.health
    assert (event.synd, event.synd_words, event.ext_synd) == ("0x1", "firmware internal error", "0x81a5")
    assert event.assert_exit_ptr == "0x20a11b34"
    assert event.assert_var[0] == "0x00000f21"
    assert all(value in report.sessions[0].findings[0].detail for value in ("0x81a5", event.fw_ver or "?"))


def test_the_whole_buffer_is_in_the_report(tmp_path: Path) -> None:
    [event] = audit_lines(tmp_path, _log("0000:5e:00.0", TODAY)).health
    assert (event.severity, event.severity_name, event.rfr, event.crr, event.irisc_index) == (3, "ERROR", 1, 0, 5)
    assert (event.fw_ver, event.raw_fw_ver, event.hw_id) == ("28.41.1000", "0x1c2903e8", "0x0000021e")
    assert (event.time, event.assert_callra, event.cold_reset) == (1733000111, "0x20a11c08", False)
    assert event.assert_var == ["0x00000f21", "0x00000007"]


@pytest.mark.parametrize("other", ["0000:5e:00.1", "0000:5e:0a.3", "mlx5_core.sf.4"])
def test_what_the_functions_of_a_card_say_is_one_event(other: str, tmp_path: Path) -> None:
    lines = _log("0000:5e:00.0", TODAY) + _log(other, (STALLED,), at=101.5)
    report = audit_lines(tmp_path, lines)
    assert _found(report) == [("0000:5e:00.0", [("device-error", "device")]), (other, [])]
    assert report.health[0].functions == sorted(["0000:5e:00.0", other])
    beside = report.sessions[1]
    assert beside.clean is not True
    assert any("0000:5e:00.0" in note for note in beside.notes)


def test_the_function_that_printed_most_has_the_finding(tmp_path: Path) -> None:
    lines = _log("0000:5e:00.1", (STALLED,)) + _log("0000:5e:00.0", TODAY, at=100.7)
    report = audit_lines(tmp_path, lines)
    assert [(s.device, len(s.findings)) for s in report.sessions] == [("0000:5e:00.1", 0), ("0000:5e:00.0", 1)]


@pytest.mark.parametrize(
    ("device", "at", "synd"),
    [("0000:86:00.0", 101.0, "0x1"), ("0000:5e:00.1", 400.0, "0x1"), ("0000:5e:00.1", 101.0, "0x8")],
    ids=["another card", "later", "another syndrome"],
)
def test_other_events_are_findings_of_their_own(device: str, at: float, synd: str, tmp_path: Path) -> None:
    words = {"0x1": "firmware internal error", "0x8": "unrecoverable hardware error"}[synd]
    lines = _log("0000:5e:00.0", TODAY) + _log(device, (f"synd {synd}: {words}", "ext_synd 0x8001"), at=at)
    report = audit_lines(tmp_path, lines)
    assert [len(s.findings) for s in report.sessions] == [1, 1]
    assert [e.device for e in report.health] == ["0000:5e:00.0", device]


@pytest.mark.parametrize(
    ("line", "blame", "remedy"),
    [
        ("synd 0x7: irisc not responding", "device", "fw_fatal"),
        ("synd 0x8: unrecoverable hardware error", "device", "power the machine off"),
        ("synd 0xa: ICM fetch PCI error", "unknown", "AER"),
        ("synd 0x12: ICM fetch PCI data poisoned error", "unknown", "IOMMU"),
        ("synd 0x13: Trust lockdown error", "device", "devlink dev info"),
        ("synd 0x55: unrecognized error", "device", "devlink health dump show pci/0000:5e:00.0 reporter fw_fatal"),
        ("Fatal error 3 detected", "unknown", "mlxfwreset"),
        ("Fatal error 4 detected", "unknown", "driver_reinit"),
        ("Fatal error 5 detected", "device", "driver_reinit"),
    ],
)
def test_blame_and_remedy_follow_from_the_syndrome(line: str, blame: str, remedy: str, tmp_path: Path) -> None:
    [s] = audit_lines(tmp_path, _log("0000:5e:00.0", (line,))).sessions
    [finding] = s.findings
    assert (finding.name, finding.blame) == ("device-error", blame)
    assert remedy in finding.remedy


@pytest.mark.parametrize("asked", ["crr 1", "Cold reset is required"])
def test_where_firmware_wants_a_cold_reset_nothing_less_is_advised(asked: str, tmp_path: Path) -> None:
    report = audit_lines(tmp_path, _log("0000:5e:00.0", ("synd 0x1: firmware internal error", asked)))
    [finding] = report.sessions[0].findings
    assert "power the machine off" in finding.remedy
    assert "reload" not in finding.remedy
    assert report.health[0].cold_reset


HOT = "High temperature on sensors with bit set"


@pytest.mark.parametrize(
    "messages",
    [
        (f"{HOT} 0 0x1.", "Sensor name[0]: asic"),
        (f"{HOT} 0 1", "synd 0x10: High temperature", "ext_synd 0x8d11"),
        ("Health issue observed, High temperature, severity(2) CRITICAL:", "fw_ver 28.39.1002"),
    ],
)
def test_heat_is_cooled_and_no_reset_is_advised(messages: tuple[str, ...], tmp_path: Path) -> None:
    [s] = audit_lines(tmp_path, _log("0000:5e:00.0", messages)).sessions
    [finding] = s.findings
    assert (finding.name, finding.blame) == ("high-temperature", "unknown")
    assert "cool" in finding.remedy
    assert "function-level reset" not in finding.remedy


def test_a_warning_of_heat_and_the_shutdown_after_it_are_one_event(tmp_path: Path) -> None:
    lines = _log("0000:5e:00.0", (f"{HOT} 0 0x1.", "Sensor name[0]: asic"))
    lines += _log("0000:5e:00.0", ("synd 0x10: High temperature",), at=900)
    [event] = audit_lines(tmp_path, lines).health
    assert (event.temperature_sensors, event.sensor_names, event.at["time"]) == ("0 0x1", ["asic"], 100.0)


@pytest.mark.parametrize(
    "line",
    [
        "Detected insufficient power on the PCIe slot (27W).",
        "Detected insufficient power on the PCIe slot",
        "Port module event[error]: module 0, Cable error, One or more network ports have been powered down due to "
        "insufficient/unadvertised power on the PCIe slot",
    ],
)
def test_too_little_power_is_the_slots(line: str, tmp_path: Path) -> None:
    report = audit_lines(tmp_path, _log("0000:5e:00.0", (line,)))
    assert _found(report) == [("0000:5e:00.0", [("slot-power", "host")])]


@pytest.mark.parametrize(
    "line",
    [
        "Port module event[error]: module 1, Cable error, Bus stuck (I2C or data shorted)",
        "Port module event[error]: module 1, Cable error, High Temperature",
        "Module 1, status: error, Bad or shorted cable/module (7)",
    ],
)
def test_a_module_in_error_is_nobodys_fault_as_far_as_the_log_tells(line: str, tmp_path: Path) -> None:
    report = audit_lines(tmp_path, _log("0000:5e:00.0", (line,)))
    assert _found(report) == [("0000:5e:00.0", [("module-error", "unknown")])]


@pytest.mark.parametrize(
    "line", ["Port module event: module 1, Cable plugged", "PCIe slot advertised sufficient power (75W)."]
)
def test_ordinary_events_are_no_findings(line: str, tmp_path: Path) -> None:
    report = audit_lines(tmp_path, _log("0000:5e:00.0", ("firmware version: 28.39.1002", line)))
    assert report.health == []
    assert _found(report) == [("0000:5e:00.0", [])]


@pytest.mark.parametrize(
    "read",
    [
        (
            "Fatal error 1 detected",
            "assert_var[0] 0xffffffff",
            "fw_ver 65535.65535.65535",
            "synd 0xff: unrecognized error",
        ),
        ("Fatal error 2 detected",),
        ("Fatal error 1 detected", "raw fw_ver 0xffffffff"),
    ],
)
def test_a_device_that_reads_all_ones_says_nothing_of_its_firmware(read: tuple[str, ...], tmp_path: Path) -> None:
    report = audit_lines(tmp_path, _log("0000:5e:00.0", read))
    assert report.health == []
    assert _found(report) == [("0000:5e:00.0", [("link-lost", "link")])]


def test_events_are_bounded(tmp_path: Path) -> None:
    lines = [_log("0000:5e:00.0", ("synd 0x1: firmware internal error",), at=100.0 * n)[0] for n in range(1, 200)]
    report = audit_lines(tmp_path, lines)
    assert len(report.health) == len(report.sessions[0].findings) == 64
