"""The book of one function: all that a session remembers of it, under the one name that it has now.

A function's name changes when the mode is negotiated, or when the input shows late which mode holds. Commands and
findings refer to the book, not to the name; a change of name thus moves one key. Where both names had a book already
they were one function's all along, and the books are joined.

Pages are counted in up to three ways. The ledger follows them one by one (``ledger.py``; records bear the function's
name there). ``lines`` counts by the driver's one-line messages, for logs without command dumps: such a line says how
many pages a GIVE gave and how many a release_all released; of a TAKE only that it was asked, so what a function holds
is not known once it was asked to return pages. ``numbers`` counts by the commands' own counts, for kernels whose dumps
leave addresses out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from fwpages.auditor.naming import Naming
from fwpages.custody.accounts import Count, FunctionAccount
from fwpages.pages.words import many
from fwpages.prm.identity import Identity, Mode

#: why the pages of a function are counted, and not followed one by one
CUT = "the dumps of such an old kernel leave out the last addresses: pages are counted, not followed one by one"
#: the same of a record of a running kernel
COUNTS_ALONE = "the record has the counts of its page commands: pages are counted, not followed one by one"
ONLY_COUNTED = frozenset({CUT, COUNTS_ALONE})
#: requests waiting for their GIVE or TAKE that are remembered
MAX_REQUESTS = 4096
#: Linux takes back no more than this for one request
MAX_TAKE = 50_000


@dataclass(slots=True)
class Tally:
    """Counts of one function. ``out``: what firmware has, None from the first TAKE of unknown outcome on; ``asked``
    and ``swept``: pages asked back on firmware's request, and without one.
    """

    given: int = 0
    released: int = 0
    doubtful: int = 0
    returned: Count = 0
    out: Count = 0
    peak: Count = 0
    asked: int = 0
    swept: int = 0
    unsure: str = ""

    def join(self, other: Tally) -> None:
        """Add the counts that the same function had under another name; the two peaks may be of any times."""
        self.given += other.given
        self.released += other.released
        self.doubtful += other.doubtful
        self.asked += other.asked
        self.swept += other.swept
        self.returned = None if self.returned is None or other.returned is None else self.returned + other.returned
        self.out = None if self.out is None or other.out is None else self.out + other.out
        self.peak = (self.peak or other.peak) if 0 in (self.peak, other.peak) else None
        self.unsure = self.unsure or other.unsure

    def account(self, who: Identity, naming: Naming, *, known: bool) -> FunctionAccount:
        """The counts in the shape of the report; all None unless they are ``known``."""
        known = known and not self.unsure
        held = None if self.out is None else self.out - self.doubtful
        figures = {
            "given": self.given,
            "returned": self.returned,
            "released": self.released,
            "discarded": 0,
            "held": held,
            "doubtful": self.doubtful,
            "peak": self.peak,
        }
        shown = {name: value if known else None for name, value in figures.items()}
        return FunctionAccount(identity=str(who), generation=0, type=naming.type_of(who), name="", **shown)


@dataclass(slots=True)
class Total:
    """All tallies of one kind together: pages out, and the most that were."""

    out: Count = 0
    peak: Count = 0

    def give(self, tally: Tally, pages: int, *, doubtful: bool = False) -> None:
        """Count a GIVE that was answered OK, or not answered."""
        tally.given += pages
        tally.doubtful += pages if doubtful else 0
        tally.out = None if tally.out is None else tally.out + pages
        tally.peak = None if tally.out is None or tally.peak is None else max(tally.peak, tally.out)
        self.out = None if self.out is None else self.out + pages
        self.peak = None if self.out is None or self.peak is None else max(self.peak, self.out)

    def take(self, tally: Tally, pages: int, *, solicited: bool) -> None:
        """Count a TAKE of which only the asking is known."""
        if solicited:
            tally.asked += pages
        else:
            tally.swept += pages
        tally.out = tally.returned = self.out = None

    def back(self, tally: Tally, pages: int, *, crossed: bool = False) -> None:
        """Count a TAKE that returned so many.

        ``crossed``: a release_all came before its answer, and was counted for all pages: these are not among them, as
        the driver frees them by the TAKE.
        """
        if crossed and pages <= tally.released:
            tally.released -= pages
            tally.returned = None if tally.returned is None else tally.returned + pages
            return
        tally.returned = None if tally.returned is None else tally.returned + pages
        tally.out = None if tally.out is None else tally.out - pages
        self.out = None if self.out is None else self.out - pages

    def release(self, tally: Tally, pages: int) -> None:
        """Count a release_all of so many: these were all, so what came back before is known."""
        tally.released += pages
        before = tally.out
        tally.returned = tally.given - tally.released - tally.doubtful
        tally.out = tally.doubtful
        if before is None or self.out is None:
            self.out = None
        else:
            self.out -= before - tally.out
        if tally.returned < 0:
            tally.unsure, tally.returned = "more pages were released than lines say were given", None


@dataclass(slots=True, eq=False)
class Book:
    """One function of one session. All counts are pages."""

    identity: Identity
    #: why its pages cannot be followed; empty where they can
    unsure: str = ""
    #: it was enabled within what was seen: nothing was given to it before
    fresh: bool = False
    #: pages that came back though they were given before the input begins
    before: int = 0
    #: the host has asked for its pages, and how many the last TAKE brought: None where it was refused
    asked_back: bool = False
    brought: Count = None
    #: TAKEs in a row that were answered OK and brought nothing
    fruitless: int = 0
    #: pages that firmware's release_all was about, until the driver's line confirms it
    released: Count = None
    #: pages that firmware wants given, and wants taken back, request by request
    wanted: list[int] = field(default_factory=list)
    owed: list[int] = field(default_factory=list)
    #: more was asked than is remembered, or less came back than was asked
    muddled: bool = False
    #: its last request was absurd: that nothing is given for it is no fault of the host's
    absurd: bool = False
    lines: Tally | None = None
    numbers: Tally | None = None

    @property
    def counted_only(self) -> bool:
        """Its pages are counted by the commands' own numbers; nothing about it is lost but addresses."""
        return self.unsure in ONLY_COUNTED

    @property
    def exhausted(self) -> bool:
        """The last TAKE was refused or brought nothing."""
        return self.asked_back and not self.brought


