"""Which mutants are made: Cosmic Ray knows all of them, a seeded draw keeps a few."""

from __future__ import annotations

import ast
import random
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from cosmic_ray.commands import init
from cosmic_ray.work_db import WorkDB, use_db

ROOMS = ("pages", "prm", "custody", "host")
PACKAGE = Path("src/fwpages")

#: line and column, first and behind the last
Span = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Mutant:
    """One change of one place; ``number`` is its place in the draw."""

    number: int
    room: str
    path: Path
    line: int
    operator: str
    spec: Any  # of Cosmic Ray, which has no types

    def __str__(self) -> str:
        return f"{self.number}: {self.path.relative_to(PACKAGE)}:{self.line} {self.operator}"


def annotated(source: str) -> list[Span]:
    """Where annotations are: with ``from __future__ import annotations`` they are never evaluated."""
    found: list[Span] = []
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            a = getattr(node, name, None)
            if isinstance(a, ast.expr):
                found.append(((a.lineno, a.col_offset), (a.end_lineno or a.lineno, a.end_col_offset or a.col_offset)))
    return found


def all_specs(root: Path, room: str) -> list[Any]:
    """Every mutation of a room's files outside annotations, in the order of the source."""
    paths = sorted((root / PACKAGE / room).rglob("*.py"))
    skip = {p: annotated(p.read_text("utf-8")) for p in paths}
    with use_db(":memory:", WorkDB.Mode.create) as db:
        init(paths, db, {})
        specs = [m for item in db.work_items for m in item.mutations]
    specs = [s for s in specs if not any(a <= s.start_pos and s.end_pos <= b for a, b in skip[s.module_path])]
    return sorted(specs, key=lambda s: (s.module_path, s.start_pos, s.end_pos, s.operator_name, s.occurrence))


def draw(root: Path, rooms: tuple[str, ...], seed: int, count: int) -> tuple[list[Mutant], dict[str, int]]:
    """Places drawn without repetition, at each of them one mutation; and how many places each room has.

    A place is drawn rather than a mutation, because one ``==`` has ten mutations and one ``not`` has one.
    """
    places: list[tuple[str, list[Any]]] = []
    for room in rooms:
        specs = all_specs(root, room)
        at = groupby(specs, key=lambda s: (s.module_path, s.start_pos, s.end_pos))
        places += [(room, list(here)) for _, here in at]
    sizes = {room: sum(r == room for r, _ in places) for room in rooms}
    chance = random.Random(seed)
    mutants = []
    for number, (room, here) in enumerate(chance.sample(places, min(count, len(places))), 1):
        spec = chance.choice(here)
        path = spec.module_path.relative_to(root)
        operator = spec.operator_name.removeprefix("core/")
        mutants.append(Mutant(number, room, path, spec.start_pos[0], operator, spec))
    return mutants, sizes
