"""The accounts of a run, from the host's books and the firmware's offences, in the shape that audits share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from types import MappingProxyType

from fwpages.custody.accounts import (
    End,
    FindingAccount,
    FunctionAccount,
    Report,
    SessionAccount,
    by_type,
    counters,
    total,
)
from fwpages.custody.series import Label, MarkKind, Point, Series, Span, series
from fwpages.device import Offence
from fwpages.host import Account, Books
from fwpages.host import Finding as HostFinding
from fwpages.link.faults.consequences import Excused
from fwpages.prm.identity import Identity, Names, Supplier, by_identity
from fwpages.scenario.run_books import SessionTimeline


def session_of(
    device: str,
    books: Books,
    offences: Iterable[Offence] = (),
    excused: Iterable[Excused] = (),
    supplier: Supplier | None = None,
    names: Names | None = None,
    timeline: SessionTimeline | None = None,
) -> SessionAccount:
    """One session's books as a SessionAccount. An offence that the firmware recorded is a finding against the host.

    Not so those that a fault ``excused``: what the fault did is found already. They are notes. ``names`` are the
    scenario's names of functions; ``timeline`` has the pages of the session over time.
    """
    called = by_identity(names or {})
    functions = [_function(a, called.get(a.identity, "")) for a in books.functions]
    findings = [_finding(f) for f in books.findings] + _offences(offences)
    judged = books.judged(wrong=bool(findings))
    return SessionAccount(
        device=device,
        supplier=None if supplier is None else "ecpf" if supplier.ecpf else "pf",
        mode=books.mode.value,
        end=End(books.end),
        verdict=judged.verdict,
        clean=judged.verdict.clean,
        totals=total(functions, peak=books.peak),
        by_type=by_type(functions, books.peaks),
        counters=counters(
            functions,
            fw_pages_alloc_failed=books.alloc_failed,
            fw_pages_give_dropped=books.give_dropped,
            fw_pages_reclaim_discard=books.reclaim_discard,
        ),
        functions=functions,
        findings=findings,
        missing=judged.missing,
        notes=[*books.notes, *_excused(excused)],
        series=None if timeline is None else _series(timeline, functions),
    )


def _series(line: SessionTimeline, functions: Iterable[FunctionAccount]) -> Series:
    """The pages of a session over virtual time."""
    known = {(f.identity, f.generation): f for f in functions}
    labels: dict[Hashable, Label] = {}
    for number, row in line.rows.items():
        f = known.get((str(row.identity), row.generation))
        if f is not None:
            labels[number] = Label(f.identity, f.generation, f.type, f.name)
    marks: list[tuple[Point, MarkKind, str]] = []
    if line.switched is not None:
        marks.append((Point(line.switched, 0), "mode", "functions are named by vhca_id from here on"))
    span = Span(Point(line.begun, 0), Point(line.last, 0))
    return series(line.recorder, labels, span, marks=marks)


def report_of(
    device: str,
    sessions: Iterable[Books],
    offences: Iterable[tuple[int, Offence]] = (),
    excused: Iterable[Excused] = (),
    supplier: Supplier | None = None,
    names: Names | None = None,
    timelines: Mapping[int, SessionTimeline] = MappingProxyType({}),
) -> Report:
    """The sessions of a run as a Report."""
    seen, excused = list(offences), list(excused)
    return Report.of(
        session_of(
            device,
            b,
            [o for number, o in seen if number == b.session],
            [e for e in excused if e.session == b.session],
            supplier,
            names,
            timelines.get(b.session),
        )
        for b in sessions
    )


def _function(a: Account, name: str) -> FunctionAccount:
    return FunctionAccount(
        identity=str(a.identity),
        name=name,
        generation=a.generation,
        type=a.type,
        given=a.given,
        returned=a.returned,
        released=a.released,
        discarded=a.discarded,
        held=a.held,
        doubtful=a.doubtful,
        peak=a.peak,
    )


def _finding(f: HostFinding) -> FindingAccount:
    who = None if f.function is None else str(f.function)
    return FindingAccount(
        name=f.name,
        blame=f.blame.value,
        function=who,
        pages=f.pages,
        detail=f.detail + _times(f.times),
        remedy=f.remedy,
        at={"session": f.session, "time": round(f.at, 6)},
    )


def _offences(offences: Iterable[Offence]) -> list[FindingAccount]:
    """One for each rule and function, with the first offence in words and how often it came."""
    alike: dict[tuple[str, Identity | None], list[Offence]] = {}
    for o in offences:
        alike.setdefault((o.name, o.function), []).append(o)
    return [_offence(rows[0], len(rows)) for rows in alike.values()]


def _offence(o: Offence, times: int) -> FindingAccount:
    who = None if o.function is None else str(o.function)
    detail = f"{o.name.meaning}: {o.detail}" + _times(times)
    return FindingAccount(name=o.name, blame="host", function=who, detail=detail, remedy=o.name.remedy)


def _excused(several: Iterable[Excused]) -> list[str]:
    """One for each rule, function and fault, with the first offence in words and how often it came."""
    alike: dict[tuple[str, Identity | None, str], list[Excused]] = {}
    for e in several:
        who = e.offence.function if isinstance(e.offence, Offence) else None
        alike.setdefault((e.offence.name, who, e.fault), []).append(e)
    return [excuse(rows[0], len(rows)) for rows in alike.values()]


def excuse(e: Excused, count: int) -> str:
    """An offence that an injected fault caused, and how often it came, in words."""
    return f"because of {e.fault} {e.offence.name.meaning}: {e.offence.detail}" + _times(count)


def _times(n: int) -> str:
    return "" if n == 1 else f" ({n} times in all)"
