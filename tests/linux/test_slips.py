"""A comparison that finds nothing must be able to find something: slips in our host, each of which it catches."""

from __future__ import annotations

import pytest

from fwpages.prm.identity import Mode
from tests.linux.peer import Peer
from tests.linux.run import DifferenceError, Op, run, shortest
from tests.linux.slips import SLIPS

#: where a slip may show, and operations that are enough for each of them in one of these
PLACES = [(mode, ecpf, seed) for seed in range(2) for mode in Mode for ecpf in (False, True)]
ENOUGH = 120


@pytest.mark.many_runs
@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_caught(peer: Peer, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    SLIPS[name](monkeypatch)
    for mode, ecpf, seed in PLACES:
        try:
            run(peer, mode, ecpf=ecpf, seed=seed, ops=ENOUGH, shrink=False, own=False)
        except DifferenceError:
            return
    pytest.fail(f"{name}: {SLIPS[name].__doc__} No test noticed.")


@pytest.mark.many_runs
def test_there_are_at_least_ten_slips_and_none_is_seen_without_one(peer: Peer) -> None:
    assert len(SLIPS) >= 10
    for mode, ecpf, seed in PLACES:
        run(peer, mode, ecpf=ecpf, seed=seed, ops=ENOUGH, own=False)


def test_a_difference_is_reported_with_its_seed_and_the_shortest_path_there(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    SLIPS["take_one_less"](monkeypatch)
    with pytest.raises(DifferenceError) as caught:
        run(peer, Mode.VHCA_ID, ecpf=False, seed=3, ops=ENOUGH)
    words = str(caught.value)
    assert "mode vhca_id, ecpf False, seed 3, operation " in words
    assert "Linux TAKE" in words
    steps = words.rsplit(": ", 1)[1].split("; ")
    assert len(steps) <= 4
    assert steps[0] == "open"


def test_a_shorter_list_still_fails() -> None:
    ops = [Op(str(n)) for n in range(100)]
    less = shortest(lambda some: {ops[17], ops[71]} <= set(some), ops)
    assert less == [ops[17], ops[71]]
