"""Answers to what drivers send beside pages: ids of what they made."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.device.firmware.other_commands import MOST_IDS, OTHER, done, makes
from fwpages.prm.message import Command, encode_answer
from fwpages.prm.opcodes import Opcode

MAKERS = sorted(op for op in OTHER if makes(op))
REST = sorted(OTHER.keys() - set(MAKERS))


def bits(raw: bytes, bit: int, width: int) -> int:
    """``0x48:24`` as the manual counts."""
    return int.from_bytes(raw, "big") >> (len(raw) * 8 - bit - width) & ((1 << width) - 1)


@settings(max_examples=30)
@given(opcode=st.sampled_from(MAKERS), fresh=st.integers(1, MOST_IDS))
def test_an_id_is_where_every_driver_looks_for_it(opcode: int, fresh: int) -> None:
    """0x48:24 for most (a PD, a CQ, a TIR …), 0x40:32 for the rest (a flow counter, a general object)."""
    raw = encode_answer(done(Command(opcode), fresh))
    assert len(raw) == 16
    assert bits(raw, 0x48, 24) == bits(raw, 0x40, 32) == fresh
    assert (bits(raw, 0x0, 64), bits(raw, 0x60, 32)) == (0, 0), "status and syndrome, and what comes after"


@settings(max_examples=30)
@given(opcode=st.sampled_from(REST), fresh=st.integers(1, MOST_IDS))
def test_what_makes_nothing_says_nothing_but_ok(opcode: int, fresh: int) -> None:
    answer = done(Command(opcode), fresh)
    assert (answer.opcode, answer.ok, answer.data, not any(encode_answer(answer))) == (opcode, True, b"", True)


def test_each_has_a_name_of_its_own_that_no_command_of_the_page_protocol_has() -> None:
    assert len(set(OTHER.values())) == len(OTHER)
    assert not set(OTHER.values()) & {o.name for o in Opcode}


def test_what_is_made_can_be_unmade() -> None:
    """A driver's unload sends the counterpart of each command of its load."""
    known = set(OTHER.values())
    for op in MAKERS:
        verb, _, what = OTHER[op].partition("_")
        counterpart = {"CREATE": "DESTROY", "ALLOC": "DEALLOC"}[verb] + "_" + what
        assert counterpart in known, OTHER[op]
