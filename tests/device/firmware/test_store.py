from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.device.firmware.offences import RefusedError
from fwpages.device.firmware.store import MAX_REGIONS, FirmwareError, Store
from fwpages.prm.message import PageArray

PAGE = 4096


def pages(*numbers: int) -> PageArray:
    return np.array([n * PAGE for n in numbers], np.uint64)


def refusal(store: Store, addresses: PageArray, slot: int = 0) -> str:
    before = store.state()
    with pytest.raises(RefusedError) as caught:
        store.give(slot, addresses)
    assert store.state() == before
    store.check()
    return caught.value.name


def test_refuses_what_is_not_a_page() -> None:
    s = Store(1)
    assert refusal(s, np.array([PAGE, 0], np.uint64)) == "bad-address"
    assert refusal(s, np.array([PAGE, PAGE + 8], np.uint64)) == "bad-address"
    s.give(0, pages(1))
    assert refusal(s, np.array([2 * PAGE, 0], np.uint64)) == "bad-address"
    assert refusal(s, np.array([2 * PAGE, 3 * PAGE + 1], np.uint64)) == "bad-address"


def test_refuses_pages_that_it_has_and_repetitions() -> None:
    s = Store(2)
    s.give(0, pages(1, 2))
    assert refusal(s, pages(3, 2), slot=1) == "given-twice"
    assert refusal(s, pages(5, 4, 5)) == "repeated-page"
    assert refusal(s, pages(4, 4)) == "repeated-page"
    s.give(1, pages(3, 4))
    assert (s.held(0), s.held(1), s.total) == (2, 2, 4)


def test_the_memory_of_a_queue_cannot_be_given() -> None:
    s = Store(2)
    s.give(0, pages(1))
    s.occupy(pages(2, 3))
    s.check(queued=2)
    copy = s.copy()
    assert (s.held(0), s.held(1), s.total, s.kept.size) == (1, 0, 1, 0)
    for wrong, name in ((pages(4, 3), "memory-in-use"), (pages(1, 3), "memory-in-use"), (pages(1), "given-twice")):
        with pytest.raises(RefusedError, match=name):
            s.give(1, wrong)
    for wrong, name in ((pages(1), "memory-in-use"), (pages(3), "memory-in-use"), (pages(4, 4), "repeated-page")):
        with pytest.raises(RefusedError, match=name):
            s.occupy(wrong)
    s.check(queued=2)
    s.vacate(pages(2, 3))
    s.check()
    s.give(1, pages(2, 3))
    copy.check(queued=2)
    with pytest.raises(FirmwareError, match="event queues lie in 3 pages"):
        copy.check(queued=3)


def test_refuses_pages_too_far_apart() -> None:
    s = Store(1)
    s.give(0, pages(1))
    far = np.arange(1, MAX_REGIONS + 1, dtype=np.uint64) << np.uint64(27)
    assert refusal(s, far) == "too-scattered"


def test_top_of_the_address_space() -> None:
    s = Store(1)
    top = np.array([(1 << 64) - PAGE, PAGE], np.uint64)
    s.give(0, top)
    assert s.take(0, 9).tolist() == [PAGE, (1 << 64) - PAGE]


