"""Putting command dumps of a kernel log together again.

The driver names device, slot, opcode and direction in a headline, and then writes the bytes sixteen to a line, with
their offset, on lines that name no device. A *full* dump is the 64-byte queue entry and then whole mailboxes; a
*data* dump is the message's first 16 bytes and then the data of mailboxes alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from fwpages.custody.findings import Cause
from fwpages.prm.commands import CAP_PAGE, form_of
from fwpages.prm.opcodes import ManagePages, Opcode, opcode_name
from fwpages.prm.queue import (
    CMDQ_ENTRY,
    ENTRY_SIZE,
    INLINE,
    MAILBOX_SIZE,
    mailboxes_for,
)
from fwpages.readers.dump import MAX_MESSAGE, Dump, function_of
from fwpages.readers.observations import (
    CommandCompleted,
    CommandSubmitted,
    CommandUnanswered,
    Holes,
    MissingInput,
    Note,
    Observation,
    Place,
)

_CALLER = re.compile(r"(?:\[\s*|,caller=)([TC]\d+)\b")

#: devices times slots that can be in the middle of a dump at a time
MAX_OPEN = 256


@dataclass(frozen=True, slots=True)
class _Sent:
    """A command whose answer has not been seen. ``asked``: bytes of the answer's page list."""

    key: int
    opcode: int
    head: bytes
    slot: int | None
    asked: int = 0


