"""The driver's own lines in a kernel log, beside its command dumps or in place of them.

Where there are dumps, a line is only compared with them: one that no dump confirms shows that dumps are missing. Where
there are none, lines are counted (``books.py``). Each kind of line is a class of observations; ``_HANDLERS`` has a row
for each class, and a new wording of an old statement needs nothing here. A class without a row is an error of ours:
KeyError, whatever the input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from fwpages.auditor import loads, outages, refusals, requests
from fwpages.auditor.books import Book, lines_of
from fwpages.auditor.driver_names import function_of
from fwpages.auditor.evidence import Loss, Shown
from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.incidents import Health
from fwpages.auditor.session import After, AuditedSession, Repeats, Said
from fwpages.custody.findings import Cause, FindingName
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType
from fwpages.readers.observations import (
    AllocationFailed,
    AllPagesReleased,
    AssertVar,
    CantGiveFailed,
    ColdResetRequired,
    CommandNotDone,
    CommandNotSent,
    CommandRefused,
    CommandTimedOut,
    CompletionsRecovered,
    DeviceInError,
    DriverLetGo,
    DriverMessage,
    FatalError,
    FirmwareAwaited,
    FirmwareVersion,
    FunctionMessage,
    GiveFailed,
    GiveWithheld,
    HealthCode,
    HealthCompromised,
    HealthIssue,
    HealthLine,
    HighTemperature,
    HotSensor,
    LateCompletion,
    LoadFailed,
    LoadStepFailed,
    ModuleError,
    ObjectKept,
    PageRequestDropped,
    PageReturnedTwice,
    PagesGiven,
    PagesLeft,
    PagesPending,
    PagesRequested,
    PageWorkFailed,
    ReclaimAbandoned,
    RecoveryLine,
    SlotPowerShort,
    StartupPagesRequested,
    TakeBegun,
    TakeFailed,
    TeardownFailed,
    TeardownSkipped,
    TooManyReturned,
    UnknownPageReturned,
)


def said(s: AuditedSession, v: DriverMessage) -> Found:
    """The driver printed a line."""
    s.last = v.place
    yield from _HANDLERS[type(v)](s, v)


def _of_the_card(_s: AuditedSession, _v: DriverMessage) -> Found:
    """It says nothing about this session: ``cards.py`` takes it."""
    yield from ()


# -- requests and GIVEs


def _startup_request(s: AuditedSession, v: StartupPagesRequested) -> Found:
    s.evidence.show(Shown.SOMETHING)
    s.evidence.start_up()
    if not v.boot:
        s.driver.last_init = v.number
    if v.pages < 0:
        given = sum(tally.given for _, tally in s.books.counted())
        detail = f"{v.text}: firmware wants pages back before it works; {many(given)} given before, by the lines"
        yield Finding(Cause.STARTUP_NEGATIVE, v.place, detail=detail, stated=True)
    elif v.number is not None:
        _wanted(s, v.number, v.pages)


def requested(s: AuditedSession, v: PagesRequested) -> None:
    """The driver printed a page request."""
    s.last = v.place
    if v.request.release_all:
        s.books.release_requested(v.request.number)
    else:
        _wanted(s, v.request.number, v.request.num_pages)


def _wanted(s: AuditedSession, number: int, pages: int) -> None:
    if s.driver.repeats is Repeats.ONE:
        s.driver.repeats = Repeats.ONE_THEN_REQUEST
    s.books.requested(number, pages)


def _gave(s: AuditedSession, v: PagesGiven) -> Found:
    if _repeats(s, v):
        return
    served = s.books.serve(v.number, v.pages, take=False)
    _learn_ecpf(s, v)
    book, pages = (yield from function_of(s, v)), v.pages
    if book is None and served is not None:
        book, pages = s.book(served.number, ec=False), pages or served.pages
    _count_give(s, v, book, pages)
    if s.evidence.follows_commands and v.number is not None and v.pages is not None:
        yield from _confirm_give(s, v, v.number, v.pages)


def _learn_ecpf(s: AuditedSession, v: PagesGiven) -> None:
    """The boot pages are the supplier's own: their ec bit shows whether it is an ECPF."""
    if v.number == 0 and v.ec is not None and not (s.evidence.lines or s.evidence.page_commands):
        s.naming.ecpf = v.ec


