from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fwpages.pages import TagMap
from fwpages.pages.space import Indices
from fwpages.pages.tags import PART

SIZE = 40
some = st.lists(st.integers(0, SIZE - 1), max_size=25)
tags = st.sampled_from([0, 1, 2, 7, 70_000])


def index(values: list[int]) -> Indices:
    return np.array(values, np.int64)


class TagMapMachine(RuleBasedStateMachine):
    """A map of tags beside a dictionary that says the same."""

    def __init__(self) -> None:
        super().__init__()
        self.map = TagMap()
        self.map.reserve(SIZE)
        self.model: dict[int, int] = {}
        self.copies: list[tuple[TagMap, dict[int, int]]] = []

    @rule(where=some, tag=tags)
    def put(self, where: list[int], tag: int) -> None:
        self.map.put(index(where), tag)
        self.model |= dict.fromkeys(where, tag)

    @rule(old=tags.filter(bool), new=tags)
    def replace(self, old: int, new: int) -> None:
        moved = self.map.replace(old, new)
        assert moved.tolist() == sorted(i for i, t in self.model.items() if t == old)
        self.model |= dict.fromkeys(moved.tolist(), new)

    @rule(bit=st.sampled_from([1, 2, 4]), bits=st.sampled_from([1, 3, 6]))
    def clear(self, bit: int, bits: int) -> None:
        before = {i: t for i, t in self.model.items() if t & bit}
        where, counts = self.map.clear(bit, bits)
        assert where.tolist() == sorted(before)
        assert counts == Counter(before.values())
        self.model |= {i: t & ~bits for i, t in before.items()}

    @rule(where=some)
    def put_each(self, where: list[int]) -> None:
        self.map.put_each(index(where), np.array(where, np.uint32))
        self.model |= {i: i for i in where}

    @rule(where=some, tag=tags)
    def only(self, where: list[int], tag: int) -> None:
        expected = all(self.model.get(i, 0) == tag for i in where) and len(set(where)) == len(where)
        assert self.map.only(index(where), tag) == expected
        assert self.map.only_few(where, tag) == expected

    @rule(where=some)
    def firsts(self, where: list[int]) -> None:
        seen: set[int] = set()
        expected = [i not in seen and not seen.add(i) for i in where]  # type: ignore[func-returns-value]  # add returns None
        assert self.map.firsts(index(where)).tolist() == expected

    @rule(where=some, outside=st.integers(0, 3))
    def get(self, where: list[int], outside: int) -> None:
        asked = where + [-1] * outside
        assert self.map.get(index(asked)).tolist() == [self.model.get(i, 0) for i in asked]

    @rule(size=st.integers(0, 4 * SIZE))
    def reserve(self, size: int) -> None:
        self.map.reserve(size)

    @rule()
    def copy(self) -> None:
        if len(self.copies) < 3:
            self.copies.append((self.map.copy(), dict(self.model)))

    @invariant()
    def the_same(self) -> None:
        for got, model in ((self.map, self.model), *self.copies):
            alive = {i: t for i, t in model.items() if t}
            assert got.get(index(list(range(SIZE)))).tolist() == [model.get(i, 0) for i in range(SIZE)]
            counts = Counter(alive.values())
            assert got.counts() == counts
            for t in counts:
                assert got.where(t).tolist() == sorted(i for i, mine in alive.items() if mine == t)
            last = max(alive, default=-1)
            assert got.used().tolist() == [model.get(i, 0) for i in range(last + 1)]


TestTagMap = TagMapMachine.TestCase
TestTagMap.settings = settings(max_examples=40, stateful_step_count=25)


def test_an_empty_map_has_no_tags() -> None:
    empty = TagMap()
    assert empty.get(index([-1, -1])).tolist() == [0, 0]
    assert empty.counts() == {}
    assert empty.used().tolist() == []
    assert empty.where(3).tolist() == []
    assert empty.firsts(index([])).tolist() == []


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_room_grows_and_keeps_what_was_there(first: int, second: int) -> None:
    m = TagMap()
    m.reserve(first)
    m.put(index([first - 1]), 9)
    m.reserve(second)
    assert m.get(index([first - 1])).tolist() == [9]
    assert m.counts() == {9: 1}
    m.put(index([max(first, second) - 1]), 9)


def test_firsts_of_many_pages_leaves_the_tags_alone() -> None:
    m = TagMap()
    m.reserve(60_000)
    where = np.arange(50_000, dtype=np.int64)
    m.put(where, 5)
    doubled = np.concatenate([where, where[::-1]])
    first = m.firsts(doubled)
    assert first[:50_000].all()
    assert not first[50_000:].any()
    assert m.counts() == {5: 50_000}


def test_a_map_that_travelled_is_the_same_and_goes_on() -> None:
    m = TagMap()
    m.reserve(SIZE)
    m.put(index([3, 4]), 7)
    other: TagMap = pickle.loads(pickle.dumps(m))
    other.put(index([4]), 9)
    assert other.counts() == {7: 1, 9: 1}
    assert other.only_few([3], 7)
    assert m.counts() == {7: 2}


def test_more_than_a_part_at_a_time() -> None:
    m, size = TagMap(), 2 * PART + 7
    m.reserve(size)
    everywhere = np.arange(size, dtype=np.int64)
    m.put(everywhere, 6)
    m.put(everywhere[PART - 1 :: PART], 11)
    assert m.where(11).tolist() == [PART - 1, 2 * PART - 1]
    assert m.counts() == {6: size - 2, 11: 2}
    assert m.replace(11, 5).tolist() == [PART - 1, 2 * PART - 1]
    where, counts = m.clear(2, 3)
    assert counts == {6: size - 2}
    assert np.array_equal(where, np.setdiff1d(everywhere, [PART - 1, 2 * PART - 1]))
    assert m.counts() == {4: size - 2, 5: 2}
