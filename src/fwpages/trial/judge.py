"""The judgement of a play from both sides: the kernel's reports of its own errors, and the books of both.

Theory of operation. Each source of evidence yields what it found (``Found``); the worst comes first. Three rules hold.
Nothing is said about a driver that was not reached: a kernel that does not boot, a missing module, a full disk are
told as such. An effect that the fault forces on any driver is not blamed on this one (``excuses``). And what could not
be looked at is told (``unseen``): where nothing was found, it says how much that is worth.

The kernel's reports count from the driver's first line on: what a kernel complains of before is not the driver's.
A task that does not end after a crash is no hang of its own. A hang that the kernel reports counts only where its
machine ran meanwhile (``hangs``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from fwpages.readers.driver_lines import named_line
from fwpages.trial.account import device_did, driver_did
from fwpages.trial.books import found_in_books, own_memory, surplus
from fwpages.trial.effects import Effect, NotJudged
from fwpages.trial.excuses import lasts, leaves_mapped
from fwpages.trial.found import Found
from fwpages.trial.hangs import starvation
from fwpages.trial.judged import EffectSeen, Judged
from fwpages.trial.kernel_signs import Sign, read_signs
from fwpages.trial.plan import about
from fwpages.trial.seen import INSTRUMENT_NAMES, Halt, Instruments, Outcome, Seen, Stage, StageSeen
from fwpages.trial.sign_table import PENDING

#: reasons after which a play still tells of the driver what it showed
_STILL_TELLS = frozenset({NotJudged.NOT_TRIGGERED, NotJudged.MACHINE_DIED})
#: the words by which an instrument turns itself off, and what is not seen from there on
_TURNED_OFF: Mapping[str, str] = MappingProxyType(
    {
        "turning off the locking correctness validator": "locks, from where lockdep had no more room",
        "INFO: lockdep is turned off": "locks, from where lockdep was turned off",
        "DMA-API: debugging out of memory": "DMA mappings, from where their debugging ran out of memory",
        "kmemleak: Kernel memory leak detector disabled": "objects that are lost: kmemleak turned itself off",
        "printk messages dropped": "lines of the kernel's log that its console dropped",
    }
)


def judge(seen: Seen) -> Judged:
    """The verdict on one play."""
    not_judged, why = _not_judged(seen)
    before, signs = _signs(seen)
    tells = not_judged is None or not_judged in _STILL_TELLS
    found = _worst_first(seen, signs) if tells else []
    known = about(seen.row)
    return Judged(
        seen.row,
        title=found[0].title if found else Effect.NONE.value if not_judged is None else not_judged.value,
        effects=tuple(EffectSeen(f.effect, f.detail, f.frames, f.title) for f in found),
        not_judged=not_judged,
        why=why,
        on_purpose=device_did(seen),
        driver_did=driver_did(seen) if tells else (),
        unseen=tuple(_unseen(seen, before, signs)),
        causer=known.causer,
        questions=known.questions,
        path=known.path,
    )


def _not_judged(seen: Seen) -> tuple[NotJudged | None, str]:
    """The reason for which this play has no verdict of its own, with its words."""
    if seen.stopped is not None:
        return seen.stopped, seen.why
    boot = next((s for s in seen.stages if s.stage is Stage.BOOT), None)
    if boot is None or boot.outcome is not Outcome.DONE:
        return NotJudged.NOT_BOOTED, "" if boot is None else f"{boot.outcome.value} after {boot.seconds:.0f} s"
    if seen.served is None:
        return NotJudged.OUR_BUG, "the device made no report"
    if seen.halt is Halt.DIED:
        return NotJudged.MACHINE_DIED, "QEMU ended before the play did"
    if not _triggered(seen):
        return NotJudged.NOT_TRIGGERED, f"{seen.row.label} found no opportunity"
    return None, ""


def _triggered(seen: Seen) -> bool:
    """The device did what the row is about."""
    row, served = seen.row, seen.served
    if served is None:
        return False
    if row.trouble is not None:
        return any(s.trouble is not None for s in served.sessions)
    return row.fault is None or any(s.fault == row.fault.name for s in served.on_purpose)


def _signs(seen: Seen) -> tuple[tuple[Sign, ...], tuple[Sign, ...]]:
    """The kernel's reports before the driver's first line, and those from it on; then the leaks that it lists."""
    signs = read_signs(seen.console)
    first = _first_line(seen.console)
    begun = next((n for n, s in enumerate(signs) if s.line >= first), len(signs))
    return signs[:begun], (*signs[begun:], *_listed_leaks(seen))


def _first_line(console: str) -> float:
    """The number of the driver's first line; infinite where it has none."""
    return next((n for n, line in enumerate(console.splitlines(), 1) if named_line(line) is not None), math.inf)


