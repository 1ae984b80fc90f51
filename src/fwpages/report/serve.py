"""The report of a served device: its verdict on the driver, as JSON and as lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from types import MappingProxyType

import msgspec
from rich.console import Console
from rich.table import Table

from fwpages.custody.accounts import Missing, Verdict, verdict_of
from fwpages.custody.reach import Judged, Use
from fwpages.custody.series import Label, MarkKind, Point, Series, Span, series
from fwpages.device import FaultyFirmware, FunctionSpec
from fwpages.pages.words import in_mib, many, size, times
from fwpages.report.grids import MIB, plain_table, print_whole, readable
from fwpages.report.host_accounts import excuse
from fwpages.report.kinds import kind
from fwpages.report.run import missed_words, never_happened
from fwpages.report.tables import STYLES
from fwpages.report.width import fold, width_of
from fwpages.scenario.interpreter import OWN
from fwpages.scenario.observer import End, FunctionPages, Observer, ServedSession, Trouble
from fwpages.scenario.served_runner import ServedRun

#: what a step of the scenario did to the whole device, by the name of the step
_TROUBLE: Mapping[Trouble, str] = MappingProxyType({"health": "health", "lost": "lose-link"})


class ServedSessionAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One open of the device by the driver; the observer's session with its sums. Times are in seconds.

    ``functions`` are by the scenario's names; ``identities`` are those by which the session's mode names them;
    ``series`` is the pages over time. ``memory`` says whether memory that is let go while firmware holds it would have
    been seen: ``judged``, or ``not judged`` and why; ``let_go`` has the pages of its functions that were.
    """

    number: int
    begun: float
    mode: str
    end: End
    ended: float | None
    commands: int
    requests: int
    refused: int
    functions: dict[str, FunctionPages]
    identities: dict[str, str]
    up: float | None
    trouble: Trouble | None
    given: int
    returned: int
    released: int
    held: int
    dropped: bool
    verdict: Verdict
    clean: bool | None
    memory: str = ""
    let_go: int = 0
    series: Series | None = None


