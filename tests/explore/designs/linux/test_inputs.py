"""Inputs of the Linux models: what becomes of each, and which are refused before anything changes."""

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
from tests.explore.designs.driver_run import BOUNDS, DriverRun, T
from tests.explore.designs.linux.test_driver import linux
from tests.explore.designs.linux.test_eswitch import other_cap
from tests.explore.designs.linux.test_pages import BOTH, GIVE, manages, opened

VF, SF = VportInfo(1, T.VF, 1), VportInfo(0x200, T.SF, 0x200)


def refused(run: DriverRun, x: Input, words: str) -> None:
    """The input may not come now; nothing of the state changes, not even the time."""
    d = linux(run)
    before, now, view = d.key(), d.now, d.view()
    with pytest.raises(Misuse, match=words):
        d.feed(run.now + 100, x)
    assert (d.key(), d.now, d.view()) == (before, now, view)


# -- what may not come ------------------------------------------------------------------------------------------------


@BOTH
def test_a_device_is_opened_once_and_closed_once(name: str) -> None:
    run = DriverRun(name)
    refused(run, Close(), "close: session 0 is not open")
    refused(run, EnableVport(1), "enable vport 0x1: session 0 is not open")
    run.feed(Open())
    refused(run, Open(), "open: session 1 is open, or something is under way")
    refused(run, Close(), "close: session 1 is not open, or something is under way")
    run.settle()
    refused(run, Open(), "open: session 1 is open")
    run.feed(Close())
    refused(run, Close(), "close: session 1")
    refused(run, DisableVport(1), "disable vport 0x1: session 1 is not open")


@BOTH
def test_a_vport_is_switched_to_what_it_is_not(name: str) -> None:
    run = opened(name)
    refused(run, EnableVport(0x77), "enable vport 0x77: there is no such vport")
    refused(run, EnableVport(1), "enable vport 0x1: it is already enabled")
    refused(run, DisableVport(2), "disable vport 0x2: it is not enabled")
    run.fate = lambda c: "lost" if other_cap(c) else None
    run.feed(EnableVport(2))
    refused(run, EnableVport(2), "already enabled")
    run.feed(DisableVport(2))
    refused(run, DisableVport(2), "not enabled")
    run.feed(EnableVport(2))
    assert tuple(map(str, run.driver.view().busy)) == ("enable vport 0x2", "disable vport 0x2", "enable vport 0x2")


def test_a_function_without_a_name_in_func_id_mode_cannot_be_enabled_there() -> None:
    run = DriverRun("merged", ecpf=True)
    run.do(Open("func_id"), FunctionsChanged((VportInfo(0x2000, T.SPF, 9, vhca_id=0x36),)))
    refused(run, EnableVport(0x2000), "FUNC_ID mode has no name for this function")


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
    run = opened(name)
    refused(run, FunctionsChanged(infos), f"functions changed: {words}")


@BOTH
def test_a_vport_whose_turn_has_not_come_is_busy_too(name: str) -> None:
    run = opened(name)
    run.fate = lambda c: "lost" if other_cap(c) else None
    run.feed(EnableVport(2))
    run.feed(EnableVport(0x200))
    two, sf = run.vports[1:]
    refused(run, FunctionsChanged((VF, sf)), "vport 0x2 is enabled")
    refused(run, FunctionsChanged((VF, two)), "vport 0x200 is enabled")


@BOTH
def test_a_thread_goes_on_by_itself_only_where_nothing_else_lets_it_go_on(name: str) -> None:
    for thread in ("driver", "eswitch", "health", "pages", ""):
        refused(opened(name), Run(thread), f"{thread} cannot go on by itself")


# -- what changes nothing ---------------------------------------------------------------------------------------------


@BOTH
def test_answers_to_no_waiting_command_are_passed_over(name: str) -> None:
    """The slot is as new, or the answer is another command's."""
    run = opened(name)
    run.fate = lambda c: "lost" if manages(c, GIVE) else None
    run.do(Want("vf0", 1), until=run.now)
    sent, d = run.ids[-1], linux(run)
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
        assert (d.feed(run.now, x), d.key()) == ([], before), x


