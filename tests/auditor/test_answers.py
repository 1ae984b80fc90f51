"""Answers that come twice, too late or to no command; and commands that the trace forgot to answer."""

from __future__ import annotations

import pytest

from fwpages.auditor import answers
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages

OK = Answer(Opcode.MANAGE_PAGES)


def _fed(*, log: bool = False, numbered: bool = False) -> AuditedTrace:
    trace = AuditedTrace(log=log, numbered=numbered)
    trace.opened()
    return trace


def _settled(trace: AuditedTrace) -> list[str]:
    trace.over()
    return trace.names


def _unmatched(trace: AuditedTrace) -> int:
    """Answers that were passed over, as the account says."""
    words = "answers to commands that were not seen: "
    return sum(int(n.removeprefix(words)) for n in trace.over().notes if n.startswith(words))


@pytest.mark.parametrize("numbered", [True, False])
def test_nothing_is_taken_from_an_answer_that_comes_twice(numbered: bool) -> None:
    trace = _fed(numbered=numbered)
    take = trace.submit(trace.take_command(OWN_VHCA, 10))
    trace.complete(take, trace.took(pages(0x100, 10)))
    trace.give(0x31, pages(0x100, 10))
    trace.complete(take, trace.took(pages(0x100, 10)))
    assert trace.out() == {"vhca:0x2a": 20, "vhca:0x31": 10}
    # until the end it may still be that lines are missing
    assert trace.names == []
    assert _settled(trace) == ["late-answer"]
    assert trace.found[0][1] == "device"


@pytest.mark.parametrize(
    ("how", "names", "passed"),
    [
        ({"numbered": True}, ["answer-unasked"], 0),
        # where nothing says that no line is missing, the command's may be
        ({"numbered": False}, ["log-lines-lost"], 0),
        ({"log": True}, [], 1),
    ],
)
def test_an_answer_to_a_command_that_was_not_seen(how: dict[str, bool], names: list[str], passed: int) -> None:
    trace = _fed(**how)
    trace.complete(999, OK)
    assert (_settled(trace), _unmatched(trace)) == (names, passed)


def test_an_input_that_begins_in_the_middle_need_not_have_the_command() -> None:
    trace = AuditedTrace(numbered=True, late=True)
    trace.complete(999, OK)
    assert (_settled(trace), _unmatched(trace)) == ([], 1)


def test_the_answer_of_a_slot_that_a_fence_gave_back_is_late() -> None:
    trace = _fed()
    answers.done(trace.s, [77])
    trace.complete(77, OK)
    assert _settled(trace) == ["late-answer"]


def test_only_so_many_answered_commands_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_DONE", 3)
    trace = _fed(numbered=True)
    answers.done(trace.s, [101, 102, 103, 104])
    for key in (101, 102, 104):
        trace.complete(key, OK)
    assert _settled(trace) == ["answer-unasked", "late-answer", "late-answer"]


def test_where_lines_are_missing_a_stray_answer_is_no_finding() -> None:
    trace = _fed(numbered=True)
    trace.complete(999, OK)
    trace.complete(trace.id, OK)
    trace.lose("lines are missing")
    assert (_settled(trace), _unmatched(trace)) == (["log-lines-lost"], 2)


# -- commands that have no answer


def test_a_command_whose_slot_was_used_anew_was_answered_in_a_line_that_is_missing() -> None:
    trace = _fed()
    trace.submit(trace.give_command(0x31, pages(0x500, 7)), slot=31)
    trace.submit(Command(Opcode.QUERY_ADAPTER), slot=31)
    assert trace.found == [("log-lines-lost", "log", "vhca:0x31", None)]
    # whether firmware has the pages is not known, so it is assumed, and nothing is counted any more
    assert trace.out()["vhca:0x31"] == 7
    assert trace.so_far().totals.given is None


def test_a_trace_that_contradicts_itself_blames_no_party() -> None:
    """Its numbers say that no line is missing, and yet an answer is: a line may have been changed."""
    trace = _fed(numbered=True)
    trace.take(0x31, pages(0x9000, 3))
    assert trace.names == ["returned-never-given"]
    trace.submit(trace.give_command(0x31, pages(0x500, 7)), slot=31)
    trace.submit(Command(Opcode.QUERY_ADAPTER), slot=31)
    assert _settled(trace) == ["log-lines-lost"]
    assert any(n.startswith("1 findings are left out: the trace contradicts itself") for n in trace.over().notes)


def test_where_lines_are_known_to_be_missing_there_is_no_contradiction() -> None:
    trace = _fed(numbered=True)
    trace.take(0x31, pages(0x9000, 3))
    trace.lose(harmless=True)
    trace.submit(trace.give_command(0x31, pages(0x500, 7)), slot=31)
    trace.submit(Command(Opcode.QUERY_ADAPTER), slot=31)
    assert "returned-never-given" in _settled(trace)


@pytest.mark.parametrize("known", [True, False])
def test_stray_answers_beyond_the_bound_are_counted(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And are no longer anything else: that the trace has lost the commands of some is not said of the rest."""
    monkeypatch.setattr(answers, "MAX_WITHHELD", 3)
    trace = _fed(numbered=True)
    for key in range(900, 907):
        if known:
            answers.done(trace.s, [key])
        trace.complete(key, OK)
    assert _settled(trace) == ["late-answer" if known else "answer-unasked"] * 3
    assert _unmatched(trace) == 4


@pytest.mark.parametrize("n", range(8))
def test_a_command_too_short_to_be_one_has_an_answer_all_the_same(n: int) -> None:
    trace = _fed(numbered=True)
    key = trace.submit_bytes(b"\x01\x08\0\0\0\0\0"[:n], slot=5)
    assert trace.found == [("command-malformed", "host", None, None)]
    assert trace.findings()[0].detail == f"a command of {n} byte{'s' if n != 1 else ''}"
    trace.complete(key, OK)
    assert (_settled(trace), _unmatched(trace)) == (["command-malformed"], 0)


def test_a_command_too_short_to_be_one_may_be_refused() -> None:
    trace = _fed(numbered=True)
    trace.complete(trace.submit_bytes(b"\x01\x08", slot=5), Answer(Opcode.MANAGE_PAGES, Status.BAD_INP_LEN))
    assert {blame for _, blame, *_ in trace.found} == {"host"}
