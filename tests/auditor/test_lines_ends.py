"""Ends of logs of lines alone, and what they do not tell: it is not known, and never taken for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.custody.accounts import SessionAccount
from tests.auditor.logs import START, SWEEP, Lines, audit_lines, dmesg, driver_log, later, only, without_dumps


def _audit(tmp: Path, *messages: str) -> SessionAccount:
    return only(audit_lines(tmp, driver_log(*messages)))


def _found(s: SessionAccount) -> list[tuple[str, str, str | None, int | None]]:
    return [(f.name, f.blame, f.function, f.pages) for f in s.findings]


def test_pages_that_a_reload_left_are_found_by_lines_too(tmp_path: Path) -> None:
    lines = without_dumps(dmesg())
    cut = next(i for i, line in enumerate(lines) if "npages -50" in line)
    first, second = audit_lines(tmp_path, lines[:cut] + later(lines, 100)).sessions
    assert (first.end, _found(first)) == ("reset", [("pages-left", "host", "vhca:0x5", 2595)])
    assert (second.end, second.clean) == ("closed", True)
    # since a TAKE their number is not known, only how many there are at least
    cut = next(i for i, line in enumerate(lines) if "page request for func 0x31, npages 64" in line)
    first, _ = audit_lines(tmp_path, lines[:cut] + later(lines, 100)).sessions
    assert _found(first) == [("pages-left", "host", "vhca:0x5", None)]
    assert first.findings[0].detail.startswith("at least 2,545 pages of vhca:0x5: ")


def _in_error() -> Lines:
    """The recorded log up to the teardown, which a device in error does not get: its driver frees the pages itself."""
    lines = dmesg()
    cut = next(i for i, line in enumerate(lines) if "DESTROY_EQ" in line) - 1
    dev = "mlx5_core 0000:00:03.0: "
    sweep = "reclaim_pages:604:(pid 1): func {}, npages 768, outlen 6160 mode 1"
    words = [
        "poll_health:825:(pid 0): device's health compromised - reached miss count",
        "mlx5_error_sw_reset:234:(pid 1): start",
        *[sweep.format("0x5")] * 4,
        sweep.format("0x31"),
    ]
    return lines[:cut] + [f"[{7 + i / 1000:12.6f}] {dev}{text}" for i, text in enumerate(words)]


@pytest.mark.parametrize("anew", [False, True])
def test_what_a_driver_takes_from_a_device_in_error_is_not_returned(anew: bool, tmp_path: Path) -> None:
    """There are no commands behind its lines: not that they are missing, nor that the driver closed."""
    lines = _in_error() + (later(dmesg(), 100) if anew else [])
    s, *rest = audit_lines(tmp_path, lines).sessions
    assert (s.end, _found(s)) == (
        "lost",
        [
            ("device-error", "device", None, None),
            ("pages-left", "device", "vhca:0x5", 2545),
            ("pages-left", "device", "vhca:0x31", 7),
        ],
    )
    assert (s.totals.given, s.totals.returned, s.totals.held) == (2666, 60, 2552)
    assert [(r.end, r.clean) for r in rest] == [("closed", True)] * anew
    # by lines alone, how many the 50 were that it once asked back is not known
    s, *rest = audit_lines(tmp_path, without_dumps(lines)).sessions
    assert (s.end, _found(s)) == (
        "lost",
        [
            ("device-error", "device", None, None),
            ("pages-left", "device", "vhca:0x5", None),
            ("pages-left", "device", "vhca:0x31", 7),
        ],
    )
    assert "at least 2,545 pages" in s.findings[1].detail
    assert (s.totals.given, s.totals.returned) == (2666, None)
    assert [(r.end, r.clean) for r in rest] == [("closed", True)] * anew


@pytest.mark.parametrize(("state", "end"), [(1, "closed"), (2, "lost"), (3, "lost")])
def test_a_pci_channel_that_is_frozen_or_gone_is_a_lost_link(state: int, end: str, tmp_path: Path) -> None:
    said = f"mlx5_pci_err_detected:1700:(pid 1): Device state = 1 pci_status: 0. Enter, pci channel state = {state}"
    s = _audit(tmp_path, *START, said, *SWEEP)
    assert (s.end, [f.name for f in s.findings]) == (end, ["link-lost", "pages-left"] if end == "lost" else [])
    assert {f.blame for f in s.findings} <= {"link"}


def test_a_function_that_was_asked_for_all_its_pages_has_left_none_for_certain(tmp_path: Path) -> None:
    vf = (
        "req_pages_handler:612:(pid 0): page request for func 0x3, npages 64, release_all 0",
        "give_pages:411:(pid 30): npages 64, ec_function 0, func_id 0x3, err 0",
        "req_pages_handler:612:(pid 0): page request for func 0x3, npages -64, release_all 0",
        "reclaim_pages:540:(pid 30): func 0x3, npages 64, outlen 528",
    )
    s = _audit(tmp_path, *START, *vf, "mlx5_error_sw_reset:234:(pid 1): start", *SWEEP)
    assert _found(s) == [("device-error", "device", None, None), ("pages-left", "device", "func:0x0", 106)]


# -- facts that lines do not show


@pytest.mark.parametrize("more", [(), ("mlx5_error_sw_reset:234:(pid 1): start",)])
def test_a_log_without_lines_about_pages_gives_no_counts(more: tuple[str, ...], tmp_path: Path) -> None:
    """Nothing seen of pages is not: no pages."""
    s = _audit(tmp_path, "firmware version: 16.35.2000", *more)
    assert {s.totals.given, s.totals.held, s.totals.peak} == {None}
    assert {t.given for t in s.by_type.values()} | {*s.counters.values()} == {None}
    assert s.functions == []


@pytest.mark.parametrize("number", ["9" * 30, "9" * 300, "9" * 5000])
@pytest.mark.parametrize(
    "message",
    [
        "give_pages:411:(pid 7): npages {}, ec_function 0, func_id 0x0, err 0",
        "give_pages:411:(pid 7): npages 6, ec_function 0, func_id 0x{}, err 0",
        "give_pages:411:(pid 7): func_id 0x3, npages 6, err -{}",
        "req_pages_handler:612:(pid 0): page request for func 0x{}, npages 5, release_all 0",
        "wait_func:1:(pid 1): MANAGE_PAGES(0x{}) timeout. Will cause a leak of a command resource",
        "page_notify_fail:343:(pid 9): page notify failed func_id({}) err(-5)",
    ],
)
def test_a_number_that_no_driver_says_is_damage_and_no_crash(message: str, number: str, tmp_path: Path) -> None:
    s = _audit(tmp_path, *START, message.format(number))
    assert {f.blame for f in s.findings} <= {"log"}
    # a line longer than any of the kernel's is not even one of the driver's
    assert (s.totals.given, bool(s.findings)) == ((106, False) if len(number) == 5000 else (None, True))
