"""The state of one audited session, and nothing that acts on it.

The parts of the audit are the modules beside this one, functions of this state. Each reads and changes it and yields
the findings that it comes to; ``audit`` adds them to the session. A part imports parts of earlier rows only:

    identities, losses, waits
    requests, answers, driver_names
    page_commands, lifecycle
    commands
    fences, refusals
    messages (the driver's lines)
    closing, with balances and unknowns
    audit
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum, Flag, auto
from typing import TypeAlias, TypeVar

from fwpages.auditor.books import ONLY_COUNTED, Book, Books
from fwpages.auditor.evidence import Evidence, Format, Loss, Start
from fwpages.auditor.findings import Finding, Findings, Found
from fwpages.auditor.incidents import Health, Incident
from fwpages.auditor.ledger import ObservedLedger, Offer
from fwpages.auditor.naming import Naming
from fwpages.auditor.openings import Phase
from fwpages.auditor.timeline import Timeline
from fwpages.custody.accounts import End
from fwpages.custody.findings import Cause
from fwpages.custody.judgements import Patience
from fwpages.custody.records import Record
from fwpages.custody.requests_asked import RequestsAsked
from fwpages.pages.space import Addresses, Indices
from fwpages.prm.identity import FunctionType, Identity, Supplier
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode, op_mod_suffix, opcode_name
from fwpages.readers.observations import DriverMessage, PagesLeft, Place, TakeBegun

#: starts after which nothing but the load itself was seen
_TRYING = frozenset({Start.VERSION_LINE, Start.SEEN, Start.REFUSED})
#: notes of one session
MAX_NOTES = 100
#: what one session withholds until its end
MAX_WITHHELD = 4096
#: seconds after which a command is unanswered rather than under way: Linux waits 60 and then 5 more
UNANSWERED_AFTER = 60.0


@dataclass(slots=True, eq=False)
class Pending:
    """A command and what is known of it until its answer comes. ``faulty``: the host did something wrong in it;
    ``cut``: its dump leaves addresses out; ``crossed``: release_all came meanwhile; ``doubted``: the pages that became
    doubtful because it was not answered.
    """

    key: Hashable
    place: Place
    opcode: int
    op_mod: int
    slot: int | None
    command: Command | None = None
    book: Book | None = None
    offer: Offer | None = None
    doubted: Indices | None = None
    asked: int = 0
    faulty: bool = False
    cut: bool = False
    crossed: bool = False
    #: pages that it has moved, where the device carried it out and kept the answer back
    executed: int | None = None

    @property
    def unsettled(self) -> Offer | None:
        """A GIVE's offer while its outcome is open: not answered, not carried out, not given up."""
        return self.offer if self.doubted is None and self.executed is None else None

    def overdue_at(self, place: Place) -> bool:
        """It has been unanswered for longer than any driver waits; False where the input has no seconds."""
        sent, now = self.place.time, place.time
        return isinstance(sent, (int, float)) and isinstance(now, (int, float)) and now - sent >= UNANSWERED_AFTER

    def is_page_command(self, op_mod: ManagePages) -> bool:
        """MANAGE_PAGES of this kind."""
        return self.opcode == Opcode.MANAGE_PAGES and self.op_mod == op_mod

    def about(self, who: Identity) -> bool:
        """A page command of this function, by its present name."""
        return self.book is not None and self.book.identity == who

    def __str__(self) -> str:
        return opcode_name(self.opcode) + op_mod_suffix(self.opcode, self.op_mod)


class Close(Enum):
    """How far the close has come."""

    NOT_BEGUN = "not begun"
    #: DISABLE_HCA of the own function was sent, with nothing before it that only a close sends
    DISABLING = "disabling"
    #: DESTROY_EQ or TEARDOWN_HCA was sent
    UNDER_WAY = "under way"
    #: DISABLE_HCA of a function 0 was the last command: the own one's, or that of an ECPF's host PF
    PERHAPS = "perhaps"
    DONE = "done"


class After(Enum):
    """The cause for which a session is closed: what comes after its last line."""

    NEXT_SESSION = "another session"
    RESTART = "a new start of the machine"
    END_OF_INPUT = "the end of the input"


class Link(Flag):
    """Events of the link and of the device as a whole."""

    LOST = auto()
    FATAL = auto()
    FENCED = auto()
    #: a forced or fast TEARDOWN_HCA was done: not the link's doing, and as final
    FORCED = auto()
    #: it was lost or fatal at some time
    TROUBLE = auto()
    #: the machine of a served device is gone
    GONE = auto()
    #: TEARDOWN_HCA was done
    TORN = auto()
    #: an injected fault kept page requests from the driver
    REQUESTS_LOST = auto()


