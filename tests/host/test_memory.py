from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fwpages.host.memory import CHUNK, Pool
from fwpages.pages import PAGE_SIZE
from fwpages.pages.space import Indices

BASE = 1 << 40


def index(values: list[int]) -> Indices:
    return np.array(values, np.int64)


class PoolMachine(RuleBasedStateMachine):
    """A pool beside a list: what came back last goes out first."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool(BASE)
        self.free: list[int] = []
        self.out: list[int] = []
        self.copies: list[tuple[Pool, list[int]]] = []

    @rule(pages=st.integers(1, 20))
    def add(self, pages: int) -> None:
        start = self.pool.space.size
        self.pool.add(pages)
        self.free += range(start + pages - 1, start - 1, -1)

    @rule(pages=st.integers(0, 20))
    def take(self, pages: int) -> None:
        short = self.pool.shortfall(pages)
        assert short % CHUNK == 0
        if short:
            assert len(self.free) < pages <= len(self.free) + short < pages + CHUNK
            return
        assert pages <= len(self.free)
        taken = self.pool.take(pages).tolist()
        assert taken[::-1] == self.free[len(self.free) - pages :]
        del self.free[len(self.free) - pages :]
        self.out += taken

    @rule(pages=st.integers(0, 20))
    def put(self, pages: int) -> None:
        back, self.out = self.out[:pages], self.out[pages:]
        self.pool.put(index(back))
        self.free += back

    @rule()
    def copy(self) -> None:
        if len(self.copies) < 2:
            self.copies.append((self.pool.copy(), list(self.free)))

    @invariant()
    def the_same(self) -> None:
        assert self.pool.free == len(self.free)
        assert self.pool.indices().tolist() == self.free
        assert self.pool.space.size == len(self.free) + len(self.out)
        assert self.pool.next_iova == BASE + self.pool.space.size * PAGE_SIZE
        assert len(set(self.free) | set(self.out)) == self.pool.space.size
        for other, free in self.copies:
            assert other.indices().tolist() == free


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=40, stateful_step_count=25)


@given(st.integers(0, 3 * CHUNK), st.integers(0, 3 * CHUNK))
def test_the_shortfall_is_whole_chunks_and_enough(have: int, want: int) -> None:
    pool = Pool(BASE)
    if have:
        pool.add(have)
    short = pool.shortfall(want)
    assert short % CHUNK == 0
    assert (short == 0) is (want <= have)
    assert have + short >= want
    assert have + short < want + CHUNK or short == 0


def test_a_chunk_is_given_out_from_its_lowest_block() -> None:
    pool = Pool(BASE)
    pool.add(CHUNK)
    assert pool.take(3).tolist() == [0, 1, 2]
    pool.put(index([1]))
    assert pool.take(1).tolist() == [1], "what came back last goes out first"
    assert pool.take(2).tolist() == [3, 4]


def test_a_pool_that_is_cleared_starts_anew_at_its_base() -> None:
    pool = Pool(BASE)
    pool.add(CHUNK)
    pool.add(2 * CHUNK)
    space = pool.space
    assert pool.clear() == (BASE, 3 * CHUNK)
    assert (pool.free, pool.next_iova) == (0, BASE)
    assert pool.space is space, "the ledger looks at the same space"
    pool.add(1)
    assert pool.take(1).tolist() == [0]


def test_a_chunk_is_a_huge_page_of_the_iommu() -> None:
    assert Pool(BASE).shortfall(1) * PAGE_SIZE == 2 << 20
