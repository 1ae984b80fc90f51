"""The SR-IOV capability: its registers do not meet, and its virtual functions are where a bus has room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.device.pci.config_space import CONFIG_SIZE, ConfigSpace, MsixPlace, PciIdentity
from fwpages.device.pci.sriov import MOST_VFS, OFFSET, SRIOV, STRIDE, registers

#: bytes of the capability (PCI Express Base, "Single Root I/O Virtualization")
SIZE = 0x40
#: registers by their offset in the capability
CONTROL, STATUS, INITIAL, TOTAL, NUM, LINK = 0x08, 0x0A, 0x0C, 0x0E, 0x10, 0x12
SUPPORTED, SYSTEM, BAR0, BAR5 = 0x1C, 0x20, 0x24, 0x38


@given(st.integers(1, MOST_VFS))
def test_registers_lie_side_by_side_within_the_capability(vfs: int) -> None:
    taken: set[int] = set()
    for offset, size, value, writable in registers(vfs):
        here = set(range(offset, offset + size))
        assert here <= set(range(SRIOV, SRIOV + SIZE))
        assert not here & taken
        assert offset % size == 0 or size == 8
        assert max(value, writable) < 1 << 8 * size
        taken |= here


@pytest.mark.parametrize("vfs", [-1, 0, MOST_VFS + 1])
def test_as_many_as_there_are_other_devices_on_a_bus(vfs: int) -> None:
    """The last has number 31 of 32 on the bus of the physical function, device 0."""
    with pytest.raises(ValueError, match=f"1 to 31 virtual functions, not {vfs}"):
        list(registers(vfs))


def test_each_virtual_function_is_function_0_of_a_device_of_its_own() -> None:
    numbers = [OFFSET + n * STRIDE for n in range(MOST_VFS)]
    assert [n >> 3 for n in numbers] == list(range(1, 32))
    assert not any(n & 0b111 for n in numbers)


def space(vfs: int) -> ConfigSpace:
    return ConfigSpace(PciIdentity(0x1021), 1 << 20, MsixPlace(8, 0x4000, 0xC000), vfs)


def register(c: ConfigSpace, offset: int, size: int = 2) -> int:
    return int.from_bytes(c.read(SRIOV + offset, size), "little")


@pytest.mark.parametrize("vfs", [1, MOST_VFS])
def test_a_driver_finds_all_of_them_off(vfs: int) -> None:
    c = space(vfs)
    assert (register(c, INITIAL), register(c, TOTAL)) == (vfs, vfs)
    assert (register(c, NUM), register(c, CONTROL), register(c, STATUS)) == (0, 0, 0)
    assert register(c, SYSTEM, 4) & register(c, SUPPORTED, 4) == 1, "pages of 4 KiB until the driver says otherwise"


def test_of_all_registers_a_driver_changes_those_that_switch_them_on_and_place_them() -> None:
    c = space(2)
    before = c.read(0, CONFIG_SIZE)
    c.write(SRIOV, b"\xff" * SIZE)
    after = c.read(0, CONFIG_SIZE)
    changed = {n - SRIOV for n in range(CONFIG_SIZE) if before[n] != after[n]}
    control, num, system = {CONTROL}, {NUM, NUM + 1}, set(range(SYSTEM, SYSTEM + 4))
    bar = set(range(BAR0 + 2, BAR0 + 8))
    assert changed == control | num | system | bar
    assert register(c, CONTROL) == 0b1001, "on, and memory space; neither migration nor ARI"
    assert [register(c, at, 4) for at in range(BAR0 + 8, BAR5 + 4, 4)] == [0] * 4


def test_without_virtual_functions_the_capability_is_not_there() -> None:
    assert space(0).read(SRIOV, SIZE) == bytes(SIZE)
    c = space(0)
    c.write(SRIOV + NUM, b"\1\0")
    assert register(c, NUM) == 0
