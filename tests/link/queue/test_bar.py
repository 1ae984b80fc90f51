"""BAR 0 as the device keeps it: every byte of the segment has its place, and every page of the BAR somebody's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.device import profile
from fwpages.device.firmware.queue_commands import FIRST_UAR, MOST_UARS
from fwpages.device.pci import function as pci
from fwpages.device.pci.config_space import identity_of
from fwpages.link.queue.bar import BAR_SIZE, UAR_SIZE, Identity, Segment, in_segment, uar_at
from fwpages.prm.layout import LayoutError
from fwpages.prm.segment import SEGMENT_SIZE, NicInterface, field_of

HIGH, LOW = 0x10, 0x14
COUNTER = 0x1010
words = st.integers(0, 0xFFFFFFFF)


def segment(**identity: int) -> Segment:
    return Segment(Identity(**identity))  # type: ignore[arg-type]  # a flag is a number here


def test_the_segment_of_a_fresh_device_byte_by_byte() -> None:
    """fw_rev, interface revision 5, log sizes, that it can be reset, its embedded CPU, the firmware's version again in
    the health buffer, the time-outs of a command (2,000 ms) and of its start (1,049 s); the rest is 0.
    """
    s = Segment(
        Identity(
            (22, 0x31, 0x3E8), embedded_cpu=True, log_cmdq_size=4, log_cmdq_stride=7, command_time=2, init_time=1049
        )
    )
    whole = s.read(0, SEGMENT_SIZE)
    there = {n: b for n, b in enumerate(whole) if b}
    places = (0x1, 0x3, 0x5, 0x6, 0x7, 0x17, 0x1FC, 0x1FD, 0x231, 0x233, 0xFFA, 0xFFB, 0xFFC, 0xFFE, 0xFFF, COUNTER + 3)
    assert there == dict(zip(places, bytes.fromhex("31160503e8474080311607d020041901"), strict=True))


@pytest.mark.parametrize("software_reset", [True, False])
def test_a_reset_by_software_is_begun_where_it_is_offered(software_reset: bool) -> None:
    """Bit 30 of the word at 0x1fc (MLX5_FW_RESET_SUPPORTED_OFFSET)."""
    s = segment(software_reset=software_reset)
    assert int.from_bytes(s.read(0x1FC, 4), "big") >> 30 == int(software_reset)
    s.write_queue(LOW, 0x5000 | NicInterface.SOFTWARE_RESET << 8)
    assert s.interface == (NicInterface.SOFTWARE_RESET if software_reset else NicInterface.FULL_DRIVER)
    s.write_queue(LOW, 0x5000 | NicInterface.DISABLED << 8)
    assert s.interface == NicInterface.DISABLED


def test_a_device_that_tells_no_time_outs_has_zeros_there() -> None:
    assert segment().read(0xFF8, 8) == bytes(8)


@given(words, words)
def test_the_queue_s_address_is_what_the_driver_writes_and_the_sizes_are_the_device_s(high: int, low: int) -> None:
    s = segment()
    s.write_queue(HIGH, high)
    assert (s.queue, s.interface) == (high << 32, 0)
    s.write_queue(LOW, low)
    assert s.queue == high << 32 | low & 0xFFFFF000
    assert s.interface == low >> 8 & 7
    assert s.read(HIGH, 8) == high.to_bytes(4, "big") + (low & 0xFFFFF700 | 0x56).to_bytes(4, "big")


def test_a_reset_forgets_the_queue_and_the_health_and_the_counter_goes_on() -> None:
    s = segment()
    fresh = s.read(0, COUNTER)
    s.write_queue(HIGH, 1)
    s.write_queue(LOW, 0x1000)
    s.set("synd", 0x10)
    beats = [s.read(COUNTER, 4) for _ in range(3)]
    s.reset()
    assert (s.queue, s.read(0, COUNTER)) == (0, fresh)
    assert s.read(COUNTER, 4) > beats[-1], "a counter that starts anew could stand where a driver saw it last"


def test_an_interface_that_the_device_switches_off_keeps_its_queue() -> None:
    s = segment()
    s.write_queue(LOW, 0x7000)
    s.disable()
    assert (s.interface, s.queue) == (1, 0x7000)
    s.write_queue(LOW, 0x8000)
    assert (s.interface, s.queue) == (0, 0x8000)


@pytest.mark.parametrize(
    ("offset", "length", "beats"),
    [(COUNTER, 4, True), (COUNTER - 4, 8, True), (0, SEGMENT_SIZE, True), (COUNTER + 4, 4, False), (0, COUNTER, False)],
)
def test_firmware_counts_whenever_a_driver_looks_at_its_counter(offset: int, length: int, beats: bool) -> None:
    s = segment()
    s.read(offset, length)
    assert field_of(s.word("health_counter"), "health_counter") == int(beats)


def test_the_counter_has_24_bits_and_leaves_the_syndrome_beside_it_alone() -> None:
    s = segment()
    s.set("health_syndrome", 0xA5)
    s._beats = 0xFFFFFE
    assert [s.read(COUNTER, 4).hex() for _ in range(3)] == ["a5ffffff", "a5000000", "a5000001"]


@pytest.mark.parametrize(("offset", "length"), [(SEGMENT_SIZE - 4, 8), (SEGMENT_SIZE, 4), (0x2000, 64), (0, 0)])
def test_behind_its_end_the_segment_reads_as_zeros(offset: int, length: int) -> None:
    assert segment().read(offset, length) == bytes(length)


def test_a_value_that_does_not_fit_changes_nothing() -> None:
    s = segment()
    with pytest.raises(LayoutError):
        s.set("nic_interface", 8)
    assert s.word("nic_interface") == 0x56


@given(st.integers(-8, BAR_SIZE + 8))
def test_each_byte_of_bar_0_is_the_segment_s_the_function_s_or_a_uar_s(offset: int) -> None:
    """The claimed BAR lies between the segment and the first UAR; beyond the last there is nothing."""
    place = uar_at(offset)
    claims = [in_segment(offset), pci.PciFunction(identity_of(profile("connectx7"))).owns(offset), place is not None]
    assert sum(claims) <= 1
    assert in_segment(offset) is (0 <= offset < SEGMENT_SIZE)
    if place is not None:
        assert place[0] * UAR_SIZE + place[1] == offset


@pytest.mark.parametrize(
    ("offset", "place"),
    [
        (FIRST_UAR * 4096 - 1, None),
        (FIRST_UAR * 4096, (FIRST_UAR, 0)),
        (FIRST_UAR * 4096 + 0x1040, (FIRST_UAR + 1, 0x40)),
        ((FIRST_UAR + MOST_UARS) * 4096 - 1, (FIRST_UAR + MOST_UARS - 1, 4095)),
        ((FIRST_UAR + MOST_UARS) * 4096, None),
        (-1, None),
    ],
)
def test_uars_are_pages_by_their_number(offset: int, place: tuple[int, int] | None) -> None:
    assert uar_at(offset) == place


def test_both_ends_of_the_device_mean_the_same_bar() -> None:
    assert BAR_SIZE == pci.BAR_SIZE == 4 << 20


@pytest.mark.parametrize("log", [0, 2, 4])
def test_a_uar_has_the_size_of_the_drivers_pages(log: int) -> None:
    size = 4096 << log
    assert uar_at(FIRST_UAR * size + 0x40, size) == (FIRST_UAR, 0x40)
    assert uar_at(FIRST_UAR * size - 4, size) is None
