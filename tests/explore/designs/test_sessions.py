"""Every design runs a whole session with the real firmware, clean, in both modes, as PF and as ECPF."""

from __future__ import annotations

import pickle
from itertools import product

import pytest

from fwpages.device import ResetFunction, Want
from fwpages.explore.designs import DESIGNS
from fwpages.host import Close, DisableVport, EnableVport, FunctionsChanged, Open
from fwpages.prm.identity import Mode
from tests.explore.designs.joined import Joined, T

#: the mode, whether as ECPF, the size of a page, and the seed by which what is on its way is shuffled, in one mode
KINDS: list[tuple[str, bool, int, int | None]] = [
    *product(("func_id", "auto", "not offered"), (False, True), (12, 16), (None,)),
    *product(("auto",), (False, True), (12,), (1, 2)),
]


@pytest.mark.parametrize(("mode", "ecpf", "shift", "seed"), KINDS)
@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_whole_life(name: str, shift: int, ecpf: bool, mode: str, seed: int | None) -> None:
    life = Joined(name, ecpf=ecpf, offered=mode != "not offered", shift=shift, seed=seed)
    for _ in range(2):
        life.do(Open("func_id" if mode == "func_id" else "auto"))
        assert life.done == [("open", True)]
        by_vhca_id = mode == "auto"
        assert life.driver.view().mode is life.firmware.mode is (Mode.VHCA_ID if by_vhca_id else Mode.FUNC_ID)
        life.agree()
        life.do(FunctionsChanged(life.vports))
        enabled = [v.vport for v in life.vports]
        for n in enabled:
            life.do(EnableVport(n))
            life.agree()
        life.do(Want("vf0", 5), Want("vf1", 4), Want("vf0", -2), Want("sf0", 1), Want("self", 2))
        life.agree()
        life.do(ResetFunction("vf1"))
        life.agree()
        life.do(DisableVport(1))
        if not ecpf:
            life.do(DisableVport(2))
        life.agree()
        life.do(Close())
        assert life.driver.view().counters["total"] == 0
        assert not life.firmware.holds()
        assert not life.mapped
        assert [ok for _, ok in life.done] == [True] * len(life.done)
        assert life.done[-1] == ("close", True)
        assert not life.offences, life.offences
        assert not life.findings, life.findings
        assert not life.counts()
        life.done.clear()


@pytest.mark.parametrize("name", sorted(DESIGNS))
@pytest.mark.parametrize("mode", ["func_id", "auto"])
def test_counters_by_type(name: str, mode: str) -> None:
    life = Joined(name, ecpf=True)
    life.do(
        Open("func_id" if mode == "func_id" else "auto"),
    )
    life.do(FunctionsChanged(life.vports))
    for v in life.vports:
        life.do(EnableVport(v.vport))
    by_type = {str(f.type): life.firmware.held(f.name) for f in life.specs if f.type is not T.SPF or mode == "auto"}
    by_type["vf"] = life.firmware.held("vf0") + life.firmware.held("vf1")
    counts = life.counts()
    if name == "posted" and mode == "auto":
        assert counts["ec_vf"] == by_type.pop("ec_vf") + by_type.pop("spf")  # no type of its own as posted
    if name != "fwpages" and mode == "auto":
        early = {"sf", "vf"} if name == "merged" else set()  # given before the e-switch knew them
        by_type = {k: n for k, n in by_type.items() if k not in early}
        counts = {k: n for k, n in counts.items() if k not in early}
    assert {k: counts[k] for k in by_type} == by_type


@pytest.mark.parametrize("name", ["posted", "merged"])
def test_clone_and_pickle(name: str) -> None:
    """A copy goes its own way; one that went through bytes is in the same state."""
    life = Joined(name)
    life.do(Open())
    d = life.driver
    before = d.key()
    copy = d.clone()
    copy.feed(life.now, life.request(0x31, 2))
    assert copy.key() != before
    assert d.key() == before
    again = pickle.loads(pickle.dumps(copy))
    assert again.key() == copy.key()
    assert again.constants() == d.constants()
