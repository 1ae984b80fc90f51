"""The evidence of one session: what its input can prove, which every judgement asks before it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum

#: the reason for being blind where a log was folded or cut and cannot be joined safely
FOLDED = "the log looks folded: lines of it may be incomplete"


class Format(Enum):
    """The kind of input."""

    LOG = "a kernel log"
    TRACE = "a trace"
    #: nothing is missing from it without a trace: it says when a host gives a command up
    NUMBERED_TRACE = "a trace that numbers its lines"
    #: the same, by the device's end of the queue, with the maps of its memory
    SERVED_TRACE = "a trace of a served device"
    #: the same, made of a running kernel's calls: it has the counts of page commands, and mostly no addresses
    RECORD = "a record of a running kernel"


class Start(Enum):
    """How a session's beginning was seen."""

    #: the input begins in the middle of it
    UNSEEN = "unseen"
    #: the same, and ENABLE_HCA of a function 0 came since: the next session's, or an ECPF's for its host PF
    PERHAPS_NEXT = "perhaps next"
    #: the same, but the load is in the input: the messages about pages begin after it
    AFTER_LOAD = "after the load"
    #: nothing but the line about the firmware's version. A driver always prints it; its debug messages may have been
    #: switched on long after
    VERSION_LINE = "version line"
    #: the first thing that a driver does was seen; ENABLE_HCA has no answer yet
    SEEN = "seen"
    #: ENABLE_HCA was refused
    REFUSED = "refused"
    #: ENABLE_HCA was answered OK, or its answer is missing and the driver went on
    ENABLED = "enabled"
    #: INIT_HCA was answered OK
    INITIALIZED = "initialized"
    #: and an event queue for page requests was created
    WORKING = "working"

    @property
    def seen(self) -> bool:
        """The session was seen from its beginning: what it holds is what the input says that it was given."""
        return self not in (Start.UNSEEN, Start.PERHAPS_NEXT, Start.AFTER_LOAD)


class Shown(IntEnum):
    """How much the input shows of the device's commands. Each step includes those before it."""

    NOTHING = 0
    #: answers, or events or lines about pages
    SOMETHING = 1
    COMMANDS = 2
    #: MANAGE_PAGES
    PAGE_COMMANDS = 3


class Loss(Enum):
    """Facts that the input does not show, though a judgement needs them."""

    #: lines that any function may need are missing: no function can be followed
    ALL_PAGES = "pages of all functions"
    #: dumps cannot be separated: no function can be followed; the driver's one-line messages can still be counted
    DUMPS = "dumps"
    #: a function cannot be followed
    PAGES = "pages of a function"
    #: and neither can its pages be counted
    COUNTS = "counts of a function"
    #: the input contradicts itself: lines are missing, or changed, and nothing says so
    CONSISTENCY = "consistency"
    #: the outcome of SET_HCA_CAP
    MODE = "mode"
    #: the driver's lines do not say whose pages they count
    LINES = "lines"
    #: the maps of the driver's memory do not show when it let memory go
    UNMAPS = "unmaps"


