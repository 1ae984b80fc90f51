"""The path of an exploration that a picture or a trace shows: a counterexample, or one without any where all holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fwpages.explore.check.random_walks import LONGEST, Walks
from fwpages.explore.check.replay import decode, walk
from fwpages.explore.check.search import Outcome, Path
from fwpages.explore.model.moves import Freedom, moves, take
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World
from fwpages.explore.show.narrative import Step, narrate
from fwpages.explore.show.report import ExploreReport, PropertyReport, ReplayReport
from fwpages.pages.words import many

#: the result of a search or of random walks
Found: TypeAlias = Outcome | Walks


@dataclass(frozen=True, slots=True)
class ShownPath:
    """A path to show. ``title`` says which one it is; ``broken``: what is broken at its last step."""

    spec: Spec
    path: Path
    title: str
    broken: tuple[str, ...] = ()

    @property
    def steps(self) -> Sequence[Step]:
        """Its steps in words."""
        return narrate(walk(self.spec, self.path))


def replayed_path(spec: Spec, path: Path, report: ReplayReport) -> ShownPath:
    """The path of a replay string."""
    return ShownPath(spec, path, "; ".join(report.marks) or _name(spec), report.marks)


def counterexamples(report: ExploreReport, spec: Spec) -> list[ShownPath]:
    """The path to each broken property, in the order of the report."""
    return [_counterexample(row, spec) for row in report.properties if row.verdict == "broken"]


def chosen(report: ExploreReport, found: Found) -> ShownPath:
    """The one path that stands for an exploration.

    A shortest counterexample. Where nothing is broken, the path to the point of *sometimes* that is farthest from the
    start; in a world without such points, a run without faults.
    """
    broken = [row for row in report.properties if row.verdict == "broken"]
    if broken:
        first = min(broken, key=lambda row: len(row.steps) + len(row.loop))
        shown = _counterexample(first, found.spec)
        if len(broken) == 1:
            return shown
        title = f"{shown.title} (a shortest of {len(broken)} counterexamples)"
        return ShownPath(shown.spec, shown.path, title, shown.broken)
    so_far = "" if report.verdict == "holds" else " so far"
    if not found.reached:
        path = _run(found.spec)
        which = f"a run without faults, {many(len(path), 'step')}"
    else:
        name, path = max(found.reached.items(), key=lambda point: len(point[1]))
        which = f"the path to {name}, the farthest of its points: {many(len(path), 'step')}"
    return ShownPath(found.spec, path, f"{_name(found.spec)}: nothing is broken{so_far}; {which}")


def _counterexample(row: PropertyReport, spec: Spec) -> ShownPath:
    its, path = decode(spec, row.replay)
    return ShownPath(its, path, f"{_name(its)}: {row.mark}", (row.mark,))


def _name(spec: Spec) -> str:
    return f"{spec.name}, driven by {spec.design}"


def _run(spec: Spec) -> Path:
    """A run in which everyone does its part at once: up to its end, to a state that was there, or to ``LONGEST``."""
    w, path = spec.build(), list[int]()
    known = {w.key()}
    while len(path) < LONGEST:
        step = next(((n, after) for n, after in _orderly(w) if after.key() not in known), None)
        if step is None:
            break
        path.append(step[0])
        w = step[1]
        known.add(w.key())
    return tuple(path)


def _orderly(w: World) -> Iterator[tuple[int, World]]:
    """The possible moves that are neither faults nor early time-outs, each with the state after it."""
    for n, move in enumerate(moves(w)):
        after = None if move.freedom(w) is Freedom.OPTIONAL else take(w, move)
        if after is not None:
            yield n, after
