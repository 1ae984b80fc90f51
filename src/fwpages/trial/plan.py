"""The plan of a campaign: the rows in which each fault is played, or the reason for which it is not.

``PLAN`` has an entry for each fault of ``fwpages list faults``, and ``TROUBLES`` for those of the whole device. An
entry's first moment is its default: the one at which the fault does most. Every moment is played as a PF in VHCA_ID
mode. In FUNC_ID mode, and on an embedded CPU, only those are whose outcome can differ there: faults about names, about
the mode, about the pages of other functions, and one of each other kind to compare by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, unique
from fnmatch import fnmatchcase
from itertools import chain
from types import MappingProxyType
from typing import Final

from fwpages.explore.review.questions import question
from fwpages.pages.words import either, nearest
from fwpages.prm.identity import Mode
from fwpages.scenario import ScenarioError
from fwpages.scenario.fault_syntax import fault
from fwpages.trial.effects import Causer
from fwpages.trial.rows import Row, Supplier, Trouble


class PlanError(ValueError):
    """A pattern that names no row; the text says what it was, and what there is."""


@unique
class Unplayed(Enum):
    """The reason for which a fault is not played: a device behind a command queue cannot do it to a driver."""

    DRIVER_BYTES = "the driver writes these bytes itself"
    NO_WIRE = "there is no event queue to write it into"
    OWN_MEMORY = "the memory is the driver's, and its own kernel maps it"
    NO_NAME = "an answer on the wire has no opcode: the slot tells which command it answers"
    SAME = "a driver cannot tell it from another fault, which is played"
    RESETS = "a fatal state that no reset by software ends is played"
    NOT_SERVED = "a served device does not do it"
    NO_OPPORTUNITY = "the stages of a play have no moment for it: Linux asks for a VF's vhca_id before any is enabled"


@dataclass(frozen=True, slots=True)
class Untried:
    """A fault that is not played. ``like``: the one that is the same to a driver."""

    reason: Unplayed
    like: str = ""

    def __str__(self) -> str:
        return f"{self.reason.value}{f' ({self.like})' if self.like else ''}"


@dataclass(frozen=True, slots=True)
class Entry:
    """The rows of a fault. ``when``: its moments, with number and times, as they are typed after the name.

    ``func_id`` and ``ecpf`` are the moments that are played in FUNC_ID mode and on an embedded CPU too. ``smoke``: the
    first moment is in the small set. ``questions`` are those of the review that the fault belongs to; ``path`` is the
    explorer's path to its effect on Linux's merged design, in the world of the first of them.
    """

    causer: Causer
    when: tuple[str, ...] = ("@1",)
    questions: tuple[int, ...] = ()
    func_id: tuple[str, ...] = ()
    ecpf: tuple[str, ...] = ()
    smoke: bool = False
    path: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """The surroundings of a row: who can cause its fault, the review's questions, the command that replays a path."""

    causer: Causer | None = None
    questions: tuple[int, ...] = ()
    path: str = ""


_NORMAL, _GUEST, _FIRMWARE, _HOSTILE = Causer
_R, _T, _B, _I = "@runtime", "@teardown", "@boot", "@init"
_EVERY = (_B, _I, _R, _T)
_BYTES: Final = Untried(Unplayed.DRIVER_BYTES)
_MEMORY: Final = Untried(Unplayed.OWN_MEMORY)
_UNSERVED: Final = Untried(Unplayed.NOT_SERVED)
_NO_MOMENT: Final = Untried(Unplayed.NO_OPPORTUNITY)

_COUNTS = (14,)
_RETURNS = (12,)
_MODE = (8,)
_TIMEOUT = (11,)
_ENDLESS = (15,)
_REOPEN = (19,)
_LOST = (18,)

_PAGES_NEGATIVE: Final = "merged::aa42d09a:9:B"

