"""How long the pages of functions that are gone may stay out, as a host waits for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fwpages.custody.bounds import Bounds
from fwpages.custody.findings import Cause
from fwpages.custody.records import Record
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType, Identity
from fwpages.readers.observations import Place

if TYPE_CHECKING:
    from fwpages.auditor.session import AuditedSession

BOUNDS = Bounds()
#: times in a trace are rounded to microseconds
_ROUNDED = 1e-5


@dataclass(frozen=True, slots=True)
class Wait:
    """For the pages of functions of one type: how many are left, and when that has been so for too long."""

    kind: FunctionType
    left: int
    progress: float
    overall: float


class Waits:
    """The waits of one session. Where the input has no seconds, nobody can tell how long it was."""

    def __init__(self, session: AuditedSession) -> None:
        self.s = session
        self._rows: list[Wait] = []

    def begin(self, kind: FunctionType, place: Place) -> None:
        """The last function of a type is gone."""
        if isinstance(place.time, (int, float)) and not self.s.log:
            t = place.time
            self._rows.append(Wait(kind, self._left(kind), t + BOUNDS.wait_progress, t + BOUNDS.wait_overall))

    def over(self) -> None:
        """Nobody waits any longer."""
        self._rows = []

    def _left(self, kind: FunctionType) -> int:
        return sum(r.outstanding for r in self._awaited(kind))

    def _awaited(self, kind: FunctionType) -> list[Record]:
        """What is out of functions that are gone; not of those that were enabled anew in the meantime."""
        return [r for r in self.s.custody.records.awaited([kind]) if not self.s.naming.present(r.identity)]

    def look(self, place: Place) -> None:
        """Something was seen: pages have come back since, or it has taken too long."""
        if not self._rows or not isinstance(place.time, (int, float)):
            return
        still: list[Wait] = []
        over: list[FunctionType] = []
        for w in self._rows:
            left = self._left(w.kind)
            if left and place.time >= min(w.progress, w.overall) - _ROUNDED and left >= w.left:
                over.append(w.kind)
            elif left:
                moved = place.time + BOUNDS.wait_progress if left < w.left else w.progress
                still.append(replace(w, left=left, progress=moved))
        self._rows = still
        if over and not self.s.lossy:
            self._give_up(over, place)

    def _give_up(self, kinds: list[FunctionType], place: Place) -> None:
        """Told once of each function, though several waits may be for pages whose type nobody knows."""
        told: set[Identity] = set()
        for kind in kinds:
            owed: Counter[Identity] = Counter()
            for r in self._awaited(kind):
                owed[r.identity] += r.outstanding
            for who in [w for w in owed if w not in told]:
                n, gone = owed[who], f"the last function of type {kind.value} is gone"
                detail = f"{gone}, and {many(n)} of {who} did not come back"
                self.s.fault(Cause.WAIT_TIMEOUT, place, who, n, detail)
            told |= owed.keys()
