"""The PCI function: what a driver finds in its configuration space, and interrupts that wait until they may go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.device import names, profile
from fwpages.device.pci.config_space import (
    BLUEFIELD3,
    CONFIG_SIZE,
    CONNECTX4_LX,
    CONNECTX7,
    DEVICE_CONTROL,
    MSIX,
    MSIX_CONTROL,
    ConfigSpace,
    MsixPlace,
    PciIdentity,
    identity_of,
)
from fwpages.device.pci.function import BAR_SIZE, MSIX_PENDING, MSIX_TABLE, FunctionReset, Interrupt, PciFunction
from fwpages.device.pci.sriov import CONTROL, MOST_VFS, NUM_VFS, OFFSET, SRIOV, STRIDE, VF_BAR, VF_DEVICE_ID

ENABLE, MASK_ALL = 0x8000, 0x4000


def word(pci: PciFunction, offset: int, size: int = 2) -> int:
    return int.from_bytes(pci.config_read(offset, size), "little")


def write(pci: PciFunction, offset: int, value: int, size: int = 2) -> list[object]:
    return list(pci.config_write(offset, value.to_bytes(size, "little")))


@pytest.fixture
def pci() -> PciFunction:
    return PciFunction(PciIdentity(CONNECTX7), 8)


@pytest.fixture
def on(pci: PciFunction) -> PciFunction:
    """Memory space, bus mastering and MSI-X are on."""
    write(pci, 0x04, 0x6)
    write(pci, MSIX_CONTROL, ENABLE)
    return pci


def unmask(pci: PciFunction, vector: int, masked: int = 0) -> list[object]:
    return list(pci.bar_write(MSIX_TABLE + 16 * vector + 12, masked.to_bytes(4, "little")))


def test_virtual_functions() -> None:
    """The capability says how many, where, and how big; none of that can be changed, switching them on can."""
    pci = PciFunction(PciIdentity(CONNECTX7), vfs=3)
    assert word(pci, SRIOV, 4) == 0x00010010, "SR-IOV, version 1, the last"
    assert [word(pci, SRIOV + at) for at in (0x0C, 0x0E, 0x14, 0x16, 0x1A)] == [3, 3, OFFSET, STRIDE, VF_DEVICE_ID]
    pci.config_write(SRIOV + 0x24, b"\xff" * 8)
    assert word(pci, SRIOV + 0x24, 8) == (1 << 64) - VF_BAR + 0xC
    write(pci, NUM_VFS, 2)
    write(pci, CONTROL, 0xFFFF)
    write(pci, SRIOV + 0x0E, 0xFFFF)
    assert [word(pci, at) for at in (NUM_VFS, CONTROL, SRIOV + 0x0E)] == [2, 0b1001, 3]
    pci.reset()
    assert [word(pci, at) for at in (NUM_VFS, CONTROL)] == [0, 0]


def test_extended_capabilities_can_be_hidden() -> None:
    pci = PciFunction(PciIdentity(CONNECTX7), vfs=1)
    pci.show_extended(shown=False)
    assert pci.config_read(0, CONFIG_SIZE)[0x100:] == bytes(CONFIG_SIZE - 0x100)
    assert pci.config_read(0xFE, 4) == pci.config_read(SRIOV, 2) + b"\0\0"
    assert word(pci, 0) == 0x15B3
    pci.show_extended(shown=True)
    assert word(pci, SRIOV) == 0x0010
    assert word(PciFunction(PciIdentity(CONNECTX7)), SRIOV, 4) == 0, "none without VFs"


@pytest.mark.parametrize("vfs", [-1, MOST_VFS + 1])
def test_as_many_virtual_functions_as_there_are_devices_on_a_bus(vfs: int) -> None:
    with pytest.raises(ValueError, match="1 to 31 virtual functions"):
        PciFunction(PciIdentity(CONNECTX7), vfs=vfs)


@pytest.mark.parametrize(
    ("name", "device_id"), [("connectx4-lx", CONNECTX4_LX), ("connectx7", CONNECTX7), ("bluefield3", BLUEFIELD3)]
)
def test_identity(name: str, device_id: int) -> None:
    pci = PciFunction(identity_of(profile(name)))
    assert word(pci, 0x00) == 0x15B3
    assert word(pci, 0x02) == device_id
    assert word(pci, 0x08, 4) >> 8 == 0x020000


def test_every_profile_has_one() -> None:
    """Those that Linux's table of devices has (``mlx5_core_pci_table``)."""
    assert {identity_of(profile(n)).device_id for n in names()} <= {0x1013, 0x1015, 0x1017, 0x1021, 0xA2DC}


