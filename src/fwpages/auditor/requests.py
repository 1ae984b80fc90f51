"""Firmware's requests, by event or in answer to a query: pages to give, to take back, or to release all at once.

Each book keeps what firmware wants given to its function and what it wants taken back, request by request. A GIVE
serves the request of just so many pages, else the oldest; a TAKE serves the oldest. A request that is not served is no
finding: a host may still be about to serve it. What is judged is a request that cannot be meant (more than the host
lends in all, more back than is out, release_all that was not negotiated), a TAKE that firmware had asked for and
answers with less, and a GIVE or TAKE of a function of which firmware wants nothing while it wants just so many pages of
one other: the host has mixed up two names, and from there on neither of the two functions can be followed.
"""

from __future__ import annotations

import numpy as np

from fwpages.auditor.books import Book
from fwpages.auditor.evidence import Shown
from fwpages.auditor.findings import Finding, Finds, Found
from fwpages.auditor.identities import doubtful_name
from fwpages.auditor.session import AuditedSession, Close, Link, Pending
from fwpages.auditor.waits import BOUNDS
from fwpages.custody.findings import Cause, FindingName
from fwpages.custody.judgements import more_than_lent, not_returned, wrong_release
from fwpages.pages.words import many
from fwpages.prm.event import EventType, PageRequestEvent
from fwpages.prm.identity import Mode, func_id, vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode
from fwpages.readers.observations import PagesRequested, Place

#: requests of one kind that are remembered for each function
MAX_OWED = 256


def happened(s: AuditedSession, v: PagesRequested) -> Found:
    """A page request came as an event."""
    r = v.request
    s.last = v.place
    s.evidence.show(Shown.SOMETHING)
    if s.closed:
        detail = f"a page request of {many(r.num_pages)} came after the close"
        yield Finding(Cause.STALE_PAGE_REQUEST, v.place, detail=detail)
        return
    if s.reset_asked is not None:
        return  # the reset makes void whatever it says
    if not (yield from _has_queue(s, r, v.place)):
        return
    # in VHCA_ID mode no driver looks at the ec bit, so that a device may set it
    ec = r.ec and s.naming.mode is Mode.FUNC_ID
    s.device_names.add((r.number, ec))
    odd = yield from doubtful_name(s, r.number, ec, v.place)
    book = s.book(r.number, ec) if v.ec_known else _by_number(s, r.number)
    if book is not None:
        yield from _followed(s, v, book, odd=odd)


def _followed(s: AuditedSession, v: PagesRequested, book: Book, *, odd: bool) -> Found:
    """A request of this function that the host follows; ``odd``: its name is wrong, or may be."""
    r = v.request
    if r.release_all:
        s.asked.declined(book)
        if (yield from _may_release(s, book, v.place)) or s.evidence.counts_commands:
            book.released = release(s, book)
        return
    # without the ec bit a number names no function for certain on an ECPF
    sure = v.ec_known or s.naming.mode is Mode.VHCA_ID or s.naming.ecpf is False
    if sure and not odd:
        if v.place.seconds is not None:
            s.asked.raised(v.place.seconds, book, r.num_pages)
        yield from _asked(s, book, r.num_pages, v.place)


def _has_queue(s: AuditedSession, r: PageRequestEvent, place: Place) -> Finds[bool]:
    """False where no event queue could carry the request and the host thus did not follow it."""
    e = s.evidence
    if e.log or not e.judges_pages or _listening(s):
        return True
    if e.numbered or not s.findings.has(FindingName.REQUEST_WITHOUT_EQ):
        detail = f"a page request for function {r.number:#x}, {many(r.num_pages)}: no event queue could carry it"
        yield Finding(Cause.REQUEST_WITHOUT_EQ, place, detail=detail)
    # our own hosts do not follow it; other hosts took notice of it, or it would not be in their traces
    return not e.numbered


def _listening(s: AuditedSession) -> bool:
    """A page request has a queue to come by, or may have one already."""
    if any(s.queues.values()):
        return True
    asked = (p.command for p in (*s.pending.values(), *s.overdue.values()) if p.opcode == Opcode.CREATE_EQ)
    return any(c is None or carries_page_requests(c) for c in asked)


def carries_page_requests(create_eq: Command) -> bool:
    """CREATE_EQ for a queue that page requests come by."""
    return bool(create_eq["event_bitmask_0"] >> EventType.PAGE_REQUEST & 1)


def _by_number(s: AuditedSession, number: int) -> Book | None:
    """The one function with pages that this number can mean, whatever the ec bit; None where there are two."""
    if s.naming.mode is Mode.VHCA_ID:
        return s.books.of(vhca_id(number))
    known = [w for w in s.ledger.records.current if w.number == number and w.mode is Mode.FUNC_ID]
    if len(known) > 1:
        return None
    return s.books.of(known[0] if known else func_id(number))


def _asked(s: AuditedSession, book: Book, pages: int, place: Place) -> Found:
    if more_than_lent(pages, BOUNDS):
        book.absurd = True
        detail = f"firmware asks for {many(pages)}, more than the {BOUNDS.memory} that are lent in all"
        yield Finding(Cause.ABSURD_REQUEST, place, book, pages, detail)
    elif pages < 0:
        yield from _back(s, book, -pages, "a page request", place)
    else:
        want(book, pages)


def want(book: Book, pages: int) -> None:
    """Firmware wants so many pages for this function: asked for, or given and refused."""
    if len(book.wanted) >= MAX_OWED:
        book.muddled = True
    elif pages:
        book.wanted.append(pages)


# -- commands that serve a request