def _count_give(s: AuditedSession, v: PagesGiven, book: Book | None, pages: int | None) -> None:
    s.evidence.show(Shown.SOMETHING)
    if book is not None and pages is not None:
        s.evidence.lines = True
        s.books.by_lines.give(lines_of(book), pages)
        s.timeline.counted(book, s.last)
    else:
        where = f"{v.place.file}:{v.place.line}"
        s.evidence.lose(Loss.LINES, f"{v.text!r} ({where}) names no function, and no single request fits it")


_AFTER_BARE_GIVE: Mapping[Repeats, tuple[Repeats, bool]] = MappingProxyType(
    {
        Repeats.UNKNOWN: (Repeats.ONE, False),
        Repeats.ONE: (Repeats.FIRST_NEXT, True),
        Repeats.ONE_THEN_REQUEST: (Repeats.NEVER, False),
        Repeats.NEVER: (Repeats.NEVER, False),
        Repeats.FIRST_NEXT: (Repeats.SECOND_NEXT, False),
        Repeats.SECOND_NEXT: (Repeats.FIRST_NEXT, True),
    }
)


def _repeats(s: AuditedSession, v: PagesGiven) -> bool:
    """The second of two lines about one GIVE."""
    if v.number is not None or v.pages is not None or s.evidence.page_commands:
        return False
    s.driver.repeats, repeated = _AFTER_BARE_GIVE[s.driver.repeats]
    return repeated


def _confirm_give(s: AuditedSession, v: PagesGiven, number: int, pages: int) -> Found:
    """A dump showed this GIVE already: the line is only compared with it."""
    done = s.driver.unconfirmed
    if (number, pages) in done:
        del done[: done.index((number, pages)) + 1]
        return
    book = yield from function_of(s, v)
    dumped = next((n for w, n in done if w == number), None)
    if dumped is not None:
        detail = f"{v.text}: the dump of that GIVE says {many(dumped)}"
        yield Finding(Cause.LOG_DISAGREES, v.place, book, pages, detail, stated=True)
        return
    detail = f"{v.text}: no dump of that GIVE is in the log"
    yield Finding(Cause.LOG_LINES_LOST, v.place, book, pages, detail, stated=True)
    s.lose(book, detail)


# -- TAKEs and releases


def _taking(s: AuditedSession, v: TakeBegun) -> Found:
    e, driver = s.evidence, s.driver
    if e.follows_commands:
        yield from _expected_not_dumped(s)
        driver.expected = v if v.number is not None else None
    if s.health is not Health.FINE and not e.page_commands:
        s.incident_at(v.place).health = Health.PAGES_FREED
        return
    served = s.books.serve(v.number, v.pages, take=True)
    book = yield from function_of(s, v)
    if book is None and served is not None and v.number is None:
        book = s.book(served.number, ec=False)
    _count_take(s, v, book, solicited=served is not None)


def _count_take(s: AuditedSession, v: TakeBegun, book: Book | None, *, solicited: bool) -> None:
    """Count it for the function that the line names; for each that it may mean where it names none for certain."""
    s.evidence.show(Shown.SOMETHING)
    named = book is not None or v.number is not None
    for each in s.books.called(v.number) if book is None else [book]:
        s.evidence.lines = True
        s.books.by_lines.take(lines_of(each), v.pages, solicited=solicited and named)
        s.timeline.counted(each, s.last)


def _expected_not_dumped(s: AuditedSession) -> Found:
    """A line announced a TAKE, and its dump did not follow."""
    v, s.driver.expected = s.driver.expected, None
    if v is None:
        return
    if s.health is not Health.FINE:
        # the driver asks nothing of a device in error, and frees the pages as they are
        s.incident_at(v.place).health = Health.PAGES_FREED
        return
    book = yield from function_of(s, v)
    detail = f"{v.text}: no dump of that TAKE is in the log"
    yield Finding(Cause.LOG_LINES_LOST, v.place, book, detail=detail, stated=True)
    s.lose(book, detail)


