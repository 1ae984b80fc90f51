"""A device served over vfio-user, from configuration space to page requests, without a virtual machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fwpages.device import Want, profile
from fwpages.device.firmware.loadable import LoadableFirmware
from fwpages.link.bus import BusError
from fwpages.link.queue.device import DeviceEvent
from fwpages.link.queue.offences import WireOffence
from fwpages.link.vfio_user.failures import syndrome_of
from fwpages.link.vfio_user.served_device import ServedDevice
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode
from tests.link.vfio_client import message, open_fds, region
from tests.link.vfio_driver import BAR, CONFIG, Driver


class Bench:
    def __init__(self) -> None:
        self.firmware = LoadableFirmware(profile("connectx4-lx"))
        self.seen: list[DeviceEvent] = []
        self.clients: list[str] = []
        self.device = ServedDevice(
            self.firmware,
            profile("connectx4-lx"),
            watch=lambda _, x: self.seen.append(x),
            on_client=lambda _, why: self.clients.append(why),
        )

    @property
    def wrong(self) -> list[str]:
        return [x.name for x in self.seen if isinstance(x, WireOffence)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def driver(bench: Bench) -> Iterator[Driver]:
    before = open_fds()
    d = Driver(bench.device)
    yield d
    d.close()
    assert open_fds() == before


def test_configuration_space_and_segment(driver: Driver) -> None:
    assert driver.read(CONFIG, 0, 4).hex() == "b3151510"
    assert driver.read(BAR, 0x4, 2).hex() == "0005"
    beats = [driver.read(BAR, 0x1010, 4) for _ in range(3)]
    assert len(set(beats)) == 3


def test_bar_does_not_answer_before_it_is_on(driver: Driver) -> None:
    driver.write(CONFIG, 0x04, b"\0\0")
    assert driver.read(BAR, 0, 8) == b"\xff" * 8
    driver.write(BAR, 0x18, b"\0\0\0\1")
    driver.write(CONFIG, 0x04, b"\6\0")
    assert driver.read(BAR, 0x4, 2).hex() == "0005"


def test_wide_accesses_are_refused(driver: Driver) -> None:
    for data in (region(9, 0, 0, 128), region(10, 0, 0, 128, bytes(128))):
        with pytest.raises(AssertionError, match="errno 22"):
            driver.ask(data)


def test_table_of_vectors_is_the_functions(driver: Driver) -> None:
    driver.write(BAR, 0x4000, bytes.fromhex("0000e0fe00000000"))
    assert driver.read(BAR, 0x4000, 16).hex() == "0000e0fe000000000000000001000000"
    assert driver.read(BAR, 0xC000, 8) == bytes(8)


def test_a_whole_session(bench: Bench, driver: Driver) -> None:
    own = driver.up()
    assert bench.firmware.held("self") == 6 + 4465
    bench.device.stir(Want("self", 10))
    assert os.eventfd_read(driver.irqs[1]) == 1
    assert driver.event(1) == PageRequestEvent(own, 10)
    driver.give(own, 10)
    assert bench.firmware.held("self") == 6 + 4465 + 10
    assert os.eventfd_read(driver.irqs[0]) >= 1
    driver.down(own)
    assert bench.firmware.held("self") == 0
    assert bench.firmware.offences == ()
    assert bench.wrong == []


def test_without_bus_mastering_no_memory_is_touched(bench: Bench, driver: Driver) -> None:
    driver.write(CONFIG, 0x04, b"\2\0")
    with pytest.raises(BusError, match="bus mastering"):
        bench.device.gate.read(0, 1)
    driver.write(BAR, 0x18, b"\0\0\0\1")
    assert bench.wrong == ["dma-fault"]
    assert bench.device.gate.refused


def test_reset_by_configuration_space_and_by_message(bench: Bench, driver: Driver) -> None:
    for n in range(2):
        if n:
            driver.ask(message(13))
        else:
            driver.write(CONFIG, 0x68, b"\0\x80")
        assert driver.read(CONFIG, 0x04, 2) == b"\0\0"
        assert bench.device.queue.segment.queue == 0
        driver.write(CONFIG, 0x04, b"\6\0")
        driver.write(BAR, 0x10, bytes(4))
        driver.write(BAR, 0x14, (0x10000).to_bytes(4, "big"))
        driver.ok(Opcode.ENABLE_HCA)
        assert bench.firmware.phase == "starting"
    assert bench.device.endpoint.resets == 2


def queue_again(d: Driver, nic_interface: int = 0) -> None:
    """The queue's address anew, with what goes into ``nic_interface``."""
    d.write(BAR, 0x10, bytes(4))
    d.write(BAR, 0x14, (0x10000 | nic_interface << 8).to_bytes(4, "big"))


def nic_interface(d: Driver) -> int:
    return d.read(BAR, 0x16, 1)[0] & 7


