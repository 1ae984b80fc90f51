"""Each finding, by a trace that deserves it, with the party that it blames; and near misses that do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.auditor.account_checks import OWN, audit_written, one, row
from tests.auditor.logs import FUNC, audit_trace, golden_trace, only
from tests.auditor.written_traces import OWN_VHCA, WrittenTrace, pages


def test_a_trace_without_fault_has_no_findings(tmp_path: Path) -> None:
    for vhca, own in ((True, OWN_VHCA), (False, 0)):
        s = audit_written(tmp_path, WrittenTrace().opened(vhca=vhca).closed(own=own))
        assert (s.end, s.clean, s.findings, s.device) == ("closed", True, [], "dut")
        assert (s.totals.given, s.totals.returned, s.totals.peak) == (30, 30, 30)


# -- what is left


def test_a_fence_discards_and_leaves_nothing(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.link("reset", "function-level reset")
    trace.link("fenced", "function-level reset completed")
    s = audit_written(tmp_path, trace)
    assert (s.end, s.clean, s.findings) == ("reset", True, [])
    assert (s.totals.discarded, s.totals.held) == (30, 0)
    trace.session = 2
    first, second = audit_trace(tmp_path, trace.opened().closed().lines).sessions
    assert (first.end, first.clean, second.clean) == ("reset", True, True)


def test_a_fence_after_the_close_counts_for_it(tmp_path: Path) -> None:
    trace = WrittenTrace().opened().closed([pages(0x100, 10), pages(0, 0)])
    trace.link("fenced", "bus mastering off")
    s = audit_written(tmp_path, trace)
    assert (s.end, s.findings, s.totals.discarded, s.totals.held) == ("closed", [], 20, 0)


# -- GIVE


def test_given_twice_to_the_same_or_another_function(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(OWN_VHCA, pages(0x210, 4))
    trace.give(0x31, pages(0x109, 3))
    s = audit_written(tmp_path, trace.closed([np.concatenate([pages(0x100, 10), pages(0x200, 20)])]))
    twice = [f for f in s.findings if f.name == "given-twice"]
    assert [(f.blame, f.function, f.pages) for f in twice] == [("host", OWN, 4), ("host", "vhca:0x31", 1)]
    assert OWN in twice[1].detail
    assert row(s, "vhca:0x31").given == 2


def test_a_page_given_again_after_it_came_back_is_fine(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    for _ in range(2):
        trace.give(0x31, pages(0x500, 3))
        trace.take(0x31, pages(0x500, 3))
    assert audit_written(tmp_path, trace.closed()).clean


def test_a_page_left_behind_and_given_in_the_next_session(tmp_path: Path) -> None:
    trace = WrittenTrace().opened().closed([pages(0x100, 10), pages(0, 0)])
    trace.session = 2
    trace.opened()
    first, second = audit_trace(tmp_path, trace.closed().lines).sessions
    assert [f.name for f in first.findings] == ["pages-left"]
    f = one(second, "given-twice")
    assert (f.blame, f.pages) == ("host", 20)
    assert "earlier session" in f.detail


def test_bad_addresses(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, np.array([0, 0x5000, 0x6010], np.uint64), Status.BAD_PARAM)
    s = audit_written(tmp_path, trace)
    bad = next(f for f in s.findings if f.name == "bad-address")
    assert (bad.blame, bad.function, bad.pages) == ("host", "vhca:0x31", 2)
    # the device was right to refuse it
    assert next(f for f in s.findings if f.name == "give-refused").blame == "host"


def test_a_count_that_is_not_the_number_of_addresses(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 3), Status.BAD_INP_LEN, count=5)
    s = audit_written(tmp_path, trace)
    assert [(f.name, f.blame) for f in s.findings] == [("count-mismatch", "host"), ("give-refused", "host")]
    assert s.counters["fw_pages_give_dropped"] == 5


def test_a_refused_give_gives_nothing(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 7), Status.NO_RES_ERR)
    trace.give(0x31, pages(0x500, 7))
    trace.take(0x31, pages(0x500, 7))
    s = audit_written(tmp_path, trace.closed())
    f = one(s, "give-refused")
    assert (f.blame, f.function, f.pages) == ("device", "vhca:0x31", 7)
    assert "no resources" in f.detail
    assert (row(s, "vhca:0x31").given, s.counters["fw_pages_give_dropped"]) == (7, 7)


# -- sessions


@pytest.mark.parametrize(("waited", "found"), [(65, ["give-unanswered"]), (0, [])])
def test_what_comes_late_from_an_earlier_session(waited: int, found: list[str], tmp_path: Path) -> None:
    """A GIVE that was under way when the device was reset is no fault unless it had its time."""
    trace = WrittenTrace().opened()
    id_ = trace.submit(trace.give_command(0x31, pages(0x500, 2)), slot=31)
    trace.t += waited
    trace.link("reset")
    trace.link("fenced")
    trace.session = 2
    trace.opened()
    trace.session = 1
    trace.complete(id_, Answer(Opcode.MANAGE_PAGES))
    trace.event(OWN_VHCA, 5)
    trace.session = 2
    first, second = audit_trace(tmp_path, trace.closed().lines).sessions
    assert [f.name for f in first.findings] == found
    assert (first.totals.discarded, first.totals.held) == (32, 0)
    assert [(f.name, f.blame) for f in second.findings] == [("late-answer", "device"), ("stale-page-request", "link")]


def test_the_other_recording_with_a_page_returned_by_the_wrong_function(tmp_path: Path) -> None:
    lines = golden_trace(FUNC)
    at = max(i for i, x in enumerate(lines) if x.get("in", "").startswith("0108000000000002000000310000"))
    lines[at]["in"] = lines[at]["in"].replace("00000031", "00000000")
    s = only(audit_trace(tmp_path, lines))
    assert ("returned-foreign", "device", 7) in {(f.name, f.blame, f.pages) for f in s.findings}
    assert ("pages-left", "func:0x31", 7) in {(f.name, f.function, f.pages) for f in s.findings}


def test_garbled_addresses_do_not_fill_the_memory(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    far = (np.arange(1, 20_000, dtype=np.uint64)) << np.uint64(40)
    trace.give(0x31, far)
    s = audit_written(tmp_path, trace)
    assert row(s, "vhca:0x31").given is None
    assert row(s, OWN).given == 30
