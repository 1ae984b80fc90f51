"""TEARDOWN_HCA with event queues in place, as Linux sends it when it shuts down: its completion is an event still."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fwpages.device import Completed, Phase, PlannedFault, Want, faulty
from fwpages.link.queue.driver import Completion
from fwpages.prm.eq import EQ_DOORBELL, EQ_DOORBELL_ARM, encode_doorbell
from fwpages.prm.event import EventType
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode, Teardown
from tests.link.queue.test_device import Rig

TEARDOWN = Command(Opcode.TEARDOWN_HCA, fields={"profile": Teardown.PREPARE_FAST})
FORCED = Command(Opcode.TEARDOWN_HCA, fields={"profile": Teardown.FORCE})


def up(*, faults: Sequence[PlannedFault] = ()) -> tuple[Rig, int, int]:
    """A device that works, the number of its queue of completions (vector 2), and the UAR."""
    rig = Rig().up()
    eqn = rig.eq(1 << EventType.COMMAND, 500)
    if faults:
        rig.device.firmware = faulty(rig.firmware, faults)
    rig.interrupts.clear()
    return rig, eqn, rig.firmware.eqs[eqn].uar


def ring(rig: Rig, slot: int = 0) -> None:
    rig.driver.ring(slot)
    while rig.device.step(0.0):
        pass


@pytest.mark.parametrize("command", [TEARDOWN, FORCED])
def test_it_is_completed_by_an_event(command: Command) -> None:
    rig, _, _ = up()
    rig.send(command)
    ring(rig)
    assert rig.firmware.phase is Phase.CLOSING
    assert rig.interrupts == [2]
    assert rig.driver.poll() == [], "the driver's end waits for the event, as Linux does"
    (came,) = rig.driver.interrupt(2)
    assert isinstance(came, Completion)
    assert came.answer == Answer(Opcode.TEARDOWN_HCA, fields={"state": 0})
    assert rig.offences == []


def test_what_the_driver_rings_afterwards_is_not_judged() -> None:
    rig, eqn, uar = up()
    pages = rig.eq(1 << EventType.PAGE_REQUEST, 501, intr=3)
    rig.send(TEARDOWN)
    ring(rig)
    index = rig.device.rings[eqn].produced
    for n in (index, index, index + 7):
        rig.device.write(uar * 4096 + EQ_DOORBELL_ARM, encode_doorbell(eqn, n))
    rig.device.write((uar + 1) * 4096 + EQ_DOORBELL, encode_doorbell(pages, 0))
    assert rig.offences == []
    rig.device.write((uar + 9) * 4096 + EQ_DOORBELL, encode_doorbell(pages, 0))
    assert [o.name for o in rig.offences] == ["doorbell-unknown"], "another UAR was never right"


def test_no_event_comes_after_it() -> None:
    rig, _, _ = up()
    rig.eq(1 << EventType.PAGE_REQUEST, 501, intr=3)
    rig.send(TEARDOWN)
    ring(rig)
    rig.driver.interrupt(2)
    rig.interrupts.clear()
    rig.device.stir(0.0, Want("self", 5))
    took = rig.run(Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"input_num_entries": 103}))
    assert took["output_num_entries"] == 103
    assert rig.run(Command(Opcode.DISABLE_HCA)).ok
    assert rig.interrupts == []


def test_the_queues_are_forgotten_with_the_session() -> None:
    rig, eqn, uar = up()
    rig.send(TEARDOWN)
    ring(rig)
    rig.driver.interrupt(2)
    assert eqn in rig.device.rings
    rig.run(Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"input_num_entries": 103}))
    rig.run(Command(Opcode.DISABLE_HCA))
    assert eqn not in rig.device.rings
    rig.device.write(uar * 4096 + EQ_DOORBELL, encode_doorbell(eqn, 1))
    assert [o.name for o in rig.offences] == ["doorbell-unknown"]
    rig.seen.clear()
    rig.up()
    assert rig.eq(1 << EventType.COMMAND, 502) == eqn
    assert rig.offences == []


def test_and_with_a_reset() -> None:
    rig, eqn, _ = up()
    rig.send(TEARDOWN)
    ring(rig)
    rig.device.reset(0.0)
    assert eqn not in rig.device.rings


def test_a_refused_one_leaves_the_queues() -> None:
    rig, eqn, uar = up(faults=[PlannedFault("teardown-refused")])
    rig.send(TEARDOWN)
    ring(rig)
    (came,) = rig.driver.interrupt(2)
    assert isinstance(came, Completion)
    assert came.answer is not None
    assert not came.answer.ok
    assert rig.run(Command(Opcode.QUERY_ADAPTER)).ok
    assert not rig.device.rings[eqn].ended
    rig.device.write(uar * 4096 + EQ_DOORBELL, encode_doorbell(eqn, 9))
    assert [o.name for o in rig.offences] == ["doorbell-index"], "these are judged"


def test_a_late_answer_finds_its_queue() -> None:
    rig, _, _ = up(faults=[PlannedFault("command-late", 1, 0)])
    rig.send(TEARDOWN)
    ring(rig)
    assert (rig.firmware.phase, rig.interrupts) == (Phase.CLOSING, [])
    due = rig.device.deadline
    assert due is not None
    rig.device.tick(due)
    assert rig.interrupts == [2]
    (came,) = rig.driver.interrupt(2)
    assert isinstance(came, Completion)


def test_the_slot_of_a_command_in_execution() -> None:
    rig = Rig()
    slots = list[int | None]()
    watch = rig.device._watch
    rig.device._watch = lambda x: slots.append(None if isinstance(x, Completed) else rig.device.slot_of(1))
    rig.send(Command(Opcode.ENABLE_HCA), 5)
    ring(rig, 5)
    assert slots == [5, None]
    assert rig.device.slot_of(1) is None
    assert watch is not None