class ServedOffence(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that the driver broke, with the session (0 before the first)."""

    session: int
    name: str
    detail: str


class ServedStrike(msgspec.Struct, frozen=True, kw_only=True):
    """An injected fault that took effect: how often, when it did first (seconds), and in which session."""

    fault: str
    words: str
    times: int
    first: float
    session: int


class ServedExcuse(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that the driver broke because of an injected fault: it is not blamed on the driver."""

    session: int
    name: str
    fault: str
    detail: str


class ServeReport(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The result of ``serve --json``: the verdict on the driver, ``summary`` in a sentence.

    ``missing`` is what makes the verdict *not known*.
    """

    schema_: str = "serve/2"
    scenario: str
    verdict: Verdict
    clean: bool | None
    missing: list[Missing]
    summary: str
    commands: int
    seconds: float
    sessions: list[ServedSessionAccount]
    offences: list[ServedOffence]
    excused: list[ServedExcuse]
    faults: list[str]
    unfollowed: list[str]
    missed: list[str]
    on_purpose: list[ServedStrike] = []


def serve_report(serving: ServedRun, *, scenario: str) -> ServeReport:
    """Report how the drivers that came behaved so far."""
    observer = serving.observer
    offences = [ServedOffence(session=n, name=o.name, detail=o.detail) for n, o in observer.offences]
    missed = missed_words(serving.missed, serving.missed_faults)
    sessions = [_of_session(s) for s in observer.sessions]
    wrong = bool(offences or serving.unfollowed)
    missing = list(_missing(observer, missed))
    verdict = verdict_of([*sessions, *[Verdict.FINDINGS] * wrong, *[Verdict.NOT_KNOWN] * bool(missing)])
    return ServeReport(
        scenario=scenario,
        verdict=verdict,
        clean=verdict.clean,
        missing=missing if verdict is Verdict.NOT_KNOWN else [],
        summary=_summary(verdict, observer, missing, offences, serving.unfollowed),
        commands=observer.commands,
        seconds=round(serving.device.now, 3),
        sessions=[_session(s, observer.inner.specs, serving.device.now) for s in observer.sessions],
        offences=offences,
        excused=[
            ServedExcuse(session=e.session, name=e.offence.name, fault=e.fault, detail=e.offence.detail)
            for e in observer.excused
        ],
        on_purpose=[
            ServedStrike(fault=x.fault, words=x.words, times=x.times, first=round(x.first, 6), session=x.session)
            for x in observer.strikes.values()
        ],
        faults=list(serving.firmware.took) if isinstance(serving.firmware, FaultyFirmware) else [],
        unfollowed=serving.unfollowed,
        missed=missed,
    )


def show_served(report: ServeReport, serving: ServedRun, console: Console) -> None:
    """Print the sessions with their functions, the offences, what did not happen, and the verdict."""
    console = readable(console)
    kinds = {spec.name: kind(spec.type, _supplier(serving)) for spec in serving.observer.inner.specs}
    for s in report.sessions:
        _line(
            console,
            f"session {s.number}: {s.mode}, {s.end}, {many(s.commands, 'command')}, "
            f"{many(s.requests, 'page request')}, "
            f"{s.given:,} given, {s.returned:,} returned, {s.released:,} released, "
            f"{in_mib(s.held)} {'dropped' if s.dropped else 'left'}",
        )
        if s.functions:
            print_whole(_functions(s, kinds), console, 2)
    for x in report.on_purpose:
        _line(console, f"on purpose: {x.fault}: {x.words} ({times(x.times)}, first at {x.first:.3f} s)")
    for o in report.offences:
        _line(console, f"offence in session {o.session}: {o.name}: {o.detail}")
    for words, count in Counter(excuse(e, 1) for e in serving.observer.excused).items():
        _line(console, f"{words} ({times(count)})")
    for line in never_happened(serving.missed, serving.missed_faults):
        _line(console, line)
    _line(console, report.summary, STYLES[report.verdict])


def _line(console: Console, words: str, style: str = "") -> None:
    """Print a line, which is folded on a terminal alone."""
    lines = fold(words, width_of(console.file), 2)
    console.print(lines, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)


def _supplier(serving: ServedRun) -> str:
    return "ecpf" if serving.profile.ecpf else "pf"


def _functions(s: ServedSessionAccount, kinds: Mapping[str, str]) -> Table:
    """The functions of a session by what they hold, each with its identity and the scenario's name."""
    table = plain_table("function", "name", "type")
    for name in ("given", "returned", "released", "held", MIB, "peak", MIB):
        table.add_column(name, justify="right", no_wrap=True)
    for name, f in sorted(s.functions.items(), key=lambda row: -row[1].held):
        counts = [f"{n:,}" for n in (f.given, f.returned, f.released, f.held)]
        own = "" if name == OWN else name
        memory = [size(f.held), f"{f.peak:,}", size(f.peak)]
        table.add_row(s.identities.get(name, ""), own, kinds.get(name, ""), *counts, *memory)
    return table


def _session(s: ServedSession, specs: Iterable[FunctionSpec], now: float) -> ServedSessionAccount:
    mine = [spec for spec in specs if spec.name in s.functions]
    identities = {spec.name: spec.identity(s.mode) for spec in mine}
    return ServedSessionAccount(
        number=s.number,
        begun=s.begun,
        mode=s.mode.value,
        end=s.end,
        ended=s.ended,
        commands=s.commands,
        requests=s.requests,
        refused=s.refused,
        functions=dict(s.functions),
        identities={name: str(who) for name, who in identities.items() if who is not None},
        up=s.up,
        trouble=s.trouble,
        given=s.total("given"),
        returned=s.total("returned"),
        released=s.total("released"),
        held=s.total("held"),
        dropped=s.dropped,
        verdict=_of_session(s),
        clean=_of_session(s).clean,
        series=_series(s, mine, now),
        memory=_memory(s.judged),
        let_go=sum(row.pages for row in s.let_go.rows if row.use is Use.LENT),
    )


def _memory(judged: Judged) -> str:
    return judged.value if judged is Judged.YES else f"not judged: {judged}"


def _series(s: ServedSession, specs: Iterable[FunctionSpec], now: float) -> Series:
    """The session's pages over the seconds since the server's start."""
    labels: dict[Hashable, Label] = {}
    for spec in specs:
        who = spec.identity(s.mode)
        labels[spec.name] = Label("" if who is None else str(who), 0, spec.type, "" if spec.name == OWN else spec.name)
    marks: list[tuple[Point, MarkKind, str]] = []
    if s.switched is not None:
        marks.append((Point(s.switched, 0), "mode", f"functions are named by {s.mode} from here on"))
    if s.end in ("reset", "gone") and s.ended is not None:
        marks.append((Point(s.ended, 0), "reset", f"the session is over: {s.end}"))
    end = now if s.ended is None else s.ended
    return series(s.recorder, labels, Span(Point(s.begun, 0), Point(max(end, s.begun), 0)), marks=marks)


def _of_session(s: ServedSession) -> Verdict:
    if s.clean:
        return Verdict.CLEAN if s.total("given") and not s.judged.missed else Verdict.NOT_KNOWN
    return Verdict.CONSISTENT if s.end == "open" else Verdict.FINDINGS


def _missing(observer: Observer, missed: list[str]) -> Iterator[Missing]:
    """Events that a verdict on the driver needs, and that never came."""
    if not observer.commands:
        yield Missing(what="a driver: none came")
    elif not observer.sessions:
        yield Missing(what="a session: the driver never opened the device")
    yield from (
        Missing(what=f"pages in session {s.number}: none were given") for s in observer.sessions if not s.total("given")
    )
    yield from (
        Missing(what=f"the moment at which the driver lets memory go in session {s.number}: {s.judged}")
        for s in observer.sessions
        if s.clean and s.judged.missed
    )
    yield from (Missing(what=f"{what}, which never happened") for what in missed)


def _summary(
    verdict: Verdict, observer: Observer, missing: list[Missing], offences: list[ServedOffence], unfollowed: list[str]
) -> str:
    """The verdict in a sentence."""
    sessions = many(len(observer.sessions), "session")
    match verdict:
        case Verdict.CLEAN:
            return _clean(sessions, observer.sessions)
        case Verdict.CONSISTENT:
            return f"consistent so far: {sessions}, the last is open"
        case Verdict.NOT_KNOWN:
            return f"not known: {sessions}, {many(observer.commands, 'command')}; missing: {missing[0].what}"
        case Verdict.FINDINGS:
            return _misbehaved(observer, offences, unfollowed)


def _clean(many_sessions: str, sessions: Iterable[ServedSession]) -> str:
    """A driver is said to behave only where memory that it lets go early would have been seen."""
    left = sum(s.total("held") for s in sessions if s.dropped and s.trouble is None)
    accounted = f"every page accounted for{f' ({in_mib(left)} never taken back, dropped by a reset)' if left else ''}"
    unseen = next((s.judged for s in sessions if s.judged is not Judged.YES), None)
    if unseen is None:
        return f"clean: the driver behaved: {many_sessions}, {accounted}, no memory let go while firmware held it"
    return f"clean: {many_sessions}, {accounted}; not judged: memory let go too early ({unseen})"


def _on_purpose(observer: Observer) -> list[str]:
    """The faults that the device injected, then the troubles that the scenario put it in."""
    return [*observer.strikes, *dict.fromkeys(_TROUBLE[s.trouble] for s in observer.sessions if s.trouble)]


def _misbehaved(observer: Observer, offences: list[ServedOffence], unfollowed: list[str]) -> str:
    names = sorted({o.name for o in offences})
    ends = [f"session {s.number} {s.end}" for s in observer.sessions if s.end != "closed" and not s.dropped]
    left = sum(s.total("held") for s in observer.sessions if not s.dropped)
    said = [*names, *ends, *unfollowed, *([f"{in_mib(left)} left behind"] if left else [])]
    purpose = _on_purpose(observer)
    if purpose:
        return f"not clean: on purpose the device did: {', '.join(purpose)}; the driver then: {', '.join(said)}"
    return f"not clean: the driver did not behave: {', '.join(said)}"
