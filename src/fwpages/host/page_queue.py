"""The data of the page path: requests that wait, by function, and the page command that is pending.

Requests and commands are Structs, which are made in a third of a dataclass's time: one of each for a page command.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
import numpy as np
from msgspec.structs import replace

from fwpages.pages.space import Indices
from fwpages.prm.identity import Identity
from fwpages.prm.opcodes import ManagePages

NO_BLOCKS: Indices = np.zeros(0, np.int64)


class Origin(StrEnum):
    """The origin of a request: firmware by event, the start-up, or the close."""

    EVENT = "event"
    STARTUP = "start-up"
    CLOSE = "close"


class Request(msgspec.Struct, frozen=True):
    """Pages to give (positive) or to take back (negative), cut into commands as it is served."""

    pages: int
    origin: Origin


class PageOp(msgspec.Struct, frozen=True, eq=False):
    """The pending MANAGE_PAGES command: its function, the blocks that it names (indices), the count that it asks for.

    ``crossed``: a release_all of the same function came while it was out, so its answer no longer says who has what.
    """

    flight: int
    kind: ManagePages
    identity: Identity
    origin: Origin
    asked: int
    record: int = -1
    index: Indices = msgspec.field(default_factory=lambda: NO_BLOCKS)
    crossed: bool = False


class PagePath:
    """The requests that wait, the pending command, and the functions still owed a CANT_GIVE."""

    __slots__ = ("cannot", "op", "queues")

    def __init__(self) -> None:
        #: requests by function, in the order in which functions take turns
        self.queues: dict[Identity, tuple[Request, ...]] = {}
        #: functions to send CANT_GIVE for, in order; at most one for each
        self.cannot: dict[Identity, None] = {}
        self.op: PageOp | None = None

    @property
    def waiting(self) -> int:
        """Requests that are not finished and have no command out."""
        return sum(map(len, self.queues.values()))

    def gives(self, who: Identity) -> bool:
        """A request for pages of this function waits."""
        return any(r.pages > 0 for r in self.queues.get(who, ()))

    @property
    def idle(self) -> bool:
        """Nothing is out and nothing waits."""
        return self.op is None and not self.queues and not self.cannot

    def copy(self) -> PagePath:
        """A path of its own."""
        new = PagePath()
        new.queues, new.cannot, new.op = dict(self.queues), dict(self.cannot), self.op
        return new


def pop(path: PagePath, who: Identity) -> Request:
    """The first request of ``who``; what else it waits for goes to the end of the turn."""
    first, *rest = path.queues.pop(who)
    if rest:
        path.queues[who] = tuple(rest)
    return first


def served(path: PagePath, who: Identity, pages: int) -> None:
    """So many pages of the first request are done (all of it, where firmware has no more): the next one's turn."""
    first, *rest = path.queues.pop(who)
    left = abs(first.pages) - pages
    if left > 0:
        rest.insert(0, replace(first, pages=left if first.pages > 0 else -left))
    if rest:
        path.queues[who] = tuple(rest)
