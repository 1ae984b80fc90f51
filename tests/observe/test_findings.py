"""Each finding, by a trace that deserves it, with whom it blames; and near misses that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fwpages.observe.accounts import Finding, Session
from fwpages.observe.findings import FINDINGS, REMEDIES
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages, Teardown
from fwpages.prm.status import Status
from tests.observe.lives import OWN_VHCA, Life, pages
from tests.observe.logs import FUNC, VHCA, audit_trace, only, trace

OWN = f"vhca:{OWN_VHCA:#x}"


@pytest.fixture
def tmp(tmp_path: Path) -> Path:
    return tmp_path


def _audit(tmp: Path, life: Life) -> Session:
    return only(audit_trace(tmp, life.lines))


def _one(s: Session, name: str) -> Finding:
    assert [f.name for f in s.findings] == [name], s.findings
    (f,) = s.findings
    assert f.remedy == REMEDIES[name]
    assert f.at["line"] > 0
    assert not s.clean
    return f


def _row(s: Session, identity: str, generation: int = 0) -> Any:
    return next(f for f in s.functions if (f.identity, f.generation) == (identity, generation))


def test_a_life_without_fault(tmp: Path) -> None:
    for vhca, own in ((True, OWN_VHCA), (False, 0)):
        s = _audit(tmp, Life().opened(vhca=vhca).closed(own=own))
        assert (s.end, s.clean, s.findings, s.device) == ("closed", True, [], "dut")
        assert (s.totals.given, s.totals.returned, s.totals.peak) == (30, 30, 30)


def test_every_finding_has_words_and_a_remedy() -> None:
    assert set(FINDINGS) == set(REMEDIES)
    assert all(FINDINGS.values())
    assert all(REMEDIES.values())


# -- what is left


def test_pages_left_by_a_host_that_never_asked(tmp: Path) -> None:
    life = Life().opened()
    life.plain(Opcode.TEARDOWN_HCA)
    life.plain(Opcode.DISABLE_HCA)
    f = _one(s := _audit(tmp, life), "pages-left")
    assert (f.blame, f.function, f.pages, s.end) == ("host", OWN, 30, "closed")
    assert (s.totals.held, s.counters["fw_pages_total"]) == (30, 30)


def test_pages_left_by_a_host_that_stopped_asking(tmp: Path) -> None:
    f = _one(_audit(tmp, Life().opened().closed([pages(0x100, 10)])), "pages-left")
    assert (f.blame, f.pages) == ("host", 20)


def test_pages_left_by_firmware_that_returns_nothing(tmp: Path) -> None:
    f = _one(_audit(tmp, Life().opened().closed([pages(0x100, 10), pages(0, 0)])), "pages-left")
    assert (f.blame, f.function, f.pages) == ("device", OWN, 20)


def test_pages_left_by_an_open_that_was_never_closed(tmp: Path) -> None:
    life = Life().opened()
    life.session = 2
    first, second = audit_trace(tmp, life.opened().closed().lines).sessions
    f = _one(first, "pages-left")
    assert (first.end, f.blame, f.pages) == ("reset", "host", 30)
    assert (second.end, second.clean) == ("closed", True)


def test_a_fence_discards_and_leaves_nothing(tmp: Path) -> None:
    life = Life().opened()
    life.link("reset", "function-level reset")
    life.link("fenced", "function-level reset completed")
    s = _audit(tmp, life)
    assert (s.end, s.clean, s.findings) == ("reset", True, [])
    assert (s.totals.discarded, s.totals.held) == (30, 0)
    life.session = 2
    first, second = audit_trace(tmp, life.opened().closed().lines).sessions
    assert (first.end, first.clean, second.clean) == ("reset", True, True)


def test_a_fence_after_the_close_counts_for_it(tmp: Path) -> None:
    life = Life().opened().closed([pages(0x100, 10), pages(0, 0)])
    life.link("fenced", "bus mastering off")
    s = _audit(tmp, life)
    assert (s.end, s.findings, s.totals.discarded, s.totals.held) == ("closed", [], 20, 0)


def test_a_forced_teardown_leaves_pages_on_purpose(tmp: Path) -> None:
    for profile in (Teardown.FORCE, Teardown.PREPARE_FAST):
        life = Life().opened()
        life.plain(Opcode.TEARDOWN_HCA, profile=profile)
        s = _audit(tmp, life)
        assert (s.end, s.findings, s.totals.held) == ("forced", [], 30)
        assert any("on purpose" in n for n in s.notes)
    life = Life().opened()
    life.plain(Opcode.TEARDOWN_HCA, Status.BAD_OP, profile=Teardown.FORCE)
    assert _audit(tmp, life).end == "open"


def test_an_open_device_at_the_end_is_no_fault(tmp: Path) -> None:
    s = _audit(tmp, Life().opened())
    assert (s.end, s.clean, s.totals.held) == ("open", True, 30)
    life = Life().opened()
    life.submit(life.give_command(OWN_VHCA, pages(0x900, 5)), slot=31)
    s = _audit(tmp, life)
    assert (s.end, s.clean, s.totals.given, s.totals.doubtful) == ("open", True, 35, 5)
    assert any("under way" in n for n in s.notes)


def test_a_lost_link(tmp: Path) -> None:
    life = Life().opened()
    life.link("lost", "all-ones reads")
    f = _one(s := _audit(tmp, life), "link-lost")
    assert (s.end, f.blame, f.pages) == ("lost", "link", 30)
    life.link("back")
    assert _audit(tmp, life).end == "open"


def test_a_new_kind_of_link_line_is_noted(tmp: Path) -> None:
    life = Life().opened()
    life.link("warmed-up", "it is 40 degrees")
    s = _audit(tmp, life)
    assert s.clean
    assert "link: warmed-up: it is 40 degrees" in s.notes


# -- GIVE


def test_given_twice_to_the_same_or_another_function(tmp: Path) -> None:
    life = Life().opened()
    life.give(OWN_VHCA, pages(0x210, 4))
    life.give(0x31, pages(0x109, 3))
    s = _audit(tmp, life.closed([np.concatenate([pages(0x100, 10), pages(0x200, 20)])]))
    twice = [f for f in s.findings if f.name == "given-twice"]
    assert [(f.blame, f.function, f.pages) for f in twice] == [("host", OWN, 4), ("host", "vhca:0x31", 1)]
    assert OWN in twice[1].detail
    assert _row(s, "vhca:0x31").given == 2


def test_a_page_named_twice_in_one_give(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, np.concatenate([pages(0x500, 3), pages(0x501, 1)]))
    f = _audit(tmp, life).findings[0]
    assert (f.name, f.pages) == ("given-twice", 1)


def test_a_page_given_again_after_it_came_back_is_fine(tmp: Path) -> None:
    life = Life().opened()
    for _ in range(2):
        life.give(0x31, pages(0x500, 3))
        life.take(0x31, pages(0x500, 3))
    assert _audit(tmp, life.closed()).clean


def test_a_page_left_behind_and_given_in_the_next_session(tmp: Path) -> None:
    life = Life().opened().closed([pages(0x100, 10), pages(0, 0)])
    life.session = 2
    life.opened()
    first, second = audit_trace(tmp, life.closed().lines).sessions
    assert [f.name for f in first.findings] == ["pages-left"]
    f = _one(second, "given-twice")
    assert (f.blame, f.pages) == ("host", 20)
    assert "earlier session" in f.detail


def test_bad_addresses(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, np.array([0, 0x5000, 0x6010], np.uint64), Status.BAD_PARAM)
    s = _audit(tmp, life)
    bad = next(f for f in s.findings if f.name == "bad-address")
    assert (bad.blame, bad.function, bad.pages) == ("host", "vhca:0x31", 2)
    # the device was right to refuse it
    assert next(f for f in s.findings if f.name == "give-refused").blame == "host"


def test_a_count_that_is_not_the_number_of_addresses(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, pages(0x500, 3), Status.BAD_INP_LEN, count=5)
    s = _audit(tmp, life)
    assert [(f.name, f.blame) for f in s.findings] == [("count-mismatch", "host"), ("give-refused", "host")]
    assert s.counters["fw_pages_give_dropped"] == 5


def test_a_refused_give_gives_nothing(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, pages(0x500, 7), Status.NO_RES_ERR)
    life.give(0x31, pages(0x500, 7))
    life.take(0x31, pages(0x500, 7))
    s = _audit(tmp, life.closed())
    f = _one(s, "give-refused")
    assert (f.blame, f.function, f.pages) == ("device", "vhca:0x31", 7)
    assert "no resources" in f.detail
    assert (_row(s, "vhca:0x31").given, s.counters["fw_pages_give_dropped"]) == (7, 7)


def test_cannot_give(tmp: Path) -> None:
    life = Life().opened()
    fields = {"function_id": 0x31}
    life.cmd(Command(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, fields), slot=31)
    f = _one(_audit(tmp, life.closed()), "cannot-give")
    assert (f.blame, f.function) == ("host", "vhca:0x31")


# -- unanswered and late


def test_an_unanswered_give_makes_its_pages_doubtful(tmp: Path) -> None:
    life = Life().opened()
    life.submit(life.give_command(0x31, pages(0x500, 7)), slot=31)
    life.t += 65
    life.plain(Opcode.TEARDOWN_HCA)
    life.take(OWN_VHCA, np.concatenate([pages(0x100, 10), pages(0x200, 20)]))
    s = _audit(tmp, life)
    f = _one(s, "give-unanswered")
    assert (f.blame, f.function, f.pages) == ("device", "vhca:0x31", 7)
    row = _row(s, "vhca:0x31")
    assert (row.given, row.held, row.doubtful) == (7, 0, 7)


def test_a_late_answer_settles_a_give(tmp: Path) -> None:
    for status, given, held, returned in ((0, 7, 7, 0), (Status.NO_RES_ERR, 7, 0, 7)):
        life = Life().opened()
        id_ = life.submit(life.give_command(0x31, pages(0x500, 7)), slot=31)
        life.link("aborted", "timed out", id=id_)
        life.complete(id_, Answer(Opcode.MANAGE_PAGES, status))
        s = _audit(tmp, life)
        assert {"give-unanswered", "late-answer"} <= {f.name for f in s.findings}
        assert next(f for f in s.findings if f.name == "give-unanswered").blame == "link"
        row = _row(s, "vhca:0x31")
        assert (row.given, row.held, row.doubtful, row.returned) == (given, held, 0, returned)


def test_an_answer_out_of_order_is_no_fault(tmp: Path) -> None:
    life = Life().opened()
    a = life.submit(life.give_command(0x31, pages(0x500, 7)), slot=31)
    b = life.submit(Command(Opcode.QUERY_PAGES, QueryPages.REGULAR, {"function_id": OWN_VHCA}), slot=1)
    life.complete(b, Answer(Opcode.QUERY_PAGES, fields={"function_id": OWN_VHCA}))
    life.complete(a, Answer(Opcode.MANAGE_PAGES))
    life.take(0x31, pages(0x500, 7))
    assert _audit(tmp, life.closed()).clean


def test_an_unanswered_take_makes_all_of_its_function_doubtful(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, pages(0x500, 7))
    id_ = life.submit(life.take_command(0x31, 3), slot=31)
    life.link("aborted", id=id_)
    s = _audit(tmp, life)
    f = _one(s, "take-unanswered")
    assert (f.blame, f.pages) == ("link", 7)
    assert (_row(s, "vhca:0x31").doubtful, _row(s, OWN).doubtful) == (7, 0)
    life.complete(id_, life.took(pages(0x500, 3)))
    s = _audit(tmp, life)
    row = _row(s, "vhca:0x31")
    assert (row.returned, row.held, row.doubtful) == (3, 4, 0)


def test_a_give_that_is_returned_before_it_is_answered_was_carried_out(tmp: Path) -> None:
    life = Life().opened()
    id_ = life.submit(life.give_command(0x31, pages(0x500, 7)), slot=31)
    life.cmd(life.take_command(0x31, 7), life.took(pages(0x500, 7)), slot=30)
    life.complete(id_, Answer(Opcode.MANAGE_PAGES))
    s = _audit(tmp, life.closed())
    assert (s.clean, _row(s, "vhca:0x31").returned) == (True, 7)


def test_an_unanswered_command_of_another_kind(tmp: Path) -> None:
    life = Life().opened()
    id_ = life.submit(Command(Opcode.DESTROY_EQ, fields={"eq_number": 3}))
    life.link("aborted", id=id_)
    assert _one(_audit(tmp, life.closed()), "command-unanswered").blame == "link"


def test_a_version_0_command_without_an_answer(tmp: Path) -> None:
    lines = trace(VHCA)
    at = next(i for i, x in enumerate(lines) if x["kind"] == "event" and "00000031" in x["eqe"]) + 1
    del lines[at]["out"]
    s = only(audit_trace(tmp, lines))
    unanswered = next(f for f in s.findings if f.name == "give-unanswered")
    assert (unanswered.function, unanswered.pages) == ("vhca:0x31", 64)


def test_a_command_that_waits_long_is_unanswered_even_if_the_trace_just_ends(tmp: Path) -> None:
    life = Life().opened()
    life.submit(life.give_command(0x31, pages(0x500, 7)), slot=31)
    life.t += 100
    life.event(OWN_VHCA, 5)
    assert _one(_audit(tmp, life), "give-unanswered").pages == 7


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
def test_what_firmware_must_not_return(named: Any, name: str, n: int, tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, pages(0x500, 7))
    life.take(0x31, named)
    s = _audit(tmp, life)
    f = _one(s, name)
    assert (f.blame, f.function, f.pages) == ("device", "vhca:0x31", n)
    # what was refused is still held, the rest counts
    assert _row(s, "vhca:0x31").held == 7 - (len(named) - n)
    assert _row(s, OWN).held == 30


def test_returned_again_in_a_later_take(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, pages(0x500, 7))
    life.take(0x31, pages(0x500, 7))
    life.take(0x31, pages(0x502, 2))
    assert _one(_audit(tmp, life), "returned-twice").pages == 2


def test_more_returned_than_asked(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, pages(0x500, 7))
    life.take(0x31, pages(0x500, 5), asked=3)
    s = _audit(tmp, life)
    f = _one(s, "count-over-asked")
    assert (f.blame, f.pages) == ("device", 5)
    assert _row(s, "vhca:0x31").returned == 3


def test_a_count_beyond_what_is_named(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, pages(0x500, 7))
    life.take(0x31, np.concatenate([pages(0x500, 5), pages(0, 1), pages(0, 1)]), asked=7)
    life.take(0x31, pages(0x505, 2))
    s = _audit(tmp, life.closed())
    assert _one(s, "count-over-asked").pages == 7
    assert _row(s, "vhca:0x31").returned == 7


def test_a_refused_take(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, pages(0x500, 7))
    life.cmd(life.take_command(0x31, 5), Answer(Opcode.MANAGE_PAGES, Status.BAD_RES_STATE), slot=31)
    s = _audit(tmp, life)
    assert _one(s, "take-refused").blame == "device"
    assert s.counters["fw_pages_reclaim_discard"] == 5
    assert _row(s, "vhca:0x31").held == 7


def test_what_a_session_that_began_before_the_trace_returns(tmp: Path) -> None:
    life = Life()
    life.take(OWN_VHCA, pages(0x500, 7))
    life.give(OWN_VHCA, pages(0x600, 2))
    life.take(OWN_VHCA, pages(0x600, 2))
    s = _audit(tmp, life)
    assert (s.clean, s.findings, s.functions[0].given) == (True, [], None)
    assert any("7 pages came back that were given before" in n for n in s.notes)
    life.take(OWN_VHCA, pages(0x600, 1))
    assert [f.name for f in _audit(tmp, life).findings] == ["returned-twice"]


# -- release_all


def test_release_all(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, pages(0x500, 7))
    life.event(0x31, 0, release_all=True)
    s = _audit(tmp, life.closed())
    assert (s.clean, _row(s, "vhca:0x31").released) == (True, 7)


def test_a_release_all_that_nobody_negotiated_or_for_the_function_itself(tmp: Path) -> None:
    life = Life()
    life.release_all = False
    life.opened()
    life.give(0x31, pages(0x500, 7))
    life.event(0x31, 0, release_all=True)
    life.take(0x31, pages(0x500, 7))
    f = _one(s := _audit(tmp, life.closed()), "release-all-not-negotiated")
    assert (f.blame, f.pages, _row(s, "vhca:0x31").returned) == ("device", 7, 7)
    life = Life().opened()
    life.event(OWN_VHCA, 0, release_all=True)
    assert _one(_audit(tmp, life.closed()), "release-all-own").function == OWN


def test_release_all_also_lets_go_of_what_a_take_left_in_doubt(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, pages(0x500, 7))
    id_ = life.submit(life.take_command(0x31, 3), slot=31)
    life.link("aborted", id=id_)
    life.event(0x31, 0, release_all=True)
    row = _row(_audit(tmp, life), "vhca:0x31")
    assert (row.released, row.doubtful, row.held) == (7, 0, 0)


def test_a_give_that_a_release_all_crosses_is_doubtful(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, pages(0x500, 7))
    id_ = life.submit(life.give_command(0x31, pages(0x600, 2)), slot=31)
    life.event(0x31, 0, release_all=True)
    life.complete(id_, Answer(Opcode.MANAGE_PAGES))
    s = _audit(tmp, life)
    row = _row(s, "vhca:0x31")
    assert (row.given, row.released, row.held, row.doubtful) == (9, 7, 0, 2)
    assert _one(s, "give-crossed-release").pages == 2


def test_a_take_that_a_release_all_crosses_says_the_same_thing_twice(tmp: Path) -> None:
    life = Life().opened()
    life.give(0x31, pages(0x500, 7))
    id_ = life.submit(life.take_command(0x31, 7), slot=31)
    life.event(0x31, 0, release_all=True)
    life.complete(id_, life.took(pages(0x500, 7)))
    s = _audit(tmp, life.closed())
    assert (s.clean, _row(s, "vhca:0x31").released) == (True, 7)


# -- refused and malformed


def test_a_refused_command(tmp: Path) -> None:
    life = Life().opened()
    c = Command(Opcode.QUERY_PAGES, QueryPages.REGULAR, {"function_id": OWN_VHCA})
    life.cmd(c, Answer(Opcode.QUERY_PAGES, Status.BAD_SYS_STATE, 0x1234))
    f = _one(_audit(tmp, life.closed()), "command-refused")
    assert f.blame == "device"
    assert "bad system state" in f.detail
    assert "0x1234" in f.detail


def test_what_drivers_only_try_may_be_refused(tmp: Path) -> None:
    life = Life()
    life.enable()
    life.plain(Opcode.QUERY_ISSI, Status.BAD_OP)
    life.plain(Opcode.ACCESS_REG, Status.BAD_PARAM)
    life.cmd(Command(0x9999), Answer(0x9999, Status.BAD_OP))
    s = _audit(tmp, life)
    assert s.clean
    assert sum("refused and no fault" in n for n in s.notes) == 3


def test_what_a_start_up_needs_may_not_be_refused(tmp: Path) -> None:
    for c, status in (
        (Command(Opcode.QUERY_ISSI), Status.INTERNAL_ERR),
        (Command(Opcode.ACCESS_REG, fields={"register_id": 0x7004}, data=bytes(16)), Status.BAD_PARAM),
    ):
        life = Life()
        life.enable()
        life.cmd(c, Answer(c.opcode, status))
        assert _one(_audit(tmp, life), "command-refused").blame == "device"


def test_an_open_that_is_refused_at_once_is_closed(tmp: Path) -> None:
    life = Life()
    life.plain(Opcode.ENABLE_HCA, Status.INTERNAL_ERR)
    life.session = 2
    first, second = audit_trace(tmp, life.opened().closed().lines).sessions
    assert (first.end, [f.name for f in first.findings]) == ("closed", ["command-refused"])
    assert (second.end, second.clean) == ("closed", True)


def test_malformed_messages(tmp: Path) -> None:
    life = Life().opened()
    life._put("submit", id=900, slot=0, **{"in": "0107"})
    life._put("submit", id=901, slot=1, **{"in": "0107000000000002"})
    id_ = life.submit(Command(Opcode.QUERY_PAGES, QueryPages.REGULAR, {"function_id": OWN_VHCA}), slot=2)
    life._put("complete", id=id_, out="0000")
    s = _audit(tmp, life)
    assert [(f.name, f.blame) for f in s.findings] == [
        ("command-malformed", "host"),
        ("command-malformed", "host"),
        ("answer-malformed", "device"),
    ]


def test_teardown(tmp: Path) -> None:
    life = Life().opened()
    life.plain(Opcode.TEARDOWN_HCA, Status.BAD_SYS_STATE)
    assert _one(_audit(tmp, life), "teardown-refused").blame == "device"
    life = Life().opened()
    life.cmd(Command(Opcode.TEARDOWN_HCA), Answer(Opcode.TEARDOWN_HCA, fields={"state": 1}))
    assert _one(_audit(tmp, life), "teardown-state").blame == "device"


# -- identities and modes


def test_a_host_that_names_itself_in_the_old_way(tmp: Path) -> None:
    life = Life().opened()
    life.give(0, pages(0x500, 2))
    s = _audit(tmp, life)
    f = _one(s, "identity-mismatch")
    assert (f.blame, f.function) == ("host", "vhca:0x0")


def test_a_device_that_names_itself_in_the_old_way(tmp: Path) -> None:
    life = Life().opened()
    life.event(0, 2)
    life.give(0, pages(0x500, 2))
    f = _one(_audit(tmp, life), "identity-mismatch")
    assert (f.blame, f.function) == ("device", "vhca:0x0")


def test_vhca_id_0_is_nobodys_mistake_once_it_is_known(tmp: Path) -> None:
    life = Life(Supplier(ecpf=True), ecpf=True).opened()
    life.event(0, 2)
    life.give(0, pages(0x500, 2))
    life.caps({"vhca_id": 0}, other_function=1, function_id=0)
    s = _audit(tmp, life)
    assert s.clean
    assert _row(s, "vhca:0x0").type == "host_pf"


@pytest.mark.parametrize("blame", ["host", "device"])
def test_an_ec_bit_in_vhca_id_mode(blame: str, tmp: Path) -> None:
    life = Life().opened()
    if blame == "device":
        life.event(0x31, 2, ec=True)
        life.give(0x31, pages(0x500, 2))
    else:
        life.give(0x31, pages(0x500, 2), ec=1)
    assert _one(_audit(tmp, life), "identity-mismatch").blame == blame


def test_query_pages_about_somebody_else(tmp: Path) -> None:
    life = Life().enable()
    life.query(QueryPages.BOOT, 10)
    life.give(0, pages(0x100, 10))
    life.negotiate()
    life.query(QueryPages.INIT, 20, 0)
    assert _one(_audit(tmp, life), "identity-mismatch").blame == "host"
    life = Life().enable()
    life.query(QueryPages.BOOT, 10)
    life.negotiate()
    life.query(QueryPages.INIT, 20, OWN_VHCA, told=0)
    life.give(0, pages(0x100, 10))
    names = [(f.name, f.blame) for f in _audit(tmp, life).findings]
    assert names[0] == ("startup-identity", "device")


def test_vhca_ids_in_func_id_mode(tmp: Path) -> None:
    life = Life().opened(vhca=False)
    life.give(OWN_VHCA, pages(0x500, 2))
    assert _one(_audit(tmp, life), "identity-mismatch").blame == "host"
    life = Life().opened(vhca=False)
    life.event(OWN_VHCA, 2)
    life.give(OWN_VHCA, pages(0x500, 2))
    assert _one(_audit(tmp, life), "identity-mismatch").blame == "device"
    life = Life(Supplier(max_vfs=64)).opened(vhca=False)
    life.event(OWN_VHCA, 2)
    life.give(OWN_VHCA, pages(0x500, 2))
    assert _audit(tmp, life).clean


def test_the_bit_cleared_in_a_recording(tmp: Path) -> None:
    """The recorded VHCA_ID session with its SET_HCA_CAP saying FUNC_ID: the host speaks the wrong language."""
    lines = trace(VHCA)
    at = next(i for i, x in enumerate(lines) if x.get("in", "").startswith("0109"))
    raw = bytearray.fromhex(lines[at]["in"])
    raw[16 + 0x2A0 // 8] &= 0x7F
    lines[at]["in"] = raw.hex()
    s = only(audit_trace(tmp, lines))
    assert s.mode == "func_id"
    assert ("identity-mismatch", "host") in {(f.name, f.blame) for f in s.findings}


@pytest.mark.parametrize("was_set", [True, False])
def test_a_capability_that_contradicts_what_was_set(was_set: bool, tmp: Path) -> None:
    life = Life().enable()
    life.query(QueryPages.BOOT, 10)
    life.give(0, pages(0x100, 10))
    life.negotiate(vhca=was_set, back=not was_set)
    s = _audit(tmp, life)
    f = _one(s, "mode-disagreement")
    assert (f.blame, s.mode, s.functions[0].identity) == ("device", "func_id", "func:0x0")


def test_a_refused_negotiation_leaves_the_mode(tmp: Path) -> None:
    life = Life().enable()
    life.query(QueryPages.BOOT, 10)
    life.give(0, pages(0x100, 10))
    life.negotiate(back=False, status=Status.BAD_PARAM)
    s = _audit(tmp, life)
    assert (s.mode, [f.name for f in s.findings]) == ("func_id", ["command-refused"])


def test_the_boot_record_is_the_one_that_was_used(tmp: Path) -> None:
    life = Life().enable()
    life.query(QueryPages.BOOT, 10, told=5)
    life.give(5, pages(0x100, 10))
    life.negotiate()
    s = _audit(tmp, life)
    assert [(f.identity, f.type, f.given) for f in s.functions] == [(OWN, "self", 10)]
    assert (_one(s, "startup-identity").blame, s.findings[0].pages) == ("device", 10)


# -- types and generations


def test_types_by_number_where_the_trace_tells_the_supplier(tmp: Path) -> None:
    life = Life(Supplier(max_vfs=8)).opened(vhca=False)
    for number in (3, 9):
        life.give(number, pages(0x500 + 0x10 * number, 2))
    s = _audit(tmp, life)
    assert {f.identity: f.type.value for f in s.functions} == {"func:0x0": "self", "func:0x3": "vf", "func:0x9": "sf"}
    assert (s.by_type["vf"].held, s.counters["fw_pages_vfs"], s.counters["fw_pages_sfs"]) == (2, 2, 2)


def test_types_on_an_ecpf(tmp: Path) -> None:
    life = Life(Supplier(ecpf=True, max_vfs=8, max_ec_vfs=4), ecpf=True).opened(vhca=False)
    life.give(0, pages(0x500, 2))
    life.give(2, pages(0x600, 2))
    life.give(2, pages(0x700, 2), ec=1)
    s = _audit(tmp, life)
    assert {f.identity: f.type.value for f in s.functions} == {
        "func:0x0/ec": "self",
        "func:0x0": "host_pf",
        "func:0x2": "vf",
        "func:0x2/ec": "ec_vf",
    }


def test_types_without_a_supplier(tmp: Path) -> None:
    life = Life(ecpf=True).opened(vhca=False)
    life.caps({"vhca_id": OWN_VHCA, "sf": 1, "sf_base_id": 0x100})
    for number, ec in ((0, 0), (2, 1), (2, 0), (0x123, 0)):
        life.give(number, pages(0x500 + 0x10 * number + 8 * ec, 2), ec=ec)
    types = {f.identity: f.type.value for f in _audit(tmp, life).functions}
    assert types == {
        "func:0x0/ec": "self",
        "func:0x0": "host_pf",
        "func:0x2/ec": "ec_vf",
        "func:0x2": "unknown",
        "func:0x123": "sf",
    }


def test_a_vhca_id_gets_its_type_when_the_capabilities_tell_it(tmp: Path) -> None:
    life = Life(Supplier(max_vfs=8)).opened()
    life.give(0x31, pages(0x500, 7))
    life.plain(Opcode.ENABLE_HCA, function_id=3)
    life.caps({"vhca_id": 0x31}, other_function=1, function_id=3)
    life.give(0x40, pages(0x600, 1))
    s = _audit(tmp, life)
    assert {f.identity: f.type.value for f in s.functions} == {OWN: "self", "vhca:0x31": "vf", "vhca:0x40": "unknown"}
    assert (s.by_type["vf"].given, s.by_type["unknown"].given) == (7, 1)


def test_a_disabled_vport_opens_a_new_generation(tmp: Path) -> None:
    life = Life(Supplier(max_vfs=8)).opened()
    life.plain(Opcode.ENABLE_HCA, function_id=3)
    life.caps({"vhca_id": 0x31}, other_function=1, function_id=3)
    life.give(0x31, pages(0x500, 7))
    life.plain(Opcode.DISABLE_HCA, function_id=3)
    life.give(0x31, pages(0x600, 2))
    life.take(0x31, np.concatenate([pages(0x500, 7), pages(0x600, 2)]))
    s = _audit(tmp, life.closed())
    assert s.clean
    rows = [(f.generation, f.type.value, f.given, f.returned) for f in s.functions if f.identity == "vhca:0x31"]
    assert rows == [(0, "vf", 7, 7), (1, "unknown", 2, 2)]


def test_sub_functions_come_and_go(tmp: Path) -> None:
    life = Life().opened(vhca=False)
    life.plain(Opcode.ALLOC_SF, function_id=0x90)
    life.give(0x90, pages(0x500, 7))
    life.take(0x90, pages(0x500, 7))
    life.plain(Opcode.DEALLOC_SF, function_id=0x90)
    life.plain(Opcode.ALLOC_SF, function_id=0x90)
    life.give(0x90, pages(0x500, 1))
    s = _audit(tmp, life)
    rows = [(f.generation, f.type.value, f.given) for f in s.functions if f.identity == "func:0x90"]
    assert rows == [(0, "sf", 7), (1, "sf", 1)]


def test_a_further_physical_function_is_enabled_by_its_vhca_id(tmp: Path) -> None:
    life = Life(Supplier(ecpf=True, max_vfs=8), ecpf=True).opened()
    life.give(0x7, pages(0x500, 3))
    life.plain(Opcode.ENABLE_HCA, function_id=7, function_id_type=1)
    life.take(0x7, pages(0x500, 3))
    life.plain(Opcode.DISABLE_HCA, function_id=7, function_id_type=1)
    life.give(0x7, pages(0x600, 1))
    s = _audit(tmp, life)
    rows = [(f.generation, f.type.value, f.given) for f in s.functions if f.identity == "vhca:0x7"]
    assert rows == [(0, "spf", 3), (1, "unknown", 1)]


def test_the_host_pf_of_an_ecpf_is_no_new_session(tmp: Path) -> None:
    life = Life(ecpf=True).opened(vhca=False)
    life.plain(Opcode.ENABLE_HCA, function_id=0)
    life.give(0, pages(0x500, 3))
    life.take(0, pages(0x500, 3))
    life.plain(Opcode.DISABLE_HCA, function_id=0)
    life.plain(Opcode.TEARDOWN_HCA)
    life.take(0, np.concatenate([pages(0x100, 10), pages(0x200, 20)]), ec=1)
    life.plain(Opcode.DISABLE_HCA, embedded_cpu_function=1)
    s = _audit(tmp, life)
    assert (s.end, s.clean) == ("closed", True)
    assert {f.identity: f.type.value for f in s.functions} == {"func:0x0/ec": "self", "func:0x0": "host_pf"}


# -- sessions


@pytest.mark.parametrize(("waited", "found"), [(65, ["give-unanswered"]), (0, [])])
def test_what_comes_late_from_an_earlier_session(waited: int, found: list[str], tmp: Path) -> None:
    """A GIVE that was under way when the device was reset is nobody's fault unless it had its time."""
    life = Life().opened()
    id_ = life.submit(life.give_command(0x31, pages(0x500, 2)), slot=31)
    life.t += waited
    life.link("reset")
    life.link("fenced")
    life.session = 2
    life.opened()
    life.session = 1
    life.complete(id_, Answer(Opcode.MANAGE_PAGES))
    life.event(OWN_VHCA, 5)
    life.session = 2
    first, second = audit_trace(tmp, life.closed().lines).sessions
    assert [f.name for f in first.findings] == found
    assert (first.totals.discarded, first.totals.held) == (32, 0)
    assert [(f.name, f.blame) for f in second.findings] == [("late-answer", "device"), ("stale-page-request", "link")]


