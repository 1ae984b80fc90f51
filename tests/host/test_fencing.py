from __future__ import annotations

import pytest

from fwpages.host import (
    Bounds,
    Close,
    DisableVport,
    EnableVport,
    Fenced,
    HealthFatal,
    LinkLost,
    Mapped,
    Open,
    Phase,
    Proof,
    Reset,
    Scope,
    Tick,
    Unmap,
)
from fwpages.prm.identity import vhca_id
from tests.host.fake import VF0, VF1, Fake, ok, silent

QUICK = Bounds(pages_per_command=100, command=5.0, wait_progress=10.0, fence=3.0)
VF = vhca_id(0x31)
TROUBLE = [HealthFatal("syndrome 0x1"), LinkLost("all ones")]


def opening(until: str) -> Fake:
    f = Fake(bounds=QUICK)
    f.feed(Open())
    f.run(until=until)
    return f


def busy() -> Fake:
    f = Fake(bounds=QUICK).open()
    f.enable(VF0)
    f.request(0x31, 20)
    f.run()
    return f


@pytest.mark.parametrize("trouble", TROUBLE, ids=["health", "link"])
@pytest.mark.parametrize("until", ["ENABLE_HCA", "MANAGE_PAGES(GIVE)", "SET_HCA_CAP(general)", "CREATE_EQ"])
def test_trouble_while_opening(trouble: HealthFatal | LinkLost, until: str) -> None:
    f = opening(until)
    f.feed(trouble)
    assert (f.phase, f.resets) == (Phase.FENCING, 1)
    late = f.waiting.popleft()
    f.feed(trouble)
    assert f.resets == 1
    f.fenced()
    assert f.done == [("open", False)]
    assert (f.host.left(), f.mapped, f.host.deadline) == (0, {}, None)
    f.answer(ok(late.command), late)
    f.open()
    f.agree()


@pytest.mark.parametrize("trouble", TROUBLE, ids=["health", "link"])
def test_trouble_while_open(trouble: HealthFatal | LinkLost) -> None:
    f = busy()
    assert isinstance(f.feed(trouble)[-1], Reset)
    assert f.host.left() == 28, "no proof of anything: nothing is free"
    assert f.host.deadline == f.now + QUICK.fence
    f.request(0x31, 5)
    f.request(0x31, 0, release_all=True)
    assert f.host.left() == 28
    f.fenced()
    assert f.done[-1] == ("close", True)
    assert f.host.session.end == ("lost" if isinstance(trouble, LinkLost) else "reset")
    assert [(r.discarded, r.outstanding) for r in f.host.records] == [(8, 0), (20, 0)]
    assert ("link-lost" in f.findings) is isinstance(trouble, LinkLost)
    f.open()
    assert f.host.session.number == 2
    f.agree()


@pytest.mark.parametrize("trouble", TROUBLE, ids=["health", "link"])
def test_trouble_while_a_page_command_is_out(trouble: HealthFatal | LinkLost) -> None:
    for number, pages in ((0x31, 5), (0x31, -5), (0x31, 2**30)):
        f = busy()
        f.request(number, pages)
        send = f.waiting.popleft()
        f.feed(trouble)
        left = f.host.left()
        assert left == 28 + (5 if pages == 5 else 0)
        f.answer(f.reply(send.command), send)
        assert f.host.left() == left - (5 if pages == -5 else 0), "a late answer settles what it names"
        f.fenced()
        assert f.host.left() == 0
        assert f.host.flights == {}
        assert "late-answer" not in f.findings, "it was in flight when the reset was asked for"


@pytest.mark.parametrize("trouble", TROUBLE, ids=["health", "link"])
def test_trouble_ends_what_is_under_way_and_what_waits(trouble: HealthFatal | LinkLost) -> None:
    f = busy()
    f.vports(VF0, VF1)
    f.feed(DisableVport(1))
    f.run()
    assert len(f.host.session.waits) == 1
    f.script["ENABLE_HCA"] = silent
    f.feed(EnableVport(2))
    f.run()
    f.feed(EnableVport(1))
    f.feed(trouble)
    f.fenced()
    assert sorted(f.done[2:-1]) == [
        ("disable vport 0x1", False),
        ("enable vport 0x1", False),
        ("enable vport 0x2", False),
    ]
    assert f.done[-1] == ("close", True)


