"""Commands and answers from their dumps: which command an answer belongs to, and which has none in the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from fwpages.custody.findings import Cause
from fwpages.prm.opcodes import ManagePages, Opcode, opcode_name
from fwpages.prm.queue import INLINE
from fwpages.readers.dump import Dump, function_of, page_list
from fwpages.readers.observations import (
    CommandCompleted,
    CommandSubmitted,
    CommandUnanswered,
    Holes,
    MissingInput,
    Note,
    Observation,
)

_TAKE = bytes((ManagePages.TAKE,))
#: commands of a device whose answer may still come
MAX_WAITING = 256


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A command whose answer's dump has not been read. ``returned``: bytes of the page list that it has room for."""

    key: int
    opcode: int
    head: bytes
    slot: int | None
    returned: int = 0

    def answered_by(self, opcode: int, inline: bytes | None) -> bool:
        """The answer repeats this command, as far as its dump tells."""
        return self.opcode == opcode and inline in (None, self.head)


class CommandPairs:
    """The commands of each device and slot; takes dumps and returns observations.

    ``mixed``: dumps of two devices were under way at once, and nothing tells their lines apart.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, list[_Waiting]] = {}
        self._keys = count(1)
        #: devices of which some dump has been read
        self._begun: set[str] = set()
        #: commands whose INPUT dump could not be distinguished from another's
        self._blurred: set[tuple[str, int | None, int]] = set()
        self.mixed = False

    @property
    def gap(self) -> Cause:
        """The finding where lines do not fit together: missing, or those of another device."""
        return Cause.LOG_AMBIGUOUS if self.mixed else Cause.LOG_LINES_LOST

    def returned(self, dump: Dump) -> int:
        """Bytes of the page list that the answer to the TAKE in this slot has room for."""
        waiting = self._peek(dump.device, dump.slot, Opcode.MANAGE_PAGES)
        return waiting.returned if waiting else 0

    def command(self, dump: Dump, message: bytes, holes: Holes) -> Iterator[Observation]:
        """An INPUT dump: a command, whose slot's last command then got no answer that is in the log."""
        queue = self._waiting.setdefault(dump.device, [])
        self._begun.add(dump.device)
        if dump.slot is not None or len(queue) >= MAX_WAITING:
            for old in [w for w in queue if w.slot == dump.slot] or queue[: len(queue) - MAX_WAITING + 1]:
                queue.remove(old)
                yield self._no_answer(dump, old)
        opcode = int.from_bytes(message[:2], "big")
        take = opcode == Opcode.MANAGE_PAGES and message[7:8] == _TAKE
        new = _Waiting(next(self._keys), opcode, message[:16], dump.slot, page_list(message) if take else 0)
        queue.append(new)
        yield CommandSubmitted(
            place=dump.place,
            device=dump.device,
            key=new.key,
            message=message,
            holes=holes,
            slot=dump.slot,
            cut=dump.cut(),
        )

    def answer(self, dump: Dump, message: bytes, holes: Holes) -> Iterator[Observation]:
        """An OUTPUT dump: an answer, or what lies in the buffer of a command that has none."""
        opcode, inline = dump.opcode or 0, dump.inline_command()
        sent = self._take(dump.device, dump.slot, opcode)
        if sent is not None and not sent.answered_by(opcode, inline):
            yield self._no_answer(dump, sent)
            sent = None
        if sent is not None:
            yield self._answered(dump, sent.key, message, holes)
        elif (dump.device, dump.slot, opcode) in self._blurred:
            self._blurred.discard((dump.device, dump.slot, opcode))
        else:
            yield from self._answer_alone(dump, inline, message, holes)

    def _answered(self, dump: Dump, key: int, message: bytes, holes: Holes) -> Observation:
        self._begun.add(dump.device)
        entry, place, device = dump.entry(), dump.place, dump.device
        if entry is not None and entry["ownership"]:
            detail = "the queue entry is still the device's"
            return CommandUnanswered(place=place, device=device, key=key, detail=detail)
        delivery = entry["delivery_status"] if entry else 0
        return CommandCompleted(
            place=place, device=device, key=key, message=message, holes=holes, cut=dump.cut(), delivery=delivery
        )

    def _answer_alone(self, dump: Dump, inline: bytes | None, message: bytes, holes: Holes) -> Iterator[Observation]:
        """An answer whose command's dump is not in the log: a queue entry repeats the command, if it is a short one."""
        name, entry = opcode_name(dump.opcode or 0), dump.entry()
        if entry is None or inline is None or entry["input_length"] > INLINE:
            yield self.lost(dump, f"{name} was answered, but its INPUT is not in the log", inline)
            return
        if dump.device in self._begun:
            text = f"the INPUT dump of {name} is missing; its OUTPUT dump repeats it"
            yield MissingInput(place=dump.place, device=dump.device, cause=self.gap, detail=text, harmless=True)
        key, command = next(self._keys), inline[: entry["input_length"]]
        yield CommandSubmitted(place=dump.place, device=dump.device, key=key, message=command, slot=dump.slot)
        yield self._answered(dump, key, message, holes)

    def blur(self, dump: Dump) -> int | None:
        """It cannot be distinguished from another dump: returns the key of the command that it would have answered."""
        if dump.opcode is None:
            return None
        if not dump.out:
            self._blurred.add((dump.device, dump.slot, dump.opcode))
            return None
        sent = self._take(dump.device, dump.slot, dump.opcode)
        return sent.key if sent else None

    def lost(self, dump: Dump, detail: str, inline: bytes | None, *, at_end: bool = False) -> Observation:
        """A dump of which too little is there to be read. ``at_end``: as the log ends before the dump does."""
        number, ec = function_of(inline) if inline else (None, False)
        key = None
        if dump.out:
            waiting = self._take(dump.device, dump.slot, dump.opcode or 0)
            if waiting is not None:
                key, (number, ec) = waiting.key, function_of(waiting.head)
        first = dump.device not in self._begun
        self._begun.add(dump.device)
        if dump.out and first:
            return Note(place=dump.place, device=dump.device, text="the log begins in the middle of a command")
        return MissingInput(
            place=dump.place,
            device=dump.device,
            cause=Cause.LOG_TRUNCATED if at_end else self.gap,
            detail=detail,
            opcode=dump.opcode,
            number=number,
            ec=ec,
            key=key,
            harmless=at_end and not dump.out,
        )

    def _no_answer(self, dump: Dump, sent: _Waiting) -> MissingInput:
        number, ec = function_of(sent.head)
        return MissingInput(
            place=dump.place,
            device=dump.device,
            cause=self.gap,
            detail=f"the OUTPUT dump of {opcode_name(sent.opcode)} is missing: its answer is not known",
            opcode=sent.opcode,
            number=number,
            ec=ec,
            key=sent.key,
        )

    def _peek(self, device: str, slot: int | None, opcode: int) -> _Waiting | None:
        """The command that an answer on this slot belongs to; kernels that print no slot answer in order."""
        queue = self._waiting.get(device, [])
        if slot is not None:
            return next((w for w in queue if w.slot == slot), None)
        return next((w for w in queue if w.opcode == opcode), None)

    def _take(self, device: str, slot: int | None, opcode: int) -> _Waiting | None:
        waiting = self._peek(device, slot, opcode)
        if waiting is not None:
            self._waiting[device].remove(waiting)
        return waiting
