"""Pages over time: a bounded record of what firmware had of each function, and the series that a report shows.

A ``Recorder`` is told each change. It keeps so many that no step of a session is lost; beyond that it thins them: the
time is divided into parts, and of each part the first, the last, the highest and the lowest sum stay, and of each
function its peak (the first, minimum, maximum and last of a part are what a line drawn over it touches: U. Jugel and
others, "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014). Every row that stays is exact: what
changed between two rows is in the later one.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from fwpages.prm.identity import FunctionType

#: parts of the time of one session in a series: a screen has hardly more columns than four rows for each of these
PARTS = 120
#: functions with a row of their own, those with the highest peaks; the rest are summed by type
MAX_FUNCTIONS = 24
#: changes of one session that are kept before the first thinning
MAX_CHANGES = 1 << 14
#: changes that a thinning leaves, whatever the number of functions; parts of the time that it leaves at least
MAX_LEFT, LEAST_PARTS = 1 << 16, 8
#: marks, and gaps, of one session
MAX_MARKS = 200
#: numbers in all series of one report: about 2 MB of JSON
MAX_NUMBERS = 400_000

#: pages of 4 KiB in the address space of a device
MAX_PAGES = 1 << 52

#: a count that is not known, in an array
_UNKNOWN = -1

_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]

#: a mark's kind: the identity mode changed; the device was reset, its link was lost or came back, it reported a fatal
#: state; the input's lines were lost
MarkKind: TypeAlias = Literal["mode", "reset", "link", "health"]


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the whole session at a time of its series, with the line of the input (None where there is none)."""

    at: float
    kind: MarkKind
    text: str
    line: int | None = None


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which lines of the input are missing; ``begin`` and ``end`` are the times of the lines around it."""

    begin: float
    end: float
    text: str


class FunctionSeries(msgspec.Struct, frozen=True, kw_only=True):
    """Pages (4 KiB) that firmware has or may have of a function, one count for each of the series' times.

    ``functions`` is 1, or the number of those that are summed here: their ``identity`` is empty. Where ``proven`` is
    False the input does not prove the counts: they are the pages given within the input that did not come back within
    it. None stands for a count that the input does not tell at all.
    """

    identity: str
    generation: int = 0
    type: FunctionType
    name: str = ""
    functions: int = 1
    proven: bool = True
    pages: list[int | None]


#: the scale of a series' times
Axis: TypeAlias = Literal["seconds", "elapsed", "line"]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Pages over the time of one session, by function. From each of ``times`` on its counts hold, until the next.

    ``axis`` is the scale of all times: ``seconds`` as the input has them, ``elapsed`` seconds since ``origin``, the
    clock at the session's first line, or the number of the ``line`` where the lines have no time. Times never go back.
    ``thinned``: rows were left out, none of them a peak or an end. ValueError where times and counts do not fit.
    """

    axis: Axis
    origin: str | None = None
    times: list[float]
    functions: list[FunctionSeries] = []
    marks: list[Mark] = []
    gaps: list[Gap] = []
    thinned: bool = False

    def __post_init__(self) -> None:
        if any(a > b for a, b in pairwise(self.times)):
            raise ValueError("times of a series go back")
        for f in self.functions:
            if len(f.pages) != len(self.times):
                raise ValueError(f"a series has {len(self.times)} times, and {len(f.pages)} counts of {f.identity!r}")
            if any(n is not None and not 0 <= n <= MAX_PAGES for n in f.pages):
                raise ValueError(f"a series has counts of {f.identity!r} that no number of pages can be")


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the time of a session: seconds, if there are any, and the number of the line."""

    time: float | None
    line: int


@dataclass(frozen=True, slots=True)
class Label:
    """The function of a row, under the name that it has in the end."""

    identity: str
    generation: int
    type: FunctionType
    name: str = ""
    proven: bool = True


class Recorder:
    """The changes of one session's counts, as they happen. ``thinned``: some were left out."""

    __slots__ = ("_columns", "_lines", "_most", "_numbers", "_pages", "_times", "thinned")

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._times, self._lines = array("d"), array("q")
        self._columns, self._pages = array("q"), array("q")
        self._most = MAX_CHANGES
        self.thinned = False

    def note(self, key: Hashable, pages: int | None, at: Point) -> None:
        """From now on firmware has so many pages of this function; None where that is not known."""
        column = self._numbers.setdefault(key, len(self._numbers))
        self._times.append(np.nan if at.time is None else at.time)
        self._lines.append(at.line)
        self._columns.append(column)
        self._pages.append(_UNKNOWN if pages is None else max(0, pages))
        if len(self._pages) > self._most:
            self.thin()

    def __len__(self) -> int:
        return len(self._pages)

    def timed(self) -> bool:
        """Every change has a time in seconds."""
        return not bool(np.isnan(np.array(self._times)).any())

    def table(self, *, by_line: bool) -> tuple[_Floats, _Ints, list[Hashable]]:
        """The times, the counts of each function (a column) from then on, and the functions; -1 is not known."""
        if len(self) > 4 * PARTS:
            self.thin()
        columns, pages, lines = np.array(self._columns), np.array(self._pages), np.array(self._lines)
        times = np.array(self._times)
        if not pages.size:
            return times, np.zeros((0, 0), np.int64), []
        starts, row_of = _rows(lines.astype(np.float64) if by_line else times, lines)
        rows = np.zeros((starts.size, len(self._numbers)), np.int64)
        order = np.argsort(columns, kind="stable")
        for mine in np.split(order, np.flatnonzero(np.diff(columns[order])) + 1):
            last = np.searchsorted(row_of[mine], np.arange(starts.size), side="right") - 1
            rows[:, columns[mine[0]]] = np.where(last >= 0, pages[mine[np.maximum(last, 0)]], 0)
        scale = lines[starts].astype(np.float64) if by_line else times[starts]
        return np.maximum.accumulate(scale), rows, list(self._numbers)

    def thin(self) -> None:
        """Leave out changes: what stays is bounded by ``MAX_LEFT``, or by the functions in ``LEAST_PARTS``."""
        n = len(self._pages)
        lines, columns, pages = np.array(self._lines), np.array(self._columns), np.array(self._pages)
        times = np.array(self._times)
        scale = np.maximum.accumulate(times) if self.timed() else lines.astype(np.float64)
        parts = PARTS
        which, moved_to = _folded(scale, lines, columns, pages, parts)
        while which.size > MAX_LEFT and parts > LEAST_PARTS:
            parts //= 2
            which, moved_to = _folded(scale, lines, columns, pages, parts)
        self._times, self._lines = array("d", times[moved_to].tolist()), array("q", lines[moved_to].tolist())
        self._columns, self._pages = array("q", columns[which].tolist()), array("q", pages[which].tolist())
        self._most = max(MAX_CHANGES, 2 * which.size)
        self.thinned = self.thinned or which.size < n


