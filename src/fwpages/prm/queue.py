"""How a command lies in memory: the 64-byte queue entry and the chain of 576-byte mailboxes behind it.

Source: ``struct mlx5_cmd_layout`` and ``struct mlx5_cmd_prot_block``. The first 16 bytes of a message lie in the
entry, the rest in the ``data`` of mailboxes, 512 bytes each.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import xor

from fwpages.prm.layout import Field, Layout, LayoutError

ENTRY_SIZE = 64
MAILBOX_SIZE = 576
#: bytes of a message in one mailbox
MAILBOX_DATA = 512
#: bytes of a message in the entry itself
INLINE = 16
#: ``type`` of an entry that carries a command
ENTRY_TYPE = 0x07

CMDQ_ENTRY = Layout(
    "cmdq_entry",
    ENTRY_SIZE,
    (
        Field("type", 0x0, 8),
        Field("input_length", 0x20, 32),
        Field("input_mailbox", 0x40, 64),
        Field("input", 0x80, 128),
        Field("output", 0x100, 128),
        Field("output_mailbox", 0x180, 64),
        Field("output_length", 0x1C0, 32),
        Field("token", 0x1E0, 8),
        Field("signature", 0x1E8, 8),
        Field("delivery_status", 0x1F8, 7),
        Field("ownership", 0x1FF, 1),
    ),
)

#: the 64 bytes of control behind the data
MAILBOX = Layout(
    "cmd_mailbox",
    MAILBOX_SIZE,
    (
        Field("next", 560 * 8, 64),
        Field("block_number", 568 * 8, 32),
        Field("token", 573 * 8, 8),
        Field("ctrl_signature", 574 * 8, 8),
        Field("signature", 575 * 8, 8),
    ),
)


def mailboxes_for(length: int) -> int:
    """How many mailboxes a message of ``length`` bytes needs beside the entry."""
    return -(-max(0, length - INLINE) // MAILBOX_DATA)


def input_message(entry: bytes, blocks: Sequence[bytes]) -> bytes:
    """The command in this entry and its mailboxes; LayoutError where they are too few for its input length."""
    return _message(CMDQ_ENTRY.unpack(entry)["input_length"], entry[16:32], blocks)


def output_message(entry: bytes, blocks: Sequence[bytes]) -> bytes:
    """The answer in this entry and its mailboxes; LayoutError where they are too few for its output length."""
    return _message(CMDQ_ENTRY.unpack(entry)["output_length"], entry[32:48], blocks)


def _message(length: int, inline: bytes, blocks: Sequence[bytes]) -> bytes:
    need = mailboxes_for(length)
    if len(blocks) < need:
        raise LayoutError(f"a message of {length} bytes needs {need} mailboxes, here are {len(blocks)}")
    short = next((i for i, b in enumerate(blocks[:need]) if len(b) < MAILBOX_DATA), None)
    if short is not None:
        raise LayoutError(f"mailbox {short} has {len(blocks[short])} bytes, its data alone takes {MAILBOX_DATA}")
    return b"".join([inline, *(b[:MAILBOX_DATA] for b in blocks[:need])])[:length]


def xor8(buf: bytes | memoryview) -> int:
    """All bytes XORed into one: 0xff over what a right signature is part of."""
    return reduce(xor, buf, 0)


_SIGNATURE = CMDQ_ENTRY.by_name["signature"].bit // 8


def sign_entry(entry: bytes) -> bytes:
    """The 64 bytes with a signature that makes their XOR 0xff, whatever stood there."""
    signature = 0xFF ^ xor8(entry) ^ entry[_SIGNATURE]
    return entry[:_SIGNATURE] + bytes([signature]) + entry[_SIGNATURE + 1 :]


def entry_is_signed(entry: bytes) -> bool:
    """The signature of these 64 bytes is right."""
    return xor8(entry) == 0xFF
