"""Do equal keys mean equal futures, and does a second run offer the same choices? A search rests on both.

Slower than a search, so it is for tests: whenever a state is met again by another way, what that world offers is
compared with what the first one offered.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from fwpages.explore.check.expand import Tests, seen
from fwpages.explore.check.search import Path
from fwpages.explore.model.moves import moves, take
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.wording import move_words
from fwpages.explore.model.world import World

#: sessions are numbered over a world's life; all that matters of an old one is that it is old
_SESSION = re.compile(r"of session \d+")


class Offer(NamedTuple):
    """A move that a world offers: what it is, who may leave it out, where it leads, and what the properties see."""

    words: str
    kind: str
    free: int
    key: bytes
    seen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsound:
    """Two ways to states of one key that offer different things."""

    first: Path
    second: Path
    difference: str


@dataclass(frozen=True, slots=True)
class Compared:
    """How much was compared, and the first difference, if any."""

    states: int
    again: int
    unsound: Unsound | None


def offers(w: World, tests: Tests) -> list[tuple[int, Offer]]:
    """Everything that can happen next, with its place in ``moves``."""
    out = []
    for n, act in enumerate(moves(w)):
        after = take(w, act)
        if after is not None:
            names = tuple(name for name, _ in seen([*tests.points, *tests.bad_steps, *tests.bad_states], after))
            said = _SESSION.sub("of an old session", move_words(w, act))
            out.append((n, Offer(said, act.process, act.freedom(w), after.key(), names)))
    return out


def compare(spec: Spec, states: int = 1_000) -> Compared:
    """Search breadth first up to so many states, and compare each that is met again with what was met first."""
    root = spec.build()
    tests = Tests(root.rules.scenario)
    known: dict[bytes, tuple[Path, list[tuple[int, Offer]]]] = {}
    waiting: deque[tuple[Path, World]] = deque([((), root)])
    again = 0
    while waiting and len(known) < states:
        path, w = waiting.popleft()
        key, offered = w.key(), offers(w, tests)
        if key in known:
            again += 1
            first, before = known[key]
            if before != offered:
                return Compared(len(known), again, Unsound(first, path, _difference(before, offered)))
            continue
        known[key] = path, offered
        acts = moves(w)
        for n, _ in offered:
            after = take(w, acts[n])
            if after is not None:
                waiting.append(((*path, n), after))
    return Compared(len(known), again, None)


def twice(spec: Spec, path: Path) -> str:
    """Walk a path in two worlds that were built apart; what differs on the way, empty where nothing does."""
    first, second = spec.build(), spec.build()
    tests = Tests(first.rules.scenario)
    for step, n in enumerate((*path, None)):
        a, b = offers(first, tests), offers(second, tests)
        if a != b or first.key() != second.key():
            return f"after step {step}: {_difference(a, b) or 'the keys differ'}"
        if n is not None:
            after = take(first, moves(first)[n]), take(second, moves(second)[n])
            if after[0] is None or after[1] is None:
                return f"step {step + 1} is not possible"
            first, second = after[0], after[1]
    return ""


def _difference(first: list[tuple[int, Offer]], second: list[tuple[int, Offer]]) -> str:
    for a, b in zip(first, second, strict=False):
        if a != b:
            return f"{a} in the first, {b} in the second"
    more = first[len(second) :] or second[len(first) :]
    return f"only one of them offers {more[0]}" if more else ""
