from __future__ import annotations

import gc

import pytest

from fwpages.explore.check.collecting import SELDOM, seldom_collected
from fwpages.explore.check.search import search
from tests.explore.small_worlds import small


def test_the_collector_comes_seldom_while_a_world_is_searched() -> None:
    seen = set[tuple[int, int, int]]()
    before = gc.get_threshold()
    search(small("session"), visit=lambda _: seen.add(gc.get_threshold()))
    assert seen == {SELDOM}
    assert gc.get_threshold() == before


def test_an_error_leaves_the_collector_as_it_was() -> None:
    before = gc.get_threshold()
    with pytest.raises(ValueError, match="stop"), seldom_collected():
        raise ValueError("stop")
    assert gc.get_threshold() == before
