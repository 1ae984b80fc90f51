"""Event queues as they lie in memory: a ring of 64-byte entries with an owner bit, and the doorbell that consumes it.

Source: ``struct mlx5_eqe``, Linux's ``eq.c`` and ``lib/eq.h``. Indices count entries since the queue was made; an entry
of lap ``index >> log_size`` carries that lap's lowest bit as owner, and a fresh ring the bit that no first lap has.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fwpages.prm.event import COMMAND_EQE, EQE_SIZE, EventType
from fwpages.prm.layout import Field, Layout

#: where in a UAR page the consumer index is written: to arm the queue for the next interrupt, or not to
EQ_DOORBELL_ARM = 0x40
EQ_DOORBELL = 0x48
#: owner bit in the last byte of every entry of a queue that was never written
FRESH_OWNER = 1
#: consumer and producer indices are compared in so many bits
INDEX_MASK = 0xFFFFFF

DOORBELL = Layout("eq_doorbell", 4, (Field("eqn", 0, 8), Field("consumer_index", 8, 24)))


def fresh(entries: int) -> npt.NDArray[np.uint8]:
    """The bytes of an empty ring, shape (entries, 64): no entry is the driver's."""
    ring = np.zeros((entries, EQE_SIZE), np.uint8)
    ring[:, -1] = FRESH_OWNER
    return ring


def owner_of(index: int, log_size: int) -> int:
    """The owner bit that the entry with this index is written with."""
    return index >> log_size & 1


def is_new(entry: bytes | memoryview, index: int, log_size: int) -> bool:
    """The entry at its place in the ring is the one with this index: the device has written it."""
    return entry[EQE_SIZE - 1] & 1 == owner_of(index, log_size)


def encode_command_event(slots: int, owner: int = 0) -> bytes:
    """A completion event for these slots, one bit each (``struct mlx5_eqe_cmd``); 64 bytes."""
    return COMMAND_EQE.pack({"type": EventType.COMMAND, "vector": slots, "owner": owner})


def with_owner(entry: bytes, owner: int) -> bytes:
    """The entry with this owner bit."""
    return entry[:-1] + bytes([entry[-1] & 0xFE | owner])


def encode_doorbell(eqn: int, index: int) -> bytes:
    """The four bytes of an EQ doorbell; the index is cut to 24 bits."""
    return DOORBELL.pack({"eqn": eqn, "consumer_index": index & INDEX_MASK})


def decode_doorbell(data: bytes) -> tuple[int, int]:
    """EQ number and consumer index; LayoutError unless there are four bytes."""
    v = DOORBELL.unpack(data)
    return v["eqn"], v["consumer_index"]
