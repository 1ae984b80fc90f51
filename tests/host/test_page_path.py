from __future__ import annotations

import numpy as np
import pytest

from fwpages.custody.ledger import State
from fwpages.host import Blame, Bounds, Close, Fenced, Mapped, Open, PageRequest, Phase, Proof, Send, Tick, Unmap
from fwpages.host.page_path import enqueue
from fwpages.host.page_queue import Origin
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity, Mode, Supplier, func_id, vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.prm.status import Status
from tests.host.fake import OWN, VF0, Fake, ok, refusing, silent, taken

VF = vhca_id(0x31)
GIVE, TAKE, CANT_GIVE = "MANAGE_PAGES(GIVE)", "MANAGE_PAGES(TAKE)", "MANAGE_PAGES(CANT_GIVE)"
START = [("GIVE", 0, 3), ("GIVE", OWN, 5)]


def opened(**bounds: float) -> Fake:
    return Fake(bounds=Bounds(**{"pages_per_command": 100, **bounds})).open()  # type: ignore[arg-type]  # as named


def states(f: Fake, who: Identity) -> dict[State, int]:
    """This function's pages in each state: a count by state."""
    found: dict[State, int] = {}
    for (number, state), n in f.host.ledger.counts().items():
        if f.host.records.rows[number].identity == who:
            found[state] = found.get(state, 0) + n
    return found


def give_out(f: Fake, pages: int = 10, number: int = 0x31) -> Send:
    """A GIVE is out and not answered."""
    f.request(number, pages)
    f.run(until=GIVE)
    return f.waiting[0]


def take_out(f: Fake, pages: int = 4, number: int = 0x31) -> Send:
    f.request(number, -pages)
    f.run(until=TAKE)
    return f.waiting[0]


# -- giving and taking --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["func_id", "vhca_id"])
def test_requests_up_and_down(mode: str) -> None:
    f = Fake().open(mode)  # type: ignore[arg-type]  # the Literal's words
    own = OWN if mode == "vhca_id" else 0
    for number, pages in ((own, 20), (3, 7), (own, -10), (3, -7), (3, 250)):
        f.request(number, pages)
        f.run()
        f.agree()
    assert f.page_commands()[2:] == [
        ("GIVE", own, 20),
        ("GIVE", 3, 7),
        ("TAKE", own, 10),
        ("TAKE", 3, 7),
        ("GIVE", 3, 100),
        ("GIVE", 3, 100),
        ("GIVE", 3, 50),
    ]
    assert f.findings == []
    f.close()
    assert f.host.left() == 0


def test_a_request_for_nothing_is_nothing() -> None:
    f = opened()
    assert f.request(0x31, 0) == []
    assert f.findings == []


def test_the_ec_bit_is_a_name_in_func_id_mode_and_nothing_in_vhca_id_mode() -> None:
    f = Fake(supplier=Supplier(ecpf=True, max_vfs=4), offer=False).open()
    f.request(0, 2)
    f.request(0, 3, ec=True)
    f.run()
    assert {r.identity: (r.outstanding, r.type) for r in f.host.records} == {
        func_id(0, ec=True): (3 + 5 + 3, FunctionType.SELF),
        func_id(0): (2, FunctionType.HOST_PF),
    }
    f.agree()
    g = opened()
    g.request(OWN, 2, ec=True)
    g.run()
    assert g.sent[-1].command["embedded_cpu_function"] == 0
    assert g.host.records.outstanding(vhca_id(OWN)) == 10


def test_events_before_the_e_switch_knows_are_counted_as_unknown_and_move_whole() -> None:
    f = opened()
    f.request(0x31, 30)
    f.run()
    (row,) = [r for r in f.host.records if r.identity == VF]
    assert (row.type, row.given) == (FunctionType.UNKNOWN, 30)
    f.enable(VF0)
    assert (row.type, row.given, row.generation) == (FunctionType.VF, 30, 0)
    assert len(f.host.records.rows) == 2


# -- fairness and bounds --------------------------------------------------------------------------------------------


