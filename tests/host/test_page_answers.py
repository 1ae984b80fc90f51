"""Where each page is after a GIVE or a TAKE, whatever becomes of it: answered, refused, late, never, crossed."""

from __future__ import annotations

import pytest

from fwpages.custody.ledger import State
from fwpages.host import Bounds, Phase, Send, Tick
from fwpages.prm.identity import vhca_id
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.host.fake import OWN, Fake, ok, taken

VF = vhca_id(0x31)
GIVE, TAKE, CANT_GIVE = "MANAGE_PAGES(GIVE)", "MANAGE_PAGES(TAKE)", "MANAGE_PAGES(CANT_GIVE)"
#: pages that the function has, that are asked for, and that a second request waits for
HAS, ASKED, NEXT = 10, 4, 7

HELD, DOUBTFUL = State.HELD, State.DOUBTFUL


def opened() -> Fake:
    f = Fake(bounds=Bounds(pages_per_command=100, command=5.0, fence=3.0)).open()
    f.request(0x31, HAS)
    f.run()
    return f


def states(f: Fake) -> dict[State, int]:
    """The function's pages in each state: a count by state."""
    return {
        state: n for (number, state), n in f.host.ledger.counts().items() if f.host.records.rows[number].identity == VF
    }


def has(f: Fake) -> list[int]:
    """The addresses that the function has or may have."""
    row = f.host.records.rows[1]
    blocks = [b for state in (HELD, DOUBTFUL) for b in f.host.ledger.blocks(row, state).tolist()]
    return [f.host.pool.space.base + (b << 12) for b in blocks]


def out(f: Fake, pages: int) -> Send:
    f.request(0x31, pages)
    f.run(until=GIVE if pages > 0 else TAKE)
    return f.waiting[0]


def happen(f: Fake, send: Send, what: str) -> None:
    """One thing happens to the command: ``release`` is a release_all of its function."""
    if what == "release":
        f.request(0x31, 0, release_all=True)
        f.held[VF] = []
    elif what == "abort":
        f.abort(send)
    elif what == "never":
        f.waiting.clear()
        f.tick()
    elif what == "fence":
        f.fenced()
    elif what == "no":
        f.answer(Answer(Opcode.MANAGE_PAGES, Status.NO_RES_ERR), send)
    elif what.startswith("yes"):
        back = int(what[3:] or 0)
        f.answer(taken(has(f)[:back]) if back else Answer(Opcode.MANAGE_PAGES), send)


@pytest.mark.parametrize(
    ("events", "then", "findings"),
    [
        ("yes", {HELD: HAS + ASKED}, ""),
        ("no", {HELD: HAS}, "give-refused"),
        ("abort", {HELD: HAS, DOUBTFUL: ASKED}, "give-unanswered"),
        ("never", {HELD: HAS, DOUBTFUL: ASKED}, "give-unanswered"),
        ("never yes", {HELD: HAS + ASKED}, "give-unanswered late-answer"),
        ("abort yes", {HELD: HAS + ASKED}, "give-unanswered late-answer"),
        ("never no", {HELD: HAS}, "give-unanswered late-answer give-refused"),
        ("release yes", {DOUBTFUL: ASKED}, "give-crossed-release"),
        ("release no", {}, "give-refused"),
        ("release never", {DOUBTFUL: ASKED}, "give-unanswered"),
        ("release never yes", {DOUBTFUL: ASKED}, "give-unanswered late-answer"),
        ("never release", {DOUBTFUL: ASKED}, "give-unanswered"),
        ("never release yes", {DOUBTFUL: ASKED}, "give-unanswered late-answer"),
        ("never release no", {}, "give-unanswered late-answer give-refused"),
        ("release release yes", {DOUBTFUL: ASKED}, "give-crossed-release"),
        ("release yes release", {}, "give-crossed-release"),
        ("fence", {}, ""),
        ("never fence", {}, "give-unanswered"),
    ],
)
def test_where_the_pages_of_a_give_are(events: str, then: dict[State, int], findings: str) -> None:
    f = opened()
    send = out(f, ASKED)
    assert states(f) == {HELD: HAS, State.OFFERED: ASKED}
    for what in events.split():
        happen(f, send, what)
    assert states(f) == then
    assert f.findings == findings.split()
    free = f.host.is_free(send.command.pas)
    assert free.all() if sum(then.values()) in (0, HAS) else not free.any()


