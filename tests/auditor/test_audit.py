"""Sessions of devices: which line belongs to which. Findings in a session are for ``test_finding_table*.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.auditor import audit as module
from fwpages.auditor.audit import Audit, InputError, audit
from fwpages.custody.accounts import Report
from fwpages.custody.findings import Cause
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Command, encode_command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from fwpages.readers.driver_messages import read_message
from fwpages.readers.inputs import open_source
from fwpages.readers.observations import (
    CommandSubmitted,
    MachineRestart,
    MissingInput,
    Note,
    Observation,
    Place,
)
from fwpages.readers.trace import TraceReader
from tests.auditor.audited_traces import numbered
from tests.auditor.logs import audit_trace, only, write_trace
from tests.auditor.written_traces import WrittenTrace, pages

AT = Place("input", 1, 1.0)


def _line(message: str, device: str = "a") -> Observation:
    line = read_message(AT, device, None, message)
    assert line is not None
    return line


FIRMWARE = "firmware version: 28.39.1002"
BOOT = "requested 5 boot pages for func_id 0x0"
INIT = "requested 5 init pages for func_id 0x0"
GAVE = "npages 5, ec_function 0, func_id 0x0, err 0"


def _enable(device: str = "a", **fields: int) -> CommandSubmitted:
    message = encode_command(Command(Opcode.ENABLE_HCA, fields=fields))
    return CommandSubmitted(place=AT, device=device, key=1, message=message)


def _audited(*things: Observation, log: bool = True) -> Report:
    engine = Audit(log=log)
    engine.feed(things)
    return engine.report()


def _names(report: Report) -> list[list[str]]:
    return [[f.name for f in s.findings] for s in report.sessions]


# -- where a session begins


@pytest.mark.parametrize("vhca", [True, False])
def test_every_enable_hca_of_the_function_itself_begins_a_session(vhca: bool, tmp_path: Path) -> None:
    trace = WrittenTrace()
    for n in (1, 2, 3):
        trace.session = n
        trace.opened(vhca=vhca)
        trace.closed(own=0x2A if vhca else 0)
    report = audit_trace(tmp_path, trace.lines)
    assert [(s.end, s.totals.given, s.clean) for s in report.sessions] == [("closed", 30, True)] * 3


@pytest.mark.parametrize(
    ("fields", "sessions"),
    [
        ({}, 2),
        ({"function_id": 3}, 1),
        ({"function_id": 7, "function_id_type": 1}, 1),
        ({"function_id": 0x2A, "function_id_type": 1}, 2),
    ],
)
def test_the_enable_hca_of_a_vport_begins_none(fields: dict[str, int], sessions: int, tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.plain(Opcode.ENABLE_HCA, **fields)
    assert len(audit_trace(tmp_path, trace.lines).sessions) == sessions


def test_a_start_that_is_tried_again_is_the_same_session_until_pages_are_given(tmp_path: Path) -> None:
    trace = WrittenTrace()
    for _ in range(2):
        trace.plain(Opcode.ENABLE_HCA, Status.RES_BUSY)
    assert only(audit_trace(tmp_path, trace.opened().closed().lines)).totals.given == 30
    trace.plain(Opcode.ENABLE_HCA)
    assert len(audit_trace(tmp_path, trace.lines).sessions) == 2


def test_what_comes_after_a_close_is_another_session_whose_beginning_was_not_seen(tmp_path: Path) -> None:
    trace = WrittenTrace().opened().closed()
    trace.give(0x2A, pages(0x500, 3))
    first, second = audit_trace(tmp_path, trace.lines).sessions
    assert (first.end, first.clean) == ("closed", True)
    assert (second.end, second.totals.given) == ("open", None)


def test_an_enable_hca_that_is_cut_short_begins_none(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace._put("submit", id=900, slot=0, **{"in": "01040000" + "00" * 7})
    s = only(audit_trace(tmp_path, trace.lines))
    assert ([(f.name, f.blame) for f in s.findings], s.totals.given) == ([("command-malformed", "host")], 30)


def test_a_drivers_lines_tell_of_a_new_load() -> None:
    firmware, boot, gave = _line(FIRMWARE), _line(BOOT), _line(GAVE)
    assert len(_audited(firmware, boot, gave, _line(INIT), gave).sessions) == 1
    assert len(_audited(firmware, boot, gave, firmware, boot, gave).sessions) == 2
    # boot pages are asked for once in a load
    assert len(_audited(boot, gave, boot, gave).sessions) == 2
    assert [s.totals.given for s in _audited(gave, boot, gave).sessions] == [None, 5]


# -- which session something belongs to


def test_devices_have_sessions_of_their_own_in_the_order_in_which_they_began() -> None:
    report = _audited(*(_line(message, device) for message in (FIRMWARE, BOOT, GAVE) for device in "bca"))
    assert [(s.device, s.totals.given) for s in report.sessions] == [("b", 5), ("c", 5), ("a", 5)]


def test_a_trace_says_whose_it_is(tmp_path: Path) -> None:
    trace = WrittenTrace(Supplier(max_vfs=4)).opened(vhca=False)
    trace.give(3, pages(0x500, 2))
    assert {f.type.value for f in only(audit_trace(tmp_path, trace.lines)).functions} == {"self", "vf"}


@pytest.mark.parametrize("what", ["aborted", "reset", "lost"])
def test_what_happens_to_a_session_that_is_over_changes_the_next_one_in_nothing(what: str, tmp_path: Path) -> None:
    trace = WrittenTrace().opened().closed()
    trace.session = 2
    trace.opened()
    trace.session = 1
    trace.link(what, id=1)
    trace.session = 2
    first, second = audit_trace(tmp_path, trace.closed().lines).sessions
    assert (first.clean, second.clean, second.end) == (True, True, "closed")


def test_a_higher_number_is_a_later_session_whatever_it_begins_with(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.session = 2
    trace.event(0x2A, 5)
    first, second = audit_trace(tmp_path, trace.lines).sessions
    assert (first.end, second.end, second.totals.given) == ("reset", "open", None)


# -- what concerns every device


def _lost(*, harmless: bool) -> MissingInput:
    return MissingInput(place=AT, device="", cause=Cause.LOG_LINES_LOST, detail="5 messages lost", harmless=harmless)


def test_lines_that_are_lost_may_be_any_open_sessions() -> None:
    opened = [_line(message, device) for device in "ab" for message in (FIRMWARE, GAVE)]
    report = _audited(*opened, _lost(harmless=False))
    assert _names(report) == [["log-lines-lost"]] * 2
    assert [s.totals.given for s in report.sessions] == [None, None]


def test_a_loss_before_the_first_session_changes_no_account() -> None:
    assert _audited(_lost(harmless=False), _enable()).findings == []
    report = _audited(_lost(harmless=True))
    assert ([f.name for f in report.findings], report.sessions, report.clean) == (["log-lines-lost"], [], False)


@pytest.mark.parametrize(("harmless", "found"), [(True, ["log-lines-lost"]), (False, [])])
def test_after_a_close_only_a_loss_at_the_inputs_end_is_reported(
    harmless: bool, found: list[str], tmp_path: Path
) -> None:
    engine = Audit(log=False)
    path = write_trace(tmp_path, WrittenTrace().opened().closed().lines)
    source = open_source(path)
    engine.feed(TraceReader(source).read())
    source.close()
    engine.see(_lost(harmless=harmless))
    assert _names(engine.report()) == [found]


def test_a_machine_that_starts_anew_ends_every_session_without_blame() -> None:
    opened = [_line(message, device) for device in "ab" for message in (FIRMWARE, GAVE)]
    report = _audited(*opened, MachineRestart(place=AT), Note(place=AT, device="a", text="the log begins here"))
    assert [(s.device, s.end, s.findings) for s in report.sessions] == [
        ("a", "open", []),
        ("b", "open", []),
        ("a", "open", []),
    ]
    assert report.sessions[2].notes[0] == "the log begins here"


# -- pages that an earlier session left behind


def _left(*, fenced: bool = False) -> WrittenTrace:
    trace = WrittenTrace().opened().closed([pages(0x100, 10), pages(0, 0)])
    if fenced:
        trace.link("fenced", "bus mastering off")
    return trace


def _then(trace: WrittenTrace, *gives: tuple[int, int]) -> WrittenTrace:
    """Another session that gives pages of its own, and these."""
    trace.session += 1
    trace.enable()
    for first, n in gives:
        trace.give(0, pages(first, n))
        trace.take(0, pages(first, n))
    trace.plain(Opcode.DISABLE_HCA)
    return trace


def test_pages_left_behind_are_not_given_again_until_a_fence(tmp_path: Path) -> None:
    for fenced, names in ((False, ["given-twice"]), (True, [])):
        report = audit_trace(tmp_path, _then(_left(fenced=fenced), (0x205, 3)).lines)
        assert _names(report)[1] == names
    assert audit_trace(tmp_path, _then(_left(), (0x100, 10), (0x300, 20)).lines).sessions[1].findings == []


def test_pages_left_are_remembered_over_sessions_and_each_is_reported_once(tmp_path: Path) -> None:
    trace = _then(_then(_then(_left(), (0x900, 5)), (0x200, 4), (0x200, 4)), (0x202, 4))
    _, none, four, two = audit_trace(tmp_path, trace.lines).sessions
    assert none.findings == []
    assert [(f.name, f.pages) for s in (four, two) for f in s.findings] == [("given-twice", 4), ("given-twice", 2)]


def test_a_session_that_leaves_some_too_adds_its_own_and_brings_none_back(tmp_path: Path) -> None:
    trace = _then(_left(), (0x200, 4))
    # before its DISABLE_HCA it gives five more
    disable = [trace.lines.pop() for _ in range(2)]
    trace.give(0, pages(0x900, 5))
    trace.lines += reversed(disable)
    trace = _then(_then(trace, (0x200, 4)), (0x204, 3), (0x900, 5))
    _, leaves, clean, last = audit_trace(tmp_path, trace.lines).sessions
    assert [(f.name, f.pages) for f in leaves.findings] == [("given-twice", 4), ("pages-left", 5)]
    assert clean.findings == []
    assert [(f.name, f.pages) for f in last.findings] == [("given-twice", 3), ("given-twice", 5)]


def test_so_many_of_them_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LEFTOVERS", 5)
    (f,) = audit_trace(tmp_path, _then(_left(), (0x200, 20)).lines).sessions[1].findings
    assert (f.name, f.pages) == ("given-twice", 5)


# -- several inputs


def test_each_input_stands_for_itself(tmp_path: Path) -> None:
    left = write_trace(tmp_path, _left().lines, "left.jsonl")
    again = write_trace(tmp_path, WrittenTrace().opened().closed().lines, "again.jsonl")
    assert _names(audit(left, again)) == [["pages-left"], []]
    whole = write_trace(tmp_path, numbered(WrittenTrace().opened().closed()), "whole.jsonl")
    assert audit(whole, again).clean


def test_standard_input_is_read_once() -> None:
    with pytest.raises(InputError, match=r"standard input \(-\) can be read once only"):
        audit("-", "-")
