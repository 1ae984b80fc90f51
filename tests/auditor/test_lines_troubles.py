"""Logs of lines alone, of real troubles: one trouble is one finding, and what the lines do not tell is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.custody.accounts import SessionAccount
from tests.auditor.account_checks import row
from tests.auditor.logs import (
    START,
    SWEEP,
    audit_lines,
    dmesg,
    driver_log,
    only,
    without_dumps,
    without_slots,
)

CMD = "MANAGE_PAGES(0x108)"
LEAK = f"wait_func:1094:(pid 1): {CMD} timeout. Will cause a leak of a command resource"


def _audit(tmp: Path, *messages: str) -> SessionAccount:
    return only(audit_lines(tmp, driver_log(*messages)))


def _found(s: SessionAccount) -> list[tuple[str, str, str | None, int | None]]:
    return [(f.name, f.blame, f.function, f.pages) for f in s.findings]


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        # Linux 5.12 (CVE-2021-47246): the reclaim's error is said three times, and a WARN
        (
            [
                LEAK,
                "reclaim_pages:514:(pid 1): failed reclaiming pages: err -110",
                "mlx5_reclaim_root_pages:653:(pid 1): failed reclaiming pages (-110) for func id 0x0",
                "!FW pages counter is 4 after reclaiming all pages",
                "!WARNING: CPU: 1 PID: 1 at drivers/net/ethernet/mellanox/mlx5/core/pagealloc.c:685 f+0x34b/0x460",
            ],
            [("take-unanswered", "device", None, None), ("pages-left", "device", "func:0x0", 4)],
        ),
        # a GIVE that is not answered, and then CANT_GIVE is not either
        (
            [
                f"wait_func_handle_exec_timeout:1108:(pid 1): cmd[31]: {CMD} No done completion",
                LEAK,
                "give_pages:411:(pid 1): func_id 0x0, npages 40, err -110",
                f"wait_func_handle_exec_timeout:1108:(pid 1): cmd[31]: {CMD} No done completion",
                LEAK,
                "page_notify_fail:360:(pid 1): page notify failed func_id(0) err(-110)",
                "pages_work_handler:560:(pid 1): give fail -110",
            ],
            [("give-unanswered", "device", "func:0x0", 40), ("cant-give-unanswered", "device", "func:0x0", None)],
        ),
        (
            ["req_pages_handler:600:(pid 1): failed to allocate pages request"],
            [("request-dropped", "host", None, None)],
        ),
        # Linux 3.11's words
        (
            ["reclaim_pages:320:(pid 1): FW reported unknown DMA address 0x1234000"],
            [("returned-never-given", "device", None, 1)],
        ),
    ],
    ids=["reclaim", "give", "dropped", "3.11"],
)
def test_one_trouble_is_one_finding(
    messages: list[str], found: list[tuple[str, str, str | None, int | None]], tmp_path: Path
) -> None:
    assert _found(_audit(tmp_path, *START, *messages)) == found


# -- old kernels

OLD = [
    (
        "mlx5_satisfy_startup_pages:480:(pid 7): requested 6 boot pages for func_id 0x0",
        "mlx5_satisfy_startup_pages:480:(pid 7): requested 100 init pages for func_id 0x0",
        "mlx5_eq_int:250:(pid 0): page request for func 0x2, napges 5",
        "mlx5_eq_int:250:(pid 0): page request for func 0x3, napges 7",
    ),
    (
        "mlx5_satisfy_startup_pages:480:(pid 7): requested 6 boot pages for func_id 0x0",
        "mlx5_eq_int:250:(pid 0): page request for func 0x2, napges 5",
    ),
]


@pytest.mark.parametrize("requests", OLD, ids=["two at start", "one at start"])
@pytest.mark.parametrize("times", [1, 2])
def test_linux_3_11_says_err_0_twice_for_each_give(requests: tuple[str, ...], times: int, tmp_path: Path) -> None:
    says = ["give_pages:340:(pid 7): err 0"] * times
    s = _audit(tmp_path, "firmware version: 10.10.1000", *(x for r in requests for x in (r, *says)))
    assert {f.identity: f.given for f in s.functions} == (
        {"func:0x0": 106, "func:0x2": 5, "func:0x3": 7} if len(requests) == 4 else {"func:0x0": 6, "func:0x2": 5}
    )
    assert s.totals.held == s.totals.given


def test_a_kernel_that_said_it_once_at_the_start_means_two_gives_by_two_lines(tmp_path: Path) -> None:
    gave = "give_pages:340:(pid 7): err 0"
    asked = "mlx5_eq_int:250:(pid 0): page request for func 0x2, npages 5"
    start = [x for line in OLD[0][:2] for x in (line, gave)]
    s = _audit(tmp_path, "firmware version: 12.0.0", *start, asked, gave, asked, gave)
    assert [(f.identity, f.given) for f in s.functions] == [("func:0x0", 106), ("func:0x2", 10)]


# -- names


def test_the_ec_bit_of_the_boot_pages_tells_an_ecpf_and_its_host_pf_apart(tmp_path: Path) -> None:
    start = [line.replace("ec_function 0", "ec_function 1") for line in START]
    asked = "req_pages_handler:600:(pid 0): page request for func 0x0, npages 500, release_all 0"
    gave = "give_pages:467:(pid 9): npages 500, ec_function 0, func_id 0x0, err 0"
    s = _audit(tmp_path, *start, asked, gave)
    assert [(f.identity, f.type.value, f.given, f.held) for f in s.functions] == [
        ("func:0x0/ec", "self", 106, 106),
        ("func:0x0", "host_pf", 500, 500),
    ]
    assert s.verdict == "consistent so far"
    # a TAKE's line has no ec bit: which of the two functions the pages come from is not known
    s = _audit(tmp_path, *start, asked, gave, "reclaim_pages:550:(pid 9): func 0x0, npages 50, outlen 416")
    assert [(f.given, f.returned, f.held) for f in s.functions] == [(106, None, None), (500, None, None)]


def test_without_an_ec_bit_function_0_is_the_only_one_of_its_number(tmp_path: Path) -> None:
    start = [line.replace("ec_function 0", "ec_function 1") for line in START]
    s = _audit(tmp_path, *start, *SWEEP)
    assert [(f.identity, f.type.value, f.given) for f in s.functions] == [("func:0x0/ec", "self", 106)]
    assert s.end == "closed"


def test_a_line_that_goes_back_to_function_ids_is_the_drivers_fault(tmp_path: Path) -> None:
    lines = without_dumps(dmesg())
    at = next(i for i, line in enumerate(lines) if "npages 100, ec_function 0, func 0x5, mode 1" in line)
    lines[at] = lines[at].replace("func 0x5, mode 1", "func 0x0, mode 0")
    s = only(audit_lines(tmp_path, lines))
    assert [(f.name, f.blame, f.at["line"]) for f in s.findings] == [("mode-mismatch", "host", at + 1)]
    assert (s.mode, row(s, "vhca:0x5").given) == ("vhca_id", None)


# -- lines that contradict the dumps


def test_dumps_that_are_missing_without_a_trace_blame_no_party(tmp_path: Path) -> None:
    """A release_all's line counts 54, the dumps 0, and 10 pages came back that were never given."""
    for lines in (dmesg(), without_slots(dmesg())):
        asked = next(i for i, line in enumerate(lines) if "page request for func 0x31, npages 64" in line)
        gave = next(i for i, line in enumerate(lines) if "npages 64, ec_function 0" in line)
        s = only(audit_lines(tmp_path, lines[:asked] + lines[gave + 1 :]))
        assert [(f.name, f.blame) for f in s.findings] == [("log-disagrees", "log")]
        assert any(" left out: lines are missing, and nothing shows where" in n for n in s.notes)
        assert s.totals.given is None