def _listed_leaks(seen: Seen) -> Iterator[Sign]:
    """Leaks that kmemleak found: its file has them, and the log their number alone."""
    yield from (s for s in read_signs(seen.leaks or "") if s.effect is Effect.LEAKED)


def _worst_first(seen: Seen, signs: tuple[Sign, ...]) -> list[Found]:
    """All that was found, each effect with one title once; the worst first, else in the order of their sources."""
    every: dict[tuple[Effect, str], Found] = {}
    for f in (*_of_kernel(seen, signs), *found_in_books(seen), *_loads(seen)):
        every.setdefault((f.effect, f.title), f)
    return sorted(every.values(), key=lambda f: list(Effect).index(f.effect), reverse=True)


def _of_kernel(seen: Seen, signs: tuple[Sign, ...]) -> Iterator[Found]:
    """The kernel's own reports; then a panic that left none, and stages that did not end in a kernel that still ran."""
    yield from _reported(seen, signs)
    reported = {s.effect for s in signs}
    if seen.halt is Halt.PANIC and not reported & {Effect.CRASHED, Effect.EXHAUSTED}:
        yield Found(Effect.CRASHED, "kernel panic", "the machine ended with a panic, and its log does not tell more")
    if Effect.CRASHED not in reported and seen.halt not in (Halt.PANIC, Halt.DIED):
        yield from _not_ended(seen, reported=Effect.HUNG in reported)


def _reported(seen: Seen, signs: tuple[Sign, ...]) -> Iterator[Found]:
    """The kernel's reports, without those that the machine's computer or the row itself is the cause of."""
    starved = starvation(seen)
    for s in signs:
        detail = s.headline if s.title in s.headline else f"{s.title}: {s.headline}"
        forced = s.title == PENDING and leaves_mapped(seen.row)
        if starved(s) is None and not forced:
            yield Found(s.effect, s.title, detail, tuple(f.text for f in s.frames))


def _not_ended(seen: Seen, *, reported: bool) -> Iterator[Found]:
    """Stages that had not ended when their time was over; ``reported``: the kernel told of a hang itself."""
    said = "" if reported else ", and the kernel reported no hang"
    for s in _left(seen):
        yield Found(Effect.HUNG, f"{s.stage.value}: no end", f"{s.stage.value}: no end after {s.seconds:.0f} s{said}")


def _left(seen: Seen) -> list[StageSeen]:
    return [s for s in seen.stages if s.outcome is Outcome.NOT_ENDED]


def _loads(seen: Seen) -> Iterator[Found]:
    """Loads that fail although no fault strikes: the first without any, the second once the fault is over."""
    ends = {s.stage: s for s in seen.stages}
    sound = seen.row.fault is None and seen.row.trouble is None
    if sound and _ended(ends, Stage.LOAD, Outcome.REFUSED):
        yield Found(Effect.UNUSABLE, "the load fails without a fault", f"load: {_said(ends[Stage.LOAD])}")
    begun = _ended(ends, Stage.UNLOAD, Outcome.DONE) and _ended(ends, Stage.LOAD_AGAIN, Outcome.REFUSED)
    if begun and not (_in_later_session(seen) or lasts(seen.row)):
        yield Found(Effect.UNUSABLE, "the second load fails", f"second load: {_said(ends[Stage.LOAD_AGAIN])}")


