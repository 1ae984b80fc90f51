"""Our host beside Linux's own allocator, each over the same firmware, through the same random operations."""

from __future__ import annotations

import pytest

from fwpages.prm.identity import Mode
from tests.linux.devices import machine
from tests.linux.ourside import LINUX_BATCH
from tests.linux.peer import Peer, device
from tests.linux.run import Op, Pair, run

#: in each mode, as PF and as ECPF: 7 × 2 × 2 × 360 = 10,080 operations, and the closes
SEEDS, OPS = range(100, 107), 360


def test_there_are_enough_operations() -> None:
    assert len(SEEDS) * len(Mode) * 2 * OPS > 10_000


@pytest.mark.many_runs
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ecpf", [False, True], ids=["pf", "ecpf"])
@pytest.mark.parametrize("mode", Mode)
def test_both_do_the_same(peer: Peer, mode: Mode, ecpf: bool, seed: int) -> None:
    assert run(peer, mode, ecpf=ecpf, seed=seed, ops=OPS) > OPS


@pytest.mark.parametrize("ecpf", [False, True], ids=["pf", "ecpf"])
@pytest.mark.parametrize("mode", Mode)
def test_a_session_written_out(peer: Peer, mode: Mode, ecpf: bool) -> None:
    m = machine(mode, ecpf=ecpf, seed=7)
    pair = Pair(peer, m)
    first, second = m.functions[0].name, m.functions[-1].name
    operations = [
        Op("open"),
        Op("enable", ((first, 0),)),
        Op("enable", ((second, 0),)),
        Op("want", ((first, 300), ("self", 700), (second, 50), ("self", 700))),
        Op("want", ((first, -100),)),
        Op("reset", ((second, 0),)),
        Op("disable", ((first, 0),)),
        Op("close"),
        Op("open"),
        Op("close"),
    ]
    for op in operations:
        assert pair.may(op)
        pair.do(op)
        pair.compare()
        pair.ours.agree()
    assert pair.linux.oracle.log() == []
    assert pair.linux.oracle.stats()["pages_live"] == 0
    assert not pair.ours.host.session.findings


def test_the_batch_is_linuxs_own(peer: Peer) -> None:
    assert device(peer, 16).optimal_reclaimed_pages() == LINUX_BATCH
