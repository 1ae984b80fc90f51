from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.prm.event import (
    COMMAND_EQE,
    EQE,
    PAGE_REQUEST_EQE,
    EventType,
    PageRequestEvent,
    decode_page_request,
    encode_page_request,
    event_layout,
)
from fwpages.prm.identity import Mode, func_id, vhca_id
from fwpages.prm.layout import LayoutError


def entry(flags_and_function: str, pages: str, owner: int = 0) -> bytes:
    """A page request by hand: type at byte 1, data from byte 32, owner in the last bit."""
    return bytes([0, 0x0B]) + bytes(30) + bytes.fromhex(flags_and_function + pages) + bytes(23) + bytes([owner])


@pytest.mark.parametrize(
    ("raw", "event"),
    [
        (entry("0000002a", "00000064"), PageRequestEvent(0x2A, 100)),
        (entry("00000031", "fffffff6"), PageRequestEvent(0x31, -10)),
        (entry("80000000", "80000000"), PageRequestEvent(0, -(2**31), ec=True)),
        (entry("4000ffff", "00000000"), PageRequestEvent(0xFFFF, 0, release_all=True)),
        (entry("c0000001", "7fffffff"), PageRequestEvent(1, 2**31 - 1, ec=True, release_all=True)),
        (entry("00000031", "ffffffff", owner=1), PageRequestEvent(0x31, -1)),
    ],
)
def test_a_page_request_lies_where_the_manual_says(raw: bytes, event: PageRequestEvent) -> None:
    assert len(raw) == 64
    assert decode_page_request(raw) == event
    assert encode_page_request(event, raw[63]) == raw


@given(st.integers(0, 0xFFFF), st.integers(-(2**31), 2**31 - 1), st.booleans(), st.booleans(), st.integers(0, 1))
def test_every_page_request_comes_back(number: int, pages: int, ec: bool, everything: bool, owner: int) -> None:
    event = PageRequestEvent(number, pages, ec, everything)
    raw = encode_page_request(event, owner)
    assert decode_page_request(memoryview(raw)) == event
    assert raw[63] == owner


def test_other_events_and_other_lengths() -> None:
    assert decode_page_request(EQE.pack({"type": EventType.COMMAND})) is None
    for size in (0, 63, 65):
        with pytest.raises(LayoutError, match=f"64 bytes, this has {size}"):
            decode_page_request(bytes(size))
    for bad in (2**31, -(2**31) - 1):
        with pytest.raises(LayoutError, match="num_pages"):
            encode_page_request(PageRequestEvent(0, bad))


def test_a_completion_names_slots_as_a_vector() -> None:
    raw = bytes([0, 0x0A]) + bytes(30) + bytes.fromhex("80000001") + bytes(28)
    assert COMMAND_EQE.unpack(raw)["vector"] == 1 << 31 | 1


@pytest.mark.parametrize("event_type", EventType)
def test_every_event_has_its_type_and_sub_type_in_the_first_dword(event_type: EventType) -> None:
    raw = bytes([0, event_type, 0, 0x9C]) + bytes(60)
    v = event_layout(event_type).unpack(raw)
    assert (v["type"], v["sub_type"]) == (event_type, 0x9C)


def test_layouts_by_type() -> None:
    assert event_layout(0x0B) is PAGE_REQUEST_EQE
    assert event_layout(0x0A) is COMMAND_EQE
    assert event_layout(0x77) is EQE


def test_the_mode_says_which_function_an_event_names() -> None:
    event = PageRequestEvent(0x31, 4, ec=True)
    assert event.function(Mode.FUNC_ID) == func_id(0x31, ec=True)
    assert event.function(Mode.VHCA_ID) == vhca_id(0x31)


def test_numbers() -> None:
    assert {name: int(kind) for name, kind in EventType.__members__.items()} == {
        "COMPLETION": 0,
        "COMMAND": 0x0A,
        "PAGE_REQUEST": 0x0B,
        "NIC_VPORT_CHANGE": 0x0D,
        "ESW_FUNCTIONS_CHANGED": 0x0E,
        "VHCA_STATE_CHANGE": 0x0F,
    }
