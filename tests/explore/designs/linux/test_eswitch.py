"""Effects of the e-switch of the Linux models on the accounts, and what it makes the page path wait for."""

from __future__ import annotations

import pytest

from fwpages.device import Want
from fwpages.explore.designs import DESIGNS
from fwpages.explore.model.driver import DriverConfig
from fwpages.host import Answered, Close, DisableVport, EnableVport, FunctionsChanged, Open, VportInfo
from fwpages.prm.capability import general
from fwpages.prm.identity import Mode, Supplier, Vport, func_id, vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.explore.designs.driver_run import DriverRun, Fate, T
from tests.explore.designs.linux.test_pages import BOTH, GIVE, TAKE, manages, opened


def other_cap(c: Command) -> bool:
    return c.opcode == Opcode.QUERY_HCA_CAP and bool(c["other_function"])


def held_back(name: str) -> tuple[DriverRun, Answered]:
    """The e-switch waits for vf1's capabilities under its lock; the answer is there, and not delivered."""
    run = opened(name, 1)
    kept: list[Answered] = []

    def fate(c: Command) -> Fate:
        if not other_cap(c):
            return None
        kept.append(Answered(run.session, run.ids[-1].id, run.execute(c)))
        return "lost"

    run.fate = fate
    run.do(EnableVport(2), until=run.now)
    return run, kept[0]


def test_page_path_waits_for_the_lock() -> None:
    """posted, mlx5_esw_vhca_id_to_func_type: the type is looked up *after* the GIVE, so the first request is served
    while the lock is held, and what is behind it in the queue is not.
    """
    run, answer = held_back("posted")
    run.do(Want("vf0", 1), until=run.now)
    assert [c["function_id"] for c in run.sent if manages(c, GIVE)] == [0x31], "the GIVE itself needs no lock"
    assert run.driver.view().waiting["pages"] == "state_lock, held by eswitch"
    run.do(Want("vf0", 2), until=run.now)
    assert len([c for c in run.sent if manages(c, GIVE)]) == 1, "but the next one is not sent"
    run.do(answer)
    assert run.driver.view().waiting == {}
    assert len([c for c in run.sent if manages(c, GIVE)]) == 3, "and with vf1's own"
    run.agree()


def test_own_pages_need_no_lock() -> None:
    """posted: the own vhca_id is registered before the lock is taken."""
    run, _ = held_back("posted")
    run.do(Want("self", 1), Want("self", 1), until=run.now)
    assert "pages" not in run.driver.view().waiting
    run.agree()


def test_no_lock_on_the_page_path() -> None:
    """merged, mlx5_esw_vhca_id_to_func_type: xa_load of vhca_type_map."""
    run, _ = held_back("merged")
    run.do(Want("vf0", 2), Want("vf0", 1), until=run.now)
    assert "pages" not in run.driver.view().waiting
    run.agree()


def test_deadlock_ends_with_the_command() -> None:
    """posted: the vport command's time-out lets the lock go, and the page path on."""
    run, _ = held_back("posted")
    run.do(Want("vf0", 1))
    assert ("enable vport 0x2", False) in run.done
    assert "command-timeout" in run.names()
    run.agree()


@BOTH
def test_early_give(name: str) -> None:
    """give_pages before the e-switch knows the function: posted counts the return only, merged neither."""
    run = DriverRun(name)
    run.do(Open())
    run.do(FunctionsChanged(run.vports))
    run.fate = lambda c: Answer(c.opcode, Status.INTERNAL_ERR) if other_cap(c) else None
    run.do(EnableVport(0x200))  # an SF is allocated before its vport is loaded
    assert run.done[-1] == ("enable vport 0x200", False)
    assert run.firmware.held("sf0") == 3
    who = vhca_id(0x33)
    assert run.driver.counted_as(who) is None
    assert "sf" not in run.counts()
    run.fate = lambda c: None
    run.do(DisableVport(0x200))
    run.do(EnableVport(0x200))
    run.do(Want("sf0", -3))
    assert run.firmware.held("sf0") == 0
    # of six given, three were counted: those of the second session, whose GIVE comes after or before the query
    assert run.driver.view().counters["sf"] <= 0
    assert run.driver.view().counters["total"] == 5
    if name == "merged":
        assert run.driver.view().counters["sf"] == 0


