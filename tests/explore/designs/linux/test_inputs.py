"""What the Linux models make of each input, and which may not come: those are refused before anything changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.device import Want
from fwpages.explore.designs import DESIGNS
from fwpages.explore.model.driver import DriverConfig, Input, NotQueued, Run
from fwpages.host import (
    Aborted,
    Answered,
    Close,
    DisableVport,
    EnableVport,
    Fenced,
    FunctionsChanged,
    HealthFatal,
    LinkLost,
    Map,
    Mapped,
    Misuse,
    Open,
    Proof,
    Scope,
    Tick,
    Unmap,
    VportInfo,
)
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode, Teardown
from tests.explore.designs.joined import BOUNDS, Joined, T
from tests.explore.designs.linux.test_driver import linux
from tests.explore.designs.linux.test_eswitch import other_cap
from tests.explore.designs.linux.test_pages import BOTH, GIVE, manages, opened

VF, SF = VportInfo(1, T.VF, 1), VportInfo(0x200, T.SF, 0x200)


def refused(life: Joined, x: Input, words: str) -> None:
    """The input may not come now; nothing of the state changes, not even the time."""
    d = linux(life)
    before, now, view = d.key(), d.now, d.view()
    with pytest.raises(Misuse, match=words):
        d.feed(life.now + 100, x)
    assert (d.key(), d.now, d.view()) == (before, now, view)


# -- what may not come ------------------------------------------------------------------------------------------------


@BOTH
def test_a_device_is_opened_once_and_closed_once(name: str) -> None:
    life = Joined(name)
    refused(life, Close(), "close: session 0 is not open")
    refused(life, EnableVport(1), "enable vport 0x1: session 0 is not open")
    life.feed(Open())
    refused(life, Open(), "open: session 1 is open, or something is under way")
    refused(life, Close(), "close: session 1 is not open, or something is under way")
    life.settle()
    refused(life, Open(), "open: session 1 is open")
    life.feed(Close())
    refused(life, Close(), "close: session 1")
    refused(life, DisableVport(1), "disable vport 0x1: session 1 is not open")


@BOTH
def test_a_vport_is_switched_to_what_it_is_not(name: str) -> None:
    life = opened(name)
    refused(life, EnableVport(0x77), "enable vport 0x77: there is no such vport")
    refused(life, EnableVport(1), "enable vport 0x1: it is already enabled")
    refused(life, DisableVport(2), "disable vport 0x2: it is not enabled")
    life.fate = lambda c: "lost" if other_cap(c) else None
    life.feed(EnableVport(2))
    refused(life, EnableVport(2), "already enabled")
    life.feed(DisableVport(2))
    refused(life, DisableVport(2), "not enabled")
    life.feed(EnableVport(2))
    assert tuple(map(str, life.driver.view().busy)) == ("enable vport 0x2", "disable vport 0x2", "enable vport 0x2")


def test_a_function_without_a_name_in_func_id_mode_cannot_be_enabled_there() -> None:
    life = Joined("merged", ecpf=True)
    life.do(Open("func_id"), FunctionsChanged((VportInfo(0x2000, T.SPF, 9, vhca_id=0x36),)))
    refused(life, EnableVport(0x2000), "FUNC_ID mode has no name for this function")


CHANGES = [
    ((VF, VF), "a vport number is there twice"),
    ((VF, VportInfo(2, T.VF, 1)), "two vports are both function"),
    ((VF, VportInfo(9, T.SPF, 9, vhca_id=0x44), VportInfo(8, T.SPF, 8, vhca_id=0x44)), "two vports are both function"),
    ((SF,), "vport 0x1 is enabled and would be gone, or another"),
    ((VportInfo(1, T.VF, 3), SF), "vport 0x1 is enabled and would be gone, or another"),
]


@BOTH
@pytest.mark.parametrize(("infos", "words"), CHANGES)
def test_a_change_of_functions_is_taken_whole_or_not_at_all(
    name: str, infos: tuple[VportInfo, ...], words: str
) -> None:
    life = opened(name)
    refused(life, FunctionsChanged(infos), f"functions changed: {words}")


@BOTH
def test_a_vport_whose_turn_has_not_come_is_busy_too(name: str) -> None:
    life = opened(name)
    life.fate = lambda c: "lost" if other_cap(c) else None
    life.feed(EnableVport(2))
    life.feed(EnableVport(0x200))
    two, sf = life.vports[1:]
    refused(life, FunctionsChanged((VF, sf)), "vport 0x2 is enabled")
    refused(life, FunctionsChanged((VF, two)), "vport 0x200 is enabled")


@BOTH
def test_a_thread_goes_on_by_itself_only_where_nothing_else_lets_it_go_on(name: str) -> None:
    for thread in ("driver", "eswitch", "health", "pages", ""):
        refused(opened(name), Run(thread), f"{thread} cannot go on by itself")


# -- what changes nothing ---------------------------------------------------------------------------------------------


@BOTH
def test_answers_that_nobody_waits_for_are_passed_over(name: str) -> None:
    """The slot is as new, or the answer is another command's."""
    life = opened(name)
    life.fate = lambda c: "lost" if manages(c, GIVE) else None
    life.do(Want("vf0", 1), until=life.now)
    sent, d = life.ids[-1], linux(life)
    before = d.key()
    strays: list[Input] = [
        Answered(sent.session, sent.id, Answer(Opcode.QUERY_ISSI)),
        Answered(sent.session, sent.id + 1, Answer(sent.command.opcode)),
        Aborted(sent.session, sent.id + 1, "given up"),
        Mapped(0x1000, 1, 0x1000),
        Fenced(Proof.FUNCTION_LEVEL_RESET),
        Tick(),
    ]
    for x in strays:
        assert (d.feed(life.now, x), d.key()) == ([], before), x


