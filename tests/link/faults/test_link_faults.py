from __future__ import annotations

import re

import pytest

from fwpages.device import DEVICE_FAULTS, PlannedFault
from fwpages.host import Map
from fwpages.link.faults.byte_faults import BYTE_FAULTS
from fwpages.link.faults.injector import LinkInjector
from fwpages.link.faults.link_faults import LINK_FAULTS, Fate
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode

GIVE = Command(Opcode.MANAGE_PAGES, ManagePages.GIVE)
TAKE = Command(Opcode.MANAGE_PAGES, ManagePages.TAKE)
INIT = Command(Opcode.INIT_HCA)
CHUNK = Map(1 << 32, 512)


def one(name: str, at: int = 1, times: int = 1) -> LinkInjector:
    return LinkInjector((PlannedFault(name, at, times),))


EVERY_FAULT = [*DEVICE_FAULTS.items(), *LINK_FAULTS.items(), *BYTE_FAULTS.items()]


def test_each_fault_has_a_name_and_words_of_its_own() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)+", name) for name, _ in EVERY_FAULT)
    assert len({name for name, _ in EVERY_FAULT}) == len({fault.words for _, fault in EVERY_FAULT}) == len(EVERY_FAULT)


def test_a_sound_link_carries_everything() -> None:
    f = LinkInjector()
    a = Answer(INIT.opcode)
    assert [f.command(c) for c in (GIVE, TAKE, INIT)] == [Fate.CARRIED] * 3
    assert (list(f.answers(a)), f.mapped_at(CHUNK), f.reset()) == ([a], CHUNK.iova, True)
    assert (f.took, f.missed, f.gone) == ((), (), False)


@pytest.mark.parametrize(
    ("name", "about", "fate"),
    [
        ("give-aborted-lost", GIVE, Fate.DROPPED),
        ("give-aborted-done", GIVE, Fate.ANSWER_DROPPED),
        ("take-aborted-lost", TAKE, Fate.DROPPED),
        ("take-aborted-done", TAKE, Fate.ANSWER_DROPPED),
    ],
)
def test_a_page_command_is_given_up(name: str, about: Command, fate: Fate) -> None:
    f = one(name, 2)
    other = TAKE if about is GIVE else GIVE
    fates = [f.command(c) for c in (about, other, INIT, about, about)]
    assert fates == [*[Fate.CARRIED] * 3, fate, Fate.CARRIED]
    assert (f.took, f.missed) == ((name,), ())


@pytest.mark.parametrize(("name", "back"), [("link-lost", True), ("link-lost-for-good", False)])
def test_a_link_is_lost_until_the_device_is_reset_or_for_good(name: str, back: bool) -> None:
    f = one(name, 2)
    lost = Fate.LINK_LOST if back else Fate.LINK_LOST_FOR_GOOD
    assert [f.command(c) for c in (INIT, GIVE, TAKE, INIT)] == [Fate.CARRIED, lost, Fate.LINK_LOST, Fate.LINK_LOST]
    assert (f.took, f.gone, f.for_good) == ((name,), True, not back)
    assert f.reset() is back
    assert f.gone is not back
    assert f.command(INIT) is (Fate.CARRIED if back else Fate.LINK_LOST)


def test_a_reset_that_is_never_confirmed_leaves_the_device_where_it_is() -> None:
    f = LinkInjector((PlannedFault("link-lost"), PlannedFault("not-fenced", 1, 2)))
    assert f.command(INIT) == Fate.LINK_LOST
    assert [f.reset() for _ in range(3)] == [False, False, True]
    assert f.took == ("link-lost", "not-fenced", "not-fenced")
    assert f.command(INIT) == Fate.CARRIED


@pytest.mark.parametrize(
    ("name", "at"), [("map-fails", None), ("map-at-zero", 0), ("map-elsewhere", CHUNK.iova + (1 << 40))]
)
def test_where_a_chunk_comes_to_lie(name: str, at: int | None) -> None:
    f = one(name, 2)
    assert [f.mapped_at(CHUNK) for _ in range(3)] == [CHUNK.iova, at, CHUNK.iova]


@pytest.mark.parametrize("opcode", [Opcode.INIT_HCA, Opcode.QUERY_ADAPTER, Opcode.MANAGE_PAGES])
def test_answers_come_twice_or_as_another_command_s(opcode: Opcode) -> None:
    a = Answer(opcode, 3, 0x77)
    assert [len(one("answer-twice").answers(a)), len(LinkInjector().answers(a))] == [2, 1]
    assert all(x is a for x in one("answer-twice").answers(a))
    (garbled,) = one("answer-garbled").answers(a)
    assert garbled.opcode != opcode
    assert (garbled.status, garbled.syndrome) == (3, 0x77)


def test_each_fault_counts_opportunities_of_its_own() -> None:
    """Named twice it strikes twice; who finds its place taken waits for the next; commands are no maps."""
    f = LinkInjector(
        (
            PlannedFault("give-aborted-lost", 1),
            PlannedFault("give-aborted-done", 3),
            PlannedFault("give-aborted-lost", 3),
        )
    )
    assert f.mapped_at(CHUNK) == CHUNK.iova
    fates = [f.command(GIVE) for _ in range(5)]
    assert fates == [Fate.DROPPED, Fate.CARRIED, Fate.ANSWER_DROPPED, Fate.DROPPED, Fate.CARRIED]
    assert f.missed == ()
    assert f.took == ("give-aborted-lost", "give-aborted-done", "give-aborted-lost")


def test_a_fault_whose_opportunity_never_came_is_missed() -> None:
    f = LinkInjector((PlannedFault("give-aborted-lost", 3), PlannedFault("map-fails")))
    assert [f.command(GIVE) for _ in range(2)] == [Fate.CARRIED] * 2
    assert [x.name for x in f.missed] == ["give-aborted-lost", "map-fails"]
    assert f.mapped_at(CHUNK) is None
    assert [x.name for x in f.missed] == ["give-aborted-lost"]


def test_a_copy_is_independent() -> None:
    f = LinkInjector((PlannedFault("link-lost", 2), PlannedFault("map-fails", 2)))
    assert f.command(GIVE) == Fate.CARRIED
    twin = f.copy()
    assert twin == f
    assert f.command(GIVE) == Fate.LINK_LOST
    assert f.mapped_at(CHUNK) == CHUNK.iova
    assert (twin.gone, twin.took, twin.opportunities) == (False, (), {0: 1})
    assert twin.command(GIVE) == Fate.LINK_LOST
    assert f.mapped_at(CHUNK) is None
    assert twin.mapped_at(CHUNK) == CHUNK.iova
