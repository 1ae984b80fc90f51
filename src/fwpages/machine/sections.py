"""Snapshots of ``top`` and the report of ``inspect`` as sections of a report."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec

from fwpages.custody.accounts import Count, FindingAccount, Verdict
from fwpages.custody.series import Label, Point, Recorder, Span, series
from fwpages.machine.holdings import DeviceHoldings, Holdings
from fwpages.machine.snapshot import TYPES, FunctionCounters, Snapshot
from fwpages.pages.words import in_mib, many
from fwpages.prm.identity import FunctionType
from fwpages.report.kinds import kind
from fwpages.report.page.content import Cell, Chart, Column, Evidence, Grid, Part, Row, Section, Shown, chart_of
from fwpages.report.page.sessions import mib

_PAGES = (Column("pages", counts=True), Column("MiB", counts=True))


def _amount(pages: Count) -> tuple[Cell, Cell]:
    return pages, None if pages is None else mib(pages)


def _known(pages: Count) -> str:
    return "pages held are not known" if pages is None else f"{in_mib(pages)} held"


def _shown(findings: Sequence[FindingAccount], number: int, part: int) -> tuple[Shown, ...]:
    return tuple(Shown(f, Evidence(), f"i{number}s{part}f{i}") for i, f in enumerate(findings))


# -- top


def snapshots_section(snapshots: Sequence[Snapshot], name: str, number: int) -> Section:
    """The section of a recording, or of one snapshot: the last of them, and the pages over the time of all."""
    last = snapshots[-1]
    what = "snapshot of a machine" if len(snapshots) == 1 else f"recording of {many(len(snapshots), 'snapshot')}"
    kernel = f" of Linux {last.kernel}" if last.kernel else ""
    functions = many(len(last.functions), "function")
    return Section(
        anchor=f"i{number}",
        name=name,
        what=what + kernel,
        verdict=last.verdict,
        summary=f"{functions}, {_known(last.pages)}",
        findings=_shown(last.findings, number, 0),
        chart=_over_time(snapshots, name) if len(snapshots) > 1 else None,
        grids=(_counters(last.functions),),
        missing=tuple(last.missing),
        report=msgspec.json.encode(last),
    )


def _over_time(snapshots: Sequence[Snapshot], name: str) -> Chart | None:
    """The pages of each function over the seconds since the first snapshot."""
    recorder, begin = Recorder(), snapshots[0].taken
    labels: dict[Hashable, Label] = {}
    for n, snapshot in enumerate(snapshots, 1):
        here = {f.device: f for f in snapshot.functions}
        for device in labels.keys() | here.keys():
            f = here.get(str(device))
            if f is not None:
                labels.setdefault(device, Label(f.device, 0, _TYPES.get(f.kind or "", FunctionType.UNKNOWN)))
            recorder.note(device, 0 if f is None else f.pages, Point(snapshot.taken - begin, n))
    end = Point(snapshots[-1].taken - begin, len(snapshots))
    line = series(recorder, labels, Span(Point(0.0, 0), end))
    rows = tuple(Row(f.identity or f"{f.functions} more", _WORDS[f.type], True, tuple(f.pages)) for f in line.functions)
    return chart_of(f"Pages of {name}", line, rows, ()) if rows else None


_TYPES = {"pf": FunctionType.SELF, "vf": FunctionType.VF, "sf": FunctionType.SF}
_WORDS = {t: kind(t, "pf") for t in FunctionType}


def _counters(functions: Sequence[FunctionCounters]) -> Grid:
    more = ("alloc failed", "give dropped", "reclaim discarded")
    columns = (
        Column("function"),
        Column("kind"),
        Column("firmware"),
        Column("node", counts=True),
        *_PAGES,
        *(Column(t, counts=True) for t in TYPES),
        *(Column(m, counts=True) for m in more),
    )
    rows = tuple(
        (
            f.device,
            f.kind,
            f.fw_version,
            f.numa_node,
            *_amount(f.pages),
            *(f.by_type.get(t) for t in TYPES),
            f.alloc_failed,
            f.give_dropped,
            f.reclaim_discarded,
        )
        for f in functions
    )
    return Grid(f"Functions ({len(functions):,})", columns, rows)


# -- inspect


def holdings_section(report: Holdings, name: str, number: int) -> Section:
    """The section of a report of ``inspect``: a part for each device."""
    kernel = f" of Linux {report.kernel}" if report.kernel else ""
    known = [d.pages for d in report.devices if d.pages is not None]
    return Section(
        anchor=f"i{number}",
        name=name,
        what=f"the driver's own lists{kernel}, from {report.source}",
        verdict=report.verdict,
        summary=f"{many(len(report.devices), 'device')}, {_known(sum(known) if known else None)}",
        parts=tuple(_device(d, number, n) for n, d in enumerate(report.devices, 1)),
        missing=tuple(report.missing),
        report=msgspec.json.encode(report),
    )


def _device(d: DeviceHoldings, number: int, n: int) -> Part:
    counters = tuple((name, *_amount(count)) for name, count in {"fw_pages": d.fw_pages, **d.counters}.items())
    functions = tuple(
        (f.identity, kind(f.type, d.supplier), f.vport, *_amount(f.pages), f.idle, _nodes(f.by_node))
        for f in d.functions
    )
    about = (Column("function"), Column("type"), Column("vport", counts=True))
    grids = (
        Grid(
            f"Functions ({len(functions):,})",
            (*about, *_PAGES, Column("idle", counts=True), Column("by node")),
            functions,
        ),
        Grid("Counters of the driver", (Column("counter"), *_PAGES), counters),
    )
    words = d.verdict if d.verdict is not Verdict.FINDINGS else many(len(d.findings), "finding")
    return Part(
        anchor=f"i{number}s{n}",
        title=d.device,
        subtitle=_known(d.pages),
        verdict=d.verdict,
        words=words,
        facts=(
            ("mode", d.mode or "not known"),
            ("kind", d.supplier.upper() if d.supplier else "not known"),
            ("by node", _nodes(d.by_node) or "not known"),
        ),
        findings=_shown(d.findings, number, n),
        grids=tuple(g for g in grids if g.rows),
        missing=tuple(d.missing),
        notes=tuple(d.notes),
    )


def _nodes(by_node: dict[str, int]) -> str:
    return ", ".join(f"{node}: {pages:,}" for node, pages in by_node.items())
