"""Liveness on the finished graph of a search: a terminal state that does not meet a goal, or a fair cycle without it.

A goal may never come in two cases. A terminal state does not meet it: no process is obliged to move there. Or a cycle
leads only through states that do not meet it, and is fair: no process that could move in every state of the cycle is
left out of it. Users, faults and early time-outs may stop at any moment (``moves.Freedom``), so their transitions do
not count; for a goal for which users act, theirs do.

Cycles are looked for among the states that do not meet the goal: each strongly connected component is one (Tarjan). As
most states lead to no cycle, those are taken away first, on arrays: what has no arc to another one left, and so on.
The loop that is reported is the shortest one from the component's first state back to it.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fwpages.explore.check.visited import Numbers
from fwpages.explore.model.moves import Freedom

#: the target of a transition whose step broke a property: what follows is not known
CUT = -1
#: of each of some transitions: its move, freedom and process
ArcFacts: TypeAlias = tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Stuck:
    """A state from which a goal may never come; ``loop``: the moves of a cycle back to it, none at a terminal state."""

    state: int
    loop: tuple[int, ...] = ()


#: the columns that have a value for each arc
_OF_ARCS = ("source", "target", "move", "freedom", "process")


class Graph:
    """States in the order in which they were found, with the goals that each meets, and the arcs between them."""

    def __init__(self, content: int) -> None:
        self.content = array("B", [content])
        self.source, self.target = array("I"), array("i")
        self.move, self.freedom, self.process = array("H"), array("B"), array("B")

    def add(self, content: npt.NDArray[np.uint8]) -> None:
        """The next states; the content of each has a bit for each goal that it meets."""
        self.content.frombytes(content.tobytes())

    def arcs(self, source: Numbers, target: Numbers, rest: ArcFacts) -> None:
        """Transitions, in the order of the states from which they come and of their moves."""
        self.source.frombytes(source.astype(np.uint32).tobytes())
        self.target.frombytes(target.astype(np.int32).tobytes())
        move, freedom, process = rest
        self.move.frombytes(move.tobytes())
        self.freedom.frombytes(freedom.tobytes())
        self.process.frombytes(process.tobytes())

    def columns(self, states: int, arcs: int) -> dict[str, memoryview]:
        """Its memory, by name, as far as it is about so many states and arcs."""
        found = {name: _bytes(getattr(self, name), arcs) for name in _OF_ARCS}
        return {"content": _bytes(self.content, states), **found}

    def restore(self, written: Callable[[str], bytes]) -> None:
        """The graph that was written, from its columns."""
        for name in ("content", *_OF_ARCS):
            column = getattr(self, name)
            del column[:]
            column.frombytes(written(name))

    def stuck(self, goal: int, *, users_act: bool) -> Stuck | None:
        """The first state from which the goal may never come; None where it always comes."""
        unmet = np.frombuffer(self.content, np.uint8) >> goal & 1 == 0
        obliged = np.frombuffer(self.freedom, np.uint8) <= (Freedom.USER if users_act else Freedom.OBLIGED)
        source = np.frombuffer(self.source, np.uint32)
        arcs = np.flatnonzero(obliged & unmet[source])
        moves = np.bincount(source[arcs], minlength=unmet.size)
        terminal = np.flatnonzero(unmet & (moves == 0))
        if terminal.size:
            return Stuck(int(terminal[0]))
        cyclic = self._cyclic(unmet, arcs)
        out: dict[int, list[int]] = {}
        for n in arcs[cyclic[source[arcs]]].tolist():
            out.setdefault(self.source[n], []).append(n)
        cycle = self._first_fair_cycle({*np.flatnonzero(cyclic).tolist()}, out)
        return None if cycle is None else Stuck(min(cycle), self._loop(min(cycle), cycle, out))

    def along(self, state: int, moves: Sequence[int]) -> list[int]:
        """The states after each of these moves, one after the other."""
        found = []
        sources = np.frombuffer(self.source, np.uint32)
        for move in moves:
            first = int(np.searchsorted(sources, state))
            state = next(self.target[n] for n in range(first, len(self.move)) if self.move[n] == move)
            found.append(state)
        return found

    def _cyclic(self, unmet: npt.NDArray[np.bool_], arcs: Numbers) -> npt.NDArray[np.bool_]:
        """True for states that lead to a cycle of such states: the others are taken away, those without arcs first."""
        target = np.frombuffer(self.target, np.int32)[arcs]
        inside = (target >= 0) & unmet[target]
        target, source = target[inside], np.frombuffer(self.source, np.uint32)[arcs][inside]
        left = np.bincount(source, minlength=unmet.size)
        order = np.argsort(target, kind="stable")
        source = source[order]
        begins = np.searchsorted(target[order], np.arange(unmet.size + 1))
        cyclic = unmet.copy()
        gone = np.flatnonzero(unmet & (left == 0))
        while gone.size:
            cyclic[gone] = False
            counts = begins[gone + 1] - begins[gone]
            at = np.repeat(begins[gone] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
            before, fewer = np.unique(source[at], return_counts=True)
            left[before] -= fewer
            gone = before[left[before] == 0].astype(np.int64)
        return cyclic

    def _first_fair_cycle(self, inside: set[int], out: dict[int, list[int]]) -> set[int] | None:
        """The first cycle here that can go on for ever though every process gets its turn; None without one."""
        cycles = components({s: [self.target[n] for n in out[s] if self.target[n] in inside] for s in sorted(inside)})
        return min((c for c in cycles if self._fair(c, out)), key=min, default=None)

    def _fair(self, cycle: set[int], out: dict[int, list[int]]) -> bool:
        """Every process that could move in each state of the cycle moves within it."""
        able = set.intersection(*({self.process[n] for n in out[s]} for s in cycle))
        moving = {self.process[n] for s in cycle for n in out[s] if self.target[n] in cycle}
        return able <= moving

    def _loop(self, start: int, cycle: set[int], out: dict[int, list[int]]) -> tuple[int, ...]:
        """The moves of the shortest path from ``start`` back to it within the cycle (breadth first)."""
        came: dict[int, tuple[int, int]] = {}
        queue = deque([start])
        while queue:
            state = queue.popleft()
            for n in out[state]:
                to = self.target[n]
                if to == start:
                    return (*_path(came, start, state), self.move[n])
                if to in cycle and to not in came:
                    came[to] = state, self.move[n]
                    queue.append(to)
        return ()


def _bytes(column: array[int], count: int) -> memoryview:
    """The memory of the first values of a column."""
    return memoryview(column)[:count].cast("B") if count else memoryview(b"")


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
