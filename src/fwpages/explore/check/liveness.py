"""Does it come about in the end? On the finished graph of a search: rest without it, or a round that never meets it.

Users, faults and untimely time-outs are free to stay away. Everything else is fair: a process that could move in every
state of a round, and never does, is not a round that can go on for ever.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass

from fwpages.explore.check.expand import Arc
from fwpages.explore.model.moves import Freedom

#: where a transition leads that is not gone on from, because a step is broken: what follows is not known
CUT = -1


@dataclass(frozen=True, slots=True)
class Stuck:
    """A state from which a goal may never come; ``loop`` are the moves of a round back to it, if any."""

    state: int
    loop: tuple[int, ...] = ()


class Graph:
    """States in the order in which they were found, their contentment, and the arcs between them."""

    def __init__(self, content: int) -> None:
        self._content = array("B", [content])
        self._from, self._to = array("q"), array("q")
        self._move, self._free, self._kind = array("H"), array("B"), array("B")
        self._kinds: dict[str, int] = {}

    def add(self, content: int) -> None:
        """The next state."""
        self._content.append(content)

    def arc(self, state: int, target: int, arc: Arc) -> None:
        """A transition; those of one state come together, and states in their order."""
        self._from.append(state)
        self._to.append(target)
        self._move.append(arc.move)
        self._free.append(arc.freedom)
        self._kind.append(self._kinds.setdefault(arc.process, len(self._kinds)))

    def stuck(self, goal: int, *, users_act: bool) -> Stuck | None:
        """The first state that may never come to be content; None where every one does."""
        most = Freedom.USER if users_act else Freedom.OBLIGED
        unmet = [not c >> goal & 1 for c in self._content]
        out: list[list[int]] = [[] for _ in unmet]
        for n, state in enumerate(self._from):
            if unmet[state] and self._free[n] <= most:
                out[state].append(n)
        for state, arcs in enumerate(out):
            if unmet[state] and not arcs:
                return Stuck(state)
        inside = {s for s, is_unmet in enumerate(unmet) if is_unmet}
        found = [r for r in _rounds(inside, {s: [self._to[n] for n in out[s]] for s in inside}) if self._fair(r, out)]
        if not found:
            return None
        state = min(min(r) for r in found)
        return Stuck(state, self._loop(state, next(r for r in found if state in r), out))

    def _fair(self, ring: set[int], out: list[list[int]]) -> bool:
        """No process stays away from this round that could move in each of its states."""
        able = set.intersection(*({self._kind[n] for n in out[s]} for s in ring))
        moving = {self._kind[n] for s in ring for n in out[s] if self._to[n] in ring}
        return able <= moving

    def _loop(self, start: int, ring: set[int], out: list[list[int]]) -> tuple[int, ...]:
        """The shortest way round."""
        came: dict[int, tuple[int, int]] = {}
        queue = deque([start])
        while queue:
            state = queue.popleft()
            for n in out[state]:
                to = self._to[n]
                if to == start:
                    moves = [self._move[n]]
                    while state != start:
                        state, move = came[state]
                        moves.append(move)
                    return tuple(reversed(moves))
                if to in ring and to not in came:
                    came[to] = state, self._move[n]
                    queue.append(to)
        return ()


def _rounds(nodes: set[int], successors: dict[int, list[int]]) -> list[set[int]]:
    """The strongly connected parts that have an arc inside (Tarjan's algorithm, without recursion)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    found: list[set[int]] = []
    for root in sorted(nodes):
        if root in order:
            continue
        work = [(root, iter(successors[root]))]
        order[root] = low[root] = len(order)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, rest = work[-1]
            step = next((m for m in rest if m in nodes), None)
            if step is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    part = set()
                    while node not in part:
                        part.add(stack.pop())
                    on_stack -= part
                    if len(part) > 1 or node in successors[node]:
                        found.append(part)
            elif step not in order:
                order[step] = low[step] = len(order)
                stack.append(step)
                on_stack.add(step)
                work.append((step, iter(successors[step])))
            elif step in on_stack:
                low[node] = min(low[node], order[step])
    return found