PLAN: Mapping[str, Entry | Untried] = MappingProxyType(
    {
        "give-unanswered-lost": Entry(_FIRMWARE, (_R, _B, _I), _TIMEOUT),
        "give-unanswered-done": Entry(
            _FIRMWARE, (_R, _B, _I), _TIMEOUT, func_id=(_R, _B), ecpf=(_R,), smoke=True, path="merged::1ea01898:11:A~JB"
        ),
        "give-late": Entry(_FIRMWARE, (_R, _B)),
        "give-too-late": Entry(_FIRMWARE, (_R, _B), _TIMEOUT),
        "give-next-session": Entry(_FIRMWARE, (_R,), (11, 9)),
        "give-refused": Entry(_FIRMWARE, (_R, _B, _I)),
        "take-unanswered-lost": Entry(_FIRMWARE, (_T, _R), (13,)),
        "take-unanswered-done": Entry(_FIRMWARE, (_T, _R), (13,)),
        "take-late": Entry(_FIRMWARE, (_T, _R)),
        "take-too-late": Entry(_FIRMWARE, (_T, _R)),
        "take-next-session": Entry(_FIRMWARE, (_T,), (9,)),
        "take-refused": Entry(_FIRMWARE, (_T, _R, "@teardownx*"), func_id=(_T,), ecpf=(_T,)),
        "take-short": Entry(_FIRMWARE, (_T, _R), _RETURNS),
        "take-long": Entry(_HOSTILE, (_T, _R), (12, 14)),
        "take-count-over": Entry(_FIRMWARE, (_T, _R), (12, 14)),
        "take-count-huge": Entry(
            _HOSTILE, ("@teardownx*", _T, _R), (15, 14, 12), func_id=("@teardownx*",), ecpf=("@teardownx*",), smoke=True
        ),
        "take-twice": Entry(_FIRMWARE, (_T, _R), _RETURNS, smoke=True, path="merged::7ee1553f:65:AB"),
        "take-twice-kept": Entry(_FIRMWARE, (_T, _R), _RETURNS),
        "take-again": Entry(_FIRMWARE, (_T, _R), _RETURNS),
        "take-foreign": Entry(_FIRMWARE, (_R,), _RETURNS, func_id=(_R,), ecpf=(_R,), smoke=True),
        "take-never-given": Entry(_HOSTILE, (_T, _R), _RETURNS),
        "take-unaligned": Entry(_HOSTILE, (_T, _R), _RETURNS),
        "take-nothing": Entry(_FIRMWARE, ("@teardownx*", _T, _R), _ENDLESS),
        "take-invented": Entry(_HOSTILE, ("@teardownx*", _T, _R), (15, 12), smoke=True, path="merged::6bc804a5:70:C"),
        "pages-zero": Entry(_FIRMWARE, (_B, _I)),
        "pages-negative": Entry(
            _FIRMWARE, (_B, _I), _COUNTS, func_id=(_B,), ecpf=(_B,), smoke=True, path=_PAGES_NEGATIVE
        ),
        "pages-least": Entry(_HOSTILE, (_B, _I), _COUNTS),
        "pages-huge": Entry(_HOSTILE, (_B, _I), _COUNTS),
        "pages-most": Entry(_HOSTILE, (_B, _I), _COUNTS),
        "boot-other-function": Entry(_FIRMWARE, ("@1",), (6,), func_id=("@1",), ecpf=("@1",)),
        "set-cap-refused": Entry(_FIRMWARE, ("@1",), _MODE, func_id=("@1",)),
        "set-cap-half": Entry(_FIRMWARE, ("@1",), _MODE, func_id=("@1",)),
        "set-cap-unanswered-lost": Entry(_FIRMWARE, ("@1",), _MODE),
        "set-cap-unanswered-done": Entry(
            _FIRMWARE, ("@1",), _MODE, func_id=("@1",), ecpf=("@1",), smoke=True, path="merged::e3045bae:20:A~HE"
        ),
        "mode-not-switched": Entry(_FIRMWARE, ("@1",), _MODE, ecpf=("@1",), smoke=True),
        "mode-not-told": Entry(_FIRMWARE, ("@1",), _MODE, ecpf=("@1",)),
        "vhca-id-twice": _NO_MOMENT,
        "vhca-id-own": Entry(_HOSTILE, ("@1",), (5, 2)),
        "vhca-id-again": _NO_MOMENT,
        "enable-refused": Entry(_FIRMWARE),
        "enable-unanswered-lost": Entry(_FIRMWARE, ("@1",), (1,)),
        "enable-unanswered-done": Entry(_FIRMWARE, ("@1",), (1,)),
        "disable-refused": Entry(_FIRMWARE, ("@1",), (4,)),
        "disable-unanswered-lost": Entry(_FIRMWARE, ("@1",), (4,)),
        "disable-unanswered-done": Entry(_FIRMWARE, ("@1",), (4,)),
        "teardown-refused": Entry(
            _FIRMWARE, ("@1",), _REOPEN, func_id=("@1",), ecpf=("@1",), smoke=True, path="merged::0cf84a0b:56:B"
        ),
        "teardown-unanswered": Entry(_FIRMWARE, ("@1",), _REOPEN),
        # at teardown the first is TEARDOWN_HCA, which has faults of its own, and the second DISABLE_HCA
        "command-refused": Entry(_FIRMWARE, (_R, _B, _I, "@teardown:2")),
        "command-unanswered-lost": Entry(_FIRMWARE, (_R, _B, _I, "@teardown:2")),
        "command-unanswered-done": Entry(_FIRMWARE, (_R, _B, _I, "@teardown:2")),
        "command-late": Entry(_FIRMWARE, _EVERY),
        "request-zero": Entry(_FIRMWARE, ("@1",), _COUNTS),
        "request-minus-one": Entry(_FIRMWARE, ("@1",), _COUNTS),
        "request-least": Entry(_HOSTILE, ("@1",), _COUNTS),
        "request-huge": Entry(_HOSTILE, ("@1",), _COUNTS, smoke=True),
        "request-most": Entry(_HOSTILE, ("@1",), _COUNTS),
        "request-unmeant": Entry(_FIRMWARE),
        "request-storm": Entry(_GUEST, ("@1",), _LOST, smoke=True),
        "request-in-enable": Entry(_NORMAL, ("@1",), (1, 3)),
        "request-in-disable": Entry(_NORMAL, ("@1",), (4, 9)),
        "request-in-close": Entry(_NORMAL, ("@1",), (9,)),
        "request-before-eq": Untried(Unplayed.NO_WIRE),
        "request-after-eq": Untried(Unplayed.NO_WIRE),
        "release-all-unasked": Entry(_FIRMWARE, ("@1",), (17,), func_id=("@1",)),
        "release-all-own": Entry(_HOSTILE, ("@1",), (17,), func_id=("@1",), ecpf=("@1",)),
        "release-all-crossing": Entry(
            _NORMAL, (_R,), (17,), func_id=(_R,), smoke=True, path="merged::9c254d36:58:ACCCBABBCACC"
        ),
        "request-lost": Entry(_FIRMWARE, (_R,), _LOST, smoke=True, path="merged::c9a80ace:48:AC"),
        "request-twice": Entry(_FIRMWARE, (_R,)),
        "give-aborted-lost": Untried(Unplayed.SAME, "give-unanswered-lost"),
        "give-aborted-done": Untried(Unplayed.SAME, "give-unanswered-done"),
        "take-aborted-lost": Untried(Unplayed.SAME, "take-unanswered-lost"),
        "take-aborted-done": Untried(Unplayed.SAME, "take-unanswered-done"),
        "link-lost": Untried(Unplayed.SAME, Trouble.LINK_LOST.value),
        "link-lost-for-good": Untried(Unplayed.SAME, Trouble.LINK_LOST_FOR_GOOD.value),
        "not-fenced": Untried(Unplayed.RESETS, Trouble.STUCK.value),
        "map-fails": _MEMORY,
        "map-at-zero": _MEMORY,
        "map-elsewhere": _MEMORY,
        "answer-twice": _UNSERVED,
        "answer-garbled": Untried(Unplayed.NO_NAME),
        "entry-signature": _BYTES,
        "entry-type": _BYTES,
        "entry-reserved": _BYTES,
        "input-length": _BYTES,
        "output-length": _BYTES,
        "input-unaligned": _BYTES,
        "output-unaligned": _BYTES,
        "input-unmapped": _BYTES,
        "input-token": _BYTES,
        "output-token": _BYTES,
        "input-order": _BYTES,
        "input-loop": _BYTES,
        "input-short": _BYTES,
        "output-short": _BYTES,
        "ownership-kept": _UNSERVED,
        "answer-token": _UNSERVED,
        "event-owner": _UNSERVED,
        "interrupt-lost": _UNSERVED,
        "doorbell-lost": _UNSERVED,
    }
)

