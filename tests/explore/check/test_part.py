from __future__ import annotations

import numpy as np
import pytest

from fwpages.explore.check import pile
from fwpages.explore.check.part import NotTheSameError, Part
from fwpages.explore.check.search import Alone, search
from tests.explore.small_worlds import found, path_to, small


@pytest.mark.parametrize("design", ["merged", "fwpages"])
def test_states_that_were_written_to_a_file_change_nothing(monkeypatch: pytest.MonkeyPatch, design: str) -> None:
    monkeypatch.setattr(pile, "LIVE", 1)
    monkeypatch.setattr(pile, "PACK", 3)
    crew = Alone(small("session", design))
    assert search(small("session", design), crew=crew) == found("session", design)


def test_a_path_that_is_not_possible_is_noticed() -> None:
    path = path_to("session", "open")
    steps = [(np.zeros(1, np.int64), np.array([n], np.uint16)) for n in path]
    whole = Part(small("session"))
    whole.remake(steps, np.zeros(1, np.int64))
    assert whole.numbers.size == 1
    steps[-1] = np.zeros(1, np.int64), np.array([99], np.uint16)
    with pytest.raises(NotTheSameError):
        whole.remake(steps, np.zeros(1, np.int64))
