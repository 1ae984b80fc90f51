"""Everything that a driver can do wrong below the commands, done to a device, which calls it by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from fwpages.device import Want
from fwpages.link.queue.device import Entry
from fwpages.link.queue.offences import BY_STATUS, WireOffence, WireOffenceName
from fwpages.prm.delivery import Delivery
from fwpages.prm.eq import EQ_DOORBELL, encode_doorbell
from fwpages.prm.event import EventType
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode, QueryPages
from fwpages.prm.segment import NicInterface
from tests.link.faults.spoil import spoil
from tests.link.queue.test_device import Rig

QUERY = Command(Opcode.QUERY_PAGES, QueryPages.INIT)
UAR = 16 * 4096


def spoiled(name: str, *, checksum: int = 0) -> Rig:
    """A driver that hands over a command with this fault in its bytes."""
    rig = Rig(checksum=checksum).boot()
    rig.send(Command(Opcode.QUERY_HCA_CAP, 1) if name.startswith("output") else rig.pages(100, 3))
    spoil(name, rig.driver, rig.driver.slots[0])
    rig.carry()
    return rig


def unannounced() -> Rig:
    rig = Rig()
    rig.driver.ring(0)
    return rig


def off() -> Rig:
    rig = Rig().boot()
    rig.device.segment.set("nic_interface", NicInterface.DISABLED)
    rig.driver.ring(0)
    return rig


def beyond() -> Rig:
    rig = Rig().boot()
    rig.device.segment.identity = type(rig.device.segment.identity)(log_cmdq_size=2)
    rig.driver.ring(4)
    return rig


def busy() -> Rig:
    rig = Rig().boot()
    rig.device._entries[99] = Entry(0, 0, b"", (), 16)
    rig.driver.ring(0)
    rig.device.step(0.0)
    return rig


def not_owned() -> Rig:
    rig = Rig().boot()
    rig.driver.ring(0)
    rig.device.step(0.0)
    return rig


def overrun() -> Rig:
    rig = Rig().up()
    rig.eq(1 << EventType.PAGE_REQUEST, 500)
    for _ in range(65):
        rig.device.stir(0.0, Want("self", 1))
    return rig


def doorbell(eqn: int, index: int) -> Rig:
    rig = Rig().up()
    assert rig.eq(1 << EventType.COMMAND, 500) == 1
    rig.device.write(UAR + EQ_DOORBELL, encode_doorbell(eqn, index))
    return rig


def access() -> Rig:
    rig = Rig()
    rig.device.write(0x19, bytes(4))
    return rig


DONE: Mapping[str, Callable[[], Rig]] = {
    "no-queue": unannounced,
    "interface-off": off,
    "slot-unknown": beyond,
    "slot-busy": busy,
    "not-owned": not_owned,
    "dma-fault": lambda: spoiled("input-unmapped"),
    "entry-type": lambda: spoiled("entry-type"),
    "entry-reserved": lambda: spoiled("entry-reserved"),
    "bad-signature": lambda: spoiled("entry-signature", checksum=3),
    "bad-token": lambda: spoiled("output-token"),
    "bad-block-number": lambda: spoiled("input-loop"),
    "unaligned-mailbox": lambda: spoiled("output-unaligned"),
    "bad-input-length": lambda: spoiled("input-short"),
    "bad-output-length": lambda: spoiled("output-length"),
    "eq-overrun": overrun,
    "doorbell-unknown": lambda: doorbell(2, 0),
    "doorbell-index": lambda: doorbell(1, 5),
    "bad-access": access,
}


#: of a served device, not of a queue: tests/scenario/test_memory_let_go.py and test_on_purpose.py
OF_SERVED = {WireOffenceName.MEMORY_LET_GO, WireOffenceName.REQUEST_UNANSWERED}


@pytest.mark.parametrize("name", sorted(set(WireOffenceName) - OF_SERVED))
def test_each_malformed_command_is_one_offence(name: str) -> None:
    rig = DONE[name]()
    assert {o.name for o in rig.offences} == {name}
    assert all(o.status is None or BY_STATUS[o.status] == name for o in rig.offences)


def test_no_status_is_answered_but_for_an_offence_that_a_driver_can_read_about() -> None:
    """Each of them is one that a driver gets when it has done nothing but that."""
    by = dict(BY_STATUS)
    assert by.keys() == set(Delivery) - {Delivery.OK}
    assert len(set(by.values())) == len(by) - 1, "input and output mailboxes that are not aligned are one"


def test_an_offence_says_where_it_was() -> None:
    rig = spoiled("input-unaligned")
    (offence,) = rig.offences
    assert (offence.slot, offence.status) == (0, Delivery.IN_PTR_ALIGN_ERR)
    assert offence.detail.startswith("input mailboxes at 0x")
    assert offence != WireOffence(offence.name, offence.detail, 1, offence.status)
    assert WireOffence(WireOffenceName.BAD_ACCESS, "2 bytes").slot is None
