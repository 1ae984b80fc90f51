"""A verdict is never clean for a log with a failed load, a lost device, an unseen beginning or no pages in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.auditor import surroundings
from fwpages.custody.accounts import Verdict
from fwpages.custody.verdicts import Lack
from fwpages.readers.driver_messages import WORDINGS, Wording
from fwpages.readers.platform_messages import PLATFORM_WORDINGS
from tests.auditor.logs import PREFIXES, START, SWEEP, audit_lines, driver_log, only, prefixed

#: lines that a driver prints without debug messages, whether all is well or not
ORDINARY = (
    "firmware version: 22.41.1000",
    "63.008 Gb/s available PCIe bandwidth (8.0 GT/s PCIe x8 link)",
    "Rate limit: 127 rates are supported, range: 0Mbps to 97656Mbps",
    "E-Switch: Total vports 2, per vport: max uc(128) max mc(2048)",
    "Port module event: module 0, Cable plugged",
    "mlx5_pcie_event:301:(pid 9): PCIe slot advertised sufficient power (27W).",
    "Link up",
)
#: every line that says by itself that a load failed, a device is lost or something else went wrong
TROUBLES = [w for w in WORDINGS if w.trouble]
#: and some in the words of other kernels and drivers
OTHER_WORDS = (
    "mlx5_error_sw_reset:227:(pid 9): start",
    "PCI slot is unavailable",
    "poll_health:800:(pid 0): device's health compromised - reached miss count",
    "mlx5_init_one failed with error code -110",
    "mlx5_load_one:1003:(pid 612): Firmware over 10000 MS in pre-initializing state, aborting",
    "probe_one:1778:(pid 1510): mlx5_load_one failed: -5",
    "mlx5_load_one_devl_locked err = -110",
    "firmware version: 65535.65535.65535",
    "Waiting for FW initialization, timeout abort in 100s (0xffffffff)",
    "give failed -110",
    "page notify failed",
    "cmd[-22]: ACCESS_REG(0x805) No done completion",
)
#: lines of other parts of the kernel, which make a session of none of these
PLATFORM = [w.example for w in PLATFORM_WORDINGS]
TRAFFIC = (
    "req_pages_handler:612:(pid 0): page request for func 0x3, npages 64, release_all 0",
    "give_pages:411:(pid 30): npages 64, ec_function 0, func_id 0x3, err 0",
    "req_pages_handler:612:(pid 0): page request for func 0x3, npages 0, release_all 1",
    "release_all_pages:454:(pid 30): npages 64, ec_function 0, func_id 0x3",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(ORDINARY), min_size=1, max_size=8))
def test_a_log_without_pages(folder: Path, lines: list[str]) -> None:
    assert audit_lines(folder, driver_log(*lines)).verdict in (Verdict.NOT_KNOWN, Verdict.FINDINGS)


def test_each_device_that_a_log_names_has_a_verdict(folder: Path) -> None:
    """Also one of which only lines about its links are there; it comes last."""
    lines = [
        "[    5.1] mlx5_core 0000:21:00.1 ens3f1: Link up",
        "[    6.1] mlx5_core 0000:21:00.0: firmware version: 22.41.1000",
        "[    7.1] mlx5_core 0000:21:00.2 ens3f2: TX timeout detected",
    ]
    verdicts = [(s.device[-4:], s.verdict) for s in audit_lines(folder, lines).sessions]
    assert verdicts == [(name, Verdict.NOT_KNOWN) for name in ("00.0", "00.1", "00.2")]


def test_lines_whose_device_was_cut_off_have_a_session_too(folder: Path) -> None:
    lines = [
        "set_hca_cap:880:(pid 77): handle_hca_cap failed",
        "probe_one:2003:(pid 77): mlx5_init_one failed with error code -22",
    ]
    (s,) = audit_lines(folder, lines).sessions
    assert (s.device, s.end, [f.name for f in s.findings]) == ("mlx5_core", "failed", ["load-failed"])


def _line(wording: Wording) -> str:
    return (f"{wording.printed_by[0]}:100:(pid 7): " if wording.printed_by else "") + wording.example


@settings(max_examples=150, deadline=None)
@given(
    trouble=st.sampled_from([*map(_line, TROUBLES), *OTHER_WORDS]),
    beside=st.lists(st.sampled_from(PLATFORM), max_size=2),
    style=st.sampled_from(sorted(PREFIXES)),
    data=st.data(),
)
def test_a_load_that_failed_or_a_device_that_is_lost(
    folder: Path, trouble: str, beside: list[str], style: str, data: st.DataObject
) -> None:
    lines = [*START, *TRAFFIC, *SWEEP]
    lines.insert(data.draw(st.integers(1, len(lines))), trouble)
    for line in beside:
        lines.insert(data.draw(st.integers(0, len(lines))), "!" + line)
    report = audit_lines(folder, prefixed(driver_log(*lines), style))
    assert report.verdict in (Verdict.FINDINGS, Verdict.NOT_KNOWN)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(PLATFORM), min_size=1, max_size=6), st.sampled_from(sorted(PREFIXES)))
def test_a_log_of_other_parts_of_the_kernel_alone(folder: Path, lines: list[str], style: str) -> None:
    log = prefixed(driver_log(*("!" + line.replace("mlx5_core", "nvme") for line in lines)), style)
    report = audit_lines(folder, log)
    assert (report.verdict, report.sessions) == (Verdict.NOT_KNOWN, [])


@pytest.mark.parametrize(("before", "lack"), [((), Lack.LOAD), (START[:1], Lack.LOAD_MESSAGES)])
def test_debug_messages_that_were_switched_on_after_the_load(folder: Path, before: tuple[str, ...], lack: Lack) -> None:
    s = only(audit_lines(folder, driver_log(*before, *TRAFFIC, *SWEEP)))
    assert s.verdict is not Verdict.CLEAN
    s = only(audit_lines(folder, driver_log(*before, *TRAFFIC)))
    assert (s.verdict, s.missing, s.totals.held) == (Verdict.NOT_KNOWN, [lack.missing], None)


def test_pages_that_were_not_all_asked_for(folder: Path) -> None:
    """The next load comes before the driver has asked every function for everything."""
    lines = (*START, *TRAFFIC[:2], *SWEEP, *START, *SWEEP)
    first, second = audit_lines(folder, driver_log(*lines)).sessions
    assert first.verdict is not Verdict.CLEAN
    assert second.verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    "complaint",
    [
        "mlx5_wait_for_pages:790:(pid 9): timeout reclaiming EC VFs pages",
        "free_4k:211:(pid 9): alloc 4k bug: fw page = 0x5000, n = 5, bitmask: 1, max num of 4K pages: 1",
        "cmd_alloc_index:99:(pid 9): All CMD slots are stalled, aborting command",
        "mlx5_esw_offloads_enable:77:(pid 9): Couldn't enable the thing of a later kernel",
        "!mlx5_core: 12 callbacks suppressed",
        "!RIP: 0010:mlx5_free_4k+0x30/0x190 [mlx5_core]",
        "!pcieport 0000:00:01.0: AER: device recovery failed",
    ],
)
def test_a_complaint_that_no_rule_explains(folder: Path, complaint: str) -> None:
    for lines in ((*START, complaint, *SWEEP), (*START, *SWEEP, complaint)):
        report = audit_lines(folder, driver_log(*lines))
        assert report.verdict in (Verdict.NOT_KNOWN, Verdict.FINDINGS)
        assert any("complaint" in lack.what for s in report.sessions for lack in s.missing)


def test_a_link_error_that_a_storm_of_others_displaces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "MAX_LINES", 8)
    error = "!pcieport 0000:00:01.0: AER: Uncorrected (Fatal) error received: {}:00.0"
    others = [*START, *[error.format("0000:99")] * 8, *SWEEP]
    assert only(audit_lines(folder, driver_log(*others))).verdict is Verdict.CLEAN
    others.insert(len(START), error.format("0000:03"))
    assert only(audit_lines(folder, driver_log(*others))).verdict is Verdict.NOT_KNOWN


def test_a_complaint_after_many_refusals_is_not_lost(folder: Path) -> None:
    refused = [
        f"X_{n}({0x9000 + n:#x}) op_mod(0x0) failed, status bad operation(0x2), syndrome (0x1)" for n in range(120)
    ]
    s = only(audit_lines(folder, driver_log(*START, *refused, "a thing of a later kernel failed", *SWEEP)))
    assert Lack.COMPLAINT.missing in s.missing


@pytest.mark.parametrize(
    "line",
    [
        "Unable to change power state from D3cold to D0, device inaccessible",
        "not ready 65535ms after FLR; giving up",
        "mlx5_pci_resume Device state = 2 pci_status: 1. Done, err = -110, device Failed",
    ],
)
def test_a_function_that_the_pci_core_does_not_reach_is_a_finding(folder: Path, line: str) -> None:
    assert audit_lines(folder, driver_log(*START, line)).verdict is Verdict.FINDINGS


@pytest.mark.parametrize(
    ("command", "verdict"),
    [
        ("DESTROY_QP(0x501) op_mod(0x0) failed, status bad resource state(0x9)", Verdict.NOT_KNOWN),
        ("MODIFY_VPORT_STATE(0x751) op_mod(0x0) failed, status bad parameter(0x3)", Verdict.NOT_KNOWN),
        # drivers try it, whatever the device can do
        ("ACCESS_REG(0x805) op_mod(0x1) failed, status bad parameter(0x3)", Verdict.CLEAN),
    ],
)
def test_lines_alone_prove_nothing_of_a_driver_that_complains(folder: Path, command: str, verdict: Verdict) -> None:
    complaint = f"mlx5_cmd_out_err:838:(pid 9): {command}, syndrome (0x25b161), err(-22)"
    assert only(audit_lines(folder, driver_log(*START, complaint, *SWEEP))).verdict is verdict
