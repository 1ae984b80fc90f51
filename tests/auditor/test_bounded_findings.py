"""Findings are bounded in number, and nothing of what was found is lost by that."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode, QueryPages
from fwpages.prm.status import Status
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages

#: findings of one name about one function that are listed one by one, and findings of one name in all
ALIKE, NAMED = 16, 1024


def _opened() -> AuditedTrace:
    trace = AuditedTrace()
    trace.opened()
    return trace


def _twice(trace: AuditedTrace, number: int, n: int = 1) -> None:
    """Pages of the function itself are given once more."""
    trace.give(number, pages(0x200, n))


@settings(max_examples=20)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=50))
def test_no_finding_and_no_page_is_lost_to_the_bound(made: list[tuple[bool, int]]) -> None:
    trace = _opened()
    for twice, n in made:
        if twice:
            _twice(trace, 0x31, n)
        else:
            trace.take(0x31, pages(0x9000, n))
    for name, twice in (("given-twice", True), ("returned-never-given", False)):
        rows = [f for f in trace.findings() if f.name == name]
        listed = [n for kind, n in made if kind is twice]
        assert [f.pages for f in rows] == listed[:ALIKE]
        more = listed[ALIKE:]
        pages_left = f"{sum(more)} page{'s' if sum(more) != 1 else ''}"
        assert all("more like it" not in f.detail for f in rows[:-1])
        assert not rows or rows[-1].detail.endswith(f" (and {len(more)} more like it, {pages_left})") is bool(more)


def test_findings_without_pages_have_no_sum_of_pages() -> None:
    trace = _opened()
    for _ in range(ALIKE + 2):
        trace.plain(Opcode.INIT_HCA, Status.INTERNAL_ERR)
    assert trace.findings()[-1].detail.endswith(" (and 2 more like it)")


def test_each_function_has_its_own_share() -> None:
    trace = _opened()
    for number in (0x31, 0x32):
        for _ in range(ALIKE):
            _twice(trace, number)
    assert [f.function for f in trace.findings()] == ["vhca:0x31"] * ALIKE + ["vhca:0x32"] * ALIKE
    assert not any("more like it" in f.detail for f in trace.findings())


def test_a_name_is_bounded_over_all_functions() -> None:
    trace = _opened()
    for n in range(NAMED + 3):
        _twice(trace, 0x100 + n)
    # a function that is listed counts its own; the others are counted together
    _twice(trace, 0x101)
    trace.take(0x31, pages(0x9000, 1))
    *twice, other = trace.findings()
    assert (len(twice), other.name) == (NAMED, "returned-never-given")
    assert twice[1].detail.endswith(" (and 1 more like it, 1 page)")
    assert twice[-1].detail.endswith(" (and 3 more like it, 3 pages)")


def test_conclusions_can_be_left_out_and_a_drivers_own_words_stay() -> None:
    """Where so many lines of a log are missing, what its dumps seem to tell is not believed."""
    trace = AuditedTrace(log=True)
    trace.opened()
    trace.take(OWN_VHCA, pages(0x9000, 3))
    refused = "MANAGE_PAGES(0x108) timeout while waiting for command semaphore."
    for _ in range(ALIKE + 4):
        trace.say(refused)
    for _ in range(64):
        trace.lose(harmless=True)
    s = trace.over()
    assert {f.name for f in s.findings} == {"command-not-sent", "log-lines-lost"}
    # those that were only counted are still counted in the last of their name
    assert sum("more like it" in f.detail for f in s.findings if f.name == "command-not-sent") == 1


def test_a_finding_shows_the_name_that_its_function_has_at_last() -> None:
    trace = AuditedTrace().booted()
    trace.caps({"vhca_id": OWN_VHCA}, current=False)
    for _ in range(ALIKE + 2):
        trace.give(0, pages(0x105, 1))
    trace.negotiate()
    trace.query(QueryPages.BOOT, 0, OWN_VHCA)
    trace.cmd(trace.take_command(OWN_VHCA, 1), Answer(Opcode.MANAGE_PAGES, Status.BAD_RES_STATE))
    twice = [f for f in trace.findings() if f.name == "given-twice"]
    assert {f.function for f in twice} == {f"vhca:{OWN_VHCA:#x}"}
    assert twice[-1].detail.endswith(" (and 2 more like it, 2 pages)")