def test_pages_left_over_from_earlier_are_returned_first() -> None:
    for order in ("lifo", "fifo", "shuffled"):
        s = Store(1, order)
        s.give(0, pages(1, 2, 3))
        s.retire(0)
        s.give(0, pages(4, 5))
        assert set((s.take(0, 2) // PAGE).tolist()) < {1, 2, 3}
        copy = s.copy()
        assert copy.state() == s.state()
        assert set((copy.take(0, 1) // PAGE).tolist()) < {1, 2, 3}
        assert set((s.take(0, 9) // PAGE).tolist()) > {4, 5}
        s.check()


def test_orders() -> None:
    want = {"lifo": [5, 4, 3, 2, 1], "fifo": [1, 2, 3, 4, 5]}
    for order in ("lifo", "fifo"):
        s = Store(1, order)
        s.give(0, pages(1, 2))
        s.give(0, pages(3, 4, 5))
        got = np.concatenate([s.take(0, 2), s.take(0, 1), s.take(0, 7)])
        assert (got // PAGE).tolist() == want[order]


def test_shuffled_order_follows_from_seed_and_state() -> None:
    def run(seed: int) -> list[int]:
        s = Store(1, "shuffled", seed)
        s.give(0, pages(*range(1, 101)))
        out = []
        while s.held(0):
            out += s.take(0, 7).tolist()
            s.check()
        return out

    assert run(1) == run(1) != run(2)
    assert sorted(run(1)) == pages(*range(1, 101)).tolist()
    assert run(1) not in (sorted(run(1)), sorted(run(1), reverse=True))


def test_kept_pages_belong_to_no_function_and_cannot_be_given() -> None:
    s = Store(2)
    s.give(0, pages(1, 2))
    s.give(1, pages(3))
    s.keep()
    s.check()
    assert (s.held(0), s.held(1), s.total) == (0, 0, 3)
    assert s.kept.tolist() == pages(1, 2, 3).tolist()
    assert refusal(s, pages(3)) == "given-twice"
    assert s.take(0, 5).size == 0


def test_equal_pages_are_an_equal_state_whatever_their_history() -> None:
    a, b = Store(1), Store(1)
    far = np.array([1 << 40], np.uint64)
    a.give(0, pages(1, 2))
    b.give(0, far)
    b.take(0, 1)
    b.give(0, pages(1, 2))
    assert a.state() == b.state()


def test_check_finds_disagreement() -> None:
    s = Store(1)
    s.give(0, pages(1, 2))
    s._tags.put(np.array([1]), 0)
    with pytest.raises(FirmwareError, match="slot 0"):
        s.check()
    s = Store(1)
    s.give(0, pages(1))
    s._tags.put(np.array([0]), 9)
    with pytest.raises(FirmwareError, match="do not exist"):
        s.check()


def test_many_pages() -> None:
    s = Store(1)
    n, batch = 2_000_000, 50_000
    for k in range(0, n, batch):
        s.give(0, (np.arange(k, k + batch, dtype=np.uint64) + np.uint64(1)) << np.uint64(12))
    assert s.held(0) == n
    s.check()
    while s.held(0):
        assert s.take(0, batch).size == batch
    assert s.total == 0


Step = tuple[str, int, list[int], int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["give", "give", "take", "release", "keep", "fork"]),
        st.integers(0, 2),
        st.lists(st.sampled_from([*range(12), (1 << 15) + 3, 1 << 30, (1 << 52) - 1]), max_size=6),
        st.integers(0, 5),
    ),
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(steps=steps, order=st.sampled_from(["lifo", "fifo", "shuffled"]), seed=st.integers(0, 3))
def test_against_a_model(steps: list[Step], order: Literal["lifo", "fifo", "shuffled"], seed: int) -> None:
    store = Store(3, order, seed)
    model: dict[int, list[int]] = {0: [], 1: [], 2: [], 3: []}
    left: list[tuple[Store, bytes]] = []
    for what, slot, numbers, n in steps:
        if what == "give":
            held = [p for pages_ in model.values() for p in pages_]
            if 0 in numbers or len(set(numbers)) < len(numbers) or set(numbers) & set(held):
                refusal(store, pages(*numbers), slot)
            else:
                store.give(slot, pages(*numbers))
                model[slot] += numbers
        elif what == "take":
            got = (store.take(slot, n) // PAGE).tolist()
            assert len(got) == min(n, len(model[slot]))
            if order == "lifo":
                assert got == model[slot][::-1][:n]
            elif order == "fifo":
                assert got == model[slot][:n]
            assert set(got) <= set(model[slot])
            model[slot] = [p for p in model[slot] if p not in got]
        elif what == "release":
            assert store.release(slot) == len(model[slot])
            model[slot] = []
        elif what == "keep":
            store.keep()
            model = {0: [], 1: [], 2: [], 3: [p for k in (3, 0, 1, 2) for p in model[k]]}
        else:
            left.append((store, store.state()))
            store = store.copy()
        store.check()
        for k, numbers_ in model.items():
            assert set((store.addresses(k) // PAGE).tolist()) == set(numbers_)
            assert store.held(k) == len(numbers_)
    for old, state in left:
        old.check()
        assert old.state() == state


def test_a_page_above_all_that_were_given_is_used_by_nobody() -> None:
    """It lies in the region of a page that was given, and was never given itself."""
    store = Store(1)
    store.give(0, pages(3))
    assert {slot: p.tolist() for slot, p in store.users(pages(3, 4, 30_000)).items()} == {0: [3 * PAGE]}