# -- late answers

LATE = "mlx5_cmd_comp_handler:1709:(pid 0): Command completion arrived after timeout (entry idx = 3)."


def test_a_late_answer_to_a_give_leaves_the_freed_pages_in_danger(tmp_path: Path) -> None:
    s = _audit(tmp_path, *START, LEAK, "pages_work_handler:443:(pid 1592): give fail -110", LATE)
    (found,) = s.findings
    assert found.name == "give-unanswered"
    assert "firmware may have them" in found.detail
    assert "arrived after timeout" in found.detail
    assert "the slot is free again, the pages are not safe" in found.detail


def test_each_late_answer_stands_at_a_give_of_its_own(tmp_path: Path) -> None:
    gave = "give_pages:400:(pid 5): func_id 0x0, npages 5, err -110"
    other = LATE.replace("= 3", "= 4")
    s = _audit(tmp_path, *START, LEAK, gave, LEAK, gave, LATE, other)
    assert {f.name for f in s.findings} == {"give-unanswered"}
    assert sorted(f.detail.count("arrived after timeout") for f in s.findings) == [1, 1]


def test_a_late_answer_to_another_command_is_a_finding_of_its_own(tmp_path: Path) -> None:
    other = "wait_func:1094:(pid 1): QUERY_VPORT_COUNTER(0x770) timeout. Will cause a leak of a command resource"
    s = _audit(tmp_path, *START, LEAK, "pages_work_handler:443:(pid 1592): give fail -110", other, LATE)
    assert [f.name for f in s.findings] == ["give-unanswered", "late-answer"]


def test_a_timeout_and_a_reclaim_that_names_no_error_are_one_take_without_an_answer(tmp_path: Path) -> None:
    s = _audit(tmp_path, *START, LEAK, "reclaim_pages:431:(pid 0): failed reclaiming pages")
    assert _found(s) == [("take-unanswered", "device", None, None)]


# -- notes beside findings


def test_no_note_says_that_nothing_was_complained_of_beside_a_finding(tmp_path: Path) -> None:
    quiet = _audit(tmp_path, *START, *SWEEP)
    assert any("complained of nothing" in note for note in quiet.notes)
    s = _audit(tmp_path, *START, LEAK, *SWEEP)
    assert s.findings
    assert not any("complained of nothing" in note for note in s.notes)
    assert any("took everything back" in note for note in s.notes)