def test_a_start_that_is_tried_again_is_one_session(tmp: Path) -> None:
    life = Life()
    life.plain(Opcode.ENABLE_HCA, Status.RES_BUSY)
    s = _audit(tmp, life.opened().closed())
    assert (s.end, [f.name for f in s.findings]) == ("closed", ["command-refused"])


def test_the_other_recording_with_a_page_returned_by_the_wrong_function(tmp: Path) -> None:
    lines = trace(FUNC)
    at = max(i for i, x in enumerate(lines) if x.get("in", "").startswith("0108000000000002000000310000"))
    lines[at]["in"] = lines[at]["in"].replace("00000031", "00000000")
    s = only(audit_trace(tmp, lines))
    assert ("returned-foreign", "device", 7) in {(f.name, f.blame, f.pages) for f in s.findings}
    assert ("pages-left", "func:0x31", 7) in {(f.name, f.function, f.pages) for f in s.findings}


def test_findings_are_bounded(tmp: Path) -> None:
    life = Life().opened()
    for _ in range(100):
        life.give(OWN_VHCA, pages(0x210, 4))
    s = _audit(tmp, life)
    assert len(s.findings) == 16
    assert "(and 84 more like it, 336 pages)" in s.findings[-1].detail


def test_garbled_addresses_do_not_fill_the_memory(tmp: Path) -> None:
    life = Life().opened()
    far = (np.arange(1, 20_000, dtype=np.uint64)) << np.uint64(40)
    life.give(0x31, far)
    s = _audit(tmp, life)
    assert _row(s, "vhca:0x31").given is None
    assert _row(s, OWN).given == 30


def test_the_documents_name_every_finding() -> None:
    text = (Path(__file__).parents[2] / "docs/reference/findings.md").read_text()
    assert [name for name in FINDINGS if f"| `{name}` | {FINDINGS[name]} | {REMEDIES[name]} |" not in text] == []