def test_capabilities_are_a_chain(pci: PciFunction) -> None:
    assert word(pci, 0x06) & 0x10
    found, at = [], word(pci, 0x34, 1)
    while at:
        found.append(word(pci, at, 1))
        at = word(pci, at + 1, 1)
    assert found == [0x10, 0x11]
    assert word(pci, 0x100, 4) == 0


def test_bar_says_its_size(pci: PciFunction) -> None:
    assert word(pci, 0x10, 4) & 0xF == 0xC
    write(pci, 0x10, 0xFFFFFFFF, 4)
    write(pci, 0x14, 0xFFFFFFFF, 4)
    size = (1 << 64) - (word(pci, 0x10, 8) & ~0xF)
    assert size == BAR_SIZE == 4 << 20
    write(pci, 0x10, 0xFE412345, 4)
    write(pci, 0x14, 0x1, 4)
    assert word(pci, 0x10, 8) == 0x1_FE40000C
    for n in range(0x18, 0x28, 4):
        write(pci, n, 0xFFFFFFFF, 4)
        assert word(pci, n, 4) == 0


def test_what_is_read_only_stays(pci: PciFunction) -> None:
    before = pci.config_read(0, CONFIG_SIZE)
    for n in (0x00, 0x08, 0x0E, 0x2C, 0x34, 0x3D, 0x60, 0x64, MSIX, MSIX + 4, MSIX + 8, 0x100, 0xFFC):
        write(pci, n, 0xFFFFFFFF, 4)
        if n not in (0x3D, 0x60, MSIX):
            assert pci.config_read(n, 4) == before[n : n + 4]
    assert word(pci, 0x60, 4) == int.from_bytes(before[0x60:0x64], "little")


def test_command_bits(pci: PciFunction) -> None:
    assert (pci.memory_space, pci.bus_master) == (False, False)
    write(pci, 0x04, 0xFFFF)
    assert word(pci, 0x04) == 0x0546
    assert (pci.memory_space, pci.bus_master) == (True, True)
    write(pci, 0x05, 0, 1)
    assert word(pci, 0x04) == 0x0046


def test_status_bits_are_cleared_by_ones() -> None:
    c = ConfigSpace(PciIdentity(CONNECTX7), BAR_SIZE, MsixPlace(8, MSIX_TABLE, MSIX_PENDING))
    c._bytes[0x07] = 0xF9
    c.write(0x06, b"\x00\x80")
    assert c.word(0x06) == 0x7910
    c.write(0x06, b"\xff\xff")
    assert c.word(0x06) == 0x0010


def test_function_level_reset(on: PciFunction) -> None:
    write(on, 0x10, 0xFE400000, 4)
    unmask(on, 1)
    assert word(on, 0x64, 4) & 1 << 28
    assert write(on, DEVICE_CONTROL, 0x8000 | 0x2910) == [FunctionReset()]
    assert word(on, 0x04) == 0
    assert word(on, 0x10, 4) == 0xC
    assert word(on, MSIX_CONTROL) == 7
    assert not on.msix_enabled
    assert word(on, DEVICE_CONTROL) == 0x2910
    assert write(on, DEVICE_CONTROL, 0x2910) == []


def test_interrupt(on: PciFunction) -> None:
    unmask(on, 3)
    assert on.interrupt(3) == [Interrupt(3)]
    assert on.interrupt(8) == []
    assert on.interrupt(-1) == []


def test_masked_interrupt_waits(on: PciFunction) -> None:
    assert on.interrupt(3) == []
    assert on.bar_read(MSIX_PENDING, 8) == b"\x08" + bytes(7)
    assert unmask(on, 2) == []
    assert unmask(on, 3) == [Interrupt(3)]
    assert on.bar_read(MSIX_PENDING, 8) == bytes(8)
    assert unmask(on, 3, masked=1) == []
    assert unmask(on, 3) == []