def test_counter_below_zero() -> None:
    """posted, reclaim_pages: a function that is not known when pages come, and is when they go."""
    run = DriverRun("posted")
    run.do(Open())
    run.do(FunctionsChanged(run.vports))
    run.fate = lambda c: Answer(c.opcode, Status.INTERNAL_ERR) if other_cap(c) else None
    run.do(EnableVport(0x200))
    assert run.firmware.held("sf0") == 3
    # the vport's vhca_id comes into the table at the second try; no page comes with it
    run.fate = lambda c: Answer(c.opcode) if c.opcode in (Opcode.ALLOC_SF, Opcode.DEALLOC_SF) else None
    run.do(DisableVport(0x200))
    run.do(EnableVport(0x200))
    run.do(Want("sf0", -2))
    assert run.driver.view().counters["sf"] == -2
    run.agree()


@BOTH
@pytest.mark.parametrize("keeps", [None, False])
def test_late_return(name: str, keeps: bool | None) -> None:
    """Pages come back after mlx5_esw_vport_disable: merged remembers the type, posted finds the vport still there."""
    run = DriverRun(name, driver=DESIGNS[name](DriverConfig(Supplier(max_vfs=4), keeps_vhca_id=keeps)))
    run.do(Open())
    run.do(FunctionsChanged(run.vports))
    run.do(EnableVport(1))
    run.do(EnableVport(2))
    run.do(DisableVport(1))
    left = run.driver.view().counters["vf"] - run.firmware.held("vf1")
    assert left == (3 if name == "posted" and keeps is False else 0)


@BOTH
def test_vhca_id_used_again(name: str) -> None:
    """The vhca_id of a VF comes back as an SF's while pages of the VF are out."""
    run = opened(name, 1)
    run.fate = lambda c: Answer(c.opcode, Status.RES_BUSY) if manages(c, TAKE) else None
    run.do(DisableVport(1))
    assert run.done[-1] == ("disable vport 0x1", False), "the wait's end; Linux only logs it"
    assert "wait-timeout" in run.names()
    run.do(FunctionsChanged((VportInfo(0x201, T.SF, 0x201, vhca_id=0x31),)))
    run.fate = lambda c: Answer(c.opcode) if c.opcode == Opcode.ALLOC_SF else None
    run.do(EnableVport(0x201))
    assert run.done[-1] == ("enable vport 0x201", True)
    assert run.driver.counted_as(vhca_id(0x31)) == ("vf" if name == "merged" else "sf")
    run.do(run.request(0x31, -3))
    assert run.driver.view().counters["vf"] == (0 if name == "merged" else 3)
    assert run.driver.view().counters["sf"] == (0 if name == "merged" else -3)


#: vport, what it is, its type in posted and in merged; by esw_vport_to_func_type's order of questions
KINDS = [
    (0, T.HOST_PF, "host_pf", "host_pf"),
    (1, T.VF, "vf", "vf"),
    (0x200, T.SF, "sf", "sf"),
    (0x1000, T.EC_VF, "ec_vf", "ec_vf"),
    (0x2000, T.SPF, "ec_vf", "spf"),
    (0x3000, T.VF, "vf", "vf"),  # adjacent: it has the VF mark
    (Vport.UPLINK, T.UNKNOWN, "ec_vf", None),
    (Vport.ECPF, T.UNKNOWN, "ec_vf", None),  # the manager's own vport, under a vhca_id that is not the own
]


