"""Page commands of a session where part of their bytes, or of what came before them, is not known.

What is wrong with commands and answers that were seen whole is for ``test_finding_table*.py``.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.auditor.evidence import Start
from fwpages.auditor.session import Counted
from fwpages.prm.identity import Mode, vhca_id
from fwpages.prm.message import Answer, Command, encode_answer
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.prm.status import Status
from fwpages.readers.observations import Holes
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages

OK = Answer(Opcode.MANAGE_PAGES)
MODES = [(Mode.VHCA_ID, OWN_VHCA, "vhca"), (Mode.FUNC_ID, 0, "func")]


def _fed(mode: Mode = Mode.VHCA_ID, *, log: bool = False) -> AuditedTrace:
    trace = AuditedTrace(log=log)
    trace.opened(vhca=mode is Mode.VHCA_ID)
    return trace


def _give(trace: AuditedTrace, number: int, n: int, holes: Holes, first: int = 0x500) -> None:
    trace.complete(trace.submit(trace.give_command(number, pages(first, n)), holes=holes), OK)


# -- addresses that are not known


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(8, 90), st.integers(1, 40)), max_size=3))
def test_of_a_give_with_holes_the_pages_that_are_known_are_followed(rows: list[tuple[int, int]]) -> None:
    trace, n = _fed(), 9
    holes = tuple((a, a + size) for a, size in rows)
    _give(trace, 0x31, n, holes)
    # the i-th address lies in bytes 16 + 8 i to 24 + 8 i
    known = [i for i in range(n) if not any(a < 24 + 8 * i and 16 + 8 * i < z for a, z in holes)]
    left = {a for a in trace.s.ledger.left().tolist() if a >= 0x500 << 12}
    assert left == {(0x500 + i) << 12 for i in known}
    lost = len(known) < n
    assert trace.names == ["log-lines-lost"] * lost
    assert (str(vhca_id(0x31)) in trace.unsure) is lost


@pytest.mark.parametrize(("mode", "own", "kind"), MODES)
def test_of_a_take_with_holes_too(mode: Mode, own: int, kind: str) -> None:
    trace = _fed(mode)
    key = trace.submit(trace.take_command(own, 10))
    trace.complete(key, trace.took(pages(0x100, 10)), holes=((16, 32), (95, 97)))
    assert trace.out() == {f"{kind}:{own:#x}": 30 - 7}
    assert trace.found == [("log-lines-lost", "log", f"{kind}:{own:#x}", None)]


def test_where_a_functions_lines_are_missing_no_single_page_is_judged() -> None:
    trace = _fed()
    _give(trace, 0x31, 4, ((16, 24),))
    trace.take(0x31, pages(0x9000, 3))
    trace.take(0x31, pages(0x200, 2))
    assert (trace.names, trace.s.counts[Counted.UNJUDGED]) == (["log-lines-lost"], 5)
    # a page that is given anew must have come back in a line that is missing
    trace.give(0x32, pages(0x501, 2))
    assert trace.names == ["log-lines-lost"]
    assert trace.out()["vhca:0x32"] == 2


def test_each_function_whose_lines_are_missing_is_reported() -> None:
    trace = _fed()
    for number in (0x31, 0x31, 0x32):
        _give(trace, number, 4, ((16, 24),), 0x100 * (number + trace.line))
    assert [who for _, _, who, _ in trace.found] == ["vhca:0x31", "vhca:0x32"]


@pytest.mark.parametrize("log", [True, False])
def test_what_follows_the_pages_that_a_give_counts_is_no_page(log: bool) -> None:
    """A data dump fills its last line up with zeros; Snabb's GIVE is 8 bytes longer, whatever is in them."""
    for more in (0, 0x500000):
        trace = _fed(log=log)
        trace.give(0x31, np.append(pages(0x500, 3), np.uint64(more)), count=3)
        assert (trace.names, trace.out()["vhca:0x31"]) == ([], 3)


def test_what_was_set_aside_for_an_answer_and_not_written_is_no_page() -> None:
    trace = _fed()
    key = trace.submit(trace.take_command(OWN_VHCA, 6))
    trace.complete_bytes(key, encode_answer(trace.took(pages(0x100, 4), count=4), 16 + 8 * 6))
    assert (trace.names, trace.out()) == ([], {"vhca:0x2a": 26})
    assert trace.s.books.of(vhca_id(OWN_VHCA)).brought == 4


# -- what a device does


