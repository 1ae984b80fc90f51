"""The ledger that an audit keeps: of any addresses, whoever names them, and never for more memory than is bounded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.auditor import ledger as custody
from fwpages.auditor.ledger import ObservedLedger, Offer
from fwpages.custody.ledger import State
from fwpages.pages.space import REGION_PAGES, Addresses, Indices
from fwpages.prm.identity import FunctionType, Identity, func_id, vhca_id
from tests.auditor.written_traces import pages

A, B = vhca_id(0x2A), vhca_id(0x31)
NONE: Indices = np.zeros(0, np.int64)

#: page addresses near each other and far apart, and some that no page has
addresses = st.lists(
    st.sampled_from([0, 8, 0x1008, 0x1000, 0x2000, 0x3000, 1 << 40, 3 << 45, 2**64 - 4096, 2**64 - 1]), max_size=12
).map(lambda rows: np.array(rows, np.uint64))


def _offer(c: ObservedLedger, who: Identity, pas: Addresses) -> Offer:
    offer = c.offer(who, FunctionType.UNKNOWN, pas)
    assert offer is not None
    return offer


def _held(c: ObservedLedger, who: Identity, pas: Addresses) -> Offer:
    offer = _offer(c, who, pas)
    c.accept(offer)
    return offer


def _back(c: ObservedLedger, who: Identity, pas: Addresses) -> int:
    return c.take(c.check_return(who, pas))


def _counts(c: ObservedLedger, who: Identity) -> dict[str, int]:
    numbers = {r.number for r in c.records if r.identity == who}
    return {s.name.lower(): n for (number, s), n in c.ledger.counts().items() if number in numbers}


@settings(max_examples=30)
@given(addresses, addresses)
def test_every_address_of_a_give_is_offered_or_refused_for_one_reason(before: Addresses, pas: Addresses) -> None:
    c = ObservedLedger()
    first = _held(c, A, before)
    offer = _offer(c, B, pas)
    offered = c.space.address(offer.index)
    assert sorted([*offered.tolist(), *offer.twice.tolist(), *offer.bad.tolist()]) == sorted(pas.tolist())
    assert {a for a in pas.tolist() if a == 0 or a % 4096} == set(offer.bad.tolist())
    taken = set(c.space.address(first.index).tolist())
    assert set(offered.tolist()) == set(pas.tolist()) - taken - set(offer.bad.tolist())
    assert len(set(offered.tolist())) == offered.size
    assert _counts(c, B) == ({"offered": offered.size} if offered.size else {})
    # what firmware said no to is as it was
    c.refuse(offer)
    assert (_counts(c, B), c.records.outstanding(B), c.records.out) == ({}, 0, first.index.size)
    c.ledger.check()


def test_addresses_that_are_too_scattered_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custody, "MAX_COVERED", 3 * REGION_PAGES)
    c = ObservedLedger()
    region = 4096 * REGION_PAGES
    _held(c, A, np.array([0x1000, 0x2000], np.uint64))
    assert c.offer(B, FunctionType.VF, np.array([2, 3, 4], np.uint64) * np.uint64(region)) is None
    assert (c.space.size, c.records.out) == (REGION_PAGES, 2)
    _held(c, B, np.array([2, 3], np.uint64) * np.uint64(region))
    assert (c.space.size, c.records.out) == (3 * REGION_PAGES, 4)
    # addresses that are no pages need no room
    bad = _offer(c, B, np.array([0, (1 << 40) + 8], np.uint64))
    assert (bad.bad.size, bad.index.size) == (2, 0)


def test_owners_are_named_with_their_counts() -> None:
    c = ObservedLedger()
    _held(c, func_id(0), pages(0x100, 37))
    _held(c, func_id(3), pages(0x200, 2))
    asked = np.concatenate([pages(0x100, 37), pages(0x200, 2), pages(0x300, 4)])
    assert c.owners_of(asked) == "no function (4), func:0x0 (37), func:0x3 (2)"


# -- what is not answered


def test_a_give_in_doubt_is_settled_or_withdrawn_by_what_comes_late() -> None:
    c = ObservedLedger()
    late, refused = _offer(c, B, pages(0x500, 7)), _offer(c, B, pages(0x600, 2))
    for offer in (late, refused):
        c.doubt(offer)
    assert (_counts(c, B), c.records.out) == ({"doubtful": 9}, 9)
    c.settle(late.index)
    c.withdraw(refused)
    assert (_counts(c, B), c.records.outstanding(B)) == ({"held": 7}, 7)
    # pages that were never taken can be given again, and those that were cannot
    again = _offer(c, A, np.concatenate([pages(0x500, 7), pages(0x600, 2)]))
    assert (again.index.size, again.twice.size) == (2, 7)


def test_a_take_in_doubt_is_about_all_of_its_function_and_no_other() -> None:
    c = ObservedLedger()
    _held(c, A, pages(0x100, 5))
    _held(c, B, pages(0x500, 7))
    doubted = c.doubt_held(B)
    assert (_counts(c, A), _counts(c, B)) == ({"held": 5}, {"doubtful": 7})
    assert _back(c, B, pages(0x500, 3)) == 3
    c.settle(doubted)
    # those that have come back stay back
    assert _counts(c, B) == {"held": 4}
    assert c.doubt_held(func_id(9)).size == 0


def test_release_all_spares_what_an_unanswered_give_names() -> None:
    c = ObservedLedger()
    _held(c, B, pages(0x500, 7))
    crossed = _offer(c, B, pages(0x600, 2))
    c.doubt(crossed)
    _held(c, A, pages(0x100, 5))
    assert c.release(B, crossed.index) == 7
    assert (_counts(c, B), _counts(c, A)) == ({"doubtful": 2}, {"held": 5})
    assert c.release(B, NONE) == 2
    assert c.records.outstanding(B) == 0


# -- lines that are lost


def test_pages_that_are_given_anew_have_come_back_unseen() -> None:
    c = ObservedLedger()
    _held(c, A, pages(0x500, 7))
    waiting = _offer(c, A, pages(0x600, 2))
    c.evict(np.concatenate([pages(0x502, 2), pages(0x600, 2), pages(0x9000, 1)]), waiting.index)
    assert _counts(c, A) == {"held": 5, "offered": 2}
    assert c.records.outstanding(A) == 5
    c.accept(waiting)
    c.ledger.check()


# -- the end


def test_what_is_left_is_what_firmware_may_have_whoever_it_is() -> None:
    c = ObservedLedger()
    assert c.left().size == 0
    _held(c, A, pages(0x100, 3))
    c.doubt(_offer(c, B, pages(0x500, 2)))
    _offer(c, B, pages(0x600, 4))
    assert sorted(c.left().tolist()) == [*pages(0x100, 3).tolist(), *pages(0x500, 2).tolist()]


def test_a_fence_discards_everybodys() -> None:
    c = ObservedLedger()
    _held(c, A, pages(0x100, 3))
    c.doubt(_offer(c, B, pages(0x500, 2)))
    assert c.discard() == 5
    assert (c.left().size, [(r.discarded, r.outstanding) for r in c.records]) == (0, [(3, 0), (2, 0)])
    assert _offer(c, B, pages(0x100, 3)).index.size == 3


steps = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from([A, B]), st.integers(0, 5), st.integers(1, 6)), max_size=25
)


@settings(max_examples=30)
@given(steps)
def test_the_account_balances_whatever_is_seen(added: list[tuple[int, Identity, int, int]]) -> None:
    """Any order of commands and answers, right or wrong: given = returned + released + discarded + what is out."""
    c = ObservedLedger()
    offers: list[Offer] = []
    for what, who, first, n in added:
        pas = pages(0x100 + first, n)
        if what == 0:
            offers.append(_offer(c, who, pas))
        elif what in (1, 2, 3) and offers:
            (c.accept, c.refuse, c.doubt)[what - 1](offers.pop())
        elif what == 4:
            _back(c, who, pas)
        elif what == 5:
            c.release(who, NONE)
        elif what == 6:
            c.doubt_held(who)
        elif what == 7:
            c.discard()
        else:
            c.evict(pas, np.concatenate([NONE, *(o.index for o in offers)]))
        c.ledger.check()
        out = [c.ledger.blocks(r, s).size for r in c.records for s in (State.HELD, State.DOUBTFUL)]
        assert c.records.out == sum(out) == c.left().size <= c.records.peak
