"""Reports of any kind as sides of a comparison: of audit, run, drive, serve and inspect, and snapshots of top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from fwpages.comparison.kinds import Kind
from fwpages.comparison.sides import REST, FunctionSide, SessionSide, Side
from fwpages.comparison.steps import StepKeeper
from fwpages.comparison.values import Form
from fwpages.custody.accounts import COLUMNS, End, FindingAccount, FunctionAccount, Missing, Report, SessionAccount
from fwpages.custody.verdicts import Lack
from fwpages.machine.holdings import DeviceHoldings, FunctionHoldings, Holdings
from fwpages.machine.snapshot import FunctionCounters, Snapshot
from fwpages.prm.identity import FunctionType
from fwpages.report.drive import DriveReport
from fwpages.report.run import RunReport
from fwpages.report.serve import ServedSessionAccount, ServeReport
from fwpages.scenario.interpreter import OWN
from fwpages.scenario.observer import FunctionPages

#: evidence whose lack leaves the counts as they are: what became of the pages is not known, not how many they are
_NOT_OF_COUNTS = frozenset(lack.missing for lack in (Lack.PAGES, Lack.FATE, Lack.FENCE, Lack.COMPLAINT))
#: evidence whose lack means that something may have happened which the input does not show
_WHOLE = (Lack.PAGE_MESSAGES, Lack.LOAD, Lack.LOAD_MESSAGES, Lack.BEGINNING, Lack.LINES, Lack.RECORDS, Lack.WHOLE_LINES)
_OF_WHOLE = frozenset(lack.missing for lack in _WHOLE)
#: the driver's counters that follow from no function's counts
_COUNTERS = ("fw_pages_alloc_failed", "fw_pages_give_dropped", "fw_pages_reclaim_discard")


def of_audit(report: Report, name: str, form: Form = Form.AUDIT, steps: StepKeeper | None = None) -> Side:
    """The side of an audit, with the steps that were kept while it was made."""
    return Side(
        name=name,
        form=form,
        sessions=tuple(_session(s, n, steps) for n, s in enumerate(report.sessions)),
        findings=tuple(report.findings),
        lacks=tuple(report.missing),
    )


def of_run(report: RunReport, name: str) -> Side:
    """The side of ``run --json``."""
    return _of_host(report, name, Form.RUN, report.faults)


def of_driven(report: DriveReport, name: str) -> Side:
    """The side of ``drive --json``; of faults of the device a driver knows nothing."""
    return _of_host(report, name, Form.DRIVE, ())


def _of_host(report: RunReport | DriveReport, name: str, form: Form, faults: Iterable[str]) -> Side:
    """The side of a run with our own host."""
    events = {
        Kind.FAILED: Counter(f.operation for f in report.failed),
        Kind.FAULT: Counter(faults),
        Kind.MISSED: Counter([*report.missed, *report.skipped]),
    }
    sessions = tuple(_session(s, n, None) for n, s in enumerate(report.sessions))
    return Side(name=name, form=form, sessions=sessions, events=events)


def of_served(report: ServeReport, name: str) -> Side:
    """The side of ``serve --json``; an offence of the driver is a finding that blames the host, as an audit has it."""
    events = {
        Kind.FAILED: Counter(report.unfollowed),
        Kind.FAULT: Counter(report.faults),
        Kind.MISSED: Counter(report.missed),
    }
    return Side(
        name=name,
        form=Form.SERVE,
        sessions=tuple(_served(s, report) for s in report.sessions),
        findings=tuple(_offences(report, 0)),
        events=events,
    )


def of_holdings(report: Holdings, name: str) -> Side:
    """The side of ``inspect --json``: what each function has now."""
    sessions = tuple(_device(d, n) for n, d in enumerate(report.devices))
    return Side(name=name, form=Form.INSPECT, sessions=sessions, lacks=tuple(report.missing))


def of_snapshot(snapshot: Snapshot, name: str, count: int) -> Side:
    """The side of the last of ``count`` snapshots: what the driver's counters say now, by type."""
    notes = (f"{name}: the last of {count:,} snapshots is compared",) if count > 1 else ()
    return Side(
        name=name,
        form=Form.TOP,
        sessions=tuple(_counters(f, n) for n, f in enumerate(snapshot.functions)),
        findings=tuple(snapshot.findings),
        lacks=tuple(snapshot.missing),
        notes=notes,
    )