@pytest.mark.parametrize(("mode", "own", "kind"), MODES)
@pytest.mark.parametrize("good", [True, False])
def test_a_refusal_is_the_fault_of_who_was_wrong_first(mode: Mode, own: int, kind: str, good: bool) -> None:
    """A device that refuses pages which it has already is right, and nothing of that command is given."""
    trace = _fed(mode)
    before = trace.out()
    trace.give(0x31, pages(0x500 if good else 0x105, 7), Status.BAD_PARAM)
    name, blame, who, n = trace.found[-1]
    assert (name, blame, who, n) == ("give-refused", "device" if good else "host", f"{kind}:0x31", 7)
    assert (trace.out(), trace.so_far().counters["fw_pages_give_dropped"]) == (before, 7)
    # what it would not take can be given elsewhere
    trace.give(0x32, pages(0x500, 7))
    assert "given-twice" not in [name for name, _, who, _ in trace.found if who == f"{kind}:0x32"]


def test_pages_that_come_back_before_their_give_is_answered_were_given() -> None:
    trace = _fed()
    give = trace.submit(trace.give_command(0x31, pages(0x500, 7)))
    trace.take(0x31, pages(0x500, 3))
    assert (trace.out(), trace.names) == ({"vhca:0x2a": 30, "vhca:0x31": 4}, [])
    trace.complete(give, OK)
    assert trace.out()["vhca:0x31"] == 4


def test_cant_give_may_be_refused_and_takes_nothing_away() -> None:
    trace = _fed()
    trace.cmd(Command(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, {"function_id": 0x31}), OK)
    c = Command(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, {"function_id": 0x31})
    trace.cmd(c, Answer(Opcode.MANAGE_PAGES, Status.BAD_PARAM))
    assert trace.names == ["cannot-give", "cannot-give", "command-refused"]
    assert trace.out() == {"vhca:0x2a": 30}


def test_a_take_brings_less_than_was_asked_and_the_last_one_is_remembered() -> None:
    trace, own = _fed(), vhca_id(OWN_VHCA)
    for back, last in ((5, 5), (0, 0)):
        trace.take(OWN_VHCA, pages(0x100, back), asked=10)
        assert trace.s.books.of(own).brought == last
    trace.cmd(trace.take_command(OWN_VHCA, 3), Answer(Opcode.MANAGE_PAGES, Status.BAD_RES_STATE))
    assert trace.s.books.of(own).brought is None
    assert trace.so_far().counters["fw_pages_reclaim_discard"] == 3
    assert trace.names == ["take-refused"]


def test_only_the_last_gives_wait_for_a_line_of_the_drivers() -> None:
    trace = _fed(log=True)
    for n in range(100):
        trace.give(0x31, pages(0x1000 + n, 1))
    assert trace.s.driver.unconfirmed == [(0x31, 1)] * 64
    assert _fed().s.driver.unconfirmed == []


# -- answers that are not in the input


@pytest.mark.parametrize(
    ("command", "start", "closed"),
    [
        (Command(Opcode.ENABLE_HCA), Start.ENABLED, False),
        (Command(Opcode.DISABLE_HCA), Start.ENABLED, True),
        (Command(Opcode.DISABLE_HCA, fields={"function_id": 3}), Start.ENABLED, False),
    ],
)
def test_a_start_or_a_close_is_taken_for_done(command: Command, start: Start, closed: bool) -> None:
    trace = AuditedTrace()
    if command.opcode == Opcode.DISABLE_HCA:
        trace.enable()
    trace.lose("its answer is missing", key=trace.submit(command))
    assert (trace.s.evidence.start, trace.s.closed, trace.s.evidence.lossy) == (start, closed, False)


def test_a_give_is_taken_for_done_and_its_function_is_not_counted() -> None:
    trace = _fed()
    trace.lose("its answer is missing", key=trace.submit(trace.give_command(0x31, pages(0x500, 7))))
    assert (trace.out()["vhca:0x31"], trace.unsure) == (7, {"vhca:0x31": "its answer is missing"})


def test_after_a_negotiation_without_an_answer_the_mode_is_not_known() -> None:
    trace = AuditedTrace().booted()
    trace.lose("its answer is missing", key=trace.submit(Command(Opcode.SET_HCA_CAP, data=bytes(4096))))
    assert trace.s.evidence.mode_unknown
    # the next name that only one mode can have tells it
    trace.query(QueryPages.INIT, 0, OWN_VHCA)
    assert (trace.so_far().mode, trace.names, trace.out()) == ("vhca_id", ["log-lines-lost"], {"vhca:0x2a": 10})


# -- where the input begins in the middle


def test_pages_from_before_the_input_are_counted_apart() -> None:
    trace = AuditedTrace(late=True)
    trace.take(0x31, pages(0x500, 7))
    trace.plain(Opcode.ENABLE_HCA, function_id=3)
    trace.take(3, pages(0x600, 2))
    assert {str(book.identity): book.before for book in trace.s.books if book.before} == {"func:0x31": 7, "func:0x3": 2}
    # one that was enabled since may have been enabled before, and its pages of then are still out
    assert trace.found == []