@pytest.mark.parametrize(
    ("events", "then", "findings"),
    [
        ("yes4", {HELD: HAS - 4}, ""),
        ("yes1", {HELD: HAS - 1}, "take-short"),
        ("yes", {HELD: HAS}, "take-short"),
        ("no", {HELD: HAS}, "take-refused"),
        ("abort", {DOUBTFUL: HAS}, "take-unanswered"),
        ("never", {DOUBTFUL: HAS}, "take-unanswered"),
        ("never yes4", {HELD: HAS - 4}, "take-unanswered late-answer"),
        ("never yes", {HELD: HAS}, "take-unanswered late-answer"),
        ("abort no", {HELD: HAS}, "take-unanswered late-answer take-refused"),
        ("release yes", {}, ""),
        ("release no", {}, "take-refused"),
        ("release never", {}, "take-unanswered"),
        ("never release", {}, "take-unanswered"),
        ("never release no", {}, "take-unanswered late-answer take-refused"),
        ("fence", {}, ""),
        ("never fence", {}, "take-unanswered"),
    ],
)
def test_where_the_pages_of_a_function_are_after_a_take(events: str, then: dict[State, int], findings: str) -> None:
    f = opened()
    send = out(f, -ASKED)
    assert states(f) == {HELD: HAS}
    for what in events.split():
        happen(f, send, what)
    assert states(f) == then
    assert f.findings == findings.split()


@pytest.mark.parametrize("pages", [ASKED, -ASKED])
@pytest.mark.parametrize("events", ["yes", "no", "never yes", "never no", "abort yes", "release yes", "release no"])
def test_what_waits_behind_is_served_once_the_command_has_ended(pages: int, events: str) -> None:
    f = opened()
    send = out(f, pages)
    f.request(0x31, NEXT)
    f.request(OWN, 1)
    before = len(f.page_commands())
    *first, last = events.split()
    for what in first:
        happen(f, send, what)
    assert len(f.page_commands()) == before, "one page command at a time"
    happen(f, send, last)
    f.script[GIVE] = ok
    f.run()
    assert sorted(f.page_commands()[before:]) == [("GIVE", OWN, 1), ("GIVE", 0x31, NEXT)]
    assert f.host.path.idle


@pytest.mark.parametrize("events", ["never", "abort"])
def test_nothing_is_sent_behind_a_command_that_was_never_answered(events: str) -> None:
    f = opened()
    send = out(f, ASKED)
    f.request(0x31, NEXT)
    f.request(OWN, 1)
    before = len(f.sent)
    happen(f, send, events)
    for _ in range(3):
        f.feed(Tick())
    assert len(f.sent) == before
    assert f.host.path.waiting == 2
    assert "2 requests wait behind it" in f.finding("give-unanswered").detail
    assert f.host.deadline is None, "nothing is waited for: the slot comes back with a late answer or a fence"
    f.close()
    assert (f.phase, f.resets) == (Phase.FENCING, 1)


def test_a_request_that_is_cut_goes_on_after_each_part_and_ends_with_a_refusal() -> None:
    f = opened()
    f.request(0x31, 250)
    f.run(until=GIVE)
    f.step()
    f.run(until=GIVE)
    f.answer(Answer(Opcode.MANAGE_PAGES, Status.LIM_ERR))
    f.run()
    assert f.page_commands()[3:] == [("GIVE", 0x31, 100), ("GIVE", 0x31, 100)]
    assert states(f) == {HELD: HAS + 100}
    assert f.host.session.give_dropped == 100
    f.agree()


@pytest.mark.parametrize("events", ["never", "abort"])
def test_a_cant_give_names_nothing_that_could_be_doubtful(events: str) -> None:
    f = opened()
    f.request(0x31, 2**30)
    f.run(until=CANT_GIVE)
    send = f.waiting[0]
    happen(f, send, events)
    assert states(f) == {HELD: HAS}
    assert f.findings == ["absurd-count", "cant-give-unanswered"]
    unanswered = f.finding("cant-give-unanswered")
    assert unanswered.pages is None
    assert unanswered.detail.startswith("CANT_GIVE: ")
    assert unanswered.detail.endswith("; slot 31 stays taken")
    happen(f, send, "yes")
    f.agree()


@pytest.mark.parametrize(("kind", "pages", "doubtful"), [("GIVE", 4, 4), ("TAKE", -4, HAS)])
def test_an_unanswered_page_command_says_how_many_pages_are_doubtful(kind: str, pages: int, doubtful: int) -> None:
    f = opened()
    f.request(0x31, pages)
    f.run(until=f"MANAGE_PAGES({kind})")
    happen(f, f.waiting[0], "never")
    (found,) = f.host.session.findings.values()
    assert found.detail == f"{kind} of 4 pages: no answer in 5 s; {doubtful} pages doubtful, slot 31 stays taken"
