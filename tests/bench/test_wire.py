from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fwpages.bench import wire as module
from fwpages.bench.shape import Round, Shape
from fwpages.bench.wire import Wire, scattered, signed, wire


@pytest.mark.parametrize("rounds", [wire, signed, scattered])
def test_a_round_times_both_directions(rounds: Callable[[Shape], Round]) -> None:
    figures = rounds(Shape(200, 200))
    assert {*figures} == {"give", "take"}


def test_a_wire_that_brings_something_else_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Crossed(Wire):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed on as they came
            self.echo.pages = self.echo.pages[::-1]

    monkeypatch.setattr(module, "Wire", Crossed)
    with pytest.raises(AssertionError, match="other pages"):
        wire(Shape(200, 200))


def test_the_bus_of_pieces_has_no_memory_at_hand() -> None:
    pages = np.arange(1, 101, dtype=np.uint64) << np.uint64(12)
    assert module.Scattered.blocks is None
    assert Wire(pages).memory.blocks is not None
