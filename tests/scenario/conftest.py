from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenario.stage import Stage


@pytest.fixture
def stages() -> Iterator[list[Stage]]:
    made: list[Stage] = []
    yield made
    for stage in made:
        for d in stage.drivers:
            d.close()
