"""What a served device does on purpose is told apart from what the driver does with it; no fault is without a bound."""

from __future__ import annotations

import json
import tracemalloc
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import SessionAccount
from fwpages.device.faults.plan import MOST_TOOK, FaultPlan, Moment, PlannedFault
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages, Teardown
from fwpages.readers.trace_writer import TraceWriter
from fwpages.report.serve import ServeReport, serve_report, show_served
from fwpages.scenario.observer import MOST_OFFENCES
from tests.scenario.stage import Stage, request, steps


def stage(*faults: PlannedFault, rows: tuple[str, ...] = ('do = "open"',)) -> Stage:
    return Stage(steps(*rows), faults=list(faults))


def reported(st: Stage) -> ServeReport:
    return serve_report(st.serving, scenario="test")


def audited(st: Stage, folder: Path) -> SessionAccount:
    """The first session by the audit of the trace, which ends here."""
    st.writer.end()
    path = folder / "t.jsonl"
    path.write_text(st.stream.getvalue())
    return audit(path).sessions[0]


def lines(st: Stage) -> str:
    stream = StringIO()
    show_served(reported(st), st.serving, Console(file=stream, width=200))
    return stream.getvalue()


def start(st: Stage) -> None:
    """A driver that gives what QUERY_PAGES(boot) says, to whom it says, goes on and is then gone."""
    d = st.driver()
    d.ok(Opcode.ENABLE_HCA)
    asked = d.ok(Opcode.QUERY_PAGES, QueryPages.BOOT)
    for page in range(asked["num_pages"]):
        fields = {"function_id": asked["function_id"], "input_num_entries": 1}
        pas = np.array([0x2000000 + page * 4096], np.uint64)
        d.command(Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, fields, pas=pas))
    d.command(Command(Opcode.INIT_HCA, 0, {}))
    d.close()


@pytest.mark.parametrize("name", ["pages-zero", "boot-other-function"])
def test_a_driver_that_was_lied_to_is_not_said_to_misbehave(name: str) -> None:
    st = stage(PlannedFault(name))
    start(st)
    report = reported(st)
    assert report.verdict == "findings"
    assert "did not behave" not in report.summary
    assert report.summary.startswith(f"not clean: on purpose the device did: {name}; the driver then: ")
    assert [(x.fault, x.times, x.session) for x in report.on_purpose] == [(name, 1, 1)]
    assert report.offences == []
    assert report.excused != []


def test_a_storm_of_requests_is_the_device_s_doing() -> None:
    st = stage(PlannedFault("request-storm"))
    d = st.driver()
    d.up()
    d.ok(Opcode.QUERY_HCA_CAP, 1)
    st.later(10)
    d.close()
    report = reported(st)
    assert report.offences == []
    assert report.summary.startswith("not clean: on purpose the device did: request-storm; the driver then: ")


def test_a_fault_that_took_effect_is_told_with_its_time_and_what_it_does() -> None:
    st = stage(PlannedFault("take-nothing", times=0))
    d = st.driver()
    own = d.up()
    st.later(3)
    for _ in range(40):
        assert d.take(own, 5) == 0
    assert st.said.count("on purpose, take-nothing: an answer names nothing, and nothing is let go") <= 20
    [told] = [row for row in lines(st).splitlines() if row.startswith("on purpose")]
    assert told.endswith("take-nothing: an answer names nothing, and nothing is let go (40 times, first at 3.000 s)")
    injected = [row for row in st.stream.getvalue().splitlines() if '"what":"injected"' in row]
    assert json.loads(injected[0])["detail"] == "take-nothing: an answer names nothing, and nothing is let go"


def test_a_fault_that_never_took_effect_is_told_and_makes_the_verdict_not_known() -> None:
    st = stage(PlannedFault("take-refused", at=9))
    d = st.driver()
    d.down(d.up())
    report = reported(st)
    assert (report.verdict, report.missed, report.on_purpose) == ("not known", ["fault take-refused@9"], [])
    assert "fault never injected: take-refused@9" in lines(st)


def test_a_fault_without_an_end_is_remembered_within_bounds() -> None:
    plan = FaultPlan((PlannedFault("take-nothing", times=0),))
    for _ in range(MOST_TOOK + 10):
        plan.take(0)
    assert len(plan.took) == MOST_TOOK


