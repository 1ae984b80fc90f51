"""Liveness on the finished graph of a search: a terminal state that does not meet a goal, or a fair cycle without it.

A goal may never come in two cases. A terminal state does not meet it: no process is obliged to move there. Or a cycle
leads only through states that do not meet it, and is fair: no process that could move in every state of the cycle is
left out of it. Users, faults and early time-outs may stop at any moment (``moves.Freedom``), so their transitions do
not count; for a goal for which users act, theirs do.

Cycles are looked for among the states that do not meet the goal: each strongly connected component is one (Tarjan).
The loop that is reported is the shortest one from the component's first state back to it.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from fwpages.explore.check.expand import Arc
from fwpages.explore.model.moves import Freedom

#: the target of a transition whose step broke a property: what follows is not known
CUT = -1


@dataclass(frozen=True, slots=True)
class Stuck:
    """A state from which a goal may never come; ``loop``: the moves of a cycle back to it, none at a terminal state."""

    state: int
    loop: tuple[int, ...] = ()


class Graph:
    """States in the order in which they were found, with the goals that each meets, and the arcs between them."""

    def __init__(self, content: int) -> None:
        self._content = array("B", [content])
        self._from, self._to = array("q"), array("q")
        self._move, self._freedom, self._process = array("H"), array("B"), array("B")
        self._processes: dict[str, int] = {}

    def add(self, content: int) -> None:
        """The next state; ``content`` has a bit for each goal that it meets."""
        self._content.append(content)

    def arc(self, state: int, target: int, arc: Arc) -> None:
        """A transition; those of one state come together, and states in their order."""
        self._from.append(state)
        self._to.append(target)
        self._move.append(arc.move)
        self._freedom.append(arc.freedom)
        self._process.append(self._processes.setdefault(arc.process, len(self._processes)))

    def stuck(self, goal: int, *, users_act: bool) -> Stuck | None:
        """The first state from which the goal may never come; None where it always comes."""
        unmet = [not c >> goal & 1 for c in self._content]
        out = self._obliged_arcs(unmet, Freedom.USER if users_act else Freedom.OBLIGED)
        inside = {state for state, is_unmet in enumerate(unmet) if is_unmet}
        terminal = min((state for state in inside if not out[state]), default=None)
        if terminal is not None:
            return Stuck(terminal)
        cycle = self._first_fair_cycle(inside, out)
        return None if cycle is None else Stuck(min(cycle), self._loop(min(cycle), cycle, out))

    def _first_fair_cycle(self, inside: set[int], out: list[list[int]]) -> set[int] | None:
        """The first cycle here that can go on for ever though every process gets its turn; None without one."""
        cycles = components({s: [self._to[n] for n in out[s] if self._to[n] in inside] for s in sorted(inside)})
        return min((c for c in cycles if self._fair(c, out)), key=min, default=None)

    def _obliged_arcs(self, unmet: list[bool], most: Freedom) -> list[list[int]]:
        """For each state that does not meet the goal, its transitions that come some time."""
        out: list[list[int]] = [[] for _ in unmet]
        for n, state in enumerate(self._from):
            if unmet[state] and self._freedom[n] <= most:
                out[state].append(n)
        return out

    def _fair(self, cycle: set[int], out: list[list[int]]) -> bool:
        """Every process that could move in each state of the cycle moves within it."""
        able = set.intersection(*({self._process[n] for n in out[s]} for s in cycle))
        moving = {self._process[n] for s in cycle for n in out[s] if self._to[n] in cycle}
        return able <= moving

    def _loop(self, start: int, cycle: set[int], out: list[list[int]]) -> tuple[int, ...]:
        """The moves of the shortest path from ``start`` back to it within the cycle (breadth first)."""
        came: dict[int, tuple[int, int]] = {}
        queue = deque([start])
        while queue:
            state = queue.popleft()
            for n in out[state]:
                to = self._to[n]
                if to == start:
                    return (*_path(came, start, state), self._move[n])
                if to in cycle and to not in came:
                    came[to] = state, self._move[n]
                    queue.append(to)
        return ()


def _path(came: dict[int, tuple[int, int]], start: int, state: int) -> tuple[int, ...]:
    """The moves from ``start`` to ``state``, by how each state was reached."""
    moves = []
    while state != start:
        state, move = came[state]
        moves.append(move)
    return tuple(reversed(moves))


def components(successors: dict[int, list[int]]) -> list[set[int]]:
    """The strongly connected components that have an arc inside; every successor is a node itself."""
    search = _Tarjan(successors)
    for node in successors:
        if node not in search.order:
            search.visit(node)
    return search.found


@dataclass(slots=True)
class _Tarjan:
    """Tarjan's algorithm, without recursion: a cycle may have more states than Python has stack."""

    successors: dict[int, list[int]]
    order: dict[int, int] = field(default_factory=dict)
    low: dict[int, int] = field(default_factory=dict)
    stack: list[int] = field(default_factory=list)
    on_stack: set[int] = field(default_factory=set)
    found: list[set[int]] = field(default_factory=list)

    def visit(self, root: int) -> None:
        """Visit all that can be reached from ``root``."""
        work = [(root, self._enter(root))]
        while work:
            node, rest = work[-1]
            to = next(rest, None)
            if to is None:
                work.pop()
                if work:
                    parent = work[-1][0]
                    self.low[parent] = min(self.low[parent], self.low[node])
                self._leave(node)
            elif to not in self.order:
                work.append((to, self._enter(to)))
            elif to in self.on_stack:
                self.low[node] = min(self.low[node], self.order[to])

    def _enter(self, node: int) -> Iterator[int]:
        self.order[node] = self.low[node] = len(self.order)
        self.stack.append(node)
        self.on_stack.add(node)
        return iter(self.successors[node])

    def _leave(self, node: int) -> None:
        """Take the component off the stack whose first node this is, if it is one."""
        if self.low[node] != self.order[node]:
            return
        part: set[int] = set()
        while node not in part:
            part.add(self.stack.pop())
        self.on_stack -= part
        if len(part) > 1 or node in self.successors[node]:
            self.found.append(part)