def test_a_function_with_millions_of_pages_does_not_hold_up_another() -> None:
    """Eight million pages wait; four of another function are served after at most one more command."""
    f = Fake(bounds=Bounds(pages_per_command=1000, memory=1 << 24)).open()
    f.request(OWN, 8_000_000)
    f.run(until=GIVE)
    f.request(0x31, 4)
    for _ in range(2):
        f.step()
        while f.maps:
            f.step()
    assert f.page_commands()[2:4] == [("GIVE", OWN, 1000), ("GIVE", 0x31, 4)]
    assert f.host.path.waiting == 1
    f.request(0x31, -4)
    f.step()
    f.run(until=TAKE)
    assert f.page_commands()[-1] == ("TAKE", 0x31, 4)
    assert f.page_commands().count(("GIVE", OWN, 1000)) <= 3


def test_many_functions_take_turns() -> None:
    f = opened(pages_per_command=10)
    give_out(f, 1)
    for number in (0x31, 0x32, 0x33):
        f.request(number, 30)
    f.request(0x31, 5)
    f.run()
    got = [number for kind, number, _ in f.page_commands()[3:]]
    assert got == [0x32, 0x33, 0x31] * 3 + [0x31], "the function that was just served comes last"
    f.agree()


def test_requests_of_one_function_keep_their_order() -> None:
    f = opened(pages_per_command=10)
    give_out(f, 5)
    f.request(0x31, -3)
    f.request(0x31, 12)
    f.run()
    assert f.page_commands()[2:] == [("GIVE", 0x31, 5), ("TAKE", 0x31, 3), ("GIVE", 0x31, 10), ("GIVE", 0x31, 2)]
    f.agree()


def test_a_full_queue_drops_a_request_and_cant_give_follows() -> None:
    f = opened(queue=2)
    f.request(0x43, 9)
    f.run()
    give_out(f, 1, 0x40)
    f.request(0x41, 5)  # one waits behind, one is out: the queue is full
    f.request(0x42, 7)
    f.request(0x43, -9)
    assert f.findings == ["request-dropped", "request-dropped"]
    assert [(x.function, x.pages) for x in f.host.session.findings.values()] == [(vhca_id(0x42), 7), (vhca_id(0x43), 9)]
    f.run()
    assert f.page_commands()[3:] == [("GIVE", 0x40, 1), ("CANT_GIVE", 0x42, 0), ("GIVE", 0x41, 5)]
    assert f.host.session.alloc_failed == 7
    f.request(0x42, 7)
    f.run()
    assert f.holding(vhca_id(0x42)) == 7, "firmware asked again and was served"


def test_one_cant_give_for_many_dropped_requests_of_one_function() -> None:
    f = opened(queue=1)
    give_out(f, 1, 0x40)
    for _ in range(50):
        f.request(0x42, 7)
    f.run()
    assert f.page_commands().count(("CANT_GIVE", 0x42, 0)) == 1
    assert (f.finding("request-dropped").times, f.finding("request-dropped").pages) == (50, 7)


@pytest.mark.parametrize("count", [2**29, 2**31 - 1, (1 << 24) + 1])
def test_an_absurd_request_is_not_given(count: int) -> None:
    f = opened()
    f.request(0x31, count)
    f.run()
    assert f.finding("absurd-count").pages == count
    assert f.page_commands()[2:] == [("CANT_GIVE", 0x31, 0)]
    assert f.host.session.alloc_failed == count
    assert f.host.left() == 8


@pytest.mark.parametrize("count", [-1, -(2**31)])
def test_pages_wanted_back_that_are_not_out(count: int) -> None:
    f = opened()
    f.request(0x31, count)
    f.run()
    assert f.page_commands()[2:] == []
    assert (f.findings, f.finding("absurd-count").pages) == (["absurd-count"], -count)
    f.agree()


