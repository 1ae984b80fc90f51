"""Mailbox chains on NumPy: rows of bytes, one mailbox each, laid out by ``prm.queue.MAILBOX``. No loop over pages.

Throughout, ``rows`` is a ``uint8`` array of shape (n, s): n mailboxes in the order of the chain, and from each the
first ``s`` >= 576 bytes; or (n, 64) where ``base`` is ``CONTROL``: the 64 bytes behind the data. Slots of a chain lie
``STRIDE`` bytes apart in memory where it is made here; in general anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from fwpages.prm.commands import form_of
from fwpages.prm.delivery import Delivery, DeliveryError
from fwpages.prm.message import (
    NO_PAGES,
    Answer,
    Command,
    PageArray,
    decode_answer,
    encode_answer,
    encode_command,
)
from fwpages.prm.queue import INLINE, MAILBOX, MAILBOX_DATA, MAILBOX_SIZE, mailboxes_for

Rows = npt.NDArray[np.uint8]

#: bytes from one mailbox of a chain to the next, as drivers allocate them
STRIDE = 1024
#: where the control part starts, and how long it is
CONTROL = MAILBOX_DATA
CONTROL_SIZE = MAILBOX_SIZE - MAILBOX_DATA
#: mailbox pointers are multiples of this: their low nine bits are reserved (``cmd_queue_entry``)
ALIGNMENT = 512
#: bytes of the longest message that is read: a MANAGE_PAGES of 2^20 pages
MAX_MESSAGE = INLINE + 8 * (1 << 20)

_PAGES = MAILBOX_DATA // 8


def column(rows: Rows, name: str, base: int = 0) -> npt.NDArray[np.unsignedinteger]:
    """One field of every mailbox: a view of shape (n,), big-endian unsigned; writing it writes the rows."""
    f = MAILBOX.by_name[name]
    start, size = f.bit // 8 - base, f.width // 8
    whole: npt.NDArray[np.unsignedinteger] = rows[:, start : start + size].view(f">u{size}")[:, 0]
    return whole


def chain(rows: Rows, addresses: npt.NDArray[np.uint64], token: int) -> None:
    """Write the control parts of a chain that lies at ``addresses``, shape (n,); signatures are left at 0."""
    rows[:, CONTROL:MAILBOX_SIZE] = 0
    column(rows, "next")[:-1] = addresses[1:]
    column(rows, "block_number")[:] = np.arange(len(rows))
    column(rows, "token")[:] = token


def evenly(first: int, count: int) -> npt.NDArray[np.uint64]:
    """``count`` addresses from ``first``, ``STRIDE`` apart; shape (count,), uint64."""
    return np.uint64(first) + np.arange(count, dtype=np.uint64) * np.uint64(STRIDE)


# -- signatures -------------------------------------------------------------------------------------------------------


def _xor(rows: Rows, start: int, end: int) -> npt.NDArray[np.uint8]:
    """XOR of bytes ``start`` to ``end`` (multiples of 8) of each row, shape (n,)."""
    words = np.bitwise_xor.reduce(rows[:, start:end].view(np.uint64), axis=1)
    folded: npt.NDArray[np.uint8] = np.bitwise_xor.reduce(words.view(np.uint8).reshape(-1, 8), axis=1)
    return folded


def sign(rows: Rows) -> None:
    """Write both signatures of every mailbox: XOR over the control part and over the whole makes 0xff."""
    rows[:, MAILBOX_SIZE - 2 : MAILBOX_SIZE] = 0
    control = _xor(rows, CONTROL, MAILBOX_SIZE)
    # the control signature covers all before the last byte, the other one all
    column(rows, "ctrl_signature")[:] = ~control
    column(rows, "signature")[:] = _xor(rows, 0, CONTROL)


def signed(rows: Rows) -> npt.NDArray[np.bool_]:
    """True for each mailbox whose two signatures are right, shape (n,)."""
    control = _xor(rows, CONTROL, MAILBOX_SIZE)
    without_last = control ^ rows[:, MAILBOX_SIZE - 1]
    good: npt.NDArray[np.bool_] = (without_last == 0xFF) & (control ^ _xor(rows, 0, CONTROL) == 0xFF)
    return good


def check(control: Rows, start: int, token: int) -> None:
    """The control parts of mailboxes ``start`` and on, shape (n, 64), belong to one command.

    DeliveryError names the first that does not: of another token, or out of its place in the chain.
    """
    numbers = column(control, "block_number", CONTROL)
    wrong = np.flatnonzero(numbers != np.arange(start, start + len(control)))
    if wrong.size:
        n = int(wrong[0])
        raise DeliveryError(
            Delivery.BAD_BLK_NUM_ERR, f"mailbox {start + n} of the chain says that it is number {int(numbers[n])}"
        )
    tokens = column(control, "token", CONTROL)
    wrong = np.flatnonzero(tokens != token)
    if wrong.size:
        n = int(wrong[0])
        raise DeliveryError(Delivery.TOK_ERR, f"mailbox {start + n} has token {int(tokens[n])}, the entry {token}")


# -- messages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """A command or an answer taken apart: 16 bytes for the entry, and what goes into mailboxes.

    ``pas`` (where it has some) or ``rest`` follow the first 16 bytes; ``length`` is that of the whole.
    """

    inline: bytes
    rest: bytes
    pas: PageArray
    length: int

    @property
    def mailboxes(self) -> int:
        """How many mailboxes it takes."""
        return mailboxes_for(self.length)


def of_command(c: Command) -> Message:
    """The command as it is put into an entry and mailboxes. LayoutError where it does not fit its layout."""
    shape = form_of(c.opcode).request
    if c.pas.size and not c.data and shape.tail == "pas" and shape.fixed.size == INLINE:
        return Message(encode_command(replace(c, pas=NO_PAGES)), b"", c.pas, INLINE + 8 * c.pas.size)
    whole = encode_command(c)
    return Message(whole[:INLINE].ljust(INLINE, b"\0"), whole[INLINE:], NO_PAGES, len(whole))


def of_answer(a: Answer, length: int) -> Message:
    """The answer cut or padded with zeros to the ``length`` bytes that were set aside for it."""
    shape = form_of(a.opcode).reply
    if a.pas.size and not a.data and shape.tail == "pas" and shape.fixed.size == INLINE <= length:
        head = encode_answer(replace(a, pas=NO_PAGES))
        return Message(head, b"", a.pas[: (length - INLINE) // 8], length)
    whole = encode_answer(a)[:length].ljust(length, b"\0")
    return Message(whole[:INLINE].ljust(INLINE, b"\0"), whole[INLINE:], NO_PAGES, length)


def put(rows: Rows, m: Message) -> None:
    """Write what of the message goes into mailboxes into the data of ``rows``, and zeros behind it.

    ``rows`` has ``m.mailboxes`` rows or more, of 512 bytes or more each.
    """
    if m.pas.size:
        words = rows[: m.mailboxes, :MAILBOX_DATA].view(">u8")
        full, left = divmod(m.pas.size, _PAGES)
        words[:full] = m.pas[: full * _PAGES].reshape(full, _PAGES)
        if full < m.mailboxes:
            words[full, :left] = m.pas[full * _PAGES :]
            words[full, left:] = 0
            words[full + 1 :] = 0
        return
    raw = np.frombuffer(m.rest, np.uint8)
    full, left = divmod(raw.size, MAILBOX_DATA)
    rows[:full, :MAILBOX_DATA] = raw[: full * MAILBOX_DATA].reshape(full, MAILBOX_DATA)
    if left:
        rows[full, :left] = raw[full * MAILBOX_DATA :]
        rows[full, left:MAILBOX_DATA] = 0


def answer_in(opcode: int, inline: bytes, rows: Rows, length: int) -> Answer:
    """The answer to ``opcode`` of ``length`` bytes in an entry's output and the rows behind it.

    LayoutError where that is too short for its fields.
    """
    shape = form_of(opcode).reply
    if shape.tail == "pas" and shape.fixed.size == INLINE <= length:
        pas = rows[:, :MAILBOX_DATA].view(">u8").astype(np.uint64).reshape(-1)[: (length - INLINE) // 8]
        return replace(decode_answer(opcode, inline), pas=pas)
    body = np.ascontiguousarray(rows[:, :MAILBOX_DATA]).tobytes()
    return decode_answer(opcode, (inline + body)[:length])