def _session(s: SessionAccount, number: int, steps: StepKeeper | None) -> SessionSide:
    return SessionSide(
        device=s.device,
        number=number + 1,
        mode=s.mode,
        end=s.end,
        supplier=s.supplier,
        functions=tuple(map(_function, s.functions)),
        findings=tuple(s.findings),
        lacks=tuple(_lacks(s)),
        partial=not _OF_WHOLE.isdisjoint(s.missing),
        peak=s.totals.peak,
        commands=None if steps is None else steps.counts(number),
        counters={name: s.counters.get(name) for name in _COUNTERS},
        steps={} if steps is None else steps.commands(number),
        lines={} if steps is None else steps.lines(number),
        series=s.series,
    )


def _lacks(s: SessionAccount) -> list[Missing]:
    """Evidence that its counts need; one without functions and totals lacks the lines about pages."""
    lacks = [m for m in s.missing if m not in _NOT_OF_COUNTS]
    if not lacks and not s.functions and s.totals.held is None:
        return [Lack.PAGE_MESSAGES.missing]
    return lacks


def _function(f: FunctionAccount) -> FunctionSide:
    counts = {name: getattr(f, name) for name in COLUMNS}
    return FunctionSide(identity=f.identity, type=f.type, counts=counts, generation=f.generation, name=f.name)


#: the end of a served session as a trace of it shows it: a client that is gone leaves the device open
_ENDS: Mapping[str, End] = {"closed": End.CLOSED, "reset": End.RESET, "open": End.OPEN, "gone": End.OPEN}


def _served(s: ServedSessionAccount, report: ServeReport) -> SessionSide:
    return SessionSide(
        device=report.scenario,
        number=s.number,
        mode=s.mode,
        end=_ENDS[s.end],
        supplier=None,
        functions=tuple(_served_function(name, f, s.identities) for name, f in s.functions.items()),
        findings=tuple(_offences(report, s.number)),
        series=s.series,
    )


def _served_function(name: str, f: FunctionPages, identities: Mapping[str, str]) -> FunctionSide:
    own = name == OWN
    counts = {column: getattr(f, column) for column in ("given", "returned", "released", "held", "peak")}
    return FunctionSide(
        identity=identities.get(name),
        type=FunctionType.SELF if own else None,
        counts=counts,
        name="" if own else name,
    )


def _offences(report: ServeReport, session: int) -> Iterable[FindingAccount]:
    return (FindingAccount(name=o.name, blame="host", detail=o.detail) for o in report.offences if o.session == session)


def _device(d: DeviceHoldings, number: int) -> SessionSide:
    return SessionSide(
        device=d.device,
        number=number + 1,
        mode=d.mode,
        end=End.OPEN,
        supplier=d.supplier,
        functions=tuple(map(_held, d.functions)),
        findings=tuple(d.findings),
        lacks=tuple(d.missing),
    )


def _held(f: FunctionHoldings) -> FunctionSide:
    return FunctionSide(identity=f.identity, type=f.type, counts={"held": f.pages})


def _counters(f: FunctionCounters, number: int) -> SessionSide:
    lacks = [Missing(what=f"{f.device}: {what}: {why}") for what, why in f.not_known.items()]
    return SessionSide(
        device=f.device,
        number=number + 1,
        mode=f.mode,
        end=End.OPEN,
        supplier=f.kind,
        functions=tuple(_by_type(f.by_type)),
        lacks=tuple(lacks) if f.pages is None else (),
        counters={"fw_pages_alloc_failed": f.alloc_failed, "fw_pages_give_dropped": f.give_dropped}
        | {"fw_pages_reclaim_discard": f.reclaim_discarded},
    )


def _by_type(counts: Mapping[str, int | None]) -> Iterable[FunctionSide]:
    """The functions of each type as one; what the driver counts under no type is the own function's, or unknown."""
    types = {kind.value: kind for kind in FunctionType}
    for name, n in counts.items():
        kind = types.get(name)
        yield FunctionSide(identity=None, type=kind, counts={"held": n}, name="" if kind else REST)
