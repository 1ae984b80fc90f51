from __future__ import annotations

import random

import pytest

from fwpages.explore.check import expand
from fwpages.explore.check.soundness import offers
from fwpages.explore.model.moves import moves, take
from fwpages.explore.model.spec import Packer
from fwpages.explore.model.standing import settled, share
from fwpages.explore.model.world import World
from tests.explore.small_worlds import DESIGNS, WORLDS, small

#: walks of a world, which meet each other's states
WALKS = 6
#: worlds in which hardly anything can come in another order
ALONE = ("timeout", "unmapped")


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", WORLDS)
def test_a_driver_that_stands_for_another_changes_no_key_and_no_offer(name: str, design: str) -> None:
    spec = small(name, design)
    plain, shared = spec.build(), spec.build()
    tests = expand.Tests(plain.rules.scenario)
    stood = 0
    for seed in range(WALKS):
        dice, a, b = random.Random(seed), plain, shared
        while (pair := _step(a, b, dice)) is not None:
            a, driver = pair[0], pair[1].driver
            b = share(pair[1])
            stood += b.driver is not driver
            assert a.key() == b.key()
        assert offers(a, tests) == offers(b, tests)
    assert stood or name in ALONE


def _step(a: World, b: World, dice: random.Random) -> tuple[World, World] | None:
    """One random step in both worlds; None at the end."""
    both = [(take(a, x), take(b, y)) for x, y in zip(moves(a), moves(b), strict=True)]
    assert [x is None for x, _ in both] == [y is None for _, y in both]
    possible = [(x, y) for x, y in both if x is not None and y is not None]
    assert [x.key() for x, _ in possible] == [y.key() for _, y in possible]
    return dice.choice(possible) if possible else None


def test_worlds_that_were_unpacked_have_the_machines_of_those_that_are_here() -> None:
    spec = small("session", "merged")
    root = spec.build()
    worlds = [root]
    for _ in range(3):
        worlds = [share(w) for before in worlds for x in moves(before) if (w := take(before, x)) is not None]
    packer = Packer(root)
    for w in worlds:  # a firmware that was fed is known by its key
        w.firmware = root.machines.one(w.firmware)
    unpacked = packer.unpack(packer.pack(worlds))
    assert all(a.firmware is not b.firmware for a, b in zip(worlds, unpacked, strict=True))
    for a, b in zip(worlds, settled(unpacked), strict=True):
        assert a.firmware is b.firmware
        assert a.driver is b.driver
        assert a.key() == b.key()