@BOTH
def test_page_requests_are_heard_between_their_queue_s_creation_and_its_end(name: str) -> None:
    life = Joined(name)
    request, d = life.request(0x2A, 1), linux(life)
    told: list[tuple[bool, bool]] = []

    def listen() -> None:
        copies = d.clone(), d.clone()
        copies[0].feed(life.now, request)
        lost = copies[1].feed(life.now, NotQueued(request))
        told.append((bool(copies[0].requests), bool(lost)))

    listen()
    life.do(Open())
    listen()
    life.fate = lambda c: "lost" if c.opcode == Opcode.DESTROY_EQ else None
    life.feed(Close())
    listen()
    assert told == [(False, False), (True, True), (False, False)]


# -- memory -----------------------------------------------------------------------------------------------------------


@BOTH
def test_a_page_that_is_mapped_at_0_is_mapped_once_more(name: str) -> None:
    """pagealloc.c:alloc_system_page: firmware has no page at address 0."""
    life = opened(name)
    life.stopped = {"pages"}
    life.do(Want("vf0", 1))
    (asked,) = linux(life).feed(life.now, Run("pages"))
    assert isinstance(asked, Map)
    assert linux(life).feed(life.now, Mapped(asked.iova, 1, 0)) == [Unmap(0, 1), asked]
    elsewhere = 1 << 41
    life.feed(Mapped(asked.iova, 1, elsewhere))
    assert life.sent[-1].pas.tolist() == [elsewhere], "wherever it lies"
    assert elsewhere in linux(life).mapped
    assert asked.iova not in linux(life).mapped


# -- trouble ----------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("x", [HealthFatal("synd"), LinkLost("gone")])
def test_trouble_is_taken_notice_of_once_and_only_while_there_is_a_device(name: str, x: Input) -> None:
    """health.c:poll_health runs between mlx5_cmd_enable and mlx5_cmd_disable."""
    life = Joined(name)
    life.feed(x)
    assert not linux(life).error
    life.do(Open())
    life.stopped = {"health"}
    life.feed(x)
    key = linux(life).key()
    life.feed(x)
    assert (linux(life).key(), linux(life).threads()) == (key, ("health",))


@BOTH
def test_trouble_in_a_close_begins_no_recovery(name: str) -> None:
    life = opened(name)
    life.fate = lambda c: "lost"
    life.feed(Close())
    life.feed(HealthFatal("synd"))
    assert (linux(life).error, list(linux(life).running)) == (True, ["driver"])


@BOTH
def test_a_fence_of_one_function_is_not_the_device_s(name: str) -> None:
    """A VF's reset proves nothing about its PF."""
    life = opened(name)
    life.feed(Close(Teardown.FORCE))
    while not linux(life).view().waiting.get("driver", "").startswith("bus mastering"):
        assert life.step()
    life.to_device.clear()
    life.feed(Fenced(Proof.FUNCTION_LEVEL_RESET, Scope.OTHER))
    assert tuple(map(str, life.driver.view().busy)) == ("close",)
    life.feed(Fenced(Proof.FUNCTION_LEVEL_RESET))
    assert life.done[-1] == ("close", True)


USERS: list[Input] = [Open(), Open("func_id"), Close(), Close(Teardown.FORCE), FunctionsChanged((SF,))]
VPORTS: list[Input] = [EnableVport(1), DisableVport(1), EnableVport(0x200), FunctionsChanged((VF, SF))]
OTHERS: list[Input] = [HealthFatal("synd"), LinkLost("gone"), Run("pages"), Run("driver"), Run("health"), Tick()]
inputs = st.sampled_from([*USERS, *VPORTS, *OTHERS])


@settings(max_examples=30)
@given(st.sampled_from(["posted", "merged"]), st.lists(st.tuples(inputs, st.integers(0, 12)), max_size=12))
def test_whatever_comes_is_served_or_refused_and_the_state_holds(name: str, told: list[tuple[Input, int]]) -> None:
    life = Joined(name, driver=DESIGNS[name](DriverConfig(Supplier(max_vfs=4), BOUNDS)))
    for x, steps in told:
        before = linux(life).key()
        try:
            life.feed(x)
        except Misuse:
            assert linux(life).key() == before
        for _ in range(steps):
            life.step()
    life.settle()
