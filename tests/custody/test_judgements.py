"""The judgements that host and audit share."""

from __future__ import annotations

import numpy as np
import pytest

from fwpages.custody.bounds import Bounds
from fwpages.custody.findings import Cause
from fwpages.custody.judgements import (
    Patience,
    count_fits,
    more_than_lent,
    not_returned,
    patience,
    wrong_pages,
    wrong_release,
)
from fwpages.custody.ledger import Returned

BOUNDS = Bounds(memory=100, wait_progress=10.0, wait_overall=25.0)


def test_firmware_may_ask_for_all_that_is_lent_and_no_more() -> None:
    assert not more_than_lent(100, BOUNDS)
    assert more_than_lent(101, BOUNDS)


@pytest.mark.parametrize(
    ("own", "negotiated", "wrong"),
    [
        (False, True, None),
        (True, True, Cause.RELEASE_ALL_OWN),
        (False, False, Cause.RELEASE_ALL_NOT_NEGOTIATED),
        (True, False, Cause.RELEASE_ALL_NOT_NEGOTIATED),
    ],
)
def test_release_all_is_negotiated_and_for_another_function(own: bool, negotiated: bool, wrong: Cause | None) -> None:
    assert wrong_release(own=own, negotiated=negotiated) is wrong


def test_an_answer_counts_no_more_than_was_asked_for_and_than_it_has() -> None:
    assert count_fits(4, 4, 4)
    assert not count_fits(5, 4, 8)
    assert not count_fits(3, 4, 2)


def test_pages_are_missing_unless_a_release_crossed_the_take() -> None:
    assert not_returned(8, 5, crossed=False) == 3
    assert not_returned(8, 5, crossed=True) == 0
    assert not_returned(8, 9, crossed=False) == 0


def test_pages_that_come_twice_are_no_offence_where_a_release_crossed_the_take() -> None:
    good, none = np.zeros(0, np.int64), np.zeros(0, np.uint64)
    foreign, twice, unknown = (np.array([n << 12], np.uint64) for n in (1, 2, 3))
    returned = Returned(good, foreign, twice, unknown)
    offences = [Cause.RETURNED_FOREIGN, Cause.RETURNED_TWICE, Cause.RETURNED_NEVER_GIVEN]
    assert [cause for cause, _ in wrong_pages(returned, crossed=False)] == offences
    assert [cause for cause, _ in wrong_pages(returned, crossed=True)] == [offences[0], offences[2]]
    assert not list(wrong_pages(Returned(good, none, none, none), crossed=False))


def test_a_wait_has_more_time_when_pages_come_back_but_never_more_than_in_all() -> None:
    limits = patience(8, 100.0, BOUNDS)
    assert limits.deadline == 110.0
    assert limits.looked_at(8, 105.0, BOUNDS) == limits
    limits = limits.looked_at(5, 109.0, BOUNDS)
    assert limits.deadline == 119.0
    assert limits.looked_at(1, 118.0, BOUNDS).deadline == 125.0


def test_a_wait_is_given_up_at_its_deadline_unless_pages_came_back_just_then() -> None:
    limits = Patience(left=3, progress=5.0, overall=9.0)
    assert not limits.exhausted(3, 4.9)
    assert limits.exhausted(3, 5.0)
    assert not limits.exhausted(2, 5.0)
