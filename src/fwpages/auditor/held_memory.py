"""The memory that firmware holds by a trace's commands, compared with what the driver unmaps.

The ledger of a session follows what a host may think of its pages. This is the device's side, as far as commands tell
it: a page is firmware's from the GIVE that was carried out to the TAKE's answer that names it, whether that answer
reached the host or not; an event queue's memory from CREATE_EQ to its end; a command's mailboxes until it is answered.
It is kept for traces that have maps and unmaps, those of a served device, and outlives a session, as mappings do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np

from fwpages.auditor.books import Book
from fwpages.auditor.evidence import Loss
from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.session import AuditedSession, Link
from fwpages.custody.findings import Cause
from fwpages.custody.reach import MOST_REGIONS, Judged, LettingsGo, Moment, Reach, Use
from fwpages.pages import PAGE_SHIFT, PAGE_SIZE, SparseSpace, TagMap
from fwpages.pages.space import REGION_SHIFT, Addresses
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import Identity
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, Command, decode_answer
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.readers.observations import CommandCompleted, CommandExecuted, CommandSubmitted, Place

#: bytes of an entry of an event queue
_EQE = 64
#: bytes of an event queue's page that are followed: all entries of the largest queue that the embedded firmware has
_MOST_QUEUE = 64 << 20
#: tags of pages that belong to no function of this session; those of its functions follow
_EARLIER, _QUEUE = 1, 2
_FIRST = 3
_NONE: Addresses = np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A command that has no answer yet, with its function's book, and the pages that it lies in."""

    opcode: int
    command: Command | None
    book: Book | None
    memory: Addresses


