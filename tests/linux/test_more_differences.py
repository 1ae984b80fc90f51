"""Further differences on purpose, of less weight: one test for each section of the second part of
docs/differences-from-linux.md.
"""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from fwpages.device import Want
from fwpages.host import Bounds, PageRequest, books
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import Mode, func_id, vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from tests.linux.both_sides import (
    BOOT,
    CANT_GIVE,
    GIVE,
    OWN,
    STARTUP,
    TAKE,
    VF0,
    manages,
    opened,
    ours_opened,
    out,
    torn_down,
)
from tests.linux.devices import plain
from tests.linux.linuxside import Linux
from tests.linux.ourside import Ours
from tests.linux.peer import ALLOC_PAGE, EINVAL, ETIMEDOUT, KVZALLOC, KZALLOC, Peer


def test_large_requests(peer: Peer) -> None:
    linux = opened(peer)
    linux.deliver(PageRequestEvent(VF0.number, 2**29))
    with pytest.raises(peer.Oops, match="SIGSEGV"):
        linux.drain()
    linux = opened(peer, arena=1 << 17)
    linux.stir(Want("vf0", 60_000))
    linux.stir(Want("vf0", -60_000))
    assert linux.page_commands() == [(VF0, (GIVE, 60_000)), (VF0, (TAKE, 50_000))]
    assert linux.firmware.held("vf0") == 10_000, "which it asked to have taken, and will not ask again"

    ours = Ours(plain(), bounds=Bounds())
    ours.open()
    ours.page_commands()
    who = PageRequestEvent(VF0.number, 2**29)
    ours.link.feed(PageRequest(ours.host.session.number, who))
    ours.rest()
    assert ours.page_commands() == [(VF0, (CANT_GIVE, 0))]
    assert ours.findings["absurd-count"].function == VF0
    ours.stir(Want("vf0", 60_000))
    ours.stir(Want("vf0", -60_000))
    assert ours.page_commands() == [
        (VF0, (GIVE, 50_000)),
        (VF0, (GIVE, 10_000)),
        (VF0, (TAKE, 50_000)),
        (VF0, (TAKE, 10_000)),
    ]
    assert VF0 not in ours.holds


def test_take_time_out(peer: Peer) -> None:
    linux = opened(peer)
    linux.stir(Want("vf0", 10))

    def done_in_silence(c: Command) -> int | None:
        if not manages(c, TAKE):
            return None
        linux.execute(c)
        return -ETIMEDOUT

    linux.hook = done_in_silence
    linux.stir(Want("vf0", -4))
    assert (linux.firmware.held("vf0"), linux.pages()[VF0].size) == (6, 10)
    linux.hook = None
    torn_down(linux)
    assert linux.oracle.reclaim_startup_pages() == 0
    assert linux.oracle.stats()["pages_live"] == 4, "which firmware let go of, and no answer will name again"

    ours = ours_opened("take-unanswered-done@1")
    ours.stir(Want("vf0", 10))
    ours.stir(Want("vf0", -4))
    assert out(ours)[str(VF0)] == (0, 10), "a TAKE names no pages: any of them may have come back"
    assert ours.findings["take-unanswered"].pages == 10
    ours.close()
    assert ours.link.mapped == 0


def test_count_over_what_was_asked(peer: Peer) -> None:
    linux = opened(peer)
    linux.stir(Want("vf0", 10))

    def one_more(c: Command) -> Answer | None:
        if not manages(c, TAKE):
            return None
        answer = linux.execute(c)
        return replace(answer, fields={"output_num_entries": answer.pas.size + 1})

    linux.hook = one_more
    linux.stir(Want("vf0", -4))
    assert (linux.firmware.held("vf0"), linux.pages()[VF0].size) == (6, 10), "the whole answer is thrown away"
    assert linux.oracle.log()[-1][1].endswith(f"reclaim fail -{EINVAL}\n")

    ours = ours_opened("take-count-over@1")
    ours.stir(Want("vf0", 10))
    ours.stir(Want("vf0", -4))
    assert ours.findings["count-over-asked"].function == VF0
    assert out(ours)[str(VF0)] == (6, 0)


