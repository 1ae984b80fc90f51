from __future__ import annotations

import pytest

from fwpages.host import Bounds, Close, EnableVport, LinkLost, Phase, Unmap
from fwpages.prm.identity import FunctionType, func_id, vhca_id
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode, Teardown
from fwpages.prm.status import Status
from tests.host.fake import OWN, SF0, VF0, VF1, Fake, refusing, silent, taken

VF = vhca_id(0x31)
TAKE = "MANAGE_PAGES(TAKE)"
STEPS = ["DISABLE_HCA", "DESTROY_EQ", "DEALLOC_UAR", "TEARDOWN_HCA", TAKE]
FAST = Bounds(pages_per_command=100, command=5.0, reclaim_progress=1.0, reclaim_overall=10.0, wait_progress=2.0)


def busy() -> Fake:
    """Open, a VF enabled with pages, and a function that was not announced."""
    f = Fake(bounds=FAST).open()
    f.enable(VF0)
    f.request(0x31, 20)
    f.request(0x66, 30)
    f.run()
    return f


def close_with_events(f: Fake) -> None:
    f.feed(Close())
    f.run(until="DISABLE_HCA")
    f.step()
    for number in (0x31, 0x66):
        if f.holding(vhca_id(number)):
            f.request(number, -f.holding(vhca_id(number)))
    f.tick_through()


def test_every_page_of_every_function_is_taken_back() -> None:
    f = busy()
    close_with_events(f)
    assert f.done == [
        ("open", True),
        ("enable vport 0x1", True),
        ("wait for the pages of disabled functions", True),
        ("close", True),
    ]
    assert f.findings == []
    assert f.host.left() == 0
    assert f.names[-9:] == [
        TAKE,
        TAKE,
        "DESTROY_EQ",
        "DESTROY_EQ",
        "DESTROY_EQ",
        "DEALLOC_UAR",
        "TEARDOWN_HCA",
        TAKE,
        "DISABLE_HCA",
    ]
    assert f.mapped == {}


def test_functions_are_disabled_before_their_supplier() -> None:
    f = Fake().open()
    f.enable(VF0, VF1, SF0)
    f.close()
    assert f.findings == []
    away = [(s.command.opcode, s.command["function_id"]) for s in f.sent if s.command.opcode in (0x105, 0x114)]
    assert away == [(0x114, 0x8000), (0x105, 2), (0x105, 1), (0x105, 0)]


def test_pages_of_functions_that_were_not_announced_are_taken_back_too() -> None:
    f = Fake(bounds=FAST).open()
    f.request(0x66, 250)
    f.run()
    f.close()
    assert f.findings == []
    (row,) = [r for r in f.host.records if r.identity == vhca_id(0x66)]
    assert (row.type, row.returned) == (FunctionType.UNKNOWN, 250)
    assert f.page_commands()[-4:] == [("TAKE", OWN, 100)] + [("TAKE", 0x66, 100)] * 3


def test_a_page_request_in_a_close_is_served_before_the_teardown() -> None:
    f = Fake(bounds=FAST).open()
    f.feed(Close())
    f.request(0x66, 250)
    f.run()
    assert f.names.index("TEARDOWN_HCA") > max(i for i, n in enumerate(f.names) if n == "MANAGE_PAGES(GIVE)")
    assert f.host.left() == 0
    assert f.findings == []


def test_a_close_ends_operations_that_have_not_begun() -> None:
    f = Fake().open()
    f.vports(VF0, VF1)
    f.feed(EnableVport(1))
    f.feed(EnableVport(2))
    f.feed(Close())
    f.run()
    assert f.done == [
        ("open", True),
        ("enable vport 0x2", False),
        ("enable vport 0x1", True),
        ("wait for the pages of disabled functions", True),
        ("close", True),
    ]
    assert f.findings == []