class HeldMemory:
    """The mappings of one device, and what its firmware holds. ``reach`` has the mappings."""

    def __init__(self) -> None:
        self.reach = Reach()
        self._space = SparseSpace()
        self._tags = TagMap()
        #: the functions by their tags
        self._books: list[Book] = []
        self._sent: dict[Hashable, _Sent] = {}
        #: commands that were carried out already, whose answers change nothing
        self._executed: set[Hashable] = set()
        self._queues: dict[int, Addresses] = {}
        self._moment = Moment.OFF
        self._let_go = LettingsGo()
        self._places: dict[tuple[Identity | None, Use, Moment], Place] = {}

    @property
    def watched(self) -> bool:
        """The trace has maps."""
        return self.reach.mapped > 0

    def begin(self) -> None:
        """Begin a session of the driver."""
        self.reach.begin()
        self._let_go, self._places = LettingsGo(), {}

    # -- commands

    def submitted(self, s: AuditedSession, v: CommandSubmitted) -> None:
        """A command went to the device."""
        p = s.pending.get(v.key)
        if not self.watched or p is None:
            return
        if p.opcode == Opcode.MANAGE_PAGES:
            self.reach.page_command()
        memory = np.array(v.memory, np.uint64) if v.memory else _NONE
        self._sent[v.key] = _Sent(p.opcode, p.command, p.book, memory)

    def answered(self, s: AuditedSession, v: CommandCompleted | CommandExecuted) -> None:
        """The device answered a command, or carried it out without an answer."""
        sent = self._sent.get(v.key)
        if sent is None:
            return
        if isinstance(v, CommandCompleted):
            del self._sent[v.key]
            if v.key in self._executed:
                self._executed.discard(v.key)
                return
        else:
            self._executed.add(v.key)
        with contextlib.suppress(LayoutError):
            answer = decode_answer(sent.opcode, v.message)
            if answer.ok:
                self._done(s, sent, answer)

    def _done(self, s: AuditedSession, sent: _Sent, a: Answer) -> None:
        c = sent.command
        match sent.opcode:
            case Opcode.INIT_HCA:
                self._moment = Moment.WORKING
            case Opcode.TEARDOWN_HCA if not a["state"]:
                self._moment = Moment.CLOSING
                for eqn in list(self._queues):
                    self._put(self._queues.pop(eqn), 0)
            case Opcode.MANAGE_PAGES if c is not None and sent.book is not None:
                self._moved(c, sent.book, a)
            case Opcode.ENABLE_HCA | Opcode.DISABLE_HCA if c is not None and s.naming.is_own_hca(c):
                self._switched(on=sent.opcode == Opcode.ENABLE_HCA)
            case Opcode.CREATE_EQ if c is not None:
                blocks = self._queues[a["eq_number"]] = _blocks(c)
                self._put(blocks, _QUEUE)
            case Opcode.DESTROY_EQ if c is not None:
                self._put(self._queues.pop(c["eq_number"], _NONE), 0)

    def _switched(self, *, on: bool) -> None:
        """The function was opened or closed: from the open on, what was left with firmware is an earlier session's."""
        self._moment = Moment.STARTING if on else Moment.OFF
        if not on:
            self.reach.end()
        if on:
            for tag in range(_FIRST, _FIRST + len(self._books)):
                self._tags.replace(tag, _EARLIER)
            self._books.clear()

    def _moved(self, c: Command, book: Book, a: Answer) -> None:
        if c.op_mod == ManagePages.GIVE:
            self.reach.given(c.given)
            self._put(c.given, self._tag(book))
        elif c.op_mod == ManagePages.TAKE:
            # the rest of the answer's bytes are zeros
            named = a.pas[: a["output_num_entries"]]
            named = named[named != 0]
            self.reach.returned(named)
            tags = self._tags.get(self._space.index(named))
            own = [_FIRST + n for n, b in enumerate(self._books) if b.identity == book.identity]
            self._put(named[np.isin(tags, own)], 0)

    def _tag(self, book: Book) -> int:
        if book not in self._books:
            self._books.append(book)
        return _FIRST + self._books.index(book)

    def _put(self, pages: Addresses, tag: int) -> None:
        """Tag these pages; those that would take more address space than is followed are left out."""
        regions = np.unique(pages >> np.uint64(PAGE_SHIFT + REGION_SHIFT)).size
        if (self._space.size >> REGION_SHIFT) + regions > MOST_REGIONS:
            return
        self._space.cover(pages)
        self._tags.reserve(self._space.size)
        index = self._space.index(pages)
        self._tags.put(index[index >= 0], tag)

    # -- what ends it

    def requested(self, s: AuditedSession, request: PageRequestEvent) -> None:
        """Firmware let go of all pages of a function, where it did by an event that the driver has to believe."""
        if not request.release_all or not self._books:
            return
        book = s.book(request.number, request.ec)
        if book.identity != s.naming.own and s.release_all_set is not False:
            for n, other in enumerate(self._books):
                if other.identity == book.identity:
                    self._tags.replace(_FIRST + n, 0)

    def fenced(self) -> None:
        """The device was reset: it holds nothing."""
        self.reach.end()
        self._tags = TagMap()
        self._tags.reserve(self._space.size)
        self._books.clear()
        self._queues.clear()
        self._sent.clear()
        self._executed.clear()
        self._moment = Moment.OFF

    # -- what is unmapped

    def unmapped(self, s: AuditedSession | None, iova: int, size: int, place: Place) -> None:
        """Compare memory that is no longer mapped with what firmware holds."""
        pages = self.reach.unmap(iova, size)
        if s is None or not pages.size:
            return
        moment = self._moment
        if s.link & (Link.LOST | Link.FATAL):
            moment = Moment.LOST if Link.LOST in s.link else Moment.FATAL
        for who, use, part in self._held(pages):
            self._places.setdefault((who, use, moment), place)
            self._let_go.add(who, use, moment, part)

    def _held(self, pages: Addresses) -> Iterator[tuple[Identity | None, Use, Addresses]]:
        tags = self._tags.get(self._space.index(pages))
        for tag in np.unique(tags[tags != 0]).tolist():
            if tag >= _FIRST:
                yield self._books[tag - _FIRST].identity, Use.LENT, pages[tags == tag]
            else:
                yield None, Use.QUEUE if tag == _QUEUE else Use.EARLIER, pages[tags == tag]
        memory = [sent.memory for sent in self._sent.values() if sent.memory.size]
        of_commands = pages[np.isin(pages, np.concatenate(memory))] if memory else _NONE
        if of_commands.size:
            yield None, Use.COMMAND, of_commands

    def findings(self, s: AuditedSession) -> Found:
        """The memory that the driver let go in this session; notes what the maps prove where it let go of none."""
        if not self.watched or s.evidence.lossy:
            return
        for row in self._let_go.rows:
            book = None if row.function is None else s.books.of(row.function)
            place = self._places[row.function, row.use, row.moment]
            yield Finding(Cause.MEMORY_LET_GO, place, book, row.pages, row.detail)
        if self.reach.judged.missed:
            s.evidence.lose(Loss.UNMAPS, self.reach.judged)
        if self.reach.judged is not Judged.YES:
            s.note(f"memory that is let go while firmware holds it is not judged: {self.reach.judged}")


def _blocks(c: Command) -> Addresses:
    """The pages that the entries of a new event queue fill."""
    page = PAGE_SIZE << c["log_page_size"]
    each = max(1, min(_EQE << c["log_eq_size"], page, _MOST_QUEUE) // PAGE_SIZE)
    found: Addresses = c.pas.repeat(each)
    return found + np.tile(np.arange(each, dtype=np.uint64) << np.uint64(PAGE_SHIFT), c.pas.size)
