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
from fwpages.custody.judgements import patience
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
        s.waits.append(Wait(kind, patience(_left(s, kind), place.time, BOUNDS)))


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
    over = [w.kind for w, left in open_ if w.patience.exhausted(left, now + _ROUNDED)]
    s.waits = [
        replace(w, patience=w.patience.looked_at(left, now, BOUNDS))
        for w, left in open_
        if not w.patience.exhausted(left, now + _ROUNDED)
    ]
    if over and not s.evidence.lossy:
        yield from _give_up(s, over, place)


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
