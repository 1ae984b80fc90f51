"""The PCI function and the command queue joined: which of them an access is for, and what follows from it."""

from __future__ import annotations

import errno

import pytest

from fwpages.device import Firmware, profile
from fwpages.device.pci.config_space import CONFIG_SIZE, identity_of
from fwpages.device.pci.function import PciFunction
from fwpages.link.bus import BusError
from fwpages.link.memory import Memory
from fwpages.link.queue.bar import BAR_SIZE
from fwpages.link.queue.device import DeviceEvent, QueueDevice
from fwpages.link.queue.offences import WireOffence
from fwpages.link.vfio_user.endpoint import MOST_ACCESS, MasterGate, PciEndpoint
from fwpages.link.vfio_user.messages import MessageError
from fwpages.prm.opcodes import Opcode
from fwpages.prm.queue import CMDQ_ENTRY

BAR, CONFIG = 0, 7
#: configuration space: COMMAND, a function-level reset, MSI-X; BAR 0: the queue's address, the doorbell, a vector
COMMAND, RESET, MSIX = 0x04, (0x68, b"\0\x80"), (0xA2, b"\0\x80")
HIGH, LOW, DOORBELL, NIC, VECTORS = 0x10, 0x14, 0x18, 0x16, 0x4000
QUEUE = 0x10000


class Rig:
    """A device in front of memory, as a client finds it: neither BAR 0 nor bus mastering is on."""

    def __init__(self, *, vfs: int = 0) -> None:
        p = profile("connectx7")
        self.memory = Memory()
        self.memory.map(0, 1 << 20)
        self.pci = PciFunction(identity_of(p), client_masks=True, vfs=vfs)
        self.gate = MasterGate(self.pci, self.memory)
        self.seen: list[DeviceEvent] = []
        self.sent: list[int] = []
        self.queue = QueueDevice(Firmware(p), self.gate, self._interrupt, watch=self.seen.append)
        self.end = PciEndpoint(self.pci, self.queue, self.sent.append, lambda: 1.0)

    def _interrupt(self, vector: int) -> None:
        self.end.raise_interrupt(vector)

    def on(self, command: bytes = b"\6\0") -> Rig:
        """Memory space and bus mastering."""
        self.end.write(CONFIG, COMMAND, command)
        return self

    def announced(self) -> Rig:
        """The device knows where its queue is."""
        self.end.write(BAR, HIGH, bytes(4))
        self.end.write(BAR, LOW, QUEUE.to_bytes(4, "big"))
        return self

    def enables(self) -> bool:
        """ENABLE_HCA is handed over: whether it came back done."""
        fields = {"type": 7, "input_length": 16, "input": Opcode.ENABLE_HCA << 112, "output_length": 16, "ownership": 1}
        self.memory.write(QUEUE, CMDQ_ENTRY.pack(fields))
        self.end.write(BAR, DOORBELL, b"\0\0\0\1")
        e = CMDQ_ENTRY.unpack(self.memory.read(QUEUE, 64))
        return not e["ownership"] and not e["delivery_status"]

    @property
    def wrong(self) -> list[str]:
        return [x.name for x in self.seen if isinstance(x, WireOffence)]


# -- bus mastering ----------------------------------------------------------------------------------------------------


def test_memory_is_out_of_reach_until_the_driver_lets_the_device_have_it() -> None:
    rig = Rig()
    with pytest.raises(BusError, match="0x1000 cannot be reached: bus mastering is off"):
        rig.gate.read(0x1000, 1)
    with pytest.raises(BusError, match="0x2000 cannot"):
        rig.gate.write(0x2000, b"x")
    assert rig.gate.refused == 2
    assert rig.memory.read(0x2000, 1) == b"\0"
    rig.on()
    rig.gate.write(0x2000, b"x")
    assert (rig.gate.read(0x2000, 1), rig.gate.refused) == (b"x", 2)
    rig.on(b"\2\0")
    with pytest.raises(BusError):
        rig.gate.read(0x2000, 1)


def test_a_command_without_bus_mastering_is_the_driver_s_fault() -> None:
    rig = Rig().on(b"\2\0").announced()
    assert not rig.enables()
    assert rig.wrong == ["dma-fault"]
    assert rig.on().enables()


# -- regions ----------------------------------------------------------------------------------------------------------


def test_bar_0_and_the_configuration_space_are_there_and_nothing_else() -> None:
    end = Rig().end
    assert [end.size(n) for n in range(10)] == [BAR_SIZE, 0, 0, 0, 0, 0, 0, CONFIG_SIZE, 0, 0]


def test_bar_0_is_as_wide_as_a_processor_s_store_and_the_configuration_space_as_long_as_it_is() -> None:
    end = Rig().on().end
    assert len(end.read(BAR, 0, MOST_ACCESS)) == MOST_ACCESS
    end.write(BAR, 0, bytes(MOST_ACCESS))
    assert len(end.read(CONFIG, 0, CONFIG_SIZE)) == CONFIG_SIZE
    for access in (lambda n: end.read(BAR, 0, n), lambda n: end.write(BAR, 0, bytes(n))):
        with pytest.raises(MessageError, match="an access to BAR 0 of 65 bytes") as e:
            access(MOST_ACCESS + 1)
        assert e.value.errno == errno.EINVAL


