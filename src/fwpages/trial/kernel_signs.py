"""The kernel's reports of its own errors in its log: each with a title, its function and module, its stack.

Theory of operation. A line that matches a wording (``sign_table``) begins a report. The lines after it are the
report's until another begins, ``REPORT_LINES`` at most: its stack, the instruction, the allocator of the object. A line
that only says on what the report has begun (an Oops after its cause, a WARN in the code that reports, a panic that ends
it) begins none. The function of a title is the first that is no plumbing: of the wording itself, of the object's
allocation, of the instruction, of the stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from fwpages.trial.effects import Effect
from fwpages.trial.sign_table import FUNCTION, PLUMBING, SIGN_WORDINGS, SignWording

#: lines of one report that are looked at: one with two stacks and all registers has some 150
REPORT_LINES: Final = 200
#: reports that are read: more would only follow from the first ones
MOST_REPORTS: Final = 64
#: lines of a log that are read: a play's log is bounded, and has some thousands
MOST_LINES: Final = 200_000
#: characters of a line that are read: the kernel's own limit
MOST_LINE: Final = 1024
#: frames of a stack that are kept
MOST_FRAMES: Final = 12

_FRONT = re.compile(r"(?:<\d+>)?(?:\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])?\s?)?")
_FRAME = re.compile(rf"\s*(?:\[<[0-9a-f]+>\]\s*)?(?P<unsure>\? )?{FUNCTION}\s*$")
_INSTRUCTION = re.compile(rf"(?:RIP|pc|PC is at|EIP)\s*: ?(?:[0-9a-f]{{4}}:)?{FUNCTION}")
_ALLOCATED = re.compile(rf"Allocated in {FUNCTION} age=")
#: the lock that a task wants in a report of lockdep's; those that it holds have a number in front
_WANTED = re.compile(rf"[0-9a-f]{{8,16}} \(.{{1,200}}\}}, at: {FUNCTION}")
_ACCESS = re.compile(r"(Read|Write) (?:of size|at addr)")
_IN = re.compile(rf" (?:in|at) {FUNCTION}")
#: the words of a checker of slabs, in front of its headline
_BROKEN = re.compile(r"\[([\w ]{1,60} overwritten)\] 0x")
#: a frame without a name, of code that is there no more: the backtrace of an object that a module has left
_UNNAMED = re.compile(r"\s*0x[0-9a-f]{16}\s*")
UNLOADED: Final = "a module that was unloaded"
#: lines within a stack that are no frames
_IN_STACK = frozenset({"<TASK>", "</TASK>", "<IRQ>", "</IRQ>", "<#DF>", "</#DF>", "<NMI>", "</NMI>", ""})
_STACK = re.compile(r"Call [Tt]race:|backtrace(?: \(crc \w+\))?:")
#: words, some of which are in every line that begins a report
_MAY_BEGIN = re.compile(
    r"BUG|WARNING|Oops|panic|PANIC|INFO:|lock|LOCK|corruption|refcount_t|UBSAN|DMA-API|kmemleak|unreferenced|oom-killer"
    r"|of memory|allocation|fault|possible|vmalloc|overflow|pointer|paging|held|register|scheduling|suspicious"
)
#: the kernel's own functions that report the error of another: their WARN is part of that report
_REPORTERS = re.compile(r"object_err|slab_|print_trailer|__list_|refcount_warn|err_printk|check_unmap")
#: reports that the kernel prints within a WARN, whose own headline follows
_WARNS = ("refcount bug", "list_", "DMA-API", "ODEBUG", "possible deadlock", "page allocation failure", "BUG {cache}")
#: words of a panic that only ends what was reported before
_ENDS = ("Fatal exception", "panic_on_warn", "hung_task", "softlockup", "RCU Stall", "Attempted to kill")


@dataclass(frozen=True, slots=True)
class Frame:
    """A function of a stack as the kernel printed it (``text``), and its module ("": the kernel's own)."""

    function: str
    module: str
    text: str


@dataclass(frozen=True, slots=True)
class Sign:
    """A report of the kernel's. ``line``: its number in the log, from 1; ``headline``: its words there.

    ``function`` is the one that the title names ("" where the report tells none), ``module`` the one of the report's
    first function that is in a module.
    """

    effect: Effect
    title: str
    headline: str
    line: int
    function: str = ""
    module: str = ""
    frames: tuple[Frame, ...] = ()


@dataclass(slots=True)
class _Report:
    """A report as it is being read."""

    wording: SignWording
    match: re.Match[str]
    line: int
    #: a slab checker's words in front of the headline
    broken: str = ""
    access: str = ""
    named: Frame | None = None
    allocated: Frame | None = None
    instruction: Frame | None = None
    frames: list[Frame] = field(default_factory=list)
    in_stack: bool = False
    stacks: int = 0


def read_signs(console: str) -> tuple[Sign, ...]:
    """The kernel's reports in a log, in their order; ``MOST_REPORTS`` at most, of as many lines as ``MOST_LINES``."""
    return tuple(_sign(report) for report in islice(_reports(console), MOST_REPORTS))


def _reports(console: str) -> Iterator[_Report]:
    """The reports, each when it is whole."""
    report: _Report | None = None
    broken = ""
    for number, line in enumerate(_lines(console), 1):
        if (words := _BROKEN.match(line)) is not None:
            broken = words[1]
        if report is not None and number - report.line > REPORT_LINES:
            yield report
            report = None
        begun = _begun(number, line, report) if _MAY_BEGIN.search(line) else None
        if begun is not None:
            if report is not None:
                yield report
            report, begun.broken, broken = begun, broken, ""
        elif report is not None:
            _read(report, line)
    if report is not None:
        yield report


def _lines(console: str) -> Iterator[str]:
    """The messages of the lines, without level, time and task in front."""
    for line in console.split("\n", MOST_LINES)[:MOST_LINES]:
        text = line[:MOST_LINE].rstrip("\r")
        front = _FRONT.match(text)
        yield text[front.end() :] if front is not None else text


def _begun(number: int, line: str, last: _Report | None) -> _Report | None:
    """The report that a line begins; None where it begins none, or goes on with the ``last``."""
    for wording in SIGN_WORDINGS:
        m = wording.pattern.search(line)
        if m is not None:
            named = _IN.search(line)
            report = _Report(wording, m, number, named=None if named is None else _frame(named, named[0]))
            return None if last is not None and _goes_on(report, last) else report
    return None


def _goes_on(r: _Report, last: _Report) -> bool:
    """A report says in other words, or to its end, what the one before it said."""
    title, before = r.wording.title, last.wording.title
    if title.startswith("kernel panic"):
        return any(words in r.match.string for words in _ENDS)
    if title.startswith("Oops"):
        return last.wording.effect is Effect.CRASHED
    if title == "kernel BUG":
        return before.startswith("list_")
    if title == "WARNING":
        return before.startswith(_WARNS) or (r.named is not None and _REPORTERS.match(r.named.function) is not None)
    return False


def _read(r: _Report, line: str) -> None:
    """Read one more line of a report."""
    if (m := _ACCESS.match(line)) is not None:
        r.access = r.access or f" {m[1]}"
    elif (m := _WANTED.match(line)) is not None:
        r.named = r.named or _frame(m, line)
    elif (m := _ALLOCATED.match(line)) is not None:
        r.allocated = r.allocated or _frame(m, line)
    elif (m := _INSTRUCTION.search(line)) is not None:
        r.instruction = r.instruction or _frame(m, line)
    else:
        _read_stack(r, line)


def _read_stack(r: _Report, line: str) -> None:
    """Read a line of the first stack of a report: frames that the kernel is not sure of are none."""
    if _STACK.match(line.lstrip()):
        r.stacks += 1
        r.in_stack = r.stacks == 1
    elif r.in_stack and (m := _FRAME.fullmatch(line)) is not None:
        if m["unsure"] is None and len(r.frames) < REPORT_LINES:
            r.frames.append(_frame(m, line))
    elif r.in_stack and _UNNAMED.fullmatch(line) is not None:
        r.frames.append(Frame(UNLOADED, "", line.strip()))
    else:
        r.in_stack = r.in_stack and line.strip() in _IN_STACK


def _frame(m: re.Match[str], text: str) -> Frame:
    return Frame(m["function"], m["module"] or "", text.strip())


def _sign(r: _Report) -> Sign:
    """The report as it is reported on."""
    guilty = _guilty(r) if r.wording.place else None
    told = [f for f in (r.named, r.allocated, r.instruction, *r.frames) if f is not None]
    return Sign(
        effect=r.wording.effect,
        title=_title(r) if guilty is None else f"{_title(r)} in {guilty.function}",
        headline=r.match.string.strip(),
        line=r.line,
        function="" if guilty is None else guilty.function,
        module=next((f.module for f in told if f.module), ""),
        frames=tuple(r.frames[:MOST_FRAMES]),
    )


def _title(r: _Report) -> str:
    """The title without its function."""
    words = {"what": "", **{k: v for k, v in r.match.groupdict().items() if v}}
    if r.broken and "cache" in words:
        words["what"] = r.broken
    title = r.wording.title.format(**words).strip()
    return title + r.access if title.startswith("KASAN") else title


def _guilty(r: _Report) -> Frame | None:
    """The function that the title names."""
    allocated = r.allocated if r.allocated is not None and r.allocated.module else None
    told: Sequence[Frame | None] = (r.named, allocated, r.instruction, *r.frames)
    known = [f for f in told if f is not None]
    return next((f for f in known if f.module or not PLUMBING.fullmatch(f.function)), known[0] if known else None)
