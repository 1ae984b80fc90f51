"""The device's end of the command queue: reads commands from the driver's memory, has the firmware execute them, and
writes answers and events there.

Theory of operation. ``QueueDevice`` gets a ``Bus`` to the driver's memory, a function that raises an interrupt, and the
accesses to BAR 0. So the driver may be in this process or in a virtual machine. It is in ``link`` and not in ``device``
because it moves bytes: what firmware does with a command does not depend on how the command came.

A write to the command doorbell only notes the slots. ``step`` executes one of them: it reads the entry and follows both
mailbox chains, decodes the command, and feeds the firmware. Nothing that it reads is trusted: a fault in a queue, an
entry, a chain or a doorbell ends in a delivery status or in a ``WireOffence``, never in an exception.

The firmware's effects are carried out in their order. For an answer: write its mailboxes, then the entry with the
ownership bit cleared, then post a completion event. For a page request: post an event, or count it where there is no
event queue. A queue that a command creates can take the events of that same command; one that it destroys still can
until all effects are carried out. The completion of TEARDOWN_HCA goes to the queue that it ends: Linux shuts down with
its queues in place and waits for that event.

Commands that a reset cuts off are not answered. A firmware with faults may still answer one: the entry's address is
kept for the latest of them, so that a late answer is written where a real device would write it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from fwpages.device import (
    Completed,
    Executed,
    FaultyFirmware,
    Firmware,
    HostVfs,
    Notified,
    Offence,
    Phase,
    Raised,
    Reset,
    ResetDone,
    ResetFunction,
    Submitted,
    Tick,
    Triggered,
    Want,
)
from fwpages.device import Input as DeviceInput
from fwpages.link.bus import Bus, BusError
from fwpages.link.queue.bar import Identity, Segment, in_segment, uar_at
from fwpages.link.queue.device_rings import Rings
from fwpages.link.queue.mailbox_chain import Runs, check_signatures, follow, read_message, write_message
from fwpages.link.queue.offences import BY_STATUS, WireOffence, WireOffenceName
from fwpages.pages import PAGE_SIZE
from fwpages.prm.delivery import Delivery, DeliveryError
from fwpages.prm.eq import EQ_DOORBELL, EQ_DOORBELL_ARM, decode_doorbell, encode_command_event
from fwpages.prm.event import encode_eswitch, encode_page_request
from fwpages.prm.layout import LayoutError
from fwpages.prm.mailbox import ALIGNMENT, MAX_MESSAGE, of_answer
from fwpages.prm.message import Answer, Command, PageArray, decode_command
from fwpages.prm.opcodes import Opcode, Teardown, op_mod_suffix, opcode_name
from fwpages.prm.queue import (
    CMDQ_ENTRY,
    ENTRY_SIZE,
    ENTRY_TYPE,
    INLINE,
    entry_is_signed,
    mailboxes_for,
    sign_entry,
)
from fwpages.prm.segment import NicInterface, word_at
from fwpages.prm.status import Status

#: the events that ``watch`` is called with
DeviceEvent: TypeAlias = (
    Submitted | Triggered | Executed | Completed | Raised | Notified | Offence | ResetDone | WireOffence
)

#: bytes of the shortest message: opcode and op_mod, or status and syndrome
LEAST = 8
#: commands cut off by a reset that are remembered, as a faulty firmware may still answer them: every slot twice
MOST_STALE = 64

#: the page that an address lies in
_PAGE = np.uint64((1 << 64) - PAGE_SIZE)

_DOORBELL = word_at("command_doorbell_vector")
_QUEUE = (word_at("cmdq_phy_addr_63_32"), word_at("cmdq_phy_addr_31_12"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A command in execution: its slot, address and 64 bytes as read, the chain for its answer, and its own."""

    slot: int
    address: int
    raw: bytes
    output: Runs
    output_length: int
    input: Runs = ()


