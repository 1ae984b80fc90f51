"""The driver's end of the command queue: puts commands where the device looks for them, and reads what comes back.

It knows the device only through BAR 0 (``Mmio``) and the memory that both share. Nothing that the device writes is
believed further than it must be: an answer that cannot be read is no answer, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from fwpages.host import Send
from fwpages.link.memory import Bytes, Memory
from fwpages.link.queue.driver_rings import HostRing, prepare
from fwpages.prm.capability import read_general
from fwpages.prm.delivery import Delivery, delivery_words
from fwpages.prm.eq import EQ_DOORBELL_ARM
from fwpages.prm.event import COMMAND_EQE, EventType, PageRequestEvent, decode_page_request
from fwpages.prm.layout import LayoutError
from fwpages.prm.mailbox import STRIDE, answer_in, chain, evenly, of_command, put, sign, signed
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import CapType, Opcode
from fwpages.prm.queue import CMDQ_ENTRY, ENTRY_SIZE, ENTRY_TYPE, entry_is_signed, mailboxes_for, sign_entry
from fwpages.prm.segment import CMD_IF_REV, read_field, word_at
from fwpages.prm.status import Status

#: where the queue and the mailboxes lie (I/O address), above anything that a host lends
BASE = 1 << 48
#: I/O addresses set aside for one chain: twice what the longest message needs
AREA = 1 << 25
#: slots of a command queue that Linux and this project can drive
MOST_SLOTS = 32
_PAGE = 4096
_UAR = 4096
_ALL_ONES = 0xFFFF


class WireError(RuntimeError):
    """The device's registers cannot be those of a device that is well; says which."""


class Mmio(Protocol):
    """BAR 0 of a device; offsets and lengths in bytes, registers are big-endian words."""

    def read(self, offset: int, length: int) -> bytes:
        """What is there now."""

    def write(self, offset: int, data: bytes) -> None:
        """Write a register."""


@dataclass(frozen=True, slots=True)
class Requested:
    """A page request, on the event queue with this number, made in this session."""

    session: int
    eqn: int
    event: PageRequestEvent


@dataclass(frozen=True, slots=True)
class Came:
    """The device has given a command's entry back. ``answer`` is None where it cannot be made out, ``why`` says so."""

    session: int
    id: int
    answer: Answer | None
    why: str = ""


Seen: TypeAlias = Requested | Came


@dataclass(frozen=True, slots=True)
class Slot:
    """A command that the device has: what was sent, with which token, and the chain that its answer comes in."""

    sent: Send
    token: int
    reply_length: int
    #: completed by event, else its entry has to be looked at
    by_event: bool
    #: mailboxes as they lie in memory, each (n, 1024)
    request: Bytes
    reply: Bytes


