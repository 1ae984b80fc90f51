"""Which counts of a session that is over are not known, and what is said of it instead."""

from __future__ import annotations

import pytest

from fwpages.auditor.closing import MAX_DAMAGE
from fwpages.custody.accounts import SessionAccount
from fwpages.custody.verdicts import Lack
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.auditor.account_checks import OWN, row
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages

REFUSED = Answer(Opcode.MANAGE_PAGES, Status.BAD_RES_STATE)


def _opened(*, log: bool = False) -> AuditedTrace:
    trace = AuditedTrace(log=log)
    trace.opened()
    return trace


def test_counts_of_a_session_that_began_before_are_not_known_and_what_was_seen_is_noted() -> None:
    trace = AuditedTrace(late=True)
    trace.give(0x31, pages(0x500, 7))
    trace.take(0x31, pages(0x500, 3))
    trace.plain(Opcode.ENABLE_HCA, function_id=3)
    trace.give(3, pages(0x600, 2))
    s = trace.over()
    # one that was enabled since is known from its first page
    assert (_counts(s, "func:0x3"), [n for n in s.notes if "func:0x3:" in n]) == ((2, 0, 0, 0, 2, 0, 2), [])
    assert ({*_counts(s, "func:0x31")}, s.totals.given, s.totals.peak) == ({None}, None, None)
    assert "func:0x31: seen here: given 7, returned 3, released 0" in s.notes
    assert s.counters["fw_pages_give_dropped"] is None


def _counts(s: SessionAccount, who: str) -> tuple[int | None, ...]:
    f = row(s, who)
    return f.given, f.returned, f.released, f.discarded, f.held, f.doubtful, f.peak


def test_a_function_whose_lines_are_missing_costs_its_own_counts_alone() -> None:
    trace = _opened()
    trace.give(0x31, pages(0x500, 7))
    trace.lose("a line is missing", 0x31)
    s = trace.over()
    assert {*_counts(s, "vhca:0x31")} == {None}
    assert _counts(s, OWN) == (30, 0, 0, 0, 30, 0, 30)
    assert (s.totals.given, s.by_type["self"].given) == (None, 30)
    assert "vhca:0x31: no counts: a line is missing" in s.notes


def test_a_blind_session_counts_nothing() -> None:
    trace = _opened()
    trace.lose("5 lines are missing")
    s = trace.over("next")
    # no party is blamed for pages that may have come back unseen
    assert ({*_counts(s, OWN)}, {f.blame for f in s.findings}) == ({None}, {"log"})
    assert s.notes[0] == "no counts: 5 lines are missing"
    assert f"{OWN}: seen here: given 30, returned 0, released 0" in s.notes


@pytest.mark.parametrize(("lost", "kept"), [(MAX_DAMAGE - 1, True), (MAX_DAMAGE, False)])
def test_dumps_of_a_log_with_many_losses_blame_no_party(lost: int, kept: bool) -> None:
    for log in (True, False):
        trace = _opened(log=log)
        trace.take(OWN_VHCA, pages(0x9000, 3))
        for _ in range(lost):
            trace.lose(harmless=True)
        s = trace.over()
        assert any(f.name == "returned-never-given" for f in s.findings) is (kept or not log)
        assert any(" left out: so many lines are missing" in n for n in s.notes) is (not kept and log)


def test_counters_of_what_was_dropped() -> None:
    trace = _opened()
    trace.give(0x31, pages(0x500, 7), Status.NO_RES_ERR)
    trace.cmd(trace.take_command(OWN_VHCA, 4), REFUSED)
    counters = trace.over().counters
    # why a host had no memory, only the host knows
    assert {name: counters[f"fw_pages_{name}"] for name in ("give_dropped", "reclaim_discard", "alloc_failed")} == {
        "give_dropped": 7,
        "reclaim_discard": 4,
        "alloc_failed": None,
    }


def test_what_was_refused_without_fault_is_noted_with_how_often() -> None:
    trace = AuditedTrace()
    trace.enable()
    for _ in range(3):
        trace.cmd(Command(Opcode.QUERY_ISSI), Answer(Opcode.QUERY_ISSI, Status.BAD_OP))
    trace.cmd(Command(0x9999), Answer(0x9999, Status.BAD_OP))
    s = trace.over()
    assert [n for n in s.notes if n.startswith("refused")] == [
        "refused, which is no finding about pages: QUERY_ISSI, 3 times",
        "refused, which is no finding about pages: opcode 0x9999",
    ]


# -- logs


def test_a_log_with_dumps_needs_no_excuse() -> None:
    trace = _opened(log=True)
    trace.take(OWN_VHCA, pages(0x100, 10))
    trace.take(OWN_VHCA, pages(0x200, 20))
    trace.plain(Opcode.DISABLE_HCA)
    s = trace.over()
    assert (s.end, s.clean, s.notes, s.totals.returned) == ("closed", True, [], 30)


def test_a_log_of_lines_says_what_they_cannot_tell() -> None:
    gave, sweep = "npages 9, ec_function 0, func_id 0x0, err 0", "func 0x0, npages 768, outlen 6160"
    left = "FW pages counter is 3 after reclaiming all pages"
    for lines, end, taken in (
        ([gave], "open", False),
        ([gave, sweep], "closed", True),
        ([gave, sweep, left], "closed", False),
    ):
        trace = AuditedTrace(log=True)
        trace.say("requested 9 boot pages for func_id 0x0", *lines)
        s = trace.over()
        assert (s.end, s.totals.given, s.totals.returned) == (end, 9, None if sweep in lines else 0)
        assert sum("what a TAKE returned is not known" in n for n in s.notes) == 1
        assert any("taken as closed" in n for n in s.notes) is taken
    assert AuditedTrace(log=True).over().missing == [Lack.PAGE_MESSAGES.missing]
