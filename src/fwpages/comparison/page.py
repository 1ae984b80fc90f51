"""A comparison as an HTML page of one file: the outcome, each difference, and both time lines of each session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from fwpages.comparison.compare import called
from fwpages.comparison.kinds import Kind
from fwpages.comparison.sides import SessionSide, Side
from fwpages.comparison.values import Diff, Difference, Edit, FunctionPair, Outcome, SessionPair
from fwpages.comparison.words import (
    ALIGNED,
    about,
    change,
    devices,
    kind_of,
    lack,
    meanings,
    numbers,
    other_names,
    place,
    plain,
    rows_of,
    shown,
    summary,
)
from fwpages.custody.series import FunctionSeries, Series
from fwpages.prm.identity import FunctionType
from fwpages.report.html_page import markup, rendered
from fwpages.report.kinds import kind
from fwpages.report.page.content import Flag, Row, chart_of
from fwpages.report.page.figure import figure, figure_style

#: pairs of sessions that are shown, those that differ first; the rest is counted
MAX_SESSIONS = 40
#: rows of a table
MAX_ROWS = 500

_TONES: Mapping[Outcome, str] = MappingProxyType(
    {Outcome.EQUAL: "good", Outcome.DIFFERENT: "bad", Outcome.NOT_KNOWN: "open"}
)


@dataclass(frozen=True, slots=True)
class _Line:
    """A difference as a row of a table."""

    kind: str
    about: str
    a: str
    b: str
    change: str


@dataclass(frozen=True, slots=True)
class _Block:
    """A pair of sessions, or what belongs to none."""

    title: str
    devices: str
    alignment: str
    others: list[str]
    lines: list[_Line]
    unknown: list[_Line]
    left_out: int
    lacks: list[str]
    scripts: list[tuple[str, list[tuple[str, list[str]]], int]]
    charts: list[tuple[str, str]]


def diff_page(diff: Diff, a: Side, b: Side) -> str:
    """The page of a comparison; ``a`` and ``b`` are its sides. Raises NotInstalledError where Jinja2 is not there."""
    diff = plain(diff)
    pairs = sorted(enumerate(diff.sessions, 1), key=lambda row: not _differs(row[0], diff))
    blocks = [_block(number, pair, diff, a, b) for number, pair in pairs[:MAX_SESSIONS]]
    rest = _rest(diff)
    values = {
        "title": f"{diff.a.name} and {diff.b.name}",
        "tone": _TONES[diff.outcome],
        "summary": summary(diff),
        "identical": diff.identical,
        "inputs": [("A", diff.a.name, kind_of(diff.a)), ("B", diff.b.name, kind_of(diff.b))],
        "blocks": blocks + ([rest] if rest is not None else []),
        "left_out": max(0, len(pairs) - MAX_SESSIONS),
        "notes": diff.notes,
        "meanings": meanings(diff.differences),
    }
    return rendered("fwpages.comparison", "diff.html", values, styles=[figure_style()])


def _differs(number: int, diff: Diff) -> bool:
    return bool(rows_of(number, [*diff.differences, *diff.not_known]))


def _block(number: int, pair: SessionPair, diff: Diff, a: Side, b: Side) -> _Block:
    return _tables(
        number,
        diff,
        title=numbers(pair),
        devices=devices(pair),
        alignment="" if pair.aligned_by is None else ALIGNED[pair.aligned_by],
        others=other_names(pair),
        charts=list(_charts(pair, a, b)),
    )


def _rest(diff: Diff) -> _Block | None:
    """The differences that belong to no session; None where there are none."""
    if not _of_none(diff):
        return None
    return _tables(None, diff, title="Beside the sessions", devices="", alignment="", others=[], charts=[])


def _of_none(diff: Diff) -> bool:
    return bool(rows_of(None, [*diff.differences, *diff.not_known]))


def _tables(
    session: int | None,
    diff: Diff,
    *,
    title: str,
    devices: str,
    alignment: str,
    others: list[str],
    charts: list[tuple[str, str]],
) -> _Block:
    rows, unknown = rows_of(session, diff.differences), rows_of(session, diff.not_known)
    counted = [d for d in unknown if d.kind is not Kind.INPUT]
    return _Block(
        title=title,
        devices=devices,
        alignment=alignment,
        others=others,
        lines=list(map(_line, rows[:MAX_ROWS])),
        unknown=list(map(_line, counted[:MAX_ROWS])),
        left_out=max(0, len(rows) - MAX_ROWS) + max(0, len(counted) - MAX_ROWS),
        lacks=[lack(d) for d in unknown if d.kind is Kind.INPUT],
        scripts=[(str(d.kind), list(map(_edit, d.edits)), d.more_edits) for d in rows if d.edits],
        charts=charts,
    )


def _line(d: Difference) -> _Line:
    return _Line(d.kind.value, about(d), shown(d.a, d), shown(d.b, d), change(d))


def _edit(e: Edit) -> tuple[str, list[str]]:
    """The place of an edit, and its steps with a mark in front."""
    steps: list[str] = []
    for mark, of, count in (("−", e.steps_a, e.count_a), ("+", e.steps_b, e.count_b)):
        steps += [f"{mark} {step}" for step in of]
        steps += [f"{mark} and {count - len(of):,} more"] if count > len(of) else []
    return place(e), steps


def _charts(pair: SessionPair, a: Side, b: Side) -> Iterator[tuple[str, str]]:
    """The time line of each input that keeps one, functions by the names that both share."""
    for letter, side, number, of_b in (("A", a, pair.a, False), ("B", b, pair.b, True)):
        s = next((x for x in side.sessions if x.number == number), None)
        if s is not None and s.series is not None:
            yield (
                f"{letter}: pages over time",
                markup(_figure(f"{letter}: {s.device}", s, s.series, pair.functions, of_b)),
            )


def _figure(title: str, s: SessionSide, line: Series, pairs: Sequence[FunctionPair], of_b: bool) -> str:
    names = {((f.b if of_b else f.a), f.generation): called(f) for f in pairs}
    order = {name: n for n, name in enumerate(dict.fromkeys(names.values()))}
    functions = sorted(line.functions, key=lambda f: order.get(_label(f, names), len(order)))
    rows = tuple(Row(_label(f, names), _kind(f, s), f.proven, tuple(f.pages)) for f in functions)
    flags = tuple(Flag(m.at, m.kind, m.text) for m in line.marks)
    return figure(chart_of(title, line, rows, flags))


def _label(f: FunctionSeries, names: Mapping[tuple[str | None, int], str]) -> str:
    """The function's name as the tables have it."""
    if f.functions > 1:
        return f"{f.functions} more"
    return names.get((f.identity, f.generation)) or f.name or f.identity


def _kind(f: FunctionSeries, s: SessionSide) -> str:
    """The function's kind beside its label, unless the label says it."""
    words = kind(f.type, s.supplier)
    return "" if f.type is FunctionType.SELF and not s.supplier else words