@pytest.mark.parametrize("count", [-(2**31), -250])
def test_of_more_wanted_back_than_there_is_what_there_is_is_asked_for(count: int) -> None:
    f = opened()
    f.request(0x31, 150)
    f.run()
    f.request(0x31, count)
    f.run()
    assert f.page_commands()[4:] == [("TAKE", 0x31, 100), ("TAKE", 0x31, 50)]
    absurd = f.finding("absurd-count")
    assert (absurd.blame, absurd.function, absurd.pages) == (Blame.DEVICE, VF, -count)
    assert absurd.detail.endswith("taken back, 150 are out; 150 are asked for")
    assert f.holding(VF) == 0
    f.agree()


def test_pages_wanted_back_before_the_answer_to_their_give_is_seen_are_not_too_many() -> None:
    f = opened()
    send = give_out(f, 6)
    f.request(0x31, -6)
    f.request(0x31, -7)
    assert (f.findings, f.finding("absurd-count").pages) == (["absurd-count"], 7)
    f.answer(f.reply(send.command), send)
    f.run()
    assert f.page_commands()[2:4] == [("GIVE", 0x31, 6), ("TAKE", 0x31, 6)]
    f.agree()


def test_the_memory_that_is_lent_is_bounded() -> None:
    f = opened(memory=1024)
    f.request(0x31, 600)
    f.request(0x32, 600)
    f.run()
    assert set(f.findings) == {"alloc-failed"}
    assert f.host.pool.space.size <= 1024
    assert sum(n for kind, _, n in f.page_commands() if kind == "GIVE") <= 1024
    assert "CANT_GIVE" in [kind for kind, _, _ in f.page_commands()]
    f.agree()
    f.close()
    assert f.done[-1] == ("close", True)


# -- memory that cannot be had --------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [None, 0, 0x1000])
def test_memory_that_is_not_mapped_where_it_should_is_not_given(at: int | None) -> None:
    f = opened(pages_per_command=1000)
    f.hold_maps = True
    f.request(0x31, 700)
    f.request(0x32, 3)
    m = f.maps.popleft()
    assert f.sent[-1].command.opcode == Opcode.CREATE_EQ, "nothing was sent before the memory is there"
    effects = f.feed(Mapped(m.iova, m.pages, at))
    assert [e for e in effects if isinstance(e, Unmap)] == ([] if at is None else [Unmap(at, m.pages)])
    f.hold_maps = False
    f.run()
    assert f.page_commands()[2:] == [("CANT_GIVE", 0x31, 0), ("GIVE", 0x32, 3)]
    assert f.finding("alloc-failed").pages == 700
    assert f.host.session.alloc_failed == 700
    f.agree()


def test_memory_that_runs_out_in_the_middle_of_a_request() -> None:
    f = opened(pages_per_command=300)
    f.request(0x31, 2000)
    f.run(until=GIVE)
    f.hold_maps = True
    while f.waiting:
        f.step()
    m = f.maps.popleft()
    f.feed(Mapped(m.iova, m.pages, None))
    f.run()
    given = sum(n for kind, _, n in f.page_commands()[2:] if kind == "GIVE")
    assert f.finding("alloc-failed").pages == 2000 - given
    assert f.page_commands()[-1] == ("CANT_GIVE", 0x31, 0)
    f.agree()


def test_a_mapping_that_is_done_after_the_session_is_undone() -> None:
    f = opened(pages_per_command=1000)
    f.hold_maps = True
    f.request(0x31, 700)
    m = f.maps[0]
    assert f.misuse(Mapped(m.iova + 4096, m.pages, m.iova)).startswith("mapped: ")
    assert f.misuse(Mapped(m.iova, m.pages + 1, m.iova)).startswith("mapped: ")
    f.feed(Fenced(Proof.FUNCTION_LEVEL_RESET))
    assert f.feed(Mapped(m.iova, m.pages, m.iova)) == [Unmap(m.iova, m.pages)]
    f.maps.clear()
    f.waiting.clear()
    f.held.clear()
    f.hold_maps = False
    f.open()
    f.agree()


def test_a_mapping_that_an_earlier_session_asked_for_comes_in_the_next() -> None:
    f = opened(pages_per_command=1000)
    f.hold_maps = True
    f.request(0x31, 700)
    late = f.maps.popleft()
    f.fenced()
    f.hold_maps = False
    f.feed(Open())
    f.run()
    assert f.phase == Phase.OPENING, "one mapping at a time: boot pages wait for the answer"
    assert f.feed(Mapped(late.iova, late.pages, late.iova))[0] == Unmap(late.iova, late.pages)
    f.run()
    assert f.phase == Phase.OPEN
    f.agree()