def _ended(ends: Mapping[Stage, StageSeen], stage: Stage, outcome: Outcome) -> bool:
    return stage in ends and ends[stage].outcome is outcome


def _said(s: StageSeen) -> str:
    """The end of a stage in the guest's words, the last line of them, which has the error."""
    lines = s.text.strip().splitlines()
    return f"{s.outcome.value}{f': {lines[-1][:200]}' if lines else ''}"


def _in_later_session(seen: Seen) -> bool:
    """The fault came first in a session after the first one, so that it may be what made the second load fail."""
    return seen.served is not None and any(s.session > 1 for s in seen.served.on_purpose)


def _unseen(seen: Seen, before: tuple[Sign, ...], signs: tuple[Sign, ...]) -> Iterator[str]:
    """All that this play could not show."""
    yield from _unreached(seen)
    yield from _memory(seen)
    yield from _uninstrumented(seen.instruments)
    yield from _blinded(seen)
    yield from _starved(seen, signs)
    # the driver is unloaded by then: it is not what holds the machine up
    if seen.halt is Halt.KILLED and not _left(seen):
        yield "the end of the machine, which did not power off in its time"
    if seen.lost:
        yield f"{seen.lost:,} bytes in the middle of the kernel's log"
    for sign in before[:1]:
        yield f"the kernel complained before the driver printed a line: {sign.title}"


def _blinded(seen: Seen) -> Iterator[str]:
    """All that the kernel's instruments themselves kept from being seen."""
    have = seen.instruments
    if own_memory(have):
        yield "free memory from one cycle to the next: KASAN and kmemleak keep memory of their own"
    if have.kmemleak and seen.leaks is None:
        yield "objects that are lost: kmemleak was not asked, as the play did not come to its end"
    yield from (what for words, what in _TURNED_OFF.items() if words in seen.console)


def _starved(seen: Seen, signs: tuple[Sign, ...]) -> Iterator[str]:
    """Hangs that the kernel reported because others kept its machine from running, each title once."""
    starved = starvation(seen)
    told = {s.title: t for s in signs if (t := starved(s)) is not None}
    for title, t in told.items():
        yield f"whether it hung ({title}): of these {t.seconds:g} s its machine had {t.had:g} s, the rest others took"


def _memory(seen: Seen) -> Iterator[str]:
    """Sessions in which memory that was let go early would not have been seen."""
    for s in seen.served.sessions if seen.served is not None else ():
        if s.given and s.memory != "judged":
            fewer = "" if (n := _fewest(seen)) >= 0 else f"; its counter says {-n:,} pages fewer than firmware holds"
            yield f"memory let go too early in session {s.number}: {s.memory}{fewer}"
    if seen.instruments.strict_iommu is False:
        yield "memory let go too early: the guest's IOMMU is not strict"


def _unreached(seen: Seen) -> Iterator[str]:
    reached = {s.stage for s in seen.stages if s.outcome is not Outcome.NOT_REACHED}
    left = [stage.value for stage in Stage if stage not in reached]
    if left:
        yield f"not reached: {', '.join(left)}"


def _fewest(seen: Seen) -> int:
    """The least that the driver's counter was beyond firmware's holding; 0 where it never was below."""
    return min((n for r in seen.readings if (n := surplus(r)) is not None), default=0)


def _uninstrumented(have: Instruments) -> Iterator[str]:
    """The instruments that the kernel lacks, and those of which nothing is known."""
    state = {words: getattr(have, name) for name, words in INSTRUMENT_NAMES.items()}
    lacks = [words for words, there in state.items() if there is False]
    unknown = [words for words, there in state.items() if there is None]
    if lacks:
        yield f"not instrumented: {', '.join(lacks)}"
    if unknown:
        yield f"not known whether the kernel has {', '.join(unknown)}"