def _rows(times: _Floats, lines: _Ints) -> tuple[_Ints, _Ints]:
    """The first change of each row, and the row of each change: what one line changed is one row."""
    starts = np.flatnonzero(np.concatenate(([True], (np.diff(lines) != 0) | (np.diff(times) != 0))))
    return starts, np.searchsorted(starts, np.arange(lines.size), side="right") - 1


def _folded(scale: _Floats, lines: _Ints, columns: _Ints, pages: _Ints, parts: int) -> tuple[_Ints, _Ints]:
    """The changes that stay, and for each the change at whose time it stands: that of the next row that is kept."""
    starts, row_of = _rows(scale, lines)
    counts = np.maximum(pages, 0)
    order = np.argsort(columns, kind="stable")
    before = np.zeros(order.size, np.int64)
    same = np.flatnonzero(columns[order][1:] == columns[order][:-1]) + 1
    before[order[same]] = counts[order[same - 1]]
    totals = np.cumsum(counts - before)[np.append(starts[1:], counts.size) - 1]
    bounds = np.flatnonzero(np.diff(columns[order])) + 1
    peaks = [int(part[np.argmax(counts[part])]) for part in np.split(order, bounds)]
    peaks = sorted(peaks, key=lambda e: -int(counts[e]))[:MAX_FUNCTIONS]
    kept = np.union1d(corners(scale[starts], totals, parts), row_of[np.array(peaks, np.int64)])
    row = np.searchsorted(kept, row_of)
    key = row * (int(columns.max()) + 1) + columns
    _, first = np.unique(key[::-1], return_index=True)
    which = np.sort(columns.size - 1 - first)
    return which, starts[kept[row[which]]]


