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
from tests.auditor.fed import Fed
from tests.auditor.lives import OWN_VHCA, pages


def _opened() -> Fed:
    life = Fed(Supplier(max_vfs=8))
    life.opened()
    return life


def _ask(life: Fed, *asked: tuple[int, int]) -> None:
    for number, n in asked:
        life.event(number, n)


def test_boot_pages_that_are_given_under_the_name_that_they_get_are_those_that_were_asked_for() -> None:
    """They were asked for under the other one; and where the device itself used a wrong name, the host is not bound."""
    life = Fed(Supplier(max_vfs=8))
    life.enable()
    life.query(QueryPages.BOOT, 10)
    life.negotiate()
    life.give(OWN_VHCA, pages(0x100, 10))
    assert life.found == []
    life = Fed(Supplier(max_vfs=8))
    life.enable()
    life.query(QueryPages.BOOT, 10, told=5)
    life.give(0, pages(0x100, 10))
    assert life.names == ["startup-identity"]


def test_where_both_functions_have_asked_either_may_be_meant() -> None:
    life = _opened()
    _ask(life, (0x31, 7), (0x32, 9))
    life.give(0x32, pages(0x500, 7))
    life.give(0x31, pages(0x600, 9))
    _ask(life, (0x31, -9), (0x32, -7))
    life.take(0x32, pages(0x500, 7))
    life.take(0x31, pages(0x600, 9))
    assert life.found == []
    life.closed()
    assert life.out() == {}


def test_where_two_functions_want_as_many_no_mistaken_name_is_reported() -> None:
    life = _opened()
    _ask(life, (0x31, 7), (0x32, 7))
    life.give(0x33, pages(0x500, 7))
    assert life.found == []


@pytest.mark.parametrize("n", [6, 8])
def test_another_count_is_another_matter(n: int) -> None:
    life = _opened()
    _ask(life, (0x31, 7))
    life.give(0x32, pages(0x500, n))
    assert life.found == []


def test_at_the_close_everything_is_taken_back_unasked() -> None:
    life = _opened()
    _ask(life, (0x31, 30))
    life.give(0x31, pages(0x500, 30))
    _ask(life, (0x31, -30))
    life.plain(Opcode.TEARDOWN_HCA)
    life.take(OWN_VHCA, np.concatenate([pages(0x100, 10), pages(0x200, 20)]))
    assert life.found == []


def test_a_request_that_was_declined_or_is_void_is_waited_for_no_more() -> None:
    for void in ("cannot give", "release_all"):
        life = _opened()
        _ask(life, (0x31, 7))
        if void == "release_all":
            life.event(0x31, 0, release_all=True)
        else:
            life.cmd(Command(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, {"function_id": 0x31}))
        found = life.found
        life.give(0x32, pages(0x500, 7))
        assert life.found == found


def test_where_lines_are_missing_the_request_may_be_among_them() -> None:
    life = _opened()
    life.lose("lines are missing")
    _ask(life, (0x31, 7))
    life.give(0x32, pages(0x500, 7))
    assert life.names == ["log-lines-lost"]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from([0x31, 0x32, 0x33]), st.integers(1, 9)), max_size=8), st.data())
def test_a_host_that_serves_what_was_asked_is_never_suspected(
    asked: list[tuple[int, int]], data: st.DataObject
) -> None:
    """In any order of the functions, each request in its turn, and cut into pieces or not."""
    life = _opened()
    _ask(life, *asked)
    first = 0x1000
    while asked:
        who = data.draw(st.sampled_from(sorted({number for number, _ in asked})))
        i = next(i for i, (number, _) in enumerate(asked) if number == who)
        n = data.draw(st.integers(1, asked[i][1]))
        life.give(who, pages(first, n))
        first += n
        asked = [*asked[:i], *([(who, asked[i][1] - n)] if n < asked[i][1] else []), *asked[i + 1 :]]
    assert life.found == []


def test_a_give_that_was_refused_may_be_tried_again() -> None:
    life = _opened()
    _ask(life, (0x31, 7), (0x32, 7))
    life.give(0x31, pages(0x500, 7), status=Status.NO_RES_ERR)
    life.give(0x31, pages(0x500, 7))
    assert life.names == ["give-refused"]


def test_of_a_burst_longer_than_is_remembered_nothing_is_claimed() -> None:
    life = _opened()
    n = MAX_OWED + 3
    _ask(life, *[(0x31, 1)] * n, (0x32, 1))
    for i in range(n):
        life.give(0x31, pages(0x500 + i, 1))
    assert life.found == []
