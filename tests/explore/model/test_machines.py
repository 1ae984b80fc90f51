from __future__ import annotations

import random
from dataclasses import replace

import pytest

from fwpages.explore.model.log import LogEntry
from fwpages.explore.model.machines import Machines
from fwpages.explore.model.moves import moves, take
from fwpages.explore.model.world import World
from fwpages.pages.space import Addresses
from fwpages.prm.identity import Identity
from tests.explore.small_worlds import DESIGNS, small


def from_scratch(w: World) -> World:
    """The same state, with machines of which nothing is known yet."""
    return replace(w, driver=w.driver.clone(), firmware=w.firmware.clone(), machines=Machines())


def entries(log: list[LogEntry]) -> list[str]:
    return [repr(e) for e in log]


def listed(books: dict[Identity, Addresses] | None) -> dict[Identity, list[int]] | None:
    return None if books is None else {who: pages.tolist() for who, pages in books.items()}


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", ["asks", "left", "session"])
def test_what_is_remembered_of_machines_is_what_they_say_from_scratch(name: str, design: str) -> None:
    root = small(name, design).build()  # one for all walks: they meet machines that were fed before
    for seed in range(4):
        w, dice = root, random.Random(seed)
        for _ in range(50):
            scratch = from_scratch(w)
            assert scratch.key() == w.key()
            both = [(take(w, move), take(scratch, move)) for move in moves(w)]
            assert [a is None for a, _ in both] == [b is None for _, b in both]
            after = [(a, b) for a, b in both if a is not None and b is not None]
            assert [(a.key(), entries(a.log)) for a, _ in after] == [(b.key(), entries(b.log)) for _, b in after]
            d, f = w.driver, w.firmware
            assert (
                w.view,
                w.deadline,
                listed(dict(w.held) if w.held is not None else None),
                listed(dict(w.holds)),
            ) == (
                d.view(),
                d.deadline,
                listed(d.held()),
                listed(f.holds()),
            )
            if not after:
                break
            w = dice.choice(after)[0]


@pytest.mark.parametrize("design", DESIGNS)
def test_a_machine_of_a_world_does_not_change(design: str) -> None:
    w = small("asks", design).build()
    for _ in range(60):
        keys = w.driver.clone().key(), w.firmware.clone().key()
        after = [x for move in moves(w) if (x := take(w, move)) is not None]
        assert (w.driver.clone().key(), w.firmware.clone().key()) == keys
        if not after:
            break
        w = after[-1]


def test_a_move_leaves_the_machine_alone_that_it_does_not_touch() -> None:
    w = small("session").build()
    opened = take(w, moves(w)[0])
    assert opened is not None
    assert opened.firmware is w.firmware
    taken = take(opened, moves(opened)[0])
    assert taken is not None
    assert taken.driver is opened.driver
    assert taken.firmware is not opened.firmware
