"""The pages that functions should hold after the steps so far, as a driver of a device that runs the same steps knows.

The device takes its steps in its own time, so what a function holds at a moment says little. What it should hold after
a step follows from the steps before it: a function that is enabled wants its pages, a request adds some, a reset starts
again. The driver waits until a function has held that. The device may be ahead by then, so every count that the
function had counts, from the one on that was waited for last.

A device that is ahead may let go of pages whose return is still on its way, and a function never holds then, as its
driver counts, what it was to hold in between. Its page requests tell: added up, they come to that count, in the order
of the device's steps (``asked``). They count where nothing is pending any more, for the rest of the session's steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from fwpages.host import Host, Phase
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import Identity, Mode, Names
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
        #: the same of what its page requests added up to
        self._told: dict[str, deque[int]] = {}
        #: the session is to end by the device's doing
        self._over = False

    @property
    def met(self) -> bool:
        """Every function has held what it should, and a session that should end has ended."""
        return not self._pending and not self._over

    @property
    def asked(self) -> bool:
        """Firmware has asked for what every function should hold, although some never held that."""
        return not self._over and all(self._wanted(name) in self._told[name] for name in self._pending)

    def note(self, e: PageRequestEvent) -> None:
        """Take notice of a page request."""
        who = e.function(self._host.session.mode or Mode.FUNC_ID)
        for name, told in self._told.items():
            if self._identity(name) == who:
                told.append(0 if e.release_all else max(0, told[-1] + e.num_pages))

    def go_by_requests(self) -> None:
        """Take for held what firmware has asked for; only where it is ``asked``."""
        for name in tuple(self._pending):
            _pop(self._told[name], self._wanted(name))
            self._seen[name] = deque([self._now(name)], MOST_SEEN)
        self._pending.clear()

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
        self._told = {name: deque([n], MOST_SEEN) for name, n in self._held.items()}
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
        wanted = self._wanted(name)
        if _pop(self._seen[name], wanted):
            _pop(self._told[name], wanted)
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


def _pop(counts: deque[int], wanted: int) -> bool:
    """Drop the counts before ``wanted``; False where it is not among them, and nothing is dropped."""
    if wanted not in counts:
        return False
    while counts[0] != wanted:
        counts.popleft()
    return True
