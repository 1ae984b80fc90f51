from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.prm.capability import GENERAL
from fwpages.prm.commands import FORMS, UNKNOWN
from fwpages.prm.event import COMMAND_EQE, EQE, PAGE_REQUEST_EQE
from fwpages.prm.layout import Field, Layout, LayoutError
from fwpages.prm.queue import CMDQ_ENTRY, MAILBOX

LAYOUTS = [
    *(shape.fixed for form in (*FORMS.values(), UNKNOWN) for shape in (form.request, form.reply)),
    EQE,
    PAGE_REQUEST_EQE,
    COMMAND_EQE,
    GENERAL,
    CMDQ_ENTRY,
    MAILBOX,
]
FIELDS = [(layout, f) for layout in LAYOUTS for f in layout]


def bits_of(f: Field, size: int) -> bytes:
    """The field's bits set, found bit by bit and not by the arithmetic under test."""
    out = bytearray(size)
    for bit in range(f.bit, f.bit + f.width):
        out[bit // 8] |= 0x80 >> bit % 8
    return bytes(out)


def ids(pair: tuple[Layout, Field]) -> str:
    return f"{pair[0].name}.{pair[1].name}"


@pytest.mark.parametrize("pair", FIELDS, ids=ids)
def test_a_field_is_its_declared_bits_and_no_others(pair: tuple[Layout, Field]) -> None:
    layout, f = pair
    ones = -1 if f.signed else f.mask
    own = bits_of(f, layout.size)
    assert layout.pack({f.name: ones}) == own
    assert layout.patch(bytes(layout.size), {f.name: ones}) == own
    full = b"\xff" * layout.size
    cleared = layout.patch(full, {f.name: 0})
    assert bytes(a ^ b for a, b in zip(full, cleared, strict=True)) == own
    assert layout.unpack(own) == {g.name: ones if g is f else 0 for g in layout}
    assert not any(a & b for a, b in zip(layout.reserved(full), own, strict=True))


@pytest.mark.parametrize("pair", FIELDS, ids=ids)
def test_values_that_do_not_fit_are_refused(pair: tuple[Layout, Field]) -> None:
    layout, f = pair
    low, high = (-(1 << (f.width - 1)), (1 << (f.width - 1)) - 1) if f.signed else (0, (1 << f.width) - 1)
    for value in (low, high):
        assert layout.unpack(layout.pack({f.name: value}))[f.name] == value
        assert f.decode(f.encode(value)) == value
    for value in (low - 1, high + 1):
        with pytest.raises(LayoutError, match=f"{f.name} = .* does not fit {f.width} bits"):
            layout.pack({f.name: value})
        with pytest.raises(LayoutError, match=f"{f.name} = .* does not fit {f.width} bits"):
            layout.patch(bytes(layout.size), {f.name: value})


@given(st.data())
def test_patching_changes_only_the_bits_of_the_fields_patched(data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(LAYOUTS))
    before = data.draw(st.binary(min_size=layout.size, max_size=layout.size))
    fields = data.draw(st.lists(st.sampled_from(layout.fields), min_size=1, max_size=3, unique=True))
    values = {}
    for f in fields:
        low, high = (-(1 << (f.width - 1)), (1 << (f.width - 1)) - 1) if f.signed else (0, (1 << f.width) - 1)
        values[f.name] = data.draw(st.integers(low, high))
    after = layout.patch(before, values)
    changed = int.from_bytes(bytes(a ^ b for a, b in zip(before, after, strict=True)), "big")
    allowed = sum(int.from_bytes(bits_of(f, layout.size), "big") for f in fields)
    assert changed & ~allowed == 0
    assert layout.unpack(after) == {**layout.unpack(before), **values}


def test_what_is_declared_can_be_packed_whole() -> None:
    for layout in LAYOUTS:
        values = {f.name: -1 if f.signed else f.mask for f in layout}
        whole = layout.pack(values)
        assert len(whole) == layout.size
        assert layout.unpack(whole) == values
        assert not any(layout.reserved(whole))
        assert layout.reserved(b"\xff" * layout.size) == bytes(0xFF ^ b for b in whole)


def test_overlapping_fields_are_refused() -> None:
    with pytest.raises(LayoutError, match="field b overlaps"):
        Layout("x", 4, (Field("a", 0, 9), Field("b", 8, 8)))
    assert Layout("x", 4, (Field("a", 0, 8), Field("b", 8, 8))).pack({"b": 1}) == b"\0\1\0\0"


def test_two_fields_of_one_name_are_refused() -> None:
    with pytest.raises(LayoutError, match="x: there are two fields a"):
        Layout("x", 4, (Field("a", 0, 8), Field("b", 8, 8), Field("a", 16, 8)))


def test_a_field_beyond_the_size_is_refused() -> None:
    with pytest.raises(LayoutError, match="beyond its 2 bytes"):
        Layout("x", 2, (Field("a", 9, 8),))
    assert Layout("x", 2, (Field("a", 8, 8),)).least == 2
    assert Layout("x", 2, ()).least == 0


def test_buffers_that_end_before_a_field_are_refused() -> None:
    for layout in LAYOUTS:
        layout.unpack(bytes(layout.least))
        with pytest.raises(LayoutError, match=f"needs {layout.least} bytes, the buffer has {layout.least - 1}"):
            layout.unpack(bytes(layout.least - 1))
        last = max(layout, key=lambda f: f.end)
        with pytest.raises(LayoutError, match=re.escape(f"no field {last.name} in {(last.end - 1) // 8}")):
            layout.patch(bytes((last.end - 1) // 8), {last.name: 0})


def test_names_that_are_not_declared_are_refused() -> None:
    with pytest.raises(LayoutError, match="eqe has no field colour"):
        EQE.pack({"colour": 1})
    with pytest.raises(LayoutError, match="eqe has no field colour"):
        EQE.patch(bytes(64), {"colour": 1})


def test_a_shorter_buffer_is_packed_if_nothing_is_lost() -> None:
    layout = Layout("x", 8, (Field("a", 0, 8), Field("b", 56, 8)))
    assert layout.pack({"a": 1}, 4) == b"\1\0\0\0"
    assert layout.pack({"a": 1, "b": 2}, 12) == b"\1\0\0\0\0\0\0\2\0\0\0\0"
    with pytest.raises(LayoutError, match="beyond the 4 bytes"):
        layout.pack({"a": 1, "b": 2}, 4)


def test_reading_goes_on_in_a_longer_buffer_and_from_a_view() -> None:
    assert EQE.unpack(memoryview(b"\0\x0b" + bytes(200)))["type"] == 0x0B
    layout = Layout("x", 2, (Field("a", 0, 4),))
    assert layout.reserved(b"\xff\xff\xff") == b"\x0f\xff"
    assert layout.reserved(b"\xff") == b"\x0f"
    assert Layout("x", 2, (Field("a", 8, 8),)).reserved(b"\xff") == b"\xff"
