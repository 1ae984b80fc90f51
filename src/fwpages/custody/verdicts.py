"""Evidence before verdict: the facts of a session, and the one function that judges them.

A session is *clean* where the input proves it: every page that was given is accounted for, page by page; or, by the
driver's own lines, the input begins with the load, every function was asked for everything that it had, and nothing
went wrong. An open session is never clean: it is *consistent so far*. Whatever the input cannot tell makes the verdict
*not known*, and each lack says what would provide the evidence. Findings outrank all of it: something that is wrong is
wrong, however little else is known.

Whoever judges a session (an audit, a run) gathers its ``Facts``; nothing else decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from fwpages.custody.accounts import Count, End, Missing, Verdict

#: the driver's messages of the page path, at a line each; and beside them the dump of every command (of dump_command
#: and dump_buf; no query tells commands apart)
PAGE_LINES = "echo 'module mlx5_core file pagealloc.c +p' > /proc/dynamic_debug/control"
DUMPS = "echo 'module mlx5_core func dump_* +p' > /proc/dynamic_debug/control"
#: the lines from the next load on, which interrupts nothing now
LINES_AT_LOAD = """echo 'options mlx5_core dyndbg="file pagealloc.c +p"' > /etc/modprobe.d/mlx5-pages.conf"""
WHOLE_LOG = "journalctl -k -b -o short-monotonic"
TRACE = "fwpages serve --trace FILE"
RECORD = "fwpages record -o FILE"


class Lack(Enum):
    """Evidence that an input can lack: what would tell, and the command that provides it."""

    PAGE_MESSAGES = "lines about pages, which mlx5_core prints at debug level alone", PAGE_LINES
    PAGES = "a page: none was given, so that nothing is proven", ""
    LOAD = "the log from the load of the driver on", WHOLE_LOG
    LOAD_MESSAGES = "the messages about pages from the load of the driver on: they begin after it", LINES_AT_LOAD
    BEGINNING = "the trace from the beginning of the session on", TRACE
    LINES = "lines that the accounts need and that are not in the log", "dmesg --follow > dmesg.txt"
    RECORDS = "records that the accounts need and that are not in the trace", TRACE
    RECORD_BEGINNING = "the record from the load of the driver on: it begins after it", RECORD
    EVENTS = "events that the kernel had no room for, or calls whose outcome the record does not show", RECORD
    RETURNS = "the number of pages that each TAKE returned, which only the dumps of the commands have", DUMPS
    RELEASES = "the pages that firmware released by an event, which only the lines about pages show", PAGE_LINES
    WHOLE_LINES = "lines as they were printed: the log looks folded, or cut at a column", "dmesg > dmesg.txt"
    COMPLAINT = "the meaning of a complaint that no rule here explains (see the notes)", ""
    FATE = "what became of the pages: the input does not tell", ""
    UNMAPS = "the moment at which the driver lets memory go: the maps of its IOMMU do not tell (see the notes)", ""
    FENCE = "a reset that frees the pages left: nothing proves that the device no longer uses them", ""

    @property
    def missing(self) -> Missing:
        """The lack as the report has it."""
        what, command = self.value
        return Missing(what=what, command=command)

    def of(self, name: str) -> Missing:
        """The lack of a whole input, which has this name."""
        what, command = self.value
        return Missing(what=f"{name}: {what}", command=command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a verdict on a session depends on.

    ``wrong``: there are findings; ``pages``: the input shows pages that were given; ``from_load``: it begins with the
    load; ``after_load``: it has the load, but its messages about pages begin after it; ``left``: pages that firmware
    has or may have, None where that is not known; ``asked_for_all``: every function was asked for everything that it
    had, and the driver complained of nothing; ``gaps``: something is missing without which functions cannot be
    followed; ``folded``: its lines were folded or cut, and cannot be joined safely; ``log``: the input is a kernel's
    log, else a trace or a host's own books; ``recorded``: it is a trace of a running kernel's calls; ``releases``: the
    input shows the pages that firmware released by an event; ``unexplained``: the driver, or the kernel about it,
    complained of something that no rule explains; ``unwatched``: the driver's maps are in the input, and do not
    show when it let memory go.
    """

    end: End
    wrong: bool
    pages: bool
    from_load: bool = True
    after_load: bool = False
    left: Count = 0
    asked_for_all: bool = False
    gaps: bool = False
    folded: bool = False
    log: bool = False
    recorded: bool = False
    releases: bool = True
    unexplained: bool = False
    unwatched: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a session, and for *not known* the reasons."""

    verdict: Verdict
    lacks: tuple[Lack, ...] = ()

    @property
    def missing(self) -> list[Missing]:
        """The lacks as the report has them."""
        return [lack.missing for lack in self.lacks]


#: ends after which the accounts prove nothing, however complete they are
_NEVER_CLEAN = (End.FAILED, End.LOST, End.REMOVED)


def judge(f: Facts) -> Judgement:
    """Judge a session by its facts."""
    if f.wrong:
        return Judgement(Verdict.FINDINGS)
    lacks = tuple(_unseen(f)) or tuple(_unproven(f))
    if lacks:
        return Judgement(Verdict.NOT_KNOWN, lacks)
    return Judgement(Verdict.CONSISTENT if f.end is End.OPEN else Verdict.CLEAN)


def _unseen(f: Facts) -> Iterator[Lack]:
    """Parts of the session that the input does not have."""
    if f.folded:
        yield Lack.WHOLE_LINES
    if f.gaps:
        yield Lack.LINES if f.log else Lack.EVENTS if f.recorded else Lack.RECORDS
    if not f.releases and f.left != 0:
        yield Lack.RELEASES
    if f.unexplained:
        yield Lack.COMPLAINT
    if not f.pages:
        yield Lack.PAGE_MESSAGES if f.log else Lack.PAGES
    if not f.from_load:
        yield _beginning(f)


def _beginning(f: Facts) -> Lack:
    """The lack of an input that begins after the load."""
    if f.log:
        return Lack.LOAD_MESSAGES if f.after_load else Lack.LOAD
    return Lack.RECORD_BEGINNING if f.recorded else Lack.BEGINNING


def _unproven(f: Facts) -> Iterator[Lack]:
    """Questions that a whole session leaves open."""
    if f.end in _NEVER_CLEAN:
        yield Lack.FATE
    elif f.left is None and not f.asked_for_all:
        yield Lack.RETURNS if f.log else Lack.EVENTS if f.recorded else Lack.RECORDS
    elif f.left and f.end is not End.OPEN:
        yield Lack.FENCE
    if f.unwatched and f.end is not End.OPEN:
        yield Lack.UNMAPS
