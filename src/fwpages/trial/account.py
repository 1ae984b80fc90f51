"""The account of a play in lines: what the device did on purpose, and what the driver did with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

from fwpages.pages.words import in_mib, many, times
from fwpages.readers.complaints import complains
from fwpages.readers.driver_lines import named_line
from fwpages.report.serve import ServedSessionAccount, ServeReport
from fwpages.trial.books import surplus
from fwpages.trial.rows import Trouble
from fwpages.trial.seen import Outcome, Seen, StageSeen

#: lines of an account: a driver that goes on for ever does the same again and again
MOST_LINES: Final = 60
#: sessions and offences that are told: a driver that recovers again and again has more
MOST_EACH: Final = 20
#: different messages of the driver that are told
MOST_MESSAGES: Final = 20

#: numbers of a message, which differ where the message is the same
_NUMBERS = re.compile(r"(?:0x)?[0-9a-f]*\d[0-9a-f]*")

_TROUBLES = {
    Trouble.LINK_LOST: "the link is lost, and back after a reset: reads say all ones",
    Trouble.LINK_LOST_FOR_GOOD: "the link is lost for good: reads say all ones",
    Trouble.FATAL: "firmware reports a fatal state; the device can be reset by software",
    Trouble.STUCK: "firmware reports a fatal state, and no reset by software ends it",
}


def device_did(seen: Seen) -> tuple[str, ...]:
    """The acts of the device on purpose, with how often, and when it did first (seconds since the server's start)."""
    trouble = [f"{seen.row.trouble}: {_TROUBLES[seen.row.trouble]}"] if seen.row.trouble is not None else []
    strikes = seen.served.on_purpose if seen.served is not None else []
    return (*trouble, *(f"{x.fault}: {x.words} ({times(x.times)}, first at {x.first:.3f} s)" for x in strikes))


def driver_did(seen: Seen) -> tuple[str, ...]:
    """The acts of the driver: its stages with both sides' books after them, its sessions, its own complaints."""
    served = seen.served
    parts = (_stages(seen), () if served is None else _of_device(served), _messages(seen.console))
    return tuple(islice(chain.from_iterable(parts), MOST_LINES))


def _counted(lines: Iterable[str]) -> Iterator[str]:
    """Each line once, with how often it came; ``MOST_EACH`` at most."""
    for line, n in islice(Counter(lines).items(), MOST_EACH):
        yield f"{line}{_often(n)}"


def _often(n: int) -> str:
    return f" ({times(n)})" if n > 1 else ""


def _stages(seen: Seen) -> Iterator[str]:
    """A line for each stage that did not end well, and for each after which the books of both sides differ."""
    after = {r.after: r for r in seen.readings}
    for stage in seen.stages:
        r = after.get(stage.stage)
        more = 0 if r is None else surplus(r)
        if more or stage.outcome in (Outcome.REFUSED, Outcome.NOT_ENDED):
            yield _stage(stage, more or 0)


def _stage(stage: StageSeen, more: int) -> str:
    text = next(iter(stage.text.strip().splitlines()), "") if stage.outcome is Outcome.REFUSED else ""
    said = f" ({text[:120]})" if text else ""
    books = f"; it counts {many(abs(more))} {'more' if more > 0 else 'fewer'} than firmware holds" if more else ""
    return f"{stage.stage.value}: {stage.outcome.value} after {stage.seconds:.1f} s{said}{books}"


def _of_device(served: ServeReport) -> Iterator[str]:
    """The sessions by firmware's books, the rules that the driver broke, and those that the fault excuses."""
    for s in served.sessions[:MOST_EACH]:
        yield _session(s)
    yield from _counted(f"{o.name}: {o.detail}" for o in served.offences)
    yield from _counted(f"{e.name}, because of {e.fault}: {e.detail}" for e in served.excused)


def _session(s: ServedSessionAccount) -> str:
    left = f"{in_mib(s.held)} {'dropped by a reset' if s.dropped else 'left with firmware'}"
    moved = f"{s.given:,} given, {s.returned:,} returned, {s.released:,} released"
    return f"session {s.number}: {s.mode}, {s.end}, {moved}, {left}"


def _messages(console: str) -> Iterator[str]:
    """The driver's own complaints in their order, each once with how often it came."""
    first: dict[str, str] = {}
    count: Counter[str] = Counter()
    for message in _complaints(console):
        key = _NUMBERS.sub("#", message)
        if key in first or len(first) < MOST_MESSAGES:
            first.setdefault(key, message)
            count[key] += 1
    for key, message in first.items():
        yield f"it says: {message[:200]}{_often(count[key])}"


def _complaints(console: str) -> Iterator[str]:
    """The driver's messages that something failed."""
    for line in console.splitlines():
        named = named_line(line) if "mlx5_core" in line else None
        if named is not None and complains(named.message.encode()):
            yield named.message