def corners(scale: _Floats, total: _Ints, parts: int) -> _Ints:
    """Of each part of the time the first, the last, the highest and the lowest row."""
    begin, end = float(scale[0]), float(scale[-1])
    part = np.zeros(scale.size, np.int64)
    if end > begin:
        part = np.minimum(((scale - begin) / (end - begin) * parts).astype(np.int64), parts - 1)
    starts = np.concatenate(([0], np.flatnonzero(np.diff(part)) + 1))
    stops = np.concatenate((starts[1:], [scale.size]))
    rows: list[int] = []
    for a, b in zip(starts.tolist(), stops.tolist(), strict=True):
        rows += [a, b - 1, a + int(total[a:b].argmax()), a + int(total[a:b].argmin())]
    return np.unique(np.array(rows, np.int64))


@dataclass(frozen=True, slots=True)
class Span:
    """The beginning and the end of a session, and how its times are to be read."""

    begin: Point
    end: Point
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class _Scale:
    """The scale of a series' times: the numbers of lines, or seconds after ``zero``."""

    axis: Axis
    origin: str | None = None
    zero: float = 0.0

    @property
    def by_line(self) -> bool:
        """Times are numbers of lines."""
        return self.axis == "line"

    def at(self, p: Point) -> float:
        """The time of this place."""
        return float(p.line) if self.by_line or p.time is None else round(p.time - self.zero, 6)


def _scale(span: Span, *, timed: bool) -> _Scale:
    """The scale of a session: lines where not every change, or not the whole of it, has a time."""
    if not timed or span.begin.time is None or span.end.time is None:
        return _Scale("line")
    return _Scale("seconds") if span.origin is None else _Scale("elapsed", span.origin, span.begin.time)


def series(
    recorder: Recorder | None,
    labels: Mapping[Hashable, Label],
    span: Span,
    *,
    marks: Sequence[tuple[Point, MarkKind, str]] = (),
    gaps: Sequence[tuple[Point, Point, str]] = (),
) -> Series:
    """The series of a session that is over, or as far as it has come. Functions without a label are left out."""
    rec = Recorder() if recorder is None else recorder
    scale = _scale(span, timed=rec.timed())
    times, table, keys = rec.table(by_line=scale.by_line)
    # nothing is held before the first change, and the last one's counts hold to the end
    times = np.concatenate(([scale.at(span.begin)], np.round(times - scale.zero, 6), [scale.at(span.end)]))
    times = np.maximum.accumulate(times)
    nothing = np.zeros((1, len(keys)), np.int64)
    table = np.concatenate((nothing, table, table[-1:] if table.shape[0] else nothing))
    rows = _by_label(table, keys, labels)
    kept, thinned = _thinned(times, [counts for _, counts in rows], PARTS)
    return Series(
        axis=scale.axis,
        origin=scale.origin,
        times=times[kept].tolist(),
        functions=_functions([(label, counts[kept]) for label, counts in rows]),
        marks=[Mark(at=scale.at(m), kind=kind, text=text, line=m.line or None) for m, kind, text in marks],
        gaps=[Gap(begin=scale.at(a), end=scale.at(b), text=text) for a, b, text in gaps],
        thinned=rec.thinned or thinned,
    )