def test_address_within_a_page(peer: Peer) -> None:
    linux = opened(peer)
    linux.stir(Want("vf0", 10))

    def within(c: Command) -> Answer | None:
        if not manages(c, TAKE):
            return None
        answer = linux.execute(c)
        return replace(answer, pas=answer.pas + np.uint64(16))

    linux.hook = within
    linux.stir(Want("vf0", -4))
    assert linux.pages()[VF0].size == 6, "the page that the address lies in is freed"
    assert linux.oracle.log() == []

    ours = ours_opened("take-unaligned@1")
    ours.stir(Want("vf0", 10))
    ours.stir(Want("vf0", -4))
    assert ours.findings["returned-never-given"].pages == 1
    assert out(ours)[str(VF0)] == (7, 0)


def test_request_that_cannot_wait(peer: Peer) -> None:
    linux = opened(peer)
    linux.oracle.inject(KZALLOC, 0, 1)
    linux.stir(Want("vf0", 10))
    assert linux.page_commands() == [], "firmware waits for ever"

    ours = Ours(plain(), bounds=Bounds(queue=1))
    assert ours.open()
    ours.page_commands()
    ours.stir(Want("vf0", 10), Want("vf1", 20))
    assert ours.page_commands() == [(VF0, (GIVE, 10)), (vhca_id(0x32), (CANT_GIVE, 0))]
    assert ours.findings["request-dropped"].pages == 20


def test_what_alloc_failed_counts(peer: Peer) -> None:
    linux = opened(peer)
    for kind, after, counted in ((ALLOC_PAGE, 3, 7), (KVZALLOC, 0, 0)):
        before = linux.look().alloc_failed
        linux.oracle.inject(kind, after, 1)
        linux.stir(Want("vf0", 10))
        assert linux.page_commands() == [(VF0, (CANT_GIVE, 0))]
        assert linux.look().alloc_failed - before == counted

    ours = ours_opened()
    ours.without_memory(Want("vf0", 10))
    assert ours.page_commands() == [(VF0, (CANT_GIVE, 0))]
    assert ours.look().alloc_failed == 10, "all that firmware did not get"


def test_functions_take_turns(peer: Peer) -> None:
    vf1 = vhca_id(0x32)
    linux = opened(peer)
    linux.stir(Want("vf0", 200), Want("vf1", 10))
    assert linux.page_commands() == [(VF0, (GIVE, 200)), (vf1, (GIVE, 10))]

    ours = Ours(plain(), bounds=Bounds(pages_per_command=100))
    assert ours.open()
    ours.page_commands()
    ours.stir(Want("vf0", 200), Want("vf1", 10))
    assert ours.page_commands() == [(VF0, (GIVE, 100)), (vf1, (GIVE, 10)), (VF0, (GIVE, 100))]


def test_mode_by_what_the_device_says_now(peer: Peer) -> None:
    linux = Linux(peer, plain())
    linux.tell(Opcode.ENABLE_HCA)
    linux.oracle.set_icm_mode(0, 1)
    assert linux.startup_pages(boot=True) == 0
    # SET_HCA_CAP was answered OK, and the device did not switch
    linux.page_commands()
    assert linux.startup_pages(boot=False) < 0
    assert [c["function_id"] for _, c in linux.raw[-1:]] == [OWN.number], "the maximum capability has the bit"
    assert linux.firmware.mode is Mode.FUNC_ID
    assert linux.oracle.reclaim_startup_pages() == 0
    assert linux.oracle.stats()["pages_live"] == BOOT, "boot pages have moved to a name that firmware does not know"

    ours = Ours(plain(), faults=["mode-not-switched"])
    assert ours.open()
    assert "mode-disagreement" in ours.findings
    assert out(ours) == {str(func_id(0)): (STARTUP, 0)}
    ours.close()
    assert ours.link.mapped == 0
    assert books(ours.host).outstanding == 0
