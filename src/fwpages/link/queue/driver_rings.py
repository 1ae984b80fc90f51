"""The event queues of a driver: rings in its own memory that the device writes and the driver reads."""

from __future__ import annotations

from collections.abc import Iterator

from fwpages.link.memory import Bytes, Memory
from fwpages.pages import PAGE_SHIFT
from fwpages.prm.eq import FRESH_OWNER, encode_doorbell, is_new
from fwpages.prm.event import EQE_SIZE, EventType
from fwpages.prm.message import Command


def _pages(memory: Memory, c: Command) -> list[Bytes]:
    """The pages of the queue that CREATE_EQ describes, in place; at most what its size needs."""
    size = 1 << PAGE_SHIFT + c["log_page_size"]
    return [memory.view(int(pa), min(size, EQE_SIZE << c["log_eq_size"])) for pa in c.pas]


def prepare(memory: Memory, c: Command) -> None:
    """Make the memory of a queue that is about to be created that of an empty ring."""
    for page in _pages(memory, c):
        page[:] = 0
        page.reshape(-1, EQE_SIZE)[:, -1] = FRESH_OWNER


class HostRing:
    """An event queue as the device was told of it; ``index`` counts the entries that were read."""

    def __init__(self, memory: Memory, session: int, eqn: int, c: Command) -> None:
        self.session = session
        self.eqn = eqn
        self.uar = c["uar_page"]
        self.vector = c["intr"]
        self.index = 0
        #: entries were read since the device was last told. An interrupt that brings nothing new is not answered:
        #: whoever read the entry has armed the queue again, and one that cannot be read would interrupt for ever
        self.stirred = False
        self._mask = c["event_bitmask_0"]
        self._log_size = c["log_eq_size"]
        self._pages = _pages(memory, c)
        self._per_page = self._pages[0].size // EQE_SIZE

    def takes(self, kind: EventType) -> bool:
        """Events of this type come here."""
        return bool(self._mask >> kind & 1)

    def new(self) -> Iterator[bytes]:
        """The entries that the device has written and nobody has read; 64 bytes each."""
        while True:
            page, place = divmod(self.index % (1 << self._log_size), self._per_page)
            entry = self._pages[page][place * EQE_SIZE : (place + 1) * EQE_SIZE].tobytes()
            if not is_new(entry, self.index, self._log_size):
                return
            self.index += 1
            self.stirred = True
            yield entry

    def doorbell(self) -> bytes:
        """What to write into the queue's doorbell to say how far it was read."""
        self.stirred = False
        return encode_doorbell(self.eqn, self.index)
