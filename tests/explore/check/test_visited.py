from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.explore.check import visited
from fwpages.explore.check.visited import Visited, as_keys, first_of_each

#: keys of which many begin at one place of the table, and some have one half in common
words = st.sampled_from([0, 1, 2, 1 << 10, (1 << 10) + 1, 1 << 40, (1 << 64) - 1])
batches = st.lists(st.lists(st.tuples(words, words), max_size=12), max_size=8)


@given(batches)
def test_keys_are_found_by_the_numbers_in_which_they_came(found: list[list[tuple[int, int]]]) -> None:
    met, numbers = Visited(), dict[tuple[int, int], int]()
    for batch in found:
        keys = np.array(batch, np.uint64).reshape(-1, 2)
        assert met.find(keys).tolist() == [numbers.get(key, -1) for key in batch]
        fresh = keys[met.find(keys) < 0]
        firsts, which = first_of_each(fresh)
        new = [key for key in dict.fromkeys(batch) if key not in numbers]
        assert [tuple(key) for key in fresh[firsts].tolist()] == new
        assert (fresh[firsts][which] == fresh).all()
        numbers |= {key: len(numbers) + n for n, key in enumerate(new)}
        met.add(fresh[firsts])
    assert len(met) == len(numbers)
    assert [tuple(key) for key in met.keys.tolist()] == list(numbers)


def test_a_table_that_grew_has_all_of_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visited, "_AT_ONCE", 512)
    keys = as_keys(np.random.default_rng(1).bytes(16 * 5_000))
    met = Visited()
    for n in range(0, 5_000, 700):
        met.add(keys[n : n + 700])
    assert met.find(keys).tolist() == list(range(5_000))
    assert (met.find(keys + np.uint64(1)) == -1).all()
