"""The consequences of a page command's answer, of its absence, and of a late one: where each page is afterwards.

A GIVE answered OK makes its offered pages held; a refusal makes them free. A TAKE's answer names the pages that come
back: those that are held by the function are free again, the others are refused and reported, and the rest still
counts. A command that is not answered in time makes pages doubtful: of a GIVE those that it names, of a TAKE, which
names none, all of its function's. A late answer settles them: OK makes a GIVE's pages held, a refusal makes them free.

A release_all that comes while a GIVE is pending crosses it: which of the two firmware did first cannot be seen from
outside. So the GIVE's pages are doubtful whatever its answer, and a TAKE that the release crossed may name pages that
are free already without being wrong.
"""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from fwpages.custody.findings import Cause, unanswered
from fwpages.custody.judgements import count_fits, not_returned, wrong_pages
from fwpages.host.page_queue import Origin, PageOp, pop, served
from fwpages.host.session import Flight
from fwpages.host.state import HostState
from fwpages.pages.words import many
from fwpages.prm.identity import Identity
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.prm.status import status_words


def answered(h: HostState, flight: Flight, answer: Answer) -> None:
    """The page command that is out was answered, in time or late."""
    op = h.path.op
    if op is None or op.flight != flight.id:
        raise AssertionError("a page command that is not the one that is out")
    h.path.op = None
    if op.kind is ManagePages.GIVE:
        _gave(h, op, answer, late=flight.overdue)
    elif op.kind is ManagePages.TAKE:
        _took(h, op, answer, late=flight.overdue)
    elif not answer.ok:
        h.find(Cause.COMMAND_REFUSED, op.identity, detail=f"CANT_GIVE: {status_words(answer.status)}")


def _gave(h: HostState, op: PageOp, answer: Answer, *, late: bool) -> None:
    record = h.records.rows[op.record]
    if answer.ok:
        if late:
            if not op.crossed:
                h.ledger.settle(op.index)
        elif op.crossed:
            # neither side did wrong: the GIVE was sent before the host saw the release
            h.ledger.doubt(record, op.index)
            h.find(
                Cause.GIVE_CROSSED_RELEASE,
                op.identity,
                op.asked,
                f"a GIVE of {many(op.asked)} was out when firmware released all of the function's pages: it may or may "
                "not have these",
            )
        else:
            h.ledger.accept(record, op.index)
    else:
        h.pool.put(h.ledger.withdraw(op.index) if late else h.ledger.refuse(record, op.index))
        h.session.give_dropped += op.asked
        h.find(
            Cause.GIVE_REFUSED,
            op.identity,
            op.asked,
            f"GIVE of {many(op.asked)}: {status_words(answer.status)}, syndrome {answer.syndrome:#x}",
        )
    if late:
        return
    if answer.ok:
        served(h.path, op.identity, op.asked)
        return
    # firmware said no: what is left of the request ends with it
    pop(h.path, op.identity)
    if op.origin is Origin.STARTUP:
        h.fail(f"the device refused {op.asked} start-up pages: {status_words(answer.status)}")


def _took(h: HostState, op: PageOp, answer: Answer, *, late: bool) -> None:
    ok, named = answer.ok, op.asked
    if not ok:
        h.session.reclaim_discard += op.asked
        h.find(
            Cause.TAKE_REFUSED,
            op.identity,
            op.asked,
            f"TAKE of {many(op.asked)}: {status_words(answer.status)}, syndrome {answer.syndrome:#x}; they stay held",
        )
        good = 0
    else:
        named = answer["output_num_entries"]
        good = _taken(h, op, answer, named)
    if late:
        if not op.crossed:
            h.ledger.settle(op.index)
        return
    if op.origin is Origin.CLOSE:
        pop(h.path, op.identity)
        reclaimed(h, op.identity, good, refused=not ok)
        return
    missing = not_returned(op.asked, named, crossed=op.crossed)
    if missing:
        h.find(
            Cause.TAKE_SHORT,
            op.identity,
            missing,
            f"firmware wanted pages taken back, and returned {named} upon a TAKE of {many(op.asked)}",
        )
    if good == op.asked:
        served(h.path, op.identity, op.asked)
    else:
        # firmware has no more to return: what is left of the request ends
        pop(h.path, op.identity)


_WRONG = {
    Cause.RETURNED_FOREIGN: "of another function",
    Cause.RETURNED_TWICE: "returned before",
    Cause.RETURNED_NEVER_GIVEN: "never given",
}


def _taken(h: HostState, op: PageOp, answer: Answer, count: int) -> int:
    """Take back what the answer names, ``count`` pages, and is ours to take; returns how many came back."""
    if not count_fits(count, op.asked, answer.pas.size):
        h.find(
            Cause.COUNT_OVER_ASKED,
            op.identity,
            count,
            f"TAKE of {many(op.asked)} answered with a count of {count} and {answer.pas.size} addresses",
        )
        count = min(op.asked, answer.pas.size)
    addresses = answer.pas[:count]
    returned = h.ledger.check_return(op.identity, addresses)
    if returned.refused:
        for cause, pages in wrong_pages(returned, crossed=op.crossed):
            detail = f"TAKE named {many(pages.size)} {_WRONG[cause]}, the first {int(pages[0]):#x}"
            h.find(cause, op.identity, pages.size, f"{detail}; refused, the rest counts")
    h.pool.put(h.ledger.take(returned))
    return int(returned.good.size)


def reclaimed(h: HostState, who: Identity, pages: int, *, refused: bool) -> None:
    """A TAKE of the close is done: progress, or another try a little later."""
    s, b = h.session, h.bounds
    if s.reclaim is None or s.reclaim.identity != who:
        return
    if pages:
        s.reclaim = replace(s.reclaim, progress=h.now + b.reclaim_progress, next_try=h.now)
    elif refused:
        s.reclaim = replace(s.reclaim, progress=h.now)
    else:
        s.reclaim = replace(s.reclaim, next_try=h.now + b.reclaim_retry)


def doubt(h: HostState) -> int | None:
    """Make doubtful what the pending page command names, or could name: its outcome is not known.

    Returns how many pages that is, None where it is about none. The command keeps its slot.
    """
    path = h.path
    op = path.op
    if op is None or h.flights[op.flight].overdue or op.kind is ManagePages.CANT_GIVE:
        return None
    pop(path, op.identity)
    if op.kind is ManagePages.GIVE:
        h.ledger.doubt(h.records.rows[op.record], op.index)
        return op.asked
    index = h.ledger.doubt_held(op.identity)
    path.op = structs.replace(op, index=index)
    return int(index.size)


def overdue(h: HostState, why: str, *, by_link: bool) -> None:
    """The page command that is out was not answered in time, or the link gave it up."""
    op = h.path.op
    if op is None:
        raise AssertionError("no page command is out")
    pages = doubt(h)
    doubtful = "" if pages is None else f" {many(pages)} doubtful,"
    waiting = f"; {h.path.waiting} requests wait behind it" if h.path.waiting else ""
    asked = "" if op.kind is ManagePages.CANT_GIVE else f" of {many(op.asked)}"
    h.find(
        unanswered(Opcode.MANAGE_PAGES, op.kind, by_link=by_link),
        op.identity,
        pages,
        f"{op.kind.name}{asked}: {why};{doubtful} slot {h.page_slot} stays taken{waiting}",
    )
