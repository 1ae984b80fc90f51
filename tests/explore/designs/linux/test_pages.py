"""What the Linux models do with page commands and page requests. Each test names the function that it follows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fwpages.device import ResetFunction, Want
from fwpages.explore.model.driver import NotQueued, Run
from fwpages.host import Answered, Close, EnableVport, FunctionsChanged, Misuse, Open
from fwpages.prm.identity import vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.prm.status import Status
from tests.explore.designs.joined import BOUNDS, Fate, Joined, held

BOTH = pytest.mark.parametrize("name", ["posted", "merged"])
GIVE, TAKE, CANT_GIVE = ManagePages.GIVE, ManagePages.TAKE, ManagePages.CANT_GIVE
VF0 = vhca_id(0x31)


def manages(c: Command, kind: ManagePages) -> bool:
    return c.opcode == Opcode.MANAGE_PAGES and c.op_mod == kind


def opened(name: str, *enable: int, **options: object) -> Joined:
    life = Joined(name, **options)  # type: ignore[arg-type]
    life.do(Open(), FunctionsChanged(life.vports))
    life.do(FunctionsChanged(life.vports))
    for n in enable or (1,):
        life.do(EnableVport(n))
    life.agree()
    life.sent.clear()
    return life


def kinds(life: Joined) -> list[ManagePages]:
    return [ManagePages(c.op_mod) for c in life.sent if c.opcode == Opcode.MANAGE_PAGES]


@BOTH
def test_give_refused(name: str) -> None:
    """give_pages: -EREMOTEIO of an event is dropped in silence, and the pages are freed."""
    life = opened(name)
    life.fate = lambda c: Answer(c.opcode, Status.LIM_ERR) if manages(c, GIVE) else None
    before = set(life.mapped)
    life.do(Want("vf0", 4))
    assert kinds(life) == [GIVE]
    assert life.mapped == before
    assert not life.findings
    life.agree()


@BOTH
def test_give_timed_out(name: str) -> None:
    """give_pages frees what firmware accepted; page_notify_fail waits for pages_sem, which only the late answer ups."""
    life = opened(name)
    life.fate = lambda c: "silent" if manages(c, GIVE) else None
    life.do(Want("vf0", 4))
    given = life.firmware.holds()[VF0][-4:]
    assert life.driver.is_free(life.sent[0].pas).all(), "and firmware owns them"
    assert set(given.tolist()) & set(life.sent[0].pas.tolist())
    assert kinds(life) == [GIVE], "CANT_GIVE stands behind the slot that is leaked"
    assert life.driver.view().waiting == {"pages": "the page commands' slot"}
    assert life.names() == ["command-timeout", "give-failed"]
    life.do(life.request(0x32, 1))
    assert kinds(life) == [GIVE], "and so does every page command after it"
    late = next(e for e in life.ids if e.command is life.sent[0])
    life.fate = lambda c: None
    life.do(Answered(late.session, late.id, Answer(Opcode.MANAGE_PAGES)))
    assert kinds(life)[:2] == [GIVE, CANT_GIVE]
    assert "late-completion" in life.names()


def again(life: Joined, n: int) -> None:
    """Firmware lets go of one page, and names it ``n`` times, once."""
    told = False

    def fate(c: Command) -> Fate:
        nonlocal told
        if told or not manages(c, TAKE):
            return None
        told = True
        one = life.execute(replace(c, fields={**c.fields, "input_num_entries": 1}))
        return replace(one, fields={"output_num_entries": n}, pas=one.pas.repeat(n))

    life.fate = fate


def test_double_return() -> None:
    """free_4k: the second time the page is not found; posted counts by the answer's number all the same."""
    for name, off in (("merged", 0), ("posted", -1)):
        life = opened(name)
        again(life, 2)
        life.do(Want("vf0", -2))
        assert life.names() == ["page-not-found"]
        assert life.driver.view().counters["total"] == len(held(life)) + off
        assert life.driver.view().counters["vf"] == life.firmware.held("vf0") + off
        life.safe()


@BOTH
def test_double_return_64k(name: str) -> None:
    """free_4k: a block that comes back twice counts as two: the system page goes while firmware has a block."""
    life = opened(name, shift=16)
    life.do(Want("vf0", 13))
    assert life.firmware.held("vf0") == 16
    again(life, 2)
    life.do(Want("vf0", -2), Want("vf0", -14))
    left = life.firmware.holds()[VF0]
    assert left.size == 1
    assert life.driver.is_free(left).all()
    assert "page-not-found" not in life.names()


@BOTH
def test_foreign_and_unknown_pages(name: str) -> None:
    """find_fw_page looks in the tree of the function that the TAKE was for, and nowhere else."""
    life = opened(name, 1, 2)
    theirs = life.firmware.holds()[vhca_id(0x32)][:1]
    told: list[Command] = []

    def fate(c: Command) -> Fate:
        if manages(c, TAKE) and not told:
            told.append(c)
            pas = np.concatenate([theirs, np.array([1 << 50], np.uint64)])
            return Answer(c.opcode, fields={"output_num_entries": 2}, pas=pas)
        return None

    life.fate = fate
    life.do(Want("vf0", -2))
    assert life.names() == ["page-not-found", "page-not-found"]
    total = life.driver.view().counters["total"]
    assert total == len(held(life)) - (2 if name == "posted" else 0)
    life.safe()


