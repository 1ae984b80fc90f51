"""Logs that hold only one-line messages, and what the driver complains of in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.custody.accounts import SessionAccount
from tests.auditor.logs import START, SWEEP, Lines, audit_lines, dmesg, driver_log, only, without_dumps


def _audit(tmp: Path, *messages: str) -> SessionAccount:
    return only(audit_lines(tmp, driver_log(*messages)))


def _names(s: SessionAccount) -> list[tuple[str, str]]:
    return [(f.name, f.blame) for f in s.findings]


def test_linux_6_1_knows_only_function_ids(tmp_path: Path) -> None:
    s = _audit(tmp_path, *START, *SWEEP)
    assert (s.mode, s.end, s.clean) == ("func_id", "closed", True)
    assert [(f.identity, f.given, f.returned, f.held, f.peak) for f in s.functions] == [
        ("func:0x0", 106, None, None, 106)
    ]


def test_linux_4_says_less(tmp_path: Path) -> None:
    s = _audit(
        tmp_path,
        "firmware version: 14.20.1010",
        "mlx5_satisfy_startup_pages:480:(pid 7): requested 6 boot pages for func_id 0x0",
        "give_pages:340:(pid 7): err 0",
        "mlx5_satisfy_startup_pages:480:(pid 7): requested 100 init pages for func_id 0x0",
        "give_pages:340:(pid 7): npages 100, err 0",
        "mlx5_eq_int:250:(pid 0): page request for func 0x2, napges 5",
        "give_pages:340:(pid 30): err 0",
        "mlx5_eq_int:250:(pid 0): page request for func 0x2, npages -3",
        "reclaim_pages:400:(pid 30): npages 3, outlen 40",
    )
    assert [(f.identity, f.given, f.returned) for f in s.functions] == [("func:0x0", 106, 0), ("func:0x2", 5, None)]


def test_a_give_that_fits_no_single_request_is_not_guessed(tmp_path: Path) -> None:
    s = _audit(
        tmp_path,
        *START,
        "mlx5_eq_int:250:(pid 0): page request for func 0x2, npages 5",
        "mlx5_eq_int:250:(pid 0): page request for func 0x3, npages 5",
        "give_pages:340:(pid 30): npages 5, err 0",
    )
    assert all(f.given is None for f in s.functions)
    assert any("names no function" in n for n in s.notes)


def test_a_log_that_begins_in_the_middle(tmp_path: Path) -> None:
    s = _audit(tmp_path, *START[3:], *SWEEP)
    assert s.functions[0].given is None
    assert "func:0x0: seen here: given 100, released 0" in s.notes


# -- complaints


def test_a_counter_of_the_drivers_that_is_wrong_by_itself(tmp_path: Path) -> None:
    s = _audit(tmp_path, *START, *SWEEP, "!VFs FW pages counter is -7 after reclaiming all pages")
    assert _names(s) == [("counters-disagree", "host")]


def test_a_warning_beside_dumps_is_compared_with_the_ledger(tmp_path: Path) -> None:
    at = next(i for i, line in enumerate(dmesg()) if "DISABLE_HCA" in line) - 1
    warn = "[    7.172500] FW pages counter is 3 after reclaiming all pages"
    s = only(audit_lines(tmp_path, [*dmesg()[:at], warn, *dmesg()[at:]]))
    assert _names(s) == [("counters-disagree", "host")]
    assert s.totals.held == 0


@pytest.mark.parametrize(
    ("messages", "name", "blame", "function", "pages"),
    [
        (("free_4k:300:(pid 9): page not found",), "returned-never-given", "device", None, 1),
        (
            ("reclaim_pages:570:(pid 9): fw returned 60, driver asked 50 => corruption",),
            "count-over-asked",
            "device",
            None,
            60,
        ),
        (
            ("page_notify_fail:343:(pid 9): page notify failed func_id(3) err(-5)",),
            "command-refused",
            "device",
            "func:0x3",
            None,
        ),
        (
            ("mlx5_wait_for_pages:945:(pid 9): aborting while there are 12 pending pages",),
            "pages-pending",
            "device",
            None,
            12,
        ),
        (("mlx5_wait_for_pages:938:(pid 9): Skipping wait for vf pages stage",), "device-error", "device", None, None),
        (
            ("poll_health:819:(pid 0): device's health compromised - reached miss count",),
            "device-error",
            "device",
            None,
            None,
        ),
        (
            ("wait_func:1192:(pid 9): CREATE_EQ(0x301) timeout. Will cause a leak of a command resource",),
            "command-unanswered",
            "device",
            None,
            None,
        ),
        (
            (
                "mlx5_cmd_out_err:822:(pid 9): INIT_HCA(0x102) op_mod(0x0) failed, status internal error(0x1), "
                "syndrome (0x22), err(-5)",
            ),
            "command-refused",
            "device",
            None,
            None,
        ),
    ],
)
def test_what_the_driver_complains_of(
    messages: tuple[str, ...], name: str, blame: str, function: str | None, pages: int | None, tmp_path: Path
) -> None:
    s = _audit(tmp_path, *START, *messages)
    f = next(f for f in s.findings if f.name == name)
    assert (f.blame, f.function, f.pages) == (blame, function, pages)
    assert not s.clean


def test_a_device_without_name_in_a_warning_is_the_one_that_was_closing(tmp_path: Path) -> None:
    lines = driver_log(*START) + [line.replace("03:00.0", "03:00.1") for line in driver_log(*START)]
    lines += driver_log(*SWEEP, "!FW pages counter is 9 after reclaiming all pages")
    first, second = audit_lines(tmp_path, lines).sessions
    assert (_names(first), _names(second)) == ([("pages-left", "device")], [])


# -- time-outs in logs with dumps


def _unanswered(*, own: bool, words: bool) -> Lines:
    """The golden log up to a GIVE for 0x31 that is never answered: the driver dumps the entry as it lies there."""
    lines = dmesg()
    at = next(i for i, line in enumerate(lines) if "page request for func 0x31, npages 64" in line)
    begin = next(i for i in range(at, len(lines)) if "MANAGE_PAGES(0x108) OUTPUT" in lines[i]) - 1
    end = next(i for i in range(begin, len(lines)) if "end dump" in lines[i])
    dump = lines[begin : end + 1]
    if own:
        dump = [line[:-1] + "1" if ": 030:" in line else line for line in dump]
    late = [
        "[    9.000000] mlx5_core 0000:00:03.0: wait_func_handle_exec_timeout:1162:(pid 30): cmd[31]: "
        "MANAGE_PAGES(0x108) No done completion"
    ]
    leak = [
        "[    9.100000] mlx5_core 0000:00:03.0: wait_func:1192:(pid 30): MANAGE_PAGES(0x108) timeout. Will cause "
        "a leak of a command resource"
    ]
    return lines[:begin] + (late if words else []) + dump + (leak if words else [])


@pytest.mark.parametrize(("own", "words"), [(True, True), (True, False), (False, True)])
def test_an_unanswered_give_in_a_log_with_dumps(own: bool, words: bool, tmp_path: Path) -> None:
    s = only(audit_lines(tmp_path, _unanswered(own=own, words=words)))
    assert [(f.name, f.blame, f.function, f.pages) for f in s.findings] == [
        ("give-unanswered", "device", "vhca:0x31", 64)
    ]
    assert [(f.identity, f.held, f.doubtful) for f in s.functions] == [("vhca:0x5", 2545, 0), ("vhca:0x31", 0, 64)]


def test_one_line_messages_do_not_count_twice_beside_dumps(tmp_path: Path) -> None:
    with_lines = only(audit_lines(tmp_path, dmesg()))
    dumps_only = [
        line for line in dmesg() if "npages" not in line or "release_all 1" in line or "release_all_pages" in line
    ]
    assert only(audit_lines(tmp_path, dumps_only)).functions == with_lines.functions
    assert without_dumps(dmesg()) != dmesg()
