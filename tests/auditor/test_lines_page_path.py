"""The page path's own complaints, in the words of each driver: one finding, and its cause; none of them is clean."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.custody.accounts import SessionAccount, Verdict
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.logs import START, SWEEP, audit_lines, driver_log, only
from tests.auditor.written_traces import pages


def _session(tmp: Path, *messages: str) -> SessionAccount:
    return only(audit_lines(tmp, driver_log(*messages)))


def _found(s: SessionAccount) -> list[tuple[str, str]]:
    return [(f.name, f.blame) for f in s.findings]


# -- less than firmware asked for


@pytest.mark.parametrize(
    "messages",
    [
        (
            "vf_obtainable_pages:394:(pid 88): Failed giving 512 pages to func:3 due to exceeding the limit:4096, "
            "curr_pages:4096",
            "pages_work_handler:722:(pid 88): give fail -1",
        ),
        (
            "vf_obtainable_pages:403:(pid 88): Giving only 96 pages to func:3 due to reaching the limit:4096, "
            "curr_pages:4000",
        ),
        ("Failed giving 1 pages to func:3 due to exceeding the limit:1, curr_pages:1",),
    ],
)
def test_a_limit_of_pages_that_an_administrator_set_is_the_hosts(messages: tuple[str, ...], tmp_path: Path) -> None:
    s = _session(tmp_path, *START, *messages)
    assert _found(s) == [("page-limit", "host")]
    assert s.findings[0].function == "func:0x3"
    assert "reset" not in s.findings[0].remedy


def test_a_function_that_the_driver_does_not_know_gets_nothing(tmp_path: Path) -> None:
    s = _session(tmp_path, "Failed giving 512 pages to func:77 due to faulty vport", "give fail -1")
    assert [(f.name, f.blame, f.function, f.pages) for f in s.findings] == [("cannot-give", "host", "func:0x4d", 512)]


@pytest.mark.parametrize(
    "messages",
    [
        (
            "give_pages:474:(pid 88): 50000 pages alloc time exceeded the max permitted duration",
            "page notify failed func_id(3) err(-5)",
            "give fail -12",
        ),
        ("failed to allocate page", "give failed -12"),
        ("failed dma mapping page", "give fail -12"),
    ],
)
def test_no_memory_is_the_hosts_whatever_ran_out(messages: tuple[str, ...], tmp_path: Path) -> None:
    s = _session(tmp_path, *START, *messages)
    assert [x for x in _found(s) if x[0] == "alloc-failed"] == [("alloc-failed", "host")]


# -- what firmware returned


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("addr 0x12345000 is already freed, n 5", "returned-twice"),
        ("free_4k:288:(pid 7): addr 0xffff0000 is already freed, n 0", "returned-twice"),
        ("free_4k:283:(pid 7): page not found", "returned-never-given"),
        ("FW reported unknown DMA address 0x1234000", "returned-never-given"),
        ("fw returned 60, driver asked 50 => corruption", "count-over-asked"),
    ],
)
def test_a_page_that_cannot_come_back_is_the_devices(message: str, name: str, tmp_path: Path) -> None:
    s = _session(tmp_path, *START, message, *SWEEP)
    assert _found(s) == [(name, "device")]


@pytest.mark.parametrize(
    "counters",
    [
        ("FW pages counter is -512 after reclaiming all pages",),
        ("VFs FW pages counter is -3 after reclaiming all pages",),
        (
            "FW pages counter is 40 after reclaiming all pages",
            "EC VFs FW pages counter is -2 after reclaiming all pages",
            "External host PF FW pages counter is 42 after reclaiming all pages",
        ),
    ],
)
def test_a_counter_below_zero_is_the_drivers_whatever_the_others_are(counters: tuple[str, ...], tmp_path: Path) -> None:
    s = _session(tmp_path, *START, *SWEEP, *("!" + c for c in counters))
    wrong = [f for f in s.findings if f.name == "counters-disagree"]
    assert [(f.blame, "below zero" in f.detail) for f in wrong] == [("host", True)]


@pytest.mark.parametrize("total", [-1, -512, 7])
def test_a_counter_below_zero_is_found_beside_dumps_that_begin_late(total: int) -> None:
    trace = AuditedTrace(late=True, log=True)
    trace.take(0x31, pages(0x600, 2))
    trace.say(
        f"FW pages counter is {total} after reclaiming all pages",
        "VFs FW pages counter is -3 after reclaiming all pages",
    )
    assert [(f.name, f.blame) for f in trace.over().findings] == [("counters-disagree", "host")]


# -- TAKEs that bring nothing


@pytest.mark.parametrize("number", [0x0, 0x31])
@pytest.mark.parametrize("log", [True, False])
def test_takes_that_bring_nothing_again_and_again_are_found_though_the_input_begins_late(
    number: int, log: bool
) -> None:
    trace = AuditedTrace(late=True, log=log)
    for _ in range(300):
        trace.take(number, pages(0, 0))
    (f,) = trace.over().findings
    assert (f.name, f.blame) == ("pages-not-returned", "device")


@pytest.mark.parametrize("every", [1, 7, 50])
def test_takes_that_bring_something_in_between_are_progress(every: int) -> None:
    trace = AuditedTrace(late=True, log=True)
    for n in range(300):
        trace.take(0x31, pages(0x600 + n, 0 if n % every else 1))
    assert trace.over().findings == []


def test_each_function_is_counted_by_itself() -> None:
    trace = AuditedTrace(late=True, log=True)
    for n in range(120):
        trace.take(0x31 + n % 2, pages(0, 0))
    assert trace.over().findings == []


# -- the driver leaves


@pytest.mark.parametrize(
    "messages",
    [
        ("mlx5_cmd_force_teardown_hca:361:(pid 1): teardown with force mode failed, doing normal teardown",),
        ("teardown with fast mode failed", "teardown with force mode failed, doing normal teardown"),
        ("teardown with fast mode failed", "Fast teardown failed, unloading, err -5"),
        ("Fast teardown failed, no reset done, err -5",),
    ],
)
def test_a_fast_teardown_that_firmware_does_not_do_is_one_finding(messages: tuple[str, ...], tmp_path: Path) -> None:
    for before in ((), ("Shutdown was called",)):
        s = _session(tmp_path, *before, *messages)
        assert _found(s) == [("teardown-state", "device")]


@pytest.mark.parametrize("function", ["mlx5_enter_error_state:121:(pid 1)", "enter_error_state:99:(pid 1)"])
def test_a_driver_that_is_shut_down_enters_its_error_state_on_purpose(function: str, tmp_path: Path) -> None:
    s = _session(tmp_path, "firmware version: 16.35.2000", "Shutdown was called", f"{function}: start")
    assert (s.end, s.verdict, _found(s)) == ("removed", Verdict.NOT_KNOWN, [])
    s = _session(tmp_path, "firmware version: 16.35.2000", f"{function}: start", "Shutdown was called")
    assert _found(s) == [("device-error", "device")]


@pytest.mark.parametrize(
    "message",
    [
        "reset reload flow aborted, PCI reads still not working",
        "PCI link not ready (0x1041) after 2000 ms",
        "PCIe topology is not ready after 2000 ms",
        "Firmware is not responsive (0xffff) after 5000 ms",
        "PCI bus bridge is not accessible",
    ],
)
def test_a_link_that_does_not_come_back_after_a_reset_is_the_links(message: str, tmp_path: Path) -> None:
    s = _session(tmp_path, "Sync Reset now. Device is going to reset.", message)
    assert (s.end, _found(s)) == ("lost", [("link-lost", "link")])
