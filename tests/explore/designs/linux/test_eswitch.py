"""What the e-switch of the Linux models does to the accounts, and what it makes the page path wait for."""

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
from tests.explore.designs.joined import Fate, Joined, T
from tests.explore.designs.linux.test_pages import BOTH, GIVE, TAKE, manages, opened


def other_cap(c: Command) -> bool:
    return c.opcode == Opcode.QUERY_HCA_CAP and bool(c["other_function"])


def held_back(name: str) -> tuple[Joined, Answered]:
    """The e-switch waits for vf1's capabilities under its lock; the answer is there, and not delivered."""
    life = opened(name, 1)
    kept: list[Answered] = []

    def fate(c: Command) -> Fate:
        if not other_cap(c):
            return None
        kept.append(Answered(life.session, life.ids[-1].id, life.execute(c)))
        return "lost"

    life.fate = fate
    life.do(EnableVport(2), until=life.now)
    return life, kept[0]


def test_page_path_waits_for_the_lock() -> None:
    """posted, mlx5_esw_vhca_id_to_func_type: the type is looked up *after* the GIVE, so the first request is served
    while the lock is held, and what is behind it in the queue is not.
    """
    life, answer = held_back("posted")
    life.do(Want("vf0", 1), until=life.now)
    assert [c["function_id"] for c in life.sent if manages(c, GIVE)] == [0x31], "the GIVE itself needs no lock"
    assert life.driver.view().waiting["pages"] == "state_lock, held by eswitch"
    life.do(Want("vf0", 2), until=life.now)
    assert len([c for c in life.sent if manages(c, GIVE)]) == 1, "but the next one is not sent"
    life.do(answer)
    assert life.driver.view().waiting == {}
    assert len([c for c in life.sent if manages(c, GIVE)]) == 3, "and with vf1's own"
    life.agree()


def test_own_pages_need_no_lock() -> None:
    """posted: the own vhca_id is told before the lock is taken."""
    life, _ = held_back("posted")
    life.do(Want("self", 1), Want("self", 1), until=life.now)
    assert "pages" not in life.driver.view().waiting
    life.agree()


def test_no_lock_on_the_page_path() -> None:
    """merged, mlx5_esw_vhca_id_to_func_type: xa_load of vhca_type_map."""
    life, _ = held_back("merged")
    life.do(Want("vf0", 2), Want("vf0", 1), until=life.now)
    assert "pages" not in life.driver.view().waiting
    life.agree()


def test_deadlock_ends_with_the_command() -> None:
    """posted: the vport command's time-out lets the lock go, and the page path on."""
    life, _ = held_back("posted")
    life.do(Want("vf0", 1))
    assert ("enable vport 0x2", False) in life.done
    assert "command-timeout" in life.names()
    life.agree()


@BOTH
def test_early_give(name: str) -> None:
    """give_pages before the e-switch knows the function: posted counts the return only, merged neither."""
    life = Joined(name)
    life.do(Open())
    life.do(FunctionsChanged(life.vports))
    life.fate = lambda c: Answer(c.opcode, Status.INTERNAL_ERR) if other_cap(c) else None
    life.do(EnableVport(0x200))  # an SF is allocated before its vport is loaded
    assert life.done[-1] == ("enable vport 0x200", False)
    assert life.firmware.held("sf0") == 3
    who = vhca_id(0x33)
    assert life.driver.counted_as(who) is None
    assert "sf" not in life.counts()
    life.fate = lambda c: None
    life.do(DisableVport(0x200))
    life.do(EnableVport(0x200))
    life.do(Want("sf0", -3))
    assert life.firmware.held("sf0") == 0
    # of six given, three were counted: those of the second life, whose GIVE comes after or before the query
    assert life.driver.view().counters["sf"] <= 0
    assert life.driver.view().counters["total"] == 5
    if name == "merged":
        assert life.driver.view().counters["sf"] == 0


def test_counter_below_zero() -> None:
    """posted, reclaim_pages: a function that is not known when pages come, and is when they go."""
    life = Joined("posted")
    life.do(Open())
    life.do(FunctionsChanged(life.vports))
    life.fate = lambda c: Answer(c.opcode, Status.INTERNAL_ERR) if other_cap(c) else None
    life.do(EnableVport(0x200))
    assert life.firmware.held("sf0") == 3
    # the vport's vhca_id comes into the table at the second try; no page comes with it
    life.fate = lambda c: Answer(c.opcode) if c.opcode in (Opcode.ALLOC_SF, Opcode.DEALLOC_SF) else None
    life.do(DisableVport(0x200))
    life.do(EnableVport(0x200))
    life.do(Want("sf0", -2))
    assert life.driver.view().counters["sf"] == -2
    life.agree()


