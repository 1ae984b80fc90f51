"""What a driver can do wrong below the commands: how it hands them over, and how it consumes events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fwpages.prm.delivery import Delivery

#: name of each offence → what the driver did
WIRE_OFFENCES: Mapping[str, str] = MappingProxyType(
    {
        "no-queue": "rang the command doorbell before it said where the command queue is",
        "interface-off": "rang the command doorbell while the interface was disabled",
        "slot-unknown": "rang the command doorbell for a slot that the queue does not have",
        "slot-busy": "rang the command doorbell for a slot whose command is not answered yet",
        "not-owned": "rang the command doorbell for an entry that it had not handed over (ownership bit 0)",
        "dma-fault": "named memory that the device cannot reach",
        "entry-type": "handed over an entry that is not a command's",
        "entry-reserved": "handed over an entry with reserved bits set",
        "bad-signature": "handed over an entry or a mailbox with a wrong signature while signatures are checked",
        "bad-token": "chained a mailbox with another token than the entry's",
        "bad-block-number": "chained mailboxes out of their order, or in a loop",
        "unaligned-mailbox": "pointed to a mailbox that is not a multiple of 512 bytes",
        "bad-input-length": "named an input length that the command or its mailboxes do not have",
        "bad-output-length": "named an output length that no answer or no mailboxes have",
        "eq-overrun": "let an event queue run full: its events are lost",
        "doorbell-unknown": "rang for an event queue that does not exist, or in another UAR than the queue's",
        "doorbell-index": "consumed events that were never raised",
        "bad-access": "accessed a register in a way that it does not have",
    }
)

#: delivery status → the offence that it answers
BY_STATUS: Mapping[Delivery, str] = MappingProxyType(
    {
        Delivery.SIGNAT_ERR: "bad-signature",
        Delivery.TOK_ERR: "bad-token",
        Delivery.BAD_BLK_NUM_ERR: "bad-block-number",
        Delivery.OUT_PTR_ALIGN_ERR: "unaligned-mailbox",
        Delivery.IN_PTR_ALIGN_ERR: "unaligned-mailbox",
        Delivery.FW_ERR: "dma-fault",
        Delivery.IN_LENGTH_ERR: "bad-input-length",
        Delivery.OUT_LENGTH_ERR: "bad-output-length",
        Delivery.RES_FLD_NOT_CLR_ERR: "entry-reserved",
        Delivery.CMD_DESCR_ERR: "entry-type",
    }
)


@dataclass(frozen=True, slots=True)
class WireOffence:
    """A rule of the wire that the driver broke; ``name`` is one of ``WIRE_OFFENCES``.

    ``slot`` is the command slot that it was about, ``status`` what its entry was answered with, where it was.
    """

    name: str
    detail: str
    slot: int | None = None
    status: Delivery | None = None
