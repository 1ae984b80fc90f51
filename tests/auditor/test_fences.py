"""Resets, fences and losses: what they do to pages and commands that are out, and how a session thereby ends."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest

from fwpages.auditor.session import Link
from fwpages.custody.accounts import End
from fwpages.prm.identity import vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode, Teardown
from fwpages.prm.status import Status
from tests.auditor.fed import Fed
from tests.auditor.lives import OWN_VHCA, pages

WHYS = ("next", "restart", "eof")


def _opened(*, numbered: bool = False) -> Fed:
    life = Fed(numbered=numbered)
    life.opened()
    return life


def _ends(life: Fed) -> list[End]:
    """How it ends, whatever comes next."""
    return [deepcopy(life).over(why).end for why in WHYS]


def test_a_session_that_nothing_ended_is_open_or_reset_by_the_next_one() -> None:
    assert _ends(_opened()) == ["reset", "open", "open"]


def test_an_open_that_the_next_one_cuts_short_has_failed() -> None:
    assert _ends(Fed()) == ["failed", "open", "open"]


@pytest.mark.parametrize("own", [OWN_VHCA, 0])
def test_a_close_is_a_close_whatever_comes_next(own: int) -> None:
    life = Fed()
    life.opened(vhca=bool(own)).closed(own=own)
    assert _ends(life) == ["closed"] * 3


def test_an_open_that_is_refused_at_once_has_failed() -> None:
    life = Fed()
    life.plain(Opcode.ENABLE_HCA, Status.INTERNAL_ERR)
    assert life.over().end == "failed"


@pytest.mark.parametrize("profile", [Teardown.FORCE, Teardown.PREPARE_FAST])
def test_force_goes_before_everything(profile: Teardown) -> None:
    life = _opened()
    life.plain(Opcode.TEARDOWN_HCA, profile=profile)
    life.link("lost")
    assert _ends(life) == ["forced"] * 3


def test_a_link_that_comes_back_was_not_lost() -> None:
    life = _opened()
    life.link("lost", "all-ones reads")
    assert _ends(life) == ["lost"] * 3
    assert life.found == [("link-lost", "link", None, 30)]
    assert "all-ones reads" in life.findings()[0].detail
    life.link("back")
    assert _ends(life) == ["reset", "open", "open"]


@pytest.mark.parametrize("before", ["closed", "reset"])
def test_a_link_that_nothing_is_done_over_any_more_cannot_be_missed(before: str) -> None:
    life = _opened()
    if before == "closed":
        life.closed()
    else:
        life.link("reset")
    life.link("lost")
    assert life.names == []


# -- how a reset ends a session


def _refused(life: Fed) -> None:
    life.plain(Opcode.TEARDOWN_HCA, Status.BAD_SYS_STATE)


def _given_up(life: Fed) -> None:
    life.give_up(life.submit(Command(Opcode.QUERY_ADAPTER)))


def _waiting(life: Fed) -> None:
    life.submit(Command(Opcode.QUERY_ADAPTER))
    life.t += 65


def _closing(life: Fed) -> None:
    life.plain(Opcode.DESTROY_EQ, eq_number=3)


def _nothing(life: Fed) -> None:
    """A reset out of the blue."""


@pytest.mark.parametrize(
    ("before", "end"),
    [(_refused, "forced"), (_given_up, "forced"), (_waiting, "forced"), (_closing, "forced"), (_nothing, "reset")],
)
@pytest.mark.parametrize("health", [False, True])
def test_a_reset_is_forced_by_what_failed_before_it(before: Callable[[Fed], None], end: End, health: bool) -> None:
    """A device that reported a fatal state itself is reset for that."""
    life = _opened()
    before(life)
    if health:
        life.link("health")
    life.link("reset")
    life.link("fenced")
    assert _ends(life) == ["reset" if health else end] * 3
    # pages can only stay out against somebody's will once the host has closed
    assert "pages-not-returned" not in life.names


def test_the_first_reset_says_how_it_ended() -> None:
    life = _opened()
    life.link("reset")
    life.link("fenced")
    _refused(life)
    life.link("reset")
    life.link("fenced")
    assert _ends(life) == ["reset"] * 3


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
    life = _opened()
    if queue:
        life.plain(Opcode.DESTROY_EQ, eq_number=3)
    life.closed(back)
    life.link("reset")
    assert (_ends(life), life.names) == ([end] * 3, names)


# -- what a fence proves


def test_a_fence_discards_what_is_out_and_gives_slots_back() -> None:
    life = _opened()
    gone = life.submit(life.give_command(0x31, pages(0x500, 7)))
    life.give_up(gone)
    assert life.out() == {"vhca:0x2a": 30, "vhca:0x31": 7}
    life.link("fenced", "bus mastering off")
    assert life.out() == {}
    assert (life.s.overdue, life.s.queues, bool(life.s.link & Link.FENCED)) == ({}, {}, True)
    assert "fenced: bus mastering off; 37 pages discarded" in life.s.notes
    # an answer that comes after it settles nothing
    life.give(0x31, pages(0x500, 7))
    life.complete(gone, life.took(pages(0x500, 7)))
    assert life.out() == {"vhca:0x31": 7}


def test_where_lines_are_missing_pages_may_have_come_back_before_the_reset() -> None:
    for who in (None, vhca_id(OWN_VHCA)):
        life = _opened()
        life.closed([pages(0x100, 10), pages(0, 0)])
        life.lose(number=None if who is None else who.number)
        life.link("reset")
        assert life.names == ["log-lines-lost"]


def test_a_reset_alone_proves_nothing() -> None:
    life = _opened()
    life.link("reset")
    assert life.out() == {"vhca:0x2a": 30}
    life.link("reset")
    assert life.found == [("not-fenced", "link", None, 30)]
    life.link("fenced")
    life.over("next")
    assert life.names == ["not-fenced"]


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
    life = _opened(numbered=numbered)
    life.link("reset")
    life.over(why)
    assert life.names == names
    assert ("the input ends before the reset was proven" in life.s.notes) is (not names)


def test_commands_under_way_at_a_reset_get_no_answer() -> None:
    life = _opened()
    life.submit(life.give_command(0x31, pages(0x500, 7)))
    life.link("reset")
    assert (life.s.pending, life.names) == ({}, [])
    assert any(n.startswith("MANAGE_PAGES(GIVE) (input:") and "under way" in n for n in life.s.notes)
    # firmware may have taken the pages before it
    assert life.out()["vhca:0x31"] == 7


# -- the rest


def test_a_garbled_answer_is_the_links_and_names_its_command() -> None:
    life = _opened()
    key = life.submit(life.give_command(0x31, pages(0x500, 7)))
    life.link("garbled", "token 3", key=key)
    life.link("garbled", key=999)
    assert life.found == [("answer-malformed", "link", "vhca:0x31", None), ("answer-malformed", "link", None, None)]
    details = [f.detail for f in life.findings()]
    assert details[0] == "MANAGE_PAGES(GIVE) was answered as another command would be: token 3"
    assert details[1].startswith("a command was answered")
