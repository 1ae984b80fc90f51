"""The faults of bytes by name: what a driver and a device write into the memory that they share is changed.

The class of a row is its trigger. An entry and its mailboxes are changed after the driver has written them and before
the device reads them; a returned entry and an event as the device writes them. Only a link with a command queue has
these faults. To add a fault is to add a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fwpages.custody.findings import FindingName
from fwpages.device.faults import causes
from fwpages.link.faults.link_faults import LinkFault
from fwpages.link.queue.driver import QueueHost, Slot
from fwpages.prm.mailbox import column, of_command, sign
from fwpages.prm.message import Command
from fwpages.prm.queue import CMDQ_ENTRY, mailboxes_for, sign_entry

Rows = npt.NDArray[np.uint8]
#: changes one written command in place
Spoil: TypeAlias = Callable[[QueueHost, Slot], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFault(LinkFault):
    """A fault of a command as the driver has written it: its entry or its mailboxes are changed."""

    spoil: Spoil


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnedEntryFault(LinkFault):
    """A fault of an entry that the device gives back, 64 bytes; None: it is not written."""

    change: Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEntryFault(LinkFault):
    """A fault of an event queue entry that the device writes, 64 bytes."""

    change: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptFault(LinkFault):
    """An interrupt is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorbellFault(LinkFault):
    """A write to an event queue's doorbell is lost."""


def _entry(change: Callable[[dict[str, int]], dict[str, int]], *, signed: bool = True) -> Spoil:
    """Change fields of the entry; with ``signed`` its signature is made right again."""

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
    """Change control parts of a chain; ``change`` gets the mailboxes, shape (n, 1024), and the address of the first."""

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


def _input(least: int) -> Callable[[Command], bool]:
    return lambda c: of_command(c).mailboxes >= least


def _output(least: int) -> Callable[[Command], bool]:
    return lambda c: mailboxes_for(c.reply_length) >= least


def _refused(words: str, spoil: Spoil, match: Callable[[Command], bool] = lambda _: True) -> EntryFault:
    """Make a fault because of which the device cannot read the command: it refuses it with a delivery status."""
    named = (
        FindingName.COMMAND_REFUSED,
        FindingName.GIVE_REFUSED,
        FindingName.TAKE_REFUSED,
        FindingName.TEARDOWN_REFUSED,
    )
    return EntryFault(words=words, spoil=spoil, match=match, findings=named, offences=causes.REFUSED)


_UNANSWERED = (FindingName.COMMAND_UNANSWERED, FindingName.GIVE_UNANSWERED, FindingName.TAKE_UNANSWERED)

BYTE_FAULTS: Mapping[str, LinkFault] = MappingProxyType(
    {
        "entry-signature": EntryFault(
            words="an entry's signature is wrong, which is looked at while asked for",
            spoil=_entry(lambda e: {"signature": e["signature"] ^ 0x55}, signed=False),
        ),
        "entry-type": _refused("an entry says that it is no command", _entry(lambda _: {"type": 0})),
        "entry-reserved": _refused("an entry has reserved bits set", _reserved),
        "input-length": _refused(
            "an entry says that its input has 4 GiB", _entry(lambda _: {"input_length": 0xFFFFFFFF})
        ),
        "output-length": _refused(
            "an entry says that there is no room for an answer", _entry(lambda _: {"output_length": 0})
        ),
        "input-unaligned": _refused(
            "input mailboxes are not aligned",
            _entry(lambda e: {"input_mailbox": e["input_mailbox"] + 16}),
            _input(1),
        ),
        "output-unaligned": _refused(
            "output mailboxes are not aligned",
            _entry(lambda e: {"output_mailbox": e["output_mailbox"] + 16}),
            _output(1),
        ),
        "input-unmapped": EntryFault(
            words="input mailboxes are not mapped",
            spoil=_entry(lambda e: {"input_mailbox": e["input_mailbox"] + (1 << 60)}),
            match=_input(1),
            findings=_UNANSWERED,
        ),
        "input-token": _refused("an input mailbox has another command's token", _mailboxes(_token), _input(1)),
        "output-token": _refused(
            "an output mailbox has another command's token", _mailboxes(_token, output=True), _output(1)
        ),
        "input-order": _refused("two input mailboxes have each other's numbers", _mailboxes(_order), _input(2)),
        "input-loop": _refused("the input mailboxes lead back to the first", _mailboxes(_loop), _input(2)),
        "input-short": _refused("the input mailboxes are too few", _mailboxes(_short), _input(2)),
        "output-short": _refused("the output mailboxes are too few", _mailboxes(_short, output=True), _output(2)),
        "ownership-kept": ReturnedEntryFault(
            words="an entry is never given back",
            change=lambda _: None,
            findings=_UNANSWERED,
            offences=causes.SWITCHED,
        ),
        "answer-token": ReturnedEntryFault(
            words="an entry comes back as that of another command",
            change=lambda entry: CMDQ_ENTRY.patch(entry, {"token": entry[60] ^ 0x55}),
            findings=_UNANSWERED,
            offences=causes.SWITCHED,
        ),
        "event-owner": EventEntryFault(
            words="an event has the wrong owner bit: nor are later ones seen",
            change=lambda entry: entry[:-1] + bytes([entry[-1] ^ 1]),
        ),
        "interrupt-lost": InterruptFault(words="an interrupt is lost"),
        "doorbell-lost": DoorbellFault(words="the device does not learn that events were read, nor to interrupt again"),
    }
)