class QueueDevice:
    """A device on a bus. ``irq`` is called with the vector of each interrupt, in the middle of what raises it.

    ``read`` and ``write`` are accesses to BAR 0 (bytes; registers are big-endian words). A doorbell only notes what
    there is to do; ``step`` executes one command at a time, for as long as ``pending``. ``watch`` is called with
    commands, answers, page requests, resets and offences as they happen.
    """

    def __init__(
        self,
        firmware: Firmware | FaultyFirmware,
        bus: Bus,
        irq: Callable[[int], None],
        *,
        identity: Identity | None = None,
        watch: Callable[[DeviceEvent], None] | None = None,
    ) -> None:
        self.firmware = firmware
        self.segment = Segment(identity or Identity())
        self.rings = Rings(bus, irq)
        self._bus = bus
        self._watch = watch
        self._rung: deque[int] = deque()
        #: commands that the firmware has not answered, by their number
        self._entries: dict[int, Entry] = {}
        self._stale: dict[int, Entry] = {}
        self._next = 1
        #: a fast TEARDOWN_HCA was done
        self._fast = False
        #: it does the reset by software that its driver asks for; a reset of another kind sets this again
        self.obeys_reset = True

    # -- the driver's side --------------------------------------------------------------------------------------------

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of BAR 0: the segment, and zeros elsewhere."""
        return self.segment.read(offset, length) if in_segment(offset) else bytes(length)

    def write(self, offset: int, data: bytes) -> None:
        """Write one register in BAR 0, or two in a row; other offsets are ignored."""
        if offset % 4 or len(data) not in (4, 8):
            self._offend(WireOffenceName.BAD_ACCESS, f"{len(data)} bytes written at {offset:#x}")
            return
        for n in range(0, len(data), 4):
            self._write_word(offset + n, data[n : n + 4])

    def _write_word(self, offset: int, data: bytes) -> None:
        if offset == _DOORBELL:
            self._ring(int.from_bytes(data, "big"))
        elif offset in _QUEUE:
            self.segment.write_queue(offset, int.from_bytes(data, "big"))
        else:
            place = uar_at(offset, self.firmware.uar_size)
            if place is not None and place[1] in (EQ_DOORBELL, EQ_DOORBELL_ARM):
                self._event_doorbell(place[0], data, arm=place[1] == EQ_DOORBELL_ARM)

    def _ring(self, slots: int) -> None:
        if not self.segment.queue:
            self._offend(WireOffenceName.NO_QUEUE, f"doorbell {slots:#x}")
            return
        if self.segment.interface != NicInterface.FULL_DRIVER:
            self._offend(WireOffenceName.INTERFACE_OFF, f"doorbell {slots:#x}, nic_interface {self.segment.interface}")
            return
        for slot in range(32):
            if not slots >> slot & 1:
                continue
            if slot >= 1 << self.segment.identity.log_cmdq_size:
                self._offend(WireOffenceName.SLOT_UNKNOWN, f"doorbell {slots:#x}", slot)
            elif slot not in self._rung:
                self._rung.append(slot)

    def _event_doorbell(self, uar: int, data: bytes, *, arm: bool) -> None:
        eqn, index = decode_doorbell(data)
        if eqn not in self.rings or self.rings[eqn].context.uar != uar:
            self._offend(WireOffenceName.DOORBELL_UNKNOWN, f"EQ {eqn} in UAR {uar:#x}")
        elif not self.rings.doorbell(eqn, index, arm=arm):
            self._offend(WireOffenceName.DOORBELL_INDEX, f"EQ {eqn}: consumer index {index:#x}")

    # -- the runner's side --------------------------------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """A command was handed over and is not executed, or a reset by ``nic_interface`` was asked for and not done."""
        return bool(self._rung) or self._resets

    @property
    def _resets(self) -> bool:
        """The driver asked for a software reset, or disabled the interface as the second half of a fast teardown.

        Linux writes DISABLED after TEARDOWN_HCA(PREPARE_FAST), and the device then lets go of everything.
        """
        asked = self.segment.interface == NicInterface.SOFTWARE_RESET and self.obeys_reset
        return asked or (self._fast and self.segment.interface == NicInterface.DISABLED)

    @property
    def deadline(self) -> float | None:
        """The time at which to call ``tick``; None when the firmware waits for nothing."""
        return self.firmware.deadline

    def slot_of(self, number: int) -> int | None:
        """Return the slot of the command that the firmware has under this number; None once it is answered."""
        entry = self._entries.get(number)
        return None if entry is None else entry.slot

    def memory_of(self, number: int) -> PageArray:
        """Return the pages that this command's entry and mailboxes lie in, ascending; none once it is answered."""
        entry = self._entries.get(number)
        if entry is None:
            return np.zeros(0, np.uint64)
        places = [np.array([entry.address], np.uint64)]
        for run in (*entry.input, *entry.output):
            offsets = np.arange(run.count, dtype=np.int64) * run.stride
            places.append(np.uint64(run.first) + offsets.astype(np.uint64))
        return np.unique(np.concatenate(places) & _PAGE)

    def in_use(self, pages: PageArray) -> PageArray:
        """Return those of these pages that entries and mailboxes of commands without an answer lie in."""
        used = [self.memory_of(number) for number in self._entries]
        return pages[np.isin(pages, np.concatenate(used))] if used else pages[:0]

    def step(self, now: float) -> bool:
        """Execute one command that was handed over, or a reset; False when there is none."""
        if self._resets:
            self.reset(now)
            self.segment.disable()
            return True
        if not self._rung:
            return False
        self._execute(now, self._rung.popleft())
        return True

    def stir(self, now: float, x: Want | ResetFunction | HostVfs) -> None:
        """Let a function want pages, reset it, or let the external host switch VFs on or off.

        ValueError, and nothing changed, for an unknown function, and for more VFs than there are.
        """
        self._feed(now, x)

    def tick(self, now: float) -> None:
        """Wake the firmware: its deadline has come."""
        self._feed(now, Tick())

    def reset(self, now: float) -> None:
        """Reset the device: commands in execution are not answered, and no memory is accessed any more."""
        self._rung.clear()
        self._fast = False
        self.obeys_reset = True
        self._stale.update(self._entries)
        self._stale = dict(list(self._stale.items())[-MOST_STALE:])
        self._entries.clear()
        self.segment.reset()
        self._feed(now, Reset())

    # -- commands -----------------------------------------------------------------------------------------------------

    def _execute(self, now: float, slot: int) -> None:
        address = self.segment.queue + (slot << self.segment.identity.log_cmdq_stride)
        busy = next((e for e in self._entries.values() if e.slot == slot), None)
        if busy is not None:
            detail = f"slot {slot}: {_command_of(busy.raw)} is not answered yet; the new entry is not looked at"
            self._offend(WireOffenceName.SLOT_BUSY, detail, slot)
            return
        try:
            raw = self._bus.read(address, ENTRY_SIZE)
        except BusError as e:
            self._offend(WireOffenceName.DMA_FAULT, f"command queue: {e}", slot)
            return
        if not raw[-1] & 1:
            what = _command_of(raw) if any(raw) else "nothing in it"
            detail = f"slot {slot}: the entry at {address:#x} has {what}, and is the driver's"
            self._offend(WireOffenceName.NOT_OWNED, detail, slot)
            return
        try:
            entry, message = self._delivered(slot, address, raw)
        except DeliveryError as e:
            self._refuse(slot, address, raw, e)
            return
        except BusError as e:
            self._refuse(slot, address, raw, DeliveryError(Delivery.FW_ERR, str(e)))
            return
        self._hand_over(now, entry, message)

    def _delivered(self, slot: int, address: int, raw: bytes) -> tuple[Entry, memoryview]:
        """Return the entry and the whole command. DeliveryError where malformed, BusError where unreachable."""
        e = CMDQ_ENTRY.unpack(raw)
        checked = self.firmware.checksums
        if e["type"] != ENTRY_TYPE:
            raise DeliveryError(Delivery.CMD_DESCR_ERR, f"type {e['type']:#x}")
        if checked and not entry_is_signed(raw):
            raise DeliveryError(Delivery.SIGNAT_ERR, f"the entry's is {e['signature']:#x}")
        if any(CMDQ_ENTRY.reserved(raw)):
            raise DeliveryError(Delivery.RES_FLD_NOT_CLR_ERR, f"entry {raw.hex()}")
        ends = (
            ("input", Delivery.IN_LENGTH_ERR, Delivery.IN_PTR_ALIGN_ERR),
            ("output", Delivery.OUT_LENGTH_ERR, Delivery.OUT_PTR_ALIGN_ERR),
        )
        for what, bad_length, bad_pointer in ends:
            length = e[f"{what}_length"]
            if not LEAST <= length <= MAX_MESSAGE:
                raise DeliveryError(bad_length, f"{what} of {length} bytes: {LEAST} to {MAX_MESSAGE} can be")
            if e[f"{what}_mailbox"] % ALIGNMENT:
                raise DeliveryError(bad_pointer, f"{what} mailboxes at {e[f'{what}_mailbox']:#x}")
        chains = {
            what: follow(self._bus, e[f"{what}_mailbox"], mailboxes_for(e[f"{what}_length"]), e["token"], what)
            for what in ("input", "output")
        }
        if checked:
            check_signatures(self._bus, chains["input"], "input")
        message = read_message(self._bus, chains["input"], raw[16:32], e["input_length"]).data
        return Entry(slot, address, raw, chains["output"], e["output_length"], chains["input"]), message

    def _refuse(self, slot: int, address: int, raw: bytes, e: DeliveryError) -> None:
        """Give the entry back with a delivery status: nothing was executed."""
        self._offend(BY_STATUS[e.status], e.detail, slot, e.status)
        before = self.rings.commands
        self._give_back(address, CMDQ_ENTRY.patch(raw, {"delivery_status": e.status, "ownership": 0}))
        self._announce(slot, before)

    def _hand_over(self, now: float, entry: Entry, message: memoryview) -> None:
        number = self._next
        self._next += 1
        self._entries[number] = entry
        try:
            command = decode_command(message)
        except LayoutError as e:
            opcode = int.from_bytes(message[:2], "big")
            self._offend(WireOffenceName.BAD_INPUT_LENGTH, str(e), entry.slot)
            self._complete(Completed(number, Answer(opcode, Status.BAD_INP_LEN)), self.rings.commands)
            return
        self._submit(now, number, command, entry.output_length)

    def _submit(self, now: float, number: int, command: Command, reply_length: int) -> None:
        x = Submitted(number, command, reply_length)
        self._report(x)
        self._feed(now, x)
        if command.opcode == Opcode.TEARDOWN_HCA and self.firmware.phase is Phase.CLOSING:
            self._fast = command["profile"] == Teardown.PREPARE_FAST

    # -- the firmware's effects ---------------------------------------------------------------------------------------

    def _feed(self, now: float, x: DeviceInput) -> None:
        """Feed the firmware and carry out its effects in their order."""
        before = self.rings.commands
        effects = self.firmware.feed(now, x)
        if isinstance(self.firmware, FaultyFirmware):
            for fault in self.firmware.triggered:
                self._report(fault)
            for kept in self.firmware.executed:
                self._report(kept)
        # a queue that this input makes can take events, one that it takes away still can until all is carried out
        self.rings.add(self.firmware.eqs)
        for e in effects:
            match e:
                case Completed():
                    self._complete(e, self._announcing(e, before))
                case Raised():
                    self._raise(e, encode_page_request(e.event))
                case Notified():
                    self._raise(e, encode_eswitch(e.event))
                case _:
                    self._report(e)
        # closing: TEARDOWN_HCA ends the queues that the driver has left, all at once
        self.rings.drop(self.firmware.eqs, torn=self.firmware.phase is Phase.CLOSING)

    def _announcing(self, e: Completed, before: int | None) -> int | None:
        """Return the queue that announces a completion; ``before`` did so until the firmware's last input.

        The command that creates or destroys this queue is completed without an event, TEARDOWN_HCA with one.
        """
        if e.answer.opcode == Opcode.TEARDOWN_HCA:
            return self.rings.last_commands
        return before if before in self.firmware.eqs else None

    def _complete(self, e: Completed, eqn: int | None) -> None:
        entry = self._entries.pop(e.id, None) or self._stale.pop(e.id, None)
        self._report(e)
        if entry is None:
            return
        answer = of_answer(e.answer, entry.output_length)
        done = CMDQ_ENTRY.patch(
            entry.raw, {"output": int.from_bytes(answer.inline[:INLINE], "big"), "delivery_status": 0, "ownership": 0}
        )
        try:
            write_message(self._bus, entry.output, answer, signatures=self.firmware.checksums)
        except BusError as fault:
            self._offend(WireOffenceName.DMA_FAULT, f"output mailboxes: {fault}", entry.slot)
            done = CMDQ_ENTRY.patch(done, {"delivery_status": Delivery.FW_ERR})
        self._give_back(entry.address, done)
        self._announce(entry.slot, eqn)

    def _give_back(self, address: int, entry: bytes) -> None:
        try:
            self._bus.write(address, sign_entry(entry))
        except BusError as e:
            self._offend(WireOffenceName.DMA_FAULT, f"command queue: {e}")

    def _announce(self, slot: int, eqn: int | None) -> None:
        if eqn is not None:
            self._post(eqn, encode_command_event(1 << slot))

    def _raise(self, e: Raised | Notified, entry: bytes) -> None:
        self._report(e)
        if self.rings.takes(e.eqn):
            self._post(e.eqn, entry)

    def _post(self, eqn: int, entry: bytes) -> None:
        try:
            if not self.rings.post(eqn, entry):
                self._offend(WireOffenceName.EQ_OVERRUN, f"EQ {eqn}: {self.rings[eqn].waiting} entries not consumed")
        except BusError as e:
            self._offend(WireOffenceName.DMA_FAULT, f"EQ {eqn}: {e}")

    def _offend(
        self, name: WireOffenceName, detail: str, slot: int | None = None, status: Delivery | None = None
    ) -> None:
        self._report(WireOffence(name, detail, slot, status))

    def _report(self, x: DeviceEvent) -> None:
        if self._watch is not None:
            self._watch(x)


def _command_of(raw: bytes) -> str:
    """The command of a queue entry, by its first input bytes."""
    inline = raw[16:32]
    opcode, op_mod = int.from_bytes(inline[:2], "big"), int.from_bytes(inline[6:8], "big")
    return opcode_name(opcode) + op_mod_suffix(opcode, op_mod)
