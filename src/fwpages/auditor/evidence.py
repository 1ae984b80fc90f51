"""The evidence of one session: what its input can prove, which every judgement asks before it is made."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

#: the reason for being blind where a log was folded or cut and cannot be joined safely
FOLDED = "the log looks folded: lines of it may be incomplete"


class Start(Enum):
    """How a session's beginning was seen."""

    #: the input begins in the middle of it
    UNSEEN = "unseen"
    #: the same, and ENABLE_HCA of a function 0 came since: the next session's, or an ECPF's for its host PF
    PERHAPS_NEXT = "perhaps next"
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
        return self not in (Start.UNSEEN, Start.PERHAPS_NEXT)


@dataclass(slots=True)
class Evidence:
    """The input of one session. The first two never change; the others only ever grow.

    ``blind`` and ``ambiguous`` say why no function can be followed: lines are missing that any function may need, or
    dumps cannot be separated (the driver's one-line messages can still be counted then).
    """

    #: a kernel log, else a trace
    log: bool
    #: the input numbers its lines, and says when a host gives a command up: nothing is missing without a trace of it
    numbered: bool
    start: Start = Start.UNSEEN
    #: nothing but the line about the firmware's version shows the beginning. A driver always prints it; its debug
    #: messages may have been switched on long after
    by_version: bool = False
    #: commands, events or lines about pages were seen; commands of any kind; MANAGE_PAGES; one-line messages
    used: bool = False
    dumps: bool = False
    page_commands: bool = False
    lines: bool = False
    blind: str = ""
    ambiguous: str = ""
    #: functions that cannot be followed, and those among them whose pages cannot even be counted
    unfollowed: int = 0
    uncounted_functions: int = 0
    #: how often lines were found missing
    gaps: int = 0
    #: the input contradicts itself: lines are missing, or changed, and nothing says so
    contradicted: bool = False
    #: what SET_HCA_CAP set is not known
    mode_unknown: bool = False

    @property
    def from_start(self) -> bool:
        """The session was seen from its beginning."""
        return self.start.seen

    def page_seen(self) -> None:
        """A page is given or taken. Where no start-up was seen before, the messages about pages began after it."""
        if self.by_version:
            self.by_version, self.start = False, Start.UNSEEN

    @property
    def lossy(self) -> bool:
        """Lines that the accounts need are missing: what single pages seem to show is not to be trusted."""
        return bool(self.blind or self.ambiguous or self.unfollowed)

    @property
    def uncounted(self) -> bool:
        """Lines are missing without which not even the counts are known."""
        return bool(self.blind or self.ambiguous or self.uncounted_functions)

    @property
    def incomplete(self) -> bool:
        """Some lines are missing, whether the accounts need them or not."""
        return bool(self.gaps or self.ambiguous)

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