class Dumps:
    """Fed with headlines and lines; hands back commands, answers, and what was lost."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[Dump] = []
        self._sent: dict[str, list[_Sent]] = {}
        self._keys = count(1)
        #: whether headlines with a slot, and without one, have been seen
        self._seen_headline: set[bool] = set()
        self._seen_data = False
        self._stray: set[int | None] = set()
        #: where the last whole dump of a slot ended: what follows on it is more than anybody needs
        self._done: dict[int | None, int] = {}
        #: commands whose INPUT dump could not be told apart
        self._blurred: set[tuple[str, int | None, int]] = set()
        #: lines that several dumps wait for, by slot and offset, as long as they are all alike
        self._alike: dict[tuple[int | None, int], list[bytes]] = {}
        self._begun: set[str] = set()
        #: dumps of two devices have been under way at once, and nothing tells their lines apart
        self._mixed = False

    @property
    def _missing(self) -> Cause:
        """What it means that lines do not fit together: they may be another device's rather than missing."""
        return Cause.LOG_AMBIGUOUS if self._mixed else Cause.LOG_LINES_LOST

    def start(self, place: Place, device: str, slot: int | None, caller: str | None) -> Iterator[Observation]:
        """``start dump``: a headline should follow."""
        yield from self._close(device, slot)
        self._done.pop(slot, None)
        self._seen_headline.add(slot is not None)
        self._stray.discard(slot)
        self._mixed = self._mixed or (caller is None and any(d.device != device for d in self._open))
        self._open.append(Dump(place, device, slot, caller=caller))

    def headline(
        self,
        place: Place,
        device: str,
        slot: int | None,
        opcode: int,
        *,
        out: bool,
        data_only: bool,
        caller: str | None,
    ) -> Iterator[Observation]:
        """``dump command X INPUT``, or OUTPUT."""
        begun = [d for d in self._open if d.device == device and d.opcode is None and not d.buf]
        if begun and None in (slot, begun[-1].slot):
            # older kernels name the slot in some of these lines and not in others
            slot = begun[-1].slot = slot if begun[-1].slot is None else begun[-1].slot
        last = self._of(device, slot)
        if last is None or last.buf or last.opcode is not None:
            yield from self.start(place, device, slot, caller)
            last = self._open[-1]
        last.opcode, last.out, last.data_only, last.place = opcode, out, data_only, place
        if len(self._open) > MAX_OPEN:
            yield from self._finish(self._open.pop(0))

    def end(self, device: str, slot: int | None) -> Iterator[Observation]:
        """``end dump``."""
        if self._of(device, slot) is None:
            other = [d.slot for d in self._open if d.device == device and (slot is None or d.slot is None)]
            slot = other[-1] if other else slot
        yield from self._close(device, slot)

    def line(self, number: int, slot: int | None, offset: int, data: bytes, prefix: bytes) -> Iterable[Observation]:
        """Sixteen bytes of some dump; ``number`` and ``prefix`` are those of the line in the file."""
        if len(self._open) == 1:
            # nearly every line of a log comes this way
            dump = self._open[0]
            if slot in (dump.slot, None) and len(dump.buf) == offset and dump.total is not None:
                dump.buf += data
                return () if len(dump.buf) < dump.total else self._complete(dump)
        return self._line(Place(self._file, number), slot, offset, data, prefix)

    def _line(self, place: Place, slot: int | None, offset: int, data: bytes, prefix: bytes) -> Iterator[Observation]:
        self._seen_data = True
        mine = [d for d in self._open if d.slot == slot]
        if not mine:
            mine = [d for d in self._open if slot is None or d.slot is None]
        exact = [d for d in mine if len(d.buf) == offset]
        caller = caller_of(prefix.decode("utf-8", "replace")) if len(exact) > 1 else None
        if caller is not None:
            exact = [d for d in exact if d.caller == caller] or exact
        if not exact:
            exact = [d for d in mine if len(d.buf) < offset < (d.total or MAX_MESSAGE)]
        if len(exact) > 1:
            yield from self._several(place, slot, offset, data, exact)
        elif exact:
            yield from self._add(exact[0], offset, data)
        elif (done := self._ended_at(slot, offset)) is not None:
            self._done[done[0]] += 16
        else:
            yield from self._orphan(place, slot)

    def _ended_at(self, slot: int | None, offset: int) -> tuple[int | None] | None:
        """The slot whose last dump was whole where this line goes on."""
        if self._done.get(slot) == offset:
            return (slot,)
        found = [s for s, end in self._done.items() if end == offset and (slot is None or s is None)]
        return (found[0],) if found else None

    def _add(self, dump: Dump, offset: int, data: bytes) -> Iterator[Observation]:
        dump.add(offset, data)
        if dump.total is None:
            dump.total = self._size(dump)
        if dump.total is not None and len(dump.buf) >= dump.total:
            yield from self._complete(dump)

    def _complete(self, dump: Dump) -> Iterator[Observation]:
        self._open.remove(dump)
        self._done[dump.slot] = len(dump.buf)
        yield from self._finish(dump)

    def _several(
        self, place: Place, slot: int | None, offset: int, data: bytes, dumps: list[Dump]
    ) -> Iterator[Observation]:
        """Several dumps wait for this line. Where each gets one just like it, it does not matter which gets which."""
        waiting = self._alike.setdefault((slot, offset), [])
        waiting.append(data)
        if waiting[0] != data or any(len(d.buf) != offset for d in dumps):
            del self._alike[slot, offset]
            yield from self._ambiguous(place, dumps)
        elif len(waiting) == len(dumps):
            del self._alike[slot, offset]
            for dump in dumps:
                yield from self._add(dump, offset, data)

    def finish(self) -> Iterator[Observation]:
        """The input ended."""
        for dump in self._open:
            if dump.buf and dump.opcode is not None:
                yield from self._finish(dump, at_end=True)
        self._open.clear()

    # -- which dump a line belongs to

    def _of(self, device: str, slot: int | None) -> Dump | None:
        return next((d for d in self._open if d.device == device and d.slot == slot), None)

    def _close(self, device: str, slot: int | None) -> Iterator[Observation]:
        dump = self._of(device, slot)
        if dump is not None:
            self._open.remove(dump)
            yield from self._finish(dump)

    def _orphan(self, place: Place, slot: int | None) -> Iterator[Observation]:
        if slot not in self._stray and (slot is not None) in self._seen_headline:
            self._stray.add(slot)
            where = "" if slot is None else f" of slot {slot}"
            yield MissingInput(
                place=place,
                device="",
                cause=self._missing,
                detail=f"dump lines{where} that no headline announced, or that do not continue the last",
            )

    def _ambiguous(self, place: Place, dumps: Iterable[Dump]) -> Iterator[Observation]:
        for dump in list(dumps):
            self._alike.pop((dump.slot, len(dump.buf)), None)
            self._open.remove(dump)
            self._stray.add(dump.slot)
            if not dump.out and dump.opcode is not None:
                self._blurred.add((dump.device, dump.slot, dump.opcode))
            name = "a command" if dump.opcode is None else opcode_name(dump.opcode)
            yield MissingInput(
                place=place,
                device=dump.device,
                cause=Cause.LOG_AMBIGUOUS,
                detail=f"two dumps under way at once, and their lines name no device: {name} cannot be told apart",
                opcode=dump.opcode,
                key=self._forget(dump),
            )

    def _forget(self, dump: Dump) -> int | None:
        """The command that this dump would have answered is not waited for any longer."""
        if not dump.out or dump.opcode is None:
            return None
        sent = self._take(dump.device, dump.slot, dump.opcode)
        return sent.key if sent else None

    # -- how long it is

    def _size(self, dump: Dump) -> int | None:
        if not dump.data_only:
            if not dump.whole(0, ENTRY_SIZE):
                return None
            entry = CMDQ_ENTRY.unpack(bytes(dump.buf[:ENTRY_SIZE]))
            length = entry["output_length" if dump.answers(entry) else "input_length"]
            return ENTRY_SIZE + MAILBOX_SIZE * mailboxes_for(length) if length <= MAX_MESSAGE else None
        if dump.opcode is None or dump.out is None or not dump.whole(0, INLINE):
            return None
        size = self._data_size(dump)
        return None if size is None else -(-size // 16) * 16

    def _data_size(self, dump: Dump) -> int | None:
        form, head = form_of(dump.opcode or 0), bytes(dump.buf[:INLINE])
        shape = form.reply if dump.out else form.request
        match dump.opcode:
            case Opcode.MANAGE_PAGES if dump.out:
                waiting = self._peek(dump.device, dump.slot, Opcode.MANAGE_PAGES)
                return INLINE + (waiting.asked if waiting else 0)
            case Opcode.MANAGE_PAGES:
                give = head[7] == ManagePages.GIVE
                return INLINE + (min(8 * int.from_bytes(head[12:16], "big"), MAX_MESSAGE) if give else 0)
            case Opcode.QUERY_HCA_CAP if dump.out:
                return INLINE + CAP_PAGE
            case Opcode.SET_HCA_CAP if not dump.out:
                return INLINE + CAP_PAGE
        return None if shape.tail else max(INLINE, shape.fixed.size)

    # -- what it says

    def _finish(self, dump: Dump, *, at_end: bool = False) -> Iterator[Observation]:
        if not dump.buf and (dump.opcode is None or not self._seen_data):
            return
        if dump.data_only is None:
            dump.data_only = False
        lost = "" if dump.opcode is not None else "the headline of a dump is missing"
        if dump.opcode is None:
            if dump.data_only or not dump.whole(0, ENTRY_SIZE):
                yield self._lost(dump, lost, None, self._missing)
                return
            dump.opcode = int.from_bytes(dump.buf[16:18], "big")
            dump.out = not dump.buf[63] & 1
        head_end = INLINE if dump.data_only else ENTRY_SIZE
        if not dump.whole(0, head_end):
            cause = Cause.LOG_TRUNCATED if at_end else self._missing
            inline = None if dump.data_only or not dump.whole(16, 32) else bytes(dump.buf[16:32])
            yield self._lost(
                dump, f"the first lines of a dump of {opcode_name(dump.opcode)} are missing", inline, cause
            )
            return
        message, holes = dump.message()
        short = dump.short()
        if lost or short:
            what = f"lines of a dump of {opcode_name(dump.opcode)} are missing"
            cause = Cause.LOG_TRUNCATED if at_end and not dump.holes else self._missing
            yield MissingInput(place=dump.place, device=dump.device, cause=cause, detail=lost or what, harmless=True)
        if short and at_end and not dump.out:
            return
        yield from self._output(dump, message, holes) if dump.out else self._input(dump, message, holes)

    def _input(self, dump: Dump, message: bytes, holes: Holes) -> Iterator[Observation]:
        opcode = int.from_bytes(message[:2], "big")
        queue = self._sent.setdefault(dump.device, [])
        self._begun.add(dump.device)
        if dump.slot is not None or len(queue) >= MAX_OPEN:
            for old in [s for s in queue if s.slot == dump.slot] or queue[: len(queue) - MAX_OPEN + 1]:
                queue.remove(old)
                yield self._no_answer(dump, old)
        key = next(self._keys)
        asked = 0
        if opcode == Opcode.MANAGE_PAGES and message[7] == ManagePages.TAKE:
            asked = min(8 * int.from_bytes(message[12:16], "big"), MAX_MESSAGE)
        queue.append(_Sent(key, opcode, message[:16], dump.slot, asked))
        where, cut = dump.place, dump.cut()
        yield CommandSubmitted(
            place=where, device=dump.device, key=key, message=message, holes=holes, slot=dump.slot, cut=cut
        )

    def _output(self, dump: Dump, message: bytes, holes: Holes) -> Iterator[Observation]:
        opcode = dump.opcode or 0
        sent = self._take(dump.device, dump.slot, opcode)
        entry = None if dump.data_only else CMDQ_ENTRY.unpack(bytes(dump.buf[:ENTRY_SIZE]))
        inline = None if dump.data_only else bytes(dump.buf[16:32])
        if sent is not None and (sent.opcode != opcode or (inline is not None and sent.head != inline)):
            yield self._no_answer(dump, sent)
            sent = None
        if sent is None and (dump.device, dump.slot, opcode) in self._blurred:
            self._blurred.discard((dump.device, dump.slot, opcode))
            return
        if sent is None:
            if entry is None or inline is None or entry["input_length"] > INLINE:
                detail = f"{opcode_name(opcode)} was answered, but its INPUT is not in the log"
                yield self._lost(dump, detail, inline, self._missing)
                return
            harmless = dump.device not in self._begun
            if not harmless:
                text = f"the INPUT dump of {opcode_name(opcode)} is missing; its OUTPUT dump repeats it"
                yield MissingInput(
                    place=dump.place, device=dump.device, cause=self._missing, detail=text, harmless=True
                )
            sent = _Sent(next(self._keys), opcode, inline, dump.slot)
            command = inline[: entry["input_length"]]
            yield CommandSubmitted(place=dump.place, device=dump.device, key=sent.key, message=command, slot=dump.slot)
        self._begun.add(dump.device)
        if entry is not None and entry["ownership"]:
            yield CommandUnanswered(
                place=dump.place, device=dump.device, key=sent.key, detail="the queue entry is still the device's"
            )
            return
        delivery = entry["delivery_status"] if entry else 0
        yield CommandCompleted(
            place=dump.place,
            device=dump.device,
            key=sent.key,
            message=message,
            holes=holes,
            cut=dump.cut(),
            delivery=delivery,
        )

    # -- which command an answer belongs to

    def _peek(self, device: str, slot: int | None, opcode: int) -> _Sent | None:
        queue = self._sent.get(device, [])
        if slot is not None:
            return next((s for s in queue if s.slot == slot), None)
        return next((s for s in queue if s.opcode == opcode), None)

    def _take(self, device: str, slot: int | None, opcode: int) -> _Sent | None:
        sent = self._peek(device, slot, opcode)
        if sent is not None:
            self._sent[device].remove(sent)
        return sent

    def _no_answer(self, dump: Dump, sent: _Sent) -> MissingInput:
        number, ec = function_of(sent.head)
        return MissingInput(
            place=dump.place,
            device=dump.device,
            cause=self._missing,
            detail=f"the OUTPUT dump of {opcode_name(sent.opcode)} is missing: what was answered is not known",
            opcode=sent.opcode,
            number=number,
            ec=ec,
            key=sent.key,
        )

    def _lost(self, dump: Dump, detail: str, inline: bytes | None, cause: Cause) -> Observation:
        number, ec = function_of(inline) if inline else (None, False)
        key = None
        if dump.out:
            waiting = self._take(dump.device, dump.slot, dump.opcode or 0)
            if waiting is not None:
                key, (number, ec) = waiting.key, function_of(waiting.head)
        if dump.out and dump.device not in self._begun:
            self._begun.add(dump.device)
            return Note(place=dump.place, device=dump.device, text="the log begins in the middle of a command")
        self._begun.add(dump.device)
        return MissingInput(
            place=dump.place,
            device=dump.device,
            cause=cause,
            detail=detail,
            opcode=dump.opcode,
            number=number,
            ec=ec,
            key=key,
            harmless=cause is Cause.LOG_TRUNCATED and not dump.out,
        )


def caller_of(prefix: str) -> str | None:
    """The thread or CPU that printed a line, where the kernel says it (CONFIG_PRINTK_CALLER)."""
    m = _CALLER.search(prefix)
    return m[1] if m else None
