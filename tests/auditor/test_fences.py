"""Resets, fences and losses: what they do to pages and commands that are out, and how a session thereby ends."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest

from fwpages.custody.accounts import End
from fwpages.prm.identity import vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode, Teardown
from fwpages.prm.status import Status
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages

WHYS = ("next", "restart", "eof")


def _opened(*, numbered: bool = False) -> AuditedTrace:
    trace = AuditedTrace(numbered=numbered)
    trace.opened()
    return trace


def _ends(trace: AuditedTrace) -> list[End]:
    """The end of a session, whatever comes next."""
    return [deepcopy(trace).over(why).end for why in WHYS]


def test_a_session_that_nothing_ended_is_open_or_reset_by_the_next_one() -> None:
    assert _ends(_opened()) == ["reset", "open", "open"]


def test_an_open_that_the_next_one_cuts_short_has_failed() -> None:
    assert _ends(AuditedTrace()) == ["failed", "open", "open"]


@pytest.mark.parametrize("own", [OWN_VHCA, 0])
def test_a_close_is_a_close_whatever_comes_next(own: int) -> None:
    trace = AuditedTrace()
    trace.opened(vhca=bool(own)).closed(own=own)
    assert _ends(trace) == ["closed"] * 3


def test_an_open_that_is_refused_at_once_has_failed() -> None:
    trace = AuditedTrace()
    trace.plain(Opcode.ENABLE_HCA, Status.INTERNAL_ERR)
    assert trace.over().end == "failed"


@pytest.mark.parametrize("profile", [Teardown.FORCE, Teardown.PREPARE_FAST])
def test_force_goes_before_everything(profile: Teardown) -> None:
    trace = _opened()
    trace.plain(Opcode.TEARDOWN_HCA, profile=profile)
    trace.link("lost")
    assert _ends(trace) == ["forced"] * 3


def test_a_link_that_comes_back_was_not_lost() -> None:
    trace = _opened()
    trace.link("lost", "all-ones reads")
    assert _ends(trace) == ["lost"] * 3
    assert trace.found == [("link-lost", "link", None, 30)]
    assert "all-ones reads" in trace.findings()[0].detail
    trace.link("back")
    assert _ends(trace) == ["reset", "open", "open"]


@pytest.mark.parametrize("before", ["closed", "reset"])
def test_a_link_that_nothing_is_done_over_any_more_cannot_be_missed(before: str) -> None:
    trace = _opened()
    if before == "closed":
        trace.closed()
    else:
        trace.link("reset")
    trace.link("lost")
    assert trace.names == []


# -- how a reset ends a session


def _refused(trace: AuditedTrace) -> None:
    trace.plain(Opcode.TEARDOWN_HCA, Status.BAD_SYS_STATE)


def _given_up(trace: AuditedTrace) -> None:
    trace.give_up(trace.submit(Command(Opcode.QUERY_ADAPTER)))


def _waiting(trace: AuditedTrace) -> None:
    trace.submit(Command(Opcode.QUERY_ADAPTER))
    trace.t += 65


def _closing(trace: AuditedTrace) -> None:
    trace.plain(Opcode.DESTROY_EQ, eq_number=3)


def _nothing(trace: AuditedTrace) -> None:
    """A reset out of the blue."""


@pytest.mark.parametrize(
    ("before", "end"),
    [(_refused, "forced"), (_given_up, "forced"), (_waiting, "forced"), (_closing, "forced"), (_nothing, "reset")],
)
@pytest.mark.parametrize("health", [False, True])
def test_a_reset_is_forced_by_what_failed_before_it(
    before: Callable[[AuditedTrace], None], end: End, health: bool
) -> None:
    """A device that reported a fatal state itself is reset for that."""
    trace = _opened()
    before(trace)
    if health:
        trace.link("health")
    trace.link("reset")
    trace.link("fenced")
    assert _ends(trace) == ["reset" if health else end] * 3
    # pages can only stay out against somebody's will once the host has closed
    assert "pages-not-returned" not in trace.names


def test_the_first_reset_says_how_it_ended() -> None:
    trace = _opened()
    trace.link("reset")
    trace.link("fenced")
    _refused(trace)
    trace.link("reset")
    trace.link("fenced")
    assert _ends(trace) == ["reset"] * 3


@pytest.mark.parametrize(
    ("back", "queue", "end", "names"),
    [
        ([pages(0x100, 10), pages(0x200, 20)], True, "closed", []),
        ([pages(0x100, 10), pages(0x200, 20)], False, "forced", []),
        ([pages(0x100, 10), pages(0, 0)], True, "forced", ["pages-not-returned"]),
    ],
)
def test_a_reset_after_the_close_is_there_for_what_was_left(
    back: list[object], queue: bool, end: End, names: list[str]
) -> None:
    """Pages, or an event queue that the device did not let go of."""
    trace = _opened()
    if queue:
        trace.plain(Opcode.DESTROY_EQ, eq_number=3)
    trace.closed(back)
    trace.link("reset")
    assert (_ends(trace), trace.names) == ([end] * 3, names)


# -- what a fence proves


def test_a_fence_discards_what_is_out_and_gives_slots_back() -> None:
    trace = _opened()
    gone = trace.submit(trace.give_command(0x31, pages(0x500, 7)))
    trace.give_up(gone)
    assert trace.out() == {"vhca:0x2a": 30, "vhca:0x31": 7}
    trace.link("fenced", "bus mastering off")
    assert trace.out() == {}
    assert "fenced: bus mastering off; 37 pages discarded" in trace.so_far().notes
    # an answer that comes after it settles nothing
    trace.give(0x31, pages(0x500, 7))
    trace.complete(gone, trace.took(pages(0x500, 7)))
    assert trace.out() == {"vhca:0x31": 7}


def test_where_lines_are_missing_pages_may_have_come_back_before_the_reset() -> None:
    for who in (None, vhca_id(OWN_VHCA)):
        trace = _opened()
        trace.closed([pages(0x100, 10), pages(0, 0)])
        trace.lose(number=None if who is None else who.number)
        trace.link("reset")
        assert trace.names == ["log-lines-lost"]


def test_a_reset_alone_proves_nothing() -> None:
    trace = _opened()
    trace.link("reset")
    assert trace.out() == {"vhca:0x2a": 30}
    trace.link("reset")
    assert trace.found == [("not-fenced", "link", None, 30)]
    trace.link("fenced")
    trace.over("next")
    assert trace.names == ["not-fenced"]


@pytest.mark.parametrize(
    ("why", "numbered", "names"),
    [
        ("next", False, ["not-fenced"]),
        ("restart", False, ["not-fenced"]),
        ("eof", False, []),
        ("eof", True, ["not-fenced"]),
    ],
)
def test_a_proof_that_never_comes(why: str, numbered: bool, names: list[str]) -> None:
    """Where an input just ends, it may come after that."""
    trace = _opened(numbered=numbered)
    trace.link("reset")
    trace.over(why)
    assert trace.names == names
    assert ("the input ends before the reset was proven" in trace.over().notes) is (not names)


def test_commands_under_way_at_a_reset_get_no_answer() -> None:
    trace = _opened()
    trace.submit(trace.give_command(0x31, pages(0x500, 7)))
    trace.link("reset")
    assert trace.names == []
    assert any(n.startswith("MANAGE_PAGES(GIVE) (input:") and "under way" in n for n in trace.so_far().notes)
    # firmware may have taken the pages before it
    assert trace.out()["vhca:0x31"] == 7


# -- the rest


def test_a_garbled_answer_is_the_links_and_names_its_command() -> None:
    trace = _opened()
    key = trace.submit(trace.give_command(0x31, pages(0x500, 7)))
    trace.link("garbled", "token 3", key=key)
    trace.link("garbled", key=999)
    assert trace.found == [("answer-malformed", "link", "vhca:0x31", None), ("answer-malformed", "link", None, None)]
    details = [f.detail for f in trace.findings()]
    assert details[0] == "MANAGE_PAGES(GIVE) was answered as another command would be: token 3"
    assert details[1].startswith("a command was answered")