@BOTH
@pytest.mark.parametrize("keeps", [None, False])
def test_late_return(name: str, keeps: bool | None) -> None:
    """Pages come back after mlx5_esw_vport_disable: merged remembers the type, posted finds the vport still there."""
    life = Joined(name, driver=DESIGNS[name](DriverConfig(Supplier(max_vfs=4), keeps_vhca_id=keeps)))
    life.do(Open())
    life.do(FunctionsChanged(life.vports))
    life.do(EnableVport(1))
    life.do(EnableVport(2))
    life.do(DisableVport(1))
    left = life.driver.view().counters["vf"] - life.firmware.held("vf1")
    assert left == (3 if name == "posted" and keeps is False else 0)


@BOTH
def test_vhca_id_used_again(name: str) -> None:
    """The vhca_id of a VF comes back as an SF's while pages of the VF are out."""
    life = opened(name, 1)
    life.fate = lambda c: Answer(c.opcode, Status.RES_BUSY) if manages(c, TAKE) else None
    life.do(DisableVport(1))
    assert life.done[-1] == ("disable vport 0x1", False), "the wait's end; Linux only logs it"
    assert "wait-timeout" in life.names()
    life.do(FunctionsChanged((VportInfo(0x201, T.SF, 0x201, vhca_id=0x31),)))
    life.fate = lambda c: Answer(c.opcode) if c.opcode == Opcode.ALLOC_SF else None
    life.do(EnableVport(0x201))
    assert life.done[-1] == ("enable vport 0x201", True)
    assert life.driver.counted_as(vhca_id(0x31)) == ("vf" if name == "merged" else "sf")
    life.do(life.request(0x31, -3))
    assert life.driver.view().counters["vf"] == (0 if name == "merged" else 3)
    assert life.driver.view().counters["sf"] == (0 if name == "merged" else -3)


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
    """Who is in the table of vports with a vhca_id, and is nothing else, is an EC VF as posted; merged asks its map,
    into which only vports go that are enabled.
    """
    for name, expected in (("posted", posted), ("merged", merged)):
        life = Joined(name, ecpf=True)
        life.do(Open())
        life.do(FunctionsChanged((VportInfo(int(vport), kind, 0x60, vhca_id=0x66),)))
        if kind is not T.UNKNOWN:
            life.fate = _learned
            life.do(EnableVport(int(vport)))
            assert life.done[-1][1], life.findings
        assert life.driver.counted_as(vhca_id(0x66)) == expected
        assert life.driver.counted_as(vhca_id(0x67)) is None
        assert life.driver.counted_as(vhca_id(0x2A)) == "self"


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
        life = opened(name, 1)
        life.fate = lambda c: Answer(c.opcode, data=general({"vhca_id": 0x31})) if other_cap(c) else None
        life.do(EnableVport(2))
        assert life.done[-1] == ("enable vport 0x2", ok)


@BOTH
def test_wait_at_the_last_vf(name: str) -> None:
    """mlx5_wait_for_pages: for VFs on a PF after the last of them; the answer of the wait changes nothing."""
    life = opened(name, 1, 2)
    life.do(DisableVport(2))
    life.stopped = {"pages"}
    life.do(DisableVport(1), until=life.now)
    assert life.driver.view().waiting == {"eswitch": "vf"}
    assert tuple(map(str, life.driver.view().busy)) == ("disable vport 0x1",)
    life.stopped = set()
    life.settle()
    assert life.done[-1] == ("disable vport 0x1", True)
    assert not life.findings
    life.do(Close())
    assert not life.mapped


def test_wait_ends_early() -> None:
    """mlx5_wait_for_pages looks at the counter: pages that count for no type are not waited for (merged)."""
    life = Joined("merged")
    life.do(Open())
    life.do(FunctionsChanged(life.vports))
    assert life.driver.view().mode is Mode.VHCA_ID
    # firmware asks for a VF that the e-switch has not heard of
    life.fate = lambda c: Answer(c.opcode) if manages(c, GIVE) else None
    life.do(life.request(0x31, 2))
    assert life.counts() == {"total": 7, "self": 5}
    life.fate = lambda c: None
    life.do(EnableVport(1))
    life.fate = lambda c: Answer(c.opcode) if manages(c, TAKE) else None
    life.stopped = {"pages"}
    life.do(Want("vf0", -3), DisableVport(1), until=life.now)
    assert life.driver.view().counters["vf"] == 3, "it waits for three of five"


@BOTH
def test_operations_one_after_the_other(name: str) -> None:
    """Each is under the devlink lock; a close refuses those that have not begun."""
    life = opened(name, 1)
    life.fate = lambda c: "lost" if other_cap(c) else None
    life.feed(EnableVport(2))
    life.feed(EnableVport(0x200))
    assert tuple(map(str, life.driver.view().busy)) == ("enable vport 0x2", "enable vport 0x200")
    life.feed(Close())
    assert life.done[-1] == ("enable vport 0x200", False)
    assert life.driver.view().waiting["driver"] == "devlink, held by eswitch"
    life.settle()
    assert life.done[-1] == ("close", True)
    assert not life.mapped
