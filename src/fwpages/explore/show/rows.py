"""The rows of a walk's chart: one layout for every picture of it, which text and SVG only place.

A row for each step, and one for a folded start-up. A row has only what changed: pages, counters and waiting threads
that are as they were before it are left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeAlias

from rich.console import Console
from rich.text import Text

from fwpages.explore.show.narrative import Message, Part, Step, StepKind
from fwpages.pages.words import printable

#: the parts as a chart names them
NAMES: Mapping[Part, str] = MappingProxyType(
    {"host": "host", "pages": "page path", "eswitch": "e-switch", "firmware": "firmware"}
)
#: fewer steps than these are not worth a fold
MIN_FOLD = 6
#: the last steps of a walk are shown in any case
TAIL = 3


@dataclass(frozen=True, slots=True)
class Share:
    """Pages of a function (4 KiB each): those that firmware has, and those by the driver's books; None: unknown."""

    name: str
    firmware: int
    books: int | None

    @property
    def differs(self) -> bool:
        """The books say another number than firmware has."""
        return self.books is not None and self.books != self.firmware

    @property
    def words(self) -> str:
        """Both numbers where they differ, else one."""
        if self.differs:
            return f"{self.name}: firmware has {self.firmware:,}, books say {self.books:,}"
        return f"{self.name} {self.firmware:,}"


@dataclass(frozen=True, slots=True)
class Row:
    """A step of a chart, or ``folded`` steps as one.

    ``words`` is empty where a message says the same; ``full`` has the words of each step in any case. ``pages``,
    ``counters`` and ``waiting`` are those after it, None where it did not change them. ``broken``: each property that
    breaks here, with what was seen.
    """

    number: str
    actor: str
    words: str
    full: tuple[str, ...]
    messages: tuple[Message, ...]
    pages: tuple[Share, ...] | None
    counters: tuple[tuple[str, int], ...] | None
    waiting: tuple[tuple[str, str], ...] | None
    folded: int = 0
    broken: tuple[str, ...] = ()


def rows(steps: Sequence[Step], broken: Sequence[str] = (), *, whole: bool = False) -> tuple[Row, ...]:
    """The rows of a chart, in order; the last is marked with what is ``broken`` there.

    A search goes on from no broken step, so none but the last can be one. A long quiet start-up is folded, unless
    ``whole``.
    """
    n = 0 if whole else _quiet_prefix(steps)
    out = [_folded(steps[:n])] if n else []
    before = steps[n - 1] if n else None
    for step in steps[n:]:
        out.append(row_of(step, before))
        before = step
    if out:
        out[-1] = replace(out[-1], broken=broken_words(broken))
    return tuple(out)


def broken_words(broken: Iterable[str]) -> tuple[str, ...]:
    """The words of a row about the properties that break there."""
    return tuple(f"broken here: {clean(what)}" for what in broken)


def row_of(step: Step, before: Step | None) -> Row:
    """The row of a step after the step ``before``, of which it leaves out what did not change."""
    words = clean(step.words)
    messages = tuple(replace(m, text=clean(m.text)) for m in step.messages)
    shown = "" if step.repeated else words
    return Row(str(step.number), clean(step.actor), shown, (words,), messages, *_changed(step, before))


_Changed: TypeAlias = tuple[
    tuple[Share, ...] | None, tuple[tuple[str, int], ...] | None, tuple[tuple[str, str], ...] | None
]


def _changed(step: Step, before: Step | None) -> _Changed:
    """Pages, counters and waiting threads after the step, None where it did not change them; none before the first."""
    old = before or Step(0, "", "", (), {}, {}, {})
    pages = tuple(Share(clean(name), *counts) for name, counts in step.pages.items())
    counters = tuple((clean(name), n) for name, n in step.counters.items())
    waiting = tuple((clean(who), clean(what)) for who, what in step.waiting.items())
    return (
        pages if step.pages != old.pages else None,
        counters if step.counters != old.counters else None,
        waiting if step.waiting != old.waiting else None,
    )


def _quiet(step: Step) -> bool:
    """A step of the plain exchange of a start-up: one thread that waits, no fault, no request, no e-switch."""
    return (
        (step.number == 1 or step.kind is StepKind.ROUTINE)
        and len(step.waiting) <= 1
        and all(m.mark != "bad" and "eswitch" not in (m.sender, m.receiver) for m in step.messages)
    )


def _quiet_prefix(steps: Sequence[Step]) -> int:
    """The number of steps that are folded, from the first on: all quiet ones but the last of them."""
    if not steps or steps[0].kind is not StepKind.OPEN:
        return 0
    quiet = next((n for n, step in enumerate(steps) if not _quiet(step)), len(steps))
    n = min(quiet - 1, len(steps) - TAIL)
    return n if n >= MIN_FOLD else 0


def _folded(steps: Sequence[Step]) -> Row:
    sent = [m.text for step in steps for m in step.messages if m.receiver == "firmware" and m.sender != "firmware"]
    ends = f"{clean(sent[0])} … {clean(sent[-1])}" if sent else "…"
    number, words = f"{steps[0].number}–{steps[-1].number}", f"{len(steps)} steps of the start-up: {ends}"
    full = tuple(f"{step.number} {clean(step.actor)}: {clean(step.words)}" for step in steps)
    return Row(number, "", words, full, (), *_changed(steps[-1], None), len(steps))


def clean(text: str) -> str:
    """The text on one line, without characters that no terminal and no XML should see."""
    return printable(" ".join(text.split()))


#: ``bad`` where firmware and books differ or a counter is below zero, ``open`` where the books are unknown
Tone: TypeAlias = Literal["", "bad", "open"]
#: the words for books that are being changed
UNKNOWN = "books unknown"


@dataclass(frozen=True, slots=True)
class StateLine:
    """A line of the state after a row; ``label`` is empty where it is that of the line before."""

    label: str
    text: str
    tone: Tone = ""


def state_lines(row: Row, *, pages: bool = True) -> Iterator[StateLine]:
    """The parts of the state that the row changed, in lines; without ``pages`` where a picture draws them."""
    if pages and row.pages is not None:
        yield from _labelled("pages", _pages(row.pages))
    if row.counters is not None:
        below = any(n < 0 for _, n in row.counters)
        text = ", ".join(f"{name} {n:,}" for name, n in row.counters) or "all 0"
        yield StateLine("counters", text, "bad" if below else "")
    if row.waiting is not None:
        yield from _labelled("waiting", [(f"{who}: {what}", "") for who, what in row.waiting] or [("none", "")])


def _labelled(label: str, lines: Iterable[tuple[str, Tone]]) -> Iterator[StateLine]:
    for n, (text, tone) in enumerate(lines):
        yield StateLine("" if n else label, text, tone)


def _pages(shares: Sequence[Share]) -> Iterator[tuple[str, Tone]]:
    """Functions of which both sides say the same on one line, those of unknown books on one, each other on its own."""
    same = [s.words for s in shares if s.books == s.firmware]
    unknown = [s.words for s in shares if s.books is None]
    if same or not shares:
        yield ", ".join(same) or "none", ""
    if unknown:
        yield f"firmware has {', '.join(unknown)}; {UNKNOWN}", "open"
    for share in shares:
        if share.differs:
            yield share.words, "bad"


_WRAPPER = Console(file=io.StringIO(), color_system=None)


def wrap(text: str, room: int) -> list[str]:
    """The text in lines of at most ``room`` character cells."""
    return [line.plain.rstrip() for line in Text(text).wrap(_WRAPPER, room)] or [""]
