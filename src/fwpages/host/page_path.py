"""The page path: page requests in, MANAGE_PAGES commands out, one at a time, functions in turn.

``page_request`` takes an event and sends nothing: a page request that asks for pages waits in its function's queue.
After every input of the host ``control.advance`` calls ``pump``. It takes the function whose turn it is and sends one
command for the first of its requests, cut to what one command carries; the rest of the request goes on at the
function's next turn. So one greedy function does not keep the others waiting. While a command is pending, no other
is sent: the answer to a TAKE names pages, and only one command at a time says without doubt which function has what.
A command that was not answered keeps its slot, and with it the path, until a fence.

A request that the host cannot serve (no memory, a full queue, an absurd count) becomes a CANT_GIVE. It names no count,
and firmware may take it to be about all that it asked for: so it is sent after what the function still waits for.

Firmware may ask for pages at any time, from the boot pages to the last command of a close, and it answers nothing else
until it has them. So the path never waits for the control plane: it reads the session's mode and the published map
from identity to record, and nothing else of it.
"""

from __future__ import annotations

from msgspec.structs import replace

from fwpages.custody.findings import Cause
from fwpages.custody.judgements import more_than_lent, wrong_release
from fwpages.host.page_queue import NO_BLOCKS, Origin, PageOp, Request, pop
from fwpages.host.session import Phase
from fwpages.host.state import HostState
from fwpages.pages.words import many
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity
from fwpages.prm.message import NO_PAGES, Command
from fwpages.prm.opcodes import ManagePages, Opcode


def page_request(h: HostState, event: PageRequestEvent) -> None:
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
    elif more_than_lent(event.num_pages, h.config.bounds):
        h.find(
            Cause.ABSURD_REQUEST,
            who,
            event.num_pages,
            f"firmware asks for {many(event.num_pages)}, more than the {h.config.bounds.memory} that are lent in all; "
            "the host answers CANT_GIVE",
        )
        s.alloc_failed += event.num_pages
        h.path.cannot[who] = None
    elif event.num_pages > 0:
        enqueue(h, who, event.num_pages, Origin.EVENT)
    elif event.num_pages:
        take_back(h, who, -event.num_pages, "a page request")


def take_back(h: HostState, who: Identity, pages: int, what: str) -> None:
    """Firmware wants ``pages`` taken back, by ``what``: the host asks for as many as firmware can have.

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


def enqueue(h: HostState, who: Identity, pages: int, origin: Origin) -> None:
    """Let ``pages`` wait for their turn. A full queue drops them, and CANT_GIVE follows."""
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


def release_all(h: HostState, who: Identity) -> None:
    """Firmware released every page of ``who``: no command follows."""
    s = h.session
    wrong = wrong_release(own=who == s.own, negotiated=s.release_all)
    if wrong is not None:
        why = (
            "release_all for the supplier's own function, which is open"
            if wrong is Cause.RELEASE_ALL_OWN
            else "release_all although the capability release_all_pages was not set"
        )
        h.find(wrong, who, h.records.outstanding(who), why)
        return
    op, unsure = h.path.op, NO_BLOCKS
    if op is not None and op.identity == who:
        h.path.op = replace(op, crossed=True)
        unsure = op.index if op.kind is ManagePages.GIVE else NO_BLOCKS
    h.pool.put(h.ledger.release_all(who, unsure))
    _forget_takes(h, who)


def _forget_takes(h: HostState, who: Identity) -> None:
    """Drop the TAKEs that wait; one whose command is pending keeps its place until its answer."""
    op, waiting, busy = h.path.op, h.path.queues.get(who, ()), 0
    if op is not None and op.identity == who and op.kind is not ManagePages.CANT_GIVE:
        busy = int(not h.flights[op.flight].overdue)  # what was given up has left the queue
    kept = waiting[:busy] + tuple(r for r in waiting[busy:] if r.pages > 0)
    if kept:
        h.path.queues[who] = kept  # its turn stays what it was: a Map for it may be pending
    else:
        h.path.queues.pop(who, None)


def pump(h: HostState) -> None:
    """Send the next page command if none is out: CANT_GIVE first, then the function whose turn it is.

    CANT_GIVE names no count, and firmware may take it to be about all that it asked for: what the function still
    waits for is given before.
    """
    s, path = h.session, h.path
    if s.phase is not Phase.OPEN and (s.mode is None or s.phase is Phase.FENCING or s.cut_off):
        return
    while path.op is None and h.pool.asked is None:
        who = next((w for w in path.cannot if not path.gives(w)), None) if path.cannot else None
        if who is not None:
            del path.cannot[who]
            _send(h, PageOp(h.next_id, ManagePages.CANT_GIVE, who, Origin.EVENT, 0))
        elif not path.queues or not _serve(h, next(iter(path.queues))):
            return


def _serve(h: HostState, who: Identity) -> bool:
    """Send a command for the first request of this function; False while memory has to be mapped first."""
    request = h.path.queues[who][0]
    pages = min(abs(request.pages), h.config.bounds.pages_per_command)
    if request.pages < 0:
        _send(h, PageOp(h.next_id, ManagePages.TAKE, who, request.origin, pages))
        return True
    return _give(h, who, request, pages)


def _give(h: HostState, who: Identity, request: Request, pages: int) -> bool:
    """Offer ``pages``; False while memory has to be mapped first."""
    short = h.pool.shortfall(pages)
    if short:
        if h.pool.space.size + short > h.config.bounds.memory:
            cannot_give(h, f"the bound of {many(h.config.bounds.memory)} lent in all is reached")
            return True
        h.map(short)
        return False
    number = h.records.current.get(who)
    record = h.records.open(who, type_of(h, who)) if number is None else h.records.rows[number]
    index = h.pool.take(pages)
    h.ledger.offer(record, index)
    _send(h, PageOp(h.next_id, ManagePages.GIVE, who, request.origin, pages, record.number, index))
    return True


def type_of(h: HostState, who: Identity) -> FunctionType:
    """The type of a function that the e-switch has not announced: own, by its number, or unknown."""
    return FunctionType.SELF if who == h.session.own else h.config.supplier.type_by_number(who)


def _send(h: HostState, op: PageOp) -> None:
    h.path.op = op
    fields = op.identity.fields
    if op.kind is not ManagePages.CANT_GIVE:
        fields["input_num_entries"] = op.asked
    pas = h.pool.space.address(op.index) if op.index.size else NO_PAGES
    h.send(Command(Opcode.MANAGE_PAGES, op.kind, fields, pas), h.page_slot)


def cannot_give(h: HostState, why: str) -> None:
    """The first request of the function whose turn it is cannot be served: it is dropped, and CANT_GIVE follows."""
    path = h.path
    who = next(iter(path.queues))
    request = pop(path, who)
    h.session.alloc_failed += request.pages
    h.find(Cause.ALLOC_FAILED, who, request.pages, f"{many(request.pages)} cannot be given: {why}")
    if request.origin is Origin.STARTUP:
        h.fail(f"{request.pages} start-up pages cannot be given: {why}")
    else:
        path.cannot[who] = None
