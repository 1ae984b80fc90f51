"""The sessions of an audit, a run, a driven or a served device as parts of a report."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from fwpages.custody.accounts import (
    FindingAccount,
    FunctionAccount,
    Report,
    SessionAccount,
    Totals,
    Verdict,
    verdict_of,
)
from fwpages.custody.series import FunctionSeries, Series
from fwpages.pages.words import in_mib, many, size
from fwpages.prm.identity import FunctionType
from fwpages.readers.clocks import seconds_of
from fwpages.readers.inputs import Input
from fwpages.report.drive import DriveReport
from fwpages.report.finding_lines import worst_first
from fwpages.report.kinds import kind
from fwpages.report.page.content import Cell, Chart, Column, Evidence, Flag, Grid, Part, Row, Section, Shown, chart_of
from fwpages.report.page.evidence import evidence
from fwpages.report.page.overview import overview
from fwpages.report.run import RunReport
from fwpages.report.serve import ServedSessionAccount, ServeReport
from fwpages.report.tables import span, verdict
from fwpages.report.views import held_words

#: findings of one session that are shown; the rest is counted
MAX_FINDINGS = 200
#: functions of one session in its table
MAX_ROWS = 2000

_COUNTS = ("given", "returned", "released", "discarded", "held", "doubtful", "peak")
_MEMORY = ("held", "doubtful", "peak")

#: the evidence of findings by line, device and mode
_Found = Mapping[tuple[int, str, str | None], Evidence]


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a section on the page: anchors begin with its number."""

    number: int

    def session(self, n: int) -> str:
        return f"i{self.number}s{n}"

    def finding(self, n: int, m: int) -> str:
        return f"i{self.number}s{n}f{m}"


def audit_section(report: Report, name: str, number: int, path: Input | None, what: str = "audit") -> Section:
    """The section of an audit; ``path`` is the input, where it can be read again for the lines of findings."""
    place = _Place(number)
    asked: list[tuple[int, str, str | None]] = [
        (int(f.at["line"]), s.device, s.mode)
        for s in report.sessions
        for f in _worst(s.findings)
        if isinstance(f.at.get("line"), int)
    ]
    found: _Found = {} if path is None or not asked else dict(zip(asked, evidence(path, asked), strict=True))
    parts = tuple(_part(s, n, place, found) for n, s in enumerate(report.sessions, 1))
    return Section(
        anchor=f"i{number}",
        name=name,
        what=what,
        verdict=verdict_of([report.verdict, *_verdicts(report.sessions), *[Verdict.FINDINGS] * bool(report.findings)]),
        summary=_summary(report),
        parts=parts,
        findings=tuple(Shown(f, Evidence(), place.finding(0, i)) for i, f in enumerate(report.findings)),
        chart=overview(name, report.sessions, f"i{number}s"),
        grids=(_sessions(report.sessions),) if len(report.sessions) > 1 else (),
        missing=tuple(report.missing),
        report=msgspec.json.encode(report),
    )


def run_section(report: RunReport, name: str, number: int) -> Section:
    """The section of a run."""
    what = f"run of scenario {report.scenario}, {report.mode} mode"
    return _host_section(report, name, number, what, [f"fault: {f}" for f in dict.fromkeys(report.faults)])


def drive_section(report: DriveReport, name: str, number: int) -> Section:
    """The section of a run that drove a device."""
    d = report.device
    by = "" if report.scenario is None else f", scenario {report.scenario}"
    what = f"driven device {d.pci}, firmware {d.firmware}, over {d.transport}{by}, {report.mode} mode"
    return _host_section(report, name, number, what, [])


def _host_section(report: RunReport | DriveReport, name: str, number: int, what: str, faults: Sequence[str]) -> Section:
    """The section of a run with our own host; ``what`` it was, and lines about faults."""
    place = _Place(number)
    lines = [f"failed: {d.operation}: {d.detail}" for d in report.failed]
    lines += [f"never happened: {m}" for m in report.missed] + [f"could not be done: {s}" for s in report.skipped]
    parts = tuple(_part(s, n, place, {}) for n, s in enumerate(report.sessions, 1))
    return Section(
        anchor=f"i{number}",
        name=name,
        what=what,
        verdict=verdict_of([report.verdict, *_verdicts(report.sessions)]),
        summary="; ".join([report.summary, *lines, *faults]),
        parts=parts,
        chart=overview(name, report.sessions, f"i{number}s"),
        grids=(_sessions(report.sessions),) if len(report.sessions) > 1 else (),
        missing=tuple(report.missing),
        report=msgspec.json.encode(report),
    )


