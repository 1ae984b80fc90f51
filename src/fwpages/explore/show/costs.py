"""The cost of a search, for a terminal: by moves and by properties, and its pace while it runs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from fwpages.explore.check.stats import Stats
from fwpages.pages.words import many
from fwpages.report.grids import print_whole

#: levels from which the pace and the growth are taken
LAST = 12
#: levels that shrink by less in the mean may as well grow: then no time is left that could be told
SHRINKING = 0.98


def show_stats(stats: Stats, console: Console) -> None:
    """Print the costs, the greatest first."""
    moves, properties = Table(box=None, pad_edge=False), Table(box=None, pad_edge=False)
    for table, columns in (
        (moves, ("move", "transitions", "new states", "seconds")),
        (properties, ("property", "tested", "seconds")),
    ):
        for n, column in enumerate(columns):
            table.add_column(column, justify="right" if n else "left")
    for name, m in sorted(stats.moves.items(), key=lambda x: -x[1].seconds):
        moves.add_row(name, f"{m.transitions:,}", f"{m.states:,}", f"{m.seconds:.2f}")
    for name, p in sorted(stats.properties.items(), key=lambda x: -x[1].seconds):
        properties.add_row(name, f"{p.times:,}", f"{p.seconds:.2f}")
    for table in (moves, properties):
        console.print()
        print_whole(table, console, 2)


@dataclass(slots=True)
class Pace:
    """How a search goes on: what is known after each level, of which the last ones say how fast it is."""

    #: of each level: when it ended (seconds), the states so far, the states of the next level
    levels: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=LAST))

    def words(self, now: float, step: int, states: int, ahead: int, memory: int | None) -> str:
        """The progress after a level, in words; ``memory`` in bytes, None where it is not known."""
        self.levels.append((now, states, ahead))
        parts = [f"step {step:,}: {many(states, 'state')}"]
        speed = self._speed()
        if speed is not None:
            parts.append(f"{speed:,.0f}/s")
        parts.append(f"{ahead:,} to go on from")
        if memory is not None:
            parts.append(f"{memory / 1e6:,.0f} MB")
        return ", ".join([*parts, *([] if speed is None else [self._left(speed)])])

    def _speed(self) -> float | None:
        """New states a second, over the last levels."""
        first, last = self.levels[0], self.levels[-1]
        return (last[1] - first[1]) / (last[0] - first[0]) if last[0] > first[0] else None

    def _left(self, speed: float) -> str:
        """The time that is left if levels go on to shrink as the last ones did."""
        sizes = [ahead for _, _, ahead in self.levels]
        growth = sum(b / a for a, b in pairwise(sizes) if a) / max(len(sizes) - 1, 1)
        if not 0 < growth < SHRINKING or not speed:
            return "levels do not shrink yet"
        seconds = sizes[-1] * growth / (1 - growth) / speed
        return f"about {seconds:,.0f} s left" if seconds < 120 else f"about {seconds / 60:,.0f} min left"