@BOTH
def test_function_without_a_tree(name: str) -> None:
    """find_fw_page, release_all_pages: WARN_ON_ONCE where a function has no tree."""
    life = opened(name)
    life.fate = lambda c: (
        Answer(c.opcode, fields={"output_num_entries": 1}, pas=np.array([1 << 50], np.uint64))
        if manages(c, TAKE)
        else None
    )
    life.do(life.request(0x77, -1))
    assert life.names() == ["warn-no-root", "page-not-found"]
    life.do(life.request(0x77, 0, release_all=True))
    assert life.names()[2:] == ["warn-no-root"]


@BOTH
def test_release_all(name: str) -> None:
    """release_all_pages frees the tree; a GIVE that firmware accepted after the event is freed with it."""
    life = opened(name)
    life.do(ResetFunction("vf0"))
    life.agree()
    life.stopped = {"pages"}
    life.do(Want("vf0", 2))
    life.feed(Run("pages"))
    life.device(ResetFunction("vf0"))  # the event is on its way before the GIVE is carried out
    life.stopped = set()
    life.settle()
    freed = [p for p in held(life) if life.driver.is_free(np.array([p], np.uint64)).any()]
    assert freed, "firmware accepted them after its event, and the worker came to the event later"


@BOTH
def test_request_not_queued(name: str) -> None:
    """req_pages_handler: without memory the request is forgotten, and firmware hears nothing."""
    life = opened(name)
    life.do(NotQueued(life.request(0x31, 3)))
    assert life.names() == ["request-lost"]
    assert not life.sent
    assert not life.driver.threads()


@BOTH
def test_one_worker_in_order(name: str) -> None:
    """pg_wq is single-threaded: between an event and its work other things happen."""
    life = opened(name)
    life.stopped = {"pages"}
    life.do(Want("vf0", 1), Want("self", 2))
    assert life.driver.threads() == ("pages",)
    life.do(Run("pages"))
    with pytest.raises(Misuse):
        life.feed(Run("driver"))
    assert [c["function_id"] for c in life.sent] == [0x31]
    life.do(Run("pages"))
    assert [c["function_id"] for c in life.sent] == [0x31, 0x2A]
    life.agree()


@BOTH
def test_no_memory(name: str) -> None:
    """give_pages: what was allocated goes back, fw_pages_alloc_failed counts from the first that failed, CANT_GIVE."""
    life = opened(name)
    life.memory = False
    before = set(life.mapped)
    life.do(Want("vf0", 4))
    assert kinds(life) == [CANT_GIVE]
    assert life.names() == ["alloc-failed"]
    assert life.findings[0].pages == 4
    assert life.mapped == before
    life.agree()


@BOTH
def test_count_over_asked(name: str) -> None:
    """reclaim_pages: more than asked for is refused as a whole."""
    life = opened(name)
    mine = life.firmware.holds()[VF0]
    life.fate = lambda c: Answer(c.opcode, fields={"output_num_entries": 3}, pas=mine) if manages(c, TAKE) else None
    life.do(Want("vf0", -2))
    assert life.names() == ["count-over-asked"]
    life.agree()


@BOTH
def test_large_take_is_cut(name: str) -> None:
    """req_pages_handler: MAX_RECLAIM_NPAGES, and the rest is forgotten."""
    life = opened(name, bounds=replace(BOUNDS, pages_per_command=2))
    life.do(life.request(0x31, -(2**31)))
    assert [c["input_num_entries"] for c in life.sent] == [2]


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
    life = Joined(name)

    def fate(c: Command) -> Fate:
        if (c.opcode, c.op_mod) == (Opcode.QUERY_PAGES, QueryPages.INIT):
            return Answer(c.opcode, fields={"function_id": c["function_id"], "num_pages": count})
        return Answer(c.opcode, Status.BAD_PARAM) if manages(c, GIVE) and c["function_id"] else None

    life.fate = fate
    life.do(Open())
    assert life.names() == found
    assert [c["input_num_entries"] for c in life.sent if manages(c, GIVE)][1:] == sent
    if found == ["heap-overrun"]:
        assert life.done == []
        assert "memory" in life.driver.view().waiting["driver"]
    else:
        assert life.done == [("open", False)]


@BOTH
def test_take_refused_at_the_end(name: str) -> None:
    """mlx5_reclaim_startup_pages: one error, and the tree is freed with the pages in it."""
    life = opened(name)
    life.fate = lambda c: Answer(c.opcode, Status.RES_BUSY) if manages(c, TAKE) and c["function_id"] == 0x2A else None
    life.do(Close())
    assert life.done[-1] == ("close", True), "nobody is told"
    assert life.names() == ["reclaim-failed", "warn-pages-left"]
    assert len(life.mapped) == 5
    assert not life.driver.is_free(np.array(sorted(life.mapped), np.uint64)).any()


@BOTH
@pytest.mark.parametrize("ends", [True, False])
def test_teardown_without_progress(name: str, ends: bool) -> None:
    """mlx5_reclaim_root_pages: nothing for RECLAIM_PAGES ends it; unknown pages are progress, for ever."""
    life = opened(name)
    count = 0 if ends else 1
    life.fate = lambda c: (
        Answer(c.opcode, fields={"output_num_entries": count}, pas=np.array([1 << 50], np.uint64)[:count])
        if manages(c, TAKE)
        else None
    )
    if ends:
        life.do(Close())
        assert "not-all-returned" in life.names()
        return
    with pytest.raises(AssertionError, match="not at rest"):
        life.do(Close())


@BOTH
def test_vport_that_nobody_has(name: str) -> None:
    life = opened(name)
    for x in (EnableVport(7), EnableVport(1), Open()):
        with pytest.raises(Misuse):
            life.feed(x)
