"""A driver's lines beside command dumps; instead of them is ``test_messages_alone.py``."""

from __future__ import annotations

import pytest

from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages

CMD = "MANAGE_PAGES(0x108)"
OK = Answer(Opcode.MANAGE_PAGES)


def _dumped(*, vhca: bool = True) -> AuditedTrace:
    """A log whose dumps, and the lines that confirm them, have shown the start."""
    trace = AuditedTrace(log=True)
    trace.opened(vhca=vhca)
    own, mode = (OWN_VHCA, 1) if vhca else (0, 0)
    trace.say("npages 10, ec_function 0, func 0x0, mode 0, err 0")
    trace.say(f"npages 20, ec_function 0, func {own:#x}, mode {mode}, err 0")
    assert trace.found == []
    return trace


@pytest.mark.parametrize(("vhca", "who"), [(True, "vhca:0x31"), (False, "func:0x31")])
def test_a_give_that_its_line_confirms_is_fine_and_other_words_are_the_logs(vhca: bool, who: str) -> None:
    for npages, names in ((7, []), (8, ["log-disagrees"])):
        trace = _dumped(vhca=vhca)
        trace.give(0x31, pages(0x500, 7))
        trace.say(f"npages {npages}, ec_function 0, func 0x31, mode {int(vhca)}, err 0")
        assert (trace.names, trace.out()[who]) == (names, 7)
        assert {blame for _, blame, *_ in trace.found} <= {"log"}


def test_lines_confirm_gives_in_order_and_may_leave_some_out() -> None:
    trace = _dumped()
    for n in (1, 2, 3):
        trace.give(0x31, pages(0x100 * (n + 4), n))
    trace.say("npages 2, ec_function 0, func 0x31, mode 1, err 0", "npages 3, ec_function 0, func 0x31, mode 1, err 0")
    assert (trace.names, trace.s.driver.unconfirmed) == ([], [])


def test_a_line_of_a_give_without_its_dump_costs_the_functions_counts() -> None:
    trace = _dumped()
    trace.say("npages 7, ec_function 0, func 0x31, mode 1, err 0")
    assert trace.found == [("log-lines-lost", "log", "vhca:0x31", 7)]
    assert list(trace.unsure) == ["vhca:0x31"]


@pytest.mark.parametrize("line", ["next", "end"])
def test_a_line_of_a_take_without_its_dump_costs_them_too(line: str) -> None:
    trace = _dumped()
    trace.say("func 0x31, npages 5, outlen 56 mode 1")
    assert trace.names == []
    if line == "next":
        trace.say(f"func {OWN_VHCA:#x}, npages 30, outlen 256 mode 1")
    else:
        trace.plain(Opcode.DISABLE_HCA)
        trace.over()
    assert ("log-lines-lost", "log", "vhca:0x31", None) in trace.found


def test_a_take_whose_dump_follows_its_line_is_fine() -> None:
    trace = _dumped()
    trace.say(f"func {OWN_VHCA:#x}, npages 10, outlen 96 mode 1")
    trace.take(OWN_VHCA, pages(0x100, 10))
    trace.plain(Opcode.DISABLE_HCA)
    assert "log-lines-lost" not in [f.name for f in trace.over().findings]


@pytest.mark.parametrize("first", ["event", "line"])
@pytest.mark.parametrize(("n", "names"), [(7, []), (6, ["log-disagrees"])])
def test_a_release_all_is_compared_with_what_the_function_had(first: str, n: int, names: list[str]) -> None:
    trace = _dumped()
    trace.give(0x31, pages(0x500, 7))
    trace.say("npages 7, ec_function 0, func 0x31, mode 1, err 0")
    if first == "event":
        trace.event(0x31, 0, release_all=True)
    trace.say(f"npages {n}, ec_function 0, func 0x31, mode 1")
    assert (trace.names, trace.out()) == (names, {"vhca:0x2a": 30})


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["FW pages counter is 30 after reclaiming all pages"], []),
        (["FW pages counter is 29 after reclaiming all pages"], ["counters-disagree"]),
        (["VFs FW pages counter is 2 after reclaiming all pages"], []),
    ],
)
def test_the_drivers_own_counter_is_compared_with_its_commands(words: list[str], names: list[str]) -> None:
    trace = _dumped()
    trace.say(*words)
    trace.over()
    assert trace.names == names
    assert {blame for _, blame, *_ in trace.found} <= {"host"}


@pytest.mark.parametrize(
    "line",
    [
        "page not found",
        "fw returned 60, driver asked 50 => corruption",
        "page notify failed func_id(3) err(-5)",
        f"{CMD} op_mod(0x1) failed, status bad parameter(0x3), syndrome (0x1), err(-22)",
        "func_id 0x31, npages 7, err -5",
        "failed reclaiming pages: err -22",
    ],
)
def test_a_failure_that_dumps_show_is_not_reported_twice(line: str) -> None:
    trace = _dumped()
    trace.say(line)
    trace.over()
    assert trace.names == []


def test_a_command_that_the_driver_stopped_waiting_for_is_reported_once() -> None:
    trace = _dumped()
    trace.submit(trace.give_command(0x31, pages(0x500, 7)), slot=31)
    trace.submit(Command(Opcode.QUERY_ADAPTER), slot=1)
    trace.say(f"cmd[1]: {CMD} No done completion")
    assert len(trace.s.pending) == 2
    trace.say(f"cmd[31]: {CMD} No done completion", f"{CMD} timeout. Will cause a leak of a command resource")
    assert trace.found == [("give-unanswered", "device", "vhca:0x31", 7)]
    assert len(trace.s.pending) == 1


def test_a_time_out_of_a_command_whose_dump_looks_answered_leaves_its_pages_unknown() -> None:
    trace = _dumped()
    trace.give(0x31, pages(0x500, 7))
    trace.say(f"{CMD} timeout. Will cause a leak of a command resource")
    assert trace.found == [("give-unanswered", "device", "vhca:0x31", None)]
    assert list(trace.unsure) == ["vhca:0x31"]


def test_a_time_out_of_another_command_leaves_the_pages_as_they_are() -> None:
    trace = _dumped()
    trace.give(0x31, pages(0x500, 7))
    trace.say("CREATE_EQ(0x301) timeout. Will cause a leak of a command resource")
    assert (trace.found, trace.unsure) == ([("command-unanswered", "device", None, None)], {})


def test_a_line_that_contradicts_the_negotiation_is_the_drivers() -> None:
    trace = _dumped(vhca=False)
    trace.say("func 0x31, npages 5, outlen 56 mode 1")
    assert trace.found[0] == ("mode-mismatch", "host", None, None)
    assert trace.so_far().mode == "func_id"
