"""The table of records: who was given pages, how many came back. Everything that can be summed is summed from here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fwpages.prm.identity import FunctionType, Identity

#: how pages come back: named by a TAKE's answer, let go of by release_all, out of reach after a fence
Back: TypeAlias = Literal["returned", "released", "discarded"]


@dataclass(slots=True)
class Record:
    """One function in one session, from its first page (or its announcement) until its identity is used anew.

    Counts are cumulative, in 4 KiB pages: ``given`` handed over and not refused (answered OK, or not answered),
    ``returned`` named by a TAKE's answer (or a late refusal), ``released`` by release_all, ``discarded`` by a fence.
    """

    number: int
    session: int
    identity: Identity
    generation: int
    type: FunctionType
    given: int = 0
    returned: int = 0
    released: int = 0
    discarded: int = 0
    peak: int = 0
    #: the e-switch announced it, and then that it is gone
    announced: bool = False
    retired: bool = False

    @property
    def outstanding(self) -> int:
        """Pages that firmware has or may have: held and doubtful together."""
        return self.given - self.returned - self.released - self.discarded

    def copy(self) -> Record:
        """A record of its own. Written out: the explorer copies some for every step."""
        new = Record(self.number, self.session, self.identity, self.generation, self.type)
        new.given, new.returned, new.released, new.discarded = self.given, self.returned, self.released, self.discarded
        new.peak, new.announced, new.retired = self.peak, self.announced, self.retired
        return new


class Records:
    """All records by number, and the live one of each identity of the session that is open.

    ``current`` is replaced, never changed in place: a reader sees one state of the e-switch's knowledge
    and needs no lock.
    """

    __slots__ = ("_by_identity", "_generations", "by_type", "current", "out", "peak", "rows", "session", "watch")

    def __init__(self) -> None:
        self.rows: list[Record] = []
        self.session = 0
        self.current: dict[Identity, int] = {}
        #: pages out over all records, and the most that were out in the open session
        self.out = 0
        self.peak = 0
        #: the same by type: pages out, and the most that were, while they were counted under the type
        self.by_type: dict[FunctionType, tuple[int, int]] = {}
        #: called with each record whose pages have changed; a copy of the table has none
        self.watch: Callable[[Record], None] | None = None
        self._by_identity: dict[Identity, tuple[int, ...]] = {}
        self._generations: dict[Identity, int] = {}

    def __iter__(self) -> Iterator[Record]:
        return iter(self.rows)

    def begin(self, session: int) -> None:
        """A new session: identities start afresh, and rows too unless pages of earlier sessions are out."""
        if not self.out:
            self.rows = []
        self.session, self.peak, self.by_type = session, self.out, {}
        self.current = {}
        self._by_identity, self._generations = {}, {}

    def open(self, identity: Identity, kind: FunctionType) -> Record:
        """The live record of this identity; a new generation of type ``kind`` where it has none."""
        number = self.current.get(identity)
        if number is not None:
            return self.rows[number]
        row = Record(len(self.rows), self.session, identity, self._next_generation(identity), kind)
        self.rows.append(row)
        self._by_identity[identity] = (*self._with_pages(identity), row.number)
        self.current = {**self.current, identity: row.number}
        return row

    def _next_generation(self, identity: Identity) -> int:
        n = self._generations.get(identity, 0)
        self._generations[identity] = n + 1
        return n

    def _with_pages(self, identity: Identity) -> tuple[int, ...]:
        """Of the identity's records those that still own something: the others can have nothing more to return."""
        return tuple(n for n in self._by_identity.get(identity, ()) if self.rows[n].outstanding)

    def gave(self, row: Record, pages: int) -> None:
        """More pages were handed over to this record's function."""
        row.given += pages
        out = row.outstanding
        row.peak = max(row.peak, out)
        if out == pages:  # it had none: where its name was used anew while this GIVE was out, it had been left out
            known = self._by_identity.get(row.identity, ())
            if row.number not in known:
                self._by_identity[row.identity] = tuple(sorted((*known, row.number)))
        self.out += pages
        self.peak = max(self.peak, self.out)
        self._shift(row.type, pages)
        if self.watch is not None:
            self.watch(row)

    def came_back(self, row: Record, how: Back, pages: int) -> None:
        """Pages of this record are out no longer."""
        if how == "returned":
            row.returned += pages
        elif how == "released":
            row.released += pages
        else:
            row.discarded += pages
        self.out -= pages
        self._shift(row.type, -pages)
        if self.watch is not None:
            self.watch(row)

    def _shift(self, kind: FunctionType, pages: int) -> None:
        out, peak = self.by_type.get(kind, (0, 0))
        out += pages
        self.by_type[kind] = out, out if out > peak else peak

    def retype(self, row: Record, kind: FunctionType) -> None:
        """The record is of another type than was known: what it has, and the most that it had, counts there."""
        self._shift(row.type, -row.outstanding)
        row.type = kind
        self._shift(kind, row.outstanding)
        out, peak = self.by_type[kind]
        self.by_type[kind] = out, max(peak, row.peak)

    def announce(self, identity: Identity, kind: FunctionType) -> Record:
        """The e-switch learned what this identity is: its record, with all that it counted, moves to ``kind``."""
        row = self.open(identity, kind)
        row.announced = True
        self.retype(row, kind)
        return row

    def retire(self, identity: Identity) -> None:
        """The function is gone: what is given to this identity from now on opens a new generation."""
        number = self.current.get(identity)
        if number is not None:
            self.rows[number].retired = True
            self.current = {who: n for who, n in self.current.items() if who != identity}

    def rename(self, old: Identity, new: Identity, kind: FunctionType) -> None:
        """The mode changed: what ``old`` was given is ``new``'s from now on. One record, whatever it holds."""
        number = self.current.get(old)
        if number is None or old == new:
            return
        row = self.rows[number]
        row.identity = new
        self.retype(row, kind)
        self._by_identity[new] = (*self._with_pages(new), number)
        self._by_identity[old] = tuple(n for n in self._by_identity[old] if n != number)
        # the old name is as it was before this record had it
        self._generations[old] -= 1
        row.generation = self._next_generation(new)
        self.current = {who: n for who, n in self.current.items() if who != old} | {new: number}

    def generations(self, identity: Identity) -> tuple[int, ...]:
        """The numbers of this identity's records in the session that may own pages, oldest first."""
        return self._by_identity.get(identity, ())

    def outstanding(self, identity: Identity) -> int:
        """Pages out under this identity, all generations together."""
        out = 0
        for n in self.generations(identity):
            out += self.rows[n].outstanding
        return out

    def of_session(self, session: int) -> list[Record]:
        """The rows of one session, in the order in which they were opened."""
        return [row for row in self.rows if row.session == session]

    def owing(self) -> list[Identity]:
        """The open session's identities that have pages out, oldest record first."""
        rows = (r for r in self.rows if r.session == self.session and r.outstanding)
        return list(dict.fromkeys(r.identity for r in rows))

    def awaited(self, types: Iterable[FunctionType], offered: int = -1) -> list[Record]:
        """Records with pages out that a wait for ``types`` waits for: functions that are gone, or are not known.

        ``offered`` is a record that a GIVE is out for: firmware may have those pages already.

        A function that was enabled anew in the meantime is not waited for, whichever generation the pages are
        of: firmware chooses which it returns.
        """
        wanted = {FunctionType.UNKNOWN, *types}
        mine = (r for r in self.rows if r.session == self.session and r.type in wanted)
        rows = (r for r in mine if r.outstanding or r.number == offered)
        return [r for r in rows if not self._announced(r.identity)]

    def _announced(self, identity: Identity) -> bool:
        number = self.current.get(identity)
        return number is not None and self.rows[number].announced

    def copy(self) -> Records:
        """A table of its own."""
        new = Records()
        new.rows = [r.copy() for r in self.rows]
        new.session, new.current, new.out, new.peak = self.session, self.current, self.out, self.peak
        new._by_identity, new._generations = dict(self._by_identity), dict(self._generations)
        new.by_type = dict(self.by_type)
        return new
