"""Linux's close: what is sent in which order, whose pages are taken how long, and what is cut off unasked."""

from __future__ import annotations

import numpy as np
import pytest

from fwpages.device import Want
from fwpages.explore.designs import DESIGNS
from fwpages.explore.model.driver import DriverConfig, Run
from fwpages.host import Close, DisableVport, HealthFatal, Open, Reset, Tick
from fwpages.prm.identity import Supplier, func_id, vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode, Teardown
from fwpages.prm.status import Status
from tests.explore.designs.driver_run import BOUNDS, DriverRun, Fate, held
from tests.explore.designs.linux.test_driver import linux
from tests.explore.designs.linux.test_pages import BOTH, TAKE, manages, opened

UNKNOWN = np.array([1 << 50], np.uint64)


def sent(run: DriverRun) -> list[int]:
    return [c.opcode for c in run.sent]


def reclaims(run: DriverRun) -> list[int]:
    """The functions whose pages were asked for, in the order of the commands."""
    return [c["function_id"] for c in run.sent if manages(c, TAKE)]


# -- in which order ---------------------------------------------------------------------------------------------------


@BOTH
def test_queues_go_in_reverse_and_before_their_uar_and_the_teardown(name: str) -> None:
    run = opened(name)
    made = [number for _, number in linux(run).eqs]
    run.do(Close())
    gone = [c["eq_number"] for c in run.sent if c.opcode == Opcode.DESTROY_EQ]
    assert gone == made[::-1]
    tail = [Opcode.DESTROY_EQ, Opcode.DEALLOC_UAR, Opcode.TEARDOWN_HCA, Opcode.MANAGE_PAGES, Opcode.DISABLE_HCA]
    after = sent(run)[sent(run).index(Opcode.DESTROY_EQ) :]
    assert [*dict.fromkeys(after)] == tail


@BOTH
@pytest.mark.parametrize("opcode", [Opcode.DESTROY_EQ, Opcode.DEALLOC_UAR])
def test_what_is_only_given_back_may_be_refused(name: str, opcode: Opcode) -> None:
    """eq.c:destroy_async_eq and mlx5_free_bfreg log it; the rest goes on."""
    run = opened(name)
    run.fate = lambda c: Answer(c.opcode, Status.BAD_RES) if c.opcode == opcode else None
    run.do(Close())
    assert run.done[-1] == ("close", True)
    assert set(run.names()) == {"command-failed"}
    assert not run.mapped


@BOTH
def test_pages_are_taken_function_by_function_in_the_order_of_their_keys(name: str) -> None:
    """mlx5_reclaim_startup_pages: xa_for_each."""
    run = opened(name, 2, 1)
    run.fate = lambda c: Answer(c.opcode) if c.opcode in (Opcode.DISABLE_HCA, Opcode.DEALLOC_SF) else None
    run.do(Close())
    assert [*dict.fromkeys(reclaims(run))] == [0x2A, 0x31, 0x32]


@BOTH
@pytest.mark.parametrize(("most", "asked"), [(50, 50), (768, 768), (50_000, 768)])
def test_a_take_at_the_end_asks_for_what_fills_twelve_mailboxes(name: str, most: int, asked: int) -> None:
    run = DriverRun(name, driver=DESIGNS[name](DriverConfig(Supplier(max_vfs=4))))
    linux(run).config = DriverConfig(Supplier(max_vfs=4), type(BOUNDS)(pages_per_command=most))
    run.do(Open(), Close())
    assert {c["input_num_entries"] for c in run.sent if manages(c, TAKE)} == {asked}


# -- how long ---------------------------------------------------------------------------------------------------------


@BOTH
def test_a_function_that_returns_nothing_is_given_up_and_the_next_one_s_turn_comes(name: str) -> None:
    """mlx5_reclaim_root_pages: since the last progress; its tree goes with the pages in it."""
    run = opened(name, 1)
    mine = run.firmware.holds()[vhca_id(0x2A)]
    run.fate = lambda c: Answer(c.opcode) if manages(c, TAKE) and c["function_id"] == 0x2A else None
    start = run.now
    run.do(Close())
    assert run.done[-1] == ("close", True)
    assert run.now - start == pytest.approx(BOUNDS.reclaim_progress)
    assert run.names() == ["not-all-returned", "warn-pages-left"]
    assert (run.findings[0].function, run.findings[0].pages) == (vhca_id(0x2A), 5)
    assert (sorted(run.mapped), linux(run).roots) == (sorted(mine.tolist()), {})


@BOTH
def test_progress_begins_the_time_anew(name: str) -> None:
    """Any number in an answer is progress, whatever its pages are."""
    run = DriverRun(name)
    run.do(Open())
    counts = [0, 0, 1, 0, 0, 1, 0, 0]

    def fate(c: Command) -> Fate:
        if not (manages(c, TAKE) and counts):
            return None
        n = counts.pop(0)
        return Answer(c.opcode, fields={"output_num_entries": n}, pas=UNKNOWN[:n])

    run.fate = fate
    start = run.now
    run.do(Close())
    # six fruitless tries, reclaim_retry each: more than reclaim_progress in all, and never since the last progress
    assert run.now - start == pytest.approx(6 * BOUNDS.reclaim_retry)
    assert run.now - start > BOUNDS.reclaim_progress
    assert "not-all-returned" not in run.names()
    assert not run.mapped


