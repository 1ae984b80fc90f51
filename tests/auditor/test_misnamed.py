"""What a host named wrongly, and what firmware then does with the pages: one finding, the host's."""

from __future__ import annotations

import pytest

from fwpages.prm.identity import Supplier
from tests.auditor.fed import Fed
from tests.auditor.lives import pages


def _misnamed() -> Fed:
    """Firmware wants 7 pages for 0x31; the GIVE names 0x32, which has 5 of its own."""
    life = Fed(Supplier(max_vfs=8))
    life.opened()
    life.event(0x32, 5)
    life.give(0x32, pages(0x400, 5))
    life.event(0x31, 7)
    life.give(0x32, pages(0x500, 7))
    assert life.found == [("identity-mismatch", "host", "vhca:0x32", 7)]
    return life


def test_a_release_all_lets_go_of_what_was_meant_for_the_function() -> None:
    life = _misnamed()
    life.event(0x31, 0, release_all=True)
    life.give(0x31, pages(0x500, 7))
    assert len(life.found) == 1
    assert life.out()["vhca:0x32"] == 5


def test_a_release_all_of_the_other_leaves_firmware_what_it_has_for_the_right_one() -> None:
    life = _misnamed()
    life.event(0x32, 0, release_all=True)
    life.event(0x31, -7)
    life.take(0x31, pages(0x500, 7))
    assert len(life.found) == 1


@pytest.mark.parametrize("first", [0x31, 0x32])
def test_a_page_given_twice_may_come_back_from_both(first: int) -> None:
    life = Fed(Supplier(max_vfs=8))
    life.opened()
    for who in (0x31, 0x32):
        life.event(who, 2)
        life.give(who, pages(0x500, 2))
    for who in (first, 0x31 + 0x32 - first):
        life.event(who, -2)
        life.take(who, pages(0x500, 2))
    assert life.names[:1] == ["given-twice"]
    assert {blame for _, blame, _, _ in life.found} == {"host"}