def test_a_refused_cant_give_is_a_finding() -> None:
    f = opened()
    f.script[CANT_GIVE] = refusing()
    f.request(0x31, 2**30)
    f.run()
    assert f.findings == ["absurd-count", "command-refused"]
    assert f.host.path.idle


# -- GIVE: no, late, never --------------------------------------------------------------------------------------------


def test_a_refused_give_frees_its_pages_and_ends_its_request() -> None:
    f = opened()
    f.script[GIVE] = refusing(Status.NO_RES_ERR)
    f.request(0x31, 250)
    f.run()
    assert f.page_commands()[2:] == [("GIVE", 0x31, 100)]
    assert f.finding("give-refused").pages == 100
    assert f.host.session.give_dropped == 100
    assert f.host.path.idle
    f.script.clear()
    f.request(0x31, 5)
    f.run()
    f.agree()


def test_an_unanswered_give_makes_its_pages_doubtful_and_keeps_the_slot() -> None:
    f = opened()
    send = give_out(f, 250)
    f.waiting.clear()
    named = send.command.pas
    f.request(0x32, 5)
    f.tick()
    assert f.finding("give-unanswered").pages == 100
    assert "1 requests wait" in f.finding("give-unanswered").detail
    assert states(f, VF) == {State.DOUBTFUL: 100}
    assert f.host.deadline is None
    f.request(0x33, 5)
    assert f.page_commands()[2:] == [("GIVE", 0x31, 100)], "the slot is taken"
    assert not f.host.is_free(named).any()
    assert f.host.held() is None
    assert f.resets == 0


def test_a_late_ok_settles_and_what_waited_goes_on() -> None:
    f = opened()
    send = give_out(f, 250)
    f.waiting.clear()
    f.request(0x32, 5)
    f.tick()
    f.answer(f.reply(send.command), send)
    assert (f.finding("late-answer").function, f.finding("late-answer").pages) == (VF, None)
    assert states(f, VF) == {State.HELD: 100}
    f.run()
    assert f.page_commands()[3:] == [("GIVE", 0x32, 5)], "the rest of a request that was given up is not given"
    f.agree()


def test_a_late_refusal_frees() -> None:
    f = opened()
    send = give_out(f)
    f.waiting.clear()
    f.tick()
    f.answer(Answer(Opcode.MANAGE_PAGES, Status.BAD_SYS_STATE), send)
    assert f.host.records.outstanding(VF) == 0
    assert f.host.session.give_dropped == 10
    (row,) = [r for r in f.host.records if r.identity == VF]
    assert (row.given, row.returned) == (10, 10)
    f.agree()
    f.request(0x31, 2)
    f.run()
    f.agree()


def test_an_answer_that_comes_again_after_a_late_one_moves_nothing() -> None:
    f = opened()
    send = give_out(f)
    f.waiting.clear()
    f.tick()
    f.answer(ok(send.command), send)
    before = f.host.key()
    f.answer(Answer(Opcode.MANAGE_PAGES, Status.BAD_PARAM), send)
    assert f.host.key() == before
    late = [x for x in f.host.session.findings.values() if x.name == "late-answer"]
    assert [(x.function, x.times) for x in late] == [(VF, 1), (None, 1)], (
        "what it was an answer to is forgotten by then"
    )


def test_an_answer_after_the_fence_moves_nothing() -> None:
    f = opened()
    send = give_out(f)
    f.fenced()
    assert f.host.left() == 0
    before = f.host.key()
    f.answer(ok(send.command), send)
    assert f.host.key() == before
    assert f.findings == ["late-answer"]
    f.open()
    before = f.host.key()
    f.answer(Answer(Opcode.MANAGE_PAGES, Status.BAD_PARAM), send)
    assert f.host.key() == before
    f.agree()