def _released(s: AuditedSession, v: AllPagesReleased) -> Found:
    e, book, pages = s.evidence, (yield from function_of(s, v)), v.pages
    if book is None:
        return
    e.show_lines()
    s.books.released(book, pages)
    s.timeline.counted(book, s.last)
    if not e.follows_commands:
        return
    n, book.released = book.released, None
    if n is None:
        n = requests.release(s, book)
    if n != pages and e.judges_pages and not any(p.about(book.identity) for p in s.pending.values()):
        detail = f"{v.text}: by its commands the function had {many(n)}"
        yield Finding(Cause.LOG_DISAGREES, v.place, book, pages, detail, stated=True)
        # dumps are missing, and nothing has shown it: what the others seem to show is not to be trusted
        e.lose(Loss.CONSISTENCY, detail)
        s.lose(None, detail)


# -- complaints


def _reclaim_failed(s: AuditedSession, v: TakeFailed) -> Found:
    driver = s.driver
    if s.evidence.page_commands:
        driver.gave_up = driver.gave_up or v
    elif (v.number is not None or "(" in v.text) and Said.TAKE_FAILED in driver.said:
        # the line before it has shown the error; this one shows of which function pages stay
        yield from refusals.flush(s, v.err)
        driver.gave_up = v
    else:
        yield from refusals.reclaim_failed(s, v)


def _gave_up(s: AuditedSession, v: ReclaimAbandoned | TeardownSkipped) -> Found:
    s.driver.gave_up = v
    yield from ()


def _left(s: AuditedSession, v: PagesLeft) -> Found:
    s.driver.left[v.kind] = v
    yield from ()


def _request_dropped(_s: AuditedSession, v: PageRequestDropped) -> Found:
    yield Finding(Cause.REQUEST_DROPPED, v.place, detail=v.text, stated=True)


def _pages_pending(_s: AuditedSession, v: PagesPending) -> Found:
    yield Finding(Cause.PAGES_PENDING, v.place, pages=v.pages, detail=v.text, stated=True)


def _not_found(s: AuditedSession, v: UnknownPageReturned) -> Found:
    if not s.evidence.page_commands:
        yield Finding(Cause.RETURNED_NEVER_GIVEN, v.place, pages=1, detail=v.text, stated=True)


def _returned_before(s: AuditedSession, v: PageReturnedTwice) -> Found:
    if not s.evidence.page_commands:
        yield Finding(Cause.RETURNED_TWICE, v.place, pages=1, detail=v.text, stated=True)


def _over_asked(s: AuditedSession, v: TooManyReturned) -> Found:
    if not s.evidence.page_commands:
        yield Finding(Cause.COUNT_OVER_ASKED, v.place, pages=v.pages, detail=v.text, stated=True)


# -- the end


def closed(s: AuditedSession, after: After) -> bool:
    """Lines alone show that the driver took everything back, or at least said what it could not."""
    driver = s.driver
    if s.evidence.page_commands or s.evidence.blind or s.health is Health.PAGES_FREED:
        return False
    if None in driver.left or (driver.gave_up is not None and not isinstance(driver.gave_up, TeardownSkipped)):
        return True
    return s.books.swept_out() or (after is After.NEXT_SESSION and s.books.sweeping)


def settle(s: AuditedSession) -> Found:
    """Nothing more comes: what a TAKE's line announced did not."""
    if s.closed or s.health is not Health.FINE:
        yield from _expected_not_dumped(s)


def finish(s: AuditedSession) -> Found:
    """The driver's last words: what it could not take back, and counters that do not fit."""
    yield from refusals.flush(s)
    yield from _below_zero(s)
    if s.evidence.page_commands:
        yield from _compare_left(s)
        return
    total = s.driver.left.get(None)
    left = total is not None and total.pages > 0
    if left or s.driver.gave_up is not None:
        yield from _report_left(s)
    types = _types_left(s.driver.left)
    if types and not left and not s.findings.has(FindingName.COUNTERS_DISAGREE):
        words = ", ".join(types)
        place = next(iter(s.driver.left.values())).place
        detail = f"no total is left, but by type: {words}"
        yield Finding(Cause.COUNTERS_DISAGREE, place, detail=detail, stated=True)