def serve_section(report: ServeReport, name: str, number: int) -> Section:
    """The section of a served device."""
    place = _Place(number)
    lines = [f"not followed in time: {u}" for u in report.unfollowed] + [f"never happened: {m}" for m in report.missed]
    offences: dict[int, list[FindingAccount]] = {}
    for o in report.offences:
        offences.setdefault(o.session, []).append(FindingAccount(name=o.name, blame="host", detail=o.detail))
    parts = tuple(_served(s, place, offences.get(s.number, [])) for s in report.sessions)
    before = offences.get(0, [])
    return Section(
        anchor=f"i{number}",
        name=name,
        what=f"served device, scenario {report.scenario}",
        verdict=report.verdict,
        summary="; ".join([report.summary, *lines]),
        parts=parts,
        findings=tuple(Shown(f, Evidence(), place.finding(0, i)) for i, f in enumerate(before)),
        missing=tuple(report.missing),
        report=msgspec.json.encode(report),
    )


def _verdicts(sessions: Sequence[SessionAccount]) -> list[Verdict]:
    """The verdicts of sessions, with their findings: a report that was edited is no better than what is in it."""
    return [v for s in sessions for v in (s.verdict, *[Verdict.FINDINGS] * bool(s.findings))]


def _summary(report: Report) -> str:
    if not report.sessions:
        return "no session"
    found = sum(len(s.findings) for s in report.sessions) + len(report.findings)
    devices = many(len({s.device for s in report.sessions}), "device")
    return (
        f"{many(len(report.sessions), 'session')} of {devices}, {many(found, 'finding')}, {held_words(report.sessions)}"
    )


def _worst(findings: Sequence[FindingAccount]) -> list[FindingAccount]:
    return [f for group in worst_first(findings) for f in group][:MAX_FINDINGS]


def _part(s: SessionAccount, n: int, place: _Place, found: _Found) -> Part:
    shown = [
        Shown(f, found.get((f.at.get("line", 0), s.device, s.mode), Evidence()), place.finding(n, i))
        for i, f in enumerate(_worst(s.findings))
    ]
    return Part(
        anchor=place.session(n),
        title=s.device,
        subtitle=f"session {n}, {span(s)}" if s.first else f"session {n}",
        verdict=s.verdict,
        words=verdict(s),
        facts=_facts(s),
        findings=tuple(shown),
        left_out=len(s.findings) - len(shown),
        chart=_chart(s, n, shown),
        grids=tuple(_functions(s)),
        missing=tuple(s.missing),
        notes=tuple(s.notes),
    )


def session_chart(s: SessionAccount, n: int) -> Chart | None:
    """The chart of the session with this number; None where nothing is known of its pages over time."""
    return _chart(s, n, [Shown(f, Evidence(), "") for f in _worst(s.findings)])


def charts(report: Report, chosen: Sequence[tuple[int, SessionAccount]]) -> list[Chart]:
    """The charts of these sessions with their numbers: one of all of them, where their times have one axis."""
    if len(chosen) > 1:
        whole = overview(f"{len(report.sessions)} sessions", [s for _, s in chosen])
        if whole is not None:
            return [whole]
    return [c for n, s in chosen if (c := session_chart(s, n)) is not None]


def _chart(s: SessionAccount, n: int, shown: Sequence[Shown]) -> Chart | None:
    if s.series is None or not s.series.functions:
        return None
    rows = tuple(_row(f, s.supplier) for f in s.series.functions)
    return chart_of(f"{s.device}, session {n}", s.series, rows, _flags(s.series, shown))


def _facts(s: SessionAccount) -> tuple[tuple[str, str], ...]:
    def count(n: int | None) -> str:
        return "not known" if n is None else in_mib(n)

    return (
        ("mode", s.mode or "not known"),
        ("end", s.end),
        ("held", count(s.totals.held)),
        ("doubtful", count(s.totals.doubtful)),
        ("peak", count(s.totals.peak)),
    )


def _row(f: FunctionSeries, supplier: str | None) -> Row:
    if not f.identity:
        return Row(f"{f.functions} more", kind(f.type, supplier), f.proven, tuple(f.pages))
    again = f" #{f.generation + 1}" if f.generation else ""
    name = f" ({f.name})" if f.name else ""
    return Row(f"{f.identity}{again}{name}", kind(f.type, supplier), f.proven, tuple(f.pages))


def _flags(series: Series | None, shown: Sequence[Shown]) -> tuple[Flag, ...]:
    if series is None:
        return ()
    marks = [Flag(m.at, m.kind, m.text) for m in series.marks]
    for f in shown:
        at = place_of(series, f.finding)
        if at is not None:
            marks.append(Flag(at, "finding", f"{f.finding.name}: {f.finding.detail}", f.anchor))
    return tuple(marks)


def place_of(series: Series, f: FindingAccount) -> float | None:
    """The time of a finding on the axis of its session; None where it has none."""
    time, line = f.at.get("time"), f.at.get("line")
    if series.axis == "line":
        return float(line) if isinstance(line, int) else None
    if series.axis == "seconds":
        return float(time) if isinstance(time, int | float) else None
    now = seconds_of(time) if isinstance(time, str) else None
    begin = seconds_of(series.origin or "")
    return None if now is None or begin is None else now - begin


