"""The driver's end of the command queue: it writes commands where the device looks for them and reads the answers.

Theory of operation. ``QueueHost`` knows the device only through BAR 0 (``Mmio``) and the memory that both share. A
command has a slot: an entry of 64 bytes in the queue's page, and two mailbox chains, for the rest of its input and for
its answer. ``submit`` writes them, ``ring`` writes the doorbell, which hands the entry over. The device gives it back
by clearing its ownership bit, and raises a completion event if the driver has an event queue for that.

Every command has a token, and an answer is taken only with the token of the command in the slot. A reset abandons the
commands in flight: their tokens are kept, so that a device that answers one after all is recognised. Any other
completion is passed over. An answer that cannot be read gives a ``Completion`` with the reason instead.

``interrupt``, ``poll`` and ``recover`` return what the device wrote. A page request that the device raised before it
answered a command must be seen before that answer. So completions are looked for first and returned last: the page
request queues are read in between, when all that came before the completions is in memory.

After a queue was read its doorbell gets the consumer index and arms the interrupt again. A queue that brought nothing
new is not armed again: an entry that cannot be read would interrupt endlessly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from fwpages.host import Send
from fwpages.link.memory import Bytes
from fwpages.link.queue.driver_rings import HostRing, prepare
from fwpages.prm.capability import read_general
from fwpages.prm.delivery import Delivery, delivery_words
from fwpages.prm.eq import EQ_DOORBELL_ARM
from fwpages.prm.event import (
    COMMAND_EQE,
    EswitchEvent,
    EventType,
    PageRequestEvent,
    decode_eswitch,
    decode_page_request,
)
from fwpages.prm.layout import LayoutError
from fwpages.prm.mailbox import STRIDE, answer_in, chain, evenly, of_command, put, sign, signed
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import CapType, Opcode
from fwpages.prm.queue import CMDQ_ENTRY, ENTRY_SIZE, ENTRY_TYPE, entry_is_signed, mailboxes_for, sign_entry
from fwpages.prm.segment import CMD_IF_REV, read_field, word_at
from fwpages.prm.status import Status

#: I/O address of the queue and the mailboxes, above anything that a host lends
BASE = 1 << 48
#: I/O addresses set aside for one chain: twice what the longest message needs
AREA = 1 << 25
#: slots of a command queue that Linux and this project can drive
MOST_SLOTS = 32
#: I/O addresses from ``base`` on that a driver uses: the queue, and two chains for each slot
AREAS_SIZE = (1 + 2 * MOST_SLOTS) * AREA
_PAGE = 4096
_UAR = 4096
_ALL_ONES = 0xFFFF


class WireError(RuntimeError):
    """The device's registers are not those of a working device; the text names them."""


class Mmio(Protocol):
    """BAR 0 of a device; offsets and lengths in bytes, registers are big-endian words."""

    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes at this offset."""

    def write(self, offset: int, data: bytes) -> None:
        """Write a register."""


class QueueMemory(Protocol):
    """The memory that driver and device share. Ranges are whole 4 KiB pages at I/O addresses."""

    def map(self, iova: int, length: int, *, solid: bool = False) -> None:
        """Map memory; with ``solid`` in one piece, which ``view`` returns whole."""

    def unmap(self, iova: int, length: int) -> None:
        """Unmap what was mapped."""

    def view(self, iova: int, length: int) -> Bytes:
        """Return these bytes in place, shape (length,), writable."""


@dataclass(frozen=True, slots=True)
class RaisedRequest:
    """A page request on the event queue with this number, which was created in this session."""

    session: int
    eqn: int
    event: PageRequestEvent


@dataclass(frozen=True, slots=True)
class RaisedEswitch:
    """An event about the e-switch on the event queue with this number, which was created in this session."""

    session: int
    eqn: int
    event: EswitchEvent


@dataclass(frozen=True, slots=True)
class Completion:
    """The device gave a command's entry back. ``answer`` is None where it cannot be read; ``why`` is the reason."""

    session: int
    id: int
    answer: Answer | None
    why: str = ""


DriverEvent: TypeAlias = RaisedRequest | RaisedEswitch | Completion