@BOTH
def test_page_requests_are_heard_between_their_queue_s_creation_and_its_end(name: str) -> None:
    run = DriverRun(name)
    request, d = run.request(0x2A, 1), linux(run)
    seen: list[tuple[bool, bool]] = []

    def listen() -> None:
        copies = d.clone(), d.clone()
        copies[0].feed(run.now, request)
        lost = copies[1].feed(run.now, NotQueued(request))
        seen.append((bool(copies[0].requests), bool(lost)))

    listen()
    run.do(Open())
    listen()
    run.fate = lambda c: "lost" if c.opcode == Opcode.DESTROY_EQ else None
    run.feed(Close())
    listen()
    assert seen == [(False, False), (True, True), (False, False)]


# -- memory -----------------------------------------------------------------------------------------------------------


@BOTH
def test_a_page_that_is_mapped_at_0_is_mapped_once_more(name: str) -> None:
    """pagealloc.c:alloc_system_page: firmware has no page at address 0."""
    run = opened(name)
    run.stopped = {"pages"}
    run.do(Want("vf0", 1))
    (asked,) = linux(run).feed(run.now, Run("pages"))
    assert isinstance(asked, Map)
    assert linux(run).feed(run.now, Mapped(asked.iova, 1, 0)) == [Unmap(0, 1), asked]
    elsewhere = 1 << 41
    run.feed(Mapped(asked.iova, 1, elsewhere))
    assert run.sent[-1].pas.tolist() == [elsewhere], "wherever it lies"
    assert elsewhere in linux(run).mapped
    assert asked.iova not in linux(run).mapped


# -- trouble ----------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("x", [HealthFatal("synd"), LinkLost("gone")])
def test_trouble_is_taken_notice_of_once_and_only_while_there_is_a_device(name: str, x: Input) -> None:
    """health.c:poll_health runs between mlx5_cmd_enable and mlx5_cmd_disable."""
    run = DriverRun(name)
    run.feed(x)
    assert not linux(run).error
    run.do(Open())
    run.stopped = {"health"}
    run.feed(x)
    key = linux(run).key()
    run.feed(x)
    assert (linux(run).key(), linux(run).threads()) == (key, ("health",))


@BOTH
def test_trouble_in_a_close_begins_no_recovery(name: str) -> None:
    run = opened(name)
    run.fate = lambda c: "lost"
    run.feed(Close())
    run.feed(HealthFatal("synd"))
    assert (linux(run).error, list(linux(run).running)) == (True, ["driver"])


@BOTH
def test_a_fence_of_one_function_is_not_the_device_s(name: str) -> None:
    """A VF's reset proves nothing about its PF."""
    run = opened(name)
    run.feed(Close(Teardown.FORCE))
    while not linux(run).view().waiting.get("driver", "").startswith("bus mastering"):
        assert run.step()
    run.to_device.clear()
    run.feed(Fenced(Proof.FUNCTION_LEVEL_RESET, Scope.OTHER))
    assert tuple(map(str, run.driver.view().busy)) == ("close",)
    run.feed(Fenced(Proof.FUNCTION_LEVEL_RESET))
    assert run.done[-1] == ("close", True)


USERS: list[Input] = [Open(), Open("func_id"), Close(), Close(Teardown.FORCE), FunctionsChanged((SF,))]
VPORTS: list[Input] = [EnableVport(1), DisableVport(1), EnableVport(0x200), FunctionsChanged((VF, SF))]
OTHERS: list[Input] = [HealthFatal("synd"), LinkLost("gone"), Run("pages"), Run("driver"), Run("health"), Tick()]
inputs = st.sampled_from([*USERS, *VPORTS, *OTHERS])


@settings(max_examples=30)
@given(st.sampled_from(["posted", "merged"]), st.lists(st.tuples(inputs, st.integers(0, 12)), max_size=12))
def test_whatever_comes_is_served_or_refused_and_the_state_holds(name: str, seen: list[tuple[Input, int]]) -> None:
    run = DriverRun(name, driver=DESIGNS[name](DriverConfig(Supplier(max_vfs=4), BOUNDS)))
    for x, steps in seen:
        before = linux(run).key()
        try:
            run.feed(x)
        except Misuse:
            assert linux(run).key() == before
        for _ in range(steps):
            run.step()
    run.settle()
