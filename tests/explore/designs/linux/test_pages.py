"""Page commands and page requests in the Linux models. Each test names the function that it follows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from msgspec.structs import replace

from fwpages.device import ResetFunction, Want
from fwpages.explore.model.driver import NotQueued, Run
from fwpages.host import Answered, Close, EnableVport, FunctionsChanged, Misuse, Open
from fwpages.prm.identity import vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.prm.status import Status
from tests.explore.designs.driver_run import BOUNDS, DriverRun, Fate, held

BOTH = pytest.mark.parametrize("name", ["posted", "merged"])
GIVE, TAKE, CANT_GIVE = ManagePages.GIVE, ManagePages.TAKE, ManagePages.CANT_GIVE
VF0 = vhca_id(0x31)


def manages(c: Command, kind: ManagePages) -> bool:
    return c.opcode == Opcode.MANAGE_PAGES and c.op_mod == kind


def opened(name: str, *enable: int, **options: object) -> DriverRun:
    run = DriverRun(name, **options)  # type: ignore[arg-type]
    run.do(Open(), FunctionsChanged(run.vports))
    run.do(FunctionsChanged(run.vports))
    for n in enable or (1,):
        run.do(EnableVport(n))
    run.agree()
    run.sent.clear()
    return run


def kinds(run: DriverRun) -> list[ManagePages]:
    return [ManagePages(c.op_mod) for c in run.sent if c.opcode == Opcode.MANAGE_PAGES]


@BOTH
def test_give_refused(name: str) -> None:
    """give_pages: -EREMOTEIO of an event is dropped in silence, and the pages are freed."""
    run = opened(name)
    run.fate = lambda c: Answer(c.opcode, Status.LIM_ERR) if manages(c, GIVE) else None
    before = set(run.mapped)
    run.do(Want("vf0", 4))
    assert kinds(run) == [GIVE]
    assert run.mapped == before
    assert not run.findings
    run.agree()


@BOTH
def test_give_timed_out(name: str) -> None:
    """give_pages frees what firmware accepted; page_notify_fail waits for pages_sem, which only the late answer ups."""
    run = opened(name)
    run.fate = lambda c: "silent" if manages(c, GIVE) else None
    run.do(Want("vf0", 4))
    given = run.firmware.holds()[VF0][-4:]
    assert run.driver.is_free(run.sent[0].pas).all(), "and firmware owns them"
    assert set(given.tolist()) & set(run.sent[0].pas.tolist())
    assert kinds(run) == [GIVE], "CANT_GIVE stands behind the slot that is leaked"
    assert run.driver.view().waiting == {"pages": "the page commands' slot"}
    assert run.names() == ["command-timeout", "give-failed"]
    run.do(run.request(0x32, 1))
    assert kinds(run) == [GIVE], "and so does every page command after it"
    late = next(e for e in run.ids if e.command is run.sent[0])
    run.fate = lambda c: None
    run.do(Answered(late.session, late.id, Answer(Opcode.MANAGE_PAGES)))
    assert kinds(run)[:2] == [GIVE, CANT_GIVE]
    assert "late-completion" in run.names()


def again(run: DriverRun, n: int) -> None:
    """Firmware lets go of one page, and names it ``n`` times, once."""
    once = False

    def fate(c: Command) -> Fate:
        nonlocal once
        if once or not manages(c, TAKE):
            return None
        once = True
        one = run.execute(replace(c, fields={**c.fields, "input_num_entries": 1}))
        return replace(one, fields={"output_num_entries": n}, pas=one.pas.repeat(n))

    run.fate = fate


def test_double_return() -> None:
    """free_4k: the second time the page is not found; posted counts by the answer's number all the same."""
    for name, off in (("merged", 0), ("posted", -1)):
        run = opened(name)
        again(run, 2)
        run.do(Want("vf0", -2))
        assert run.names() == ["page-not-found"]
        assert run.driver.view().counters["total"] == len(held(run)) + off
        assert run.driver.view().counters["vf"] == run.firmware.held("vf0") + off
        run.safe()


