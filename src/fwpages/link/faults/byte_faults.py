"""Faults of bytes: what ``WIRE_FAULTS`` names, done to the memory that a host and a device share.

A command is spoiled after the driver has written it and before the device reads it, an answer and an event as the
device writes them. Everything else on the wire stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fwpages.link.faults.link_faults import LinkFaults
from fwpages.link.memory import Memory
from fwpages.link.queue.driver import BASE, QueueHost, Slot
from fwpages.prm.event import EQE_SIZE
from fwpages.prm.mailbox import column, sign
from fwpages.prm.queue import CMDQ_ENTRY, ENTRY_SIZE, sign_entry

Rows = npt.NDArray[np.uint8]
#: spoils one command in place
Spoil: TypeAlias = Callable[[QueueHost, Slot], None]

_PAGE = 4096


def _entry(change: Callable[[dict[str, int]], dict[str, int]], *, signed: bool = True) -> Spoil:
    """Fields of the entry say something else."""

    def act(driver: QueueHost, slot: Slot) -> None:
        entry = driver.entry(slot.sent.slot)
        raw = entry.tobytes()
        new = CMDQ_ENTRY.patch(raw, change(CMDQ_ENTRY.unpack(raw)))
        entry[:] = np.frombuffer(sign_entry(new) if signed else new, np.uint8)

    return act


def _reserved(driver: QueueHost, slot: Slot) -> None:
    entry = driver.entry(slot.sent.slot)
    raw = bytearray(entry.tobytes())
    raw[62] = 0x80
    entry[:] = np.frombuffer(sign_entry(bytes(raw)), np.uint8)


def _mailboxes(change: Callable[[Rows, int], None], *, output: bool = False) -> Spoil:
    """Control parts of a chain say something else; the function gets the chain and where it starts."""

    def act(driver: QueueHost, slot: Slot) -> None:
        rows = slot.reply if output else slot.request
        change(rows, driver.area(2 * slot.sent.slot + output))
        if driver.signatures and not output:
            sign(rows)

    return act


def _token(rows: Rows, _: int) -> None:
    column(rows, "token")[-1] ^= 0x55


def _order(rows: Rows, _: int) -> None:
    numbers = column(rows, "block_number")
    numbers[0], numbers[1] = 1, 0


def _loop(rows: Rows, start: int) -> None:
    column(rows, "next")[-2] = start


def _short(rows: Rows, _: int) -> None:
    column(rows, "next")[-2] = 0


SPOILS: Mapping[str, Spoil] = MappingProxyType(
    {
        "entry-signature": _entry(lambda e: {"signature": e["signature"] ^ 0x55}, signed=False),
        "entry-type": _entry(lambda _: {"type": 0}),
        "entry-reserved": _reserved,
        "input-length": _entry(lambda _: {"input_length": 0xFFFFFFFF}),
        "output-length": _entry(lambda _: {"output_length": 0}),
        "input-unaligned": _entry(lambda e: {"input_mailbox": e["input_mailbox"] + 16}),
        "output-unaligned": _entry(lambda e: {"output_mailbox": e["output_mailbox"] + 16}),
        "input-unmapped": _entry(lambda e: {"input_mailbox": e["input_mailbox"] + (1 << 60)}),
        "input-token": _mailboxes(_token),
        "output-token": _mailboxes(_token, output=True),
        "input-order": _mailboxes(_order),
        "input-loop": _mailboxes(_loop),
        "input-short": _mailboxes(_short),
        "output-short": _mailboxes(_short, output=True),
    }
)


def spoil(faults: LinkFaults, driver: QueueHost, slot: Slot) -> None:
    """Let the fault that is due at this command strike."""
    name = faults.wire("wire", slot.sent.command)
    if name is not None:
        SPOILS[name](driver, slot)


class SpoiledBus:
    """The device's way to ``memory``, on which entries and events may go wrong as they are written."""

    def __init__(self, memory: Memory, faults: LinkFaults) -> None:
        self._memory = memory
        self._faults = faults
        self.read = memory.read
        self.blocks = memory.blocks

    def write(self, iova: int, data: bytes | bytearray | memoryview) -> None:
        """As ``Bus.write``; a fault may change or swallow what is written."""
        if BASE <= iova < BASE + _PAGE and len(data) == ENTRY_SIZE:
            name = self._faults.wire("return")
            if name == "ownership-kept":
                return
            if name == "answer-token":
                data = CMDQ_ENTRY.patch(bytes(data), {"token": data[60] ^ 0x55})
        elif len(data) == EQE_SIZE and self._faults.wire("event") is not None:
            data = bytes(data[:-1]) + bytes([data[-1] ^ 1])
        self._memory.write(iova, data)
