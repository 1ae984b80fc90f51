"""The change of each function's pages from one snapshot to the next, and since the first."""

from __future__ import annotations

from dataclasses import dataclass, field

from fwpages.custody.accounts import Count
from fwpages.machine.snapshot import FunctionCounters, Snapshot


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a function's pages: since the first snapshot that had them, and per second since the last.

    None where there are no two figures to compare.
    """

    since_start: Count = None
    per_second: float | None = None


@dataclass(slots=True)
class Changes:
    """Compares each snapshot that is added with those before it."""

    _first: dict[str, int] = field(default_factory=dict)
    _last: dict[str, tuple[float, int]] = field(default_factory=dict)
    _now: dict[str, Change] = field(default_factory=dict)

    def add(self, snapshot: Snapshot) -> None:
        """Take the next snapshot; those of a recording come in the order of their times."""
        self._now = {f.device: self._change(f, snapshot.taken) for f in snapshot.functions}

    def of(self, device: str) -> Change:
        """The change of the function as of the last snapshot."""
        return self._now.get(device, Change())

    def _change(self, f: FunctionCounters, taken: float) -> Change:
        if f.pages is None:
            return Change()
        last = self._last.get(f.device)
        self._last[f.device] = taken, f.pages
        first = self._first.setdefault(f.device, f.pages)
        if last is None:
            return Change()
        seconds = taken - last[0]
        return Change(f.pages - first, (f.pages - last[1]) / seconds if seconds > 0 else None)
