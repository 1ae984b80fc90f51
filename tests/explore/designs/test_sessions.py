"""Every design runs a whole session with the real firmware, clean, in both modes, as PF and as ECPF."""

from __future__ import annotations

import pickle
from itertools import product

import pytest

from fwpages.device import ResetFunction, Want
from fwpages.explore.designs import DESIGNS
from fwpages.host import Close, DisableVport, EnableVport, FunctionsChanged, Open
from fwpages.prm.identity import Mode
from tests.explore.designs.driver_run import DriverRun, T

#: the mode, whether as ECPF, the size of a page, and the seed by which messages in flight are shuffled, in one mode
KINDS: list[tuple[str, bool, int, int | None]] = [
    *product(("func_id", "auto", "not offered"), (False, True), (12, 16), (None,)),
    *product(("auto",), (False, True), (12,), (1, 2)),
]


@pytest.mark.parametrize(("mode", "ecpf", "shift", "seed"), KINDS)
@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_a_whole_session(name: str, shift: int, ecpf: bool, mode: str, seed: int | None) -> None:
    run = DriverRun(name, ecpf=ecpf, offered=mode != "not offered", shift=shift, seed=seed)
    for _ in range(2):
        run.do(Open("func_id" if mode == "func_id" else "auto"))
        assert run.done == [("open", True)]
        by_vhca_id = mode == "auto"
        assert run.driver.view().mode is run.firmware.mode is (Mode.VHCA_ID if by_vhca_id else Mode.FUNC_ID)
        run.agree()
        run.do(FunctionsChanged(run.vports))
        enabled = [v.vport for v in run.vports]
        for n in enabled:
            run.do(EnableVport(n))
            run.agree()
        run.do(Want("vf0", 5), Want("vf1", 4), Want("vf0", -2), Want("sf0", 1), Want("self", 2))
        run.agree()
        run.do(ResetFunction("vf1"))
        run.agree()
        run.do(DisableVport(1))
        if not ecpf:
            run.do(DisableVport(2))
        run.agree()
        run.do(Close())
        assert run.driver.view().counters["total"] == 0
        assert not run.firmware.holds()
        assert not run.mapped
        assert [ok for _, ok in run.done] == [True] * len(run.done)
        assert run.done[-1] == ("close", True)
        assert not run.offences, run.offences
        assert not run.findings, run.findings
        assert not run.counts()
        run.done.clear()


@pytest.mark.parametrize("name", sorted(DESIGNS))
@pytest.mark.parametrize("mode", ["func_id", "auto"])
def test_counters_by_type(name: str, mode: str) -> None:
    run = DriverRun(name, ecpf=True)
    run.do(
        Open("func_id" if mode == "func_id" else "auto"),
    )
    run.do(FunctionsChanged(run.vports))
    for v in run.vports:
        run.do(EnableVport(v.vport))
    by_type = {str(f.type): run.firmware.held(f.name) for f in run.specs if f.type is not T.SPF or mode == "auto"}
    by_type["vf"] = run.firmware.held("vf0") + run.firmware.held("vf1")
    counts = run.counts()
    if name == "posted" and mode == "auto":
        assert counts["ec_vf"] == by_type.pop("ec_vf") + by_type.pop("spf")  # no type of its own as posted
    if name != "fwpages" and mode == "auto":
        early = {"sf", "vf"} if name == "merged" else set()  # given before the e-switch knew them
        by_type = {k: n for k, n in by_type.items() if k not in early}
        counts = {k: n for k, n in counts.items() if k not in early}
    assert {k: counts[k] for k in by_type} == by_type


@pytest.mark.parametrize("name", ["posted", "merged"])
def test_clone_and_pickle(name: str) -> None:
    """A copy is independent; one that went through bytes is in the same state."""
    run = DriverRun(name)
    run.do(Open())
    d = run.driver
    before = d.key()
    copy = d.clone()
    copy.feed(run.now, run.request(0x31, 2))
    assert copy.key() != before
    assert d.key() == before
    again = pickle.loads(pickle.dumps(copy))
    assert again.key() == copy.key()
    assert again.constants() == d.constants()
