"""Commands that went wrong, where several lines of a driver's tell of one and the same: one finding for one trouble.

What becomes of the counts is in ``test_messages_alone.py``; lines beside dumps are in ``test_messages.py`` too.
"""

from __future__ import annotations

import pytest

from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import pages

CMD = "MANAGE_PAGES(0x108)"
LEAK = f"{CMD} timeout. Will cause a leak of a command resource"
UNSENT = f"{CMD} timeout while waiting for command semaphore."
#: the line of the first message
FIRST = 2
GAVE = "npages 9, ec_function 0, func_id 0x3, err 0"


def _refused(op_mod: int) -> str:
    return f"{CMD} op_mod({op_mod:#x}) failed, status bad resource(0x5), syndrome (0x12345), err(-22)"


def _said(*messages: str) -> AuditedTrace:
    """A driver said so, and then no more."""
    trace = AuditedTrace(log=True)
    trace.say(*messages)
    trace.over()
    return trace


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        # out of memory
        (["failed to allocate page", "give fail -12"], ("alloc-failed", "host", None, None)),
        (["failed dma mapping page", "give fail -12"], ("alloc-failed", "host", None, None)),
        (["give fail -12"], ("alloc-failed", "host", None, None)),
        # a GIVE that never went out
        ([UNSENT, "func_id 0x3, npages 7, err -16"], ("command-not-sent", "host", "func:0x3", 7)),
        (
            [f"{CMD} canceled on out of queue timeout.", "func_id 0x3, npages 7, err -125"],
            ("command-not-sent", "host", "func:0x3", 7),
        ),
        ([UNSENT], ("command-not-sent", "host", None, None)),
        # a CANT_GIVE
        ([LEAK, "page notify failed func_id(3) err(-110)"], ("cant-give-unanswered", "device", "func:0x3", None)),
        ([_refused(0), "page notify failed func_id(3) err(-22)"], ("command-refused", "device", "func:0x3", None)),
        # a TAKE
        ([LEAK, "failed reclaiming pages: err -110"], ("take-unanswered", "device", None, None)),
        ([_refused(2), "failed reclaiming pages: err -22"], ("take-refused", "device", None, None)),
        # Linux 3.11 does not tell the error where it says so first
        (["failed recliaming pages"], ("take-refused", "device", None, None)),
        # an answer that the driver got late
        (["Command completion arrived after timeout (entry idx = 31)."] * 3, ("late-answer", "device", None, None)),
    ],
)
def test_one_trouble_is_one_finding(messages: list[str], found: tuple[str, str, str | None, int | None]) -> None:
    trace = _said(*messages)
    assert trace.found == [found]
    (f,) = trace.findings()
    # it stands at one of the lines, and what led there is not forgotten
    at = f.at["line"] - FIRST
    assert f.detail.startswith(messages[at])
    assert at == 0 or f.detail.endswith(messages[0])


@pytest.mark.parametrize(
    "messages",
    [
        ["failed to allocate page", "give fail -12"],
        [UNSENT, "func_id 0x3, npages 7, err -16"],
        [LEAK, "page notify failed func_id(3) err(-110)"],
        [LEAK],
        [UNSENT],
    ],
)
def test_the_same_trouble_again_is_another_finding(messages: list[str]) -> None:
    once, twice = _said(*messages), _said(*messages * 2)
    assert twice.found == once.found * 2


@pytest.mark.parametrize(
    ("first", "again"),
    [
        # Linux 3.11, and its spelling
        ("failed recliaming pages", "failed reclaiming pages (-110)"),
        ("failed reclaiming pages: err -110", "failed reclaiming pages (-110)"),
        ("failed reclaiming pages: err -110", "failed reclaiming pages (-110) for func id 0x3"),
        ("failed reclaiming pages: err -110", "reclaim_pages err (-110) func_id=0x3 ec_func=0x0"),
    ],
)
def test_a_reclaim_that_failed_is_reported_once_and_then_the_function_of_its_pages(first: str, again: str) -> None:
    trace = _said(GAVE, first, again)
    whose = ("func:0x3", 9) if "func" in again else (None, None)
    assert trace.found == [("take-unanswered", "device", None, None), ("pages-left", "device", *whose)]
    assert trace.over().end == "closed"


def test_a_line_that_only_repeats_the_error_counts_where_no_line_came_before_it() -> None:
    assert _said("failed reclaiming pages (-22)").found == [("take-refused", "device", None, None)]


def test_a_refusal_and_the_next_ones_story_are_not_mixed() -> None:
    """A refused TAKE is reported before the driver prints a line about a GIVE."""
    trace = _said(_refused(2), _refused(1), "func_id 0x3, npages 7, err -22")
    assert trace.found == [("take-refused", "device", None, None), ("give-refused", "device", "func:0x3", 7)]
    assert [f.at["line"] for f in trace.findings()] == [FIRST, FIRST + 2]


def test_memory_that_was_short_twice_before_the_driver_gave_up_once_is_reported_twice() -> None:
    assert _said("failed to allocate page", "failed to allocate page", "give fail -12").names == ["alloc-failed"] * 2
    # and one give-up is not the next one's
    assert _said("failed to allocate page", "give fail -12", "give fail -12").names == ["alloc-failed"] * 2


# -- beside dumps


def _dumped(*messages: str) -> AuditedTrace:
    trace = AuditedTrace(log=True)
    trace.opened(vhca=False)
    trace.say("npages 10, ec_function 0, func_id 0x0, err 0", "npages 20, ec_function 0, func_id 0x0, err 0", *messages)
    return trace


@pytest.mark.parametrize(
    "message",
    [_refused(1), "func_id 0x3, npages 7, err -110", "page notify failed func_id(3) err(-110)"],
)
def test_what_the_dumps_tell_the_lines_do_not(message: str) -> None:
    assert _dumped(message).over().findings == []


@pytest.mark.parametrize("message", [UNSENT, f"{CMD} canceled on out of queue timeout."])
def test_a_command_that_was_not_sent_has_no_dump_and_is_reported(message: str) -> None:
    trace = _dumped(message)
    trace.over()
    assert trace.found == [("command-not-sent", "host", None, None)]


def test_a_time_out_gives_up_the_command_of_its_slot_alone() -> None:
    trace = _dumped()
    trace.submit(trace.give_command(3, pages(0x500, 7)), slot=31)
    trace.submit(Command(Opcode.QUERY_ADAPTER), slot=1)
    trace.say(f"cmd[31]: {LEAK}")
    assert trace.found == [("give-unanswered", "device", "func:0x3", 7)]
    assert [p.opcode for p in trace.s.pending.values()] == [Opcode.QUERY_ADAPTER]
