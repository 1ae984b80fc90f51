"""Nodes of many red-black trees at once, level by level.

A node has its parent's address (with its colour in the lowest bit) and those of two children. A child that does not
name the node which led to it as its parent is not part of the tree as it was a moment ago: the reading is torn. So
each node is visited once: a second path to it would need a second parent.

Structure: Linux, include/linux/rbtree.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fwpages.machine.structures.errors import TornError
from fwpages.machine.structures.memory import Addresses, Memory

#: nodes that are read at one time: a few tens of MB
_AT_ONCE = 1 << 17
#: a red-black tree of n nodes has at most 2 log2(n + 1) levels
_MOST_LEVELS = 64
_COLOURS = np.uint64(3)

Trees = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class NodeLayout:
    """Where a node's words are, in bytes from the first byte of the structure that contains it.

    ``size`` is that of the structure, ``start`` the node's place in it, to which pointers point.
    """

    size: int
    start: int
    parent: int
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Nodes:
    """Some nodes: the bytes of each one's structure in a row, and the tree that it belongs to."""

    rows: NDArray[np.uint8]
    trees: Trees

    def __len__(self) -> int:
        return len(self.trees)

    def column(self, offset: int, size: int) -> NDArray[np.uint64]:
        """The unsigned numbers of ``size`` bytes at an offset of each structure."""
        words = np.ascontiguousarray(self.rows[:, offset : offset + size]).view(f"<u{size}")
        return words.reshape(-1).astype(np.uint64, copy=False)


@dataclass(slots=True)
class _Level:
    """The nodes of one level that are still to be read: their addresses, their parents' addresses, their trees."""

    nodes: Addresses
    parents: Addresses
    trees: Trees

    def __len__(self) -> int:
        return len(self.nodes)

    def sort(self) -> None:
        """Order by address: what lies together is read together."""
        order = np.argsort(self.nodes)
        self.nodes, self.parents, self.trees = self.nodes[order], self.parents[order], self.trees[order]


def walk(
    memory: Memory, layout: NodeLayout, roots: Addresses, most: int, go_on: Callable[[], bool] = lambda: True
) -> Iterator[Nodes]:
    """Visit every node of the trees with these roots (0: an empty tree); tree ``n`` has root ``n``.

    Raises TornError where the trees do not hold together, the core does not have a node, there are more than ``most``
    nodes, or ``go_on`` returns False.
    """
    full = np.flatnonzero(roots)
    level = _Level(roots[full], np.zeros(len(full), np.uint64), full.astype(np.uint32))
    count = 0
    for _ in range(_MOST_LEVELS):
        if not len(level):
            return
        count += len(level)
        if count > most:
            raise TornError(f"the trees have more than {most:,} nodes")
        level.sort()
        below: list[_Level] = []
        for start in range(0, len(level), _AT_ONCE):
            if not go_on():
                raise TornError("the time was over before all trees were read")
            nodes, children = _read(memory, layout, level, slice(start, start + _AT_ONCE))
            below.append(children)
            yield nodes
        level = _Level(
            np.concatenate([b.nodes for b in below]),
            np.concatenate([b.parents for b in below]),
            np.concatenate([b.trees for b in below]),
        )
    raise TornError(f"a tree has more than {_MOST_LEVELS} levels")


def _read(memory: Memory, layout: NodeLayout, level: _Level, part: slice) -> tuple[Nodes, _Level]:
    """Read some nodes of a level; returns them and their children."""
    at, trees = level.nodes[part], level.trees[part]
    rows, known = memory.gather(at - np.uint64(layout.start), layout.size)
    if not known.all():
        lost = int(at[np.flatnonzero(~known)[0]])
        raise TornError(f"a tree leads to {lost:#x}, where the core has no memory")
    nodes = Nodes(rows, trees)
    if (nodes.column(layout.parent, 8) & ~_COLOURS != level.parents[part]).any():
        raise TornError("the parent pointers of a tree disagree with the path to their nodes")
    left, right = nodes.column(layout.left, 8), nodes.column(layout.right, 8)
    if ((left == right) & (left != 0)).any():
        raise TornError("a node of a tree has one child twice")
    children = np.concatenate((left, right))
    there = children != 0
    return nodes, _Level(children[there], np.concatenate((at, at))[there], np.concatenate((trees, trees))[there])