# -- waiting for a type -----------------------------------------------------------------------------------------------


def waiting(name: str) -> DriverRun:
    """The last VF is disabled, and the page worker stands still: its pages are not back."""
    run = opened(name)
    run.stopped = {"pages", "eswitch"}
    run.do(DisableVport(1), until=run.now)
    assert dict(run.driver.view().waiting) == {"eswitch": "vf"}
    return run


@BOTH
def test_a_wait_looks_again_when_there_is_something_new(name: str) -> None:
    """mlx5_wait_for_pages: some progress, none, and nothing left."""
    run = waiting(name)
    d = linux(run)
    turns = []
    for count in (3, 2, 4, -1, 0):
        e = d.clone()
        e.counters["vf"] = count
        turns.append("eswitch" in e.threads())
    assert turns == [False, True, False, True, True]


@BOTH
def test_progress_gives_a_wait_its_whole_time_again(name: str) -> None:
    run = waiting(name)
    d = linux(run)
    due = d.deadline
    assert due == pytest.approx(run.now + BOUNDS.wait_progress)
    d.counters["vf"] = 2
    d.feed(run.now + 2, Run("eswitch"))
    assert d.deadline == pytest.approx(run.now + 2 + BOUNDS.wait_progress)
    d.feed(d.deadline or 0.0, Tick())
    assert "eswitch" not in d.running


@BOTH
@pytest.mark.parametrize("left", [2, -2])
def test_a_wait_that_is_too_long_is_reported_with_its_counter(name: str, left: int) -> None:
    """A counter below zero is waited for like any other: it is not zero."""
    run = waiting(name)
    linux(run).counters["vf"] = left
    if left < 0:
        run.feed(Run("eswitch"))
    else:
        linux(run).feed(run.now, Run("eswitch"))
    due = linux(run).deadline
    assert due is not None
    run.now = due
    run.feed(Tick())
    (finding,) = run.findings
    assert finding.name == "wait-timeout"
    assert finding.detail == f"waiting for the pages of vf: the counter is still {left}"


# -- shutdown ---------------------------------------------------------------------------------------------------------

FAST, FORCE = Teardown.PREPARE_FAST, Teardown.FORCE
#: what the device can do, which of it works → the profiles that were tried, whether all was unloaded in the end
WAYS = [
    ((1, 1), (FAST,), [FAST], False),
    ((1, 1), (FORCE,), [FAST, FORCE], False),
    ((0, 1), (FORCE,), [FORCE], False),
    ((1, 0), (), [FAST, Teardown.GRACEFUL], True),
    ((1, 1), (), [FAST, FORCE, Teardown.GRACEFUL], True),
    ((0, 0), (), [Teardown.GRACEFUL], True),
]


@BOTH
@pytest.mark.parametrize(("has", "works", "tried", "unloaded"), WAYS)
def test_a_shutdown_takes_the_fastest_path_that_works(
    name: str, has: tuple[int, int], works: tuple[Teardown, ...], tried: list[Teardown], unloaded: bool
) -> None:
    """mlx5_try_fast_unload: a state of 1 in the answer is a refusal too."""
    run = opened(name)
    d = linux(run)
    d.caps = {**d.caps, "fast_teardown": has[0], "force_teardown": has[1]}
    before = held(run)
    run.fate = lambda c: (
        Answer(c.opcode, fields={"state": int(c["profile"] not in works)})
        if c.opcode == Opcode.TEARDOWN_HCA and c["profile"]
        else None
    )
    run.do(Close(FORCE))
    assert [c["profile"] for c in run.sent if c.opcode == Opcode.TEARDOWN_HCA] == tried
    assert run.done[-1] == ("close", True)
    assert (sorted(run.mapped) == before, not run.mapped) == (not unloaded, unloaded)


# -- recovery ---------------------------------------------------------------------------------------------------------


@BOTH
def test_a_device_that_does_not_come_back_is_not_loaded(name: str) -> None:
    run = opened(name, software_reset=False)
    run.stopped = {"health"}
    run.feed(HealthFatal("synd"))
    effects = linux(run).feed(run.now, Run("health"))
    assert isinstance(effects[-1], Reset)
    due = linux(run).deadline
    assert due == pytest.approx(run.now + BOUNDS.fence)
    run.now = due or 0.0
    run.feed(Tick())
    assert run.done[-1] == ("close", False)
    assert run.names() == ["recovery-failed"]
    assert (linux(run).running, linux(run).locks) == ({}, {})


@BOTH
def test_the_caller_may_open_what_recovery_would_load(name: str) -> None:
    """One load, in the mode that was asked for last, and one that says that it is done."""
    run = opened(name)
    run.stopped = {"health"}
    run.feed(HealthFatal("synd"))
    run.do(Run("health"))
    assert run.driver.threads() == ("health",)
    run.feed(Open("func_id"))
    run.settle()
    assert run.done[-2:] == [("close", True), ("open", True)]
    mine = run.driver.held()
    assert mine is not None
    assert [*mine] == [func_id(0)]
    run.do(Want("self", 1))
    run.agree()
