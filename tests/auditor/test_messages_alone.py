"""A driver's lines where a log has no command dumps. Whole logs of lines are for ``test_lines.py``."""

from __future__ import annotations

import pytest

from tests.auditor.audited_traces import AuditedTrace

CMD = "MANAGE_PAGES(0x108)"


def _lines(*messages: str) -> AuditedTrace:
    trace = AuditedTrace(log=True)
    trace.say(*messages)
    return trace


def test_a_line_that_speaks_of_vhca_ids_switches_the_mode_where_no_command_could() -> None:
    trace = _lines(
        "requested 6 boot pages for func_id 0x0",
        "npages 6, ec_function 0, func 0x0, mode 0, err 0",
        "requested 9 init pages for func_vhca_id 0x2a",
        "npages 9, ec_function 0, func 0x2a, mode 1, err 0",
    )
    assert trace.so_far().mode == "vhca_id"
    # the boot pages are the own vhca_id's
    assert [(who, row.given) for who, row in trace.counted()] == [("vhca:0x2a", 15)]


@pytest.mark.parametrize(
    ("err", "found", "doubtful", "dropped"),
    [
        (-110, ("give-unanswered", "device", "func:0x3", 7), 7, 0),
        (-125, ("command-not-sent", "host", "func:0x3", 7), 0, 7),
        (-16, ("command-not-sent", "host", "func:0x3", 7), 0, 7),
        (-5, ("give-refused", "device", "func:0x3", 7), 0, 7),
    ],
)
def test_a_give_that_failed_is_named_by_its_error(
    err: int, found: tuple[str, str, str, int], doubtful: int, dropped: int
) -> None:
    start = "requested 1 boot pages for func_id 0x0", "npages 1, ec_function 0, func_id 0x0, err 0"
    trace = _lines(*start, f"func_id 0x3, npages 7, err {err}")
    assert trace.found == [found]
    assert trace.so_far().totals.doubtful == doubtful
    assert trace.so_far().counters["fw_pages_give_dropped"] == dropped


def test_a_request_tells_whose_give_failed_where_its_line_does_not() -> None:
    trace = _lines("page request for func 0x3, npages 7", "npages 7, err -5")
    assert trace.found == [("give-refused", "device", "func:0x3", 7)]
    # a driver's own word stands, whatever becomes of what commands seem to tell
    assert trace.s.findings.drop_inferred() == 0


def test_a_refusal_belongs_to_the_line_that_follows_it() -> None:
    refusal = f"{CMD} op_mod(0x1) failed, status no resources(0xf), syndrome (0x1), err(-12)"
    trace = _lines(refusal, "func_id 0x3, npages 7, err -12")
    assert trace.names == ["give-refused"]
    assert refusal in trace.findings()[0].detail
    trace.over()
    assert trace.names == ["give-refused"]


@pytest.mark.parametrize(
    ("op_mod", "name"),
    [(0, "command-refused"), (1, "give-refused"), (2, "take-refused"), (7, "command-refused")],
)
def test_a_refusal_that_no_line_follows_stands_for_itself(op_mod: int, name: str) -> None:
    line = f"{CMD} op_mod({op_mod:#x}) failed, status bad parameter(0x3), syndrome (0x1), err(-22)"
    trace = _lines(line)
    assert trace.names == []
    trace.say(line)
    assert trace.names == [name]
    trace.over()
    assert trace.names == [name, name]


@pytest.mark.parametrize(
    ("command", "benign"),
    [("ACCESS_REG(0x805)", True), ("QUERY_ISSI(0x10a)", True), ("X(0x9999)", True), ("INIT_HCA(0x102)", False)],
)
def test_what_a_driver_only_tries_is_no_fault(command: str, benign: bool) -> None:
    trace = _lines(f"{command} op_mod(0x0) failed, status bad operation(0x2), syndrome (0x1)")
    trace.over()
    assert trace.names == ([] if benign else ["command-refused"])
    assert any("refused, which is no finding" in note for note in trace.over().notes) == benign


@pytest.mark.parametrize(("err", "name"), [(-110, "take-unanswered"), (-22, "take-refused")])
def test_a_take_that_failed_and_then_whose_pages_stay(err: int, name: str) -> None:
    trace = _lines("npages 9, ec_function 0, func_id 0x3, err 0", f"failed reclaiming pages: err {err}")
    assert trace.found == [(name, "device", None, None)]
    trace.say(f"reclaim_pages err ({err}) func_id=0x3 ec_func=0x0")
    assert trace.names == [name]
    trace.over()
    assert trace.found[1:] == [("pages-left", "device", "func:0x3", 9)]


def test_a_line_that_a_driver_repeats_is_reported_once() -> None:
    line = f"cmd[0]: {CMD} Async, recovered after timeout"
    trace = _lines(line, line, line)
    assert len(trace.names) == 1


# -- whose pages a line is about


