"""Putting command dumps of a kernel log together again.

The driver names device, slot, opcode and direction in a headline, and then writes the bytes sixteen to a line, with
their offset, on lines that name no device. A *full* dump is the 64-byte queue entry and then whole mailboxes; a
*data* dump is the message's first 16 bytes and then the data of mailboxes alone. Newer kernels put the slot in front of
each line, older ones only of some, or of none.

How it works. ``Dumps`` keeps the dumps that have begun and are not whole. A line goes to the dump of its slot whose
next offset it has. Where two wait for the same offset, the thread or CPU that printed the line decides, if the kernel
prints it; else the lines are kept until all of the dumps have one, as they may be alike, and if they are not, neither
dump is read. A line of a later offset leaves a hole. The first lines tell how long a dump is: it ends with its last
byte, with ``end dump``, or with the next headline of its slot. A whole dump, or the part that is there, goes to
``CommandPairs``, which makes commands and answers of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from fwpages.custody.findings import Cause
from fwpages.prm.opcodes import opcode_name
from fwpages.prm.queue import ENTRY_SIZE
from fwpages.readers.command_pairs import CommandPairs
from fwpages.readers.dump import MAX_MESSAGE, Dump
from fwpages.readers.dump_lines import BYTES, run_of_lines
from fwpages.readers.observations import MissingInput, Observation, Place

_CALLER = re.compile(r"(?:\[\s*|,caller=)([TC]\d+)\b")

#: devices times slots that can be in the middle of a dump at a time
MAX_OPEN = 256


class Dumps:
    """Takes headlines and lines of a log; returns commands, answers and losses."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._open: list[Dump] = []
        self._pairs = CommandPairs()
        #: whether headlines with a slot, and without one, have been read
        self._headlines: set[bool] = set()
        self._any_line = False
        #: slots whose stray lines have been reported
        self._stray: set[int | None] = set()
        #: where the last whole dump of a slot ended: lines that continue it are more than a reader needs
        self._ended: dict[int | None, int] = {}
        #: lines that several dumps wait for, by slot and offset, as long as they are all alike
        self._alike: dict[tuple[int | None, int], list[bytes]] = {}

    # -- headlines

    def start(self, place: Place, device: str, slot: int | None, caller: str | None) -> Iterator[Observation]:
        """``start dump``: a headline should follow."""
        yield from self._close(device, slot)
        self._ended.pop(slot, None)
        self._headlines.add(slot is not None)
        self._stray.discard(slot)
        if caller is None and any(d.device != device for d in self._open):
            self._pairs.mixed = True
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
        slot = self._same_slot(device, slot)
        last = self._of(device, slot)
        if last is None or last.buf or last.opcode is not None:
            yield from self.start(place, device, slot, caller)
            last = self._open[-1]
        last.opcode, last.out, last.data_only, last.place = opcode, out, data_only, place
        if len(self._open) > MAX_OPEN:
            yield from self._finish(self._open.pop(0))

    def _same_slot(self, device: str, slot: int | None) -> int | None:
        """The slot of a headline; older kernels name it in only one of ``start dump`` and ``dump command``."""
        begun = [d for d in self._open if d.device == device and d.opcode is None and not d.buf]
        if begun and None in (slot, begun[-1].slot):
            slot = begun[-1].slot = slot if begun[-1].slot is None else begun[-1].slot
        return slot

    def end(self, device: str, slot: int | None) -> Iterator[Observation]:
        """``end dump``."""
        if self._of(device, slot) is None:
            other = [d.slot for d in self._open if d.device == device and (slot is None or d.slot is None)]
            slot = other[-1] if other else slot
        yield from self._close(device, slot)

    def finish(self) -> Iterator[Observation]:
        """The input ended."""
        for dump in self._open:
            if dump.buf and dump.opcode is not None:
                yield from self._finish(dump, at_end=True)
        self._open.clear()

    # -- lines

    def run(self, lines: Sequence[bytes], start: int) -> tuple[int, Iterable[Observation]]:
        """Add the lines from ``start`` on that plainly continue the only dump under way.

        Returns how many there were, and the observations where the dump is whole with them.
        """
        if len(self._open) != 1:
            return 0, ()
        dump = self._open[0]
        headed = dump.opcode is not None and dump.data_only is False and not dump.holes
        total = dump.total or (ENTRY_SIZE if headed else 0)
        most = (total - len(dump.buf)) // BYTES
        if most <= 0:
            return 0, ()
        data = run_of_lines(lines, start, dump.slot, len(dump.buf), most)
        dump.buf += data
        if dump.total is None and len(dump.buf) == ENTRY_SIZE:
            self._any_line = True
            dump.total = dump.size(self._pairs.returned(dump))
        whole = dump.total is not None and len(dump.buf) >= dump.total
        return len(data) // BYTES, self._complete(dump) if whole else ()

    def line(self, number: int, slot: int | None, offset: int, data: bytes, prefix: bytes) -> Iterable[Observation]:
        """Sixteen bytes of some dump; ``number`` and ``prefix`` are those of the line in the file."""
        if len(self._open) == 1:
            # nearly every line of an old kernel's log takes this path
            dump = self._open[0]
            if slot in (dump.slot, None) and len(dump.buf) == offset and dump.total is not None:
                dump.buf += data
                return () if len(dump.buf) < dump.total else self._complete(dump)
        return self._line(Place(self._file, number), slot, offset, data, prefix)

    def _line(self, place: Place, slot: int | None, offset: int, data: bytes, prefix: bytes) -> Iterator[Observation]:
        self._any_line = True
        waiting = self._waiting(slot, offset, prefix)
        if len(waiting) > 1:
            yield from self._several(place, slot, offset, data, waiting)
        elif waiting:
            yield from self._add(waiting[0], offset, data)
        elif not self._beyond_end(slot, offset):
            yield from self._stray_line(place, slot)

    def _waiting(self, slot: int | None, offset: int, prefix: bytes) -> list[Dump]:
        """The dumps that this line can belong to: those that it continues, else those that it leaves a hole in."""
        mine = [d for d in self._open if d.slot == slot] or [d for d in self._open if None in (slot, d.slot)]
        next_there = [d for d in mine if len(d.buf) == offset]
        if not next_there:
            return [d for d in mine if len(d.buf) < offset < (d.total or MAX_MESSAGE)]
        return next_there if len(next_there) == 1 else _of_the_caller(next_there, prefix)

    def _beyond_end(self, slot: int | None, offset: int) -> bool:
        """The line continues a dump that was whole before it."""
        for s in [slot, *(s for s in self._ended if None in (slot, s))]:
            if self._ended.get(s) == offset:
                self._ended[s] += BYTES
                return True
        return False

    def _add(self, dump: Dump, offset: int, data: bytes) -> Iterator[Observation]:
        dump.add(offset, data)
        if dump.total is None:
            dump.total = dump.size(self._pairs.returned(dump))
        if dump.total is not None and len(dump.buf) >= dump.total:
            yield from self._complete(dump)

    def _complete(self, dump: Dump) -> Iterator[Observation]:
        self._open.remove(dump)
        self._ended[dump.slot] = len(dump.buf)
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

    def _stray_line(self, place: Place, slot: int | None) -> Iterator[Observation]:
        if slot not in self._stray and (slot is not None) in self._headlines:
            self._stray.add(slot)
            where = "" if slot is None else f" of slot {slot}"
            yield MissingInput(
                place=place,
                device="",
                cause=self._pairs.gap,
                detail=f"dump lines{where} that no headline announced, or that do not continue the last",
            )

    def _ambiguous(self, place: Place, dumps: Iterable[Dump]) -> Iterator[Observation]:
        for dump in list(dumps):
            self._alike.pop((dump.slot, len(dump.buf)), None)
            self._open.remove(dump)
            self._stray.add(dump.slot)
            name = "a command" if dump.opcode is None else opcode_name(dump.opcode)
            yield MissingInput(
                place=place,
                device=dump.device,
                cause=Cause.LOG_AMBIGUOUS,
                detail=f"two dumps under way at once, and their lines name no device: {name} cannot be told apart",
                opcode=dump.opcode,
                key=self._pairs.blur(dump),
            )

    # -- dumps that are over

    def _of(self, device: str, slot: int | None) -> Dump | None:
        return next((d for d in self._open if d.device == device and d.slot == slot), None)

    def _close(self, device: str, slot: int | None) -> Iterator[Observation]:
        dump = self._of(device, slot)
        if dump is not None:
            self._open.remove(dump)
            yield from self._finish(dump)

    def _finish(self, dump: Dump, *, at_end: bool = False) -> Iterator[Observation]:
        """No line of this dump comes any more; ``at_end``: as the input has ended."""
        if not dump.buf and (dump.opcode is None or not self._any_line):
            return
        dump.data_only = dump.data_only is True
        headless = dump.opcode is None
        if headless and not dump.identify():
            yield self._pairs.lost(dump, "the headline of a dump is missing", None)
        elif not dump.head_whole:
            detail = f"the first lines of a dump of {opcode_name(dump.opcode or 0)} are missing"
            yield self._pairs.lost(dump, detail, dump.inline_command(), at_end=at_end)
        else:
            yield from self._readable(dump, headless=headless, at_end=at_end)

    def _readable(self, dump: Dump, *, headless: bool, at_end: bool) -> Iterator[Observation]:
        """A dump whose first lines are there: a command or an answer."""
        short, name = dump.short(), opcode_name(dump.opcode or 0)
        if headless or short:
            detail = "the headline of a dump is missing" if headless else f"lines of a dump of {name} are missing"
            cause = Cause.LOG_TRUNCATED if at_end and not dump.holes else self._pairs.gap
            yield MissingInput(place=dump.place, device=dump.device, cause=cause, detail=detail, harmless=True)
        if dump.out:
            yield from self._pairs.answer(dump, *dump.message())
        elif not (short and at_end):
            yield from self._pairs.command(dump, *dump.message())


def caller_of(prefix: str) -> str | None:
    """The thread or CPU that printed a line, where the kernel says it (CONFIG_PRINTK_CALLER)."""
    m = _CALLER.search(prefix)
    return m[1] if m else None


def _of_the_caller(dumps: list[Dump], prefix: bytes) -> list[Dump]:
    """Those of the caller that the line's beginning names; all of them where it names none, or none of theirs."""
    caller = caller_of(prefix.decode("utf-8", "replace"))
    return [d for d in dumps if caller is not None and d.caller == caller] or dumps