def test_a_storm_at_every_command_is_told_in_few_lines_and_kept_within_bounds() -> None:
    st = Stage(steps('do = "open"'), faults=[PlannedFault("request-storm", times=0)], most=100_000)
    d = st.driver()
    d.up()
    for _ in range(2):
        d.ok(Opcode.QUERY_ADAPTER)
    d.close()
    report = reported(st)
    [told] = report.on_purpose
    assert (told.fault, report.faults) == ("request-storm", ["request-storm"] * told.times)
    assert len(st.said) < 150
    assert len(report.excused) == MOST_OFFENCES
    assert st.writer.full
    assert len(st.stream.getvalue()) <= 100_000


def test_a_fault_without_an_end_takes_no_more_memory_as_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fwpages.scenario.observer.MOST_OFFENCES", 20)
    monkeypatch.setattr("fwpages.device.faults.plan.MOST_TOOK", 20)
    st = Stage(steps('do = "open"'), faults=[PlannedFault("take-count-huge", times=0)], most=5_000)
    d = st.driver()
    own = d.up()

    def go_on(times: int) -> int:
        for _ in range(times):
            d.take(own, 5)
        return tracemalloc.get_traced_memory()[0]

    go_on(60)
    lines = len(st.said)
    tracemalloc.start()
    try:
        before = go_on(40)
        assert go_on(100) - before < 2_000
    finally:
        tracemalloc.stop()
    assert len(st.said) == lines
    assert reported(st).on_purpose[0].times == 200


def test_a_trace_that_is_full_is_cut_and_says_so(tmp_path: Path) -> None:
    stream = StringIO()
    writer = TraceWriter(stream, device="dut", supplier=Supplier(False, 0, 0), most=5000)
    for n in range(1000):
        writer.submit(n, 1, n, 0, Command(Opcode.ENABLE_HCA, 0, {}))
        writer.complete(n, 1, n, Answer(Opcode.ENABLE_HCA), 16)
    writer.end()
    assert writer.full
    assert 4800 < len(stream.getvalue()) <= 5000
    path = tmp_path / "t.jsonl"
    path.write_text(stream.getvalue())
    session = audit(path).sessions[-1]
    assert any("the trace was cut" in f.detail for f in session.findings)


# -- requests without an answer


def asked(answer: str, seconds: float) -> Stage:
    """Firmware asks for 8 pages; the driver answers in this manner, or not, and closes after so many seconds."""
    st = stage(rows=('do = "open"', request("vf0", 8)))
    d = st.driver()
    own = d.up()
    st.later(0.1)
    if answer == "give":
        d.give(0x31, 8)
    elif answer == "half":
        d.give(0x31, 4)
    elif answer == "decline":
        d.ok(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, function_id=0x31)
    st.later(seconds)
    for eqn in d.eqns:
        d.ok(Opcode.DESTROY_EQ, eq_number=eqn)
    d.ok(Opcode.DEALLOC_UAR, uar=d.uar)
    d.ok(Opcode.TEARDOWN_HCA)
    st.later(30)
    while d.take(own, 700):
        pass
    while d.take(0x31, 700):
        pass
    d.ok(Opcode.DISABLE_HCA)
    return st


@pytest.mark.parametrize(("answer", "left"), [("none", 8), ("half", 4)])
def test_a_request_that_the_driver_had_time_for_and_did_not_answer(answer: str, left: int, tmp_path: Path) -> None:
    st = asked(answer, 20)
    [o] = reported(st).offences
    words = f"{left} pages asked for 20.1 s before, neither GIVE nor CANT_GIVE came"
    assert (o.session, o.name, o.detail) == (1, "request-unanswered", f"vf0: {words}")
    session = audited(st, tmp_path)
    [f] = session.findings
    assert (f.name, f.function, f.pages, f.blame) == ("request-unanswered", "vhca:0x31", left, "host")
    assert f.detail == f"vhca:0x31: {words}"


@pytest.mark.parametrize(("answer", "seconds"), [("give", 20), ("decline", 20), ("none", 1)])
def test_a_request_that_was_answered_or_came_a_moment_before_the_close(
    answer: str, seconds: float, tmp_path: Path
) -> None:
    st = asked(answer, seconds)
    assert [o.name for o in reported(st).offences] == []
    assert "request-unanswered" not in {f.name for f in audited(st, tmp_path).findings}