@pytest.mark.parametrize("asked", ["requested 6 boot pages for func_id 0x3", "page request for func 0x3, npages 6"])
@pytest.mark.parametrize("gave", ["npages 6, err 0", "give_pages| err 0"])
def test_a_line_that_names_no_function_is_about_the_only_request_that_fits(asked: str, gave: str) -> None:
    trace = _lines(asked, gave)
    assert [(who, row.given) for who, row in trace.counted()] == [("func:0x3", 6)]
    if gave.endswith("| err 0"):
        trace.say(gave)
        assert not trace.s.evidence.uncounted_lines, "Linux 3.11 says it twice for each GIVE"
    trace.say(gave)
    assert "names no function, and no single request fits it" in trace.s.evidence.uncounted_lines


def test_a_line_that_names_its_function_knows_better_than_the_request() -> None:
    """The ec bit is in the line alone."""
    request = "page request for func 0x3, npages 7"
    trace = _lines(request, "npages 7, ec_function 1, func_id 0x3, err -5", request)
    assert trace.found == [("give-refused", "device", "func:0x3/ec", 7)]


def test_a_take_that_names_no_function_leaves_the_counts_of_all_unknown() -> None:
    trace = _lines(*(f"npages 9, ec_function 0, func_id {n}, err 0" for n in ("0x0", "0x3")))
    assert [row.out for _, row in trace.counted()] == [9, 9]
    trace.say("npages 3, outlen 40")
    assert [(row.out, row.swept) for _, row in trace.counted()] == [(None, 3), (None, 3)]
    # on firmware's request it is about one of them
    trace = _lines(*(f"npages 9, ec_function 0, func_id {n}, err 0" for n in ("0x0", "0x3")))
    trace.say("page request for func 0x3, npages -3", "npages 3, outlen 40")
    assert [(row.out, row.asked) for _, row in trace.counted()] == [(9, 0), (None, 3)]


def test_a_release_all_waits_for_the_line_that_counts_it() -> None:
    trace = _lines("npages 9, ec_function 0, func_id 0x3, err 0", "page request for func 0x3, npages 0, release_all 1")
    trace.say("npages 9, ec_function 0, func_id 0x3")
    assert [row.released for _, row in trace.counted()] == [9]


def test_a_time_out_belongs_to_the_line_that_follows_it_or_stands_for_itself() -> None:
    leak = f"{CMD} timeout. Will cause a leak of a command resource"
    trace = _lines(leak, "func_id 0x3, npages 7, err -110")
    assert trace.found == [("give-unanswered", "device", "func:0x3", 7)]
    assert leak in trace.findings()[0].detail
    trace = _lines(leak)
    assert trace.found == []
    trace.over()
    assert trace.found == [("command-unanswered", "device", None, None)]


def test_the_time_out_of_another_command_is_no_part_of_a_failed_give() -> None:
    leak = "ALLOC_UAR(0x802) timeout. Will cause a leak of a command resource"
    trace = _lines(leak, "give fail -110")
    assert trace.found == [("command-unanswered", "device", None, None), ("give-unanswered", "device", None, None)]
    assert leak not in trace.findings()[1].detail


# -- how a log without dumps ends


GIVEN = "npages 9, ec_function 0, func_id 0x0, err 0"
SWEPT = "func 0x0, npages 768, outlen 6160"
RELEASED_THE_REST = (
    "npages 9, ec_function 0, func_id 0x3, err 0",
    "page request for func 0x3, npages -4, release_all 0",
    "func 0x3, npages 4, outlen 48",
    "page request for func 0x3, npages 0, release_all 1",
    "npages 5, ec_function 0, func_id 0x3",
)


@pytest.mark.parametrize(
    ("lines", "at_eof", "before_next"),
    [
        ([GIVEN], False, False),
        ([GIVEN, SWEPT], True, True),
        # all was not asked for, unless the device was opened anew
        ([GIVEN, "npages 9, ec_function 0, func_id 0x3, err 0", SWEPT], False, True),
        # a function that released the rest has none left to be asked for
        ([GIVEN, *RELEASED_THE_REST, SWEPT], True, True),
        ([GIVEN, "FW pages counter is 3 after reclaiming all pages"], True, True),
        ([GIVEN, "FW did not return all pages. giving up..."], True, True),
        ([GIVEN, "tear_down_hca failed, skip cleanup"], False, False),
    ],
)
def test_whether_the_driver_closed(lines: list[str], at_eof: bool, before_next: bool) -> None:
    ends = [_lines(*lines).over(then).end == "closed" for then in ("eof", "next")]
    assert ends == [at_eof, before_next]


def test_pages_that_a_driver_says_are_left_are_reported_with_their_types() -> None:
    trace = _lines(
        GIVEN,
        SWEPT,
        "FW did not return all pages. giving up...",
        "FW pages counter is 42 after reclaiming all pages",
        "VFs FW pages counter is 2 after reclaiming all pages",
        "Peer PF FW pages counter is 1 after reclaiming all pages",
    )
    trace.over()
    assert trace.found == [("pages-left", "device", None, 42)]
    detail = trace.findings()[0].detail
    counter = "FW pages counter is 42 after reclaiming all pages"
    assert detail == f"FW did not return all pages. giving up...; {counter}; of these vf 2; of these host_pf 1"