@pytest.mark.parametrize("trouble", TROUBLE, ids=["health", "link"])
def test_trouble_while_closing_fencing_and_ended(trouble: HealthFatal | LinkLost) -> None:
    f = busy()
    f.feed(Close())
    f.feed(trouble)
    assert f.phase == Phase.FENCING
    f.feed(trouble)
    assert f.resets == 1
    f.waiting.clear()
    f.fenced()
    assert sum(what == "close" for what, _ in f.done) == 1
    assert f.feed(trouble) == []
    assert f.phase == Phase.ENDED
    f.open()


# -- proofs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proof", list(Proof))
def test_a_fence_that_was_not_asked_for_ends_the_session(proof: Proof) -> None:
    f = busy()
    f.fenced(proof)
    assert (f.phase, f.host.session.end, f.resets) == (Phase.ENDED, "reset", 0)
    assert f.done[-1] == ("close", True)
    assert f.host.left() == 0
    assert f.host.session.notes == (f"28 pages discarded: {proof}",)
    f.open()
    f.agree()


@pytest.mark.parametrize(("pages", "given"), [(5, 25), (-5, 20)])
def test_a_fence_that_was_not_asked_for_discards_what_a_command_that_is_out_names(pages: int, given: int) -> None:
    f = busy()
    f.request(0x31, pages)
    f.fenced()
    (row,) = [r for r in f.host.records if r.identity == VF]
    assert (row.given, row.discarded, row.outstanding) == (given, given, 0)


def test_a_fence_that_was_not_asked_for_ends_what_is_under_way() -> None:
    f = busy()
    f.vports(VF0, VF1)
    f.feed(DisableVport(1))
    f.run()
    f.feed(EnableVport(2))
    f.fenced()
    assert sorted(f.done[2:]) == [("close", True), ("disable vport 0x1", False), ("enable vport 0x2", False)]


@pytest.mark.parametrize("until", ["ENABLE_HCA", "MANAGE_PAGES(GIVE)", "SET_HCA_CAP(general)", "CREATE_EQ"])
def test_a_fence_that_was_not_asked_for_fails_an_open(until: str) -> None:
    f = opening(until)
    f.fenced()
    assert f.done == [("open", False)]
    assert f.phase == Phase.ENDED
    assert f.mapped == {}
    f.open()


def test_a_fence_that_was_not_asked_for_ends_a_close() -> None:
    f = busy()
    f.feed(Close())
    f.fenced()
    assert f.done[-1] == ("close", True)
    assert f.host.left() == 0


def test_a_reset_of_another_function_proves_nothing() -> None:
    f = busy()
    before = f.host.key()
    for proof in Proof:
        assert f.feed(Fenced(proof, Scope.OTHER)) == []
    assert f.host.key() == before
    assert f.host.left() == 28
    assert len(f.host.session.notes) == len(Proof)


def test_a_fence_when_nothing_is_out_is_nothing() -> None:
    f = Fake()
    assert f.fenced() == []
    f.open()
    f.close()
    assert f.fenced() == []
    assert f.done == [("open", True), ("close", True)]


# -- a fence that does not come ----------------------------------------------------------------------------------------


def test_a_fence_that_never_comes_leaves_everything_out_of_reach() -> None:
    f = busy()
    pages = [a for held in f.held.values() for a in held]
    f.feed(HealthFatal("x"))
    f.tick()
    finding = f.finding("not-fenced")
    assert finding.pages == 28
    assert f.done[-1] == ("close", False)
    assert f.phase == Phase.ENDED
    assert f.host.deadline is None
    assert len(f.mapped) > 0
    assert f.host.left() == 28
    # the next open fences first; a page of the first session is never given before
    f.feed(Open())
    assert f.resets == 2
    assert f.misuse(Open()).startswith("open: session 1")
    f.tick()
    assert f.done[-1] == ("open", False)
    assert f.host.session.number == 1
    f.feed(Open("func_id"))
    f.held.clear()
    f.current = {"vhca_id": 0x2A}
    f.feed(Fenced(Proof.IO_UNMAPPED))
    assert f.host.left() == 0
    f.run()
    assert f.done[-1] == ("open", True)
    assert f.host.session.mode == "func_id"
    assert len(pages) == 28
    f.agree()


