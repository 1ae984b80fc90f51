"""Page requests that deserve a finding, and reasons of a reset."""

from __future__ import annotations

from pathlib import Path

from fwpages.prm.event import EventType
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.prm.status import Status
from tests.auditor.account_checks import audit_written, one
from tests.auditor.written_traces import OWN_VHCA, WrittenTrace, pages


def test_a_page_request_needs_an_event_queue(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.plain(Opcode.DESTROY_EQ, eq_number=3)
    trace.event(OWN_VHCA, 5)
    f = one(audit_written(tmp_path, trace), "request-without-eq")
    assert f.blame == "device"
    # one that reports something else brings none
    other = Command(Opcode.CREATE_EQ, fields={"event_bitmask_0": ~(1 << EventType.PAGE_REQUEST) & 0xFFFF})
    for answered in (False, True):
        trace = WrittenTrace().enable()
        making = trace.submit(other)
        if answered:
            trace.complete(making, Answer(Opcode.CREATE_EQ, fields={"eq_number": 7}))
        trace.event(0, 5)
        assert one(audit_written(tmp_path, trace), "request-without-eq").blame == "device"
    # one that is being made may exist already, and one that did not go is still there
    trace = WrittenTrace().enable()
    eq = trace.submit(Command(Opcode.CREATE_EQ, fields={"event_bitmask_0": 1 << EventType.PAGE_REQUEST}))
    trace.event(0, 5)
    trace.complete(eq, Answer(Opcode.CREATE_EQ, fields={"eq_number": 7}))
    trace.plain(Opcode.DESTROY_EQ, Status.RES_BUSY, eq_number=7)
    trace.event(0, 5)
    assert [f.name for f in audit_written(tmp_path, trace).findings] == ["command-refused"]


def test_a_page_request_after_the_close_is_stale(tmp_path: Path) -> None:
    trace = WrittenTrace().opened().closed()
    trace.event(OWN_VHCA, 5)
    assert one(audit_written(tmp_path, trace), "stale-page-request").blame == "link"


def test_a_request_beyond_reason_and_the_answer_to_it(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    for _ in range(2):
        trace.cmd(Command(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, {"function_id": 0x31}), slot=31)
        trace.event(0x31, 1 << 29)
    trace.cmd(Command(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, {"function_id": 0x31}), slot=31)
    found = [(f.name, f.blame, f.function) for f in audit_written(tmp_path, trace.closed()).findings]
    absurd = ("absurd-count", "device", "vhca:0x31")
    assert found == [("cannot-give", "host", "vhca:0x31"), absurd, absurd]


def test_less_is_returned_than_firmware_wanted_to_be_rid_of(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 20))
    trace.event(0x31, -10)
    trace.take(0x31, pages(0x500, 6))
    trace.take(0x31, pages(0x506, 2), asked=4)
    trace.take(0x31, pages(0x508, 12), asked=100)
    f = one(audit_written(tmp_path, trace.closed()), "take-short")
    assert (f.blame, f.function, f.pages) == ("device", "vhca:0x31", 2)
    # the close takes what there is, whatever was asked before
    trace = WrittenTrace().opened()
    trace.event(OWN_VHCA, -30)
    assert audit_written(tmp_path, trace.closed([pages(0x100, 10), pages(0x200, 20)])).clean


def test_the_device_or_the_link_may_be_the_reason_of_a_reset(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.link("health", "a fan fell out")
    trace.link("reset")
    trace.link("fenced")
    s = audit_written(tmp_path, trace)
    assert (s.end, s.clean) == ("reset", True)
    assert "the device reported a fatal state: a fan fell out" in s.notes
    trace = WrittenTrace().opened()
    trace.link("lost")
    trace.link("reset")
    trace.link("lost")
    trace.link("fenced")
    s = audit_written(tmp_path, trace)
    assert (s.end, [f.name for f in s.findings]) == ("lost", ["link-lost"])


def test_more_wanted_back_than_is_out_is_absurd_and_a_give_under_way_counts(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    give = trace.submit(trace.give_command(0x31, pages(0x500, 20)), slot=31)
    trace.event(0x31, -20)
    trace.event(0x31, -21)
    trace.complete(give, Answer(Opcode.MANAGE_PAGES))
    trace.take(0x31, pages(0x500, 20))
    f = one(audit_written(tmp_path, trace.closed()), "absurd-count")
    assert (f.blame, f.function, f.pages) == ("device", "vhca:0x31", 21)
