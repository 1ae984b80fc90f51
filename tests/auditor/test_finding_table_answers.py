"""Findings about what firmware answers, or does not: see ``test_finding_table.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode, QueryPages
from fwpages.prm.status import Status
from tests.auditor.account_checks import OWN, audit_written, one, row
from tests.auditor.logs import VHCA, audit_trace, golden_trace, only
from tests.auditor.written_traces import OWN_VHCA, WrittenTrace, pages

# -- unanswered and late


def test_an_unanswered_give_makes_its_pages_doubtful(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.submit(trace.give_command(0x31, pages(0x500, 7)), slot=31)
    trace.t += 65
    trace.plain(Opcode.TEARDOWN_HCA)
    trace.take(OWN_VHCA, np.concatenate([pages(0x100, 10), pages(0x200, 20)]))
    s = audit_written(tmp_path, trace)
    f = one(s, "give-unanswered")
    assert (f.blame, f.function, f.pages) == ("device", "vhca:0x31", 7)
    r = row(s, "vhca:0x31")
    assert (r.given, r.held, r.doubtful) == (7, 0, 7)


def test_a_late_answer_settles_a_give(tmp_path: Path) -> None:
    for status, given, held, returned in ((0, 7, 7, 0), (Status.NO_RES_ERR, 7, 0, 7)):
        trace = WrittenTrace().opened()
        id_ = trace.submit(trace.give_command(0x31, pages(0x500, 7)), slot=31)
        trace.link("aborted", "timed out", id=id_)
        trace.complete(id_, Answer(Opcode.MANAGE_PAGES, status))
        s = audit_written(tmp_path, trace)
        assert {"give-unanswered", "late-answer"} <= {f.name for f in s.findings}
        assert next(f for f in s.findings if f.name == "give-unanswered").blame == "link"
        r = row(s, "vhca:0x31")
        assert (r.given, r.held, r.doubtful, r.returned) == (given, held, 0, returned)


def test_an_answer_out_of_order_is_no_fault(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    a = trace.submit(trace.give_command(0x31, pages(0x500, 7)), slot=31)
    b = trace.submit(Command(Opcode.QUERY_PAGES, QueryPages.REGULAR, {"function_id": OWN_VHCA}), slot=1)
    trace.complete(b, Answer(Opcode.QUERY_PAGES, fields={"function_id": OWN_VHCA}))
    trace.complete(a, Answer(Opcode.MANAGE_PAGES))
    trace.take(0x31, pages(0x500, 7))
    assert audit_written(tmp_path, trace.closed()).clean


def test_an_unanswered_take_makes_all_of_its_function_doubtful(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 7))
    id_ = trace.submit(trace.take_command(0x31, 3), slot=31)
    trace.link("aborted", id=id_)
    s = audit_written(tmp_path, trace)
    f = one(s, "take-unanswered")
    assert (f.blame, f.pages) == ("link", 7)
    assert (row(s, "vhca:0x31").doubtful, row(s, OWN).doubtful) == (7, 0)
    trace.complete(id_, trace.took(pages(0x500, 3)))
    s = audit_written(tmp_path, trace)
    r = row(s, "vhca:0x31")
    assert (r.returned, r.held, r.doubtful) == (3, 4, 0)


def test_a_version_0_command_without_an_answer(tmp_path: Path) -> None:
    lines = golden_trace(VHCA)
    at = next(i for i, x in enumerate(lines) if x["kind"] == "event" and "00000031" in x["eqe"]) + 1
    del lines[at]["out"]
    s = only(audit_trace(tmp_path, lines))
    unanswered = next(f for f in s.findings if f.name == "give-unanswered")
    assert (unanswered.function, unanswered.pages) == ("vhca:0x31", 64)


# -- TAKE


@pytest.mark.parametrize(
    ("named", "name", "n"),
    [
        (pages(0x205, 4), "returned-foreign", 4),
        (np.concatenate([pages(0x500, 2), pages(0x500, 1)]), "returned-twice", 1),
        (pages(0x9000, 3), "returned-never-given", 3),
        (np.array([0x500001], np.uint64), "returned-never-given", 1),
    ],
)
def test_what_firmware_must_not_return(named: Any, name: str, n: int, tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 7))
    trace.take(0x31, named)
    s = audit_written(tmp_path, trace)
    f = one(s, name)
    assert (f.blame, f.function, f.pages) == ("device", "vhca:0x31", n)
    # what was refused is still held, the rest counts
    assert row(s, "vhca:0x31").held == 7 - (len(named) - n)
    assert row(s, OWN).held == 30


def test_returned_again_in_a_later_take(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 7))
    trace.take(0x31, pages(0x500, 7))
    trace.take(0x31, pages(0x502, 2))
    assert one(audit_written(tmp_path, trace), "returned-twice").pages == 2


def test_more_returned_than_asked(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 7))
    trace.take(0x31, pages(0x500, 5), asked=3)
    s = audit_written(tmp_path, trace)
    f = one(s, "count-over-asked")
    assert (f.blame, f.pages) == ("device", 5)
    assert row(s, "vhca:0x31").returned == 3


def test_a_count_beyond_what_is_named(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 7))
    trace.take(0x31, np.concatenate([pages(0x500, 5), pages(0, 1), pages(0, 1)]), asked=7)
    trace.take(0x31, pages(0x505, 2))
    s = audit_written(tmp_path, trace.closed())
    assert one(s, "count-over-asked").pages == 7
    assert row(s, "vhca:0x31").returned == 7


def test_what_a_session_that_began_before_the_trace_returns(tmp_path: Path) -> None:
    trace = WrittenTrace()
    trace.take(OWN_VHCA, pages(0x500, 7))
    trace.give(OWN_VHCA, pages(0x600, 2))
    trace.take(OWN_VHCA, pages(0x600, 2))
    s = audit_written(tmp_path, trace)
    assert (s.verdict, s.findings, s.functions[0].given) == ("not known", [], None)
    assert any("7 pages came back that were given before" in n for n in s.notes)
    trace.take(OWN_VHCA, pages(0x600, 1))
    assert [f.name for f in audit_written(tmp_path, trace).findings] == ["returned-twice"]


# -- release_all


def test_release_all(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 7))
    trace.event(0x31, 0, release_all=True)
    s = audit_written(tmp_path, trace.closed())
    assert (s.clean, row(s, "vhca:0x31").released) == (True, 7)


def test_a_release_all_that_was_not_negotiated_or_for_the_function_itself(tmp_path: Path) -> None:
    trace = WrittenTrace()
    trace.release_all = False
    trace.opened()
    trace.give(0x31, pages(0x500, 7))
    trace.event(0x31, 0, release_all=True)
    trace.take(0x31, pages(0x500, 7))
    f = one(s := audit_written(tmp_path, trace.closed()), "release-all-not-negotiated")
    assert (f.blame, f.pages, row(s, "vhca:0x31").returned) == ("device", 7, 7)
    trace = WrittenTrace().opened()
    trace.event(OWN_VHCA, 0, release_all=True)
    assert one(audit_written(tmp_path, trace.closed()), "release-all-own").function == OWN


def test_release_all_also_lets_go_of_what_a_take_left_in_doubt(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 7))
    id_ = trace.submit(trace.take_command(0x31, 3), slot=31)
    trace.link("aborted", id=id_)
    trace.event(0x31, 0, release_all=True)
    r = row(audit_written(tmp_path, trace), "vhca:0x31")
    assert (r.released, r.doubtful, r.held) == (7, 0, 0)


def test_a_give_that_a_release_all_crosses_is_doubtful(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 7))
    id_ = trace.submit(trace.give_command(0x31, pages(0x600, 2)), slot=31)
    trace.event(0x31, 0, release_all=True)
    trace.complete(id_, Answer(Opcode.MANAGE_PAGES))
    s = audit_written(tmp_path, trace)
    r = row(s, "vhca:0x31")
    assert (r.given, r.released, r.held, r.doubtful) == (9, 7, 0, 2)
    crossed = one(s, "give-crossed-release")
    assert (crossed.pages, crossed.blame) == (2, "link")


def test_a_take_that_a_release_all_crosses_says_the_same_thing_twice(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 7))
    id_ = trace.submit(trace.take_command(0x31, 7), slot=31)
    trace.event(0x31, 0, release_all=True)
    trace.complete(id_, trace.took(pages(0x500, 7)))
    s = audit_written(tmp_path, trace.closed())
    assert (s.clean, row(s, "vhca:0x31").released) == (True, 7)


# -- refused and malformed


def test_a_refused_command(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    c = Command(Opcode.QUERY_PAGES, QueryPages.REGULAR, {"function_id": OWN_VHCA})
    trace.cmd(c, Answer(Opcode.QUERY_PAGES, Status.BAD_SYS_STATE, 0x1234))
    f = one(audit_written(tmp_path, trace.closed()), "command-refused")
    assert f.blame == "device"
    assert "bad system state" in f.detail
    assert "0x1234" in f.detail


def test_what_a_start_up_needs_may_not_be_refused(tmp_path: Path) -> None:
    for c, status in (
        (Command(Opcode.QUERY_ISSI), Status.INTERNAL_ERR),
        (Command(Opcode.ACCESS_REG, fields={"register_id": 0x7004}, data=bytes(16)), Status.BAD_PARAM),
    ):
        trace = WrittenTrace()
        trace.enable()
        trace.cmd(c, Answer(c.opcode, status))
        assert one(audit_written(tmp_path, trace), "command-refused").blame == "device"