def test_masked_function_waits(on: PciFunction) -> None:
    unmask(on, 0)
    unmask(on, 1)
    write(on, MSIX_CONTROL, ENABLE | MASK_ALL)
    assert on.interrupt(0) == on.interrupt(1) == []
    assert write(on, MSIX_CONTROL, ENABLE) == [Interrupt(0), Interrupt(1)]


def test_no_message_without_bus_mastering(on: PciFunction) -> None:
    unmask(on, 0)
    write(on, 0x04, 0x2)
    assert on.interrupt(0) == []
    assert write(on, 0x04, 0x6) == [Interrupt(0)]


def test_client_that_masks_itself() -> None:
    pci = PciFunction(PciIdentity(CONNECTX7), 8, client_masks=True)
    write(pci, 0x04, 0x6)
    assert pci.interrupt(2) == []
    assert write(pci, MSIX_CONTROL, ENABLE) == [Interrupt(2)]
    assert pci.interrupt(2) == [Interrupt(2)]


def test_table_is_written_by_words(on: PciFunction) -> None:
    entry = MSIX_TABLE + 16
    on.bar_write(entry, bytes.fromhex("0710e0fe01000000"))
    on.bar_write(entry + 8, bytes.fromhex("41000000feffffff"))
    assert on.bar_read(entry, 16).hex() == "0410e0fe01000000" + "4100000000000000"
    before = on.bar_read(MSIX_TABLE, 128)
    for offset, data in ((entry + 1, b"\0" * 4), (entry, b"\0" * 2), (MSIX_TABLE + 124, b"\0" * 8)):
        assert on.bar_write(offset, data) == []
    assert on.bar_write(MSIX_PENDING, b"\xff" * 8) == []
    assert on.bar_read(MSIX_TABLE, 128) == before
    assert on.bar_read(MSIX_TABLE + 124, 8) == b"\1\0\0\0" + bytes(4)
    assert on.bar_read(MSIX_PENDING + 4, 8) == bytes(8)


def test_what_it_owns(pci: PciFunction) -> None:
    for offset, owned in (
        (0, False), (MSIX_TABLE - 1, False), (MSIX_TABLE, True), (MSIX_TABLE + 127, True), (MSIX_TABLE + 128, False),
        (MSIX_PENDING, True), (MSIX_PENDING + 7, True), (MSIX_PENDING + 8, False), (0x10000, False),
    ):  # fmt: skip
        assert pci.owns(offset) is owned


def test_most_vectors_fit_before_the_first_uar() -> None:
    pci = PciFunction(PciIdentity(CONNECTX7), 2048)
    last = max(n for n in range(0, BAR_SIZE, 8) if pci.owns(n))
    assert last < 0x10000
    assert word(pci, MSIX_CONTROL) & 0x7FF == 2047
    for n in (0, 2049):
        with pytest.raises(ValueError, match="vectors"):
            PciFunction(PciIdentity(CONNECTX7), n)


def test_bar_size_is_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="power of two"):
        ConfigSpace(PciIdentity(CONNECTX7), 12288, MsixPlace(8, MSIX_TABLE, MSIX_PENDING))


@given(st.lists(st.tuples(st.integers(0, CONFIG_SIZE - 8), st.binary(min_size=1, max_size=8)), max_size=30))
def test_any_writes(writes: list[tuple[int, bytes]]) -> None:
    """Whatever is written, what a driver finds the device by stays, and a second look reads the same."""
    pci = PciFunction(PciIdentity(CONNECTX7))
    before = pci.config_read(0, 4) + pci.config_read(0x60, 8)
    for offset, data in writes:
        pci.config_write(offset, data)
    assert pci.config_read(0, 4) + pci.config_read(0x60, 8) == before
    assert pci.config_read(0, CONFIG_SIZE) == pci.config_read(0, CONFIG_SIZE)
    pci.reset()
    assert pci.config_read(0, CONFIG_SIZE) == PciFunction(PciIdentity(CONNECTX7)).config_read(0, CONFIG_SIZE)
