from __future__ import annotations

import re

import pytest

from fwpages.custody.finding_table import FINDINGS
from fwpages.device import FAULT_WORDS, Fault
from fwpages.host import Map
from fwpages.link.faults.link_faults import LINK_FAULTS, Fate, LinkFaults
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode

GIVE = Command(Opcode.MANAGE_PAGES, ManagePages.GIVE)
TAKE = Command(Opcode.MANAGE_PAGES, ManagePages.TAKE)
INIT = Command(Opcode.INIT_HCA)
CHUNK = Map(1 << 32, 512)


def one(name: str, at: int = 1, times: int = 1) -> LinkFaults:
    return LinkFaults((Fault(name, at, times),))


@pytest.mark.parametrize("name", LINK_FAULTS)
def test_a_fault_has_a_name_words_and_findings_that_there_are(name: str) -> None:
    rule = LINK_FAULTS[name]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", name)
    assert rule.words
    assert set(rule.named) <= FINDINGS.keys()
    assert rule.named
    assert name not in FAULT_WORDS


def test_a_sound_link_carries_everything() -> None:
    f = LinkFaults()
    a = Answer(INIT.opcode)
    assert [f.command(c) for c in (GIVE, TAKE, INIT)] == ["carry"] * 3
    assert (list(f.answers(a)), f.mapped_at(CHUNK), f.reset()) == ([a], CHUNK.iova, True)
    assert (f.took, f.missed, f.gone) == ((), (), False)


@pytest.mark.parametrize(
    ("name", "about", "fate"),
    [
        ("give-aborted-lost", GIVE, "drop"),
        ("give-aborted-done", GIVE, "swallow"),
        ("take-aborted-lost", TAKE, "drop"),
        ("take-aborted-done", TAKE, "swallow"),
    ],
)
def test_a_page_command_is_given_up(name: str, about: Command, fate: Fate) -> None:
    f = one(name, 2)
    other = TAKE if about is GIVE else GIVE
    assert [f.command(c) for c in (about, other, INIT, about, about)] == ["carry", "carry", "carry", fate, "carry"]
    assert (f.took, f.missed) == ((name,), ())


@pytest.mark.parametrize(("name", "back"), [("link-lost", True), ("link-lost-for-good", False)])
def test_a_link_is_lost_until_the_device_is_reset_or_for_good(name: str, back: bool) -> None:
    f = one(name, 2)
    assert [f.command(c) for c in (INIT, GIVE, TAKE, INIT)] == ["carry", "lose", "lose", "lose"]
    assert (f.took, f.gone, f.for_good) == ((name,), True, not back)
    assert f.reset() is back
    assert f.gone is not back
    assert f.command(INIT) == ("carry" if back else "lose")


def test_a_reset_that_is_never_confirmed_leaves_the_device_where_it_is() -> None:
    f = LinkFaults((Fault("link-lost"), Fault("not-fenced", 1, 2)))
    assert f.command(INIT) == "lose"
    assert [f.reset() for _ in range(3)] == [False, False, True]
    assert f.took == ("link-lost", "not-fenced", "not-fenced")
    assert f.command(INIT) == "carry"


@pytest.mark.parametrize(
    ("name", "at"), [("map-fails", None), ("map-at-zero", 0), ("map-elsewhere", CHUNK.iova + (1 << 40))]
)
def test_where_a_chunk_comes_to_lie(name: str, at: int | None) -> None:
    f = one(name, 2)
    assert [f.mapped_at(CHUNK) for _ in range(3)] == [CHUNK.iova, at, CHUNK.iova]


@pytest.mark.parametrize("opcode", [Opcode.INIT_HCA, Opcode.QUERY_ADAPTER, Opcode.MANAGE_PAGES])
def test_answers_come_twice_or_as_another_command_s(opcode: Opcode) -> None:
    a = Answer(opcode, 3, 0x77)
    assert [len(one("answer-twice").answers(a)), len(LinkFaults().answers(a))] == [2, 1]
    assert all(x is a for x in one("answer-twice").answers(a))
    (garbled,) = one("answer-garbled").answers(a)
    assert garbled.opcode != opcode
    assert (garbled.status, garbled.syndrome) == (3, 0x77)


def test_each_fault_counts_opportunities_of_its_own() -> None:
    """Named twice it strikes twice; who finds its place taken waits for the next; commands are no maps."""
    f = LinkFaults((Fault("give-aborted-lost", 1), Fault("give-aborted-done", 3), Fault("give-aborted-lost", 3)))
    assert f.mapped_at(CHUNK) == CHUNK.iova
    assert [f.command(GIVE) for _ in range(5)] == ["drop", "carry", "swallow", "drop", "carry"]
    assert f.missed == ()
    assert f.took == ("give-aborted-lost", "give-aborted-done", "give-aborted-lost")


def test_a_fault_whose_opportunity_never_came_is_missed() -> None:
    f = LinkFaults((Fault("give-aborted-lost", 3), Fault("map-fails")))
    assert [f.command(GIVE) for _ in range(2)] == ["carry"] * 2
    assert [x.name for x in f.missed] == ["give-aborted-lost", "map-fails"]
    assert f.mapped_at(CHUNK) is None
    assert [x.name for x in f.missed] == ["give-aborted-lost"]


def test_a_copy_goes_its_own_way() -> None:
    f = LinkFaults((Fault("link-lost", 2), Fault("map-fails", 2)))
    assert f.command(GIVE) == "carry"
    twin = f.copy()
    assert twin == f
    assert f.command(GIVE) == "lose"
    assert f.mapped_at(CHUNK) == CHUNK.iova
    assert (twin.gone, twin.took, twin.seen) == (False, (), {0: 1})
    assert twin.command(GIVE) == "lose"
    assert f.mapped_at(CHUNK) is None
    assert twin.mapped_at(CHUNK) == CHUNK.iova