def test_fatal_state_until_the_driver_resets_firmware(bench: Bench, driver: Driver) -> None:
    own = driver.up()
    before = len(bench.seen)
    bench.device.fail("syndrome 0x10")
    assert driver.read(BAR, 0x23D, 1) == b"\x10"
    assert driver.read(BAR, 0x238, 1) == b"\x80", "rfr"
    assert driver.read(BAR, 0x1FC, 4) == b"\x40\0\0\0", "a reset by software is supported, and it is not initializing"
    beats = {driver.read(BAR, 0x1010, 4) for _ in range(2)}
    assert len(beats) == 2, "the counter goes on: the syndrome says it"
    # nothing is executed and nothing asked for
    driver.write(BAR, 0x18, b"\0\0\0\1")
    bench.device.stir(Want("self", 10))
    driver.arm(driver.eqns[1], 1, driver.uar)
    assert (driver.event(1), len(bench.seen)) == (None, before)
    queue_again(driver, 7)
    assert bench.firmware.held("self") == 0
    assert nic_interface(driver) == 1
    assert driver.read(BAR, 0x23C, 4) == bytes(4), "the reset clears the health buffer"
    # what a driver still rings that is letting go of everything is not accepted
    driver.write(BAR, 0x18, b"\0\0\0\1")
    assert bench.wrong == []
    queue_again(driver)
    assert driver.up() == own
    assert bench.wrong == []


def test_a_reset_by_software_that_is_offered_and_never_done(bench: Bench, driver: Driver) -> None:
    driver.up()
    bench.device.fail("syndrome 0x10", resets=False)
    queue_again(driver, 7)
    assert nic_interface(driver) == 7
    assert driver.read(BAR, 0x23D, 1) == b"\x10", "it is in the fatal state"
    driver.reset()
    assert driver.read(BAR, 0x23D, 1) == b"\0"
    bench.device.fail("syndrome 0x10")
    queue_again(driver, 7)
    assert nic_interface(driver) == 1


@pytest.mark.parametrize("by_message", [True, False])
def test_fatal_state_ends_with_a_function_level_reset(bench: Bench, driver: Driver, by_message: bool) -> None:
    driver.up()
    bench.device.fail("firmware internal error")
    assert driver.read(BAR, 0x23D, 1) == b"\1"
    if by_message:
        driver.reset()
    else:
        driver.write(CONFIG, 0x68, b"\0\x80")
        driver.set_up()
    assert not bench.device.stopped
    driver.up()
    assert bench.wrong == []


def test_lost_link(bench: Bench, driver: Driver) -> None:
    own = driver.up()
    before = len(bench.seen)
    bench.device.lose()
    for index, at, n in ((BAR, 0x230, 4), (BAR, 0x4000, 16), (CONFIG, 0, 4)):
        assert driver.read(index, at, n) == b"\xff" * n
    driver.write(BAR, 0x18, b"\0\0\0\1")
    driver.write(CONFIG, 0x04, b"\0\0")
    bench.device.stir(Want("self", 10))
    assert len(bench.seen) == before
    assert bench.firmware.held("self") == 6 + 4465, "nothing was proven"
    bench.device.restore()
    assert bench.firmware.held("self") == 0
    assert driver.read(CONFIG, 0x04, 2) == b"\2\0", "the BAR answers, bus mastering is off"
    assert nic_interface(driver) == 1
    driver.write(BAR, 0x18, b"\0\0\0\1")
    driver.arm(driver.eqns[1], 1, driver.uar)
    assert bench.wrong == []
    driver.set_up()
    assert driver.up() == own
    assert bench.wrong == []


def test_client_gone_while_the_link_is_lost(bench: Bench) -> None:
    d = Driver(bench.device)
    d.up()
    bench.device.lose()
    d.close()
    d = Driver(bench.device)
    assert d.read(CONFIG, 0, 2).hex() == "b315"
    d.up()
    d.close()


@pytest.mark.parametrize(
    ("reason", "syndrome"),
    [("firmware internal error", 1), ("syndrome 0x8, whatever", 8), ("Synd 0x10: hot", 16), ("syndrome 0x0", 1)],
)
def test_syndrome_of_a_reason(reason: str, syndrome: int) -> None:
    assert syndrome_of(reason) == syndrome


def test_virtual_functions_are_seen_from_the_machines_start_on() -> None:
    """QEMU hides what it finds of SR-IOV when it sets the device up, which is before the first reset."""
    device = ServedDevice(LoadableFirmware(profile("connectx7")), profile("connectx7"), vfs=2)
    for _ in range(2):
        d = Driver(device)
        assert d.read(CONFIG, 0x100, 4) == bytes(4)
        d.reset()
        assert d.read(CONFIG, 0x100, 4) == bytes.fromhex("10000100")
        d.write(CONFIG, 0x68, b"\0\x80")
        assert d.read(CONFIG, 0x100, 4) == bytes.fromhex("10000100"), "and after a reset by its driver too"
        d.close()


def test_client_gone_and_back(bench: Bench) -> None:
    for _ in range(3):
        d = Driver(bench.device)
        d.up()
        assert bench.firmware.held("self") == 6 + 4465
        d.close()
        assert bench.firmware.held("self") == 0
        assert bench.firmware.kept.size == 0
        assert len(bench.device.memory) == 0
    assert bench.clients == ["", "the test is over"] * 3


def test_commands_outside_the_page_protocol(bench: Bench, driver: Driver) -> None:
    driver.up()
    ids = {driver.command(Command(0x800)).data[:4] for _ in range(3)}
    assert len(ids) == 3
    assert driver.command(Command(0x801)).ok
    assert driver.command(Command(0x740)).ok
    assert not driver.command(Command(0xFFF)).ok
    assert [o.name for o in bench.firmware.offences] == ["unknown-command"]