def served_by_give(s: AuditedSession, p: Pending, book: Book) -> Book | None:
    """A GIVE of ``book``'s function: its requests are served. Returns the function that was mixed up with it, if so."""
    if book.wanted:
        _consume(book.wanted, p.asked)
        return None
    return _mixed_up(s, book, [other for other in s.books if other.wanted[:1] == [p.asked]])


def expected_take(s: AuditedSession, p: Pending, book: Book) -> Book | None:
    """A TAKE of ``book``'s function. Returns the function that was mixed up with it, if so."""
    if book.owed:
        return None
    return _mixed_up(s, book, [other for other in s.books if other.owed[:1] == [p.asked]])


def _mixed_up(s: AuditedSession, book: Book, others: list[Book]) -> Book | None:
    """The one other function of which firmware wants just that, where the input is good enough to say so."""
    e = s.evidence
    if book.muddled or len(others) != 1 or not e.judges_pages or e.incomplete or s.close is not Close.NOT_BEGUN:
        return None
    return others[0]


def served(s: AuditedSession, p: Pending, book: Book, named: int, good: int, place: Place) -> Found:
    """A TAKE was answered: it named so many pages, of which ``good`` came back."""
    owed = book.owed
    if not owed or p.asked > owed[0]:
        return
    missing = not_returned(p.asked, named, crossed=p.crossed)
    if missing and not s.evidence.uncounted:
        detail = f"firmware asked to have {many(p.asked)} taken back and returned {named}"
        yield Finding(Cause.TAKE_SHORT, place, book, missing, detail)
    if good != p.asked:
        book.muddled = True
    owed[0] = owed[0] - p.asked if good == p.asked else 0
    if not owed[0]:
        del owed[0]


def cannot_give(p: Pending, book: Book) -> Found:
    """The host says that it gives nothing."""
    del book.wanted[:1]
    if book.absurd:
        book.absurd = False
    else:
        yield Finding(Cause.CANNOT_GIVE, p.place, book, detail=f"{p} for {book.identity}")


def closing(s: AuditedSession, place: Place) -> None:
    """The close takes everything back, whether or not firmware asked for it."""
    if place.seconds is not None:
        s.asked.closing(place.seconds)
    for book in s.books:
        book.owed = []


def unanswered(s: AuditedSession, place: Place) -> Found:
    """The session is over: requests that the driver had time to answer and did not, unless it could not see them."""
    if s.link & (Link.TROUBLE | Link.REQUESTS_LOST) or not s.evidence.judges_requests or place.seconds is None:
        s.asked.clear()
        return
    for x in s.asked.end(place.seconds):
        yield Finding(Cause.REQUEST_UNANSWERED, place, x.function, x.pages, f"{x.function.identity}: {x.words}")


# -- release_all


def _may_release(s: AuditedSession, book: Book, place: Place) -> Finds[bool]:
    """True where release_all was negotiated, and is not about the function that is open."""
    wrong = wrong_release(own=book.identity == s.naming.own, negotiated=s.release_all_set is not False)
    if wrong is not None and not s.evidence.uncounted:
        unset = "" if wrong is Cause.RELEASE_ALL_OWN else ", which SET_HCA_CAP did not set"
        yield Finding(wrong, place, book, s.out_of(book), f"release_all for {book.identity}{unset}")
    return wrong is None


def release(s: AuditedSession, book: Book) -> int:
    """Firmware has released all pages of this function: returns how many. Commands without an answer are crossed."""
    unsure = [np.zeros(0, np.int64)]
    for p in (*s.pending.values(), *s.overdue.values()):
        if p.about(book.identity) and p.executed is None:
            p.crossed = True
            if p.offer is not None:
                unsure.append(p.offer.index)
    if book.numbers is not None:
        s.books.by_numbers.release(book.numbers, book.numbers.out or 0)
        s.timeline.counted(book, s.last)
    book.owed, book.wanted = [], []
    return s.ledger.release(book.identity, np.concatenate(unsure))


# -- at start-up, and for pages that are to be taken back


def queried(s: AuditedSession, p: Pending, book: Book, pages: int, place: Place) -> Found:
    """QUERY_PAGES of the start-up was answered: so many pages are wanted for this function."""
    if more_than_lent(pages, BOUNDS):
        detail = f"{p} wants {many(pages)}, {BOUNDS.memory} are lent in all"
        yield Finding(Cause.ABSURD_STARTUP, place, book, pages, detail)
    elif pages < 0:
        yield from _back(s, book, -pages, str(p), place)
    elif p.command is not None and book.identity.number == p.command["function_id"]:
        want(book, pages)


def _back(s: AuditedSession, book: Book, pages: int, asker: str, place: Place) -> Found:
    """Firmware wants to return so many pages: it can have those that are out, and those of a pending GIVE."""
    e = s.evidence
    if e.judges_pages and (e.page_commands or not e.log):
        out = s.out_of(book) + _in_pending_gives(s, book) + s.ledger.contested
        if pages > out:
            detail = f"{asker} wants {many(pages)} of {book.identity} taken back, {out} are out"
            yield Finding(Cause.ABSURD_TAKE_BACK, place, book, pages, detail)
        pages = min(pages, out)
    if pages and len(book.owed) < MAX_OWED:
        book.owed.append(pages)


def _in_pending_gives(s: AuditedSession, book: Book) -> int:
    """Pages of this function that GIVEs without an answer have offered."""
    gives = [p.unsettled for p in s.pending.values() if p.about(book.identity)]
    return sum(int(offer.index.size) for offer in gives if offer is not None)


def _consume(wanted: list[int], pages: int) -> None:
    """These pages were sent: for the request of just so many, else for the oldest ones."""
    if pages in wanted:
        wanted.remove(pages)
        return
    while wanted and pages > 0:
        wanted[0], pages = wanted[0] - pages, pages - wanted[0]
        if wanted[0] <= 0:
            del wanted[0]