@dataclass(slots=True)
class Evidence:
    """The input of one session. ``form`` never changes; the others only ever grow.

    ``lost`` has the first reason for each loss, ``gaps`` counts how often lines were found missing, ``lines`` says that
    the driver's one-line messages about pages were seen.
    """

    form: Format
    start: Start = Start.UNSEEN
    shown: Shown = Shown.NOTHING
    lines: bool = False
    lost: dict[Loss, str] = field(default_factory=dict)
    gaps: int = 0

    # -- the input is read

    def show(self, shown: Shown) -> None:
        """The input shows at least so much."""
        self.shown = max(self.shown, shown)

    def show_lines(self) -> None:
        """The driver's one-line messages about pages are seen."""
        self.lines = True
        self.show(Shown.SOMETHING)

    def lose(self, loss: Loss, why: str) -> None:
        """The input does not show this fact; the first reason stays."""
        self.lost.setdefault(loss, why)

    def start_up(self) -> None:
        """Start-up is seen, not the version's line alone."""
        if self.start is Start.VERSION_LINE:
            self.start = Start.SEEN

    def page_seen(self) -> None:
        """A page is given or taken. Where no start-up was seen before, the messages about pages began after it."""
        if self.start is Start.VERSION_LINE:
            self.start = Start.AFTER_LOAD

    def advance(self, start: Start) -> None:
        """The driver has come so far in its start-up, where that was seen from its beginning."""
        if self.from_start and self.start is not Start.VERSION_LINE:
            self.start = start

    # -- the input is judged

    @property
    def log(self) -> bool:
        """The input is a kernel log, else a trace."""
        return self.form is Format.LOG

    @property
    def numbered(self) -> bool:
        """The input numbers its lines: nothing is missing without a trace of it."""
        return self.form in (Format.NUMBERED_TRACE, Format.SERVED_TRACE, Format.RECORD)

    @property
    def served(self) -> bool:
        """The input is the trace of a served device, with the maps of its memory: the driver is another's."""
        return self.form is Format.SERVED_TRACE

    @property
    def recorded(self) -> bool:
        """The input is a record of a running kernel: the driver is Linux's."""
        return self.form is Format.RECORD

    @property
    def counts_commands(self) -> bool:
        """Page commands are counted by their own numbers too, as their addresses may not be in the input."""
        return self.log or self.recorded

    @property
    def used(self) -> bool:
        """Commands, events or lines about pages were seen."""
        return self.shown >= Shown.SOMETHING

    @property
    def dumps(self) -> bool:
        """Commands were seen."""
        return self.shown >= Shown.COMMANDS

    @property
    def page_commands(self) -> bool:
        """MANAGE_PAGES was seen."""
        return self.shown is Shown.PAGE_COMMANDS

    @property
    def blind(self) -> str:
        """The reason why no function can be followed; empty where there is none."""
        return self.lost.get(Loss.ALL_PAGES, "")

    @property
    def ambiguous(self) -> str:
        """The reason why dumps cannot be separated; empty where there is none."""
        return self.lost.get(Loss.DUMPS, "")

    @property
    def uncounted_lines(self) -> str:
        """The reason why nothing can be counted by lines; empty where there is none."""
        return self.lost.get(Loss.LINES, "")

    @property
    def contradicted(self) -> bool:
        """The input contradicts itself."""
        return Loss.CONSISTENCY in self.lost

    @property
    def mode_unknown(self) -> bool:
        """The outcome of SET_HCA_CAP is not known."""
        return Loss.MODE in self.lost

    @property
    def from_start(self) -> bool:
        """The session was seen from its beginning."""
        return self.start.seen

    @property
    def lossy(self) -> bool:
        """Lines that the accounts need are missing: what single pages seem to show is not to be trusted."""
        return bool(self.lost) and not _OF_PAGES.isdisjoint(self.lost)

    @property
    def uncounted(self) -> bool:
        """Lines are missing without which not even the counts are known."""
        return bool(self.lost) and not _OF_COUNTS.isdisjoint(self.lost)

    @property
    def incomplete(self) -> bool:
        """Some lines are missing, whether the accounts need them or not."""
        return bool(self.gaps or self.ambiguous)

    @property
    def unwatched(self) -> bool:
        """The driver's maps are in the input, and do not show when it let memory go."""
        return Loss.UNMAPS in self.lost

    @property
    def judges_requests(self) -> bool:
        """A page request without an answer is the driver's doing: a driver of another's, all of whose commands show."""
        whole = self.judges_pages and self.follows_commands and not self.incomplete
        return whole and (self.served or self.log or self.recorded)

    @property
    def by_lines(self) -> bool:
        """The driver's one-line messages are all that there is to count by."""
        return self.lines and not self.follows_commands

    @property
    def follows_commands(self) -> bool:
        """MANAGE_PAGES was seen, and its dumps can be separated."""
        return self.page_commands and not self.ambiguous

    @property
    def silent(self) -> bool:
        """Nothing in the input would show pages: that none are seen proves nothing."""
        return not self.from_start or (self.log and not (self.dumps or self.lines))

    @property
    def judges_pages(self) -> bool:
        """A single page that looks wrong is wrong."""
        return self.from_start and not self.lossy


_OF_COUNTS = frozenset({Loss.ALL_PAGES, Loss.DUMPS, Loss.COUNTS})
_OF_PAGES = _OF_COUNTS | {Loss.PAGES}