@BOTH
def test_double_return_64k(name: str) -> None:
    """free_4k: a block that comes back twice counts as two: the system page goes while firmware has a block."""
    run = opened(name, shift=16)
    run.do(Want("vf0", 13))
    assert run.firmware.held("vf0") == 16
    again(run, 2)
    run.do(Want("vf0", -2), Want("vf0", -14))
    left = run.firmware.holds()[VF0]
    assert left.size == 1
    assert run.driver.is_free(left).all()
    assert "page-not-found" not in run.names()


@BOTH
def test_foreign_and_unknown_pages(name: str) -> None:
    """find_fw_page looks in the tree of the function that the TAKE was for, and nowhere else."""
    run = opened(name, 1, 2)
    theirs = run.firmware.holds()[vhca_id(0x32)][:1]
    taken: list[Command] = []

    def fate(c: Command) -> Fate:
        if manages(c, TAKE) and not taken:
            taken.append(c)
            pas = np.concatenate([theirs, np.array([1 << 50], np.uint64)])
            return Answer(c.opcode, fields={"output_num_entries": 2}, pas=pas)
        return None

    run.fate = fate
    run.do(Want("vf0", -2))
    assert run.names() == ["page-not-found", "page-not-found"]
    total = run.driver.view().counters["total"]
    assert total == len(held(run)) - (2 if name == "posted" else 0)
    run.safe()


@BOTH
def test_function_without_a_tree(name: str) -> None:
    """find_fw_page, release_all_pages: WARN_ON_ONCE where a function has no tree."""
    run = opened(name)
    run.fate = lambda c: (
        Answer(c.opcode, fields={"output_num_entries": 1}, pas=np.array([1 << 50], np.uint64))
        if manages(c, TAKE)
        else None
    )
    run.do(run.request(0x77, -1))
    assert run.names() == ["warn-no-root", "page-not-found"]
    run.do(run.request(0x77, 0, release_all=True))
    assert run.names()[2:] == ["warn-no-root"]


@BOTH
def test_release_all(name: str) -> None:
    """release_all_pages frees the tree; a GIVE that firmware accepted after the event is freed with it."""
    run = opened(name)
    run.do(ResetFunction("vf0"))
    run.agree()
    run.stopped = {"pages"}
    run.do(Want("vf0", 2))
    run.feed(Run("pages"))
    run.device(ResetFunction("vf0"))  # the event is sent before the GIVE is carried out
    run.stopped = set()
    run.settle()
    freed = [p for p in held(run) if run.driver.is_free(np.array([p], np.uint64)).any()]
    assert freed, "firmware accepted them after its event, and the worker came to the event later"


@BOTH
def test_request_not_queued(name: str) -> None:
    """req_pages_handler: without memory the request is forgotten, and firmware hears nothing."""
    run = opened(name)
    run.do(NotQueued(run.request(0x31, 3)))
    assert run.names() == ["request-lost"]
    assert not run.sent
    assert not run.driver.threads()


@BOTH
def test_one_worker_in_order(name: str) -> None:
    """pg_wq is single-threaded: between an event and its work other things happen."""
    run = opened(name)
    run.stopped = {"pages"}
    run.do(Want("vf0", 1), Want("self", 2))
    assert run.driver.threads() == ("pages",)
    run.do(Run("pages"))
    with pytest.raises(Misuse):
        run.feed(Run("driver"))
    assert [c["function_id"] for c in run.sent] == [0x31]
    run.do(Run("pages"))
    assert [c["function_id"] for c in run.sent] == [0x31, 0x2A]
    run.agree()


@BOTH
def test_no_memory(name: str) -> None:
    """give_pages: what was allocated goes back, fw_pages_alloc_failed counts from the first that failed, CANT_GIVE."""
    run = opened(name)
    run.memory = False
    before = set(run.mapped)
    run.do(Want("vf0", 4))
    assert kinds(run) == [CANT_GIVE]
    assert run.names() == ["alloc-failed"]
    assert run.findings[0].pages == 4
    assert run.mapped == before
    run.agree()


