"""What a driver's lines say beside command dumps; instead of them is ``test_messages_alone.py``."""

from __future__ import annotations

import pytest

from fwpages.prm.identity import Mode
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from tests.auditor.fed import Fed
from tests.auditor.lives import OWN_VHCA, pages

CMD = "MANAGE_PAGES(0x108)"
OK = Answer(Opcode.MANAGE_PAGES)


def _dumped(*, vhca: bool = True) -> Fed:
    """A log whose dumps, and the lines that confirm them, have shown the start."""
    life = Fed(log=True)
    life.opened(vhca=vhca)
    own, mode = (OWN_VHCA, 1) if vhca else (0, 0)
    life.say("npages 10, ec_function 0, func 0x0, mode 0, err 0")
    life.say(f"npages 20, ec_function 0, func {own:#x}, mode {mode}, err 0")
    assert life.found == []
    return life


@pytest.mark.parametrize(("vhca", "who"), [(True, "vhca:0x31"), (False, "func:0x31")])
def test_a_give_that_its_line_confirms_is_fine_and_other_words_are_the_logs(vhca: bool, who: str) -> None:
    for told, names in ((7, []), (8, ["log-disagrees"])):
        life = _dumped(vhca=vhca)
        life.give(0x31, pages(0x500, 7))
        life.say(f"npages {told}, ec_function 0, func 0x31, mode {int(vhca)}, err 0")
        assert (life.names, life.out()[who]) == (names, 7)
        assert {blame for _, blame, *_ in life.found} <= {"log"}


def test_lines_confirm_gives_in_order_and_may_leave_some_out() -> None:
    life = _dumped()
    for n in (1, 2, 3):
        life.give(0x31, pages(0x100 * (n + 4), n))
    life.say("npages 2, ec_function 0, func 0x31, mode 1, err 0", "npages 3, ec_function 0, func 0x31, mode 1, err 0")
    assert (life.names, life.s.driver.unconfirmed) == ([], [])


def test_a_line_of_a_give_without_its_dump_costs_the_functions_counts() -> None:
    life = _dumped()
    life.say("npages 7, ec_function 0, func 0x31, mode 1, err 0")
    assert life.found == [("log-lines-lost", "log", "vhca:0x31", 7)]
    assert list(life.unsure) == ["vhca:0x31"]


@pytest.mark.parametrize("line", ["next", "end"])
def test_a_line_of_a_take_without_its_dump_costs_them_too(line: str) -> None:
    life = _dumped()
    life.say("func 0x31, npages 5, outlen 56 mode 1")
    assert life.names == []
    if line == "next":
        life.say(f"func {OWN_VHCA:#x}, npages 30, outlen 256 mode 1")
    else:
        life.plain(Opcode.DISABLE_HCA)
        life.over()
    assert ("log-lines-lost", "log", "vhca:0x31", None) in life.found


def test_a_take_whose_dump_follows_its_line_is_fine() -> None:
    life = _dumped()
    life.say(f"func {OWN_VHCA:#x}, npages 10, outlen 96 mode 1")
    life.take(OWN_VHCA, pages(0x100, 10))
    life.plain(Opcode.DISABLE_HCA)
    assert "log-lines-lost" not in [f.name for f in life.over().findings]


@pytest.mark.parametrize("first", ["event", "line"])
@pytest.mark.parametrize(("n", "names"), [(7, []), (6, ["log-disagrees"])])
def test_a_release_all_is_compared_with_what_the_function_had(first: str, n: int, names: list[str]) -> None:
    life = _dumped()
    life.give(0x31, pages(0x500, 7))
    life.say("npages 7, ec_function 0, func 0x31, mode 1, err 0")
    if first == "event":
        life.event(0x31, 0, release_all=True)
    life.say(f"npages {n}, ec_function 0, func 0x31, mode 1")
    assert (life.names, life.out()) == (names, {"vhca:0x2a": 30})


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["FW pages counter is 30 after reclaiming all pages"], []),
        (["FW pages counter is 29 after reclaiming all pages"], ["counters-disagree"]),
        (["VFs FW pages counter is 2 after reclaiming all pages"], []),
    ],
)
def test_the_drivers_own_counter_is_compared_with_its_commands(words: list[str], names: list[str]) -> None:
    life = _dumped()
    life.say(*words)
    life.over()
    assert life.names == names
    assert {blame for _, blame, *_ in life.found} <= {"host"}


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
    life = _dumped()
    life.say(line)
    life.over()
    assert life.names == []


def test_a_command_that_the_driver_stopped_waiting_for_is_reported_once() -> None:
    life = _dumped()
    life.submit(life.give_command(0x31, pages(0x500, 7)), slot=31)
    life.submit(Command(Opcode.QUERY_ADAPTER), slot=1)
    life.say(f"cmd[1]: {CMD} No done completion")
    assert len(life.s.pending) == 2
    life.say(f"cmd[31]: {CMD} No done completion", f"{CMD} timeout. Will cause a leak of a command resource")
    assert life.found == [("give-unanswered", "device", "vhca:0x31", 7)]
    assert len(life.s.pending) == 1


def test_a_time_out_of_a_command_whose_dump_looks_answered_leaves_its_pages_unknown() -> None:
    life = _dumped()
    life.give(0x31, pages(0x500, 7))
    life.say(f"{CMD} timeout. Will cause a leak of a command resource")
    assert life.found == [("give-unanswered", "device", "vhca:0x31", None)]
    assert list(life.unsure) == ["vhca:0x31"]


def test_a_time_out_of_another_command_leaves_the_pages_as_they_are() -> None:
    life = _dumped()
    life.give(0x31, pages(0x500, 7))
    life.say("CREATE_EQ(0x301) timeout. Will cause a leak of a command resource")
    assert (life.found, life.unsure) == ([("command-unanswered", "device", None, None)], {})


def test_a_line_that_contradicts_the_negotiation_is_the_drivers() -> None:
    life = _dumped(vhca=False)
    life.say("func 0x31, npages 5, outlen 56 mode 1")
    assert life.found[0] == ("mode-mismatch", "host", None, None)
    assert life.s.naming.mode is Mode.FUNC_ID
