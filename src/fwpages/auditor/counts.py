"""Counting without knowing the pages: by the driver's one-line messages, where a log has no command dumps, or by the
commands' own counts, where a kernel's dumps leave addresses out.

A line says how many pages a GIVE gave and how many a release_all let go; of a TAKE only that it was asked. So what
was returned, and what is held, is not known once a function was asked to return pages.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from fwpages.auditor.naming import Naming
from fwpages.custody.accounts import Count, FunctionAccount
from fwpages.pages.words import many
from fwpages.prm.identity import Identity, Mode

#: why the pages of a function are counted, and not followed one by one
CUT = "the dumps of such an old kernel leave out the last addresses: pages are counted, not followed one by one"
#: requests waiting for their GIVE or TAKE that are remembered
MAX_REQUESTS = 4096
#: Linux takes back no more than this for one request
MAX_TAKE = 50_000


@dataclass(slots=True)
class Line:
    """One function. ``out``: what firmware has, None from the first TAKE on; ``asked`` and ``swept``: pages asked back
    on firmware's request, and without one.
    """

    who: Identity
    given: int = 0
    released: int = 0
    doubtful: int = 0
    returned: Count = 0
    out: Count = 0
    peak: Count = 0
    asked: int = 0
    swept: int = 0
    unsure: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """Firmware, or a start-up query, asked for pages (or for them to be taken back)."""

    number: int
    pages: int


class Tally:
    """The functions of one session."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self.lines: dict[Identity, Line] = {}
        self._requests: deque[Request] = deque(maxlen=MAX_REQUESTS)
        #: functions that firmware released everything of, where no line of the driver's has followed
        self.releasing: deque[int] = deque(maxlen=MAX_REQUESTS)
        self.used = False
        #: why nothing can be counted by lines
        self.broken = ""
        self.out: Count = 0
        self.peak: Count = 0

    def line(self, who: Identity) -> Line:
        """The function's line, a new one where it has none."""
        return self.lines.setdefault(who, Line(who))

    def called(self, number: int | None) -> list[Identity]:
        """The functions that a line can mean: with this number, or any where it tells none."""
        return [who for who in self.lines if number is None or who.number == number]

    def requested(self, number: int, pages: int) -> None:
        """Pages were asked for; one request at a time is served, in order."""
        if pages:
            self._requests.append(Request(number, pages))

    def serve(self, number: int | None, pages: int | None, *, take: bool) -> Request | None:
        """The request that a GIVE or TAKE of these pages serves; None where none, or not one alone, fits."""
        fits = [
            r
            for r in self._requests
            if (r.pages < 0) is take
            and (number is None or r.number == number)
            and (pages is None or abs(r.pages) == pages or (take and pages == MAX_TAKE <= abs(r.pages)))
        ]
        if not fits or (number is None and len(fits) > 1):
            return None
        self._requests.remove(fits[0])
        return fits[0]

    def give(self, who: Identity, pages: int, *, doubtful: bool = False) -> None:
        """A GIVE was answered OK, or not answered."""
        self.used = True
        row = self.line(who)
        row.given += pages
        row.doubtful += pages if doubtful else 0
        row.out = None if row.out is None else row.out + pages
        row.peak = None if row.out is None or row.peak is None else max(row.peak, row.out)
        self.out = None if self.out is None else self.out + pages
        self.peak = None if self.out is None or self.peak is None else max(self.peak, self.out)

    def take(self, who: Identity, pages: int, *, solicited: bool) -> None:
        """A TAKE was asked; what it returned is not known."""
        self.used = True
        row = self.line(who)
        if solicited:
            row.asked += pages
        else:
            row.swept += pages
        row.out = row.returned = self.out = None

    def back(self, who: Identity, pages: int) -> None:
        """A TAKE was answered with so many."""
        row = self.line(who)
        row.returned = None if row.returned is None else row.returned + pages
        row.out = None if row.out is None else row.out - pages
        self.out = None if self.out is None else self.out - pages

    def release(self, who: Identity, pages: int) -> None:
        """The driver freed what it had of this function: ``pages`` were out, so what came back before is known."""
        self.used = True
        if who.number in self.releasing:
            self.releasing.remove(who.number)
        row = self.line(who)
        row.released += pages
        before = row.out
        row.returned = row.given - row.released - row.doubtful
        row.out = row.doubtful
        if before is None or self.out is None:
            self.out = None
        else:
            self.out -= before - row.out
        if row.returned < 0:
            row.unsure, row.returned = "more pages were released than lines say were given", None

    def rename(self, old: Identity, new: Identity) -> None:
        """One function is called otherwise from now on."""
        row = self.lines.pop(old, None)
        if row is None:
            return
        now = self.lines.pop(new, None)
        row.who = new
        if now is not None:
            _join(row, now)
        self.lines = {new: row, **self.lines}

    def swept_out(self) -> bool:
        """Every function that may have pages was asked, without a request of its own, for as many as it may have."""
        owing = [r for r in self.lines.values() if r.given > r.released]
        return bool(owing) and all(0 < r.swept >= r.given - r.released - r.asked for r in owing)

    @property
    def doubted(self) -> bool:
        """Some line's figures are not sure."""
        return any(r.unsure for r in self.lines.values())

    @property
    def sweeping(self) -> bool:
        """A driver that closes has begun to take everything back."""
        return any(r.swept for r in self.lines.values())

    def settle(self) -> list[str]:
        """Nothing more comes: marks the lines whose figures are not sure, and says why."""
        reasons = []
        for r in self._requests:
            what = (
                f"firmware asked for {many(r.pages)}" if r.pages > 0 else f"firmware wanted {many(-r.pages)} taken back"
            )
            reasons.append((r.number, f"{what} for function {r.number:#x}, and no line says what came of it"))
        reasons += [
            (n, f"firmware released all pages of function {n:#x}, no line says how many") for n in self.releasing
        ]
        for number, why in reasons:
            named = [row for row in self.lines.values() if row.who.number == number]
            for row in named or self.lines.values():
                row.unsure = row.unsure or why
        if self.sweeping:
            for row in self.lines.values():
                if row.out and not row.swept:
                    # the driver was taking everything back, function by function
                    row.out = row.returned = None
        if self._naming.mode is Mode.VHCA_ID and any(who.mode is Mode.FUNC_ID for who in self.lines):
            self.broken = self.broken or "whose the boot pages are, as a vhca_id, no line says"
        return [why for _, why in reasons]

    def functions(self, *, known: bool) -> list[FunctionAccount]:
        """The lines in the shape of the report; ``known``: the session was seen from its beginning."""
        return [self._function(r, known and not r.unsure) for r in self.lines.values()]

    def _function(self, r: Line, known: bool) -> FunctionAccount:
        def count(value: Count) -> Count:
            return value if known else None

        return FunctionAccount(
            identity=str(r.who),
            generation=0,
            type=self._naming.type_of(r.who),
            given=count(r.given),
            returned=count(r.returned),
            released=count(r.released),
            discarded=count(0),
            held=count(None if r.out is None else r.out - r.doubtful),
            doubtful=count(r.doubtful),
            peak=count(r.peak),
        )


def _join(row: Line, other: Line) -> None:
    """One function was counted under two names: what its two lines say together. Their peaks were at any times."""
    row.given += other.given
    row.released += other.released
    row.doubtful += other.doubtful
    row.asked += other.asked
    row.swept += other.swept
    row.returned = None if row.returned is None or other.returned is None else row.returned + other.returned
    row.out = None if row.out is None or other.out is None else row.out + other.out
    row.peak = (row.peak or other.peak) if 0 in (row.peak, other.peak) else None
    row.unsure = row.unsure or other.unsure
