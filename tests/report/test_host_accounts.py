"""A host's books in the shape that runs and audits share: every figure in its place, every finding once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fwpages.custody.accounts import Verdict
from fwpages.custody.findings import Cause
from fwpages.device import Offence, OffenceName
from fwpages.host import Account, Books, Finding
from fwpages.prm.identity import FunctionType, Identity, Mode, func_id, vhca_id
from fwpages.report.host_accounts import report_of, session_of

OWN, VF = vhca_id(0x2A), vhca_id(0x31)
EMPTY = Books(1, Mode.VHCA_ID, "closed", (), 0, {}, (), (), 0, 0, 0)


def _account(who: Identity, kind: FunctionType, held: int = 0, doubtful: int = 0, generation: int = 0) -> Account:
    """Each column with a number of its own."""
    return Account(who, generation, kind, 100 + held + doubtful, 70, 20, 10, held, doubtful, 90)


BOOKS = Books(
    1,
    Mode.VHCA_ID,
    "closed",
    (_account(OWN, FunctionType.SELF), _account(VF, FunctionType.VF, 3, 2), _account(VF, FunctionType.VF, 1, 0, 1)),
    200,
    {FunctionType.VF: 120},
    (),
    ("the link came back",),
    7,
    8,
    9,
)

WHOLE = replace(EMPTY, functions=(_account(OWN, FunctionType.SELF),))


def test_every_figure_is_where_it_belongs() -> None:
    s = session_of("dut", BOOKS)
    assert (s.device, s.mode, s.end, s.notes) == ("dut", "vhca_id", "closed", ["the link came back"])
    assert [(f.identity, f.generation, f.type) for f in s.functions] == [
        ("vhca:0x2a", 0, "self"),
        ("vhca:0x31", 0, "vf"),
        ("vhca:0x31", 1, "vf"),
    ]
    vf = s.functions[1]
    assert (vf.given, vf.returned, vf.released, vf.discarded, vf.held, vf.doubtful, vf.peak) == (
        105,
        70,
        20,
        10,
        3,
        2,
        90,
    )
    t = s.totals
    assert (t.given, t.returned, t.released, t.discarded, t.held, t.doubtful) == (306, 210, 60, 30, 4, 2)


def test_what_was_out_together_is_the_books_to_say() -> None:
    s = session_of("dut", BOOKS)
    assert (s.totals.peak, s.by_type["vf"].peak, s.by_type["self"].peak, s.by_type["sf"].peak) == (200, 120, 90, 0)


def test_counters_by_the_names_of_debugfs() -> None:
    counters = session_of("dut", BOOKS).counters
    assert {name: n for name, n in counters.items() if n} == {
        "fw_pages_total": 6,
        "fw_pages_vfs": 6,
        "fw_pages_doubtful": 2,
        "fw_pages_alloc_failed": 7,
        "fw_pages_give_dropped": 8,
        "fw_pages_reclaim_discard": 9,
    }


@pytest.mark.parametrize(
    ("books", "offences", "verdict"),
    [
        (WHOLE, 0, Verdict.CLEAN),
        (WHOLE, 1, Verdict.FINDINGS),
        (EMPTY, 0, Verdict.NOT_KNOWN),
        (BOOKS, 0, Verdict.FINDINGS),
        (replace(BOOKS, end="open"), 0, Verdict.CONSISTENT),
        (replace(BOOKS, end="forced"), 0, Verdict.NOT_KNOWN),
        (replace(WHOLE, findings=(Finding(Cause.TAKE_SHORT),)), 0, Verdict.FINDINGS),
    ],
)
def test_a_session_is_clean_if_nothing_is_wrong_and_nothing_left(books: Books, offences: int, verdict: Verdict) -> None:
    offence = Offence(OffenceName.UNREQUESTED_GIVE, VF, "3 pages")
    s = session_of("dut", books, [offence] * offences)
    assert (s.verdict, s.clean) == (verdict, verdict.clean)


def test_a_finding_says_how_often_and_when() -> None:
    f = Finding(Cause.TAKE_SHORT, VF, 3, "6 of 9", session=2, times=1, at=1.23456789)
    once, thrice = session_of("dut", replace(EMPTY, findings=(f, replace(f, times=3, function=None)))).findings
    assert (once.name, once.blame, once.function, once.pages) == ("take-short", "device", "vhca:0x31", 3)
    assert (once.detail, once.remedy, once.at) == ("6 of 9", Cause.TAKE_SHORT.remedy, {"session": 2, "time": 1.234568})
    assert (thrice.function, thrice.detail) == (None, "6 of 9 (3 times in all)")


def test_whatever_the_firmware_holds_against_a_driver_is_the_hosts_fault() -> None:
    for name in OffenceName:
        (f,) = session_of("dut", EMPTY, [Offence(name, VF, "op_mod 1")]).findings
        assert (f.name, f.blame, f.detail) == (name, "host", f"{name.meaning}: op_mod 1")
        assert f.remedy == name.remedy


@pytest.mark.parametrize("who", [VF, func_id(3, ec=True), None])
def test_an_offence_is_about_a_function_or_none(who: Identity | None) -> None:
    (f,) = session_of("dut", EMPTY, [Offence(OffenceName.UNREQUESTED_GIVE, who, "3 pages")]).findings
    assert f.function == (None if who is None else str(who))


def test_offences_stand_behind_the_hosts_own_findings() -> None:
    books = replace(EMPTY, findings=(Finding(Cause.TAKE_SHORT),))
    s = session_of("dut", books, [Offence(OffenceName.UNREQUESTED_GIVE, VF, "3 pages")])
    assert [f.name for f in s.findings] == ["take-short", "unrequested-give"]


def test_an_offence_belongs_to_the_session_that_it_came_in() -> None:
    second = replace(EMPTY, session=2, mode=Mode.FUNC_ID)
    offences = [(n, Offence(OffenceName.UNREQUESTED_GIVE, VF, f"in session {n}")) for n in (2, 1, 2, 3)]
    report = report_of("dut", [EMPTY, second], iter(offences))
    reported = [(s.mode, [f.detail.split(": ", 1)[1] for f in s.findings]) for s in report.sessions]
    assert reported == [("vhca_id", ["in session 1"]), ("func_id", ["in session 2 (2 times in all)"])]
    assert report.verdict is Verdict.FINDINGS
    assert report_of("dut", [WHOLE]).clean
