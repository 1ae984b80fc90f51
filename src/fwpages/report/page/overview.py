"""All sessions of an input in one chart, by type: where a machine was opened often, this is what grew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fwpages.custody.accounts import SessionAccount, Verdict
from fwpages.custody.series import Series, corners
from fwpages.prm.identity import FunctionType
from fwpages.readers.clocks import seconds_of
from fwpages.report.kinds import kind
from fwpages.report.page.content import Chart, Flag, Row

#: parts of the time of the chart, of each of which the first, the last, the highest and the lowest sum stay
PARTS = 300
#: sessions whose beginnings are marked one by one; of more, those with findings
MAX_FLAGS = 60


def overview(name: str, sessions: Sequence[SessionAccount], anchor: str = "") -> Chart | None:
    """The chart; None for one session alone, or where the times of sessions cannot be put on one axis.

    ``anchor`` is that of a session without its number, where a mark is to lead to it.
    """
    drawn = [(n, s, s.series) for n, s in enumerate(sessions, 1) if s.series is not None and s.series.functions]
    if len(drawn) < 2:
        return None
    shifts = _shifts(drawn)
    if shifts is None:
        return None
    events = _events(drawn, shifts)
    times, table, kinds = _sums(events)
    kept = _kept(times, table.sum(axis=0))
    return Chart(
        title=f"All sessions of {name}",
        axis=drawn[0][2].axis,
        origin=drawn[0][2].origin,
        times=tuple(np.round(times[kept], 6).tolist()),
        rows=tuple(Row(kind(t, None), "", True, tuple(int(n) for n in table[i, kept])) for i, t in enumerate(kinds)),
        flags=_flags(drawn, _starts(drawn, shifts), anchor),
        thinned=kept.size < times.size,
    )


def _begin(line: Series) -> float | None:
    """The seconds of the session's first line on the input's own clock; 0 where the times are the input's."""
    return seconds_of(line.origin) if line.origin else 0.0


_Drawn = Sequence[tuple[int, SessionAccount, Series]]


def _shifts(drawn: _Drawn) -> list[float] | None:
    """The seconds from the beginning of the first session to that of each; None where they have no common axis."""
    axes = {line.axis for _, _, line in drawn}
    begins = [_begin(line) for _, _, line in drawn]
    if len(axes) > 1 or None in begins:
        return None
    zero = begins[0] or 0.0
    shifts = [(b or 0.0) - zero for b in begins]
    starts = _starts(drawn, shifts)
    if any(a < b for a, b in zip(starts[1:], starts, strict=False)):
        return None  # the clock began anew: the machine was started again
    return shifts


def _starts(drawn: _Drawn, shifts: Sequence[float]) -> list[float]:
    """The time of the first row of each session on the common axis."""
    return [shift + line.times[0] for shift, (_, _, line) in zip(shifts, drawn, strict=True)]


def _flags(drawn: _Drawn, starts: Sequence[float], anchor: str) -> tuple[Flag, ...]:
    """A mark at the beginning of each session; of many sessions, only of those with findings."""
    flags = [
        Flag(
            at,
            "finding" if s.verdict is Verdict.FINDINGS else "session",
            f"session {n} of {s.device} begins: {s.verdict}",
            f"{anchor}{n}" if anchor else "",
        )
        for at, (n, s, _) in zip(starts, drawn, strict=True)
        if len(drawn) <= MAX_FLAGS or s.verdict is Verdict.FINDINGS
    ]
    return tuple(flags[:MAX_FLAGS])


def _events(drawn: _Drawn, shifts: Sequence[float]) -> list[tuple[float, tuple[int, int], FunctionType, int]]:
    """Each change of each function's count: the time, the function, its type, the pages; after its session, none."""
    events: list[tuple[float, tuple[int, int], FunctionType, int]] = []
    last_of = {s.device: i for i, (_, s, _) in enumerate(drawn)}
    for i, ((_, s, line), shift) in enumerate(zip(drawn, shifts, strict=True)):
        for j, f in enumerate(line.functions):
            before = 0
            for t, n in zip(line.times, f.pages, strict=True):
                now = before if n is None else n
                if now != before:
                    events.append((t + shift, (i, j), f.type, now))
                before = now
            if before and last_of[s.device] > i:
                events.append((line.times[-1] + shift, (i, j), f.type, 0))
    return sorted(events, key=lambda e: e[0])


def _sums(
    events: Sequence[tuple[float, tuple[int, int], FunctionType, int]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], list[FunctionType]]:
    """The times of the changes, and the pages of each type from then on."""
    kinds = list(dict.fromkeys(kind_of for _, _, kind_of, _ in events))
    before: dict[tuple[int, int], int] = {}
    steps = np.zeros((len(kinds), len(events)), np.int64)
    for i, (_, who, kind_of, pages) in enumerate(events):
        steps[kinds.index(kind_of), i] = pages - before.get(who, 0)
        before[who] = pages
    return np.array([t for t, *_ in events]), np.cumsum(steps, axis=1), kinds


def _kept(times: npt.NDArray[np.float64], total: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The rows that stay where there are many."""
    return np.arange(times.size) if times.size <= 4 * PARTS else corners(times, total, PARTS)
