"""Pages over time as lines of braille for a terminal: two columns and four rows of dots in each character."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from fwpages.pages.words import in_mib, size
from fwpages.report.page.content import Chart, Row
from fwpages.report.page.figure import axis_words, few, summed, tick

#: columns of a plot with its axis, and its rows; a narrower screen gets no fewer than ``LEAST``
WIDTH, HEIGHT, LEAST = 80, 10, 40
#: the dots of a character: column by column, from the top
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK = 0x2800


def plot(chart: Chart, width: int = WIDTH) -> list[str]:
    """The lines of a plot: the sum of all functions, with the functions that have most of it below."""
    inside = max(LEAST, width) - _MARGIN
    sums = summed(chart.rows) or (0,) * len(chart.times)
    most = max((n for n in sums if n is not None), default=0)
    canvas = _canvas(chart, sums, most, inside)
    lines = [chart.title, *_body(canvas, most), _flag_line(chart, inside)]
    lines += [_axis(chart, inside), axis_words(chart).center(inside + _MARGIN).rstrip()]
    lines += [f"  {words}" for words in _legend(chart.rows)]
    return [line for line in lines if line.strip()]


#: columns of the axis on the left
_MARGIN = 17


def _canvas(chart: Chart, sums: Sequence[int | None], most: int, inside: int) -> list[list[int]]:
    """The dots: of each column of dots all counts that hold within it, from the lowest to the highest."""
    cells = [[0] * inside for _ in range(HEIGHT)]
    begin, end = (chart.times[0], chart.times[-1]) if chart.times else (0.0, 0.0)
    wide, high = inside * 2, HEIGHT * 4
    before: int | None = None
    for i, n in enumerate(sums):
        here = _column(chart.times[i], begin, end, wide)
        then = _column(chart.times[i + 1], begin, end, wide) if i + 1 < len(sums) else here
        if n is not None:
            level = _level(n, most, high)
            for y in _between(level, level if before is None else _level(before, most, high)):
                _dot(cells, here, high - 1 - y)
            for x in range(here, then + 1):
                if not _missing(chart, x, begin, end, wide):
                    _dot(cells, x, high - 1 - level)
        before = n
    return cells


def _column(t: float, begin: float, end: float, wide: int) -> int:
    return 0 if end <= begin else min(wide - 1, int((t - begin) / (end - begin) * wide))


def _level(n: int, most: int, high: int) -> int:
    return 0 if not most else round(n / most * (high - 1))


def _between(a: int, b: int) -> range:
    """The levels from the lower to the higher of two, both included."""
    return range(min(a, b), max(a, b) + 1)


def _missing(chart: Chart, x: int, begin: float, end: float, wide: int) -> bool:
    """The column lies within a gap of the input."""
    return any(_column(a, begin, end, wide) < x < _column(b, begin, end, wide) for a, b, _ in chart.gaps)


def _dot(cells: list[list[int]], x: int, y: int) -> None:
    cells[y // 4][x // 2] |= _DOTS[x % 2][y % 4]


def _body(cells: Sequence[Sequence[int]], most: int) -> Iterator[str]:
    for n, row in enumerate(cells):
        label = ""
        if n in (0, HEIGHT // 2):
            pages = most if n == 0 else round(most * (1 - n / HEIGHT))
            label = f"{pages:,} ({size(pages)} MiB)" if pages < 100_000 else f"{size(pages)} MiB"
        label = "0 pages" if n == HEIGHT - 1 else label
        label = label if cell_len(label) < _MARGIN - 1 else label.split(" (")[0]
        yield f"{label:>{_MARGIN - 2}} ┤{''.join(chr(_BLANK + dots) for dots in row)}".rstrip(chr(_BLANK))


def _flag_line(chart: Chart, inside: int) -> str:
    """A line with a mark for each event: ! for a finding, a small triangle for another."""
    marks = [" "] * inside
    begin, end = (chart.times[0], chart.times[-1]) if chart.times else (0.0, 0.0)
    for f in sorted(chart.flags, key=lambda f: f.kind == "finding"):
        if begin <= f.at <= end:
            marks[_column(f.at, begin, end, inside * 2) // 2] = "!" if f.kind == "finding" else "▴"
    line = "".join(marks)
    return f"{'events':>{_MARGIN - 2}}  {line}".rstrip() if line.strip() else ""


def _axis(chart: Chart, inside: int) -> str:
    if not chart.times:
        return ""
    begin, end = chart.times[0], chart.times[-1]
    left, middle, right = (tick(chart, t) for t in (begin, (begin + end) / 2, end))
    row = f"{left}{middle:^{max(1, inside - len(left) - len(right))}}{right}"
    return " " * _MARGIN + row


def _legend(rows: Sequence[Row]) -> Iterator[str]:
    for row in few(rows):
        known = [n for n in row.pages if n is not None]
        last = row.pages[-1] if row.pages else None
        now = "not known" if last is None else in_mib(last)
        words = f"{row.label} {row.kind}".strip()
        guess = "" if row.proven else ", not proven"
        yield f"{words}: at most {max(known, default=0):,}, at the end {now}{guess}"
