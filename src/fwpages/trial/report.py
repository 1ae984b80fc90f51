"""The report of a campaign as plain values: what ``trial --json`` prints, and what a baseline is read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TypeAlias

import msgspec

from fwpages.explore.review.questions import QUESTIONS
from fwpages.prm.identity import Mode
from fwpages.scenario.fault_syntax import when
from fwpages.trial.effects import Effect, NotJudged
from fwpages.trial.judged import EffectSeen
from fwpages.trial.played import Campaign, Play, Played, SessionBooks
from fwpages.trial.rows import Supplier
from fwpages.trial.seen import Instruments, Reading, StageSeen
from fwpages.trial.standing import Standing, Summary


class ReportedEffect(msgspec.Struct, frozen=True, kw_only=True):
    """An effect by its name, and what showed it; ``frames`` of the kernel's stack, if it printed one with it.

    ``without_fault``: the row ``none`` of the same mode and supplier shows it too, so that it is not of the fault.
    """

    effect: str
    detail: str
    frames: list[str] = []
    without_fault: bool = False


class ReportedStage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of a play, its end and its seconds."""

    stage: str
    outcome: str
    seconds: float


class ReportedReading(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides' figures at rest after a stage: pages by the firmware's functions, pages by debugfs' counters."""

    after: str
    firmware: dict[str, int]
    driver: dict[str, int]
    mem_free_kib: int


class ReportedSession(msgspec.Struct, frozen=True, kw_only=True):
    """One open of the device, by the firmware's books (pages of 4 KiB)."""

    number: int
    mode: str
    end: str
    given: int
    returned: int
    released: int
    held: int
    dropped: bool


class ReportedPlay(msgspec.Struct, frozen=True, kw_only=True):
    """One play: its worst effect, or why there is none, and its stages and books. ``effect`` is "" without verdict."""

    effect: str
    effects: list[ReportedEffect]
    title: str
    not_judged: str
    why: str
    seconds: float
    stages: list[ReportedStage]
    readings: list[ReportedReading]
    sessions: list[ReportedSession]


class ReportedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row: fault, moment, mode and supplier, and the verdict of its worst play.

    ``name`` has all of them; ``fault`` is also a trouble of the whole device, or ``none``. ``folder`` is below ``-o``;
    ``standing`` says how the row stands to the baseline, and ``known`` the effect that this has.
    """

    name: str
    fault: str
    moment: str
    mode: str
    supplier: str
    effect: str
    flaky: bool
    title: str
    effects: list[ReportedEffect]
    not_judged: str
    why: str
    on_purpose: list[str]
    driver_did: list[str]
    unseen: list[str]
    causer: str
    questions: list[int]
    path: str
    standing: str
    known: str
    folder: str
    plays: list[ReportedPlay]


class ReportedVersions(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of all that took part; "" is not known."""

    fwpages: str
    qemu: str
    kernel: str
    commit: str
    compiler: str
    config: str


class TrialReport(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The result of ``trial --json``; ``docs/reference/trial-json.md`` describes it."""

    schema_: str = "trial/1"
    summary: str
    versions: ReportedVersions
    instruments: dict[str, bool | None]
    seconds: float
    interrupted: str
    rows: list[ReportedRow]


def trial_report(campaign: Campaign, summary: Summary, *, folders: bool = True) -> TrialReport:
    """The campaign as plain values; ``summary`` is how it stands, ``folders`` whether those of its rows are kept."""
    v = campaign.versions
    usual = _without_fault(campaign)
    return TrialReport(
        summary=summary.words,
        versions=ReportedVersions(
            fwpages=v.fwpages, qemu=v.qemu, kernel=v.kernel, commit=v.commit, compiler=v.compiler, config=v.config
        ),
        instruments=_instruments(campaign),
        seconds=round(campaign.seconds, 1),
        interrupted=campaign.interrupted,
        rows=[
            _row(p, s, usual.get((p.row.mode, p.row.supplier), frozenset()), folders=folders)
            for p, s in zip(campaign.rows, summary.rows, strict=True)
        ],
    )


_Shown: TypeAlias = frozenset[tuple[Effect, str]]


def _without_fault(campaign: Campaign) -> dict[tuple[Mode, Supplier], _Shown]:
    """The effects, with their titles, of the rows without a fault, by mode and supplier."""
    return {
        (p.row.mode, p.row.supplier): frozenset((e.effect, e.title) for e in p.judged.effects)
        for p in campaign.rows
        if p.row.fault is None and p.row.trouble is None
    }


def _instruments(campaign: Campaign) -> dict[str, bool | None]:
    """The instruments of the kernel, by the first play in which it said so."""
    plays = (p for row in campaign.rows for p in row.plays)
    found = next((p.instruments for p in plays if p.kernel and p.instruments is not None), Instruments())
    return {f.name: getattr(found, f.name) for f in fields(Instruments)}


def _row(p: Played, standing: Standing, usual: _Shown, *, folders: bool) -> ReportedRow:
    j = p.judged
    faulty = p.row.fault is not None or p.row.trouble is not None
    return ReportedRow(
        name=str(p.row),
        fault=p.row.label,
        moment="" if p.row.fault is None else when(p.row.fault),
        mode=p.row.mode.value,
        supplier=p.row.supplier.value,
        effect=_effect(j.effect),
        flaky=p.flaky,
        title=j.title,
        effects=[_seen(e, without_fault=faulty and (e.effect, e.title) in usual) for e in j.effects],
        not_judged=_reason(j.not_judged),
        why=j.why,
        on_purpose=list(j.on_purpose),
        driver_did=list(j.driver_did),
        unseen=list(j.unseen),
        causer="" if j.causer is None else j.causer.value,
        questions=list(j.questions),
        path=j.path,
        standing=standing.kind.value,
        known=_effect(standing.known),
        folder=p.folder if folders else "",
        plays=[_play(x) for x in p.plays],
    )


def _play(p: Play) -> ReportedPlay:
    j = p.judged
    return ReportedPlay(
        effect=_effect(j.effect),
        effects=[_seen(e) for e in j.effects],
        title=j.title,
        not_judged=_reason(j.not_judged),
        why=j.why,
        seconds=round(p.seconds, 1),
        stages=[_stage(s) for s in p.stages],
        readings=[_reading(r) for r in p.readings],
        sessions=[_session(s) for s in p.sessions],
    )


def _seen(e: EffectSeen, *, without_fault: bool = False) -> ReportedEffect:
    return ReportedEffect(effect=e.effect.value, detail=e.detail, frames=list(e.frames), without_fault=without_fault)


def _effect(effect: Effect | None) -> str:
    return "" if effect is None else effect.value


def _reason(reason: NotJudged | None) -> str:
    return "" if reason is None else reason.value


def _stage(s: StageSeen) -> ReportedStage:
    return ReportedStage(stage=s.stage.value, outcome=s.outcome.value, seconds=round(s.seconds, 1))


def _reading(r: Reading) -> ReportedReading:
    return ReportedReading(after=r.after.value, firmware=dict(r.held), driver=dict(r.counters), mem_free_kib=r.mem_free)


def _session(s: SessionBooks) -> ReportedSession:
    return ReportedSession(
        number=s.number,
        mode=s.mode,
        end=s.end,
        given=s.given,
        returned=s.returned,
        released=s.released,
        held=s.held,
        dropped=s.dropped,
    )


def question_words(numbers: Sequence[int]) -> list[str]:
    """The questions of the review with these numbers, each with its title."""
    titles: Mapping[int, str] = {q.number: q.title for q in QUESTIONS}
    return [f"question {n} ({titles[n]})" for n in numbers]


def read_report(path: Path) -> TrialReport:
    """The report in a file that ``trial --json`` wrote. Raises OSError and msgspec.ValidationError."""
    return msgspec.json.decode(path.read_bytes(), type=TrialReport)