def test_an_aborted_give_is_doubtful_at_once_and_may_still_be_answered() -> None:
    f = opened()
    send = give_out(f)
    f.abort(send)
    assert f.finding("give-unanswered").pages == 10
    assert states(f, VF) == {State.DOUBTFUL: 10}
    f.abort(send)
    assert f.finding("give-unanswered").times == 1
    f.answer(f.reply(send.command), send)
    f.agree()


def test_doubtful_pages_that_a_take_names_are_back() -> None:
    f = opened()
    send = give_out(f)
    f.waiting.clear()
    f.tick()
    f.answer(ok(send.command), send)  # settled: held, although firmware keeps no books here
    f.held[VF] = send.command.pas.tolist()
    f.request(0x31, -10)
    f.run()
    f.agree()
    assert f.host.records.outstanding(VF) == 0


def test_an_unanswered_cant_give_makes_nothing_doubtful() -> None:
    f = opened()
    f.script[CANT_GIVE] = silent
    f.request(0x31, 2**30)
    f.run()
    f.tick()
    assert f.finding("cant-give-unanswered").pages is None
    assert f.host.held() is not None
    f.request(0x32, 4)
    f.run()
    assert f.page_commands()[-1] == ("CANT_GIVE", 0x31, 0), "it keeps its slot"
    send = f.unanswered[0]
    f.answer(ok(send.command), send)
    f.run()
    assert f.page_commands()[-1] == ("GIVE", 0x32, 4)
    f.agree()


# -- TAKE: short, long, foreign, late, never --------------------------------------------------------------------------


def with_pages(f: Fake, pages: int = 10, number: int = 0x31) -> list[int]:
    f.request(number, pages)
    f.run()
    return list(f.held[vhca_id(number)])


def test_a_take_that_is_refused_leaves_the_pages_held() -> None:
    f = opened()
    with_pages(f)
    f.script[TAKE] = refusing(Status.BAD_PARAM)
    f.request(0x31, -4)
    f.run()
    assert f.finding("take-refused").pages == 4
    assert f.host.session.reclaim_discard == 4
    assert f.host.path.idle
    f.agree()


def test_a_short_take_is_a_finding_and_ends_its_request() -> None:
    f = opened()
    pages = with_pages(f, 250)
    f.script[TAKE] = lambda c: taken(pages[:3])
    f.request(0x31, -250)
    f.run()
    assert f.finding("take-short").pages == 97
    assert f.page_commands()[-1] == ("TAKE", 0x31, 100)
    assert f.host.records.outstanding(VF) == 247


@pytest.mark.parametrize("count", [5, 0xFFFFFFFF])
def test_a_count_beyond_what_was_asked_is_cut(count: int) -> None:
    f = opened()
    pages = with_pages(f)
    f.script[TAKE] = lambda c: taken(pages[:4] + pages[5:6], count)
    f.request(0x31, -4)
    f.run()
    assert f.finding("count-over-asked").pages == count
    assert f.host.records.outstanding(VF) == 6
    assert f.host.is_free(np.array(pages[:4], np.uint64)).all()
    assert not f.host.is_free(np.array(pages[4:], np.uint64)).any()


def test_a_count_beyond_the_addresses_is_cut() -> None:
    f = opened()
    pages = with_pages(f)
    f.script[TAKE] = lambda c: taken(pages[:2], 4)
    f.request(0x31, -4)
    f.run()
    assert "count-over-asked" in f.findings
    assert f.host.records.outstanding(VF) == 8


def test_addresses_beyond_the_count_are_not_looked_at() -> None:
    f = opened()
    pages = with_pages(f)
    f.script[TAKE] = lambda c: taken(pages[:4], 1)
    f.request(0x31, -4)
    f.run()
    assert f.findings == ["take-short"]
    assert f.host.records.outstanding(VF) == 9