#: troubles of the whole device, which have no moment: they come at run time
TROUBLES: Mapping[Trouble, Entry] = MappingProxyType(
    {
        Trouble.LINK_LOST: Entry(_NORMAL, ("",), (13,)),
        Trouble.LINK_LOST_FOR_GOOD: Entry(_NORMAL, ("",), (13,)),
        Trouble.FATAL: Entry(_FIRMWARE, ("",), (13,), func_id=("",), ecpf=("",)),
        Trouble.STUCK: Entry(_FIRMWARE, ("",), (13,), smoke=True, path="merged:h:40d335b4:44:AAB~PAB"),
    }
)

#: no fault at all: the driver and the kernel that all others are compared with
_SOUND: Final = Entry(_NORMAL, ("",), (10,), func_id=("",), ecpf=("",), smoke=True)


def every_row() -> tuple[Row, ...]:
    """Every row of the plan: without any fault first, then the faults in the order of their list, then troubles."""
    return tuple(row for row, _ in _rows())


def rows(patterns: Sequence[str] = (), *, smoke: bool = False) -> tuple[Row, ...]:
    """The rows that one of these patterns names (shell wildcards; none: all of them), with ``smoke`` of the small set.

    A pattern is held against a fault's name, against the name with its moment, and against the row as it is printed
    ("take-*", "*@teardown*", "*, ecpf"). A fault as it is typed, with a moment that the plan does not have, makes a
    row of its own. PlanError where a pattern names nothing.
    """
    known = [row for row, small in _rows() if small or not smoke]
    if not patterns:
        return tuple(known)
    return tuple(dict.fromkeys(chain.from_iterable(_named(p, known) for p in patterns)))


