from __future__ import annotations

import numpy as np
import pytest

from fwpages.custody.ledger import State
from fwpages.host import CustodyError, DisableVport
from fwpages.host.page_queue import Origin, Request
from fwpages.prm.identity import vhca_id
from fwpages.prm.message import Answer
from tests.host.fake import SF0, SPF0, VF0, VF1, Fake, name_of

VF = vhca_id(0x31)


def working() -> Fake:
    f = Fake().open()
    f.request(0x31, 10)
    f.run()
    return f


def test_a_lent_block_among_the_free_ones_is_found() -> None:
    f = working()
    lent = f.host.ledger.blocks(f.host.records.rows[-1], State.HELD)
    f.host.pool.put(lent[:1])
    with pytest.raises(CustodyError, match="among the free ones"):
        f.host.check()


def test_a_block_without_an_owner_is_found() -> None:
    f = working()
    f.host.pool.take(1)
    with pytest.raises(CustodyError, match=r"free, \d+ lent and"):
        f.host.check()


def test_an_offer_without_its_give_is_found() -> None:
    f = working()
    row = f.host.records.rows[-1]
    f.host.ledger.offer(row, f.host.pool.take(2))
    with pytest.raises(CustodyError, match="offered blocks"):
        f.host.check()


def test_a_give_without_its_offer_is_found() -> None:
    f = working()
    f.request(0x31, 5)
    f.host.check()
    assert f.host.path.op is not None
    f.host.ledger.accept(f.host.records.rows[-1], f.host.path.op.index)
    with pytest.raises(CustodyError, match="offered blocks"):
        f.host.check()


def test_a_page_command_without_its_slot_is_found() -> None:
    f = working()
    f.request(0x31, -5)
    f.host.flights.clear()
    with pytest.raises(CustodyError, match="its slot was given back"):
        f.host.check()


def test_a_queue_beyond_its_bound_is_found() -> None:
    f = working()
    bound = f.host.config.bounds.queue
    f.host.path.queues[VF] = (Request(1, Origin.EVENT),) * (bound + 3)
    with pytest.raises(CustodyError, match=f"{bound + 3} page requests wait"):
        f.host.check()


def test_a_page_is_free_if_it_is_not_lent_or_none_of_ours() -> None:
    f = working()
    lent = f.held[VF][0]
    base = f.host.config.base
    asked = np.array([lent, base - 4096, 0, lent + 1, base + f.host.pool.space.size * 4096], np.uint64)
    assert f.host.is_free(asked).tolist() == [False, True, True, True, True]


def test_held_pages_are_named_only_where_none_is_doubtful() -> None:
    f = working()
    held = f.host.held()
    assert held is not None
    assert sorted(held[VF].tolist()) == sorted(f.held[VF])
    f.request(0x31, -5)
    f.abort()
    assert f.host.held() is None


def test_a_key_distinguishes_a_page_that_has_come_back_from_one_never_given() -> None:
    """Named again in an answer, one was returned twice and the other never given."""
    f = working()
    last, free = f.host.pool.indices()[:2, None]
    f.host.ledger.offer(f.host.records.rows[0], last)
    f.host.ledger.refuse(f.host.records.rows[0], last)
    for row in f.host.records:
        before = f.host.key()
        f.host.ledger.offer(row, free)
        f.host.ledger.refuse(row, free)
        assert f.host.key() != before


def test_a_key_distinguishes_a_page_that_a_function_of_the_past_has_returned_from_any_other_s() -> None:
    f = Fake()
    # the boot pages go to the first VF, whose record so is the first of the session
    f.script["QUERY_PAGES(boot)"] = lambda c: Answer(c.opcode, fields={"function_id": VF0.function_id, "num_pages": 3})
    f.open("func_id")
    f.enable(VF0)
    f.feed(DisableVport(VF0.vport))
    f.run()
    f.request(VF0.function_id, -3)
    f.run()
    first, *_ = f.host.records
    assert (first.identity, first.given, first.outstanding) == (VF0.identity, 3, 0)
    last, free = f.host.pool.indices()[:2, None]
    f.host.ledger.offer(f.host.records.rows[1], last)
    f.host.ledger.refuse(f.host.records.rows[1], last)
    assert f.host.ledger.owners(free).tolist() == [0]
    keys = {f.host.key()}
    for record in f.host.records:
        f.host.ledger.offer(record, free)
        f.host.ledger.refuse(record, free)
        keys.add(f.host.key())
    assert len(keys) == 1 + len(f.host.records.rows)


def test_a_key_forgets_a_function_of_the_past_while_a_page_command_is_out() -> None:
    keys = []
    for past in (False, True):
        f = Fake().open()
        f.enable(VF0)
        if past:
            f.feed(DisableVport(VF0.vport))
            f.run()
            f.enable(VF0)
        f.request(0x31, 10)
        assert [name_of(s.command) for s in f.waiting] == ["MANAGE_PAGES(GIVE)"]
        keys.append(f.host.key())
    assert keys[0] == keys[1]


def test_a_key_shows_which_of_two_functions_that_are_gone_has_which_pages() -> None:
    keys = []
    for numbers in ((0x31, 0x32), (0x32, 0x31)):
        f = Fake().open()
        f.enable(VF0, VF1)
        for number in numbers:
            f.request(number, 10)
            f.run()
        for vport in (1, 2):
            f.feed(DisableVport(vport))
            f.run()
        keys.append(f.host.key())
    assert keys[0] != keys[1]


def test_a_key_shows_the_owner_of_each_page_where_records_in_between_are_of_the_past() -> None:
    keys = []
    for numbers in ((0x31, 0x32), (0x32, 0x31)):
        f = Fake().open()
        f.enable(VF0, SPF0, VF1, SF0)
        for info in (SPF0, SF0):
            f.feed(DisableVport(info.vport))
            f.run()
        for number in numbers:
            f.request(number, 10)
            f.run()
        keys.append(f.host.key())
    assert keys[0] != keys[1]