def test_every_wrong_address_is_refused_by_name_and_the_rest_counts() -> None:
    f = opened()
    mine = with_pages(f, 10)
    other = with_pages(f, 3, 0x32)
    f.request(0x31, -1)
    f.run()
    back = sorted(set(mine) - set(f.held[VF]))
    queue = int(f.host.pool.space.address(f.host.session.eq_memory["pages"])[0])
    named = [mine[0], other[1], back[0], mine[1], mine[0], mine[2] + 8, 0, 2**64 - 4096, queue]
    f.script[TAKE] = lambda c: taken(named)
    f.request(0x31, -len(named))
    f.run()
    counts = {n: f.finding(n).pages for n in ("returned-foreign", "returned-twice", "returned-never-given")}
    assert counts == {"returned-foreign": 1, "returned-twice": 2, "returned-never-given": 4}
    assert f.host.records.outstanding(VF) == 9 - 2
    assert f.host.records.outstanding(vhca_id(0x32)) == 3
    assert f.finding("returned-foreign").function == VF
    assert f"{other[1]:#x}" in f.finding("returned-foreign").detail


def test_an_unanswered_take_makes_all_held_pages_of_the_function_doubtful() -> None:
    f = opened()
    with_pages(f, 10)
    with_pages(f, 3, 0x32)
    send = take_out(f)
    f.waiting.clear()
    f.tick()
    assert f.finding("take-unanswered").pages == 10
    assert states(f, VF) == {State.DOUBTFUL: 10}
    assert states(f, vhca_id(0x32)) == {State.HELD: 3}
    f.answer(f.reply(send.command), send)
    assert states(f, VF) == {State.HELD: 6}
    f.agree()


def test_a_late_refusal_of_a_take_leaves_everything_held() -> None:
    f = opened()
    with_pages(f, 10)
    send = take_out(f)
    f.abort(send)
    f.answer(Answer(Opcode.MANAGE_PAGES, Status.BAD_SYS_STATE), send)
    assert states(f, VF) == {State.HELD: 10}
    f.agree()


# -- release_all ------------------------------------------------------------------------------------------------------


def test_release_all_frees_what_was_held_and_no_command_follows() -> None:
    f = opened()
    with_pages(f, 10)
    sent = len(f.sent)
    f.request(0x31, 0, release_all=True)
    f.held[VF] = []
    assert len(f.sent) == sent
    (row,) = [r for r in f.host.records if r.identity == VF]
    assert (row.given, row.released, row.outstanding) == (10, 10, 0)
    f.agree()
    f.request(0x31, 0, release_all=True)
    assert f.findings == []


def test_release_all_that_was_not_negotiated_frees_nothing() -> None:
    f = Fake(release_all=False).open()
    with_pages(f, 10)
    f.request(0x31, 0, release_all=True)
    assert f.finding("release-all-not-negotiated").pages == 10
    f.agree()
    f.close()
    assert f.host.left() == 0


def test_release_all_for_the_own_function_frees_nothing() -> None:
    f = opened()
    f.request(OWN, 0, release_all=True)
    assert f.finding("release-all-own").pages == 8
    f.agree()


def test_a_release_all_that_crosses_a_give_leaves_its_pages_doubtful() -> None:
    f = opened()
    with_pages(f, 10)
    send = give_out(f, 6)
    f.request(0x31, 0, release_all=True)
    f.held[VF] = []
    assert states(f, VF) == {State.OFFERED: 6}
    f.answer(f.reply(send.command), send)
    assert states(f, VF) == {State.DOUBTFUL: 6}
    crossed = f.finding("give-crossed-release")
    assert (crossed.pages, crossed.blame) == (6, Blame.LINK), "neither side did wrong: the two crossed on the link"
    f.request(0x31, -6)
    f.run()
    assert states(f, VF) == {}
    f.agree()


def test_a_release_all_that_crosses_a_give_that_is_refused_frees_all() -> None:
    f = opened()
    with_pages(f, 10)
    send = give_out(f, 6)
    f.request(0x31, 0, release_all=True)
    f.answer(Answer(Opcode.MANAGE_PAGES, Status.NO_RES_ERR), send)
    assert states(f, VF) == {}


def test_a_release_all_of_another_function_crosses_nothing() -> None:
    f = opened()
    with_pages(f, 10)
    send = give_out(f, 6, 0x32)
    f.request(0x31, 0, release_all=True)
    f.held[VF] = []
    f.answer(f.reply(send.command), send)
    assert f.findings == []
    f.agree()