# -- silence, refusal, loss at each step ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STEPS)
def test_silence_at_any_step_ends_in_a_reset(name: str) -> None:
    f = busy()
    f.script[name] = silent
    close_with_events(f)
    assert f.resets >= 1
    assert "not-fenced" in f.findings
    assert f.phase == Phase.ENDED
    left = f.host.left()
    assert f.done[-1] == ("close", False)
    assert f.done.count(("close", False)) == 1
    assert f.mapped, "what firmware may own stays mapped"
    assert f.host.dirty
    f.script.clear()
    f.fenced()
    assert f.host.left() == 0
    assert sum(r.discarded for r in f.host.records) == left
    assert f.mapped == {}
    f.open()
    f.agree()


@pytest.mark.parametrize("name", STEPS)
def test_a_reset_that_is_proven_ends_the_close(name: str) -> None:
    f = busy()
    f.script[name] = silent
    f.feed(Close())
    f.run()
    while not f.resets:
        f.tick()
        f.run()
    f.fenced()
    assert f.done[-1] == ("close", True)
    assert f.done.count(("close", True)) == 1
    assert f.host.session.end == "forced"
    assert f.host.left() == 0
    assert f.host.deadline is None
    f.script.clear()
    f.open()
    f.close()
    assert f.done[-1] == ("close", True)


@pytest.mark.parametrize("name", STEPS)
def test_a_link_that_is_lost_at_any_step(name: str) -> None:
    f = busy()
    f.feed(Close())
    f.run(until="DISABLE_HCA")
    f.step()
    for number in (0x31, 0x66):
        f.request(number, -f.holding(vhca_id(number)))
    if name != "DISABLE_HCA":
        f.run(until=name)
    f.feed(LinkLost("all ones"))
    f.waiting.clear()
    assert f.phase == Phase.FENCING
    assert f.resets == 1
    assert "link-lost" in f.findings
    f.tick_through()
    assert f.done[-1] == ("close", False)
    assert sum(what == "close" for what, _ in f.done) == 1
    f.fenced()
    assert f.host.left() == 0


@pytest.mark.parametrize("name", ["DESTROY_EQ", "TEARDOWN_HCA"])
def test_a_refusal_where_memory_or_pages_hang_on_it_ends_in_a_reset(name: str) -> None:
    f = Fake(bounds=FAST).open()
    f.script[name] = refusing(Status.BAD_SYS_STATE)
    f.feed(Close())
    f.run()
    assert f.phase == Phase.FENCING
    assert f.findings == ["teardown-refused" if name == "TEARDOWN_HCA" else "command-refused"]
    assert TAKE not in f.names
    f.fenced()
    assert f.done[-1] == ("close", True)
    assert (f.host.session.end, f.host.left()) == ("forced", 0)


@pytest.mark.parametrize("name", ["DEALLOC_UAR", "DISABLE_HCA"])
def test_a_refusal_where_nothing_hangs_on_it_is_a_finding(name: str) -> None:
    f = Fake(bounds=FAST).open()
    f.script[name] = refusing()
    f.close()
    assert f.findings == ["command-refused"]
    assert f.done[-1] == ("close", True)
    assert f.host.left() == 0


def test_a_function_that_cannot_be_disabled_is_gone_on_with() -> None:
    f = Fake(bounds=FAST).open()
    f.enable(VF0)
    f.request(0x31, 5)
    f.run()
    f.script["DISABLE_HCA"] = refusing()
    f.feed(Close())
    f.tick_through()
    assert f.findings[0] == "command-refused"
    assert "wait-timeout" in f.findings
    assert f.host.left() == 0, "the teardown sees its pages"
    assert f.done[-1] == ("close", True)


# -- pages that do not come back --------------------------------------------------------------------------------------


def test_pages_that_never_come_back_are_given_up_function_by_function() -> None:
    f = Fake(bounds=FAST).open()
    f.request(0x66, 30)
    f.run()
    f.script[TAKE] = lambda c: taken([]) if c["function_id"] == 0x66 else f.manage(c)
    f.feed(Close())
    f.run()
    began = f.now
    while not f.resets:
        f.tick()
        f.run()
    assert f.now - began == pytest.approx(FAST.reclaim_progress, abs=0.1)
    assert f.finding("pages-not-returned").function == vhca_id(0x66)
    assert f.finding("pages-not-returned").pages == 30
    assert f.host.records.outstanding(vhca_id(OWN)) == 0
    assert f.names[-1] == "DISABLE_HCA"
    f.fenced()
    assert f.done[-1] == ("close", True)


