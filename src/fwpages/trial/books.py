"""The effects that the books of both sides show: pages left with firmware, pages let go, broken rules, lost counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from fwpages.device import OffenceName
from fwpages.link.queue.offences import WireOffenceName
from fwpages.pages.words import in_mib, many
from fwpages.report.serve import ServedOffence, ServedSessionAccount, ServeReport
from fwpages.trial.effects import Effect
from fwpages.trial.excuses import keeps_for_ever, lets_go_unnamed
from fwpages.trial.found import Found
from fwpages.trial.seen import Instruments, Outcome, Reading, Seen, Stage

#: the driver's counter of all pages in debugfs
TOTAL: Final = "fw_pages_total"
#: KiB of free memory that a cycle of load and unload may cost without being a leak: between two cycles without any
#: fault Linux 7.2 differs by some hundred
MOST_LOST: Final = 4096
#: offences of one name that are told in full
MOST_TOLD: Final = 3

#: offences that show memory which the driver let go while firmware held it, and their titles: a page that is given
#: again, or used for a queue, was free on the driver's side
_LET_GO: Mapping[str, str] = MappingProxyType(
    {
        WireOffenceName.MEMORY_LET_GO: "memory unmapped while firmware held it",
        OffenceName.GIVEN_TWICE: "pages given that firmware has already",
        OffenceName.MEMORY_IN_USE: "memory used anew that firmware has",
    }
)
#: the stages after which the driver has no page with firmware
_AT_END = (Stage.UNLOAD, Stage.UNLOAD_AGAIN)


def found_in_books(seen: Seen) -> Iterator[Found]:
    """Every effect that the books show."""
    served = seen.served
    if served is not None:
        yield from _of_offences(served.offences)
        yield from _left(seen, served)
    yield from _counted(seen)
    if not keeps_for_ever(seen.row) and not own_memory(seen.instruments):
        yield from _free_memory(seen)


def own_memory(have: Instruments) -> bool:
    """The kernel has an instrument that keeps memory of its own: KASAN keeps a 32nd of all for a while, once freed."""
    return bool(have.kasan or have.kmemleak)


def _of_offences(offences: Iterable[ServedOffence]) -> Iterator[Found]:
    """Broken rules, a line for each name; what a fault excuses is not among them, pages left are counted elsewhere."""
    by_name: dict[str, list[str]] = {}
    for o in offences:
        if o.name != OffenceName.DISABLED_WITH_PAGES:
            by_name.setdefault(o.name, []).append(o.detail)
    for name, details in by_name.items():
        more = f" (and {len(details) - MOST_TOLD:,} more)" if len(details) > MOST_TOLD else ""
        detail = "; ".join(details[:MOST_TOLD]) + more
        if name in _LET_GO:
            yield Found(Effect.LET_GO, _LET_GO[name], detail)
        else:
            yield Found(Effect.OFFENDED, name, f"{name}: {detail}")


def _left(seen: Seen, served: ServeReport) -> Iterator[Found]:
    """Pages that the driver left with firmware: they are lost to its kernel until a reset, or until the next boot.

    Those that it let go all the same are its kernel's again.
    """
    if keeps_for_ever(seen.row):
        return
    for s in served.sessions:
        left = s.held - s.let_go
        if left > 0 and (until := _until(seen, s)):
            detail = f"{in_mib(left)} of session {s.number} never taken back, {until}"
            yield Found(Effect.LEAKED, "pages never taken back", detail)


def _until(seen: Seen, s: ServedSessionAccount) -> str:
    """The end of a leak, in words; empty where the pages of this session are none."""
    if s.end == "closed":
        return "left with firmware at DISABLE_HCA: lost until the next boot"
    if s.trouble is not None:
        return ""
    if s.end == "reset":
        return "until the driver reset the device"
    if s.end == "gone" and _unloaded(seen):
        return "left with an open device at the unload: lost until the next boot"
    return ""


def _unloaded(seen: Seen) -> bool:
    return any(_ended(seen, stage) for stage in _AT_END)


def _ended(seen: Seen, stage: Stage) -> bool:
    """The stage was played to its end, and what it did succeeded."""
    return any(s.stage is stage and s.outcome is Outcome.DONE for s in seen.stages)


def _counted(seen: Seen) -> Iterator[Found]:
    """The driver counts more pages than firmware holds when it is unloaded: nobody ever gives it those back.

    While it owes pages it counts those that it has not sent yet, so that its counter says nothing then.
    """
    if lets_go_unnamed(seen.row) or not _ended(seen, Stage.UNLOAD) or _owes(seen.served):
        return
    loaded = [r for r in seen.readings if r.after in (Stage.LOAD, Stage.REQUESTS, Stage.VFS)]
    more = surplus(loaded[-1]) if loaded else None
    if more is not None and more > 0:
        detail = f"after {loaded[-1].after.value} its counter says {many(more)} more than firmware holds"
        yield Found(Effect.LEAKED, "pages counted that firmware does not hold", detail)


def _owes(served: ServeReport | None) -> bool:
    """Firmware asked for pages, and got neither them nor a CANT_GIVE."""
    if served is None:
        return False
    broken = {*(o.name for o in served.offences), *(e.name for e in served.excused)}
    return WireOffenceName.REQUEST_UNANSWERED in broken


def surplus(r: Reading) -> int | None:
    """The pages that the driver counts beyond those that firmware holds; None where it has no counter."""
    total = r.counters.get(TOTAL)
    return None if total is None else total - sum(r.held.values())


def _free_memory(seen: Seen) -> Iterator[Found]:
    """Free memory that a second cycle of load and unload costs, where the first has been through all that it has."""
    if not all(_ended(seen, stage) for stage in (Stage.LOAD, Stage.UNLOAD, Stage.LOAD_AGAIN, Stage.UNLOAD_AGAIN)):
        return
    free = {r.after: r.mem_free for r in seen.readings}
    before, after = (free.get(stage, 0) for stage in _AT_END)
    if before and after and before - after > MOST_LOST:
        detail = f"{before - after:,} KiB less free memory after the second unload than after the first"
        yield Found(Effect.LEAKED, "free memory falls with each cycle", detail)
