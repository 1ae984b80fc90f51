"""The event queues of a driver: rings in its own memory that the device writes and the driver reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from fwpages.link.memory import Bytes
from fwpages.pages import PAGE_SHIFT
from fwpages.prm.eq import FRESH_OWNER, encode_doorbell, is_new
from fwpages.prm.event import EQE_SIZE, EventType
from fwpages.prm.message import Command


class Viewed(Protocol):
    """Memory by I/O addresses, of which a driver sees bytes in place."""

    def view(self, iova: int, length: int) -> Bytes:
        """Return these bytes in place, shape (length,), writable."""


def _pages(memory: Viewed, c: Command) -> list[Bytes]:
    """Return the pages of the queue that CREATE_EQ describes, in place; each at most as large as the queue."""
    size = 1 << PAGE_SHIFT + c["log_page_size"]
    return [memory.view(int(pa), min(size, EQE_SIZE << c["log_eq_size"])) for pa in c.pas]


def prepare(memory: Viewed, c: Command) -> None:
    """Write an empty ring into the memory of a queue that is about to be created."""
    for page in _pages(memory, c):
        page[:] = 0
        page.reshape(-1, EQE_SIZE)[:, -1] = FRESH_OWNER


class HostRing:
    """An event queue as CREATE_EQ described it; ``index`` counts the entries that were read."""

    def __init__(self, memory: Viewed, session: int, eqn: int, c: Command) -> None:
        self.session = session
        self.eqn = eqn
        self.uar = c["uar_page"]
        self.vector = c["intr"]
        self.index = 0
        #: entries were read since the last doorbell. Without new entries the queue is not armed again: it is armed
        #: since the last doorbell, and an entry that cannot be read would interrupt endlessly
        self.unacknowledged = False
        self._mask = c["event_bitmask_0"]
        self._log_size = c["log_eq_size"]
        self._pages = _pages(memory, c)
        self._per_page = self._pages[0].size // EQE_SIZE

    def takes(self, kind: EventType) -> bool:
        """Return whether events of this type come here."""
        return bool(self._mask >> kind & 1)

    def new(self) -> Iterator[bytes]:
        """Read the new entries, 64 bytes each."""
        while True:
            page, place = divmod(self.index % (1 << self._log_size), self._per_page)
            entry = self._pages[page][place * EQE_SIZE : (place + 1) * EQE_SIZE].tobytes()
            if not is_new(entry, self.index, self._log_size):
                return
            self.index += 1
            self.unacknowledged = True
            yield entry

    def doorbell(self) -> bytes:
        """Return the doorbell value for the entries read so far."""
        self.unacknowledged = False
        return encode_doorbell(self.eqn, self.index)
