"""Dumps put together again: which command a line belongs to, and which answer.

Lines that are missing are in ``test_dumps_missing.py``, whole logs as other programs print them in
``test_kernel_log_printed.py``.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.prm.message import Answer, Command, encode_answer, encode_command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.readers.dumps import caller_of
from fwpages.readers.observations import CommandCompleted, CommandSubmitted, MissingInput, Place
from tests.auditor.entries import ANSWERED, GIVE, OK, QUERY, Log, entry, full, losses, pairs
from tests.auditor.written_traces import pages

OTHER = encode_command(Command(Opcode.QUERY_PAGES, QueryPages.INIT))


def test_a_command_and_its_answer_find_each_other() -> None:
    log = Log()
    log.dump(full(GIVE, out=False), Opcode.MANAGE_PAGES, slot=31)
    log.query(slot=0)
    log.dump(entry(GIVE[:16], OK), Opcode.MANAGE_PAGES, out=True, slot=31)
    assert pairs(log.finish()) == [("dut", QUERY, ANSWERED), ("dut", GIVE, OK)]
    assert [x.slot for x in log.seen if isinstance(x, CommandSubmitted)] == [31, 0]
    assert losses(log.seen) == []


def test_a_data_dump_is_as_long_as_its_command_says() -> None:
    log = Log()
    take = encode_command(Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"input_num_entries": 3}))
    back = encode_answer(Answer(Opcode.MANAGE_PAGES, fields={"output_num_entries": 3}, pas=pages(0x100, 3)))
    filled = back.ljust(48, b"\0")
    log.dump(take, Opcode.MANAGE_PAGES, data=True)
    # what follows is more than anybody needs
    log.dump(filled + bytes(64), Opcode.MANAGE_PAGES, out=True, data=True)
    assert (pairs(log.finish()), losses(log.seen)) == ([("dut", take, filled)], [])


@settings(max_examples=30)
@given(st.lists(st.booleans(), max_size=30))
def test_dumps_of_different_slots_may_take_turns(turns: list[bool]) -> None:
    log = Log()
    log.query()
    sent = [log.steps(full(GIVE, out=False), Opcode.MANAGE_PAGES, slot=31), log.steps(full(QUERY, out=False), slot=5)]
    for second in turns:
        next(sent[second], None)
    for steps in sent:
        for _ in steps:
            pass
    assert sorted(x.message for x in log.finish() if isinstance(x, CommandSubmitted)) == sorted([QUERY, QUERY, GIVE])
    assert losses(log.seen) == []


def test_lines_that_several_dumps_wait_for_are_dropped_unless_they_are_all_alike() -> None:
    query, give = full(QUERY, out=False), full(GIVE[:16], out=False)
    for one, other, lost in ((query, query, 0), (query, give, 2), (give, query, 2)):
        log = Log()
        for _ in zip(log.steps(one, device="a"), log.steps(other, device="b"), strict=True):
            pass
        assert [name for name, _, _ in losses(log.finish())] == ["log-ambiguous"] * lost
        assert [x.device for x in log.seen if isinstance(x, CommandSubmitted)] == ([] if lost else ["a", "b"])


def test_the_caller_of_printk_tells_them_apart() -> None:
    log = Log()
    one, two = (
        log.steps(full(m, out=False), device=d, caller=c) for m, d, c in ((QUERY, "a", "T1"), (GIVE, "b", "C2"))
    )
    for _ in zip(one, two, strict=False):
        pass
    for _ in two:
        pass
    assert {x.device: x.message for x in log.finish() if isinstance(x, CommandSubmitted)} == {"a": QUERY, "b": GIVE}


@pytest.mark.parametrize(
    ("prefix", "caller"),
    [("[    3.9][  T100] ", "T100"), ("[    3.9][    C1] ", "C1"), ("[    3.9] ", None), ("[    3.9][  X100] ", None)],
)
def test_the_thread_that_printed_a_line_is_in_its_prefix(prefix: str, caller: str | None) -> None:
    assert caller_of(prefix) == caller


def test_a_line_of_another_slot_is_none_of_the_dump_that_is_under_way() -> None:
    log = Log()
    raw = full(GIVE, out=False)
    for n, _ in enumerate(log.steps(raw, Opcode.MANAGE_PAGES, slot=31)):
        if n == 7:
            log.seen += log.dumps.line(9, 5, 16 * 6, b"\xff" * 16, b"")
    assert [x.message for x in log.finish() if isinstance(x, CommandSubmitted)] == [GIVE]


@pytest.mark.parametrize(("start", "headline"), [(None, 3), (3, None), (3, 3), (None, None)])
def test_a_kernel_may_name_the_slot_in_one_line_and_not_in_the_other(start: int | None, headline: int | None) -> None:
    log, at = Log(), Place("log.txt", 1)
    log.query(slot=7)
    log.seen += log.dumps.start(at, "dut", start, None)
    log.seen += log.dumps.headline(at, "dut", headline, 0x107, out=False, data_only=False, caller=None)
    slot = start if headline is None else headline
    for n in range(4):
        log.seen += log.dumps.line(1, slot, 16 * n, full(QUERY, out=False)[16 * n : 16 * n + 16], b"")
    assert [x.slot for x in log.finish() if isinstance(x, CommandSubmitted)] == [7, slot]
    assert losses(log.seen) == []


def test_the_answer_to_an_ambiguous_command_is_passed_over() -> None:
    log = Log()
    for _ in zip(
        log.steps(full(QUERY, out=False), device="a"), log.steps(full(OTHER, out=False), device="b"), strict=True
    ):
        pass
    before = len(log.seen)
    for device in "ab":
        log.dump(entry(QUERY, ANSWERED), out=True, device=device)
    # it has been said once that it is lost; the next one is apart from it
    assert not [x for x in log.seen[before:] if isinstance(x, CommandCompleted | MissingInput)]
    log.query(device="a")
    assert pairs(log.finish()) == [("a", QUERY, ANSWERED)]
