"""The page path: page requests in, MANAGE_PAGES commands out, one at a time, functions in turn. It waits for nobody.

It reads the session's mode and the published records, and nothing else of the control plane.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from fwpages.custody.findings import Cause
from fwpages.host.session import Phase
from fwpages.pages.space import Indices
from fwpages.pages.words import many
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity
from fwpages.prm.message import Command
from fwpages.prm.opcodes import PAGE_SLOT, ManagePages, Opcode

if TYPE_CHECKING:
    from fwpages.host.host import Host

_NONE: Indices = np.zeros(0, np.int64)


class Origin(StrEnum):
    """Who asked: firmware by event, the start-up, or the close."""

    EVENT = "event"
    STARTUP = "start-up"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Request:
    """Pages to give (positive) or to take back (negative), cut into commands as it is served."""

    pages: int
    origin: Origin


@dataclass(frozen=True, slots=True, eq=False)
class PageOp:
    """The MANAGE_PAGES command that is out: whose, what it names (indices), what it asks.

    ``crossed``: a release_all of the same function came while it was out, so its answer no longer says who has what.
    """

    flight: int
    kind: ManagePages
    identity: Identity
    origin: Origin
    asked: int
    record: int = -1
    index: Indices = field(default_factory=lambda: _NONE)
    crossed: bool = False


class PagePath:
    """What waits, what is out, and whom firmware must be told that nothing comes."""

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


def page_request(h: Host, event: PageRequestEvent) -> None:
    """A page-request event of the open session."""
    s = h.session
    if not s.events or s.mode is None:
        h.find(
            Cause.REQUEST_WITHOUT_EQ,
            detail=f"a page request for function {event.number:#x}, {many(event.num_pages)}, came while no event "
            f"queue for page requests existed (session {s.phase}); it is ignored",
        )
        return
    who = event.function(s.mode)
    if event.release_all:
        release_all(h, who)
    elif event.num_pages > h.config.bounds.memory:
        h.find(
            Cause.ABSURD_REQUEST,
            who,
            event.num_pages,
            f"firmware asks for {many(event.num_pages)}, more than the {h.config.bounds.memory} that are lent in all; "
            "it was told that they cannot be given",
        )
        s.alloc_failed += event.num_pages
        h.path.cannot[who] = None
    elif event.num_pages > 0:
        enqueue(h, who, event.num_pages, Origin.EVENT)
    elif event.num_pages:
        take_back(h, who, -event.num_pages, "a page request")


def take_back(h: Host, who: Identity, pages: int, what: str) -> None:
    """Firmware wants to be rid of ``pages``, says ``what``: as many are asked for as it can have.

    A GIVE that is out counts: firmware may have carried it out, and the request be seen before the answer.
    """
    op, out = h.path.op, h.records.outstanding(who)
    if op is not None and op.kind is ManagePages.GIVE and op.identity == who and not h.flights[op.flight].overdue:
        out += op.asked
    back = min(pages, out)
    if back < pages:
        detail = f"{what} wants {many(pages)} of {who} taken back, {out} are out; {back} are asked for"
        h.find(Cause.ABSURD_TAKE_BACK, who, pages, detail)
    if back:
        enqueue(h, who, -back, Origin.EVENT)


def enqueue(h: Host, who: Identity, pages: int, origin: Origin) -> None:
    """Let ``pages`` wait for their turn. A full queue refuses, and firmware is told."""
    path, bound = h.path, h.config.bounds.queue
    if origin is Origin.EVENT and path.waiting >= bound:
        h.find(
            Cause.REQUEST_DROPPED,
            who,
            abs(pages),
            f"{bound} page requests wait already, no room for one of {many(pages)}",
        )
        if pages > 0:
            h.session.alloc_failed += pages
            path.cannot[who] = None
        return
    path.queues[who] = (*path.queues.get(who, ()), Request(pages, origin))


def release_all(h: Host, who: Identity) -> None:
    """Firmware says that it let go of everything that ``who`` had: no command follows."""
    s = h.session
    if not s.release_all or who == s.own:
        h.find(
            Cause.RELEASE_ALL_OWN if s.release_all else Cause.RELEASE_ALL_NOT_NEGOTIATED,
            who,
            h.records.outstanding(who),
            "release_all for the supplier's own function, which is open"
            if s.release_all
            else "release_all although the capability release_all_pages was not set",
        )
        return
    op, unsure = h.path.op, _NONE
    if op is not None and op.identity == who:
        h.path.op = replace(op, crossed=True)
        unsure = op.index if op.kind is ManagePages.GIVE else _NONE
    h.pool.put(h.ledger.release_all(who, unsure))
    _forget_takes(h, who)


def _forget_takes(h: Host, who: Identity) -> None:
    """Nothing is left for the TAKEs that still wait; one whose command is out keeps its place until it is answered."""
    op, waiting, busy = h.path.op, h.path.queues.get(who, ()), 0
    if op is not None and op.identity == who and op.kind is not ManagePages.CANT_GIVE:
        busy = int(not h.flights[op.flight].overdue)  # what was given up has left the queue
    kept = waiting[:busy] + tuple(r for r in waiting[busy:] if r.pages > 0)
    if kept:
        h.path.queues[who] = kept  # its turn stays what it was: memory may be on the way for it
    else:
        h.path.queues.pop(who, None)


def pump(h: Host) -> None:
    """Send the next page command if none is out: CANT_GIVE first, then the function whose turn it is.

    CANT_GIVE names no count, and firmware may take it to be about all that it asked for: what the function still
    waits for is given before.
    """
    s, path = h.session, h.path
    if s.mode is None or s.phase is Phase.FENCING or s.cut_off:
        return
    while path.op is None and h.pool.asked is None:
        who = next((w for w in path.cannot if not path.gives(w)), None)
        if who is not None:
            del path.cannot[who]
            _send(h, PageOp(h.next_id, ManagePages.CANT_GIVE, who, Origin.EVENT, 0))
        elif path.queues:
            who = next(iter(path.queues))
            request = path.queues[who][0]
            pages = min(abs(request.pages), h.config.bounds.pages_per_command)
            if request.pages < 0:
                _send(h, PageOp(h.next_id, ManagePages.TAKE, who, request.origin, pages))
            elif not _give(h, who, request, pages):
                return
        else:
            return


def _give(h: Host, who: Identity, request: Request, pages: int) -> bool:
    """Offer ``pages``; False while memory has to be mapped first."""
    short = h.pool.shortfall(pages)
    if short:
        if h.pool.space.size + short > h.config.bounds.memory:
            cannot_give(h, f"the bound of {many(h.config.bounds.memory)} lent in all is reached")
            return True
        h.map(short)
        return False
    record = h.records.open(who, type_of(h, who))
    index = h.pool.take(pages)
    h.ledger.offer(record, index)
    _send(h, PageOp(h.next_id, ManagePages.GIVE, who, request.origin, pages, record.number, index))
    return True


def type_of(h: Host, who: Identity) -> FunctionType:
    """What a function is that the e-switch has not announced: itself, what its number tells, or not known."""
    return FunctionType.SELF if who == h.session.own else h.config.supplier.type_by_number(who)


def _send(h: Host, op: PageOp) -> None:
    h.path.op = op
    fields = op.identity.fields
    if op.kind is not ManagePages.CANT_GIVE:
        fields["input_num_entries"] = op.asked
    pas = h.pool.space.address(op.index) if op.index.size else Command(Opcode.MANAGE_PAGES).pas
    h.send(Command(Opcode.MANAGE_PAGES, op.kind, fields, pas), PAGE_SLOT)


def cannot_give(h: Host, why: str) -> None:
    """The first request of the function whose turn it is cannot be served: it is dropped and firmware told."""
    path = h.path
    who = next(iter(path.queues))
    request = pop(path, who)
    h.session.alloc_failed += request.pages
    h.find(Cause.ALLOC_FAILED, who, request.pages, f"{many(request.pages)} cannot be given: {why}")
    if request.origin is Origin.STARTUP:
        h.fail(f"{request.pages} start-up pages cannot be given: {why}")
    else:
        path.cannot[who] = None


def pop(path: PagePath, who: Identity) -> Request:
    """The first request of ``who``; what else it waits for goes to the end of the turn."""
    first, *rest = path.queues.pop(who)
    if rest:
        path.queues[who] = tuple(rest)
    return first


def served(path: PagePath, who: Identity, pages: int) -> None:
    """So many pages of the first request are done (all of it, where firmware has no more): the next one's turn."""
    request = pop(path, who)
    left = abs(request.pages) - pages
    if left > 0:
        rest = replace(request, pages=left if request.pages > 0 else -left)
        path.queues[who] = (rest, *path.queues.get(who, ()))
