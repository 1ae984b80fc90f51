"""The pages that functions should hold after the steps so far, as a driver of a device that runs the same steps knows.

The device takes its steps in its own time, so what a function holds at a moment says little. What it should hold after
a step follows from the steps before it: a function that is enabled wants its pages, a request adds some, a reset starts
again. The driver waits until a function has held that. The device may be ahead by then, so every count that the
function had counts, from the one on that was waited for last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from fwpages.host import Host, Phase
from fwpages.prm.identity import Identity, Names
from fwpages.scenario.interpreter import OWN

#: counts of a function that are kept: a device that asks for pages without end is not followed further back
MOST_SEEN = 1000


class ExpectedPages:
    """The pages (4 KiB each) that the functions of ``host`` should hold; ``pages``: those that each wants when on."""

    def __init__(self, host: Host, names: Names, pages: Mapping[str, int]) -> None:
        self._host, self._names, self._pages = host, names, pages
        self._held: dict[str, int] = {}
        self._pending: set[str] = set()
        #: the counts of each function since the last one that was waited for
        self._seen: dict[str, deque[int]] = {}
        #: the session is to end by the device's doing
        self._over = False

    @property
    def met(self) -> bool:
        """Every function has held what it should, and a session that should end has ended."""
        return not self._pending and not self._over

    def look(self) -> None:
        """Take notice of what the functions hold now; to be called whenever that has changed."""
        if self._host.session.phase is Phase.ENDED:
            self.forget()
            return
        for name, seen in self._seen.items():
            now = self._now(name)
            if seen[-1] != now:
                seen.append(now)
        for name in tuple(self._pending):
            self._compare(name)

    def forget(self) -> None:
        """Expect nothing: the session is over, or the device did not do it in its time."""
        self._held = {name: self._now(name) for name in (OWN, *self._names)}
        self._seen = {name: deque([n], MOST_SEEN) for name, n in self._held.items()}
        self._pending.clear()
        self._over = False

    def opened(self) -> None:
        """The device is open: what its start-up wanted is there."""
        self.forget()

    def enabled(self, name: str) -> None:
        """The function is enabled: it wants its pages."""
        self._expect(name, self._held.get(name, 0) + self._pages[name])

    def disabled(self, name: str) -> None:
        """The function is disabled: it gives everything back."""
        self._expect(name, 0)

    def requested(self, name: str, pages: int) -> None:
        """Firmware wants so many more pages for the function, or gives some back."""
        self._expect(name, max(0, self._held.get(name, 0) + pages))

    def reset(self, name: str, *, enabled: bool) -> None:
        """The function is reset: it lets go of everything, and wants its pages anew where it is enabled."""
        self._expect(name, self._pages[name] if enabled else 0)

    def ended(self) -> None:
        """The session ends by the device's doing."""
        self._over = True

    def _expect(self, name: str, pages: int) -> None:
        self._held[name] = pages
        self._pending.add(name)
        self._compare(name)

    def _compare(self, name: str) -> None:
        """Find the count that is waited for among those that the function had."""
        seen, wanted = self._seen[name], self._wanted(name)
        if wanted in seen:
            while seen[0] != wanted:
                seen.popleft()
            self._pending.discard(name)

    def _identity(self, name: str) -> Identity | None:
        """The function's identity in the mode of the session; None where it has none."""
        s = self._host.session
        if name == OWN:
            return s.own
        return next((who for who in self._names[name] if who.mode is s.mode), None)

    def _now(self, name: str) -> int:
        who = self._identity(name)
        return 0 if who is None else self._host.records.outstanding(who)

    def _wanted(self, name: str) -> int:
        """The pages expected under the function's identity, which another function may have had before it."""
        who = self._identity(name)
        return sum(n for other, n in self._held.items() if self._identity(other) == who)
