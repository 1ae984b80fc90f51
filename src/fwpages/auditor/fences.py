"""Resets, fences and losses of the link or of the device as a whole, and how they end a session.

A reset is asked for, and proven by a fence: only then is it certain that the device no longer writes to the pages that
are out, and they are discarded. A reset that is asked for again, or that nothing has proven when the session is over,
was none. How a session ended is decided at its first reset, by what led to it.
"""

from __future__ import annotations

from dataclasses import replace

from fwpages.auditor import answers, commands, requests
from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.session import After, AuditedSession, Close, Link, Pending, Reset
from fwpages.custody.accounts import End
from fwpages.custody.findings import Cause
from fwpages.custody.judgements import reset_is_right
from fwpages.pages.words import many
from fwpages.readers.observations import LinkChange, LinkEvent, Place


def happened(s: AuditedSession, v: LinkChange) -> Found:
    """The link, or the device as a whole, has changed."""
    words = f": {v.detail}" if v.detail else ""
    s.last = v.place
    s.timeline.changed(v.what, v.detail, v.place)
    match v.what:
        case LinkEvent.RESET:
            yield from _reset(s, v, words)
        case LinkEvent.FENCED:
            yield from _fence(s, v, words)
        case LinkEvent.LOST:
            yield from _lost(s, v, words)
        case LinkEvent.GONE:
            s.link |= Link.GONE
            s.note(f"the machine is gone{words}")
        case LinkEvent.BACK:
            s.link &= ~Link.LOST
            s.note(f"the link came back{words}")
        case LinkEvent.HEALTH:
            s.link |= Link.FATAL | Link.TROUBLE
            s.note(f"the device reported a fatal state{words}")
        case LinkEvent.GARBLED:
            yield _garbled(s.pending.get(v.key), v.place, words)


def _garbled(p: Pending | None, place: Place, words: str) -> Finding:
    detail = f"{p or 'a command'} was answered as another command would be{words}"
    return Finding(Cause.ANSWER_MISDELIVERED, place, p.book if p else None, detail=detail)


def _lost(s: AuditedSession, v: LinkChange, words: str) -> Found:
    if s.reset_asked is not None or s.closed:
        return  # nothing is done over the link any more but to reset the device
    s.link |= Link.LOST | Link.TROUBLE
    out = s.ledger.records.out
    yield Finding(Cause.LINK_LOST, v.place, pages=out, detail=f"{many(out)} out{words}")


def _reset(s: AuditedSession, v: LinkChange, words: str) -> Found:
    """The host asks for a reset: pages that are out have no answer any more that could be waited for."""
    s.note(f"the link was reset{words}")
    if s.reset_asked is not None:
        yield _not_fenced(s, s.reset_asked)
    end = None if s.reset is None else s.reset.end
    s.reset = Reset(_end_by_reset(s, v.place) if end is None else end, v.place)
    if end is None:
        yield from _not_returned(s, v.place)
    s.waits = []
    yield from commands.abandon(s, v.place)


def _end_by_reset(s: AuditedSession, place: Place) -> End | None:
    """Forced where the host had to: after a command that failed, or to get what a close did not bring back."""
    if Link.LOST in s.link:
        return End.LOST
    if s.closed and not (s.ledger.records.out or s.overdue or s.queues):
        return None
    return End.RESET if Link.FATAL in s.link or not _had_to_reset(s, place) else End.FORCED


def _had_to_reset(s: AuditedSession, place: Place) -> bool:
    """A command had failed, or a close had begun that did not bring everything back."""
    if s.overdue or s.refusing or s.close is not Close.NOT_BEGUN:
        return True
    return any(p.overdue_at(place) for p in s.pending.values())


def _not_returned(s: AuditedSession, place: Place) -> Found:
    """The host had closed and resets the device because of pages that did not come back."""
    if not s.closed or s.evidence.blind:
        return
    for who in s.ledger.records.owing():
        book = s.books.of(who)
        if not book.unsure and book.exhausted:
            n = s.out_of(book)
            detail = f"{many(n)} did not come back: the last TAKE of the close was refused or brought nothing"
            yield Finding(Cause.PAGES_NOT_RETURNED, place, book, n, detail)


def _not_fenced(s: AuditedSession, place: Place) -> Finding:
    out = s.ledger.records.out
    return Finding(Cause.NOT_FENCED, place, pages=out, detail=f"a reset was asked for; {many(out)} out")


def _fence(s: AuditedSession, v: LinkChange, words: str) -> Found:
    if s.evidence.served and not s.closed:
        yield from requests.unanswered(s, v.place)
        yield from _cut_off(s, v.place)
    yield from commands.abandon(s, v.place)
    answers.done(s, s.overdue)
    s.overdue.clear()
    s.queues.clear()
    s.link |= Link.FENCED
    s.reset = s.reset and replace(s.reset, unproven=None)
    n = s.ledger.discard()
    s.note(f"fenced{words}; {many(n)} discarded")


def _cut_off(s: AuditedSession, place: Place) -> Found:
    """The device is reset, or its machine gone, before the driver has closed it: pages that it never asked for."""
    torn, forced, gone, trouble = (flag in s.link for flag in (Link.TORN, Link.FORCED, Link.GONE, Link.TROUBLE))
    if reset_is_right(torn=torn, forced=forced, gone=gone, trouble=trouble) or s.evidence.blind:
        return
    for who in s.ledger.records.owing():
        book = s.books.of(who)
        if not book.unsure:
            n = s.out_of(book)
            how = "the machine was gone" if gone else "the device was reset"
            yield Finding(Cause.PAGES_LEFT_CUT_OFF, place, book, n, f"{many(n)} of {who}: {how} with the device open")


def settle(s: AuditedSession, after: After) -> Found:
    """Nothing more comes of this session: a reset that nothing has proven was none."""
    if s.reset_asked is None:
        return
    e = s.evidence
    if after is not After.END_OF_INPUT or (e.numbered and not e.incomplete):
        yield _not_fenced(s, s.reset_asked)
    else:
        s.note("the input ends before the reset was proven")
