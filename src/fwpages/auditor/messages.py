"""What a kernel log says beside, or instead of, its command dumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fwpages.auditor.findings import FoundFault
from fwpages.auditor.refusals import Refusals
from fwpages.custody.findings import Cause, FindingName
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType, Identity, Mode, func_id
from fwpages.readers.observations import (
    AllocationFailed,
    AllPagesReleased,
    CantGiveFailed,
    CommandNotDone,
    CommandNotSent,
    CommandRefused,
    CommandTimedOut,
    DeviceInError,
    DriverMessage,
    FunctionMessage,
    GiveFailed,
    LateCompletion,
    PageRequestDropped,
    PagesGiven,
    PagesLeft,
    PagesPending,
    PagesRequested,
    Place,
    ReclaimAbandoned,
    StartupPagesRequested,
    TakeBegun,
    TakeFailed,
    TeardownSkipped,
    TooManyReturned,
    UnknownPageReturned,
)

if TYPE_CHECKING:
    from fwpages.auditor.fences import Why
    from fwpages.auditor.session import AuditedSession


class Complaints:
    """Hears the driver's lines for one session."""

    def __init__(self, session: AuditedSession) -> None:
        self.s = session
        #: a TAKE that a line announced and whose dump should follow
        self._expected: TakeBegun | None = None
        #: pages that the driver says are left after it took everything back, and of which types
        self.left: int | None = None
        self._left_by: dict[FunctionType, int] = {}
        self._left_at: PagesLeft | None = None
        self.gave_up: ReclaimAbandoned | TakeFailed | TeardownSkipped | None = None
        self._last_init: int | None = None
        self.refusals = Refusals(session, self._who)
        #: the device is in error; and what the driver took back since then, by itself
        self.dead: DeviceInError | None = None
        self.seized: TakeBegun | None = None
        #: a GIVE's line named nothing; requests have come since; such lines come twice
        self._bare = self._asked = False
        self._twice: bool | None = None
        #: a line shows that others are missing which nothing else tells of
        self.untold = False

    def hear(self, v: DriverMessage) -> None:
        """One line."""
        self.s.last = v.place
        match v:
            case StartupPagesRequested():
                self._requested(v)
            case PagesGiven():
                self._gave(v)
            case GiveFailed():
                self.refusals.give_failed(v)
            case TakeBegun():
                self._taking(v)
            case AllPagesReleased():
                self._released(v)
            case PagesLeft():
                self._left(v)
            case ReclaimAbandoned() | TeardownSkipped():
                self.gave_up = v
            case TakeFailed():
                self._reclaim_failed(v)
            case _:
                self._complaint(v)

    def _complaint(self, v: DriverMessage) -> None:
        match v:
            case UnknownPageReturned():
                self._not_found(v)
            case TooManyReturned():
                self._over_asked(v)
            case AllocationFailed():
                self.refusals.alloc_failed(v)
            case CantGiveFailed():
                self.refusals.notify_failed(v)
            case CommandRefused() | CommandNotSent():
                self.refusals.refused(v)
            case CommandTimedOut():
                self.refusals.timeout(v)
            case CommandNotDone():
                self.refusals.no_done(v)
            case LateCompletion():
                self.refusals.late(v)
            case PageRequestDropped():
                self._tell(Cause.REQUEST_DROPPED, v.place, detail=v.text)
            case PagesPending():
                self._tell(Cause.PAGES_PENDING, v.place, pages=v.pages, detail=v.text)
            case DeviceInError():
                self._device_error(v)

    def _tell(
        self,
        cause: Cause,
        place: Place,
        who: Identity | None = None,
        pages: int | None = None,
        detail: str = "",
    ) -> None:
        """Something is wrong by the driver's own word."""
        self.s.faults.add(FoundFault(cause, place, who, pages, detail, heard=True))

    # -- who is meant

    def _who(self, v: FunctionMessage) -> Identity | None:
        """The function that a line names, in the mode that the line, or the session so far, tells."""
        s = self.s
        if v.number is None:
            return None
        s.naming.told = s.naming.told or v.mode is not None
        if v.mode is Mode.VHCA_ID and s.naming.mode is Mode.FUNC_ID:
            self._switched(v)
        elif v.mode is Mode.FUNC_ID and s.naming.mode is Mode.VHCA_ID and not (s.commands or s.lossy):
            self._tell(Cause.MODE_MISMATCH, v.place, detail=f"{v.text}: but the session is in VHCA_ID mode")
        if v.ec is None and s.naming.mode is Mode.FUNC_ID:
            known = s.tally.called(v.number)
            return None if len(known) > 1 else known[0] if known else func_id(v.number)
        return s.naming.name(v.number, bool(v.ec))

    def _switched(self, v: FunctionMessage) -> None:
        """A line speaks of vhca_ids though nothing switched the mode that was seen."""
        s = self.s
        if s.commands and s.began and not s.lossy and not s.pages.mode_unknown:
            self._tell(Cause.MODE_MISMATCH, v.place, detail=f"{v.text}: but no SET_HCA_CAP set VHCA_ID mode")
            return
        if s.naming.vhca is None and self._last_init is not None:
            s.naming.vhca = self._last_init
        s.life.switch()

    # -- lines about pages

    def _requested(self, v: StartupPagesRequested) -> None:
        self.s.used = self._asked = True
        if not v.boot:
            self._last_init = v.number
        if v.number is not None and v.pages:
            self.s.tally.requested(v.number, v.pages)

    def requested_by_firmware(self, v: PagesRequested) -> None:
        """A page request, as the driver prints it."""
        self.s.last = v.place
        if v.request.release_all:
            self.s.tally.releasing.append(v.request.number)
            return
        self._asked = True
        if v.request.num_pages:
            self.s.tally.requested(v.request.number, v.request.num_pages)

    def _gave(self, v: PagesGiven) -> None:
        s = self.s
        if self._repeats(v):
            return
        served = s.tally.serve(v.number, v.pages, take=False)
        if not s.tally.used and not s.commands and v.ec is not None and v.number == 0:
            # the boot pages are the supplier's own: their ec bit tells whether it is an ECPF
            s.naming.ecpf = v.ec
        who = self._who(v)
        pages = v.pages
        if who is None and served is not None:
            who, pages = s.naming.name(served.number, ec=False), pages or served.pages
        s.used = True
        if who is not None and pages is not None:
            s.tally.give(who, pages)
        else:
            where = f"{v.place.file}:{v.place.line}"
            s.tally.broken = f"{v.text!r} ({where}) names no function, and no single request fits it"
        if s.commands and not s.ambiguous and v.number is not None and v.pages is not None:
            self._confirm_give(v, v.number, v.pages)

    def _repeats(self, v: PagesGiven) -> bool:
        """Linux 3.11 says ``err 0`` twice for each GIVE; whether this kernel does, the first GIVE tells."""
        if v.number is not None or v.pages is not None or self.s.commands:
            return False
        if self._twice is None and self._bare:
            self._twice = not self._asked
        self._bare = not self._bare
        self._asked = False
        return bool(self._twice) and not self._bare

    def _confirm_give(self, v: PagesGiven, number: int, pages: int) -> None:
        """A dump has told it already: the line is only compared."""
        s, done, who = self.s, self.s.pages.unconfirmed, self._who(v)
        if (number, pages) in done:
            del done[: done.index((number, pages)) + 1]
            return
        mine = next((n for w, n in done if w == number), None)
        if mine is not None:
            detail = f"{v.text}: the dump of that GIVE says {many(mine)}"
            self._tell(Cause.LOG_DISAGREES, v.place, who, pages, detail)
            return
        detail = f"{v.text}: no dump of that GIVE is in the log"
        self._tell(Cause.LOG_LINES_LOST, v.place, who, pages, detail)
        s.lose(who, detail)

    def _taking(self, v: TakeBegun) -> None:
        s = self.s
        if s.commands and not s.ambiguous:
            if self._expected is not None:
                self._no_take()
            self._expected = v if v.number is not None else None
        if self.dead is not None and not s.commands:
            self.seized = self.seized or v
            return
        served = s.tally.serve(v.number, v.pages, take=True)
        who = self._who(v)
        s.used = True
        if who is None and served is not None and v.number is None:
            who = s.naming.name(served.number, ec=False)
        rows = [who] if who is not None else s.tally.called(v.number)
        for row in rows:
            s.tally.take(row, v.pages, solicited=served is not None and (who is not None or v.number is not None))

    def took(self, who: Identity | None) -> None:
        """The dump of a TAKE was seen."""
        if self._expected is not None and who is not None and self._expected.number == who.number:
            self._expected = None

    def _no_take(self) -> None:
        v, self._expected = self._expected, None
        if v is None:
            return
        if self.dead is not None:
            # the driver asks nothing of a device in error, and frees the pages as they are
            self.seized = self.seized or v
            return
        who = self._who(v)
        detail = f"{v.text}: no dump of that TAKE is in the log"
        self._tell(Cause.LOG_LINES_LOST, v.place, who, detail=detail)
        self.s.lose(who, detail)

    def _released(self, v: AllPagesReleased) -> None:
        s, who, pages = self.s, self._who(v), v.pages
        if who is None:
            return
        s.used = True
        s.tally.release(who, pages)
        if not s.commands or s.ambiguous:
            return
        told = s.requests.released.pop(who, None)
        n = s.requests.release(who) if told is None else told
        if n != pages and s.began and not s.lossy and not any(p.who == who for p in s.pending.values()):
            detail = f"{v.text}: by its commands the function had {many(n)}"
            self._tell(Cause.LOG_DISAGREES, v.place, who, pages, detail)
            # dumps are missing, and nothing has told so: what the others seem to tell is not to be trusted
            self.untold = True
            s.lose(None, detail)

    # -- complaints

    def _reclaim_failed(self, v: TakeFailed) -> None:
        s = self.s
        if s.commands:
            self.gave_up = self.gave_up or v
        elif (v.number is not None or "(" in v.text) and self.refusals.taking:
            # the line before it has told the error; this one tells whose pages stay
            self.refusals.flush(v.err)
            self.gave_up = v
        else:
            self.refusals.reclaim_failed(v)

    def _left(self, v: PagesLeft) -> None:
        if v.kind is not None:
            self._left_by[v.kind] = v.pages
        else:
            self.left = v.pages
        self._left_at = self._left_at or v

    def _device_error(self, v: DeviceInError) -> None:
        self.dead = self.dead or v
        if not self.s.faults.has(FindingName.DEVICE_ERROR):
            self._tell(Cause.DEVICE_ERROR, v.place, detail=v.text)

    def _not_found(self, v: UnknownPageReturned) -> None:
        if not self.s.commands:
            self._tell(Cause.RETURNED_NEVER_GIVEN, v.place, pages=1, detail=v.text)

    def _over_asked(self, v: TooManyReturned) -> None:
        if not self.s.commands:
            self._tell(Cause.COUNT_OVER_ASKED, v.place, pages=v.pages, detail=v.text)

    # -- the end

    def closed(self, why: Why) -> bool:
        """Lines alone tell that the driver took everything back, or at least said what it could not."""
        s = self.s
        if s.commands or s.blind or self.seized is not None:
            return False
        if self.left is not None or (self.gave_up is not None and not isinstance(self.gave_up, TeardownSkipped)):
            return True
        return s.tally.swept_out() or (why == "next" and s.tally.sweeping)

    def settle(self) -> None:
        """Nothing more comes: what a TAKE's line announced did not."""
        if (self.s.closed or self.dead is not None) and self._expected is not None:
            self._no_take()

    def finish(self) -> None:
        """What can only be said once nothing more comes."""
        s = self.s
        self.refusals.flush()
        if s.commands:
            self._compare_left()
        elif self.left or self.gave_up is not None:
            self._report_left()
        at = self._left_at
        if at is not None and self._left_by and not self.left and not s.commands:
            words = ", ".join(f"{kind.value} {n}" for kind, n in self._left_by.items())
            self._tell(Cause.COUNTERS_DISAGREE, at.place, detail=f"no total is left, but by type: {words}")

    def _report_left(self) -> None:
        v = self.gave_up or self._left_at
        if v is None:
            return
        who = self._who(v) if isinstance(v, FunctionMessage) else None
        types = "".join(f"; of these {kind.value} {n}" for kind, n in self._left_by.items())
        pages = self.left if self.left is not None else self._unreturned(who)
        detail = f"{v.text}{types}" if self._left_at is None else f"{v.text}; {self._left_at.text}{types}"
        self._tell(
            Cause.PAGES_LEFT_BY_LINES, v.place, who, pages, detail if self._left_at is not v else f"{v.text}{types}"
        )

    def _unreturned(self, who: Identity | None) -> int | None:
        row = self.s.tally.lines.get(who) if who is not None else None
        return row.out if row is not None else None

    def _compare_left(self) -> None:
        s, at = self.s, self._left_at
        if at is None or s.lossy or not s.began:
            return
        out = s.custody.records.out
        if (self.left is not None and self.left != out) or (self.left is None and not out):
            words = f"the driver counts {many(self.left or 0)} left, its commands add up to {out}"
            by = "".join(f"; {kind.value} {n}" for kind, n in self._left_by.items())
            self._tell(Cause.COUNTERS_DISAGREE, at.place, detail=words + by)
