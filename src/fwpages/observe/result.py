"""From a host's books, and what the firmware saw, to the shape that runs and audits share."""

from __future__ import annotations

from collections.abc import Iterable

from fwpages.device import OFFENCES, Offence
from fwpages.host import Account, Books
from fwpages.host import Finding as HostFinding
from fwpages.observe.accounts import Finding, Function, Report, Session, by_type, counters, total
from fwpages.prm.identity import Identity


def session_of(device: str, books: Books, offences: Iterable[Offence] = ()) -> Session:
    """One session's books as a Session. An offence that the firmware recorded is a finding against the host."""
    functions = [_function(a) for a in books.functions]
    findings = [_finding(f) for f in books.findings] + _offences(offences)
    return Session(
        device=device,
        mode=books.mode.value,
        end=books.end,
        clean=books.clean and not findings,
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
        notes=list(books.notes),
    )


def report_of(device: str, sessions: Iterable[Books], offences: Iterable[tuple[int, Offence]] = ()) -> Report:
    """A life's sessions as a Report."""
    seen = list(offences)
    return Report(sessions=[session_of(device, b, [o for number, o in seen if number == b.session]) for b in sessions])


def _function(a: Account) -> Function:
    return Function(
        identity=str(a.identity),
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


def _finding(f: HostFinding) -> Finding:
    detail = f.detail if f.times == 1 else f"{f.detail} ({f.times} times in all)"
    who = None if f.function is None else str(f.function)
    return Finding(
        name=f.name,
        blame=f.blame.value,
        function=who,
        pages=f.pages,
        detail=detail,
        remedy=f.remedy,
        at={"session": f.session, "time": round(f.at, 6)},
    )


def _offences(offences: Iterable[Offence]) -> list[Finding]:
    """One for each rule and function, with the first offence in words and how often it came."""
    alike: dict[tuple[str, Identity | None], list[Offence]] = {}
    for o in offences:
        alike.setdefault((o.name, o.function), []).append(o)
    return [_offence(rows[0], len(rows)) for rows in alike.values()]


def _offence(o: Offence, times: int) -> Finding:
    who = None if o.function is None else str(o.function)
    detail = f"the driver {OFFENCES[o.name]}: {o.detail}" + ("" if times == 1 else f" ({times} times in all)")
    return Finding(name=o.name, blame="host", function=who, detail=detail)
