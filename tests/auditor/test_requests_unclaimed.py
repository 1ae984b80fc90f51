"""A GIVE or TAKE that firmware did not ask for by that name, where the host may yet be right: nothing is claimed.

Where it cannot be is ``test_requests_meant.py``.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.auditor.requests import MAX_OWED
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.prm.status import Status
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages


def _opened() -> AuditedTrace:
    trace = AuditedTrace(Supplier(max_vfs=8))
    trace.opened()
    return trace


def _ask(trace: AuditedTrace, *asked: tuple[int, int]) -> None:
    for number, n in asked:
        trace.event(number, n)


def test_boot_pages_that_are_given_under_the_name_that_they_get_are_those_that_were_asked_for() -> None:
    """They were asked for under the other one; and where the device itself used a wrong name, the host is not bound."""
    trace = AuditedTrace(Supplier(max_vfs=8))
    trace.enable()
    trace.query(QueryPages.BOOT, 10)
    trace.negotiate()
    trace.give(OWN_VHCA, pages(0x100, 10))
    assert trace.found == []
    trace = AuditedTrace(Supplier(max_vfs=8))
    trace.enable()
    trace.query(QueryPages.BOOT, 10, answered=5)
    trace.give(0, pages(0x100, 10))
    assert trace.names == ["startup-identity"]


def test_where_both_functions_have_asked_either_may_be_meant() -> None:
    trace = _opened()
    _ask(trace, (0x31, 7), (0x32, 9))
    trace.give(0x32, pages(0x500, 7))
    trace.give(0x31, pages(0x600, 9))
    _ask(trace, (0x31, -9), (0x32, -7))
    trace.take(0x32, pages(0x500, 7))
    trace.take(0x31, pages(0x600, 9))
    assert trace.found == []
    trace.closed()
    assert trace.out() == {}


def test_where_two_functions_want_as_many_no_mistaken_name_is_reported() -> None:
    trace = _opened()
    _ask(trace, (0x31, 7), (0x32, 7))
    trace.give(0x33, pages(0x500, 7))
    assert trace.found == []


@pytest.mark.parametrize("n", [6, 8])
def test_another_count_is_another_matter(n: int) -> None:
    trace = _opened()
    _ask(trace, (0x31, 7))
    trace.give(0x32, pages(0x500, n))
    assert trace.found == []


def test_at_the_close_everything_is_taken_back_unasked() -> None:
    trace = _opened()
    _ask(trace, (0x31, 30))
    trace.give(0x31, pages(0x500, 30))
    _ask(trace, (0x31, -30))
    trace.plain(Opcode.TEARDOWN_HCA)
    trace.take(OWN_VHCA, np.concatenate([pages(0x100, 10), pages(0x200, 20)]))
    assert trace.found == []


def test_a_request_that_was_declined_or_is_void_is_waited_for_no_more() -> None:
    for void in ("cannot give", "release_all"):
        trace = _opened()
        _ask(trace, (0x31, 7))
        if void == "release_all":
            trace.event(0x31, 0, release_all=True)
        else:
            trace.cmd(Command(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, {"function_id": 0x31}))
        found = trace.found
        trace.give(0x32, pages(0x500, 7))
        assert trace.found == found


def test_where_lines_are_missing_the_request_may_be_among_them() -> None:
    trace = _opened()
    trace.lose("lines are missing")
    _ask(trace, (0x31, 7))
    trace.give(0x32, pages(0x500, 7))
    assert trace.names == ["log-lines-lost"]


@pytest.mark.many_runs
@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from([0x31, 0x32, 0x33]), st.integers(1, 9)), max_size=8), st.data())
def test_a_host_that_serves_what_was_asked_is_never_suspected(
    asked: list[tuple[int, int]], data: st.DataObject
) -> None:
    """In any order of the functions, each request in its turn, and cut into pieces or not."""
    trace = _opened()
    _ask(trace, *asked)
    first = 0x1000
    while asked:
        who = data.draw(st.sampled_from(sorted({number for number, _ in asked})))
        i = next(i for i, (number, _) in enumerate(asked) if number == who)
        n = data.draw(st.integers(1, asked[i][1]))
        trace.give(who, pages(first, n))
        first += n
        asked = [*asked[:i], *([(who, asked[i][1] - n)] if n < asked[i][1] else []), *asked[i + 1 :]]
    assert trace.found == []


def test_a_give_that_was_refused_may_be_tried_again() -> None:
    trace = _opened()
    _ask(trace, (0x31, 7), (0x32, 7))
    trace.give(0x31, pages(0x500, 7), status=Status.NO_RES_ERR)
    trace.give(0x31, pages(0x500, 7))
    assert trace.names == ["give-refused"]


def test_of_a_burst_longer_than_is_remembered_nothing_is_claimed() -> None:
    trace = _opened()
    n = MAX_OWED + 3
    _ask(trace, *[(0x31, 1)] * n, (0x32, 1))
    for i in range(n):
        trace.give(0x31, pages(0x500 + i, 1))
    assert trace.found == []
