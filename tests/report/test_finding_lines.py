"""Findings as lines: the worst first, each remedy once, and its commands on lines of their own."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fwpages.custody.accounts import FindingAccount
from fwpages.custody.findings import Cause
from fwpages.report.finding_lines import show_findings, worst_first


def of(cause: Cause, pages: int | None = None, function: str | None = None) -> FindingAccount:
    return FindingAccount(
        name=cause.finding,
        blame=cause.blame.value,
        function=function,
        pages=pages,
        detail=f"{pages} of {function}",
        remedy=cause.remedy.replace("ADDRESS", "0000:03:00.0"),
        at={"file": "a.log", "line": 7, "time": 1.5},
    )


def shown(findings: list[FindingAccount], names: dict[str, str] | None = None, width: int = 80) -> list[str]:
    out = io.StringIO()
    show_findings(findings, Console(file=out, width=width, force_terminal=True, color_system=None), names)
    return out.getvalue().splitlines()


def test_the_worst_come_first_and_what_is_wrong_with_the_input_last() -> None:
    lost, few = of(Cause.LOG_LINES_LOST), of(Cause.PAGES_LEFT_NEVER_ASKED, 3)
    many, dead = of(Cause.TAKE_SHORT, 500), of(Cause.DEVICE_ERROR)
    assert worst_first([lost, few, many, dead]) == [[dead], [many], [few], [lost]]


def test_findings_that_are_alike_have_one_heading_and_one_remedy() -> None:
    found = [of(Cause.PAGES_LEFT_NEVER_ASKED, n, f"func:{n:#x}") for n in (256, 512)]
    lines = shown(found)
    assert lines[:2] == ["", "  pages-left  blames: host  2 times, 768 pages (3 MiB)"]
    assert "      func:0x100  256 pages (1 MiB)  a.log:7  at 1.5 s" in lines
    assert sum("resolved by:" in line for line in lines) == 1


def test_a_single_finding_has_its_facts_in_its_heading_with_the_functions_name() -> None:
    lines = shown([of(Cause.PAGES_LEFT_NEVER_ASKED, 1, "func:0x3")], {"func:0x3": "vf2"})
    assert lines[1] == "  pages-left  blames: host  func:0x3 (vf2)  1 page (0.004 MiB)  a.log:7"
    assert lines[2] == "      at 1.5 s"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_commands_of_a_remedy_are_lines_that_can_be_copied(width: int) -> None:
    lines = shown([of(Cause.DEVICE_ERROR)], width=width)
    assert "        devlink dev info pci/0000:03:00.0" in lines
    assert "        devlink health dump show pci/0000:03:00.0 reporter fw_fatal" in lines


def test_more_findings_than_a_screen_has_use_for_are_counted() -> None:
    lines = shown([of(Cause.PAGES_LEFT_NEVER_ASKED, 1)] * 250)
    assert lines[-1] == "  and 50 more findings (--json has them all)"