@pytest.mark.parametrize("how", ["storm", "trouble"])
def test_requests_that_the_device_lost_itself_are_held_against_nobody(how: str, tmp_path: Path) -> None:
    """The queue runs full by a fault of ours, or the device is in a fatal state when it is reset."""
    rows = ('do = "open"', request("vf0", 8), *(['do = "health"'] if how == "trouble" else []))
    st = stage(*([PlannedFault("request-storm")] if how == "storm" else []), rows=rows)
    d = st.driver()
    d.up()
    d.ok(Opcode.QUERY_ADAPTER)
    st.later(30)
    if how == "trouble":
        st.later(30)
        d.reset()
    else:
        d.close()
    assert [o.name for o in reported(st).offences] == []
    assert "request-unanswered" not in {f.name for f in audited(st, tmp_path).findings}


# -- a session that ends with the device open


@pytest.mark.parametrize("how", ["reset", "gone", "torn-gone"])
def test_a_device_that_is_left_open_is_a_finding_of_both(how: str, tmp_path: Path) -> None:
    st = stage()
    d = st.driver()
    d.up()
    if how == "torn-gone":
        d.ok(Opcode.TEARDOWN_HCA)
    if how == "reset":
        d.reset()
    else:
        d.close()
    report = reported(st)
    assert (report.verdict, report.sessions[0].held, report.sessions[0].dropped) == ("findings", 57, False)
    session = audited(st, tmp_path)
    [f] = session.findings
    assert (session.verdict, f.name, f.blame, f.pages) == ("findings", "pages-left", "host", 57)
    way = "the device was reset" if how == "reset" else "the machine was gone"
    assert f.detail == f"57 pages of vhca:0x2a: {way} with the device open"


# -- commands that the device carries out and never answers


def counts(st: Stage, folder: Path) -> tuple[list[int], list[int | None]]:
    """Pages of the first session given, returned, released and held, by the device and by the audit of its trace."""
    mine = st.serving.observer.sessions[0]
    theirs = audited(st, folder).totals
    return (
        [mine.total("given"), mine.total("returned"), mine.total("held")],
        [theirs.given, theirs.returned, theirs.held],
    )


def test_pages_of_a_give_that_was_not_answered_are_with_firmware_by_both_books(tmp_path: Path) -> None:
    st = stage(PlannedFault("give-unanswered-done"))
    d = st.driver()
    d.ok(Opcode.ENABLE_HCA)
    with pytest.raises(AssertionError):
        d.give(0, 37)
    mine, theirs = counts(st, tmp_path)
    assert mine == theirs == [37, 0, 37]


def test_pages_of_a_take_that_was_not_answered_are_back_by_both_books(tmp_path: Path) -> None:
    st = stage(PlannedFault("take-unanswered-done"))
    d = st.driver()
    own = d.up()
    d.ok(Opcode.TEARDOWN_HCA)
    with pytest.raises(AssertionError):
        d.take(own, 5)
    mine, theirs = counts(st, tmp_path)
    assert mine == theirs == [57, 5, 52]


def test_a_count_beyond_the_pages_of_an_answer_brings_no_pages_back(tmp_path: Path) -> None:
    st = stage(PlannedFault("take-count-huge"))
    d = st.driver()
    own = d.up()
    d.ok(Opcode.TEARDOWN_HCA)
    assert d.take(own, 5) > 5
    mine, theirs = counts(st, tmp_path)
    assert mine == theirs == [57, 5, 52]


def test_an_answer_that_comes_late_moves_no_page_twice(tmp_path: Path) -> None:
    st = stage(PlannedFault("take-late"))
    d = st.driver()
    own = d.up()
    d.ok(Opcode.TEARDOWN_HCA)
    with pytest.raises(AssertionError):
        d.take(own, 5)
    st.later(100)
    mine, theirs = counts(st, tmp_path)
    assert mine == theirs == [57, 5, 52]


