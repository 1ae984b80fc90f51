"""Records of a running kernel: its lines into a trace of version 2, counted as the whole trace is."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

import fwpages as fw
from fwpages.cli import invoke
from fwpages.custody.accounts import Report, SessionAccount, Verdict
from fwpages.custody.verdicts import RECORD
from fwpages.machine.calls.lines import Garbled, Lost, parse
from fwpages.machine.calls.probes import MACHINES, Event, Offsets, Point, probes
from fwpages.prm.event import EventType, PageRequestEvent, encode_page_request
from fwpages.prm.message import Answer, Command, encode_answer, encode_command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from tests.machine.calls import (
    ADDRESS,
    DEVICE,
    GROUP,
    completed,
    freed,
    of_trace,
    record,
    requested,
    returned,
    sent,
    worked_off,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "linux-7.2.13-pf-vhca_id.record.jsonl"
_COUNTS = ("given", "returned", "released", "held", "doubtful")


def audited(text: str, folder: Path) -> Report:
    path = folder / "record.jsonl"
    path.write_text(text)
    return fw.audit(path)


def counts(s: SessionAccount) -> dict[str, tuple[int, ...]]:
    """The counts of each function that has or had pages."""
    found: dict[str, tuple[int, ...]] = {}
    for f in s.functions:
        row = tuple(getattr(f, c) for c in _COUNTS)
        before = found.get(f.identity, (0,) * len(row))
        found[f.identity] = tuple(a + b for a, b in zip(row, before, strict=True))
    return {identity: row for identity, row in found.items() if any(row)}


def give(pages: int, function: int = 0) -> Command:
    fields = {"function_id": function, "input_num_entries": pages}
    return Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, fields)


def take(pages: int, function: int = 0) -> Command:
    fields = {"function_id": function, "input_num_entries": pages}
    return Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, fields)


def call(task: int, time: float, command: Command, answer: Answer | None = None, *, label: str = DEVICE) -> list[str]:
    """A command's call and its return."""
    answer = answer or Answer(command.opcode)
    ret = 0 if answer.ok else -errno.EREMOTEIO
    address = ADDRESS + (0x100_0000 if label != DEVICE else 0)
    message = encode_command(command).ljust(16 + 8 * command.fields.get("input_num_entries", 0), b"\0")
    reply = command.reply_length
    return [
        sent(task, time, message, reply, label=label, address=address),
        returned(task, time + 0.001, command.opcode, encode_answer(answer), ret),
    ]


def brought(pages: int) -> Answer:
    return Answer(Opcode.MANAGE_PAGES, fields={"output_num_entries": pages})


def begun(label: str = DEVICE, task: int = 9) -> list[str]:
    """The beginning of a load: ENABLE_HCA, and 37 boot pages."""
    query = Command(Opcode.QUERY_PAGES, QueryPages.BOOT)
    asked = Answer(Opcode.QUERY_PAGES, fields={"num_pages": 37})
    return [
        *call(task, 1.0, Command(Opcode.ENABLE_HCA), label=label),
        *call(task, 2.0, query, asked, label=label),
        *call(task, 3.0, give(37), label=label),
    ]


