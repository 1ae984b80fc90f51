"""The configuration space byte by byte: what a write changes, what it clears, when it asks for a reset."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.device import names, profile
from fwpages.device.pci.config_space import (
    CONFIG_SIZE,
    DEVICE_CONTROL,
    EXTENDED,
    MSIX,
    PCIE,
    ConfigSpace,
    MsixPlace,
    PciIdentity,
    identity_of,
)

ME = PciIdentity(0x1021, subsystem_id=0x0042, revision=3)
PLACE = MsixPlace(8, 0x4000, 0xC000)
BAR = 1 << 20


def made(bar: int = BAR, vfs: int = 0) -> ConfigSpace:
    return ConfigSpace(ME, bar, PLACE, vfs)


def value(c: ConfigSpace, offset: int, size: int) -> int:
    return int.from_bytes(c.read(offset, size), "little")


def whole(c: ConfigSpace) -> bytes:
    return c.read(0, CONFIG_SIZE)


writes = st.tuples(st.integers(0, 0xDF), st.binary(min_size=1, max_size=8))


@settings(max_examples=50)
@given(st.lists(writes, max_size=12))
def test_a_write_is_that_of_its_bytes_one_by_one(rows: list[tuple[int, bytes]]) -> None:
    """As the byte enables of the bus have it; a reset is asked for by one of them if it is by the whole."""
    at_once, singly = made(vfs=2), made(vfs=2)
    for offset, data in rows:
        asked = [singly.write(offset + n, data[n : n + 1]) for n in range(len(data))]
        assert at_once.write(offset, data) is any(asked)
        assert whole(at_once) == whole(singly)


@settings(max_examples=50)
@given(st.lists(writes, max_size=12))
def test_no_write_touches_more_than_its_bytes_and_a_reset_undoes_all(rows: list[tuple[int, bytes]]) -> None:
    c = made()
    first = whole(c)
    for offset, data in rows:
        before = whole(c)
        c.write(offset, data)
        after = whole(c)
        end = offset + len(data)
        assert (after[:offset], after[end:]) == (before[:offset], before[end:])
        c.write(offset, after[offset:end])
        assert whole(c) == after, "what was read can be written back: nothing moves"
    c.reset()
    assert whole(c) == first


@pytest.mark.parametrize("bar", [1 << 12, 1 << 22, 1 << 32])
def test_a_bar_tells_its_size_by_the_bits_that_stay_zero(bar: int) -> None:
    """And that it is one of 64 bits, prefetchable."""
    c = made(bar)
    c.write(0x10, b"\xff" * 8)
    assert value(c, 0x10, 8) == (1 << 64) - bar + 0xC


@pytest.mark.parametrize("bar", [0, 1, 2048, 4095, 4097, 3 << 20])
def test_a_bar_that_cannot_be(bar: int) -> None:
    with pytest.raises(ValueError, match=f"power of two of bytes, not {bar:#x}"):
        made(bar)


@pytest.mark.parametrize(
    ("offset", "data", "asked"),
    [
        (DEVICE_CONTROL, b"\0\x80", True),
        (DEVICE_CONTROL + 1, b"\x80", True),
        (DEVICE_CONTROL - 3, b"\0\0\0\0\x80", True),
        (DEVICE_CONTROL, b"\x80", False),
        (DEVICE_CONTROL, b"\xff\x7f", False),
        (DEVICE_CONTROL + 2, b"\0\x80", False),
        (DEVICE_CONTROL - 1, b"\x80", False),
    ],
)
def test_a_function_level_reset_is_asked_for_by_one_bit(offset: int, data: bytes, asked: bool) -> None:
    c = made()
    assert c.write(offset, data) is asked
    assert not value(c, DEVICE_CONTROL, 2) & 0x8000, "it reads as 0"


def test_who_it_is() -> None:
    c = made()
    assert [value(c, at, 2) for at in (0x00, 0x02, 0x2C, 0x2E)] == [0x15B3, 0x1021, 0x15B3, 0x0042]
    assert value(c, 0x08, 4) == 0x02_00_00_03, "an Ethernet controller, and its revision"


def test_what_the_express_capability_says() -> None:
    """An endpoint with function-level reset, extended tags and role-based errors, on a link of 16 GT/s and 16 lanes."""
    c = made()
    assert value(c, PCIE + 0x02, 2) == 0x0002
    device, link = value(c, PCIE + 0x04, 4), value(c, PCIE + 0x0C, 4)
    assert [n for n in range(3, 32) if device >> n & 1] == [5, 15, 28]
    assert 128 << (device & 0b111) == 512, "bytes of payload"
    assert (link & 0xF, link >> 4 & 0x3F, link >> 10) == (4, 16, 0)
    assert value(c, PCIE + 0x12, 2) == link, "it is up at its best"


def test_where_the_vectors_lie() -> None:
    """One less than there are, and offsets whose lowest three bits name BAR 0."""
    c = made()
    assert value(c, MSIX + 2, 2) & 0x7FF == PLACE.vectors - 1
    assert (value(c, MSIX + 4, 4), value(c, MSIX + 8, 4)) == (PLACE.table, PLACE.pending)
    assert (PLACE.table | PLACE.pending) & 0b111 == 0


def test_errors_are_cleared_where_a_1_is_written_and_cannot_be_set() -> None:
    """Device status has four such bits, beside ones that only the device sets."""
    c = made()
    c.write(PCIE + 0x0A, b"\xff\xff")
    assert value(c, PCIE + 0x0A, 2) == 0
    c.write(0x06, b"\xff\xff")
    assert value(c, 0x06, 2) == 0x0010, "the chain of capabilities stays announced"


@given(offset=st.integers(0, CONFIG_SIZE - 1), length=st.integers(1, 64))
def test_hidden_capabilities_read_as_zeros_and_the_rest_as_before(offset: int, length: int) -> None:
    c = made(vfs=4)
    seen = c.read(offset, length)
    c.extended = False
    kept = max(0, min(length, EXTENDED - offset))
    assert c.read(offset, length) == seen[:kept].ljust(length, b"\0")


def test_a_profile_of_one_s_own_is_a_device_that_linux_knows() -> None:
    """A ConnectX-7, or a BlueField-3 where the supplier is the embedded CPU; those of the package say who they are."""
    for ecpf, device_id in ((False, 0x1021), (True, 0xA2DC)):
        mine = msgspec.structs.replace(profile("connectx5"), name="mine", ecpf=ecpf)
        assert identity_of(mine).device_id == device_id
    known = {name: identity_of(profile(name)).device_id for name in names()}
    assert known == {
        "bluefield3": 0xA2DC,
        "connectx4": 0x1013,
        "connectx4-lx": 0x1015,
        "connectx4-lx-dual": 0x1015,
        "connectx5": 0x1017,
        "connectx7": 0x1021,
    }
