"""Cases timed in rounds, the peers' rounds between them, and their results."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from fwpages.bench.shape import Case, Round

#: the fewest rounds that a median is taken of
LEAST_ROUNDS = 5


class Peer(Protocol):
    """Another implementation of a case."""

    @property
    def name(self) -> str:
        """Its name in the results."""

    def run(self, case: Case) -> Round | None:
        """One round, in the case's unit; None for a case that it does not have."""


@dataclass(frozen=True, slots=True)
class Result:
    """One part of a case beside one peer (or none): medians of the rounds.

    ``ns_per_page`` is None where a case has no pages or is not about time; ``value`` is the median in ``unit``
    (seconds of the whole, or bytes) and ``spread`` its least and most, in the unit of the figure that is shown: ns per
    page, bytes per page, or seconds. ``ratio`` is our median divided by the peer's.
    """

    case: str
    part: str
    pages: int
    batch: int
    functions: int
    order: str
    ns_per_page: float | None
    bytes_per_page: float | None
    seconds: float | None
    spread: tuple[float, float]
    peer: str | None
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """The result of ``bench --json``."""

    rounds: int
    results: list[Result]
    schema: str = "bench/1"


Watch: TypeAlias = Callable[[Case], None]


def timed(cases: Sequence[Case], rounds: int, peers: Sequence[Peer] = (), watch: Watch | None = None) -> list[Result]:
    """Every case: one round that does not count, then ``rounds`` of ours, each followed by one of each peer."""
    return [r for case in cases for r in _case(case, rounds, peers, watch)]


def _case(case: Case, rounds: int, peers: Sequence[Peer], watch: Watch | None) -> Iterator[Result]:
    _round(case, peers, watch)  # it does not count: caches are filled, and memory is mapped
    ours, by_peer = zip(*(_round(case, peers, watch) for _ in range(rounds)), strict=True)
    theirs = {p.name: [r for r in (row[p.name] for row in by_peer) if r is not None] for p in peers}
    for part, order in case.parts.items():
        compared = [(name, of) for name, of in theirs.items() if of and part in of[0]]
        if not compared:
            yield _result(case, part, order, ours, None, [])
        for name, of in compared:
            yield _result(case, part, order, ours, name, of)


def _round(case: Case, peers: Sequence[Peer], watch: Watch | None) -> tuple[Round, dict[str, Round | None]]:
    """One round of ours and one of each peer; None for a case that a peer does not have."""
    if watch is not None:
        watch(case)
    return case.run(case.shape), {p.name: p.run(case) for p in peers}


def _result(case: Case, part: str, order: str, ours: Sequence[Round], peer: str | None, theirs: list[Round]) -> Result:
    mine = [r[part] for r in ours]
    value, pages = statistics.median(mine), case.shape.pages
    scale = (1.0 if case.unit == "bytes" else 1e9) / pages if pages else 1.0
    seconds = case.unit == "seconds"
    return Result(
        case.name,
        part,
        pages,
        case.shape.batch,
        case.shape.functions,
        order,
        value * scale if pages and seconds else None,
        value * scale if not seconds else None,
        value if seconds else None,
        (min(mine) * scale, max(mine) * scale),
        peer,
        value / statistics.median(r[part] for r in theirs) if theirs else None,
    )
