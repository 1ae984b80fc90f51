"""A session as commands and answers tell it: what is refused, what is given up, and what is remembered."""

from __future__ import annotations

import pytest

from fwpages.auditor import commands
from fwpages.auditor.session import MAX_NOTES, UNANSWERED_AFTER, Pending
from fwpages.custody.findings import Cause
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CapType, ManagePages, Opcode, QueryPages
from fwpages.prm.status import Status
from fwpages.readers.observations import MissingInput, Place
from tests.auditor.audited_traces import DEVICE, AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages


def _fed(*, vhca: bool = True, log: bool = False) -> AuditedTrace:
    trace = AuditedTrace(log=log)
    trace.opened(vhca=vhca)
    return trace


# -- a command in flight


@pytest.mark.parametrize(
    ("sent", "now", "overdue"),
    [
        (1.0, 1.0 + UNANSWERED_AFTER, True),
        (1, 60.9, False),
        (None, 100.0, False),
        (1.0, "Nov 21", False),
        ("09:02", 99.0, False),
    ],
)
def test_no_host_waits_for_a_command_beyond_its_time(
    sent: float | str | None, now: float | str | None, overdue: bool
) -> None:
    p = Pending(1, Place("t", 1, sent), Opcode.MANAGE_PAGES, ManagePages.TAKE, None)
    assert p.overdue_at(Place("t", 2, now)) is overdue
    assert str(p) == "MANAGE_PAGES(TAKE)"


def test_only_so_many_commands_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MAX_PENDING", 3)
    trace = AuditedTrace()
    keys = [trace.submit(Command(Opcode.QUERY_ADAPTER)) for _ in range(5)]
    assert list(trace.s.pending) == keys[2:]
    for key in keys[2:]:
        trace.give_up(key)
        trace.submit(Command(Opcode.QUERY_ADAPTER))
    trace.give_up(trace.id)
    assert len(trace.s.overdue) == 3


@pytest.mark.parametrize("raw", ["", "0108", "01080000000000", "0108000000000001", "010700000000000100"])
def test_a_command_that_is_too_short_is_the_hosts_and_changes_nothing(raw: str) -> None:
    trace = _fed()
    before = trace.out()
    trace.submit_bytes(bytes.fromhex(raw))
    assert (trace.found, trace.out()) == ([("command-malformed", "host", None, None)], before)


def test_a_device_that_refuses_a_malformed_command_is_right() -> None:
    trace = _fed()
    key = trace.submit_bytes(bytes.fromhex("0107000000000001"))
    trace.complete(key, Answer(Opcode.QUERY_PAGES, Status.BAD_INP_LEN))
    assert [(name, blame) for name, blame, *_ in trace.found] == [
        ("command-malformed", "host"),
        ("command-refused", "host"),
    ]


# -- answers


@pytest.mark.parametrize(("vhca", "who"), [(True, "vhca:0x31"), (False, "func:0x31")])
def test_an_answer_that_is_too_short_leaves_a_give_in_doubt(vhca: bool, who: str) -> None:
    trace = _fed(vhca=vhca)
    trace.complete_bytes(trace.submit(trace.give_command(0x31, pages(0x500, 7))), b"\0\0")
    assert trace.found == [("answer-malformed", "device", who, None)]
    assert (trace.out()[who], trace.s.ledger.left().size) == (7, 37)


def test_an_answer_that_is_too_short_and_says_no_has_said_enough() -> None:
    trace = _fed()
    trace.complete_bytes(trace.submit(trace.give_command(0x31, pages(0x500, 7))), bytes([Status.NO_RES_ERR, 0]))
    assert trace.found == [("give-refused", "device", "vhca:0x31", 7)]
    assert "vhca:0x31" not in trace.out()


def test_a_command_that_did_not_arrive_well_was_not_done() -> None:
    trace = _fed()
    trace.complete(trace.submit(trace.give_command(0x31, pages(0x500, 7))), Answer(Opcode.MANAGE_PAGES), delivery=4)
    assert trace.found[0] == ("delivery-error", "link", "vhca:0x31", None)
    assert "delivery status 0x4" in trace.findings()[0].detail
    assert "vhca:0x31" not in trace.out()


def test_a_buffer_of_zeros_in_a_log_is_no_late_answer() -> None:
    """The driver dumps its output buffer also when it gives up."""
    for log, names in ((True, []), (False, ["late-answer"])):
        trace = _fed(log=log)
        take = trace.submit(trace.take_command(OWN_VHCA, 5))
        trace.give_up(take, said=True)
        before = len(trace.names)
        trace.complete_bytes(take, bytes(16 + 40))
        assert trace.names[before:] == names
        assert (take in trace.s.overdue) is log


@pytest.mark.parametrize(
    ("command", "status", "names"),
    [
        (Command(Opcode.QUERY_ISSI), Status.BAD_OP, []),
        (Command(Opcode.QUERY_ISSI), Status.BAD_PARAM, ["command-refused"]),
        (Command(Opcode.QUERY_HCA_CAP, CapType.ROCE << 1), Status.BAD_PARAM, []),
        (Command(Opcode.QUERY_HCA_CAP, CapType.GENERAL << 1), Status.BAD_PARAM, ["command-refused"]),
        (Command(0x9999), Status.BAD_OP, []),
        (Command(Opcode.INIT_HCA), Status.INTERNAL_ERR, ["command-refused"]),
        (Command(Opcode.TEARDOWN_HCA), Status.BAD_SYS_STATE, ["teardown-refused"]),
    ],
)
def test_what_drivers_only_try_a_device_may_refuse(command: Command, status: int, names: list[str]) -> None:
    trace = _fed()
    trace.cmd(command, Answer(command.opcode, status))
    assert trace.names == names
    assert trace.s.refusing
    trace.cmd(Command(Opcode.QUERY_ADAPTER))
    assert not trace.s.refusing


