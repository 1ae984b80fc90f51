"""Verdicts on sources, broken or not: plain values, for the program that asks and the one that answers."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec

#: the file of ``Clean`` in a copy
CLEAN = "clean.json"
#: the least processor time that random walks are given beside a search, in seconds
LEAST = 2.0
#: walks on unbroken sources, which tell how often a world's points are reached
TRIED = 40


class CleanWorld(msgspec.Struct, frozen=True):
    """A world on unbroken sources. ``seconds``: of its search. ``shares``: of random walks, that reach each point.

    ``missed``: points that no order comes to under the assumption that is changed.
    """

    states: int
    transitions: int
    seconds: float
    shares: dict[str, float]
    missed: tuple[str, ...] = ()


class Clean(msgspec.Struct, frozen=True):
    """All worlds on unbroken sources, the smallest first."""

    worlds: dict[str, CleanWorld]

    @property
    def seconds(self) -> float:
        """One pass of the search."""
        return sum(w.seconds for w in self.worlds.values())


class Verdict(msgspec.Struct, frozen=True):
    """``what`` is ``holds``, ``broken``, ``missed``, ``raised`` or ``not ended``; ``world`` and ``detail`` say where.

    ``seconds`` of processor time until then, ``done`` worlds searched or walks walked by then. ``changed``: worlds that
    hold, in another number of states or transitions; that finds nothing by itself.
    """

    what: str
    seconds: float
    done: int
    world: str = ""
    detail: str = ""
    changed: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        return self.what != "holds"


class Verdicts(msgspec.Struct, frozen=True):
    """Of the search, and of random walks."""

    search: Verdict
    walks: Verdict


def statement(source: str, line: int) -> set[int]:
    """The lines of the smallest statement around a line; of one with a body only those above the body."""
    around = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    if not around:
        return {line}
    least = min(around, key=lambda node: (node.end_lineno or node.lineno) - node.lineno)
    lines = set(range(least.lineno, (least.end_lineno or least.lineno) + 1))
    for inner in ast.walk(least):
        if isinstance(inner, ast.stmt) and inner is not least:
            lines -= set(range(inner.lineno, (inner.end_lineno or inner.lineno) + 1))
    return lines


def executed(path: Path, line: int, lines: set[int]) -> bool:
    """True if the statement at this line is among the lines that were executed."""
    return bool(statement(path.read_text("utf-8"), line) & lines)