def _by_label(table: _Ints, keys: Sequence[Hashable], labels: Mapping[Hashable, Label]) -> list[tuple[Label, _Ints]]:
    """The counts of each function that has a label; two columns of one function are summed."""
    sums: dict[Label, _Ints] = {}
    for i, key in enumerate(keys):
        label = labels.get(key)
        if label is not None:
            sums[label] = _sum([sums[label], table[:, i]]) if label in sums else table[:, i]
    return list(sums.items())


def _sum(columns: Sequence[_Ints]) -> _Ints:
    """The sum; not known where one is not."""
    unknown = np.any([c < 0 for c in columns], axis=0)
    total: _Ints = np.where(unknown, _UNKNOWN, np.sum(columns, axis=0))
    return total


def _thinned(times: _Floats, columns: Sequence[_Ints], parts: int) -> tuple[_Ints, bool]:
    """The rows that a series of so many parts keeps, and True where it leaves out some that say something."""
    if not columns:
        return np.array([0, times.size - 1], np.int64), False
    table = np.stack(columns)
    # a row that says what the one before says adds nothing
    news = np.concatenate(([True], np.any(table[:, 1:] != table[:, :-1], axis=0)))
    news[-1] = True
    rows = np.flatnonzero(news)
    if rows.size <= 4 * parts:
        return rows, False
    total = np.sum(np.maximum(table[:, rows], 0), axis=0)
    highest = sorted(columns, key=lambda c: -int(c.max()))[:MAX_FUNCTIONS]
    peaks = np.array([int(c[rows].argmax()) for c in highest], np.int64)
    kept = np.union1d(corners(times[rows], total, parts), peaks)
    return rows[kept], kept.size < rows.size


def _functions(rows: list[tuple[Label, _Ints]]) -> list[FunctionSeries]:
    """The functions with the highest peaks, each by itself in the order of their first page, and the rest by type."""
    by_peak = sorted(rows, key=lambda row: -int(row[1].max()))
    own = {label for label, _ in by_peak[:MAX_FUNCTIONS]}
    shown = [_function(label, counts) for label, counts in rows if label in own]
    rest: defaultdict[FunctionType, list[tuple[Label, _Ints]]] = defaultdict(list)
    for label, counts in rows:
        if label not in own:
            rest[label.type].append((label, counts))
    for kind, several in rest.items():
        proven = all(label.proven for label, _ in several)
        counts = _sum([c for _, c in several])
        shown.append(
            FunctionSeries(identity="", type=kind, functions=len(several), proven=proven, pages=_counts(counts))
        )
    return shown


def _function(label: Label, counts: _Ints) -> FunctionSeries:
    return FunctionSeries(
        identity=label.identity,
        generation=label.generation,
        type=label.type,
        name=label.name,
        proven=label.proven,
        pages=_counts(counts),
    )


def _counts(counts: _Ints) -> list[int | None]:
    return [None if n < 0 else n for n in counts.tolist()]


def within(several: Iterable[Series | None]) -> list[Series | None]:
    """The series of one report, thinned further where all of them together have more than ``MAX_NUMBERS``."""
    rows = list(several)
    numbers = sum(_size(s) for s in rows if s is not None)
    if numbers <= MAX_NUMBERS:
        return rows
    share = MAX_NUMBERS / numbers
    return [None if s is None else shortened(s, max(1, int(len(s.times) * share / 4))) for s in rows]


def _size(s: Series) -> int:
    return len(s.times) * (1 + len(s.functions))


def shortened(s: Series, parts: int) -> Series:
    """The same series with the corners of so many parts of its time."""
    columns = [np.array([_UNKNOWN if n is None else n for n in f.pages], np.int64) for f in s.functions]
    rows, thinned = _thinned(np.array(s.times), columns, parts)
    if not thinned:
        return s
    kept = rows.tolist()
    functions = [msgspec.structs.replace(f, pages=[f.pages[i] for i in kept]) for f in s.functions]
    return msgspec.structs.replace(s, times=[s.times[i] for i in kept], functions=functions, thinned=True)