def test_a_device_that_returns_page_after_page_for_ever_is_cut_off() -> None:
    """Progress alone does not keep a close alive: there is a deadline over all."""
    f = Fake(bounds=FAST)
    f.open()
    f.request(0x66, 5000)
    f.run()

    def trickle(c: object) -> Answer:
        f.now += 0.5
        return taken([f.held[vhca_id(0x66)].pop()])

    f.script[TAKE] = lambda c: trickle(c) if c["function_id"] == 0x66 else f.manage(c)
    f.feed(Close())
    began = f.now
    f.run()
    assert f.now - began <= FAST.reclaim_overall + 1.0
    assert f.phase == Phase.FENCING
    assert "pages-not-returned" in f.findings
    f.fenced()
    assert f.host.left() == 0


def test_a_take_of_the_close_that_is_refused_is_not_tried_for_ever() -> None:
    f = Fake(bounds=FAST).open()
    f.request(0x66, 30)
    f.run()
    f.script[TAKE] = lambda c: Answer(c.opcode, Status.BAD_PARAM) if c["function_id"] == 0x66 else f.manage(c)
    f.close()
    assert f.page_commands().count(("TAKE", 0x66, 100)) == 1
    assert "take-refused" in f.findings
    assert "pages-not-returned" in f.findings
    assert f.phase == Phase.FENCING
    f.fenced()
    assert f.host.left() == 0


def test_foreign_pages_are_no_progress() -> None:
    f = Fake(bounds=FAST).open()
    f.request(0x66, 30)
    f.run()
    other = f.held[vhca_id(0x66)][:5]
    f.script[TAKE] = lambda c: taken(other) if c["function_id"] == OWN else f.manage(c)
    f.feed(Close())
    f.run()
    began = f.now
    while not f.resets:
        f.tick()
        f.run()
    assert f.now - began == pytest.approx(FAST.reclaim_progress, abs=0.1)
    assert f.finding("returned-foreign").times > 1
    assert f.host.records.outstanding(vhca_id(0x66)) == 0


# -- fast and forced --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [Teardown.PREPARE_FAST, Teardown.FORCE])
def test_a_fast_close_takes_nothing_and_fences(how: Teardown) -> None:
    f = busy()
    out = f.host.left()
    f.feed(Close(how))
    f.run()
    assert f.sent[-1].command.opcode == Opcode.TEARDOWN_HCA
    assert f.sent[-1].command["profile"] == how
    assert f.phase == Phase.FENCING
    assert TAKE not in f.names
    f.fenced()
    assert f.done[-1] == ("close", True)
    assert f.host.session.end == "forced"
    assert sum(r.discarded for r in f.host.records) == out
    assert f.findings == []


@pytest.mark.parametrize(
    ("offered", "sent"),
    [({"force_teardown"}, Teardown.FORCE), ({"fast_teardown"}, Teardown.PREPARE_FAST), (set(), None)],
)
def test_a_teardown_that_the_device_does_not_have_is_not_asked_for(offered: set[str], sent: Teardown | None) -> None:
    f = busy()
    for name in {"fast_teardown", "force_teardown"} - offered:
        f.host.session.caps[name] = 0
    f.feed(Close(Teardown.PREPARE_FAST))
    f.run()
    profiles = [s.command["profile"] for s in f.sent if s.command.opcode == Opcode.TEARDOWN_HCA]
    assert profiles == ([] if sent is None else [sent])
    assert f.phase == Phase.FENCING
    assert any("neither" in note for note in f.host.session.notes) is (sent is None)
    f.fenced()
    assert f.findings == []


