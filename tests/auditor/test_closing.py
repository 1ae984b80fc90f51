"""A session that is over: what is left and by whose fault, and what was still under way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fwpages.custody.accounts import SessionAccount
from fwpages.custody.verdicts import Lack
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode, Teardown
from fwpages.prm.status import Status
from tests.auditor.account_checks import OWN, row
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages

REFUSED = Answer(Opcode.MANAGE_PAGES, Status.BAD_RES_STATE)


def _opened(*, log: bool = False, numbered: bool = False, vhca: bool = True) -> AuditedTrace:
    trace = AuditedTrace(log=log, numbered=numbered)
    trace.opened(vhca=vhca)
    return trace


def _told(s: SessionAccount) -> list[tuple[str, str, str | None, int | None]]:
    return [(f.name, f.blame, f.function, f.pages) for f in s.findings]


# -- whose fault it is that pages are left


def _never_asked(trace: AuditedTrace, own: int) -> None:
    """No TAKE at all."""


def _stopped(trace: AuditedTrace, own: int) -> None:
    trace.take(own, pages(0x100, 10))


def _brought_nothing(trace: AuditedTrace, own: int) -> None:
    trace.take(own, pages(0x100, 10))
    trace.take(own, pages(0, 0), asked=20)


def _refused(trace: AuditedTrace, own: int) -> None:
    trace.cmd(trace.take_command(own, 30), REFUSED)


def _unanswered(trace: AuditedTrace, own: int) -> None:
    trace.give_up(trace.submit(trace.take_command(own, 30)))


@pytest.mark.parametrize(
    ("takes", "blame", "n", "why"),
    [
        (_never_asked, "host", 30, "the host never asked for them"),
        (_stopped, "host", 20, "the host stopped asking, though its last TAKE brought 10"),
        (_brought_nothing, "device", 20, "the last TAKE brought nothing"),
        (_refused, "device", 30, "the device refused the last TAKE"),
        (_unanswered, "device", 30, "the last TAKE was not answered"),
    ],
)
@pytest.mark.parametrize("vhca", [True, False])
def test_whose_fault_pages_are_that_are_left(
    takes: Callable[[AuditedTrace, int], None], blame: str, n: int, why: str, vhca: bool
) -> None:
    trace = _opened(vhca=vhca)
    takes(trace, OWN_VHCA if vhca else 0)
    trace.plain(Opcode.DISABLE_HCA)
    s = trace.over()
    assert (s.end, s.clean) == ("closed", False)
    assert _told(s)[-1] == ("pages-left", blame, OWN if vhca else "func:0x0", n)
    assert s.findings[-1].detail.endswith(why)


def test_pages_of_a_session_that_was_not_closed_are_the_hosts() -> None:
    s = _opened().over("next")
    assert (s.end, _told(s)) == ("reset", [("pages-left", "host", OWN, 30)])
    assert "without DISABLE_HCA" in s.findings[0].detail


def test_generations_of_one_function_are_one_finding() -> None:
    trace = _opened(vhca=False)
    for first in (0x500, 0x600):
        trace.plain(Opcode.ENABLE_HCA, function_id=3)
        trace.give(3, pages(first, 2))
        trace.plain(Opcode.DISABLE_HCA, function_id=3)
    s = trace.over("next")
    assert _told(s) == [("pages-left", "host", "func:0x0", 30), ("pages-left", "host", "func:0x3", 4)]
    assert [(f.identity, f.generation, f.held) for f in s.functions[1:]] == [("func:0x3", 0, 2), ("func:0x3", 1, 2)]


@pytest.mark.parametrize("why", ["eof", "restart"])
def test_what_an_open_session_has_is_not_left(why: str) -> None:
    s = _opened().over("eof" if why == "eof" else "restart")
    assert (s.end, s.verdict, s.totals.held) == ("open", "consistent so far", 30)
    assert s.notes == ["the input ends with the device open"]


def test_what_a_forced_teardown_leaves_is_noted_and_not_clean() -> None:
    trace = _opened()
    trace.plain(Opcode.TEARDOWN_HCA, profile=Teardown.FORCE)
    s = trace.over()
    assert (s.end, s.findings, s.verdict) == ("forced", [], "not known")
    assert s.missing == [Lack.FENCE.missing]
    assert f"torn down by force: pages left on purpose: {OWN} 30" in s.notes
    trace = _opened()
    trace.plain(Opcode.TEARDOWN_HCA, Status.BAD_OP, profile=Teardown.FORCE)
    assert trace.over().end == "open"
    trace = _opened()
    trace.take(OWN_VHCA, pages(0x100, 10))
    trace.take(OWN_VHCA, pages(0x200, 20))
    trace.plain(Opcode.TEARDOWN_HCA, profile=Teardown.FORCE)
    s = trace.over()
    assert (s.clean, s.notes) == (True, ["torn down by force"])


# -- commands that no answer was seen to


def test_a_command_under_way_where_the_input_ends_is_no_fault_and_its_pages_are_in_doubt() -> None:
    trace = _opened()
    trace.submit(trace.give_command(0x31, pages(0x500, 7)))
    trace.submit(trace.take_command(OWN_VHCA, 5))
    s = trace.over()
    assert (s.verdict, row(s, "vhca:0x31").doubtful, row(s, OWN).doubtful) == ("consistent so far", 7, 0)
    assert sum("was still under way at the end" in n for n in s.notes) == 2


@pytest.mark.parametrize(
    ("how", "waited", "end", "found"),
    [
        ({}, 65, "open", [("give-unanswered", "device", "vhca:0x31", 7)]),
        # a trace that is numbered says itself when a host gives up
        ({"numbered": True}, 65, "open", []),
        ({}, 0, "closed", [("log-lines-lost", "log", "vhca:0x31", None)]),
        ({"log": True}, 0, "closed", [("log-lines-lost", "log", "vhca:0x31", None)]),
        ({"log": True}, 65, "open", []),
    ],
)
def test_a_command_without_an_answer(
    how: dict[str, bool], waited: int, end: str, found: list[tuple[str, str, str, int | None]]
) -> None:
    trace = _opened(**how)
    trace.submit(trace.give_command(0x31, pages(0x500, 7)))
    trace.t += waited
    trace.take(OWN_VHCA, pages(0x100, 10))
    trace.take(OWN_VHCA, pages(0x200, 20))
    if end == "closed":
        trace.plain(Opcode.DISABLE_HCA)
    s = trace.over()
    assert (s.end, _told(s)) == (end, found)
    # what became of it is not known, and neither are counts that depend on it
    assert (row(s, "vhca:0x31").given is None) is (found[:1] != [] and found[0][0] == "log-lines-lost")
