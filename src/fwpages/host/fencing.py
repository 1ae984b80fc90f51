"""The fence: the reset that is asked for when nothing else gets pages back, its proof, and its end.

Pages that firmware has, or may have, are never reused or unmapped on a guess. Where a close cannot get them back by
commands (a refusal, no answer, a lost link, a fatal syndrome), the host asks for a reset of its own function. Only a
proof that the device can no longer touch the memory (the reset completed, bus mastering off, the I/O mapping removed)
makes the pages free: they are counted as discarded. A reset of another function proves nothing for these pages, and
neither does a health syndrome. Without a proof in time the session ends as not fenced, and its memory stays out of
reach; the next open asks for the fence again.
"""

from __future__ import annotations

from msgspec.structs import replace

from fwpages.custody.findings import Cause
from fwpages.host import page_answers as pageanswers
from fwpages.host.io import CLOSE, OPEN, End, Fenced, HealthFatal, LinkLost, Reset, Scope
from fwpages.host.page_queue import PagePath
from fwpages.host.session import Phase, Program
from fwpages.host.state import HostState
from fwpages.pages.words import many


def happened(h: HostState, x: HealthFatal | LinkLost | Fenced) -> None:
    """The device reports a fatal state, or is out of reach, or is proven to be fenced."""
    if isinstance(x, Fenced):
        _fenced(h, x)
    elif h.session.phase in (Phase.ENDED, Phase.FENCING):
        return
    elif isinstance(x, HealthFatal):
        h.note(f"fatal health syndrome ({x.reason}): the device is reset")
        ask(h, f"fatal health syndrome: {x.reason}", "reset")
    else:
        out = h.left()
        h.find(Cause.LINK_LOST, pages=out, detail=f"{x.reason}; {many(out)} out")
        ask(h, f"the link is lost: {x.reason}", "lost")


def ask(h: HostState, why: str, end: End) -> None:
    """Ask for a fence. The pages of pending commands are doubtful from here on: no answer is waited for."""
    s = h.session
    pageanswers.doubt(h)
    h.flights = {n: replace(f, overdue=True) for n, f in h.flights.items()}
    _abandon(h, why)
    s.phase, s.end, s.fence = Phase.FENCING, end, h.now + h.config.bounds.fence
    h.emit(Reset(s.number, why))


def _abandon(h: HostState, why: str) -> None:
    """End the operations that are asked for, as not done; the end of the session reports the open and the close."""
    s = h.session
    h.drop_queue(why)
    for w in s.waits:
        h.done(w.operation, ok=False, detail=why)
    if s.progress is not None and s.progress.program in (Program.ENABLE, Program.DISABLE):
        h.done(s.progress.operation, ok=False, detail=why)
    if s.phase is Phase.OPENING and not s.failure:
        s.failure = why
    s.progress, s.waits, s.reclaim = None, (), None


def _fenced(h: HostState, x: Fenced) -> None:
    if x.scope is not Scope.SUPPLIER:
        h.note("another function was reset: that fences nothing of this supplier's pages")
        return
    s = h.session
    pageanswers.doubt(h)
    pages = h.ledger.discard()
    if pages.size:
        h.note(f"{many(pages.size)} discarded: {x.proof}")
    h.flights = {}
    h.path = PagePath()
    s.fence = None
    h.unmap()
    if s.phase is not Phase.ENDED:
        if s.phase is not Phase.FENCING:
            _abandon(h, "the device was reset")
            s.end = "reset"
        ended(h, ok=True)
    if h.reopen is not None:
        again, h.reopen = h.reopen, None
        h.begin(again)


def not_fenced(h: HostState) -> None:
    """No proof came in time: the session is over, and what it left stays out of reach."""
    s, left = h.session, h.left()
    s.fence = None
    h.find(
        Cause.NOT_FENCED,
        pages=left,
        detail=f"no proof of a reset in {h.config.bounds.fence:g} s; {many(left)} left out of reach",
    )
    if h.reopen is not None:
        h.reopen = None
        h.done(OPEN, ok=False, detail="the pages of the session before are still not fenced off")
    else:
        ended(h, ok=False)


def ended(h: HostState, *, ok: bool) -> None:
    """The session is over."""
    s = h.session
    s.phase = Phase.ENDED
    s.progress, s.waits, s.reclaim = None, (), None
    s.vports, s.eqs = {}, ()
    if s.failure:
        h.done(OPEN, ok=False, detail=s.failure)
    else:
        h.done(CLOSE, ok=ok, detail=s.end)