class Counted(Enum):
    """Figures that are counted over the whole session."""

    GIVE_DROPPED = "pages of refused GIVEs"
    RECLAIM_DISCARDED = "pages that refused TAKEs asked for"
    UNMATCHED = "answers to commands that were not seen, where the input cannot be expected to have them"
    UNJUDGED = "single pages that looked wrong while lines were missing"


class Repeats(Enum):
    """Linux 3.11 prints ``err 0`` twice for each GIVE; the first two such lines show whether this kernel does."""

    UNKNOWN = "no such line yet"
    ONE = "one such line"
    ONE_THEN_REQUEST = "one such line, and a request since"
    NEVER = "each GIVE has one line"
    FIRST_NEXT = "each GIVE has two lines, the next is a first"
    SECOND_NEXT = "each GIVE has two lines, the next is a second"


class Said(Flag):
    """Complaints of the driver without which a later line would mean something else."""

    TAKE_FAILED = auto()
    #: no memory was found, and the line that it thus cannot give has not come
    NO_MEMORY = auto()


@dataclass(slots=True)
class DriverLines:
    """Statements of the driver's own lines that later ones, or the end, complete."""

    #: a TAKE that a line announced and whose dump should follow
    expected: TakeBegun | None = None
    #: a line about a command that went wrong, which the next ones may say more about
    open: DriverMessage | None = None
    said: Said = field(default_factory=lambda: Said(0))
    gave_up: DriverMessage | None = None
    #: counters that were not zero after everything was taken back: of a type, and with None the total
    left: dict[FunctionType | None, PagesLeft] = field(default_factory=dict)
    last_init: int | None = None
    repeats: Repeats = Repeats.UNKNOWN
    #: GIVEs answered OK (function, pages) that no line has confirmed yet
    unconfirmed: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait for the pages of functions of one type."""

    kind: FunctionType
    patience: Patience


@dataclass(frozen=True, slots=True)
class Stray:
    """An answer to no command that was sent: a finding, unless lines turn out to be missing."""

    finding: Finding


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A command that a dump shows unanswered, though the driver has not complained of it."""

    pending: Pending
    finding: Finding


@dataclass(frozen=True, slots=True)
class Suspect:
    """A name that is wrong in the present mode, unless later commands explain it."""

    place: Place
    by_host: bool
    number: int


#: what is not judged before more is known
Withheld: TypeAlias = Stray | Unconfirmed | Suspect
_W = TypeVar("_W", bound=Withheld)


@dataclass(frozen=True, slots=True)
class Tried:
    """A refusal that is no finding about pages. ``expected``: drivers try what a device may not know."""

    name: str
    expected: bool = True


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A complaint of the driver, or of the kernel about it, that no rule explains."""

    text: str


@dataclass(frozen=True, slots=True)
class Reset:
    """The session's resets: how the first ended it, and the place of the last while nothing has proven it."""

    end: End | None
    unproven: Place | None


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The capabilities that the session's own SET_HCA_CAP set, as far as the device has confirmed them."""

    vhca_mode: bool
    release_all: bool


