"""A cycle of a reduced search as moves of the world itself.

Theory of operation. A reduced search takes several states for one. So its cycle comes back to a state that is as good
as the first, and perhaps not to the first itself; and a move has another place among those of such a state. ``closed``
goes round the cycle in the world, by the keys that the search had for its states: each state has a move to one of the
next key, as states of one key have equal futures. It goes on until a state comes again in every detail.
"""

from __future__ import annotations

from dataclasses import replace

from fwpages.explore.check.visited import Keys
from fwpages.explore.model.moves import moves, take
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World

#: rounds until a state must come again: two commands and four answers in any order are fewer
MOST_ROUNDS = 64


def closed(spec: Spec, path: tuple[int, ...], keys: Keys) -> tuple[int, ...]:
    """The moves from the state at the end of the path, along states of these keys, until one comes again.

    Raises RuntimeError where there is no such move: then two states of one key had different futures.
    """
    w = spec.build()
    for n in path:
        w = _made(w, n)
    names = [key.tobytes() for key in keys]
    plain = _plain(w)
    found: list[int] = []
    for _ in range(MOST_ROUNDS):
        for name in names:
            n, w = _to(w, name)
            found.append(n)
        if _plain(w) == plain:
            return tuple(found)
    raise RuntimeError(f"a cycle did not close in {MOST_ROUNDS} rounds")


def _to(w: World, key: bytes) -> tuple[int, World]:
    """The first move to a state of this key, and that state."""
    for n, move in enumerate(moves(w)):
        after = take(w, move)
        if after is not None and after.key() == key:
            return n, after
    raise RuntimeError("states that a reduced search took for one have different futures")


def _made(w: World, n: int) -> World:
    after = take(w, moves(w)[n])
    if after is None:
        raise RuntimeError(f"move {n} of a path of the search is not possible")
    return after


def _plain(w: World) -> bytes:
    """The key that tells every state from others."""
    return replace(w, rules=replace(w.rules, commuting=False)).key()