def _below_zero(s: AuditedSession) -> Found:
    """A counter of pages below zero is wrong, whatever else the input shows."""
    below = [v for v in s.driver.left.values() if v.pages < 0]
    if below:
        detail = "; ".join(v.text for v in below)
        yield Finding(Cause.COUNTERS_DISAGREE, below[0].place, detail=f"{detail}: below zero", stated=True)


def _report_left(s: AuditedSession) -> Found:
    left = s.driver.left
    first = next(iter(left.values()), None)
    v = s.driver.gave_up or first
    if v is None:
        return
    book = (yield from function_of(s, v)) if isinstance(v, FunctionMessage) else None
    types = "".join(f"; of these {words}" for words in _types_left(left))
    pages = left[None].pages if None in left else _unreturned(book)
    beside = f"; {first.text}" if first is not None and first is not v else ""
    objects = outages.living_objects(s, v.place)
    cause = Cause.PAGES_LEFT_OBJECTS if objects else Cause.PAGES_LEFT_BY_LINES
    detail = "; ".join([f"{v.text}{beside}{types}", *objects])
    yield Finding(cause, v.place, book, pages, detail, stated=True)


def _unreturned(book: Book | None) -> int | None:
    return None if book is None or book.lines is None else book.lines.out


def _types_left(left: Mapping[FunctionType | None, PagesLeft]) -> list[str]:
    """The counters of single types that are not zero, in words."""
    return [f"{kind.value} {v.pages}" for kind, v in left.items() if kind is not None]


def _compare_left(s: AuditedSession) -> Found:
    left = s.driver.left
    if not left or not s.evidence.judges_pages or any(v.pages < 0 for v in left.values()):
        return
    out = s.ledger.records.out
    total = left[None].pages if None in left else None
    agrees = total == out if total is not None else out > 0
    if not agrees:
        by = "".join(f"; {words}" for words in _types_left(left))
        detail = f"the driver counts {many(total or 0)} left, its commands add up to {out}{by}"
        place = next(iter(left.values())).place
        yield Finding(Cause.COUNTERS_DISAGREE, place, detail=detail, stated=True)


_Handler: TypeAlias = Callable[[AuditedSession, Any], Found]
#: each handler takes the class of line that it stands beside
_HANDLERS: Mapping[type[DriverMessage], _Handler] = MappingProxyType(
    {
        StartupPagesRequested: _startup_request,
        PagesGiven: _gave,
        GiveFailed: refusals.give_failed,
        TakeBegun: _taking,
        TakeFailed: _reclaim_failed,
        AllPagesReleased: _released,
        PagesLeft: _left,
        ReclaimAbandoned: _gave_up,
        TeardownSkipped: _gave_up,
        UnknownPageReturned: _not_found,
        TooManyReturned: _over_asked,
        AllocationFailed: refusals.alloc_failed,
        CantGiveFailed: refusals.notify_failed,
        CommandRefused: refusals.refused,
        CommandNotSent: refusals.refused,
        CommandTimedOut: refusals.timeout,
        CommandNotDone: refusals.no_done,
        LateCompletion: refusals.late,
        PageRequestDropped: _request_dropped,
        PagesPending: _pages_pending,
        DeviceInError: outages.in_error,
        HealthCode: outages.syndrome,
        RecoveryLine: outages.recovering,
        DriverLetGo: outages.let_go,
        ObjectKept: outages.kept,
        PageWorkFailed: refusals.work_failed,
        CompletionsRecovered: refusals.recovered,
        FirmwareVersion: loads.begins,
        FirmwareAwaited: loads.begins,
        LoadStepFailed: loads.step_failed,
        LoadFailed: loads.failed,
        HealthCompromised: outages.in_error,
        FatalError: outages.in_error,
        PageReturnedTwice: _returned_before,
        GiveWithheld: refusals.withheld,
        TeardownFailed: refusals.teardown_failed,
        **dict.fromkeys(
            (
                HealthIssue,
                AssertVar,
                HealthLine,
                ColdResetRequired,
                HighTemperature,
                HotSensor,
                SlotPowerShort,
                ModuleError,
            ),
            _of_the_card,
        ),
    }
)
