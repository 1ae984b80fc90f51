from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fwpages.bench.custody import Books, forced_close, give_and_take, release_all
from fwpages.bench.shape import Round, Shape

#: the last command of a function is smaller than the others
SHAPE = Shape(3000, 64, 3)


@pytest.mark.parametrize(
    ("rounds", "parts"),
    [
        (give_and_take, {"give", "take", "both"}),
        (release_all, {"release_all"}),
        (forced_close, {"forced"}),
    ],
)
def test_a_round_has_every_part_and_gets_every_page_back(rounds: Callable[[Shape], Round], parts: set[str]) -> None:
    figures = rounds(SHAPE)
    assert {*figures} == parts
    assert all(f > 0 for f in figures.values())


def test_every_page_is_lent_once() -> None:
    named = Books.of(SHAPE).give(SHAPE)
    assert [a.size for a in named] == [1000] * 3
    assert np.unique(np.concatenate(named)).size == 3000
    for addresses in named:
        assert (np.diff(addresses.astype(np.int64)) > 0).all()


def test_a_round_that_loses_a_page_measures_nothing() -> None:
    shape = Shape(128, 64)
    books = Books.of(shape)
    books.take(books.give(shape), Shape(64, 64))
    with pytest.raises(AssertionError, match="64 pages are still out"):
        books.done()


def test_an_answer_that_is_wrong_is_seen() -> None:
    """The checks that are timed are on: a page named twice does not come back twice."""
    shape = Shape(128, 64)
    books = Books.of(shape)
    (addresses,) = books.give(shape)
    addresses[1] = addresses[0]
    returned = books.ledger.check_return(books.who[0], addresses[:64])
    assert (returned.good.size, returned.twice.size) == (63, 1)