def test_a_function_disabled_without_an_answer_is_disabled_by_both_books(tmp_path: Path) -> None:
    st = stage(PlannedFault("disable-unanswered-done"))
    d = st.driver()
    d.up()
    d.ok(Opcode.ENABLE_HCA, function_id=1)
    d.give(0x31, 8)
    with pytest.raises(AssertionError):
        d.ok(Opcode.DISABLE_HCA, function_id=1)
    fields = {"function_id": 0x31, "input_num_entries": 8}
    assert d.command(Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, fields), slot=1)["output_num_entries"] == 8
    mine, theirs = counts(st, tmp_path)
    assert mine == theirs == [65, 8, 57]


def test_a_teardown_without_an_answer_is_a_teardown_and_the_reset_after_it_is_right(tmp_path: Path) -> None:
    st = stage(PlannedFault("command-unanswered-done", during=Moment.TEARDOWN))
    d = st.driver()
    d.up()
    with pytest.raises(AssertionError):
        d.ok(Opcode.TEARDOWN_HCA)
    d.reset()
    report = reported(st)
    assert (report.verdict, report.sessions[0].dropped) == ("clean", True)
    assert audited(st, tmp_path).verdict == "clean"


def test_a_close_without_an_answer_is_a_close(tmp_path: Path) -> None:
    """TEARDOWN_HCA is the first command that the fault is about, DISABLE_HCA the second."""
    st = stage(PlannedFault("command-unanswered-done", 2, during=Moment.TEARDOWN))
    d = st.driver()
    own = d.up()
    with pytest.raises(AssertionError):
        d.down(own)
    assert reported(st).sessions[0].end == "closed"
    mine, theirs = counts(st, tmp_path)
    assert mine == theirs == [57, 57, 0]
    session = audited(st, tmp_path)
    assert (session.end, [f.name for f in session.findings]) == ("closed", ["command-unanswered"])


def test_a_mode_switched_without_an_answer_is_switched(tmp_path: Path) -> None:
    st = stage(PlannedFault("set-cap-unanswered-done"))
    d = st.driver()
    with pytest.raises(AssertionError):
        d.up()
    [session] = reported(st).sessions
    assert (session.mode, session.identities) == ("vhca_id", {"self": "vhca:0x2a"})
    mine, theirs = counts(st, tmp_path)
    assert mine == theirs == [37, 0, 37]


# -- torn down, never taken back, then reset


@pytest.mark.parametrize("profile", [Teardown.GRACEFUL, Teardown.PREPARE_FAST])
def test_torn_down_never_taken_back_then_reset_is_said_alike_by_both(profile: Teardown, tmp_path: Path) -> None:
    st = stage()
    d = st.driver()
    d.up()
    for eqn in d.eqns:
        d.ok(Opcode.DESTROY_EQ, eq_number=eqn)
    assert d.ok(Opcode.TEARDOWN_HCA, profile=profile)["state"] == 0
    d.reset()
    report = reported(st)
    assert (report.verdict, report.sessions[0].dropped) == ("clean", True)
    assert "57 pages (0.223 MiB) never taken back, dropped by a reset" in report.summary
    assert audited(st, tmp_path).verdict == "clean"


def test_a_fast_teardown_lets_go_of_everything_once_the_interface_is_disabled() -> None:
    st = stage()
    d = st.paged()
    d.up()
    assert d.ok(Opcode.TEARDOWN_HCA, profile=Teardown.PREPARE_FAST)["state"] == 0
    assert st.held("self") == 57
    d.write(0, 0x14, (0x10000 | 0x100).to_bytes(4, "big"))
    assert st.held("self") == 0
    assert int.from_bytes(d.read(0, 0x14, 4), "big") >> 8 & 7 == 1
    d.unmap_each(range(0x1000000, 0x1000000 + 57 * 4096, 4096))
    assert st.serving.observer.offences == []


def test_a_slot_that_is_rung_again_is_told_with_the_command_in_it() -> None:
    st = stage(PlannedFault("take-unanswered-lost"))
    d = st.driver()
    own = d.up()
    with pytest.raises(AssertionError):
        d.take(own, 5)
    d.write(0, 0x18, (1).to_bytes(4, "big"))
    d.write(0, 0x18, (2).to_bytes(4, "big"))
    busy, free = [o.detail for _, o in st.serving.observer.offences]
    assert busy == "slot 0: MANAGE_PAGES(TAKE) is not answered yet; the new entry is not looked at"
    assert free.startswith("slot 1: the entry at 0x10040 has ")
    assert free.endswith(", and is the driver's")
