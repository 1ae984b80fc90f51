"""A model's state as a whole: what must hold of it, and states with different futures have different keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from fwpages.device import Want
from fwpages.explore.designs.linux.driver import Linux
from fwpages.explore.designs.linux.reclaim import Polled, WaitPages
from fwpages.explore.designs.linux.state import FwPage, Vport
from fwpages.explore.designs.linux.threads import Flight, ForLock, ForPages, Frame, Thread
from fwpages.host import Close, CustodyError, VportInfo
from fwpages.host.io import Operation, OperationKind
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode
from tests.explore.designs.driver_run import T
from tests.explore.designs.linux.test_driver import linux
from tests.explore.designs.linux.test_pages import BOTH, GIVE, manages, opened

TAKE = Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"function_id": 0x31, "input_num_entries": 2})


@pytest.fixture
def d() -> Linux:
    """An open device with a VF; a page of memory that no function has yet is mapped."""
    d = linux(opened("merged", shift=16))
    d.mapped |= {1 << 40}
    return d


# -- what must hold ---------------------------------------------------------------------------------------------------


def test_a_state_that_was_come_by_honestly_holds(d: Linux) -> None:
    d.check()


def unmapped(d: Linux) -> None:
    d.mapped -= {min(d.pages)}


def listed_twice(d: Linux) -> None:
    d.free_list = (*d.free_list, d.free_list[0])


def listed_for_nothing(d: Linux) -> None:
    d.free_list = (*d.free_list, 1 << 40)


def in_a_tree_for_nothing(d: Linux) -> None:
    d.roots[0x31] |= {1 << 40}


def held_by_nobody(d: Linux) -> None:
    d.locks["devlink"] = "eswitch"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (unmapped, "a tracked page is not mapped"),
        (listed_twice, "the free list is no list of tracked pages"),
        (listed_for_nothing, "the free list is no list of tracked pages"),
        (in_a_tree_for_nothing, "the tree of 0x31 lists pages that are not tracked"),
        (held_by_nobody, "devlink is held by eswitch, which has ended"),
    ],
)
def test_a_state_that_cannot_be_is_our_own_bug(d: Linux, damage: Callable[[Linux], None], words: str) -> None:
    damage(d)
    with pytest.raises(CustodyError, match=words):
        d.check()


def test_what_linux_gets_wrong_is_not_looked_at(d: Linux) -> None:
    """A page that no function has any more, a counter that is off, blocks that are counted otherwise than they lie."""
    d.roots = {}
    d.fw_pages = -7
    iova = min(d.pages)
    d.pages[iova] = d.pages[iova]._replace(free=99)
    d.check()


# -- what tells states apart ------------------------------------------------------------------------------------------


def _pages(d: Linux, **fields: int | str | None) -> None:
    iova = min(d.pages)
    d.pages[iova] = d.pages[iova]._replace(**fields)  # type: ignore[arg-type]  # by name


def _sent(d: Linux, **fields: object) -> None:
    flight = Flight(900, 31, "pages", TAKE, d.now + 2.0)
    d.flights[900] = replace(flight, **fields)  # type: ignore[arg-type]  # by name


def _waits(d: Linux, *frames: Frame, **fields: object) -> None:
    wait = replace(ForPages("vf", 3, d.now + 1.0), **fields)  # type: ignore[arg-type]  # by name
    d.running["eswitch"] = Thread(Operation(OperationKind.DISABLE, 1), (Polled("vf", 3), *frames), wait)


def _vport(d: Linux, **fields: object) -> None:
    d.vports[1] = replace(Vport(VportInfo(1, T.VF, 1), 0x31, True, True), **fields)  # type: ignore[arg-type]  # by name


#: pairs of changes of one state after which other things can happen
APART: dict[str, tuple[Callable[[Linux], object], Callable[[Linux], object]]] = {
    "mode": (lambda d: setattr(d, "vhca_mode", True), lambda d: setattr(d, "vhca_mode", False)),
    "wanted": (lambda d: setattr(d, "wanted", "auto"), lambda d: setattr(d, "wanted", "func_id")),
    "up": (lambda d: setattr(d, "up", True), lambda d: setattr(d, "up", False)),
    "error": (lambda d: setattr(d, "error", True), lambda d: setattr(d, "error", False)),
    "command interface": (lambda d: setattr(d, "cmd_up", True), lambda d: setattr(d, "cmd_up", False)),
    "notifier": (lambda d: setattr(d, "notifier", True), lambda d: setattr(d, "notifier", False)),
    "e-switch": (lambda d: setattr(d, "eswitch", True), lambda d: setattr(d, "eswitch", False)),
    "queues": (lambda d: setattr(d, "eqs", (("pages", 3),)), lambda d: setattr(d, "eqs", (("pages", 2),))),
    "uar": (lambda d: setattr(d, "uar", 16), lambda d: setattr(d, "uar", None)),
    "capabilities": (lambda d: setattr(d, "caps_tag", "a"), lambda d: setattr(d, "caps_tag", "b")),
    "type of a page": (lambda d: _pages(d, type="vf"), lambda d: _pages(d, type=None)),
    "blocks of a page": (lambda d: _pages(d, bits=6), lambda d: _pages(d, bits=5)),
    "count of a page": (lambda d: _pages(d, free=2), lambda d: _pages(d, free=1)),
    "key of a page": (lambda d: _pages(d, function=0), lambda d: _pages(d, function=0x31)),
    "memory": (lambda d: None, lambda d: setattr(d, "mapped", d.mapped | {1 << 44})),
    "order of free pages": (
        lambda d: setattr(d, "free_list", tuple(sorted(d.pages))),
        lambda d: setattr(d, "free_list", tuple(sorted(d.pages))[::-1]),
    ),
    "tree": (lambda d: d.roots.update({0x77: frozenset()}), lambda d: None),
    "total": (lambda d: setattr(d, "fw_pages", 1), lambda d: setattr(d, "fw_pages", 2)),
    "counter": (lambda d: d.counters.update(vf=1), lambda d: d.counters.update(vf=-1)),
    "type map": (lambda d: d.types.update({0x31: "vf"}), lambda d: d.types.update({0x31: "sf"})),
    "vhca_id of a vport": (_vport, lambda d: _vport(d, vhca_id=0x32)),
    "vport is on": (_vport, lambda d: _vport(d, enabled=False)),
    "function is on": (_vport, lambda d: _vport(d, hca=False)),
    "operations to come": (
        lambda d: setattr(d, "asked", (Operation(OperationKind.ENABLE, 2),)),
        lambda d: setattr(d, "asked", (Operation(OperationKind.DISABLE, 2),)),
    ),
    "command": (
        _sent,
        lambda d: _sent(d, command=structs.replace(TAKE, fields={**TAKE.fields, "function_id": 0x32})),
    ),
    "pages of a command": (_sent, lambda d: _sent(d, command=structs.replace(TAKE, pas=np.ones(1, np.uint64)))),
    "slot": (_sent, lambda d: _sent(d, slot=0)),
    "late": (_sent, lambda d: _sent(d, late=True)),
    "time of a command": (_sent, lambda d: _sent(d, deadline=d.now + 2.5)),
    "frames": (_waits, lambda d: _waits(d, WaitPages("vf"))),
    "a frame's fields": (lambda d: _waits(d, WaitPages("vf")), lambda d: _waits(d, WaitPages("ec_vf"))),
    "wait": (_waits, lambda d: _waits(d, count=2)),
    "time of a wait": (_waits, lambda d: _waits(d, deadline=d.now + 2.0)),
    "progress": (lambda d: setattr(d, "reclaim_end", d.now + 1), lambda d: setattr(d, "reclaim_end", d.now + 2)),
}


@pytest.mark.parametrize("what", APART)
def test_states_with_other_futures_have_other_keys(d: Linux, what: str) -> None:
    keys = []
    for change in APART[what]:
        e = d.clone()
        change(e)
        keys.append(e.key())
    assert keys[0] != keys[1]


ALIKE: dict[str, Callable[[Linux], object]] = {
    "session": lambda d: setattr(d, "session", 9),
    "command numbers": lambda d: setattr(d, "next_id", 999),
    "failures counted": lambda d: setattr(d, "alloc_failed", 5),
    "drops counted": lambda d: setattr(d, "give_dropped", 5),
    "discards counted": lambda d: setattr(d, "reclaim_discard", 5),
    "a counter that was never used": lambda d: d.counters.update(spf=0),
    "order of trees": lambda d: setattr(d, "roots", dict(reversed(d.roots.items()))),
    "order of pages": lambda d: setattr(d, "pages", dict(reversed(d.pages.items()))),
    "order of vports": lambda d: setattr(d, "vports", dict(reversed(d.vports.items()))),
}


@pytest.mark.parametrize("what", ALIKE)
def test_what_has_been_and_cannot_be_seen_again_is_not_in_the_key(d: Linux, what: str) -> None:
    before = d.key()
    ALIKE[what](d)
    assert d.key() == before


def test_a_command_s_number_does_not_tell_and_its_time_is_counted_from_now(d: Linux) -> None:
    _sent(d)
    later = d.clone()
    later.now += 50
    later.flights = {77: replace(d.flights[900], id=77, deadline=d.flights[900].deadline + 50)}
    assert later.key() == d.key()


@BOTH
def test_a_late_command_has_no_time_left(name: str) -> None:
    """Whenever it was given up: nothing but its completion frees its slot."""
    run = opened(name)
    run.fate = lambda c: "lost" if manages(c, GIVE) else None
    run.do(Want("vf0", 1))
    d = linux(run)
    key = d.key()
    d.now += 77
    assert d.key() == key


def test_who_waits_first_for_a_lock_tells(d: Linux) -> None:
    waits = Thread(None, (), ForLock("devlink"))
    other = d.clone()
    d.running = {"driver": waits, "health": waits}
    other.running = {"health": waits, "driver": waits}
    assert d.key() != other.key()


def test_memory_that_is_tracked_differs_from_memory_that_is_only_mapped(d: Linux) -> None:
    before = d.key()
    d.pages[1 << 40] = FwPage(1 << 40, 0x31, "vf", 0xFFFF, 16)
    assert d.key() != before


@BOTH
def test_two_runs_that_come_to_the_same_are_the_same(name: str) -> None:
    """A request that came and went, with pages given and taken back, leaves no trace in what can happen next."""
    run, other = opened(name), opened(name)
    run.do(Want("vf0", 2))
    run.do(Want("vf0", -2))
    assert linux(run).session == linux(other).session
    assert linux(run).next_id != linux(other).next_id
    assert linux(run).key() == linux(other).key()
    run.feed(Close())
    assert linux(run).key() != linux(other).key()
