"""One dump of a command, as far as its lines are there."""

from __future__ import annotations

from dataclasses import dataclass, field

from fwpages.prm.opcodes import Opcode
from fwpages.prm.queue import CMDQ_ENTRY, ENTRY_SIZE, ENTRY_TYPE, INLINE, MAILBOX_DATA, MAILBOX_SIZE, mailboxes_for
from fwpages.readers.observations import Holes, Place

#: bytes of the longest message that is believed: 8 bytes for each of a million pages
MAX_MESSAGE = 8 << 20


@dataclass(slots=True, eq=False)
class Dump:
    """One dump being put together. ``out`` and ``opcode`` are None where its headline is missing."""

    place: Place
    device: str
    slot: int | None
    opcode: int | None = None
    out: bool | None = None
    data_only: bool | None = None
    caller: str | None = None
    buf: bytearray = field(default_factory=bytearray)
    holes: list[tuple[int, int]] = field(default_factory=list)
    total: int | None = None

    def add(self, offset: int, data: bytes) -> None:
        """Sixteen bytes at this offset; what was passed over is a hole."""
        if offset > len(self.buf):
            self.holes.append((len(self.buf), offset))
            self.buf.extend(bytes(offset - len(self.buf)))
        self.buf += data
        if self.data_only is None and len(self.buf) == INLINE and not self.holes:
            self.data_only = data[:4] != bytes((ENTRY_TYPE, 0, 0, 0))

    def whole(self, start: int, end: int) -> bool:
        """These bytes of the dump are all there."""
        return end <= len(self.buf) and not any(a < end and start < b for a, b in self.holes)

    def answers(self, entry: dict[str, int]) -> bool:
        """It is the dump of an answer; told by the entry where the headline is missing."""
        return not entry["ownership"] if self.out is None else self.out

    def short(self) -> bool:
        """Lines are missing in it. Older kernels stop a full dump some mailboxes early: that alone is no loss."""
        if self.holes or self.total is None or len(self.buf) >= self.total:
            return bool(self.holes)
        return self.data_only is True or (len(self.buf) - ENTRY_SIZE) % MAILBOX_SIZE != 0

    def cut(self) -> bool:
        """Older kernels (3.11, 4.9) end a full dump early: they count the entry and the mailboxes' heads as part of the
        message's length. All that such a kernel writes is there.
        """
        if self.holes or self.data_only or not self.whole(0, ENTRY_SIZE):
            return False
        entry = CMDQ_ENTRY.unpack(bytes(self.buf[:ENTRY_SIZE]))
        length = entry["output_length" if self.answers(entry) else "input_length"]
        written = -(-max(0, length - ENTRY_SIZE) // MAILBOX_SIZE)
        return len(self.buf) == ENTRY_SIZE + MAILBOX_SIZE * written and written < mailboxes_for(length)

    def message(self) -> tuple[bytes, Holes]:
        """The message in a dump, and which of its bytes are not known."""
        buf = bytes(self.buf)
        if self.data_only:
            end = [(len(buf), self.total)] if self.total is not None and len(buf) < self.total else []
            return buf, (*self.holes, *end)
        entry = CMDQ_ENTRY.unpack(buf[:ENTRY_SIZE])
        length = min(entry["output_length" if self.out else "input_length"], MAX_MESSAGE)
        inline = buf[32:48] if self.out else buf[16:32]
        parts, holes = [inline], []
        for b in range(mailboxes_for(length)):
            at, to = ENTRY_SIZE + MAILBOX_SIZE * b, INLINE + MAILBOX_DATA * b
            data = buf[at : at + MAILBOX_DATA]
            parts.append(data.ljust(MAILBOX_DATA, b"\0"))
            if len(data) < MAILBOX_DATA:
                holes.append((to + len(data), to + MAILBOX_DATA))
            cuts = [(max(a, at), min(z, at + MAILBOX_DATA)) for a, z in self.holes]
            holes += [(to + a - at, to + z - at) for a, z in cuts if a < z]
        return b"".join(parts)[:length], tuple((a, min(z, length)) for a, z in holes if a < length)


def function_of(head: bytes) -> tuple[int | None, bool]:
    """Whom a page command names, from its first bytes."""
    if len(head) < 12 or int.from_bytes(head[:2], "big") != Opcode.MANAGE_PAGES:
        return None, False
    return int.from_bytes(head[10:12], "big"), bool(head[8] & 0x80)