# -- commands that the host has given up


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, {"function_id": 0x31}), "give-unanswered"),
        (Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"function_id": 0x31}), "take-unanswered"),
        (Command(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, {"function_id": 0x31}), "cant-give-unanswered"),
        (Command(Opcode.MANAGE_PAGES, 9, {"function_id": 0x31}), "command-unanswered"),
        (Command(Opcode.QUERY_PAGES, QueryPages.REGULAR, {"function_id": OWN_VHCA}), "command-unanswered"),
    ],
)
@pytest.mark.parametrize("by_link", [True, False])
def test_a_command_that_is_given_up_is_named_by_what_it_was_to_do(command: Command, name: str, by_link: bool) -> None:
    trace = _fed()
    trace.give_up(trace.submit(command), by_link=by_link)
    assert trace.found[-1][:2] == (name, "link" if by_link else "device")
    # it is reported once, whoever gives it up again
    before = len(trace.found)
    trace.give_up(trace.id)
    assert len(trace.found) == before


def test_what_a_dump_shows_unanswered_is_believed_once_the_driver_says_so() -> None:
    trace = _fed(log=True)
    keys = [trace.submit(c) for c in (trace.give_command(0x31, pages(0x500, 7)), Command(Opcode.QUERY_ADAPTER))]
    for key in keys:
        trace.give_up(key)
    assert trace.names == []
    # the pages are in doubt all the same
    assert trace.out()["vhca:0x31"] == 7
    trace.say("QUERY_ADAPTER(0x101) timeout. Will cause a leak of a command resource")
    assert trace.names == ["command-unanswered"]
    trace.over()
    assert trace.names == ["command-unanswered", "give-unanswered"]


def test_where_lines_are_missing_a_silent_dump_may_be_parts_of_two() -> None:
    trace = _fed(log=True)
    trace.give_up(trace.submit(trace.give_command(0x31, pages(0x500, 7))))
    trace.see(
        MissingInput(place=trace.place(), device=DEVICE, cause=Cause.LOG_LINES_LOST, detail="5 lines", harmless=True)
    )
    trace.over()
    assert trace.names == ["log-lines-lost"]
    assert list(trace.unsure) == ["vhca:0x31"]


# -- lines that are missing


@pytest.mark.parametrize(
    ("lost", "blind", "unsure"),
    [
        ({}, True, []),
        ({"harmless": True}, False, []),
        ({"opcode": Opcode.MANAGE_PAGES, "number": 0x31}, False, ["vhca:0x31"]),
        ({"opcode": Opcode.MANAGE_PAGES}, True, []),
        ({"opcode": Opcode.INIT_HCA}, False, []),
    ],
)
def test_what_is_missing_costs_the_counts_that_it_is_about(
    lost: dict[str, int], blind: bool, unsure: list[str]
) -> None:
    trace = _fed()
    v = MissingInput(place=trace.place(), device=DEVICE, cause=Cause.LOG_LINES_LOST, detail="5 lines", **lost)  # type: ignore[arg-type]  # fields by name
    trace.see(v)
    assert (bool(trace.s.evidence.blind), list(trace.unsure)) == (blind, unsure)
    assert trace.s.evidence.lossy is (blind or bool(unsure))
    assert trace.s.evidence.incomplete
    assert trace.names == ["log-lines-lost"]


def test_an_answer_that_is_missing_leaves_its_function_unsure_and_its_pages_given() -> None:
    trace = _fed()
    key = trace.submit(trace.give_command(0x31, pages(0x500, 7)))
    trace.see(MissingInput(place=trace.place(), device=DEVICE, cause=Cause.LOG_LINES_LOST, detail="no OUTPUT", key=key))
    assert (list(trace.unsure), trace.out()["vhca:0x31"], trace.s.pending) == (["vhca:0x31"], 7, {})


def test_after_a_close_with_nothing_out_nothing_can_be_lost() -> None:
    trace = _fed()
    trace.closed()
    trace.see(MissingInput(place=trace.place(), device=DEVICE, cause=Cause.LOG_LINES_LOST, detail="5 lines"))
    assert not trace.s.evidence.lossy


def test_the_first_reason_stands() -> None:
    trace = AuditedTrace()
    for why in ("first", "second"):
        trace.lose(why)
        trace.lose(why, 0)
    assert (trace.s.evidence.blind, [*trace.unsure.values()]) == ("first", ["first"])


# -- notes


def test_notes_are_made_once_and_are_bounded() -> None:
    trace = AuditedTrace()
    for n in range(MAX_NOTES + 9):
        trace.s.note(f"note {n // 2}")
    assert trace.s.notes == [f"note {n}" for n in range((MAX_NOTES + 10) // 2)]
    for n in range(2 * MAX_NOTES):
        trace.s.note(f"note {n}")
    assert len(trace.s.notes) == MAX_NOTES