@pytest.mark.parametrize("scenario", ["connectx7", "reset", "reopen", "late-return", "connectx4-lx"])
def test_a_record_counts_what_the_whole_trace_counts(scenario: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    assert invoke(["run", "--trace", str(whole), scenario]) == 0
    text, journal = record(of_trace(whole))
    assert not journal.counts.gaps
    for found, expected in zip(audited(text, tmp_path).sessions, fw.audit(whole).sessions, strict=True):
        assert counts(found) == counts(expected)
        assert (found.mode, found.end, found.verdict) == (expected.mode, expected.end, expected.verdict)
        assert (found.totals.given, found.totals.held) == (expected.totals.given, expected.totals.held)


def test_a_record_of_an_unmodified_linux_is_clean() -> None:
    """Of two loads of the driver."""
    sessions = fw.audit(GOLDEN).sessions
    assert len(sessions) == 2
    for s in sessions:
        assert (s.device, s.mode, s.end, s.verdict) == ("0000:01:00.0", "vhca_id", "closed", Verdict.CLEAN)
        assert counts(s) == {
            "vhca:0x2a": (2037, 2037, 0, 0, 0),
            "vhca:0x31": (600, 100, 500, 0, 0),
            "vhca:0x90": (7, 0, 7, 0, 0),
        }


def test_functions_of_one_machine_are_told_apart(tmp_path: Path) -> None:
    """Though their commands are under way at the same time, each in a task of its own."""
    other = "0000:01:00.1"
    lines = sorted(begun() + begun(other, 8), key=lambda row: float(row.split(f": {GROUP}_")[0].split()[-1]))
    sessions = audited(record([*lines, *call(8, 4.0, give(5), label=other)])[0], tmp_path).sessions
    assert {s.device: s.totals.given for s in sessions} == {DEVICE: 37, other: 42}


def test_devices_without_a_name_are_numbered_and_said(tmp_path: Path) -> None:
    text, journal = record(begun("(not a name)"))
    assert journal.counts.unnamed == {"unnamed-1"}
    (s,) = audited(text, tmp_path).sessions
    assert s.device == "unnamed-1"


def test_a_record_that_begins_late_is_not_known(tmp_path: Path) -> None:
    lines = [*call(9, 1.0, give(5, 0x31)), *call(9, 2.0, take(3, 0x31), brought(3))]
    (s,) = audited(record(lines)[0], tmp_path).sessions
    assert s.verdict is Verdict.NOT_KNOWN
    assert [m.command for m in s.missing] == [RECORD]
    assert all(f.given is None for f in s.functions)


@pytest.mark.parametrize("lost", ["CPU:0 [LOST 12 EVENTS]", "CPU:3 [LOST EVENTS]", "something else"])
def test_missed_events_are_said_and_never_clean(lost: str, tmp_path: Path) -> None:
    text, journal = record([*begun(), lost, *call(9, 4.0, take(37), brought(37))])
    assert len(journal.counts.gaps) == 1
    (s,) = audited(text, tmp_path).sessions
    assert [f.name for f in s.findings] == ["log-lines-lost"]
    assert not s.clean
    assert all(f.given is None for f in s.functions)


def test_events_that_were_missed_before_any_device_was_seen_are_a_finding(tmp_path: Path) -> None:
    """A device whose session is over is not touched, but the report as a whole is not clean."""
    text, _ = record(["CPU:0 [LOST 12 EVENTS]"])
    assert audited(text, tmp_path).verdict is not Verdict.CLEAN


def test_a_record_in_which_nothing_happened_is_not_known(tmp_path: Path) -> None:
    report = audited(record([])[0], tmp_path)
    assert (report.verdict, list(report.sessions)) == (Verdict.NOT_KNOWN, [])


def test_a_record_without_its_end_was_cut(tmp_path: Path) -> None:
    (s,) = audited(record(begun(), whole=False)[0], tmp_path).sessions
    assert [f.name for f in s.findings] == ["log-lines-lost"]


@pytest.mark.parametrize(
    ("ret", "findings", "verdict"),
    [(-errno.ETIMEDOUT, ["command-timeout"], Verdict.FINDINGS), (-errno.EIO, [], Verdict.NOT_KNOWN)],
)
def test_a_call_that_fails_is_never_clean(ret: int, findings: list[str], verdict: Verdict, tmp_path: Path) -> None:
    lines = [*begun(), sent(9, 4.0, encode_command(give(5)).ljust(56, b"\0"), 16)]
    lines.append(returned(9, 5.0, Opcode.MANAGE_PAGES, b"", ret))
    (s,) = audited(record(lines)[0], tmp_path).sessions
    assert s.verdict is verdict
    assert len(s.findings) == len(findings)


def test_a_refused_command_is_a_finding_with_its_status(tmp_path: Path) -> None:
    answer = Answer(Opcode.MANAGE_PAGES, 8, 0x1234)
    (s,) = audited(record([*begun(), *call(9, 4.0, give(5, 0x31), answer)])[0], tmp_path).sessions
    (finding,) = s.findings
    assert "0x1234" in finding.detail
    assert finding.pages == 5


def test_a_take_that_brings_less_than_firmware_wanted_is_a_finding(tmp_path: Path) -> None:
    """The counts show it, though no address is known."""
    entry = encode_page_request(PageRequestEvent(0, -30))
    lines = [*begun(), requested(4.0, entry), *call(9, 5.0, take(30), brought(20))]
    (s,) = audited(record(lines)[0], tmp_path).sessions
    assert [(f.name, f.pages) for f in s.findings] == [("take-short", 10)]
    assert entry[1] == EventType.PAGE_REQUEST


def test_pages_that_a_take_and_a_release_both_free_are_counted_once(tmp_path: Path) -> None:
    """The driver frees those of the TAKE by the TAKE, as it works the requests off in order."""
    release = encode_page_request(PageRequestEvent(0x31, 0, release_all=True))
    before, after = call(9, 5.0, take(5, 0x31), brought(5))
    lines = [*begun(), *call(9, 4.0, give(600, 0x31)), before, requested(5.0005, release), after]
    (s,) = audited(record(lines)[0], tmp_path).sessions
    assert counts(s)["func:0x31"] == (600, 5, 595, 0, 0)


def test_a_give_that_the_device_completed_before_a_release_did_not_cross_it(tmp_path: Path) -> None:
    """The task that sent it runs later: the completion decides."""
    release = encode_page_request(PageRequestEvent(0x31, 0, release_all=True))
    before, after = call(9, 5.0, give(5, 0x31))
    for completion, row in (([completed(5.0003)], (5, 0, 5, 0, 0)), ([], (5, 0, 0, 0, 5))):
        lines = [*begun(), before, *completion, requested(5.0005, release), after]
        (s,) = audited(record(lines)[0], tmp_path).sessions
        assert counts(s)["func:0x31"] == row


def come(time: float, request: PageRequestEvent, *, seen: bool = True) -> list[str]:
    """A page request that an interrupt brings, if that is seen, and that the driver works off."""
    brings = [requested(time, encode_page_request(request))] if seen else []
    return [*brings, worked_off(time + 0.01, request)]


RELEASE = PageRequestEvent(0x31, 0, release_all=True)


def test_a_request_that_no_interrupt_was_seen_to_bring_is_the_one_that_the_driver_works_off(tmp_path: Path) -> None:
    """The kernel skips a probe in an interrupt that comes in another probe."""
    lines = [*begun(), *come(3.9, PageRequestEvent(0x31, 600)), *call(9, 4.0, give(600, 0x31))]
    lines += [*come(4.5, PageRequestEvent(0x31, -60)), *call(9, 5.0, take(60, 0x31), brought(60))]
    for seen in (True, False):
        text, journal = record([*lines, *come(6.0, RELEASE, seen=seen)])
        (s,) = audited(text, tmp_path).sessions
        assert counts(s)["func:0x31"] == (600, 60, 540, 0, 0)
        assert not s.findings
        assert (journal.counts.gaps, journal.counts.requests) == ({}, 3)
        assert journal.counts.missed_requests == (0 if seen else 1)


def test_the_driver_works_off_what_newer_ones_cut_and_drops_what_it_has_no_memory_for() -> None:
    lines = [*begun(), *come(4.0, PageRequestEvent(0, 5)), requested(4.5, encode_page_request(PageRequestEvent(0, 7)))]
    lines += [
        requested(5.0, encode_page_request(PageRequestEvent(0, -70_000))),
        worked_off(5.1, PageRequestEvent(0, -50_000)),
    ]
    _, journal = record(lines)
    assert (journal.counts.requests, journal.counts.missed_requests, journal.counts.gaps) == (3, 0, {})


GIVEN = [*come(3.9, PageRequestEvent(0x31, 5)), *call(9, 4.0, give(5, 0x31))]


@pytest.mark.parametrize(
    "lines",
    [
        [worked_off(0.5, PageRequestEvent(0, 5)), *begun()],
        [*begun(), worked_off(4.0, PageRequestEvent(0, 5)).replace("pages=5", "pages=(fault)")],
        [*begun(), *GIVEN, *come(4.1, RELEASE, seen=False)],
    ],
    ids=["of a device that is not known", "that cannot be read", "that may have come before the answer to a GIVE"],
)
def test_a_missed_request_whose_place_or_content_is_open_is_never_clean_and_never_blames(
    lines: list[str], tmp_path: Path
) -> None:
    text, journal = record(lines)
    assert len(journal.counts.gaps) == 1
    report = audited(text, tmp_path)
    assert report.verdict is not Verdict.CLEAN
    assert {f.name for s in report.sessions for f in s.findings} <= {"log-lines-lost"}


def test_requests_that_come_while_a_driver_loads_may_all_be_missed(tmp_path: Path) -> None:
    lines = [*begun(), *come(3.5, PageRequestEvent(0x31, 5), seen=False), *call(9, 4.0, give(5, 0x31))]
    text, journal = record(lines)
    assert (journal.counts.requests, journal.counts.gaps) == (1, {})
    (s,) = audited(text, tmp_path).sessions
    assert counts(s)["func:0x31"] == (5, 0, 0, 5, 0)


def test_a_missed_release_long_after_the_last_give_did_not_cross_it(tmp_path: Path) -> None:
    lines = [
        *begun(),
        *come(3.9, PageRequestEvent(0x31, 5)),
        *call(9, 4.0, give(5, 0x31)),
        *come(60.0, RELEASE, seen=False),
    ]
    text, journal = record(lines)
    (s,) = audited(text, tmp_path).sessions
    assert counts(s)["func:0x31"] == (5, 0, 5, 0, 0)
    assert not journal.counts.gaps


def test_a_give_whose_completion_was_missed_may_not_have_been_crossed(tmp_path: Path) -> None:
    """Completions of other commands were seen: this one's would have been, but for the kernel."""
    (first, answered), (before, after) = call(9, 4.0, give(5, 0x31)), call(9, 5.0, give(5, 0x31))
    release = requested(5.0005, encode_page_request(RELEASE))
    text, journal = record([*begun(), first, completed(4.0003), answered, before, release, after])
    assert len(journal.counts.gaps) == 1
    (s,) = audited(text, tmp_path).sessions
    assert [f.name for f in s.findings] == ["log-lines-lost"]


def test_with_addresses_a_take_has_the_pages_that_came_back() -> None:
    lines = [*begun(), *call(9, 4.0, take(2), brought(2)), freed(9, 4.1, 0x5000), freed(8, 4.1, 0x6000)]
    last = json.loads(record([*lines, freed(9, 4.2, 0x7000)], addresses=True)[0].splitlines()[-2])
    assert (last["out"][32:], last["length"]) == (f"{0x5000:016x}{0x7000:016x}", 32)
    short = json.loads(record(lines, addresses=True)[0].splitlines()[-2])
    assert (len(short["out"]), short["length"]) == (32, 32), "one page was not seen: the count alone"


def test_a_line_is_read_whatever_the_name_of_the_task() -> None:
    call = parse(returned(9, 4.25, Opcode.MANAGE_PAGES, bytes(16), -110), GROUP)
    assert not isinstance(call, (Lost, Garbled))
    assert call is not None
    assert (call.event, call.task, call.time, call.number("ret")) == (Event.ANSWER, 9, 4.25, -110)
    assert call.bytes_of("head") == bytes(16)


def test_a_field_that_cannot_be_read_is_not_known() -> None:
    line = returned(9, 4.25, Opcode.MANAGE_PAGES, bytes(16)).replace("{0x0,0x0,0x0,0x0}", "(fault)")
    _, journal = record([*begun(), sent(9, 4.0, encode_command(take(2)), 32), line])
    assert list(journal.counts.gaps) == ["MANAGE_PAGES: the answer could not be read"]


@pytest.mark.parametrize("machine", MACHINES)
def test_events_read_registers_and_are_filtered_by_the_opcode(machine: str) -> None:
    wanted = probes(machine, Offsets(40, 8, 0x7D8), arguments=True, addresses=True)
    lines = {p.event: p.definition(GROUP, f"mlx5_core:{p.point.value}") for p in wanted}
    register = {"x86_64": "%di", "aarch64": "%x0"}[machine]
    assert f"name=+0(+8(-40({register}))):string" in lines[Event.COMMAND]
    assert f"name=+0(+8(-2048({register}))):string" in lines[Event.REQUEST]
    assert all(p.condition for p in wanted if p.point in (Point.COMMAND, Point.CHECK))
    assert "op == 0x801" in next(p.condition for p in wanted if p.event is Event.COMMAND)
    older = probes(machine, None, arguments=False, addresses=False)
    assert all("$arg" not in read and "name=" not in read for p in older for read in p.reads)
    assert Point.FREE not in {p.point for p in older}
