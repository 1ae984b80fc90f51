"""Each fault of bytes spoils what it is named for, and nothing beside it: else a test of it would test another."""

from __future__ import annotations

import numpy as np
import pytest

from fwpages.device import PlannedFault
from fwpages.host import Send
from fwpages.link.faults.injector import LinkInjector, SpoiledBus
from fwpages.link.memory import Memory
from fwpages.link.queue.driver import BASE, QueueHost, Slot
from fwpages.prm.eq import with_owner
from fwpages.prm.event import PageRequestEvent, encode_page_request
from fwpages.prm.mailbox import CONTROL, column, signed
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.prm.queue import CMDQ_ENTRY, entry_is_signed
from tests.link.faults.spoil import spoil
from tests.link.queue.test_driver import Registers

#: a command with mailboxes in both directions: three in, three out
SLOT = 3
RING = BASE + (1 << 30)
GIVE = Command(
    Opcode.MANAGE_PAGES,
    ManagePages.GIVE,
    {"input_num_entries": 150},
    (np.arange(1, 151, dtype=np.uint64) << np.uint64(12)),
)
TAKE = Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"input_num_entries": 150})


class Rig:
    """A command as its driver has written it, not handed over yet."""

    def __init__(self, command: Command, *, signatures: bool = True) -> None:
        self.memory = Memory()
        self.driver = QueueHost(self.memory, Registers(), signatures=signatures)
        self.slot = self.sent(command)
        self.before = self.state()

    def sent(self, command: Command, slot: int = SLOT) -> Slot:
        return self.driver.submit(Send(1, 1 + slot, slot, command))

    def state(self) -> tuple[bytes, bytes, bytes]:
        """The entry, and the mailboxes of both directions."""
        entry = self.driver.entry(SLOT)
        return entry.tobytes(), self.slot.request.tobytes(), self.slot.reply.tobytes()


def command_for(name: str) -> Command:
    """A command that has what the fault is about."""
    return TAKE if name.startswith("output") else GIVE


def fields(before: bytes, after: bytes) -> dict[str, tuple[int, int]]:
    """The fields of an entry that differ, but for its signature."""
    old, new = CMDQ_ENTRY.unpack(before), CMDQ_ENTRY.unpack(after)
    return {k: (old[k], new[k]) for k in old if old[k] != new[k] and k != "signature"}


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("entry-type", "type"),
        ("input-length", "input_length"),
        ("output-length", "output_length"),
        ("input-unaligned", "input_mailbox"),
        ("output-unaligned", "output_mailbox"),
        ("input-unmapped", "input_mailbox"),
    ],
)
def test_a_field_of_the_entry_says_something_else_and_is_signed_for(name: str, field: str) -> None:
    rig = Rig(command_for(name))
    spoil(name, rig.driver, rig.slot)
    entry, *mailboxes = rig.state()
    assert [*fields(rig.before[0], entry)] == [field]
    assert not any(CMDQ_ENTRY.reserved(entry))
    assert entry_is_signed(entry)
    assert mailboxes == [*rig.before[1:]]


@pytest.mark.parametrize("name", ["entry-reserved", "entry-signature"])
def test_what_is_no_field_of_the_command_leaves_all_fields(name: str) -> None:
    rig = Rig(GIVE)
    spoil(name, rig.driver, rig.slot)
    entry, *mailboxes = rig.state()
    assert fields(rig.before[0], entry) == {}
    assert (any(CMDQ_ENTRY.reserved(entry)), entry_is_signed(entry)) == (
        name == "entry-reserved",
        name != "entry-signature",
    )
    assert mailboxes == [*rig.before[1:]]


@pytest.mark.parametrize("signatures", [True, False])
@pytest.mark.parametrize(
    ("name", "field", "values"),
    [
        ("input-token", "token", [1, 1, 1 ^ 0x55]),
        ("output-token", "token", [1, 1, 1 ^ 0x55]),
        ("input-order", "block_number", [1, 0, 2]),
    ],
)
def test_a_mailbox_says_something_else(name: str, field: str, values: list[int], signatures: bool) -> None:
    rig = Rig(command_for(name), signatures=signatures)
    rows = rig.slot.reply if name.startswith("output") else rig.slot.request
    old = rows.copy()
    spoil(name, rig.driver, rig.slot)
    assert column(rows, field).tolist() == values
    column(rows, field)[:] = column(old, field)
    # but for the two bytes of signatures
    assert np.array_equal(np.delete(rows, (574, 575), axis=1), np.delete(old, (574, 575), axis=1))
    assert rig.state()[0] == rig.before[0]