@dataclass(frozen=True, slots=True)
class Request:
    """Firmware, or a start-up query, asked for pages (below zero: for them to be taken back).

    ``pages`` is None where it released all pages of the function.
    """

    number: int
    pages: int | None

    def served_by(self, number: int | None, pages: int | None, *, take: bool) -> bool:
        """A GIVE or TAKE of these pages may serve it; None stands for what its line does not say."""
        if self.pages is None or (self.pages < 0) is not take or number not in (None, self.number):
            return False
        asked = abs(self.pages)
        return pages in (None, asked) or (take and pages == MAX_TAKE <= asked)


class Books:
    """The books of one session by the functions' present names, and what no single one of them can hold."""

    __slots__ = ("_requests", "by_lines", "by_numbers", "rows")

    def __init__(self) -> None:
        self.rows: dict[Identity, Book] = {}
        #: totals of ``lines`` and of ``numbers``
        self.by_lines = Total()
        self.by_numbers = Total()
        #: requests that no line of the driver's has followed
        self._requests: deque[Request] = deque(maxlen=MAX_REQUESTS)

    def __iter__(self) -> Iterator[Book]:
        return iter(self.rows.values())

    def of(self, who: Identity) -> Book:
        """The function's book, a new one where it has none."""
        book = self.rows.get(who)
        if book is None:
            book = self.rows[who] = Book(who)
        return book

    def rename(self, old: Identity, new: Identity) -> Book | None:
        """The function has another name from now on; returns the book that it had under it, which is joined to this."""
        book = self.rows.pop(old, None)
        if book is None:
            return None
        other = self.rows.pop(new, None)
        book.identity, book.fresh, book.absurd = new, False, False
        if other is not None:
            _join(book, other)
        self.rows = {new: book, **self.rows}
        return other

    # -- counting by the driver's lines

    def counted(self) -> list[tuple[Book, Tally]]:
        """The books that lines were counted in, with their tallies."""
        return [(book, book.lines) for book in self if book.lines is not None]

    def called(self, number: int | None) -> list[Book]:
        """The functions that a line can mean: those with this number, or any where it has none."""
        return [book for book, _ in self.counted() if number is None or book.identity.number == number]

    def requested(self, number: int, pages: int) -> None:
        """Remember that pages were asked for; one request at a time is served, in order."""
        if pages:
            self._requests.append(Request(number, pages))

    def release_requested(self, number: int) -> None:
        """Remember that firmware released all pages of a function."""
        self._requests.append(Request(number, None))

    def serve(self, number: int | None, pages: int | None, *, take: bool) -> Request | None:
        """The request that a GIVE or TAKE of these pages serves; None where none, or not one alone, fits."""
        fits = [r for r in self._requests if r.served_by(number, pages, take=take)]
        if not fits or (number is None and len(fits) > 1):
            return None
        self._requests.remove(fits[0])
        return fits[0]

    def released(self, book: Book, pages: int) -> None:
        """Count a line that says how many pages a release_all was about."""
        request = Request(book.identity.number, None)
        if request in self._requests:
            self._requests.remove(request)
        self.by_lines.release(lines_of(book), pages)

    def swept_out(self) -> bool:
        """Each function that may have pages was asked, without a request of its own, for as many as it may have."""
        owing = [t for _, t in self.counted() if t.out != 0 and t.given > t.released]
        return bool(owing) and all(0 < t.swept >= t.given - t.released - t.asked for t in owing)

    @property
    def doubted(self) -> bool:
        """Some function's count by lines is not sure."""
        return any(t.unsure for _, t in self.counted())

    @property
    def sweeping(self) -> bool:
        """A driver that closes has begun to take everything back."""
        return any(t.swept for _, t in self.counted())

    def settle(self) -> list[str]:
        """Mark the counts by lines that are not sure, now that nothing more comes; returns the reasons."""
        reasons = [(r.number, _unserved(r)) for r in self._requests]
        for number, why in reasons:
            self._doubt(number, why)
        self._doubt_unswept()
        return [why for _, why in reasons]

    def boot_pages_unclear(self, naming: Naming) -> bool:
        """The mode has changed, and lines counted boot pages of a function whose name in that mode they do not say."""
        return naming.mode is Mode.VHCA_ID and any(book.identity.mode is Mode.FUNC_ID for book, _ in self.counted())

    def _doubt_unswept(self) -> None:
        """A driver that was taking everything back, function by function, may have come to any of them."""
        if self.sweeping:
            for tally in [t for _, t in self.counted() if t.out and not t.swept]:
                tally.out = tally.returned = None

    def _doubt(self, number: int, why: str) -> None:
        """The counts of the functions with this number are not sure; of all, where none has it."""
        counted = self.counted()
        for tally in [t for book, t in counted if book.identity.number == number] or [t for _, t in counted]:
            tally.unsure = tally.unsure or why