class QueueHost:
    """Drives one device through its command queue, within ``memory`` from I/O address ``base`` on.

    ``signatures``: mailboxes are signed, and answers checked, until a SET_HCA_CAP says otherwise, and again in the
    next session (``cmdif_checksum``; Linux starts without); entries are always signed. Answers and events are handed
    out by ``interrupt``, ``poll`` and ``recover``, events before the completions that were seen after them.
    """

    def __init__(self, memory: Memory, mmio: Mmio, *, base: int = BASE, signatures: bool = False) -> None:
        self.memory = memory
        self.mmio = mmio
        self.base = base
        self.signatures = self._at_first = signatures
        self.slots: dict[int, Slot] = {}
        #: commands that a reset cut off: a device that answers them all the same is recognised by their tokens
        self.ghosts: dict[int, Slot] = {}
        #: completions that no command was waiting for
        self.spurious = 0
        self._rings: dict[int, HostRing] = {}
        self._areas: dict[int, int] = {}
        self._queue: Bytes | None = None
        self._token = 0
        self._session = 0
        self._stride = ENTRY_SIZE

    # -- bringing it up -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Tell the device where the queue is. WireError where the segment is not that of a device to be driven."""
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
        """The device was reset: it has no queue, no command and no event queue any more."""
        self.ghosts.update(self.slots)
        self.slots.clear()
        self._rings.clear()
        self._queue = None

    # -- sending ------------------------------------------------------------------------------------------------------

    def submit(self, e: Send) -> Slot:
        """Write a command's entry and mailboxes; ``ring`` then hands it over.

        WireError where the device cannot be driven, ValueError for a slot that is the device's, LayoutError where the
        command does not fit its layout.
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
        """Hand the command in this slot over."""
        self.mmio.write(word_at("command_doorbell_vector"), (1 << slot).to_bytes(4, "big"))

    def entry(self, slot: int) -> Bytes:
        """The 64 bytes of a slot in place."""
        assert self._queue is not None
        return self._queue[slot * self._stride : slot * self._stride + ENTRY_SIZE]

    def area(self, n: int) -> int:
        """Where the chain with this number starts (I/O address): of slot s, 2s for input and 2s + 1 for output."""
        return self.base + (n + 1) * AREA

    def _chain(self, n: int, mailboxes: int) -> Bytes:
        """The mailboxes of a chain with their control parts, in memory that grows as it is needed."""
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
        """A queue for completions is there, and the command does not take it away; TEARDOWN_HCA is its last."""
        ring = self._commands
        if ring is None:
            return False
        return e.command.opcode != Opcode.DESTROY_EQ or e.command["eq_number"] != ring.eqn

    # -- hearing ------------------------------------------------------------------------------------------------------

    def interrupt(self, vector: int) -> list[Seen]:
        """The device has interrupted with this vector: what its event queues have that is new."""
        rings = [r for r in self._rings.values() if r.vector == vector]
        return self._hear(rings, list(self._ghostly()))

    def poll(self) -> list[Seen]:
        """Look at the commands that no event will tell of."""
        looked = [n for n, s in self.slots.items() if not s.by_event or self._commands is None]
        return self._hear([], [*looked, *self._ghostly()])

    def recover(self) -> list[Seen]:
        """Look at everything, as something that was waited for did not come: an event may have been lost."""
        return self._hear(list(self._rings.values()), [*self.slots, *self._ghostly()])

    def _ghostly(self) -> Iterator[int]:
        return (n for n in self.ghosts if n not in self.slots)

    @property
    def _commands(self) -> HostRing | None:
        return next((r for r in self._rings.values() if r.takes(EventType.COMMAND)), None)

    def _hear(self, rings: Sequence[HostRing], slots: Sequence[int]) -> list[Seen]:
        """Completions are looked for first and handed out last: every event that came before them is then there."""
        done = [n for n in slots if self._queue is not None and not self.entry(n)[-1] & 1]
        for ring in rings:
            if ring.takes(EventType.COMMAND):
                done += [n for entry in ring.new() for n in _vector(entry)]
        seen: list[Seen] = []
        pages = [r for r in self._rings.values() if r.takes(EventType.PAGE_REQUEST)]
        for ring in pages if rings or done else []:
            for entry in ring.new():
                event = decode_page_request(entry)
                if event is not None:
                    seen.append(Requested(ring.session, ring.eqn, event))
        for n in dict.fromkeys(done):
            came = self._came(n)
            if came is not None:
                seen.append(came)
        for ring in {id(r): r for r in [*rings, *pages]}.values():
            if ring.eqn in self._rings and ring.stirred:
                self._consume(ring)
        return seen

    def _consume(self, ring: HostRing) -> None:
        """Tell the device how far a queue was read, and to interrupt when there is more."""
        self.mmio.write(ring.uar * _UAR + EQ_DOORBELL_ARM, ring.doorbell())

    def _came(self, n: int) -> Came | None:
        """The answer in a slot's entry; None where nothing was waited for, or what was is still the device's."""
        if self._queue is None or n >= MOST_SLOTS:
            self.spurious += 1
            return None
        raw = self.entry(n).tobytes()
        e = CMDQ_ENTRY.unpack(raw)
        slot, ghost = self.slots.get(n), self.ghosts.get(n)
        if e["ownership"]:
            self.spurious += 1
            return None
        if slot is not None and slot.token == e["token"]:
            del self.slots[n]
        elif ghost is not None and ghost.token == e["token"]:
            slot = self.ghosts.pop(n)
        else:
            self.spurious += 1
            return None
        try:
            answer, why = self._answer(slot, raw, e)
        except LayoutError as x:
            answer, why = None, f"its answer cannot be read: {x}"
        if answer is not None and answer.ok:
            self._follow(slot, answer)
        return Came(slot.sent.session, slot.sent.id, answer, why)

    def _answer(self, slot: Slot, raw: bytes, e: dict[str, int]) -> tuple[Answer | None, str]:
        """What the entry says, or why it says nothing."""
        opcode, status = slot.sent.command.opcode, e["delivery_status"]
        if status == Delivery.FW_ERR:
            return None, delivery_words(status)
        if status:
            # the device could not read the command, so it was not executed: as good as a no
            return Answer(opcode, Status.INTERNAL_ERR, status), delivery_words(status)
        if self.signatures and not (entry_is_signed(raw) and bool(signed(slot.reply).all())):
            return None, "the answer's signature is wrong"
        return answer_in(opcode, raw[32:48], slot.reply, slot.reply_length), ""

    def _follow(self, slot: Slot, answer: Answer) -> None:
        """Event queues come and go with the commands that say so, and signatures."""
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
    """The slots that a completion event names."""
    vector = COMMAND_EQE.unpack(entry)["vector"]
    return [n for n in range(32) if vector >> n & 1]
