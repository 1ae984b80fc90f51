"""The rows of a walk's chart: one layout for every picture of it, which text and SVG only place.

A row for each step, and one for a folded start-up. A row has only what the step changed: each function, counter and
waiting thread that is as it was before is left out.
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


#: the driver's books from this step on: being changed, known again and as firmware has it, or as they were before
Books: TypeAlias = Literal["unknown", "agree", ""]


@dataclass(frozen=True, slots=True)
class PagesChange:
    """The functions whose pages a step changed, with those that they have now, and what became of the books."""

    shares: tuple[Share, ...]
    books: Books = ""

    @property
    def words(self) -> str:
        """The news of the books; empty where there are none."""
        return f"books {self.books}" if self.books else ""


@dataclass(frozen=True, slots=True)
class Row:
    """A step of a chart, or ``folded`` steps as one.

    ``words`` is empty where a message says the same; ``full`` has the words of each step in any case. ``pages``,
    ``counters`` and ``waiting`` have what it changed, as it is after it; a thread that waits for nothing any more with
    no words. ``broken``: each property that breaks here, with what was seen.
    """

    number: str
    actor: str
    words: str
    full: tuple[str, ...]
    messages: tuple[Message, ...]
    pages: PagesChange
    counters: tuple[tuple[str, int], ...]
    waiting: tuple[tuple[str, str], ...]
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


_Changed: TypeAlias = tuple[PagesChange, tuple[tuple[str, int], ...], tuple[tuple[str, str], ...]]


def _changed(step: Step, before: Step | None) -> _Changed:
    """Pages, counters and waiting threads that the step changed; all that are there, where it is the first."""
    old = before or Step(0, "", "", (), {}, {}, {})
    counters = {name: step.counters.get(name, 0) for name in (*step.counters, *old.counters)}
    waiting = {who: step.waiting.get(who, "") for who in (*step.waiting, *old.waiting)}
    return (
        _pages_change(step.pages, old.pages),
        tuple((clean(name), n) for name, n in counters.items() if n != old.counters.get(name, 0)),
        tuple((clean(who), clean(what)) for who, what in waiting.items() if what != old.waiting.get(who, "")),
    )


_Pages: TypeAlias = Mapping[str, tuple[int, int | None]]


def _pages_change(pages: _Pages, old: _Pages) -> PagesChange:
    """The books are unknown for all functions at once, so that this is said once and not of each."""
    unknown, was = _unknown(pages), _unknown(old)
    none: tuple[int, int | None] = 0, None if unknown else 0
    shares = []
    for name in dict.fromkeys((*pages, *old)):
        share, before = Share(clean(name), *pages.get(name, none)), old.get(name)
        if before is None or share.firmware != before[0] or (share.differs if was else _moved(share.books, before[1])):
            shares.append(share)
    differ = any(share.differs for share in shares)
    books: Books = "unknown" if unknown and not was else "agree" if was and not (unknown or differ) else ""
    return PagesChange(tuple(shares), books)


def _moved(books: int | None, before: int | None) -> bool:
    """The books have another number than before; where they are unknown, no one can say that."""
    return books is not None and books != before


def _unknown(pages: _Pages) -> bool:
    """The books are being changed."""
    return any(books is None for _, books in pages.values())


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


@dataclass(frozen=True, slots=True)
class StateLine:
    """A line of the state after a row; ``label`` is empty where it is that of the line before."""

    label: str
    text: str
    tone: Tone = ""


def state_lines(row: Row, *, pages: bool = True) -> Iterator[StateLine]:
    """The parts of the state that the row changed, in lines; without ``pages`` where a picture draws them."""
    if pages:
        yield from _labelled("pages", _pages(row.pages))
    if row.counters:
        below = any(n < 0 for _, n in row.counters)
        yield StateLine("counters", ", ".join(f"{name} {n:,}" for name, n in row.counters), "bad" if below else "")
    yield from _labelled("waiting", [(f"{who}: {what or 'no longer'}", "") for who, what in row.waiting])


def _labelled(label: str, lines: Iterable[tuple[str, Tone]]) -> Iterator[StateLine]:
    for n, (text, tone) in enumerate(lines):
        yield StateLine("" if n else label, text, tone)


def _pages(change: PagesChange) -> Iterator[tuple[str, Tone]]:
    """Functions of which both sides say the same, or of unknown books, on one line with the books; others on lines."""
    same = [s.words for s in change.shares if s.books == s.firmware]
    unknown = [s.words for s in change.shares if s.books is None]
    if unknown:
        same = [f"firmware has {', '.join(unknown)}"]
    words = "; ".join(filter(None, (", ".join(same), change.words)))
    if words:
        yield words, "open" if unknown or change.books == "unknown" else ""
    for share in change.shares:
        if share.differs:
            yield share.words, "bad"


_WRAPPER = Console(file=io.StringIO(), color_system=None)


def wrap(text: str, room: int) -> list[str]:
    """The text in lines of at most ``room`` character cells."""
    return [line.plain.rstrip() for line in Text(text).wrap(_WRAPPER, room)] or [""]
