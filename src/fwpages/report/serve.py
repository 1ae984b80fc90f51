"""The report of a served device: its verdict on the driver, as JSON and as lines."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fwpages.custody.accounts import Missing, Verdict, verdict_of
from fwpages.device import FaultyFirmware
from fwpages.pages.words import many
from fwpages.report.run import never_happened
from fwpages.scenario.fault_syntax import text
from fwpages.scenario.observer import End, FunctionPages, Observer, ServedSession, Trouble
from fwpages.scenario.served_runner import ServedRun


class ServedSessionAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One open of the device by the driver; the observer's session with its sums. Times are in seconds."""

    number: int
    begun: float
    mode: str
    end: End
    ended: float | None
    commands: int
    requests: int
    refused: int
    functions: dict[str, FunctionPages]
    up: float | None
    trouble: Trouble | None
    given: int
    returned: int
    released: int
    held: int
    dropped: bool
    verdict: Verdict
    clean: bool | None


class ServedOffence(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that the driver broke, with the session (0 before the first)."""

    session: int
    name: str
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
    faults: list[str]
    unfollowed: list[str]
    missed: list[str]


def serve_report(serving: ServedRun, *, scenario: str) -> ServeReport:
    """Report how the drivers that came behaved so far."""
    observer = serving.observer
    offences = [ServedOffence(session=n, name=o.name, detail=o.detail) for n, o in observer.offences]
    missed = [*serving.missed, *(f"fault {text(f)}" for f in serving.missed_faults)]
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
        sessions=[_session(s) for s in observer.sessions],
        offences=offences,
        faults=list(serving.firmware.took) if isinstance(serving.firmware, FaultyFirmware) else [],
        unfollowed=serving.unfollowed,
        missed=missed,
    )


def served_lines(report: ServeReport) -> list[str]:
    """The report as lines: the sessions, the offences, the steps that did not happen, and the verdict."""
    lines = [
        f"session {s.number}: {s.mode}, {s.end}, {many(s.commands, 'command')}, "
        f"{many(s.requests, 'page request')}, "
        f"{s.given:,} given, {s.returned:,} returned, {s.released:,} released, "
        f"{s.held:,} {'dropped' if s.dropped else 'left'}"
        for s in report.sessions
    ]
    lines += [f"offence in session {o.session}: {o.name}: {o.detail}" for o in report.offences]
    lines += [never_happened(what) for what in report.missed]
    return [*lines, report.summary]


def _session(s: ServedSession) -> ServedSessionAccount:
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
        up=s.up,
        trouble=s.trouble,
        given=s.total("given"),
        returned=s.total("returned"),
        released=s.total("released"),
        held=s.total("held"),
        dropped=s.dropped,
        verdict=_of_session(s),
        clean=_of_session(s).clean,
    )


def _of_session(s: ServedSession) -> Verdict:
    if s.clean:
        return Verdict.CLEAN if s.total("given") else Verdict.NOT_KNOWN
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
    yield from (Missing(what=f"{what}, which never happened") for what in missed)


def _summary(
    verdict: Verdict, observer: Observer, missing: list[Missing], offences: list[ServedOffence], unfollowed: list[str]
) -> str:
    """The verdict in a sentence."""
    sessions = many(len(observer.sessions), "session")
    match verdict:
        case Verdict.CLEAN:
            return f"clean: the driver behaved: {sessions}, every page accounted for"
        case Verdict.CONSISTENT:
            return f"consistent so far: {sessions}, the last is open"
        case Verdict.NOT_KNOWN:
            return f"not known: {sessions}, {many(observer.commands, 'command')}; missing: {missing[0].what}"
        case Verdict.FINDINGS:
            return _misbehaved(observer, offences, unfollowed)


def _misbehaved(observer: Observer, offences: list[ServedOffence], unfollowed: list[str]) -> str:
    names = sorted({o.name for o in offences})
    ends = [f"session {s.number} {s.end}" for s in observer.sessions if s.end != "closed" and not s.dropped]
    left = sum(s.total("held") for s in observer.sessions if not s.dropped)
    said = [*names, *ends, *unfollowed, *([f"{many(left)} left behind"] if left else [])]
    return f"not clean: the driver did not behave: {', '.join(said)}"
