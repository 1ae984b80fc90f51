"""A test of what every search rests on: equal keys mean equal futures, and a second run offers the same moves.

Theory of operation. A search takes two states of one key for the same and expands only the first. That is right if the
key has everything that decides the future, of the world and of both machines in it. A forgotten field would hide
states, and with them findings, without a trace in any count. So ``compare`` searches breadth first without that
shortcut: when it meets a key again by another path, it lists everything that this second state offers (each move in
words, its process and freedom, the key of the state after it, the properties that are seen there) and compares it
with what the first one offered. By induction over depth, equal offers at every state mean equal futures.

Labels that no key has (session numbers) are taken out of the words before they are compared. ``twice`` walks one path
in two worlds that were built apart: a difference there means that something depends on chance or on a shared object.

This is slower than a search by far, so it is for tests.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from fwpages.explore.check.expand import Tests, seen
from fwpages.explore.check.search import Path
from fwpages.explore.model.moves import Freedom, moves, take
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.wording import move_words
from fwpages.explore.model.world import World

#: the number of an old session is a label: all that matters is that it is old
_SESSION = re.compile(r"of session \d+")


class Offer(NamedTuple):
    """A move that a world offers: in words, its process and freedom, the key after it, the properties seen there."""

    words: str
    process: str
    freedom: Freedom
    key: bytes
    seen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsound:
    """Two paths to states of one key that offer different things."""

    first: Path
    second: Path
    difference: str


@dataclass(frozen=True, slots=True)
class Compared:
    """The numbers of states and of comparisons, and the first difference, if any."""

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
            text = _SESSION.sub("of an old session", move_words(w, act))
            out.append((n, Offer(text, act.process, act.freedom(w), after.key(), names)))
    return out


def compare(spec: Spec, states: int = 1_000) -> Compared:
    """Search breadth first up to ``states`` states, and compare each that is met again with the first of its key."""
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
            if _listed(spec, before) != _listed(spec, offered):
                return Compared(len(known), again, Unsound(first, path, _difference(before, offered)))
            continue
        known[key] = path, offered
        acts = moves(w)
        for n, _ in offered:
            after = take(w, acts[n])
            if after is not None:
                waiting.append(((*path, n), after))
    return Compared(len(known), again, None)


def _listed(spec: Spec, offered: list[tuple[int, Offer]]) -> list[tuple[int, Offer]]:
    """The offers to compare: where commuting moves leave no order behind, in an order of their own."""
    return [(0, offer) for offer in sorted(offer for _, offer in offered)] if spec.commuting else offered


def twice(spec: Spec, path: Path) -> str:
    """Walk a path in two worlds that were built apart; returns the first difference in words, or nothing."""
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
