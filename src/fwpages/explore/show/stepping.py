"""A small world as data for a page in which its reader goes from event to event.

A state has its pages by owner, its counters, its waiting threads, and its moves. A move has a row of the chart, drawn
here: a page puts them below each other and draws nothing itself. States of one key are one state. So what a move says
of sessions that are over, which no key has, is of the shortest path to its state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import msgspec
import numpy as np

from fwpages.explore.check.expand import Tests, seen
from fwpages.explore.check.replay import Walked, walk
from fwpages.explore.check.search import Path
from fwpages.explore.model.moves import Freedom, moves, take
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World
from fwpages.explore.show.narrative import Step, narrate
from fwpages.explore.show.rows import Row, broken_words, row_of
from fwpages.explore.show.svg import row_svg
from fwpages.prm.identity import Identity

#: states that a page has: at some 300 bytes each, and as much again for all rows, it stays below 2 MB, which open at
#: once and can be mailed
MOST_STATES = 3_000
#: pages that are shown one by one, as squares: more of them cannot be told apart
MOST_PAGES = 64
#: the target of a move that leads out of the states that a page has
BEYOND = -1
#: an owner's place in ``owners`` where a page has none, and where the driver's books are being changed
NOBODY, UNKNOWN_OWNER = -1, -2
#: between the names of two owners of one page
BOTH = " and "


class Choice(msgspec.Struct, frozen=True, array_like=True):
    """A move of a state: its row, by its place in ``Stepping.rows``, and the state after it, or BEYOND.

    ``optional``: a fault or an early time-out, which need not come.
    """

    row: int
    to: int
    optional: bool


class RowWords(msgspec.Struct, frozen=True, array_like=True):
    """A row in words: the actor, its move, and what it breaks."""

    actor: str
    words: str
    broken: tuple[str, ...]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """A state: pages by function (firmware's, and the books' or None), counters, waiting threads, owners, moves.

    ``firmware`` and ``books`` have the owner of each page of ``Stepping.pages``, by its place in ``Stepping.owners``.
    """

    functions: list[tuple[str, int, int | None]]
    counters: list[tuple[str, int]]
    waiting: list[tuple[str, str]]
    firmware: list[int]
    books: list[int]
    moves: list[Choice]


class Stepping(msgspec.Struct, frozen=True, kw_only=True):
    """A world as data: ``path`` has the places of the moves of the path that the page offers to follow.

    ``pages``: the addresses of pages, empty where there are more than MOST_PAGES. ``sound``: how many states a move
    that breaks nothing leads to. ``cut``: there are more states.
    """

    owners: list[str]
    pages: list[str]
    rows: list[RowWords]
    states: list[State]
    path: list[int]
    sound: int
    cut: bool


@dataclass(frozen=True, slots=True)
class Steppable:
    """A world to click through: the data, and its rows as SVG."""

    data: Stepping
    pictures: list[str]


#: the owner of each page, by address: firmware's word, and the books' (None while they are being changed)
_Owners: TypeAlias = tuple[Mapping[int, str], Mapping[int, str] | None]


def steppable(spec: Spec, path: Path, *, most: int | None = None) -> Steppable:
    """The world from its beginning on, up to ``most`` states: those of the path first, then breadth first.

    ``most`` is MOST_STATES where it is None. As a search does, it goes on from no broken step.
    """
    grower = _Grower(spec, MOST_STATES if most is None else most)
    for step in walk(spec, path):
        grower.add(step.after)
    grower.grow()
    return grower.result(path)


@dataclass(slots=True)
class _Known:
    """A state that the page has, as far as it is known."""

    world: World
    #: the step that first led to it, None for the first state
    step: Step | None = None
    owners: _Owners = field(default_factory=lambda: ({}, {}))
    #: the moves by their places in ``moves``
    choices: dict[int, Choice] = field(default_factory=dict)
    #: a move that breaks nothing leads here, or it is the first state
    sound: bool = False


class _Grower:
    """Finds states, and draws each row once."""

    def __init__(self, spec: Spec, most: int) -> None:
        root = spec.build()
        self.most, self.tests = most, Tests(root.rules.scenario)
        self.states = [_Known(root, owners=_owners(root))]
        self.index = {root.key(): 0}
        #: the numbers of the sound states, in the order in which they were found
        self.queue = [0]
        self.states[0].sound = True
        self.rows: dict[Row, int] = {}
        self.cut = False

    def add(self, w: World) -> int:
        """The number of this state: a new one where it is not known and there is room, else BEYOND."""
        key = w.key()
        if key not in self.index:
            if len(self.states) >= self.most:
                self.cut = True
                return BEYOND
            self.index[key] = len(self.states)
            self.states.append(_Known(w))
        return self.index[key]

    def grow(self) -> None:
        """Take every move of every sound state, in the order in which they were found."""
        for number in self.queue:  # it grows meanwhile
            known = self.states[number]
            for n, move in enumerate(moves(known.world)):
                after = take(known.world, move)
                if after is None:
                    continue
                (step,) = narrate([Walked(known.world, move, after)])
                marks = (*seen(self.tests.bad_steps, after), *seen(self.tests.bad_states, after))
                broken = broken_words(f"{name}: {what}" for name, what in marks)
                # the state is shown beside the chart, and the number is that of the walk which the reader makes
                row = replace(row_of(step, step), number="", broken=broken)
                to = self.add(after)
                if to != BEYOND:
                    self._reached(to, step, after, sound=not marks)
                optional = move.freedom(known.world) is Freedom.OPTIONAL
                drawn = self.rows.setdefault(row, len(self.rows))
                known.choices[n] = Choice(drawn, to, optional)

    def _reached(self, number: int, step: Step, after: World, *, sound: bool) -> None:
        known = self.states[number]
        if known.step is None and number:
            known.step, known.owners = step, _owners(after)
        if sound and not known.sound:
            known.sound = True
            self.queue.append(number)

    def result(self, path: Path) -> Steppable:
        """The data, once all is grown."""
        addresses = self._addresses()
        owners = sorted({name for k in self.states for side in k.owners for name in (side or {}).values()})
        states = [_state(k, addresses, owners) for k in self.states]
        data = Stepping(
            owners=owners,
            pages=[f"{a:#x}" for a in addresses],
            rows=[RowWords(row.actor, row.full[0], row.broken) for row in self.rows],
            states=states,
            path=self._places(path),
            sound=len(self.queue),
            cut=self.cut,
        )
        return Steppable(data, [row_svg(row) for row in self.rows])

    def _addresses(self) -> list[int]:
        """The addresses of all pages of all states; none where there are more than a page shows."""
        addresses = sorted({a for k in self.states for side in k.owners for a in side or ()})
        return addresses if len(addresses) <= MOST_PAGES else []

    def _places(self, path: Path) -> list[int]:
        """The place of each move of the path among those of its state, as far as the states go."""
        places, at = [], 0
        for n in path:
            if at == BEYOND or n not in self.states[at].choices:
                break
            places.append([*self.states[at].choices].index(n))
            at = self.states[at].choices[n].to
        return places


def _owners(w: World) -> _Owners:
    held = w.held
    return _by_address(w, w.holds), None if held is None else _by_address(w, held)


def _by_address(w: World, accounts: Mapping[Identity, np.ndarray]) -> dict[int, str]:
    """The owner of each page; no more of them than it takes to see that there are too many.

    A page may be in two lists at once, as in Linux while it moves boot pages to another identity: both own it.
    """
    out: dict[int, str] = {}
    for who, pages in accounts.items():
        for address in pages[: MOST_PAGES + 1].tolist():
            out[address] = f"{out[address]}{BOTH}{w.name(who)}" if address in out else w.name(who)
    return out


def _state(known: _Known, addresses: list[int], owners: list[str]) -> State:
    firmware, books = known.owners
    places = {name: n for n, name in enumerate(owners)}
    step = known.step or Step(0, "", "", (), {}, {}, {})

    def row(side: Mapping[int, str]) -> list[int]:
        return [places[side[a]] if a in side else NOBODY for a in addresses]

    return State(
        functions=[(name, *counts) for name, counts in step.pages.items()],
        counters=list(step.counters.items()),
        waiting=list(step.waiting.items()),
        firmware=row(firmware),
        books=[UNKNOWN_OWNER] * len(addresses) if books is None else row(books),
        moves=list(known.choices.values()),
    )
