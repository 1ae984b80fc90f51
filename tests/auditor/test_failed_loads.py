"""A load that failed is one finding with its step, its error and what it means for pages, however it is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.custody.accounts import SessionAccount
from tests.auditor.logs import audit_lines, driver_log, only


def _session(tmp: Path, *messages: str) -> SessionAccount:
    return only(audit_lines(tmp, driver_log(*messages)))


@pytest.mark.parametrize(
    ("messages", "blame", "words"),
    [
        (  # Linux 4.18: the step, the load, the probe
            (
                "mlx5_load_one:1003:(pid 612): Firmware over 10000 MS in pre-initializing state, aborting",
                "init_one:1371:(pid 612): mlx5_load_one failed with error code -16",
                "!mlx5_core: probe of 0000:03:00.0 failed with error -16",
            ),
            "device",
            ("pre-initializing", "-16 (EBUSY", "no page had been given"),
        ),
        (  # the device was taken away
            (
                "firmware version: 65535.65535.65535",
                "wait_fw_init:199:(pid 18): Waiting for FW pre-initialization, timeout abort in 100s (0xffffffff)",
                "probe with driver mlx5_core failed with error -16",
            ),
            "link",
            ("all ones", "-16 (EBUSY"),
        ),
        (
            ("Cannot enable PCI device, aborting", "mlx5_pci_init failed with error code -19"),
            "unknown",
            ("PCI", "Cannot enable"),
        ),
        (
            (
                "mlx5_cmd_init:2190:(pid 240): Driver cmdif rev(5) differs from firmware's(65535)",
                "Failed initializing command interface, aborting",
                "mlx5_init_one failed with error code -22",
            ),
            "link",
            ("65535", "EINVAL"),
        ),
        (
            (
                "firmware version: 16.26.148",
                "mlx5_function_setup:923:(pid 505): Failed initializing command interface, aborting",
                "init_one:1308:(pid 505): mlx5_load_one failed with error code -12",
            ),
            "host",
            ("command interface", "-12 (ENOMEM", "no page had been given"),
        ),
        (  # nothing was ever answered
            (
                "firmware version: 16.35.4506",
                "wait_func:1203:(pid 691): ENABLE_HCA(0x104) timeout. Will cause a leak of a command resource",
                "mlx5_function_enable:1529:(pid 691): enable hca failed",
                "probe_one:2498:(pid 691): mlx5_init_one failed with error code -110",
            ),
            "unknown",
            ("enable hca failed", "ENABLE_HCA(0x104) timeout", "-110 (ETIMEDOUT"),
        ),
        (  # commands before it were answered
            (
                "mlx5_satisfy_startup_pages:649:(pid 7): requested 6 boot pages for func_id 0x0",
                "give_pages:411:(pid 7): npages 6, ec_function 0, func_id 0x0, err 0",
                "wait_func:1203:(pid 691): INIT_HCA(0x102) timeout. Will cause a leak of a command resource",
                "mlx5_function_setup:1103:(pid 95463): init hca failed",
                "mlx5_init_one failed with error code -110",
            ),
            "device",
            ("INIT_HCA(0x102) timeout", "boot pages, and perhaps init pages"),
        ),
        (
            (
                "requested 6 boot pages for func_id 0x0",
                "failed to allocate page",
                "failed to allocate boot pages",
                "mlx5_load_one failed with error code -12",
            ),
            "host",
            ("failed to allocate boot pages", "ENOMEM"),
        ),
        (("handle_hca_cap_roce failed", "mlx5_init_one failed with error code -5"), "unknown", ("EIO", "roce")),
        (("!mlx5_core.eth: probe of mlx5_core.eth.2 failed with error -524",), "unknown", ("-524",)),
        (("Failed to alloc IRQs", "probe with driver mlx5_core failed with error -28"), "unknown", ("ENOSPC",)),
    ],
)
def test_a_failed_load_is_one_finding(
    tmp_path: Path, messages: tuple[str, ...], blame: str, words: tuple[str, ...]
) -> None:
    s = _session(tmp_path, *messages)
    assert (s.end, [(f.name, f.blame) for f in s.findings]) == ("failed", [("load-failed", blame)])
    assert [w for w in words if w not in s.findings[0].detail] == []


def test_a_load_that_is_tried_again_is_another_session(tmp_path: Path) -> None:
    fails = ("Firmware over 120000 MS in initializing state, aborting", "mlx5_load_one failed with error code -16")
    report = audit_lines(tmp_path, driver_log("firmware version: 1.2.3", *fails, "firmware version: 1.2.3", *fails))
    assert [(s.end, len(s.findings)) for s in report.sessions] == [("failed", 1)] * 2


def test_each_function_whose_load_fails_has_a_session_of_its_own(tmp_path: Path) -> None:
    lines = [f"[   {n}.100] mlx5_core 0000:5d:05.{n}: mlx5_init_one failed with error code -110" for n in range(3)] + [
        "[   9.100] mlx5_core: probe of 0000:5d:05.1 failed with error -110"
    ]
    sessions = audit_lines(tmp_path, lines).sessions
    assert [(s.device[-1], s.end, len(s.findings)) for s in sessions] == [(str(n), "failed", 1) for n in range(3)]


def test_a_subfunction_is_named_by_its_driver(tmp_path: Path) -> None:
    lines = [
        "[  911.12] mlx5_core.sf mlx5_core.sf.4: firmware version: 32.39.1002",
        "[  911.13] mlx5_core.sf mlx5_core.sf.4: mlx5_sf_dev_probe:71:(pid 4411): mlx5_init_one err=-22",
        "[  911.15] mlx5_core.sf: probe of mlx5_core.sf.4 failed with error -22",
    ]
    s = only(audit_lines(tmp_path, lines))
    assert (s.device, s.end) == ("mlx5_core.sf.4", "failed")
    assert "-22 (EINVAL" in s.findings[0].detail


FIRST_TIMED_OUT = (
    "firmware version: 28.39.1002",
    "wait_func:1133:(pid 95463): ENABLE_HCA(0x104) timeout. Will cause a leak of a command resource",
    "mlx5_function_setup:1103:(pid 95463): enable hca failed",
    "probe_one:1686:(pid 95463): mlx5_init_one failed with error code -110",
)


def test_a_late_answer_proves_the_path_of_a_first_command(tmp_path: Path) -> None:
    late = "mlx5_cmd_comp_handler:1709:(pid 0): Command completion arrived after timeout (entry idx = 0)."
    (never,) = _session(tmp_path, *FIRST_TIMED_OUT).findings
    assert "BusMaster" in never.remedy
    (found,) = _session(tmp_path, *FIRST_TIMED_OUT, late).findings
    assert (found.name, found.blame) == ("load-failed", "device")
    assert "arrived after timeout" in found.detail
    assert "load it again" in found.remedy
    assert not any(word in found.remedy for word in ("BusMaster", "ARI", "IOMMU"))


def test_a_load_that_failed_is_not_noted_as_open(tmp_path: Path) -> None:
    s = _session(
        tmp_path,
        "firmware version: 28.39.1002",
        "mlx5_satisfy_startup_pages:799:(pid 100): requested 6 boot pages for func_id 0x0",
        "give_pages:467:(pid 100): npages 6, ec_function 0, func_id 0x0, err 0",
        "mlx5_function_open:1300:(pid 100): failed to allocate init pages",
        "probe_one:2003:(pid 100): mlx5_init_one failed with error code -16",
    )
    assert s.end == "failed"
    assert not any("device open" in note for note in s.notes)
