"""The shape of a case: so many pages, in commands of so many, of so many functions; and the figures of one round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

#: the figures of one round: part of the case (give, take, …) → seconds, or bytes where the case is about memory
Round: TypeAlias = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Shape:
    """``pages`` of 4 KiB in commands of ``batch``, for ``functions`` that take turns; ``pages`` is over all of them."""

    pages: int
    batch: int = 0
    functions: int = 1

    @property
    def each(self) -> int:
        """Pages of each function."""
        return self.pages // self.functions

    def turns(self) -> list[tuple[int, int]]:
        """The batches of one function, as (first, pages): the last may be smaller."""
        return [(at, min(self.batch, self.each - at)) for at in range(0, self.each, self.batch)]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is timed.

    ``parts`` are the keys of a round that are reported, each with its order of addresses; ``unit`` is what a round's
    figures are: seconds, shown per page where the case has pages, or bytes.
    """

    name: str
    what: str
    shape: Shape
    parts: Mapping[str, str]
    run: Callable[[Shape], Round]
    unit: str = "seconds"
