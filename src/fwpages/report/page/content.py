"""The content of a report as values: what a page, or a text, says of each input."""

from __future__ import annotations

from dataclasses import dataclass, field

from fwpages.custody.accounts import FindingAccount, Missing, Verdict
from fwpages.custody.series import Series

#: a cell of a table; None is shown as ``?``: not known
Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; one that ``counts`` is aligned to the right and sorted by number, ``mib`` beside it."""

    name: str
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table that the page sorts and filters."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A function in a chart: its label, its kind in the words of the field, its counts at the chart's times."""

    label: str
    kind: str
    proven: bool
    pages: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """A mark in a chart: a finding, or an event of the session. ``link`` is the finding's anchor on the page."""

    at: float
    kind: str
    text: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Pages over time: ``axis`` and ``origin`` are the series', ``gaps`` times between which lines are missing."""

    title: str
    axis: str
    origin: str | None
    times: tuple[float, ...]
    rows: tuple[Row, ...]
    flags: tuple[Flag, ...] = ()
    gaps: tuple[tuple[float, float, str], ...] = ()
    thinned: bool = False


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the input near a finding; the finding rests on the one that is ``hit``."""

    number: int
    text: str
    hit: bool


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the page path: from ``host`` or ``device`` to the other, or a line of the driver (``line``)."""

    line: int
    time: str
    origin: str
    text: str
    hit: bool
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """The lines that a finding rests on, with those around them, and the page path around it."""

    lines: tuple[LogLine, ...] = ()
    path: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A finding with its evidence."""

    finding: FindingAccount
    evidence: Evidence
    anchor: str


@dataclass(frozen=True, slots=True)
class Part:
    """A session, or a device: its heading, facts, findings, charts and tables."""

    anchor: str
    title: str
    subtitle: str
    verdict: Verdict
    words: str
    facts: tuple[tuple[str, str], ...] = ()
    findings: tuple[Shown, ...] = ()
    left_out: int = 0
    chart: Chart | None = None
    grids: tuple[Grid, ...] = ()
    missing: tuple[Missing, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """One input: its name, what it is, the verdict, its parts; ``report`` is its own JSON, which the page carries.

    ``anchor`` begins the anchors of its parts: the parts' numbers follow it.
    """

    anchor: str
    name: str
    what: str
    verdict: Verdict
    summary: str
    parts: tuple[Part, ...] = ()
    findings: tuple[Shown, ...] = ()
    chart: Chart | None = None
    grids: tuple[Grid, ...] = ()
    missing: tuple[Missing, ...] = ()
    report: bytes = b"null"


@dataclass(frozen=True, slots=True)
class Document:
    """A report: a section for each input, in their order."""

    sections: tuple[Section, ...]
    verdict: Verdict
    version: str
    made: str
    unread: tuple[str, ...] = field(default=())


def chart_of(title: str, series: Series, rows: tuple[Row, ...], flags: tuple[Flag, ...]) -> Chart:
    """The chart of a series whose functions are called as in ``rows``."""
    return Chart(
        title=title,
        axis=series.axis,
        origin=series.origin,
        times=tuple(series.times),
        rows=rows,
        flags=flags,
        gaps=tuple((g.begin, g.end, g.text) for g in series.gaps),
        thinned=series.thinned,
    )