def lines_of(book: Book) -> Tally:
    """The book's tally by lines, a new one where it has none."""
    if book.lines is None:
        book.lines = Tally()
    return book.lines


def numbers_of(book: Book) -> Tally:
    """The book's tally by the commands' own counts, a new one where it has none."""
    if book.numbers is None:
        book.numbers = Tally()
    return book.numbers


def _unserved(r: Request) -> str:
    if r.pages is None:
        return f"firmware released all pages of function {r.number:#x}, no line says how many"
    wanted = f"firmware asked for {many(r.pages)}" if r.pages > 0 else f"firmware wanted {many(-r.pages)} taken back"
    return f"{wanted} for function {r.number:#x}, and no line says what came of it"


def _join(book: Book, other: Book) -> None:
    """One function had two books: ``book`` takes over what the other remembers; commands may still refer to it."""
    book.unsure = book.unsure or other.unsure
    book.fresh, book.absurd = other.fresh, other.absurd
    book.before = book.before or other.before
    if not book.asked_back:
        book.asked_back, book.brought = other.asked_back, other.brought
    book.released = other.released if book.released is None else book.released
    book.wanted += other.wanted
    book.owed += other.owed
    book.muddled = book.muddled or other.muddled
    book.lines = _joined(book.lines, other.lines)
    book.numbers = _joined(book.numbers, other.numbers)


def _joined(tally: Tally | None, other: Tally | None) -> Tally | None:
    if tally is None or other is None:
        return tally or other
    tally.join(other)
    return tally