@pytest.mark.parametrize(("vport", "kind", "posted", "merged"), KINDS)
def test_type_of_each_kind(vport: int, kind: T, posted: str, merged: str | None) -> None:
    """A vhca_id that is in the table of vports and is nothing else is an EC VF as posted; merged asks its map,
    into which only vports go that are enabled.
    """
    for name, expected in (("posted", posted), ("merged", merged)):
        run = DriverRun(name, ecpf=True)
        run.do(Open())
        run.do(FunctionsChanged((VportInfo(int(vport), kind, 0x60, vhca_id=0x66),)))
        if kind is not T.UNKNOWN:
            run.fate = _learned
            run.do(EnableVport(int(vport)))
            assert run.done[-1][1], run.findings
        assert run.driver.counted_as(vhca_id(0x66)) == expected
        assert run.driver.counted_as(vhca_id(0x67)) is None
        assert run.driver.counted_as(vhca_id(0x2A)) == "self"


def _learned(c: Command) -> Fate:
    if other_cap(c):
        return Answer(c.opcode, data=general({"vhca_id": 0x66}))
    return Answer(c.opcode) if c.opcode in (Opcode.ENABLE_HCA, Opcode.ALLOC_SF) else None


@BOTH
def test_types_by_number(name: str) -> None:
    """func_id_to_type, in FUNC_ID mode."""
    d = DESIGNS[name](DriverConfig(Supplier(True, 4, 2)))
    found = [d.counted_as(func_id(n, ec=ec)) for n, ec in ((0, True), (0, False), (1, False), (4, True), (5, True))]
    assert found == ["self", "host_pf", "vf", "ec_vf", "sf"]


def test_two_vports_of_one_vhca_id() -> None:
    """merged: xa_insert into vhca_type_map fails, and with it the vport; posted finds the first in the table."""
    for name, ok in (("merged", False), ("posted", True)):
        run = opened(name, 1)
        run.fate = lambda c: Answer(c.opcode, data=general({"vhca_id": 0x31})) if other_cap(c) else None
        run.do(EnableVport(2))
        assert run.done[-1] == ("enable vport 0x2", ok)


@BOTH
def test_wait_at_the_last_vf(name: str) -> None:
    """mlx5_wait_for_pages: for VFs on a PF after the last of them; the answer of the wait changes nothing."""
    run = opened(name, 1, 2)
    run.do(DisableVport(2))
    run.stopped = {"pages"}
    run.do(DisableVport(1), until=run.now)
    assert run.driver.view().waiting == {"eswitch": "vf"}
    assert tuple(map(str, run.driver.view().busy)) == ("disable vport 0x1",)
    run.stopped = set()
    run.settle()
    assert run.done[-1] == ("disable vport 0x1", True)
    assert not run.findings
    run.do(Close())
    assert not run.mapped


def test_wait_ends_early() -> None:
    """mlx5_wait_for_pages looks at the counter: pages that count for no type are not waited for (merged)."""
    run = DriverRun("merged")
    run.do(Open())
    run.do(FunctionsChanged(run.vports))
    assert run.driver.view().mode is Mode.VHCA_ID
    # firmware asks for a VF that the e-switch does not know
    run.fate = lambda c: Answer(c.opcode) if manages(c, GIVE) else None
    run.do(run.request(0x31, 2))
    assert run.counts() == {"total": 7, "self": 5}
    run.fate = lambda c: None
    run.do(EnableVport(1))
    run.fate = lambda c: Answer(c.opcode) if manages(c, TAKE) else None
    run.stopped = {"pages"}
    run.do(Want("vf0", -3), DisableVport(1), until=run.now)
    assert run.driver.view().counters["vf"] == 3, "it waits for three of five"


@BOTH
def test_operations_one_after_the_other(name: str) -> None:
    """Each is under the devlink lock; a close refuses those that have not begun."""
    run = opened(name, 1)
    run.fate = lambda c: "lost" if other_cap(c) else None
    run.feed(EnableVport(2))
    run.feed(EnableVport(0x200))
    assert tuple(map(str, run.driver.view().busy)) == ("enable vport 0x2", "enable vport 0x200")
    run.feed(Close())
    assert run.done[-1] == ("enable vport 0x200", False)
    assert run.driver.view().waiting["driver"] == "devlink, held by eswitch"
    run.settle()
    assert run.done[-1] == ("close", True)
    assert not run.mapped
