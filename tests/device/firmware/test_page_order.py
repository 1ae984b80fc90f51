"""Pages in the order in which they came, against a list: what is returned, and in which order."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.device import Order
from fwpages.device.firmware.page_order import PageOrder

ORDERS: tuple[Order, ...] = get_args(Order)
#: indices have 31 bits
TOP = (1 << 31) - 1


def filled(*numbers: int) -> PageOrder:
    s = PageOrder()
    s.push(np.array(numbers, np.int64))
    return s


Move = tuple[str, int, int]
moves = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "pop", "pop", "retire", "copy", "clear"]), st.integers(0, 9), st.integers(0, 3)
    ),
    max_size=30,
)


@settings(max_examples=100)
@given(moves=moves, order=st.sampled_from(ORDERS))
def test_against_a_list(moves: list[Move], order: Order) -> None:
    """``old`` are left over from earlier: none of ``new`` is returned while one of them is there."""
    stack, old, new, fresh = PageOrder(), list[int](), list[int](), 0
    left: list[tuple[PageOrder, list[int]]] = []
    for what, n, salt in moves:
        if what == "push":
            numbers = list(range(fresh, fresh + n))
            stack.push(np.array(numbers, np.int64))
            new, fresh = new + numbers, fresh + n
        elif what == "retire":
            stack.leaving = stack.size
            old, new = old + new, []
        elif what == "copy":
            left.append((stack, stack.content.tolist()))
            stack = stack.copy()
        elif what == "clear":
            before = stack.content.tolist()
            assert stack.clear().tolist() == before
            old, new = [], []
        else:
            size = min(n, stack.size)
            got = stack.pop(size, order, salt).tolist()
            assert len(set(got)) == len(got) == size
            first, rest = got[: len(old)], got[len(old) :]
            assert set(first) <= set(old)
            assert set(rest) <= set(new)
            if order != "shuffled" and (not old or not new):
                whole = old or new
                assert got == (whole[:size] if order == "fifo" else whole[::-1][:size])
            old, new = [x for x in old if x not in got], [x for x in new if x not in got]
        assert (stack.size, stack.leaving) == (len(old) + len(new), len(old))
        assert sorted(stack.content.tolist()) == sorted(old + new)
        if order != "shuffled":
            assert stack.content.tolist() == old + new, "the earliest first"
    assert all(s.content.tolist() == content for s, content in left), "a copy leaves its original alone"


@pytest.mark.parametrize("order", ORDERS)
def test_the_old_go_first_and_then_the_order_counts(order: Order) -> None:
    s = filled(5, 6, 7)
    s.leaving = 3
    s.push(np.array([1, 2, 3, 4], np.int64))
    out = s.pop(5, order).tolist()
    assert out[:3] == [5, 6, 7]
    expected = {"fifo": [1, 2], "lifo": [4, 3]}
    assert out[3:] == expected.get(order, out[3:])
    assert sorted(out[3:] + s.content.tolist()) == [1, 2, 3, 4]


def test_shuffled_pages_come_from_all_over_and_the_same_on_every_run() -> None:
    def run(salt: int) -> list[int]:
        return [int(n) for n in filled(*range(1000)).pop(100, "shuffled", salt)]

    first = run(1)
    assert first == run(1)
    assert first != run(2)
    assert min(first) < 100
    assert max(first) > 900
    assert first not in (sorted(first), sorted(first, reverse=True))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 2, 64, 97])
def test_all_at_once_or_one_by_one_it_is_each_of_them_once(order: Order, size: int) -> None:
    assert sorted(filled(*range(size)).pop(size, order).tolist()) == list(range(size))
    s, singly = filled(*range(size)), list[int]()
    while s.size:
        singly += s.pop(1, order, salt=3).tolist()
    assert sorted(singly) == list(range(size))
    assert s.pop(0, order).tolist() == s.clear().tolist() == []


def test_the_highest_index_is_not_cut() -> None:
    s = filled(0, TOP)
    assert s.pop(1, "lifo").tolist() == [TOP]
    assert s.pop(1, "fifo").dtype == np.int64


def test_pushing_by_ones_does_not_copy_by_ones() -> None:
    """It grows by a good part of what it has: the array changes a few times, not at every push."""
    s, arrays = PageOrder(), set[int]()
    for n in range(2000):
        s.push(np.array([n], np.int64))
        arrays.add(s.content.__array_interface__["data"][0])
    assert s.content.tolist() == list(range(2000))
    assert len(arrays) < 60


def test_a_queue_that_is_filled_and_emptied_does_not_grow() -> None:
    """First in, first out, for ever: what was returned makes room for what comes."""
    s = filled(*range(10))
    for n in range(10, 3000):
        s.push(np.array([n], np.int64))
        assert s.pop(1, "fifo").tolist() == [n - 10]
    base = s.content.base
    assert base is not None
    assert base.size < 100
