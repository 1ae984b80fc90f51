"""How long the pages of functions that are gone may stay out, as a host waits for them.

Where the input has no seconds, it does not show how long anything took.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.session import AuditedSession, Wait
from fwpages.custody.bounds import Bounds
from fwpages.custody.findings import Cause
from fwpages.custody.records import Record
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType, Identity
from fwpages.readers.observations import Place

BOUNDS = Bounds()
#: times in a trace are rounded to microseconds
_ROUNDED = 1e-5


def begin(s: AuditedSession, kind: FunctionType, place: Place) -> None:
    """The last function of a type is gone."""
    if isinstance(place.time, (int, float)) and not s.evidence.log:
        t = place.time
        s.waits.append(Wait(kind, _left(s, kind), t + BOUNDS.wait_progress, t + BOUNDS.wait_overall))


def _left(s: AuditedSession, kind: FunctionType) -> int:
    return sum(r.outstanding for r in _awaited(s, kind))


def _awaited(s: AuditedSession, kind: FunctionType) -> list[Record]:
    """Records of functions that are gone and have pages; not of those that were enabled anew in the meantime."""
    return [r for r in s.ledger.records.awaited([kind]) if not s.naming.present(r.identity)]


def look(s: AuditedSession, place: Place) -> Found:
    """Time has passed, or pages have come back: the waits that have taken too long are findings."""
    if not isinstance(place.time, (int, float)):
        return
    now = float(place.time)
    open_ = [(w, left) for w in s.waits if (left := _left(s, w.kind))]
    s.waits = [_goes_on(w, left, now) for w, left in open_ if not _too_long(w, left, now)]
    over = [w.kind for w, left in open_ if _too_long(w, left, now)]
    if over and not s.evidence.lossy:
        yield from _give_up(s, over, place)


def _too_long(w: Wait, left: int, now: float) -> bool:
    """Its time is up, and no page has come back at the last moment."""
    return left >= w.left and now >= min(w.progress, w.overall) - _ROUNDED


def _goes_on(w: Wait, left: int, now: float) -> Wait:
    """The wait with so many pages left: each page that comes back gives it more time."""
    return replace(w, left=left, progress=now + BOUNDS.wait_progress if left < w.left else w.progress)


def _give_up(s: AuditedSession, kinds: list[FunctionType], place: Place) -> Found:
    """One finding a function, though several waits may be for pages whose type is not known."""
    reported: set[Identity] = set()
    for kind in kinds:
        owed: Counter[Identity] = Counter()
        for r in _awaited(s, kind):
            owed[r.identity] += r.outstanding
        for who in [w for w in owed if w not in reported]:
            n, gone = owed[who], f"the last function of type {kind.value} is gone"
            detail = f"{gone}, and {many(n)} of {who} did not come back"
            yield Finding(Cause.WAIT_TIMEOUT, place, s.books.of(who), n, detail)
        reported |= owed.keys()
