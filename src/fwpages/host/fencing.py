"""The fence: what is asked for when nothing else gets pages back, what proves it, and what ends with it."""

from __future__ import annotations

from dataclasses import replace

from fwpages.custody.findings import Cause
from fwpages.host import page_answers as pageanswers
from fwpages.host.io import CLOSE, OPEN, End, Fenced, HealthFatal, LinkLost, Reset, Scope
from fwpages.host.page_queue import PagePath
from fwpages.host.session import Phase, Program
from fwpages.host.state import HostState
from fwpages.pages.words import many


def happened(h: HostState, x: HealthFatal | LinkLost | Fenced) -> None:
    """The device is in trouble, or out of reach, or proven to be cut off."""
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
    """Ask for a fence. What is out has no answer any more that could be waited for: it is doubtful from here on."""
    s = h.session
    pageanswers.doubt(h)
    h.flights = {n: replace(f, overdue=True) for n, f in h.flights.items()}
    _abandon(h, why)
    s.phase, s.end, s.fence = Phase.FENCING, end, h.now + h.config.bounds.fence
    h.emit(Reset(s.number, why))


def _abandon(h: HostState, why: str) -> None:
    """Whatever was asked for ends here and is not done; of the open and the close the end of the session tells."""
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