@BOTH
def test_count_over_asked(name: str) -> None:
    """reclaim_pages: more than asked for is refused as a whole."""
    run = opened(name)
    mine = run.firmware.holds()[VF0]
    run.fate = lambda c: Answer(c.opcode, fields={"output_num_entries": 3}, pas=mine) if manages(c, TAKE) else None
    run.do(Want("vf0", -2))
    assert run.names() == ["count-over-asked"]
    run.agree()


@BOTH
def test_large_take_is_cut(name: str) -> None:
    """req_pages_handler: MAX_RECLAIM_NPAGES, and the rest is forgotten."""
    run = opened(name, bounds=dataclasses.replace(BOUNDS, pages_per_command=2))
    run.do(run.request(0x31, -(2**31)))
    assert [c["input_num_entries"] for c in run.sent] == [2]


@BOTH
@pytest.mark.parametrize(
    ("count", "found", "sent"),
    [
        (-1, ["heap-overrun"], []),
        (-2, ["heap-overrun"], []),
        (-3, ["vzalloc-failed"], []),
        (-(2**31), ["give-failed"], [2**31]),
        (2**29, ["heap-overrun"], []),
        (2**28, ["vzalloc-failed"], []),
        (2**31 - 1, ["heap-overrun"], []),
    ],
)
def test_counts_of_query_pages(name: str, count: int, found: list[str], sent: list[int]) -> None:
    """give_pages: ``inlen`` is an int, what is written does not ask it; mlx5_satisfy_startup_pages passes any count."""
    run = DriverRun(name)

    def fate(c: Command) -> Fate:
        if (c.opcode, c.op_mod) == (Opcode.QUERY_PAGES, QueryPages.INIT):
            return Answer(c.opcode, fields={"function_id": c["function_id"], "num_pages": count})
        return Answer(c.opcode, Status.BAD_PARAM) if manages(c, GIVE) and c["function_id"] else None

    run.fate = fate
    run.do(Open())
    assert run.names() == found
    assert [c["input_num_entries"] for c in run.sent if manages(c, GIVE)][1:] == sent
    if found == ["heap-overrun"]:
        assert run.done == []
        assert "memory" in run.driver.view().waiting["driver"]
    else:
        assert run.done == [("open", False)]


@BOTH
def test_take_refused_at_the_end(name: str) -> None:
    """mlx5_reclaim_startup_pages: one error, and the tree is freed with the pages in it."""
    run = opened(name)
    run.fate = lambda c: Answer(c.opcode, Status.RES_BUSY) if manages(c, TAKE) and c["function_id"] == 0x2A else None
    run.do(Close())
    assert run.done[-1] == ("close", True), "it is not reported"
    assert run.names() == ["reclaim-failed", "warn-pages-left"]
    assert len(run.mapped) == 5
    assert not run.driver.is_free(np.array(sorted(run.mapped), np.uint64)).any()


@BOTH
@pytest.mark.parametrize("ends", [True, False])
def test_teardown_without_progress(name: str, ends: bool) -> None:
    """mlx5_reclaim_root_pages: nothing for RECLAIM_PAGES ends it; unknown pages are progress, for ever."""
    run = opened(name)
    count = 0 if ends else 1
    run.fate = lambda c: (
        Answer(c.opcode, fields={"output_num_entries": count}, pas=np.array([1 << 50], np.uint64)[:count])
        if manages(c, TAKE)
        else None
    )
    if ends:
        run.do(Close())
        assert "not-all-returned" in run.names()
        return
    with pytest.raises(AssertionError, match="not at rest"):
        run.do(Close())


@BOTH
def test_vport_of_no_function(name: str) -> None:
    run = opened(name)
    for x in (EnableVport(7), EnableVport(1), Open()):
        with pytest.raises(Misuse):
            run.feed(x)
