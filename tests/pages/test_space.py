from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.pages import PAGE_SIZE, DenseSpace, SparseSpace
from fwpages.pages.space import REGION_PAGES, Addresses, Indices

LAST_PAGE = 2**52 - 1


def array(addresses: list[int]) -> Addresses:
    return np.array(addresses, np.uint64)


def indices(values: list[int]) -> Indices:
    return np.array(values, np.int64)


bases = st.integers(1, LAST_PAGE - 4096).map(lambda page: page * PAGE_SIZE)


@given(bases, st.integers(0, 600), st.data())
def test_a_dense_space_is_a_shift(base: int, size: int, data: st.DataObject) -> None:
    near = st.integers(max(0, base - 3 * PAGE_SIZE), min(2**64 - 1, base + (size + 3) * PAGE_SIZE))
    pages = st.integers(-3, size + 3).map(lambda n: max(0, min(2**64 - PAGE_SIZE, base + n * PAGE_SIZE)))
    anywhere = st.sampled_from([0, 1, PAGE_SIZE, 2**63, 2**63 + PAGE_SIZE, 2**64 - PAGE_SIZE, 2**64 - 1])
    asked = data.draw(st.lists(near | pages | anywhere, max_size=20))
    model = {base + n * PAGE_SIZE: n for n in range(size)}
    space = DenseSpace(base, size)
    got = space.index(array(asked))
    assert got.dtype == np.int64
    assert got.tolist() == [model.get(a, -1) for a in asked]
    for exact in (space.exact(array(asked)), space.exact_few(asked)):
        assert (None if exact is None else [*exact]) == ([*got] if all(a in model for a in asked) else None)
    inside = [a for a in asked if a in model]
    assert space.address(space.index(array(inside))).tolist() == inside


def test_a_dense_space_grows_at_its_end() -> None:
    space = DenseSpace(2**63, 2)
    assert space.index(array([2**63 + 2 * PAGE_SIZE])).tolist() == [-1]
    other = space.copy()
    space.grow(1)
    assert space.index(array([2**63, 2**63 + 2 * PAGE_SIZE])).tolist() == [0, 2]
    assert (space.size, other.size) == (3, 2)
    assert other.index(array([2**63 + 2 * PAGE_SIZE])).tolist() == [-1]


@pytest.mark.parametrize("base", [0, -PAGE_SIZE, 1, PAGE_SIZE + 1])
def test_a_dense_space_starts_at_a_page_that_is_not_zero(base: int) -> None:
    with pytest.raises(ValueError, match="positive multiple of 4096"):
        DenseSpace(base)


class Model:
    """A sparse space in plain Python: regions in the order in which they were first covered."""

    def __init__(self) -> None:
        self.regions: list[int] = []

    def cover(self, addresses: list[int]) -> None:
        # those of one call come in ascending order
        for region in sorted({a // PAGE_SIZE // REGION_PAGES for a in addresses}):
            if region not in self.regions:
                self.regions.append(region)

    def index(self, address: int) -> int:
        page = address // PAGE_SIZE
        region = page // REGION_PAGES
        if address % PAGE_SIZE or region not in self.regions:
            return -1
        return self.regions.index(region) * REGION_PAGES + page % REGION_PAGES


region_numbers = st.integers(0, 6) | st.integers(2**36, 2**36 + 2) | st.integers(2**37 - 2, 2**37 - 1)
scattered = st.builds(
    lambda region, page, low: (region * REGION_PAGES + page) * PAGE_SIZE + low,
    region_numbers,
    st.sampled_from([0, 1, REGION_PAGES - 1]),
    st.sampled_from([0, 0, 0, 1, PAGE_SIZE - 1]),
)


@given(st.lists(st.lists(scattered, max_size=6), max_size=6), st.lists(scattered, max_size=12))
def test_a_sparse_space_keeps_the_indices_that_it_gave(rounds: list[list[int]], asked: list[int]) -> None:
    space, model = SparseSpace(), Model()
    known: dict[int, int] = {}
    for addresses in rounds:
        space.cover(array(addresses))
        model.cover(addresses)
        assert space.size == len(model.regions) * REGION_PAGES
        for address, index in known.items():
            assert space.index(array([address])).tolist() == [index]
        known |= {a: model.index(a) for a in addresses if a % PAGE_SIZE == 0}
    everything = asked + list(known)
    expected = [model.index(a) for a in everything]
    assert space.index(array(everything)).tolist() == expected
    exact = space.exact(array(everything))
    assert (None if exact is None else exact.tolist()) == (None if -1 in expected else expected)
    found = [a for a in everything if model.index(a) >= 0]
    assert space.address(space.index(array(found))).tolist() == found


def test_a_copy_of_a_sparse_space_is_independent() -> None:
    one, two = 0, 2**63
    space = SparseSpace()
    space.cover(array([two]))
    other = space.copy()
    space.cover(array([one]))
    assert space.index(array([one, two])).tolist() == [REGION_PAGES, 0]
    assert other.index(array([one, two])).tolist() == [-1, 0]
    other.cover(array([two + REGION_PAGES * PAGE_SIZE]))
    assert space.index(array([two + REGION_PAGES * PAGE_SIZE])).tolist() == [-1]


def test_an_empty_space_knows_no_page() -> None:
    assert SparseSpace().index(array([0, PAGE_SIZE])).tolist() == [-1, -1]
    assert SparseSpace().index(array([])).tolist() == []
    assert SparseSpace().size == 0
    assert DenseSpace(PAGE_SIZE).index(array([PAGE_SIZE])).tolist() == [-1]


def test_a_space_does_not_change_what_it_is_asked() -> None:
    asked = array([PAGE_SIZE, 5, 0])
    sparse = SparseSpace()
    sparse.cover(asked)
    for space in (DenseSpace(PAGE_SIZE, 4), sparse):
        space.index(asked)
        assert asked.tolist() == [PAGE_SIZE, 5, 0]
        index = indices([0, 1])
        space.address(index)
        assert index.tolist() == [0, 1]
