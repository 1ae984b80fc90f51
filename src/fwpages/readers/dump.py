"""One dump of a command, as far as its lines are there."""

from __future__ import annotations

from dataclasses import dataclass, field

from fwpages.prm.commands import CAP_PAGE, form_of
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.prm.queue import CMDQ_ENTRY, ENTRY_SIZE, ENTRY_TYPE, INLINE, MAILBOX_DATA, MAILBOX_SIZE, mailboxes_for
from fwpages.readers.observations import Holes, Place

#: bytes of the longest message that is believed: 8 bytes for each of a million pages
MAX_MESSAGE = 8 << 20


@dataclass(slots=True, eq=False)
class Dump:
    """One dump being put together.

    ``opcode`` and ``out`` (it is an answer's) are None where the headline is missing, ``data_only`` as long as neither
    a headline nor the first line tells a data dump from a full one. ``total`` is its size in bytes, once that is known.
    """

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
    _entry: dict[str, int] | None = None

    def add(self, offset: int, data: bytes) -> None:
        """Sixteen bytes at this offset; bytes that were passed over are a hole."""
        if offset > len(self.buf):
            self.holes.append((len(self.buf), offset))
            self.buf.extend(bytes(offset - len(self.buf)))
        self.buf += data
        if self.data_only is None and len(self.buf) == INLINE and not self.holes:
            self.data_only = data[:4] != bytes((ENTRY_TYPE, 0, 0, 0))

    def whole(self, start: int, end: int) -> bool:
        """These bytes of the dump are all there."""
        return end <= len(self.buf) and not any(a < end and start < b for a, b in self.holes)

    @property
    def head_whole(self) -> bool:
        """The first lines are there: a queue entry, or the message's first 16 bytes in a data dump."""
        return self.whole(0, INLINE if self.data_only else ENTRY_SIZE)

    def entry(self) -> dict[str, int] | None:
        """The queue entry; None in a data dump, or where lines of it are missing."""
        if self._entry is None and not self.data_only and self.whole(0, ENTRY_SIZE):
            self._entry = CMDQ_ENTRY.unpack(bytes(self.buf[:ENTRY_SIZE]))
        return self._entry

    def inline_command(self) -> bytes | None:
        """The first 16 bytes of the command as the queue entry repeats them; None where they are not there."""
        return None if self.data_only or not self.whole(16, 32) else bytes(self.buf[16:32])

    def identify(self) -> bool:
        """Take opcode and direction from the queue entry, as the headline is missing; False where it is not there."""
        entry = self.entry()
        if entry is None:
            return False
        self.opcode, self.out = int.from_bytes(self.buf[16:18], "big"), not entry["ownership"]
        return True

    def _message_length(self, entry: dict[str, int]) -> int:
        """Bytes of the message by the queue entry, which also tells the direction where the headline is missing."""
        out = not entry["ownership"] if self.out is None else self.out
        return entry["output_length" if out else "input_length"]

    # -- how long it is

    def size(self, returned: int) -> int | None:
        """Bytes that the whole dump has; None as long as its first lines do not tell.

        ``returned``: bytes of the page list that the answer to a TAKE has room for.
        """
        if self.data_only:
            if self.opcode is None or self.out is None or not self.whole(0, INLINE):
                return None
            size = self._data_size(returned)
            return None if size is None else -(-size // 16) * 16
        entry = self.entry()
        if entry is None or (length := self._message_length(entry)) > MAX_MESSAGE:
            return None
        return ENTRY_SIZE + MAILBOX_SIZE * mailboxes_for(length)

    def _data_size(self, returned: int) -> int | None:
        match self.opcode, self.out:
            case Opcode.MANAGE_PAGES, True:
                return INLINE + returned
            case Opcode.MANAGE_PAGES, _:
                return INLINE + (page_list(self.buf) if self.buf[7] == ManagePages.GIVE else 0)
            case (Opcode.QUERY_HCA_CAP, True) | (Opcode.SET_HCA_CAP, False):
                return INLINE + CAP_PAGE
        form = form_of(self.opcode or 0)
        shape = form.reply if self.out else form.request
        return None if shape.tail else max(INLINE, shape.fixed.size)

    def short(self) -> bool:
        """Lines are missing in it. Older kernels stop a full dump some mailboxes early: that alone is no loss."""
        if self.holes or self.total is None or len(self.buf) >= self.total:
            return bool(self.holes)
        return self.data_only is True or (len(self.buf) - ENTRY_SIZE) % MAILBOX_SIZE != 0

    def cut(self) -> bool:
        """Older kernels (3.11, 4.9) end a full dump early: they count the entry and the mailboxes' heads as part of the
        message's length. All that such a kernel writes is there.
        """
        entry = None if self.holes else self.entry()
        if entry is None:
            return False
        length = self._message_length(entry)
        written = -(-max(0, length - ENTRY_SIZE) // MAILBOX_SIZE)
        return len(self.buf) == ENTRY_SIZE + MAILBOX_SIZE * written and written < mailboxes_for(length)

    # -- the message in it

    def message(self) -> tuple[bytes, Holes]:
        """The message in a dump whose head is whole, and the ranges of its bytes that are not known."""
        buf, entry = bytes(self.buf), self.entry()
        if self.data_only or entry is None:
            end = [(len(buf), self.total)] if self.total is not None and len(buf) < self.total else []
            return buf, (*self.holes, *end)
        length = min(self._message_length(entry), MAX_MESSAGE)
        parts, holes = [buf[32:48] if self.out else buf[16:32]], []
        for b in range(mailboxes_for(length)):
            part, missing = self._mailbox(buf, b)
            parts.append(part)
            holes += missing
        return b"".join(parts)[:length], tuple((a, min(z, length)) for a, z in holes if a < length)

    def _mailbox(self, buf: bytes, b: int) -> tuple[bytes, list[tuple[int, int]]]:
        """The data of mailbox ``b``, zeros where it is not there, and its holes as ranges of the message."""
        at, to = ENTRY_SIZE + MAILBOX_SIZE * b, INLINE + MAILBOX_DATA * b
        data = buf[at : at + MAILBOX_DATA]
        end = [(to + len(data), to + MAILBOX_DATA)] if len(data) < MAILBOX_DATA else []
        cuts = [(max(a, at), min(z, at + MAILBOX_DATA)) for a, z in self.holes]
        return data.ljust(MAILBOX_DATA, b"\0"), end + [(to + a - at, to + z - at) for a, z in cuts if a < z]


def page_list(head: bytes | bytearray) -> int:
    """Bytes of the page list that a MANAGE_PAGES command of these first bytes counts."""
    return min(8 * int.from_bytes(head[12:16], "big"), MAX_MESSAGE)


def function_of(head: bytes) -> tuple[int | None, bool]:
    """The function that a MANAGE_PAGES command names in its first bytes: number and ec bit, else None and False."""
    if len(head) < 12 or int.from_bytes(head[:2], "big") != Opcode.MANAGE_PAGES:
        return None, False
    return int.from_bytes(head[10:12], "big"), bool(head[8] & 0x80)
