"""The findings that a driver's counters show: pages that it could not move since it was loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fwpages.custody.accounts import FindingAccount
from fwpages.custody.findings import Cause
from fwpages.machine.snapshot import FunctionCounters
from fwpages.machine.tree import Reason
from fwpages.pages.words import many


def findings(functions: Iterable[FunctionCounters]) -> Iterator[FindingAccount]:
    """The findings of each function: its counters of failures above 0, and counters that went below zero."""
    for f in functions:
        for cause, pages, counter in (
            (Cause.ALLOC_FAILED, f.alloc_failed, "fw_pages_alloc_failed"),
            (Cause.GIVE_DROPPED, f.give_dropped, "fw_pages_give_dropped"),
            (Cause.TAKE_DISCARDED, f.reclaim_discarded, "fw_pages_reclaim_discard"),
        ):
            if pages:
                yield _finding(f, cause, f"{many(pages)} since the driver was loaded ({counter})", pages)
        negative = [key for key, why in f.not_known.items() if why == Reason.NEGATIVE]
        if negative:
            yield _finding(f, Cause.COUNTERS_DISAGREE, f"below zero: {', '.join(negative)}", None)


def _finding(f: FunctionCounters, cause: Cause, detail: str, pages: int | None) -> FindingAccount:
    return FindingAccount(
        name=cause.finding,
        blame=cause.blame.value,
        function=f.device,
        pages=pages,
        detail=detail,
        remedy=cause.remedy.replace("ADDRESS", f.device),
    )
