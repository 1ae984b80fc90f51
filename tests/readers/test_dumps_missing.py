"""Dumps with lines missing: what is said of the command that they were of, and what can be known of it all the same."""

from __future__ import annotations

import pytest

from fwpages.prm.message import Answer, Command, encode_answer, encode_command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.readers.dumps import MAX_OPEN
from fwpages.readers.observations import (
    CommandCompleted,
    CommandSubmitted,
    CommandUnanswered,
    MissingInput,
    Note,
    Place,
)
from tests.auditor.entries import ANSWERED, GIVE, OK, QUERY, Log, entry, full, losses, pairs
from tests.auditor.written_traces import pages

TAKE = encode_command(Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"input_num_entries": 80}))


def test_an_answer_without_its_command_repeats_it_where_it_is_short() -> None:
    log = Log()
    log.dump(entry(QUERY, ANSWERED), out=True)
    assert (pairs(log.seen), losses(log.seen)) == ([("dut", QUERY, ANSWERED)], [])
    # later in the log its lines are missing, which is reported though no account needs them
    log.dump(entry(QUERY, ANSWERED), out=True)
    assert len(pairs(log.seen)) == 2
    detail = "the INPUT dump of QUERY_PAGES is missing; its OUTPUT dump repeats it"
    assert losses(log.finish()) == [("log-lines-lost", True, detail)]


def test_an_answer_to_a_longer_command_cannot_stand_alone() -> None:
    log = Log()
    log.query()
    raw = bytearray(entry(GIVE[:16], OK))
    raw[4:8] = len(GIVE).to_bytes(4, "big")
    log.dump(bytes(raw), Opcode.MANAGE_PAGES, out=True)
    (lost,) = [x for x in log.finish() if isinstance(x, MissingInput)]
    assert (lost.number, lost.opcode, lost.harmless) == (0x31, Opcode.MANAGE_PAGES, False)
    assert "its INPUT is not in the log" in lost.detail


def test_a_command_in_a_slot_whose_command_had_no_answer() -> None:
    log = Log()
    log.dump(full(GIVE, out=False), Opcode.MANAGE_PAGES, slot=31)
    log.dump(full(QUERY, out=False), slot=31)
    (lost,) = [x for x in log.finish() if isinstance(x, MissingInput)]
    assert (lost.key, lost.number, lost.opcode) == (1, 0x31, Opcode.MANAGE_PAGES)
    assert "the OUTPUT dump of MANAGE_PAGES is missing" in lost.detail


def test_an_answer_to_another_command_in_the_slot_answers_neither() -> None:
    log = Log()
    log.dump(full(QUERY, out=False))
    other = encode_command(Command(Opcode.QUERY_PAGES, QueryPages.INIT))
    log.dump(entry(other, ANSWERED), out=True)
    assert pairs(log.finish()) == [("dut", other, ANSWERED)]
    assert [name for name, _, _ in losses(log.seen)] == ["log-lines-lost"] * 2


def test_an_entry_that_is_still_the_devices_is_no_answer() -> None:
    log = Log()
    log.dump(full(QUERY, out=False))
    log.dump(entry(QUERY, bytes(16), ownership=1), out=True)
    assert pairs(log.finish()) == []
    assert [x.key for x in log.seen if isinstance(x, CommandUnanswered)] == [1]


@pytest.mark.parametrize("drop", range(4))
def test_a_command_without_its_first_lines_is_lost_with_its_function(drop: int) -> None:
    log = Log()
    log.query()
    log.dump(full(GIVE, out=False), Opcode.MANAGE_PAGES, drop=(drop,))
    (lost,) = [x for x in log.finish() if isinstance(x, MissingInput)]
    assert (lost.cause.finding, lost.opcode, lost.harmless) == ("log-lines-lost", Opcode.MANAGE_PAGES, False)
    # whose it was stands in the second line
    assert lost.number == (None if drop == 1 else 0x31)


def test_a_log_may_begin_in_the_middle_of_an_answer_and_end_in_that_of_a_command() -> None:
    log = Log()
    log.dump(entry(QUERY, ANSWERED), out=True, drop=(0,))
    assert [type(x) for x in log.seen] == [Note]
    steps = log.steps(full(GIVE, out=False), Opcode.MANAGE_PAGES)
    for _ in range(5):
        next(steps)
    log.finish()
    assert [(name, harmless) for name, harmless, _ in losses(log.seen)] == [("log-truncated", True)]
    assert not any(isinstance(x, CommandSubmitted) for x in log.seen)


def test_a_log_that_ends_in_the_middle_of_an_answer_gives_the_part_that_it_has() -> None:
    back = encode_answer(Answer(Opcode.MANAGE_PAGES, fields={"output_num_entries": 80}, pas=pages(0x100, 80)))
    log = Log()
    log.dump(full(TAKE, out=False), Opcode.MANAGE_PAGES)
    raw = bytearray(full(back, out=True))
    raw[4:8], raw[16:32] = len(TAKE).to_bytes(4, "big"), TAKE
    steps = log.steps(bytes(raw), Opcode.MANAGE_PAGES, out=True)
    for _ in range(11):
        next(steps)
    (answer,) = [x for x in log.finish() if isinstance(x, CommandCompleted)]
    # four lines of the entry, and five of the first mailbox
    known = 16 + 5 * 16
    assert (answer.message[:known], len(answer.message)) == (back[:known], len(back))
    assert answer.holes == ((known, 528), (528, len(back)))
    assert [(name, harmless) for name, harmless, _ in losses(log.seen)] == [("log-truncated", True)]


def test_lines_that_continue_no_dump_are_reported_once_for_each_slot() -> None:
    log = Log()
    for slot in (0, 0, 7):
        log.seen += log.dumps.line(9, slot, 0x40, bytes(16), b"")
    # before any headline they may be anybody's
    assert log.seen == []
    log.query(slot=3)
    for slot in (0, 0, 7):
        log.seen += log.dumps.line(9, slot, 0x40, bytes(16), b"")
    assert [detail[:20] for _, _, detail in losses(log.finish())] == ["dump lines of slot 0", "dump lines of slot 7"]


def test_headlines_alone_have_lost_nothing() -> None:
    """There are logs with no dump lines at all; where there are some, each headline should have its own."""
    log = Log()
    log.query(drop=(0, 1, 2, 3))
    assert log.seen == []
    log.query(slot=3)
    log.query(drop=(0, 1, 2, 3))
    assert [name for name, _, _ in losses(log.finish())] == ["log-lines-lost"] * 2


def test_dumps_that_never_end_are_bounded() -> None:
    log = Log()
    for slot in range(MAX_OPEN + 5):
        log.seen += log.dumps.headline(
            Place("log.txt", slot), "dut", slot, 0x107, out=False, data_only=False, caller=None
        )
        log.seen += log.dumps.line(slot, slot, 0, full(QUERY, out=False)[:16], b"")
    assert len(losses(log.seen)) == 5
    assert len(losses(log.finish())) == MAX_OPEN + 5
