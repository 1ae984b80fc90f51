"""A device that is lost, a recovery, a driver that leaves: the session's end, and one finding with its blame."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fwpages.custody.accounts import SessionAccount, Verdict, verdict_of
from fwpages.readers.driver_messages import WORDINGS, Wording
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.logs import DEV, PREFIXES, START, SWEEP, audit_lines, driver_log, only, prefixed
from tests.auditor.written_traces import OWN_VHCA, pages


def _session(tmp: Path, *messages: str) -> SessionAccount:
    return only(audit_lines(tmp, driver_log(*messages)))


def _found(s: SessionAccount) -> list[tuple[str, str]]:
    return [(f.name, f.blame) for f in s.findings]


@pytest.mark.parametrize(
    "messages",
    [
        ("poll_health:745:(pid 0): Fatal error 1 detected", "print_health_info:380:(pid 0): PCI slot is unavailable"),
        ("mlx5_pci_err_detected was called", "mlx5_enter_error_state:121:(pid 300): start"),
        ("mlx5_pci_err_detected Device state = 1 pci_status: 1. Enter", "PCI slot 3 is unavailable"),
        ("health recovery flow aborted, PCI reads still not working",),
        ("mlx5_pci_slot_reset: wait vital failed with error code: -110",),
        ("mlx5_pci_err_detected Device state = 1 pci_status: 1. Exit, result = 4, disconnect",),
    ],
)
def test_a_link_that_is_gone_is_the_links(messages: tuple[str, ...], tmp_path: Path) -> None:
    s = _session(tmp_path, "firmware version: 28.39.1002", *messages)
    assert (s.end, _found(s)) == ("lost", [("link-lost", "link")])


def test_a_slot_that_was_reset_ends_the_session_and_the_link_is_to_blame(tmp_path: Path) -> None:
    s = _session(
        tmp_path,
        "mlx5_pci_err_detected Device state = 1 pci_status: 0. Exit, result = 3, need reset",
        "mlx5_pci_slot_reset Device state = 1 pci_status: 1. Exit, err = 0, result = 5, recovered",
    )
    assert (s.end, _found(s)) == ("reset", [("link-lost", "link")])
    assert "reset of the slot" in s.findings[0].detail


def test_commands_unanswered_since_the_link_went_are_the_links(tmp_path: Path) -> None:
    before, after = (
        f"wait_func:1008:(pid 7{n}): DESTROY_TIR(0x902) timeout. Will cause a leak of a command resource" for n in "12"
    )
    s = _session(tmp_path, before, "poll_health:720:(pid 0): Fatal error 2 detected", after)
    assert _found(s) == [("command-unanswered", "device"), ("command-unanswered", "link"), ("link-lost", "link")]
    assert "the channel is offline" in s.findings[1].detail


def test_a_device_that_is_lost_and_then_does_not_load_has_both_findings(tmp_path: Path) -> None:
    s = _session(
        tmp_path,
        "Fatal error 1 detected",
        "health recovery flow aborted, PCI reads still not working",
        "Missing registers BAR, aborting",
        "probe_one:1998: mlx5_pci_init failed with error code -19",
    )
    assert s.end == "failed"
    assert sorted(_found(s)) == [("link-lost", "link"), ("load-failed", "link")]


def test_a_link_that_goes_after_firmware_failed_is_a_consequence(tmp_path: Path) -> None:
    s = _session(
        tmp_path, "synd 0x8: unrecoverable hardware error", "Fatal error 1 detected", "PCI slot is unavailable"
    )
    assert (s.end, _found(s)) == ("lost", [("device-error", "device")])


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ("health recovery failed", "recovery failed"),
        ("health_recover:365:(pid 3311): health recovery flow aborted since the nic state is invalid", "aborted"),
        ("mlx5_health_try_recover:338:(pid 4111): health recovery flow aborted", "aborted"),
    ],
)
def test_a_recovery_that_did_not_succeed_is_found(last: str, words: str, tmp_path: Path) -> None:
    s = _session(tmp_path, "handling bad device here", "starting health recovery flow", last)
    f = next(f for f in s.findings if f.name == "recovery-failed")
    assert f.blame == "unknown"
    assert words in f.detail


def test_a_recovery_that_failed_after_firmware_said_what_is_wrong_is_a_consequence(tmp_path: Path) -> None:
    s = _session(tmp_path, "synd 0x10: High temperature", "health recovery flow aborted, PCI reads still not working")
    assert (s.end, _found(s)) == ("lost", [("high-temperature", "unknown")])
    assert any("recovery flow aborted" in note for note in s.notes)


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        (
            (
                "device's health compromised - reached miss count",
                "starting health recovery flow",
                "firmware version: 22.44.1036",
                "health recovery succeeded",
            ),
            ("device-error", "device"),
        ),
        (
            (
                "print_health_info:438:(pid 0): Health issue observed, firmware internal error, severity(3) ERROR:",
                "print_health_info:447:(pid 0): synd 0x1: firmware internal error",
                "mlx5_health_try_recover:340:(pid 12): handling bad device here",
                "mlx5_error_sw_reset:236:(pid 12): start",
                "mlx5_error_sw_reset:273:(pid 12): end",
                "mlx5_health_try_recover:346:(pid 12): starting health recovery flow",
                "firmware version: 28.39.1002",
                "mlx5_health_try_recover:353:(pid 12): health recovery succeeded",
            ),
            ("device-error", "device"),
        ),
        (
            (
                "mlx5_pci_err_detected Device state = 1 health sensors: 0 pci_status: 1. Enter, pci channel state = 2",
                "mlx5_pci_slot_reset Device state = 2 pci_status: 1. Exit, err = 0, result = 5, recovered",
                "mlx5_pci_resume was called",
                "firmware version: 28.36.1010",
                "health recovery succeeded",
            ),
            ("link-lost", "link"),
        ),
    ],
)
def test_a_recovery_that_succeeded_ends_the_session(
    messages: tuple[str, ...], found: tuple[str, str], tmp_path: Path
) -> None:
    first, second = audit_lines(tmp_path, driver_log(*messages)).sessions
    assert (first.end, _found(first)) == ("reset", [found])
    assert (second.end, _found(second), second.verdict) == ("open", [], Verdict.NOT_KNOWN)


@pytest.mark.parametrize("last", ["Shutdown was called", "E-Switch: cleanup", "device is being removed, stop load"])
def test_a_driver_that_leaves_without_a_word_about_pages_proves_nothing(last: str, tmp_path: Path) -> None:
    s = _session(tmp_path, "firmware version: 16.35.2000", last)
    assert (s.end, s.verdict, _found(s)) == ("removed", Verdict.NOT_KNOWN, [])


KEPT = [
    "mlx5_destroy_flow_table:2078:(pid 458): Flow table 1048581 wasn't destroyed, refcount > 1",
    "mlx5_destroy_flow_group:2095:(pid 458): Flow group 19 wasn't destroyed, refcount > 1",
    "Flow table 3 wasn't destroyed, refcount > 1",
]
REFUSED = [
    "mlx5_cmd_out_err:800:(pid 7): DESTROY_MKEY(0x202) op_mod(0x0) failed, status bad resource state(0x9), "
    "syndrome (0x1), err(-22)",
    "mlx5_cmd_check:752:(pid 9): DESTROY_FLOW_TABLE(0x931) op_mod(0x0) failed, status bad resource(0x5), syndrome (0)",
    "cmd[3]: DEALLOC_PD(0x801) op_mod(0x0) failed, status resource busy(0x6), syndrome (0x2a1), err(-16)",
    "DESTROY_QP(0x501) op_mod(0x0) failed, status bad QP state(0x10), syndrome (0x5), err(-22)",
]
LEFT = [
    (*SWEEP, "!FW pages counter is 560 after reclaiming all pages"),
    (*SWEEP, "FW did not return all pages. giving up..."),
    (*SWEEP, "!VFs FW pages counter is 560 after reclaiming all pages", "FW did not return all pages. giving up..."),
]


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("kept", [*KEPT, *REFUSED])
def test_pages_that_objects_live_in_are_not_the_devices(kept: str, left: tuple[str, ...], tmp_path: Path) -> None:
    s = _session(tmp_path, *START, kept, *left)
    (f,) = [f for f in s.findings if f.name == "pages-left"]
    assert f.blame == "host"
    assert kept.rpartition(": ")[2] in f.detail
    assert "ended before the unload" in f.remedy


@pytest.mark.parametrize("kept", KEPT)
def test_objects_that_are_kept_are_found_though_no_line_counts_pages(kept: str, tmp_path: Path) -> None:
    for around in ((), START):
        assert _found(_session(tmp_path, *around, kept)) == [("objects-kept", "host")]


@pytest.mark.parametrize("refused", REFUSED)
def test_an_object_that_was_refused_long_before_says_nothing_of_pages_left(refused: str, tmp_path: Path) -> None:
    hours = [f"[{10 + 7200 * i:12.6f}] {DEV}{m}" for i, m in enumerate([*START, refused])]
    s = only(audit_lines(tmp_path, [*hours, f"[ 99999.000000] {DEV}FW did not return all pages. giving up..."]))
    assert [f.blame for f in s.findings if f.name == "pages-left"] == ["device"]


def test_an_object_that_firmware_fails_to_destroy_is_the_devices(tmp_path: Path) -> None:
    broken = "DESTROY_QP(0x501) op_mod(0x0) failed, status internal error(0x1), syndrome (0x5), err(-5)"
    s = _session(tmp_path, *START, broken, *LEFT[0])
    assert [f.blame for f in s.findings if f.name == "pages-left"] == ["device"]


@pytest.mark.parametrize("kept", [*KEPT, *REFUSED])
def test_pages_that_objects_live_in_are_not_the_devices_by_dumps_either(kept: str) -> None:
    trace = AuditedTrace(log=True)
    trace.opened()
    trace.say("npages 10, ec_function 0, func 0x0, mode 0, err 0")
    trace.say(f"npages 20, ec_function 0, func {OWN_VHCA:#x}, mode 1, err 0")
    trace.say(kept.rpartition("): ")[2] if "pid" in kept else kept)
    trace.closed([pages(0x100, 10), pages(0, 0)])
    assert [(f.blame, f.pages) for f in trace.over().findings if f.name == "pages-left"] == [("host", 20)]


@pytest.mark.parametrize(
    "gave_up",
    [
        ("wait_func:1189:(pid 57923): ACCESS_REG(0x805) timeout. Will cause a leak of a command resource",),
        ("cmd[0]: ACCESS_REG(0x805) No done completion",),
        (
            "cmd[-22]: ACCESS_REG(0x805) No done completion",
            "cmd[-22]: ACCESS_REG(0x805) timeout. Will cause a leak of a command resource",
        ),
    ],
)
def test_a_late_answer_is_one_finding_and_its_slot_is_free(gave_up: tuple[str, ...], tmp_path: Path) -> None:
    s = _session(tmp_path, *gave_up, "Command completion arrived after timeout (entry idx = 0).")
    assert _found(s) == [("late-answer", "device")]
    assert " late" in s.findings[0].detail
    assert "reset" not in s.findings[0].remedy


@pytest.mark.parametrize(
    "messages",
    [
        ("Recovered 1 EQEs on cmd_eq", "cmd[3]: CREATE_EQ(0x301) recovered after timeout"),
        ("cmd[3]: CREATE_EQ(0x301) No done completion", "cmd[3]: CREATE_EQ(0x301) Async, recovered after timeout"),
        ("Recovered 12 EQEs on cmd_eq",),
    ],
)
def test_completions_without_an_interrupt_are_a_lost_interrupt(messages: tuple[str, ...], tmp_path: Path) -> None:
    s = _session(tmp_path, *messages, *messages)
    assert _found(s) == [("interrupt-lost", "unknown")]
    assert s.findings[0].detail.count("CREATE_EQ") == sum("recovered" in m for m in messages)


@pytest.mark.parametrize(
    "messages",
    [
        ("cmd[-22]: CREATE_MKEY(0x200) No done completion",),
        (
            "cmd[-22]: CREATE_MKEY(0x200) No done completion",
            "wait_func:1130:(pid 9): CREATE_MKEY(0x200) timeout. Will cause a leak of a command resource",
        ),
        ("cmd_work_handler:955:(pid 211): failed to allocate command entry",),
    ],
)
def test_a_command_that_got_no_slot_is_not_the_devices(messages: tuple[str, ...], tmp_path: Path) -> None:
    assert _found(_session(tmp_path, *messages)) == [("command-not-sent", "host")]


def test_a_command_without_completion_is_unanswered_though_nothing_more_is_said(tmp_path: Path) -> None:
    assert _found(_session(tmp_path, "cmd[5]: QUERY_VPORT(0x750) No done completion")) == [
        ("command-unanswered", "device")
    ]


@pytest.mark.parametrize(("status", "blame"), [(1, "device"), (3, "unknown"), (4, "unknown"), (9, "unknown")])
def test_a_command_that_the_device_takes_for_wrong_is_not_the_devices(status: int, blame: str, tmp_path: Path) -> None:
    line = f"INIT_HCA(0x102) op_mod(0x0) failed, status x({status:#x}), syndrome (0x1), err(-22)"
    assert _found(_session(tmp_path, line)) == [("command-refused", blame)]


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        (
            (
                "wait_func:790:(pid 1592): MANAGE_PAGES(0x108) timeout. Will cause a leak of a command resource",
                "page_notify_fail:308:(pid 1592): page notify failed",
                "pages_work_handler:443:(pid 1592): give fail -110",
            ),
            ["cant-give-unanswered", "give-unanswered"],
        ),
        (("pages_work_handler:443:(pid 1592): give fail -5",), ["give-refused"]),
        (("give_pages:411:(pid 7): func_vhca_id 0x21, npages 512, err -22", "give fail -22"), ["give-refused"]),
        (("pages_work_handler:443:(pid 1592): reclaim fail -110",), ["take-unanswered"]),
        (("failed reclaiming pages: err -5", "reclaim fail -5"), ["take-refused"]),
    ],
)
def test_the_last_line_of_the_page_path_counts_where_no_other_line_reported_it(
    messages: tuple[str, ...], found: list[str], tmp_path: Path
) -> None:
    assert [f.name for f in _session(tmp_path, *messages).findings] == found


@pytest.mark.parametrize("wanted", [-12, -1, -4096])
def test_firmware_that_wants_pages_back_at_start_up_leaves_what_was_stated(wanted: int, tmp_path: Path) -> None:
    s = _session(tmp_path, *START[:3], f"requested {wanted} init pages for func_id 0x0")
    assert _found(s) == [("absurd-count", "device")]
    assert str(wanted) in s.findings[0].detail
    assert s.totals.given == 6


def test_a_counter_below_zero_is_a_finding(tmp_path: Path) -> None:
    s = _session(tmp_path, *START, *SWEEP, "!FW pages counter is -512 after reclaiming all pages")
    assert _found(s) == [("counters-disagree", "host")]


# -- no trouble is ever clean

TROUBLES = [w for w in WORDINGS if w.trouble]
QUIET = [*START, *SWEEP]


def _line(wording: Wording) -> str:
    origin = f"{wording.printed_by[0]}:100:(pid 7): " if wording.printed_by else ""
    return origin + wording.example


@pytest.mark.parametrize("wording", TROUBLES, ids=lambda w: w.example)
@pytest.mark.parametrize("around", [(), START, (*START, *SWEEP)], ids=["alone", "open", "closed"])
def test_a_log_with_trouble_in_it_is_never_clean(wording: Wording, around: tuple[str, ...], tmp_path: Path) -> None:
    report = audit_lines(tmp_path, driver_log(*around, _line(wording)))
    assert verdict_of(s.verdict for s in report.sessions) in (Verdict.FINDINGS, Verdict.NOT_KNOWN)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    troubles=st.lists(st.sampled_from(TROUBLES), min_size=1, max_size=3),
    quiet=st.lists(st.sampled_from(QUIET), max_size=6),
    style=st.sampled_from(sorted(PREFIXES)),
    data=st.data(),
)
def test_trouble_is_seen_wherever_it_stands_and_however_it_is_printed(
    troubles: list[Wording], quiet: list[str], style: str, data: st.DataObject, tmp_path: Path
) -> None:
    messages = data.draw(st.permutations([*quiet, *map(_line, troubles)]))
    log = [f"[{10 + i / 1000:12.6f}] {DEV}{m}" for i, m in enumerate(messages)]
    report = audit_lines(tmp_path, prefixed(log, style))
    assert verdict_of(s.verdict for s in report.sessions) in (Verdict.FINDINGS, Verdict.NOT_KNOWN)