@dataclass(frozen=True, slots=True)
class Slot:
    """A command that the device owns: the command sent, its token, and its mailbox chains."""

    sent: Send
    token: int
    reply_length: int
    #: an event announces its completion; otherwise its entry must be polled
    by_event: bool
    #: mailboxes as they lie in memory, each (n, 1024)
    request: Bytes
    reply: Bytes


class QueueHost:
    """Drives one device through its command queue, within ``memory`` from I/O address ``base`` on.

    ``signatures``: mailboxes are signed, and answers checked, until a SET_HCA_CAP says otherwise, and again in the
    next session (``cmdif_checksum``; Linux starts without); entries are always signed.
    """

    def __init__(self, memory: QueueMemory, mmio: Mmio, *, base: int = BASE, signatures: bool = False) -> None:
        self.memory = memory
        self.mmio = mmio
        self.base = base
        self.signatures = self._at_first = signatures
        self.slots: dict[int, Slot] = {}
        #: commands in flight at a reset, by slot
        self.abandoned: dict[int, Slot] = {}
        self._rings: dict[int, HostRing] = {}
        self._areas: dict[int, int] = {}
        self._queue: Bytes | None = None
        self._token = 0
        self._session = 0
        self._stride = ENTRY_SIZE

    # -- bringing it up -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Write the queue's address to the device. WireError where its segment is not that of a usable device."""
        if read_field(self.mmio.read, "cmd_interface_rev") != CMD_IF_REV:
            rev = read_field(self.mmio.read, "cmd_interface_rev")
            gone = " (all ones: the device is gone)" if rev == _ALL_ONES else ""
            raise WireError(f"command interface revision {rev:#x}, {CMD_IF_REV} is spoken here{gone}")
        if read_field(self.mmio.read, "initializing"):
            raise WireError("the device is still initializing")
        size, stride = (read_field(self.mmio.read, f"log_cmdq_{what}") for what in ("size", "stride"))
        if 1 << size > MOST_SLOTS or size + stride > 12 or 1 << stride < ENTRY_SIZE:
            raise WireError(f"a command queue of 2^{size} entries of 2^{stride} bytes")
        self._stride = 1 << stride
        if not self._areas:
            self.memory.map(self.base, _PAGE, solid=True)
            self._areas[-1] = _PAGE
        self._queue = self.memory.view(self.base, _PAGE)
        self.mmio.write(word_at("cmdq_phy_addr_63_32"), (self.base >> 32).to_bytes(4, "big"))
        self.mmio.write(word_at("cmdq_phy_addr_31_12"), (self.base & 0xFFFFF000).to_bytes(4, "big"))

    def reset(self) -> None:
        """Abandon queue, commands and event queues: the device was reset."""
        self.abandoned.update(self.slots)
        self.slots.clear()
        self._rings.clear()
        self._queue = None

    # -- sending ------------------------------------------------------------------------------------------------------

    def submit(self, e: Send) -> Slot:
        """Write a command's entry and mailboxes; ``ring`` then hands it over.

        WireError where the device is not usable, ValueError for a slot in use, LayoutError where the command does not
        fit its layout.
        """
        if e.slot in self.slots:
            raise ValueError(f"slot {e.slot} has a command that is not answered")
        if self._queue is None:
            self.start()
        if e.session != self._session:
            self._session, self.signatures = e.session, self._at_first
        m, reply_length = of_command(e.command), e.command.reply_length
        self._token = self._token % 255 + 1
        request = self._chain(2 * e.slot, m.mailboxes)
        put(request, m)
        if self.signatures:
            sign(request)
        reply = self._chain(2 * e.slot + 1, mailboxes_for(reply_length))
        slot = Slot(e, self._token, reply_length, self._by_event(e), request, reply)
        entry = CMDQ_ENTRY.pack(
            {
                "type": ENTRY_TYPE,
                "input_length": m.length,
                "input_mailbox": self.area(2 * e.slot) if len(request) else 0,
                "input": int.from_bytes(m.inline, "big"),
                "output_mailbox": self.area(2 * e.slot + 1) if len(reply) else 0,
                "output_length": reply_length,
                "token": self._token,
                "ownership": 1,
            }
        )
        if e.command.opcode == Opcode.CREATE_EQ:
            prepare(self.memory, e.command)
        self.entry(e.slot)[:] = np.frombuffer(sign_entry(entry), np.uint8)
        self.slots[e.slot] = slot
        return slot

    def ring(self, slot: int) -> None:
        """Hand the command in this slot over by the doorbell."""
        self.mmio.write(word_at("command_doorbell_vector"), (1 << slot).to_bytes(4, "big"))

    def entry(self, slot: int) -> Bytes:
        """Return the entry of a slot in place, shape (64,)."""
        assert self._queue is not None
        return self._queue[slot * self._stride : slot * self._stride + ENTRY_SIZE]

    def area(self, n: int) -> int:
        """Return the I/O address of chain ``n``: of slot s, chain 2s is for input and 2s + 1 for output."""
        return self.base + (n + 1) * AREA

    def _chain(self, n: int, mailboxes: int) -> Bytes:
        """Lay out a chain's mailboxes, shape (mailboxes, 1024), in memory that grows with need."""
        at, size = self.area(n), -(-mailboxes * STRIDE // _PAGE) * _PAGE
        if size > self._areas.get(n, 0):
            if n in self._areas:
                self.memory.unmap(at, self._areas[n])
            self.memory.map(at, size, solid=True)
            self._areas[n] = size
        if not mailboxes:
            return np.zeros((0, STRIDE), np.uint8)
        rows = self.memory.view(at, mailboxes * STRIDE).reshape(mailboxes, STRIDE)
        chain(rows, evenly(at, mailboxes), self._token)
        return rows

    def _by_event(self, e: Send) -> bool:
        """Return whether an event will announce the completion: not that of the command that destroys its queue."""
        ring = self._commands
        if ring is None:
            return False
        return e.command.opcode != Opcode.DESTROY_EQ or e.command["eq_number"] != ring.eqn

    # -- receiving ----------------------------------------------------------------------------------------------------

    def interrupt(self, vector: int) -> list[DriverEvent]:
        """Return the new events of the queues of this interrupt vector."""
        rings = [r for r in self._rings.values() if r.vector == vector]
        return self._collect(rings, list(self._abandoned_slots()))

    def poll(self) -> list[DriverEvent]:
        """Return the answers to commands whose completion no event announces."""
        looked = [n for n, s in self.slots.items() if not s.by_event or self._commands is None]
        return self._collect([], [*looked, *self._abandoned_slots()])

    def recover(self) -> list[DriverEvent]:
        """Look at all queues and slots, as an event may have been lost; return what is new."""
        return self._collect(list(self._rings.values()), [*self.slots, *self._abandoned_slots()])

    def _abandoned_slots(self) -> Iterator[int]:
        return (n for n in self.abandoned if n not in self.slots)

    @property
    def _commands(self) -> HostRing | None:
        return next((r for r in self._rings.values() if r.takes(EventType.COMMAND)), None)

    def _collect(self, rings: Sequence[HostRing], slots: Sequence[int]) -> list[DriverEvent]:
        """Return page requests, events about the e-switch, then completions: what came before these is in memory."""
        returned = self._returned(rings, slots)
        pages = [r for r in self._rings.values() if r.takes(EventType.PAGE_REQUEST)]
        events: list[DriverEvent] = []
        if rings or returned:
            for ring in pages:
                events += _requests(ring)
        for ring in rings:
            if ring.takes(EventType.ESW_FUNCTIONS_CHANGED):
                events += _about_eswitch(ring)
        for n in dict.fromkeys(returned):
            completion = self._completion(n)
            if completion is not None:
                events.append(completion)
        self._acknowledge([*rings, *pages])
        return events

    def _returned(self, rings: Sequence[HostRing], slots: Sequence[int]) -> list[int]:
        """Return the slots that the device has given back: by their entries, and by completion events."""
        polled = [n for n in slots if self._queue is not None and not self.entry(n)[-1] & 1]
        events = (entry for ring in rings if ring.takes(EventType.COMMAND) for entry in ring.new())
        return polled + [n for entry in events for n in _vector(entry)]

    def _acknowledge(self, rings: Sequence[HostRing]) -> None:
        for ring in {id(r): r for r in rings}.values():
            if ring.eqn in self._rings and ring.unacknowledged and not self._being_destroyed(ring.eqn):
                self._consume(ring)

    def _being_destroyed(self, eqn: int) -> bool:
        """Return whether a DESTROY_EQ of this queue is out: the device may have done it and not answered yet."""
        out = (slot.sent.command for slot in self.slots.values())
        return any(c.opcode == Opcode.DESTROY_EQ and c["eq_number"] == eqn for c in out)

    def _consume(self, ring: HostRing) -> None:
        """Write to the device how far a queue was read, and arm its interrupt."""
        self.mmio.write(ring.uar * _UAR + EQ_DOORBELL_ARM, ring.doorbell())

    def _completion(self, n: int) -> Completion | None:
        """Return the answer in a slot's entry; None where it belongs to no command."""
        raw = self.entry(n).tobytes() if self._queue is not None and n < MOST_SLOTS else None
        e = {} if raw is None else CMDQ_ENTRY.unpack(raw)
        slot = None if raw is None else self._release(n, e)
        if raw is None or slot is None:
            return None
        try:
            answer, why = self._answer(slot, raw, e)
        except LayoutError as x:
            answer, why = None, f"its answer cannot be read: {x}"
        if answer is not None and answer.ok:
            self._follow(slot, answer)
        return Completion(slot.sent.session, slot.sent.id, answer, why)

    def _release(self, n: int, e: dict[str, int]) -> Slot | None:
        """Release and return the command in slot ``n`` whose token is in the entry; None where there is none."""
        if e["ownership"]:
            return None
        for table in (self.slots, self.abandoned):
            slot = table.get(n)
            if slot is not None and slot.token == e["token"]:
                return table.pop(n)
        return None

    def _answer(self, slot: Slot, raw: bytes, e: dict[str, int]) -> tuple[Answer | None, str]:
        """Return the answer in an entry, or None and the reason why it has none."""
        opcode, status = slot.sent.command.opcode, e["delivery_status"]
        if status == Delivery.FW_ERR:
            return None, delivery_words(status)
        if status:
            # the device could not read the command and did not execute it: the same as a refusal
            return Answer(opcode, Status.INTERNAL_ERR, status), delivery_words(status)
        if self.signatures and not (entry_is_signed(raw) and bool(signed(slot.reply).all())):
            return None, "the answer's signature is wrong"
        return answer_in(opcode, raw[32:48], slot.reply, slot.reply_length), ""

    def _follow(self, slot: Slot, answer: Answer) -> None:
        """Follow commands that create or destroy event queues, or switch signatures."""
        c = slot.sent.command
        if c.opcode == Opcode.SET_HCA_CAP and c.op_mod == CapType.GENERAL << 1 and not c["other_function"]:
            self.signatures = bool(read_general(c.data)["cmdif_checksum"])
        elif c.opcode == Opcode.CREATE_EQ:
            ring = HostRing(self.memory, slot.sent.session, answer["eq_number"], c)
            self._rings[ring.eqn] = ring
            self._consume(ring)
        elif c.opcode == Opcode.DESTROY_EQ:
            self._rings.pop(c["eq_number"], None)
        elif c.opcode == Opcode.TEARDOWN_HCA:
            self._rings.clear()


def _vector(entry: bytes) -> list[int]:
    """Return the slots that a completion event names."""
    vector = COMMAND_EQE.unpack(entry)["vector"]
    return [n for n in range(32) if vector >> n & 1]


def _requests(ring: HostRing) -> Iterator[RaisedRequest]:
    """Read the new page requests of a queue; other entries are skipped."""
    for entry in ring.new():
        event = decode_page_request(entry)
        if event is not None:
            yield RaisedRequest(ring.session, ring.eqn, event)


def _about_eswitch(ring: HostRing) -> Iterator[RaisedEswitch]:
    """Read the new events about the e-switch of a queue; other entries are skipped."""
    for entry in ring.new():
        event = decode_eswitch(entry)
        if event is not None:
            yield RaisedEswitch(ring.session, ring.eqn, event)
