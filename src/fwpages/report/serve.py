"""The report of a served device: its verdict on the driver, as JSON and as lines."""

from __future__ import annotations

import msgspec

from fwpages.device import FaultyFirmware
from fwpages.pages.words import many
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
    clean: bool


class ServedOffence(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that the driver broke, with the session (0 before the first)."""

    session: int
    name: str
    detail: str


class ServeReport(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The result of ``serve --json``."""

    schema_: str = "serve/1"
    scenario: str
    clean: bool
    verdict: str
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
    clean = not offences and all(s.clean for s in observer.sessions) and not serving.unfollowed
    verdict = _behaved(observer) if clean else _misbehaved(observer, offences, serving.unfollowed)
    return ServeReport(
        scenario=scenario,
        clean=clean,
        verdict=verdict if observer.commands else "no driver came",
        commands=observer.commands,
        seconds=round(serving.device.now, 3),
        sessions=[_session(s) for s in observer.sessions],
        offences=offences,
        faults=list(serving.firmware.took) if isinstance(serving.firmware, FaultyFirmware) else [],
        unfollowed=serving.unfollowed,
        missed=list(serving.missed),
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
    lines += [f"never happened: {step}" for step in report.missed]
    return [*lines, report.verdict]


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
        clean=s.clean,
    )


def _behaved(observer: Observer) -> str:
    if not observer.sessions:
        return f"no session: of {many(observer.commands, 'command')} none opened the device"
    return f"the driver behaved: {many(len(observer.sessions), 'session')}, every page accounted for"


def _misbehaved(observer: Observer, offences: list[ServedOffence], unfollowed: list[str]) -> str:
    names = sorted({o.name for o in offences})
    ends = [f"session {s.number} {s.end}" for s in observer.sessions if s.end != "closed" and not s.dropped]
    left = sum(s.total("held") for s in observer.sessions if not s.dropped)
    said = [*names, *ends, *unfollowed, *([f"{many(left)} left behind"] if left else [])]
    return f"the driver did not behave: {', '.join(said)}"