@pytest.mark.parametrize(
    ("name", "leads"), [("input-loop", "back"), ("input-short", "nowhere"), ("output-short", "nowhere")]
)
def test_a_chain_leads_elsewhere_before_its_last_mailbox(name: str, leads: str) -> None:
    rig = Rig(command_for(name))
    side = name.startswith("output")
    rows = rig.slot.reply if side else rig.slot.request
    first = CMDQ_ENTRY.unpack(rig.before[0])["output_mailbox" if side else "input_mailbox"]
    spoil(name, rig.driver, rig.slot)
    assert column(rows, "next").tolist() == [first + 1024, first if leads == "back" else 0, 0]


@pytest.mark.parametrize("name", ["input-token", "input-order", "input-loop", "input-short"])
def test_spoiled_input_mailboxes_are_signed_as_they_are(name: str) -> None:
    """Or a device that checks signatures would find the signature and not the fault."""
    rig = Rig(GIVE)
    spoil(name, rig.driver, rig.slot)
    assert signed(rig.slot.request).all()
    plain = Rig(GIVE, signatures=False)
    spoil(name, plain.driver, plain.slot)
    assert not plain.slot.request[:, CONTROL + 62 :].any(), "and where they are not, they stay so"


def test_a_fault_changes_its_command_alone() -> None:
    """The second one that has two input mailboxes or more; commands without them are no opportunity."""
    rig = Rig(GIVE)
    faults = LinkInjector((PlannedFault("input-order", 2),))
    orders = []
    for n, command in enumerate((GIVE, TAKE, GIVE, GIVE)):
        slot = rig.sent(command, 10 + n)
        faults.spoil(rig.driver, slot)
        orders.append(column(slot.request, "block_number").tolist())
    assert orders == [[0, 1, 2], [], [1, 0, 2], [0, 1, 2]]
    assert faults.took == ("input-order",)


# -- what the device writes -------------------------------------------------------------------------------------------

EVENT = with_owner(encode_page_request(PageRequestEvent(0x2A, 5)), 1)


def bus(*faults: PlannedFault) -> SpoiledBus:
    """The device's access to memory with a command queue and an event queue."""
    memory = Memory()
    for at in (BASE, RING):
        memory.map(at, 4096, solid=True)
    return SpoiledBus(memory, LinkInjector(faults))


def back(token: int) -> bytes:
    return CMDQ_ENTRY.pack({"type": 7, "token": token, "output_length": 16})


def test_a_bus_without_faults_writes_and_reads_as_its_memory() -> None:
    sound = bus()
    for at, data in ((BASE + 64, back(3)), (RING, EVENT), (RING + 64, b"more than an entry" * 10)):
        sound.write(at, data)
        assert sound.read(at, len(data)) == data
    rows = sound.blocks(RING, 2, 64, 64)
    assert rows is not None
    assert rows[0].tobytes() == EVENT


def test_an_entry_that_is_kept_is_not_written_and_the_next_one_is() -> None:
    spoiled = bus(PlannedFault("ownership-kept"))
    spoiled.write(BASE, back(1))
    assert spoiled.read(BASE, 64) == bytes(64)
    spoiled.write(BASE, back(1))
    assert spoiled.read(BASE, 64) == back(1)


def test_an_entry_with_another_token_is_else_the_same() -> None:
    spoiled = bus(PlannedFault("answer-token", 2))
    for n in range(3):
        spoiled.write(BASE + n * 64, memoryview(back(9)))
    assert [fields(back(9), spoiled.read(BASE + n * 64, 64)) for n in range(3)] == [{}, {"token": (9, 9 ^ 0x55)}, {}]


@pytest.mark.parametrize("owner", [0, 1])
def test_an_event_with_the_wrong_owner_is_else_the_same(owner: int) -> None:
    spoiled, event = bus(PlannedFault("event-owner")), with_owner(EVENT, owner)
    spoiled.write(RING, event)
    spoiled.write(RING + 64, event)
    assert spoiled.read(RING, 64) == with_owner(event, 1 - owner)
    assert spoiled.read(RING + 64, 64) == event


def test_entries_are_no_events_and_events_no_entries() -> None:
    """They are as long as each other: what lies in the page of the queue is an entry."""
    spoiled = bus(PlannedFault("ownership-kept"), PlannedFault("event-owner"))
    spoiled.write(RING, EVENT)
    spoiled.write(BASE + 4096 - 64, back(1))
    assert spoiled.read(RING, 64) == with_owner(EVENT, 0)
    assert spoiled.read(BASE + 4096 - 64, 64) == bytes(64)
