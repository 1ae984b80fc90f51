from __future__ import annotations

from collections.abc import Iterator

import pytest

from fwpages.link.driving import setup
from fwpages.link.driving.opening import begun, fence
from fwpages.link.driving.pci_device import DeviceError
from fwpages.prm.identity import Supplier
from tests.link.driving.registers import Registers


@pytest.fixture
def device() -> Iterator[Registers]:
    registers = Registers()
    yield registers
    registers.close()


def test_begun_with_a_reset_and_what_the_device_says_of_itself(device: Registers) -> None:
    d = begun(device)
    assert device.resets == 1
    assert (d.vendor, d.device, d.firmware, d.supplier) == (0x15B3, 0x1021, "28.39.1002", Supplier())
    # the device's own time and Linux's five seconds more
    assert d.command_time == 7.0
    assert not setup.master(device)


def test_an_embedded_cpu_and_its_vfs() -> None:
    device = Registers(vfs=6, ecpf=True)
    assert begun(device).supplier == Supplier(ecpf=True, max_ec_vfs=6)
    device.close()


def test_bus_mastering_is_off_before_a_reset_which_restores_it_as_it_was() -> None:
    device = Registers(keeps_master=True)
    setup.memory_on(device)
    setup.master_on(device)
    fence(device)
    assert not setup.master(device)
    device.close()


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("not wanted", lambda d: setattr(d, "refuse", "not wanted")),
        ("does not answer in its configuration space", lambda d: setattr(d, "lost", True)),
        ("command interface revision 0x9", lambda d: d.segment.set("cmd_interface_rev", 9)),
    ],
)
def test_a_device_that_cannot_be_fenced_or_is_another_is_not_opened(device: Registers, reason: str, change) -> None:  # type: ignore[no-untyped-def]
    change(device)
    with pytest.raises(DeviceError, match=reason):
        begun(device)


def test_firmware_that_does_not_get_ready(device: Registers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fwpages.link.driving.opening.READY", 0.0)
    device.segment.set("initializing", 1)
    with pytest.raises(DeviceError, match="firmware is not ready after 0 s"):
        begun(device)


def test_capabilities_that_lead_in_a_circle_end(device: Registers) -> None:
    device.config._bytes[0x61] = 0x60
    with pytest.raises(DeviceError, match="no MSI-X capability"):
        setup.msix_at(device)


def test_msix_is_switched_on_and_unmasked(device: Registers) -> None:
    at = setup.msix_at(device) + 2
    device.config_write(at, (0x4000).to_bytes(2, "little"))
    setup.enable_msix(device)
    assert setup.word(device, at) == 0x8007


def test_no_sriov_capability_no_vfs(device: Registers) -> None:
    assert setup.total_vfs(device) is None
    device.lost = True
    assert setup.total_vfs(device) is None
