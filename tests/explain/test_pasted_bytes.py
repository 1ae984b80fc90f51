"""Pasted text is taken for hex or for the lines of dumps. Its content is for ``test_explain.py``."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.explain import pasted_bytes as pasted
from fwpages.explain.explanation import ExplainError
from fwpages.explain.pasted_bytes import explain_text, parse_opcode, to_bytes
from fwpages.prm.event import PageRequestEvent, encode_page_request
from fwpages.prm.opcodes import Opcode
from fwpages.prm.queue import CMDQ_ENTRY

QUERY = "01070000 00000002 0000002a 00000000"
ENTRY = CMDQ_ENTRY.pack({"type": 7, "input_length": 16, "output_length": 16, "input": int(QUERY.replace(" ", ""), 16)})
REQUEST = encode_page_request(PageRequestEvent(0x31, 7))


def _lines(raw: bytes) -> str:
    rows = (f"{at:03x}: {raw[at : at + 16].hex(' ', 4)}" for at in range(0, len(raw), 16))
    return "\n".join(rows)


def _kinds(text: str, opcode: int | None = None, *, is_event: bool = False) -> list[str]:
    return [m.kind for m in explain_text(text, opcode=opcode, is_event=is_event)]


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=40), st.data())
def test_bytes_are_the_same_however_they_are_written(raw: bytes, data: st.DataObject) -> None:
    between = st.sampled_from(["", " ", "\n", ", ", ":", ";", "_", "-", "|", " 0x", "\t0X"])
    case = data.draw(st.sampled_from([str.upper, str.lower]))
    text = "".join(data.draw(between) + case(f"{byte:02x}") for byte in raw)
    assert to_bytes(f"  {text}\n") == raw


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" \n", "there are no bytes"),
        ("0x", "there are no bytes"),
        ("01 07 0g", "'g' is no hex digit"),
        ("01.07", "'.' is no hex digit"),
        ("012", "3 hex digits are no whole number of bytes"),
    ],
)
def test_what_is_no_hex_is_refused_with_its_reason(text: str, words: str) -> None:
    with pytest.raises(ExplainError, match=re.escape(words)):
        to_bytes(text)


def test_a_paste_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pasted, "MAX_BYTES", 20)
    assert len(to_bytes("0x00 " * 20)) == 20
    with pytest.raises(ExplainError, match="more than 20 bytes"):
        to_bytes("00" * 21)


def test_every_opcode_is_known_by_name_and_number() -> None:
    for opcode in Opcode:
        spellings = (opcode.name, f" {opcode.name.lower()} ", f"{opcode:#x}", str(int(opcode)))
        assert {parse_opcode(text) for text in spellings} == {opcode}


def test_an_opcode_has_sixteen_bits() -> None:
    assert (parse_opcode("0"), parse_opcode("0xffff")) == (0, 0xFFFF)
    with pytest.raises(ExplainError, match="'0x10000' is no opcode"):
        parse_opcode("0x10000")


# -- what the bytes are


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (QUERY, ["command"]),
        (REQUEST.hex(), ["event"]),
        (ENTRY.hex(), ["entry", "command", "answer"]),
        # 64 bytes that begin as a command does are one, not an event
        (QUERY + "00" * 48, ["command"]),
        # one byte off an event queue entry's size, and no event
        (REQUEST.hex() + "00", ["command"]),
        # an entry has whole mailboxes behind it or none
        (ENTRY.hex() + "00", ["command"]),
        (ENTRY.hex()[:-2], ["command"]),
    ],
)
def test_bytes_are_recognised_by_their_beginning_and_length(text: str, kinds: list[str]) -> None:
    assert _kinds(text) == kinds


def test_the_options_go_before_the_appearance() -> None:
    assert _kinds(REQUEST.hex(), Opcode.QUERY_PAGES) == ["answer"]
    assert _kinds(ENTRY.hex(), is_event=True) == ["event"]
    headline = "dump command data QUERY_PAGES(0x107) INPUT\n"
    assert _kinds(headline + _lines(bytes(16)), Opcode.QUERY_PAGES) == ["answer"]
    assert _kinds(headline + _lines(REQUEST), is_event=True) == ["event"]


# -- dumps


@settings(max_examples=30)
@given(st.lists(st.integers(1, 9).map(lambda n: 16 * n), min_size=1, max_size=4), st.booleans())
def test_dumps_one_after_the_other_are_as_many_messages(sizes: list[int], headed: bool) -> None:
    headline = "mlx5_core 0000:03:00.0: dump command data MANAGE_PAGES(0x108) OUTPUT\n" if headed else ""
    shown = explain_text("\n".join(f"{headline}{_lines(bytes([1, 7] + [0] * (n - 2)))}" for n in sizes))
    assert [m.length for m in shown] == sizes
    assert {m.kind for m in shown} == {"answer" if headed else "command"}


def test_a_headline_gives_opcode_and_direction() -> None:
    name = "QUERY_PAGES(0x107)"
    assert _kinds(f"dump command data {name} INPUT\n000: {QUERY}") == ["command"]
    assert _kinds(f"cmd[3]: dump command data {name} OUTPUT\n000: {QUERY}") == ["answer"]
    assert _kinds(f"dump command {name} INPUT\n{_lines(ENTRY)}") == ["entry", "command", "answer"]
    # one that nothing follows stands for nothing
    assert _kinds(f"dump command {name} OUTPUT\ndump command data {name} INPUT\n000: {QUERY}") == ["command"]


def test_lines_between_those_of_a_dump_are_passed_over() -> None:
    rows = _lines(ENTRY).splitlines()
    other = "[    3.96] mlx5_core 0000:03:00.0: page request for func 0x31, npages 7"
    assert _kinds("\n".join([other, rows[0], other, *rows[1:], other])) == ["entry", "command", "answer"]


@pytest.mark.parametrize(
    ("drop", "line", "at", "expected"), [(0, 1, "0x10", "0x0"), (1, 2, "0x20", "0x10"), (2, 3, "0x30", "0x20")]
)
def test_a_line_that_is_missing_is_named_by_the_next(drop: int, line: int, at: str, expected: str) -> None:
    rows = _lines(ENTRY).splitlines()
    with pytest.raises(ExplainError, match=f"line {line} is at offset {at}, expected {expected}: lines are missing"):
        explain_text("\n".join(rows[:drop] + rows[drop + 1 :]))


def test_a_last_line_may_have_fewer_words() -> None:
    (m,) = explain_text("000: 01070000 00000002 0000002a\n")
    assert m.length == 12