def test_a_late_proof_frees_what_was_left() -> None:
    f = busy()
    f.feed(LinkLost("x"))
    f.tick()
    f.fenced()
    assert f.host.left() == 0
    assert f.mapped == {}
    assert sum(r.discarded for r in f.host.records) == 28
    assert f.done.count(("close", False)) == 1
    assert ("close", True) not in f.done
    assert f.feed(Tick()) == []


def test_what_is_dirty_without_pages_is_fenced_before_the_next_open_too() -> None:
    """Event queues that were not destroyed, and commands that were not answered, are memory of ours as well."""
    f = Fake(boot=0, init=0, bounds=QUICK).open()
    f.script["DESTROY_EQ"] = silent
    f.feed(Close())
    f.run()
    f.tick()
    f.tick()
    assert f.host.left() == 0
    assert f.host.dirty
    f.script.clear()
    f.feed(Open())
    assert f.resets == 2
    f.fenced()
    f.run()
    assert f.done[-1] == ("open", True)
    f.agree()


def test_a_session_that_left_nothing_is_followed_without_a_reset() -> None:
    f = busy()
    f.feed(Close())
    f.tick_through()
    assert f.resets == 0
    f.open()
    assert f.resets == 0


def test_answers_of_a_session_that_is_over_change_nothing_in_the_next() -> None:
    f = busy()
    f.request(0x31, 5)
    old = f.waiting.popleft()
    f.feed(LinkLost("x"))
    f.fenced()
    f.open()
    before = f.host.key()
    f.answer(ok(old.command), old)
    assert f.host.key() == before
    assert f.findings == ["late-answer"]
    f.abort(old)
    assert f.host.key() == before


@pytest.mark.parametrize("answered", ["before", "after", "in the next session"])
def test_memory_that_was_never_given_goes_back_without_a_fence(answered: str) -> None:
    """A mapping is under way when the device is lost: there is nothing that a fence would have to prove."""
    f = Fake(bounds=QUICK)
    f.hold_maps = True
    f.feed(Open())
    f.run()
    (m,) = f.maps
    f.maps.clear()
    f.feed(LinkLost("all ones"))

    def mapped() -> None:
        assert Unmap(m.iova, m.pages) in f.feed(Mapped(m.iova, m.pages, m.iova))

    if answered == "before":
        mapped()
    f.tick()
    assert (f.phase, f.findings[-1], f.host.dirty) == (Phase.ENDED, "not-fenced", False)
    if answered == "after":
        mapped()
    assert f.host.pool.space.size == 0
    f.hold_maps = False
    f.feed(Open())
    assert f.resets == 1, "nothing is dirty: no fence is waited for"
    if answered == "in the next session":
        f.feed(Mapped(m.iova, m.pages, m.iova))
    f.run()
    assert f.phase == Phase.OPEN
    f.close()
    assert f.host.pool.space.size == 0


def test_memory_goes_back_when_a_late_answer_settles_the_last_that_was_out() -> None:
    """The session ended without a fence because of one command; its answer comes, and nothing holds the memory."""
    f = Fake(bounds=QUICK).open()
    f.script["DISABLE_HCA"] = silent
    f.close()
    f.tick()
    f.tick()
    assert (f.phase, f.findings[-1], f.host.left()) == (Phase.ENDED, "not-fenced", 0)
    assert f.mapped
    (late,) = f.unanswered
    effects = f.answer(ok(late.command), late)
    assert isinstance(effects[-1], Unmap)
    assert (f.mapped, f.host.dirty) == ({}, False)
    f.open()
    assert f.resets == 1