def test_bar_0_reads_as_ones_and_ignores_writes_until_memory_space_is_on() -> None:
    rig = Rig().announced()
    assert rig.end.read(BAR, 4, 4) == b"\xff" * 4
    assert rig.end.read(CONFIG, 0, 4).hex() == "b3152110"
    rig.on()
    assert rig.end.read(BAR, 4, 2) == b"\0\5"
    assert rig.end.read(BAR, HIGH, 8) == bytes.fromhex("0000000000000056"), "what was written before was not accepted"


def test_the_table_of_vectors_is_the_function_s_and_the_rest_of_bar_0_the_queue_s() -> None:
    rig = Rig().on().announced()
    rig.end.write(BAR, VECTORS, bytes.fromhex("0000e0fe"))
    assert rig.end.read(BAR, VECTORS, 4).hex() == "0000e0fe"
    assert rig.queue.segment.queue == QUEUE
    assert rig.enables()
    assert rig.wrong == []


# -- interrupts -------------------------------------------------------------------------------------------------------


def test_an_interrupt_waits_until_the_driver_takes_interrupts() -> None:
    rig = Rig()
    rig.end.raise_interrupt(3)
    rig.end.raise_interrupt(99)
    rig.end.write(CONFIG, *MSIX)
    assert rig.sent == []
    rig.on()
    assert rig.sent == [3], "the vector that there is, once, as soon as it can be sent"
    rig.end.raise_interrupt(5)
    assert rig.sent == [3, 5]


# -- resets and losses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_message", [False, True])
def test_a_reset_leaves_nothing_of_what_was_set_up(by_message: bool) -> None:
    rig = Rig().on().announced()
    rig.end.trouble.report("syndrome 0x1")
    if by_message:
        rig.end.reset()
    else:
        rig.end.write(CONFIG, *RESET)
    assert (rig.end.resets, rig.queue.segment.queue, rig.end.trouble.stopped) == (1, 0, False)
    assert (rig.pci.bus_master, rig.pci.memory_space) == (False, False)
    assert rig.on().announced().enables()


def test_firmware_in_a_fatal_state_executes_nothing() -> None:
    rig = Rig().on().announced()
    rig.end.trouble.report("syndrome 0x1")
    assert not rig.enables()
    assert not rig.announced().enables(), "nor where its queue is announced again"
    assert rig.wrong == []


def test_firmware_in_a_fatal_state_accepts_only_some_words_of_a_store() -> None:
    rig = Rig().on().announced()
    rig.end.trouble.report("syndrome 0x1")
    fields = {"type": 7, "input_length": 16, "input": Opcode.ENABLE_HCA << 112, "output_length": 16, "ownership": 1}
    rig.memory.write(QUEUE, CMDQ_ENTRY.pack(fields))
    rig.end.write(BAR, LOW, QUEUE.to_bytes(4, "big") + b"\0\0\0\1")
    assert CMDQ_ENTRY.unpack(rig.memory.read(QUEUE, 64))["ownership"], "the doorbell beside the address rang"


def test_a_software_reset_ends_a_fatal_state_and_waits_for_a_queue() -> None:
    rig = Rig().on().announced()
    rig.end.trouble.report("syndrome 0x1")
    rig.end.write(BAR, LOW, (QUEUE | 7 << 8).to_bytes(4, "big"))
    assert not rig.end.trouble.stopped
    assert rig.end.read(BAR, NIC, 1)[0] & 7 == 1
    assert not rig.enables()
    assert rig.wrong == [], "what a driver rings that has not seen it yet is not accepted"
    assert rig.announced().enables()


def test_a_lost_device_reads_as_ones_and_ignores_writes() -> None:
    rig = Rig().on()
    rig.end.lose()
    for region, at, n in ((BAR, 0, 8), (BAR, VECTORS, 16), (CONFIG, 0, 4)):
        assert rig.end.read(region, at, n) == b"\xff" * n
    rig.announced().on(b"\0\0")
    assert (rig.pci.bus_master, rig.queue.segment.queue) == (True, 0)
    with pytest.raises(MessageError):
        rig.end.read(BAR, 0, MOST_ACCESS + 1)


def test_a_device_that_is_found_again_has_been_reset_and_answers() -> None:
    rig = Rig().on().announced()
    rig.end.lose()
    rig.end.restore()
    assert (rig.pci.memory_space, rig.pci.bus_master, rig.end.resets) == (True, False, 1)
    assert rig.end.read(BAR, NIC, 1)[0] & 7 == 1
    assert not rig.on().enables()
    assert rig.wrong == []
    assert rig.announced().enables()


def test_extended_capabilities_are_there_from_the_machine_s_reset_on() -> None:
    """QEMU hides what it finds of SR-IOV, and passes on what it has not found."""
    rig = Rig(vfs=4)
    rig.end.begin()
    hidden = rig.end.read(CONFIG, 0x100, 4)
    rig.end.reset()
    assert (hidden, rig.end.read(CONFIG, 0x100, 4) != bytes(4)) == (bytes(4), True)