def about(row: Row) -> About:
    """The surroundings of a row, also of one that the plan does not have."""
    entry = _entry(row)
    if entry is None:
        return About()
    named = question(str(entry.questions[0])) if entry.questions else None
    path = f"fwpages explore {named.id} --replay {entry.path}" if named is not None and entry.path else ""
    return About(entry.causer, entry.questions, path)


def _entry(row: Row) -> Entry | None:
    if row.fault is not None:
        entry = PLAN.get(row.fault.name)
        return entry if isinstance(entry, Entry) else None
    return _SOUND if row.trouble is None else TROUBLES[row.trouble]


def _rows() -> Iterator[tuple[Row, bool]]:
    """The rows; a row is paired with True where it is of the small set."""
    yield from _variants(_SOUND, {"": Row(None)})
    for name, entry in PLAN.items():
        if isinstance(entry, Entry):
            yield from _variants(entry, {when: Row(fault(name + when)) for when in entry.when})
    for trouble, entry in TROUBLES.items():
        yield from _variants(entry, {"": Row(None, trouble=trouble)})


def _variants(entry: Entry, by_moment: Mapping[str, Row]) -> Iterator[tuple[Row, bool]]:
    """The rows of an entry in each mode and under each supplier."""
    for when, row in by_moment.items():
        yield row, entry.smoke and when == entry.when[0]
        if when in entry.func_id:
            yield replace(row, mode=Mode.FUNC_ID), False
        if when in entry.ecpf:
            yield replace(row, supplier=Supplier.ECPF), False


def _named(pattern: str, known: Sequence[Row]) -> Sequence[Row]:
    """The known rows that a pattern names; else the row that it types. PlanError where it names neither."""
    found = [row for row in known if _names(pattern, row)]
    if not found and any(_names(pattern, row) for row in every_row()):
        raise PlanError(f"{pattern!r} names rows, but none of the small set: without --smoke they are played")
    return found or [_typed(pattern)]


def _names(pattern: str, row: Row) -> bool:
    name = row.label if row.fault is None else row.fault.name
    return any(fnmatchcase(text, pattern) for text in (name, row.label, str(row)))


def _typed(pattern: str) -> Row:
    """The row of a fault that is typed with a moment of its own. PlanError where it cannot be played."""
    try:
        typed = fault(pattern)
    except ScenarioError:
        known = [*PLAN, *Trouble, *(row.label for row in every_row())]
        near = nearest(pattern, known)
        hint = f"did you mean {either(near)}?" if near else "`fwpages list faults` shows what there is"
        raise PlanError(f"no row of the trial is named by {pattern!r}; {hint}") from None
    entry = PLAN[typed.name]
    if isinstance(entry, Untried):
        raise PlanError(f"{typed.name} is not played: {entry}")
    return Row(typed)