def test_a_release_all_drops_every_take_that_waits_for_its_function() -> None:
    f = opened()
    with_pages(f, 10)
    send = give_out(f, 6, 0x32)
    f.request(0x31, -4)
    f.request(0x31, -3)
    f.request(0x31, 0, release_all=True)
    f.held[VF] = []
    f.answer(f.reply(send.command), send)
    f.run()
    assert f.page_commands()[-1] == ("GIVE", 0x32, 6), "no TAKE followed"
    assert f.findings == []
    f.agree()


@pytest.mark.parametrize("before", [True, False])
def test_a_late_ok_of_a_give_that_a_release_all_crossed_stays_doubtful(before: bool) -> None:
    f = opened()
    send = give_out(f, 6)
    if before:
        f.request(0x31, 0, release_all=True)
    f.abort(send)
    if not before:
        f.request(0x31, 0, release_all=True)
    f.answer(ok(send.command), send)
    assert states(f, VF) == {State.DOUBTFUL: 6}


def test_pages_whose_give_a_release_all_crossed_are_free_after_the_next_one() -> None:
    """Firmware has let go of them by now, at the first answer or at the second."""
    f = opened()
    send = give_out(f, 6)
    f.request(0x31, 0, release_all=True)
    f.answer(ok(send.command), send)
    assert states(f, VF) == {State.DOUBTFUL: 6}
    send = give_out(f, 4)
    f.request(0x31, 0, release_all=True)
    assert states(f, VF) == {State.OFFERED: 4}
    f.answer(ok(send.command), send)
    assert states(f, VF) == {State.DOUBTFUL: 4}
    (row,) = [r for r in f.host.records if r.identity == VF]
    assert (row.given, row.released) == (10, 6)


def test_a_release_all_that_crosses_a_take_says_the_same_thing_twice() -> None:
    f = opened()
    pages = with_pages(f, 10)
    send = take_out(f)
    f.request(0x31, 0, release_all=True)
    f.held[VF] = []
    f.answer(taken(pages[:4]), send)
    assert f.findings == []
    assert states(f, VF) == {}
    f.agree()
    g = opened()
    with_pages(g, 10)
    send = take_out(g)
    g.request(0x31, 0, release_all=True)
    g.held[VF] = []
    g.answer(taken([]), send)
    assert set(g.findings) <= {"take-short"}
    g.agree()


@pytest.mark.parametrize("before", [True, False])
def test_a_late_word_on_a_take_that_a_release_all_crossed_does_not_bring_pages_back(before: bool) -> None:
    """Firmware let go of everything: nothing may be held afterwards as if it were certain that firmware has it."""
    f = opened()
    with_pages(f, 10)
    send = take_out(f)
    if before:
        f.request(0x31, 0, release_all=True)
    f.abort(send)
    if not before:
        f.request(0x31, 0, release_all=True)
    f.held[VF] = []
    f.answer(taken([]), send)
    assert State.HELD not in states(f, VF)


# -- where requests do not belong -------------------------------------------------------------------------------------


def test_a_request_of_another_session_is_stale() -> None:
    f = opened()
    f.feed(PageRequest(0, PageRequestEvent(0x31, 5)))
    assert f.findings == ["stale-page-request"]
    f.feed(PageRequest(2, PageRequestEvent(0x31, 5)))
    assert f.finding("stale-page-request").times == 2
    assert len(f.page_commands()) == 2
    f.close()
    assert f.done[-1] == ("close", True)
    f.request(0x31, 5)
    assert f.finding("stale-page-request").times == 3
    f.open()
    assert f.findings == []
    f.feed(PageRequest(1, PageRequestEvent(0x31, 5)))
    f.feed(PageRequest(1, PageRequestEvent(0x31, 0, release_all=True)))
    assert f.findings == ["stale-page-request"]
    f.agree()


