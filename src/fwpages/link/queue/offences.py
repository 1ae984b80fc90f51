"""The rules that a driver can break below the commands: how it hands them over, and how it consumes events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType

from fwpages.custody.findings import Cause
from fwpages.prm.delivery import Delivery

_ORDER = "a driver that sets up the command queue and enables the interface before it rings"
_ENTRY = "a driver that lays the entry out as the manual has it"
_CHAIN = "a driver that chains mailboxes as the manual has it: 512-byte blocks, in order, with the entry's token"
_LENGTH = "a driver that names the lengths that its command and mailboxes have"


@unique
class WireOffenceName(StrEnum):
    """One rule of the wire that a driver broke; its value is the name. To add one is to add a row."""

    meaning: str
    remedy: str

    def __new__(cls, name: str, meaning: str, remedy: str) -> WireOffenceName:
        """Make a member of its row."""
        new = str.__new__(cls, name)
        new._value_ = name
        new.meaning, new.remedy = meaning, remedy
        return new

    NO_QUEUE = "no-queue", "the driver rang the command doorbell before it said where the command queue is", _ORDER
    INTERFACE_OFF = "interface-off", "the driver rang the command doorbell while the interface was disabled", _ORDER
    SLOT_UNKNOWN = (
        "slot-unknown",
        "the driver rang the command doorbell for a slot that the queue does not have",
        "a driver that uses the slots that the initialization segment offers",
    )
    SLOT_BUSY = (
        "slot-busy",
        "the driver rang the command doorbell for a slot whose command is not answered yet",
        "a driver that keeps a slot until its command is answered",
    )
    NOT_OWNED = (
        "not-owned",
        "the driver rang the command doorbell for an entry that it had not handed over (ownership bit 0)",
        "a driver that sets the ownership bit last, before the doorbell",
    )
    DMA_FAULT = (
        "dma-fault",
        "the driver named memory that the device cannot reach",
        "memory that is mapped for the device for as long as it may use it",
    )
    ENTRY_TYPE = "entry-type", "the driver handed over an entry that is not a command's", _ENTRY
    ENTRY_RESERVED = "entry-reserved", "the driver handed over an entry with reserved bits set", _ENTRY
    BAD_SIGNATURE = (
        "bad-signature",
        "the driver handed over an entry or a mailbox with a wrong signature while signatures are checked",
        "a driver that signs entries and mailboxes, or sets cmdif_checksum to 0",
    )
    BAD_TOKEN = "bad-token", "the driver chained a mailbox with another token than the entry's", _CHAIN
    BAD_BLOCK_NUMBER = "bad-block-number", "the driver chained mailboxes out of their order, or in a loop", _CHAIN
    UNALIGNED_MAILBOX = (
        "unaligned-mailbox",
        "the driver pointed to a mailbox that is not a multiple of 512 bytes",
        _CHAIN,
    )
    BAD_INPUT_LENGTH = (
        "bad-input-length",
        "the driver named an input length that the command or its mailboxes do not have",
        _LENGTH,
    )
    BAD_OUTPUT_LENGTH = (
        "bad-output-length",
        "the driver named an output length that no answer or no mailboxes have",
        _LENGTH,
    )
    EQ_OVERRUN = (
        "eq-overrun",
        "the driver let an event queue run full: its events are lost",
        "a driver that consumes events and rings their doorbell in time, or a larger queue",
    )
    DOORBELL_UNKNOWN = (
        "doorbell-unknown",
        "the driver rang for an event queue that does not exist, or in another UAR than the queue's",
        "a driver that rings in the UAR that the queue was created with, until DESTROY_EQ",
    )
    DOORBELL_INDEX = (
        "doorbell-index",
        "the driver consumed events that were never raised",
        "a driver that counts the events that it consumed",
    )
    REQUEST_UNANSWERED = "request-unanswered", Cause.REQUEST_UNANSWERED.meaning, Cause.REQUEST_UNANSWERED.remedy
    MEMORY_LET_GO = "memory-let-go", Cause.MEMORY_LET_GO.meaning, Cause.MEMORY_LET_GO.remedy
    BAD_ACCESS = (
        "bad-access",
        "the driver accessed a register with a width or direction that it does not have",
        "32-bit accesses at multiples of four, to registers that are there",
    )


_N = WireOffenceName

#: delivery status → the offence that it answers
BY_STATUS: Mapping[Delivery, WireOffenceName] = MappingProxyType(
    {
        Delivery.SIGNAT_ERR: _N.BAD_SIGNATURE,
        Delivery.TOK_ERR: _N.BAD_TOKEN,
        Delivery.BAD_BLK_NUM_ERR: _N.BAD_BLOCK_NUMBER,
        Delivery.OUT_PTR_ALIGN_ERR: _N.UNALIGNED_MAILBOX,
        Delivery.IN_PTR_ALIGN_ERR: _N.UNALIGNED_MAILBOX,
        Delivery.FW_ERR: _N.DMA_FAULT,
        Delivery.IN_LENGTH_ERR: _N.BAD_INPUT_LENGTH,
        Delivery.OUT_LENGTH_ERR: _N.BAD_OUTPUT_LENGTH,
        Delivery.RES_FLD_NOT_CLR_ERR: _N.ENTRY_RESERVED,
        Delivery.CMD_DESCR_ERR: _N.ENTRY_TYPE,
    }
)


@dataclass(frozen=True, slots=True)
class WireOffence:
    """A rule of the wire that the driver broke.

    ``slot`` is the command slot that it was about, ``status`` what its entry was answered with, where it was.
    """

    name: WireOffenceName
    detail: str
    slot: int | None = None
    status: Delivery | None = None