@dataclass(slots=True, eq=False)
class AuditedSession:
    """One session of one device, from ENABLE_HCA to whatever ended it."""

    device: str
    naming: Naming
    evidence: Evidence
    #: the number that a trace gives it
    number: int | None
    #: where the last observation stands
    last: Place
    #: None until pages are to be followed one by one: few logs show their addresses
    _ledger: ObservedLedger | None = None
    books: Books = field(default_factory=Books)
    findings: Findings = field(default_factory=Findings)
    #: pages over time
    timeline: Timeline = field(default_factory=Timeline)
    notes: list[str] = field(default_factory=list)
    counts: Counter[Counted | Tried | Unexplained] = field(default_factory=Counter)
    #: commands without an answer; those that the host has stopped waiting for; those that are answered or lost
    #: their slots, whose answers change nothing
    pending: dict[Hashable, Pending] = field(default_factory=dict)
    overdue: dict[Hashable, Pending] = field(default_factory=dict)
    done: dict[Hashable, None] = field(default_factory=dict)
    withheld: list[Withheld] = field(default_factory=list)
    #: the last answer was a refusal
    refusing: bool = False
    negotiated: Negotiated | None = None
    #: forced and fast profiles of TEARDOWN_HCA that the current capabilities offer; None where those were not seen
    teardowns: frozenset[int] | None = None
    #: event queues by number, and whether page requests come by them
    queues: dict[int, bool] = field(default_factory=dict)
    #: names (number, ec bit) that the device has used: a host that repeats one makes no mistake of its own
    device_names: set[tuple[int, bool]] = field(default_factory=set)
    waits: list[Wait] = field(default_factory=list)
    #: page requests without an answer
    asked: RequestsAsked[Book] = field(default_factory=RequestsAsked)
    close: Close = Close.NOT_BEGUN
    link: Link = field(default_factory=lambda: Link(0))
    reset: Reset | None = None
    driver: DriverLines = field(default_factory=DriverLines)
    #: a load that failed, or a device in error; None where nothing of the kind was seen
    incident: Incident | None = None

    @classmethod
    def begin(
        cls, device: str, place: Place, supplier: Supplier | None, *, form: Format, number: int | None
    ) -> AuditedSession:
        """A session of which nothing was seen yet."""
        return cls(device, Naming(supplier), Evidence(form), number, place)

    def inherit(self, leftovers: Addresses) -> None:
        """An earlier session left these pages with firmware."""
        self._ledger = self._watched(ObservedLedger(leftovers))

    def _watched(self, ledger: ObservedLedger) -> ObservedLedger:
        """The same ledger; what moves in it is in the time line too."""
        ledger.records.watch = self._moved
        return ledger

    def _moved(self, row: Record) -> None:
        self.timeline.moved(row, self.last)

    @property
    def ledger(self) -> ObservedLedger:
        """The ledger that follows this session's pages."""
        if self._ledger is None:
            self._ledger = self._watched(ObservedLedger())
        return self._ledger

    # -- what was found

    def add(self, found: Found) -> None:
        """Take a part's findings, each as the part comes to it."""
        for finding in found:
            if finding.cause in (Cause.LOG_LINES_LOST, Cause.LOG_AMBIGUOUS):
                self.evidence.gaps += 1
            self.findings.add(finding)

    def kept(self, kind: type[_W]) -> list[_W]:
        """Everything of this kind that is withheld."""
        return [x for x in self.withheld if isinstance(x, kind)]

    def note(self, text: str) -> None:
        """Note what is no fault, but ought to be known."""
        if len(self.notes) < MAX_NOTES and text not in self.notes:
            self.notes.append(text)

    def lose(self, book: Book | None, why: str) -> None:
        """This function's pages, or with None anybody's, can no longer be followed."""
        if book is None:
            self.evidence.lose(Loss.ALL_PAGES, why)
        elif not book.unsure or (book.counted_only and why not in ONLY_COUNTED):
            self.evidence.lose(Loss.PAGES if why in ONLY_COUNTED else Loss.COUNTS, why)
            book.unsure = why

    # -- how far it has come

    @property
    def closed(self) -> bool:
        """DISABLE_HCA was answered OK."""
        return self.close is Close.DONE

    @property
    def health(self) -> Health:
        """The device by the driver's own lines."""
        return Health.FINE if self.incident is None else self.incident.health

    def incident_at(self, place: Place) -> Incident:
        """The session's incident, which begins here if there was none."""
        if self.incident is None:
            self.incident = Incident(place)
        return self.incident

    @property
    def phase(self) -> Phase:
        """The session as far as it was seen, for the table of openings."""
        e, i = self.evidence, self.incident
        if self.closed or (i is not None and i.over):
            return Phase.CLOSED
        if not e.used:
            return Phase.FRESH if i is None else Phase.MIDDLE
        if e.start is Start.PERHAPS_NEXT:
            return Phase.PERHAPS
        if e.start in (Start.UNSEEN, Start.AFTER_LOAD):
            return Phase.MIDDLE
        about_pages = e.page_commands or e.lines
        return Phase.RUNNING if e.start not in _TRYING or about_pages else Phase.TRYING

    def complain(self, text: str) -> None:
        """Something went wrong that no rule explains: what it means for pages is not known."""
        if len(self.unexplained) < MAX_NOTES:
            self.counts[Unexplained(text)] += 1

    @property
    def unexplained(self) -> list[str]:
        """The complaints that no rule explains."""
        return [what.text for what in self.counts if isinstance(what, Unexplained)]

    @property
    def complained(self) -> bool:
        """The driver printed a refusal that drivers do not expect, or a complaint that no rule explains."""
        return bool(self.unexplained) or any(isinstance(what, Tried) and not what.expected for what in self.counts)

    @property
    def reset_asked(self) -> Place | None:
        """The reset that was asked for and that no fence has proven."""
        return None if self.reset is None else self.reset.unproven

    @property
    def release_all_set(self) -> bool | None:
        """release_all_pages was set; None where that was not seen."""
        return None if self.negotiated is None else self.negotiated.release_all

    def book(self, number: int, ec: bool | int) -> Book:
        """The book of the function that a page command or event of the present mode names."""
        return self.books.of(self.naming.name(number, ec))

    def out_of(self, book: Book) -> int:
        """Pages that firmware has or may have of this function."""
        if book.counted_only and book.numbers is not None:
            return book.numbers.out or 0
        return self.ledger.records.outstanding(book.identity)