@pytest.mark.parametrize("until", ["QUERY_PAGES(boot)", "INIT_HCA", "CREATE_EQ"])
def test_a_request_before_the_event_queue_exists_is_ignored(until: str) -> None:
    f = Fake()
    f.feed(Open())
    f.run(until=until)
    f.request(0, 5)
    assert f.finding("request-without-eq").detail.startswith("a page request")
    f.run()
    assert f.page_commands() == START
    assert f.phase == Phase.OPEN


def test_a_request_after_the_event_queue_is_gone_is_ignored() -> None:
    f = opened()
    f.feed(Close())
    f.run(until="DEALLOC_UAR")
    f.request(0x31, 5)
    f.run()
    assert f.findings == ["request-without-eq"]
    assert f.phase == Phase.ENDED
    assert f.host.left() == 0


@pytest.mark.parametrize("mode", list(Mode))
def test_after_negotiation_every_page_command_names_functions_in_one_mode(mode: Mode) -> None:
    f = Fake(supplier=Supplier(ecpf=True, max_vfs=4)).open(mode.value)
    for number in (0, 1, 5):
        for ec in (False, True):
            f.request(number, 3, ec=ec)
    f.run()
    f.close()
    settled = f.names.index("QUERY_PAGES(init)")
    later = [s.command for s in f.sent[settled:] if s.command.opcode == Opcode.MANAGE_PAGES]
    if mode is Mode.VHCA_ID:
        assert all(c["embedded_cpu_function"] == 0 for c in later)
        assert {c["function_id"] for c in later} == {0, 1, 5, OWN}
    else:
        assert {(c["function_id"], c["embedded_cpu_function"]) for c in later} == {
            (n, ec) for n in (0, 1, 5) for ec in (0, 1)
        }


def test_a_give_names_each_page_once_and_in_big_numbers() -> None:
    f = Fake(bounds=Bounds()).open()
    f.request(0x31, 120_000)
    f.run()
    commands: list[Command] = [s.command for s in f.sent if s.command.op_mod == ManagePages.GIVE]
    sizes = [c.pas.size for c in commands if c.opcode == Opcode.MANAGE_PAGES]
    assert sizes == [3, 5, 50_000, 50_000, 20_000]
    f.agree()


def test_no_page_command_goes_out_while_the_mode_is_not_known() -> None:
    f = Fake()
    f.feed(Open())
    f.run(until="SET_HCA_CAP(general)")
    assert f.host.session.mode is None
    before = len(f.page_commands())
    enqueue(f.host, vhca_id(OWN), 1, Origin.EVENT)
    f.feed(Tick())
    assert len(f.page_commands()) == before


def test_a_release_all_does_not_change_whose_turn_it_is() -> None:
    """A mapping that fails is reported for the function that it was asked for, and for no other."""
    f = opened(pages_per_command=1000)
    f.request(0x31, 8)
    f.request(0x32, 8)
    f.run()
    f.hold_maps = True
    f.request(0x31, 1000)
    f.request(0x32, -3)
    (m,) = f.maps
    f.request(0x31, 0, release_all=True)
    f.held[VF] = []
    f.maps.clear()
    f.feed(Mapped(m.iova, m.pages, None))
    f.run()
    assert (f.finding("alloc-failed").function, f.host.session.alloc_failed) == (VF, 1000)
    assert f.page_commands()[4:] == [("CANT_GIVE", 0x31, 0), ("TAKE", 0x32, 3)]
    f.agree()


def test_a_cant_give_goes_out_after_what_its_function_still_waits_for() -> None:
    """Firmware takes it to be about all that it has asked for: firmware would not have asked for a GIVE after it."""
    f = opened(queue=2)
    send = give_out(f, 5)
    for pages in (7, 9):  # the one that is out is among the two
        f.request(0x31, pages)
    f.request(0x32, 3)
    assert f.findings == ["request-dropped", "request-dropped"]
    f.answer(ok(send.command), send)
    f.held[VF] = send.command.pas.tolist()
    f.run()
    assert f.page_commands()[3:] == [("CANT_GIVE", 0x32, 0), ("GIVE", 0x31, 7), ("CANT_GIVE", 0x31, 0)]
    f.agree()
