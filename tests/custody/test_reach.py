"""Memory that a driver lets go while firmware holds it: how much of it, counted once."""

from __future__ import annotations

import numpy as np

from fwpages.custody.reach import FIRST_ADDRESSES, LettingsGo, Moment, Use
from fwpages.prm.identity import Identity, Mode, named
from fwpages.prm.message import PageArray

WHO: Identity = named(Mode.VHCA_ID, 0x2A, ec=False)
PAGE = 4096


def pages(first: int, count: int) -> PageArray:
    return np.arange(first, first + count, dtype=np.uint64) * np.uint64(PAGE)


def test_a_page_whose_address_is_used_anew_and_unmapped_again_counts_once() -> None:
    let_go = LettingsGo()
    let_go.add(WHO, Use.LENT, Moment.FATAL, pages(16, 300))
    let_go.add(WHO, Use.LENT, Moment.FATAL, pages(16, 100))
    let_go.add(WHO, Use.LENT, Moment.FATAL, pages(300, 50))
    [row] = let_go.rows
    assert row.pages == 334
    assert row.first == pages(16, FIRST_ADDRESSES).tolist()


def test_a_page_counts_for_each_use_and_moment() -> None:
    let_go = LettingsGo()
    let_go.add(WHO, Use.LENT, Moment.WORKING, pages(16, 3))
    let_go.add(WHO, Use.LENT, Moment.CLOSING, pages(16, 3))
    let_go.add(None, Use.COMMAND, Moment.CLOSING, pages(16, 2))
    assert [row.pages for row in let_go.rows] == [3, 3, 2]