@pytest.mark.parametrize("how", [Teardown.PREPARE_FAST, Teardown.FORCE])
def test_a_fast_close_while_a_give_is_out(how: Teardown) -> None:
    f = busy()
    f.request(0x31, 10)
    f.feed(Close(how))
    give = f.waiting.popleft()
    f.run()
    assert f.phase == Phase.FENCING
    assert f.host.left() == 8 + 20 + 30 + 10
    f.answer(f.reply(give.command), give)
    f.fenced()
    assert f.host.left() == 0
    assert f.mapped == {}


@pytest.mark.parametrize("pages", [10, -10, 2**30])
def test_no_page_command_follows_the_teardown_of_a_fast_close(pages: int) -> None:
    f = busy()
    f.feed(Close(Teardown.FORCE))
    f.request(0x31, pages)
    f.run()
    assert f.names[-1] == "TEARDOWN_HCA"
    assert f.findings in ([], ["absurd-count"])
    f.fenced()
    assert f.host.left() == 0


def test_a_teardown_that_says_it_was_not_done() -> None:
    f = busy()
    f.script["TEARDOWN_HCA"] = lambda c: Answer(c.opcode, fields={"state": 1})
    f.feed(Close(Teardown.FORCE))
    f.run()
    assert f.findings == ["teardown-state"]
    f.fenced()
    assert f.host.left() == 0


# -- what is out when the close begins --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["GIVE", "TAKE", "CANT_GIVE"])
def test_a_page_command_that_was_never_answered_ends_a_close_in_a_reset(kind: str) -> None:
    """The page path will never be idle: the close must not wait for it without end."""
    f = Fake(bounds=FAST).open()
    f.request(0x66, 30)
    f.run()
    f.script[f"MANAGE_PAGES({kind})"] = silent
    f.request(0x66, {"GIVE": 5, "TAKE": -5, "CANT_GIVE": 2**30}[kind])
    f.run()
    f.tick()
    assert f.phase == Phase.OPEN
    f.feed(Close())
    f.tick_through(limit=1000)
    assert f.phase == Phase.ENDED
    assert f.done[-1] == ("close", False)
    f.fenced()
    assert f.host.left() == 0


def test_a_page_command_that_is_answered_late_lets_the_close_go_on() -> None:
    f = Fake(bounds=FAST).open()
    f.script["MANAGE_PAGES(GIVE)"] = silent
    f.request(0x66, 5)
    f.run()
    f.feed(Close())
    send = f.unanswered[0]
    f.script.clear()
    f.run()
    assert "TEARDOWN_HCA" not in f.names
    f.answer(f.reply(send.command), send)
    f.run()
    assert f.done[-1] == ("close", True)
    assert f.host.left() == 0
    assert f.findings == []


def test_all_commands_of_a_close_that_run_out_of_time_at_once_ask_for_one_reset() -> None:
    f = Fake(bounds=FAST).open()
    f.enable(VF0)
    f.script["DISABLE_HCA"] = silent
    f.script["MANAGE_PAGES(GIVE)"] = silent
    f.request(0x66, 5)
    f.feed(Close())
    f.run()
    f.tick()
    assert f.resets == 1
    assert f.phase == Phase.FENCING


def test_an_operation_under_way_ends_when_the_device_is_lost_in_a_close() -> None:
    f = Fake(bounds=FAST).open()
    f.vports(VF0)
    f.script["ENABLE_HCA"] = silent
    f.feed(EnableVport(1))
    f.run()
    f.feed(Close())
    f.feed(LinkLost("gone"))
    f.fenced()
    assert f.done == [("open", True), ("enable vport 0x1", False), ("close", True)]


def test_memory_goes_back_whole() -> None:
    f = Fake(bounds=FAST).open("func_id")
    f.request(3, 2000)
    f.run()
    size = f.host.pool.space.size
    f.close()
    unmapped = [(e.iova, e.pages) for e in f.effects if isinstance(e, Unmap)]
    assert unmapped == [(f.host.config.base, size)]
    assert f.host.records.outstanding(func_id(3)) == 0
