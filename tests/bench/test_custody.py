from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fwpages.bench.custody import Books, forced_close, give_and_take, release_all, shuffled
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


def test_every_page_is_lent_once_and_comes_back_in_another_order() -> None:
    books = Books.of(SHAPE)
    named = books.give(SHAPE)
    assert [[a.size for a in of] for of in named] == [[64] * 15 + [40]] * 3
    lent = np.concatenate([a for of in named for a in of])
    assert np.unique(lent).size == 3000
    answers = shuffled(named, SHAPE)
    for before, after in zip(named, answers, strict=True):
        assert [a.size for a in after] == [a.size for a in before]
        assert not np.array_equal(np.concatenate(after), np.concatenate(before))
        assert np.array_equal(np.sort(np.concatenate(after)), np.sort(np.concatenate(before)))


def test_a_round_that_loses_a_page_measures_nothing() -> None:
    books = Books.of(Shape(128, 64))
    books.take([of[:1] for of in books.give(Shape(128, 64))])
    with pytest.raises(AssertionError, match="64 pages are still out"):
        books.done()


def test_an_answer_that_is_wrong_costs_more_and_is_seen() -> None:
    """The checks that are timed are on: a page named twice does not come back twice."""
    shape = Shape(128, 64)
    books = Books.of(shape)
    ((first, _),) = books.give(shape)
    first[1] = first[0]
    returned = books.ledger.check_return(books.who[0], first)
    assert (returned.good.size, returned.twice.size) == (63, 1)