def _functions(s: SessionAccount) -> list[Grid]:
    rows = sorted(s.functions, key=lambda f: -(f.held or 0))
    if not rows:
        return []
    named = any(f.name for f in rows)
    about = [Column("function"), *[Column("name")] * named, Column("type")]

    def cells(f: FunctionAccount) -> tuple[Cell, ...]:
        who = f"{f.identity} #{f.generation + 1}" if f.generation else f.identity
        return (who, *[f.name] * named, kind(f.type, s.supplier), *_counts(f))

    title = (
        f"Functions ({len(rows):,})"
        if len(rows) <= MAX_ROWS
        else f"Functions (the first {MAX_ROWS:,} of {len(rows):,})"
    )
    own = Grid(title, (*about, *_columns()), tuple(cells(f) for f in rows[:MAX_ROWS]))
    kinds = {f.type for f in rows}
    return [own] if len(kinds) < 2 else [own, _by_type(s, kinds)]


def _by_type(s: SessionAccount, kinds: Collection[FunctionType]) -> Grid:
    """The table of the totals of these types."""
    types = [(kind(FunctionType(name), s.supplier), t) for name, t in s.by_type.items() if FunctionType(name) in kinds]
    return Grid("By type", (Column("type"), *_columns()), tuple((name, *_counts(t)) for name, t in types))


def _columns() -> list[Column]:
    columns: list[Column] = []
    for name in _COUNTS:
        columns += [Column(name, counts=True), *[Column("MiB", counts=True)] * (name in _MEMORY)]
    return columns


def _counts(of: FunctionAccount | Totals) -> list[Cell]:
    cells: list[Cell] = []
    for name in _COUNTS:
        pages: int | None = getattr(of, name)
        cells.append(pages)
        if name in _MEMORY:
            cells.append(None if pages is None else mib(pages))
    return cells


def mib(pages: int) -> float:
    """Pages of 4 KiB in MiB, with the digits that words show."""
    return float(size(pages).replace(",", ""))


def _sessions(sessions: Sequence[SessionAccount]) -> Grid:
    columns = (
        Column("session", counts=True),
        Column("device"),
        Column("begins"),
        Column("mode"),
        Column("end"),
        Column("verdict"),
        Column("findings", counts=True),
        Column("held", counts=True),
        Column("MiB", counts=True),
        Column("peak", counts=True),
        Column("MiB", counts=True),
    )

    def cells(n: int, s: SessionAccount) -> tuple[Cell, ...]:
        time = s.first.get("time")
        begins = "" if time is None else str(time)
        held, peak = s.totals.held, s.totals.peak
        return (
            n,
            s.device,
            begins,
            s.mode,
            s.end,
            s.verdict,
            len(s.findings),
            held,
            None if held is None else mib(held),
            peak,
            None if peak is None else mib(peak),
        )

    return Grid(f"Sessions ({len(sessions):,})", columns, tuple(cells(n, s) for n, s in enumerate(sessions, 1)))


def _served(s: ServedSessionAccount, place: _Place, offences: Sequence[FindingAccount]) -> Part:
    shown = [Shown(f, Evidence(), place.finding(s.number, i)) for i, f in enumerate(offences[:MAX_FINDINGS])]
    rows = () if s.series is None else tuple(_row(f, None) for f in s.series.functions)
    title = f"session {s.number}"
    until = "" if s.ended is None else f" to {s.ended:.3f} s"
    return Part(
        anchor=place.session(s.number),
        title=title,
        subtitle=f"from {s.begun:.3f} s{until}",
        verdict=s.verdict,
        words=s.verdict if s.verdict is not Verdict.FINDINGS else many(len(offences), "offence"),
        facts=(
            ("mode", s.mode),
            ("end", s.end),
            ("commands", f"{s.commands:,}"),
            ("page requests", f"{s.requests:,}"),
            ("dropped by the reset" if s.dropped else "held", in_mib(s.held)),
        ),
        findings=tuple(shown),
        left_out=len(offences) - len(shown),
        chart=None if s.series is None or not rows else chart_of(title, s.series, rows, _flags(s.series, shown)),
        grids=(_served_functions(s),) if s.functions else (),
    )


def _served_functions(s: ServedSessionAccount) -> Grid:
    """The table of the functions of a served session."""
    columns = (
        Column("function"),
        Column("name"),
        *(Column(n, counts=True) for n in ("given", "returned", "released")),
        Column("held", counts=True),
        Column("MiB", counts=True),
        Column("peak", counts=True),
        Column("MiB", counts=True),
    )
    cells: list[tuple[Cell, ...]] = [
        (s.identities.get(name, ""), name, f.given, f.returned, f.released, f.held, mib(f.held), f.peak, mib(f.peak))
        for name, f in s.functions.items()
    ]
    return Grid("Functions", columns, tuple(cells))
