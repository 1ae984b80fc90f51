from __future__ import annotations

import pytest

from fwpages.bench.sessions import page_path, whole_run
from fwpages.bench.shape import Shape


@pytest.mark.parametrize("batch", [1, 7, 512, 5000])
def test_every_page_goes_through_the_page_path_and_back(batch: int) -> None:
    figures = page_path(Shape(1000, batch))
    assert {*figures} == {"give", "take", "both"}
    assert figures["both"] == figures["give"] + figures["take"]


def test_a_session_has_as_many_pages_as_asked() -> None:
    assert whole_run(Shape(10_000, 50_000))["life"] > 0
