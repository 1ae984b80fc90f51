"""The page requests that a driver has not answered yet: neither by GIVE nor by CANT_GIVE.

Theory of operation. A served device and an audit of its trace judge alike: a request is unanswered if it has had no
answer for ``ANSWER_WITHIN`` when the driver begins to close (TEARDOWN_HCA), or loses the device to a reset. Until then
it may still be served. These seconds are those of the wall, and a machine may be slow: a driver that empties its event
queues and its work before it tears down, as Linux does, answers every request that reached it, whatever its machine
has to do meanwhile. What a fault of the device or of the link cut off is not judged.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from fwpages.pages.words import many

#: seconds in which a driver begins to answer a request, however busy its machine: Linux, under emulation, takes less
#: than one
ANSWER_WITHIN = 5.0
#: injected faults by which a driver does not see each request: its event queue runs full
REQUESTS_LOST = frozenset({"request-storm"})

F = TypeVar("F", bound=Hashable)


@dataclass(slots=True)
class Asked:
    """Pages (4 KiB) that firmware asked for and that no command has answered, since the first such request."""

    since: float
    pages: int
    #: seconds that it had waited when the driver began to close
    waited: float | None = None


@dataclass(frozen=True, slots=True)
class Unanswered(Generic[F]):
    """A function with pages (4 KiB) that the driver had time to answer the request for, and did not; in words."""

    function: F
    pages: int
    words: str


class RequestsAsked(Generic[F]):
    """Unanswered requests by function. What a command answers counts from its submission, whatever becomes of it."""

    def __init__(self) -> None:
        self._open: dict[F, Asked] = {}

    def raised(self, t: float, function: F, pages: int) -> None:
        """Firmware asked for so many pages, at ``t`` seconds; none, or fewer than none, is nothing to answer."""
        if pages <= 0:
            return
        known = self._open.setdefault(function, Asked(t, 0))
        known.pages += pages

    def given(self, function: F, pages: int) -> None:
        """The driver sends a GIVE of so many pages."""
        known = self._open.get(function)
        if known is not None:
            known.pages -= pages
            if known.pages <= 0:
                del self._open[function]

    def declined(self, function: F) -> None:
        """The driver sends a CANT_GIVE, or firmware needs nothing of this function any more."""
        self._open.pop(function, None)

    def closing(self, t: float) -> None:
        """The driver sends TEARDOWN_HCA: it answers no page request from here on."""
        for a in self._open.values():
            a.waited = t - a.since

    def clear(self) -> None:
        """Forget everything: what the driver did is not judged, or a session begins."""
        self._open.clear()

    def end(self, t: float) -> Iterator[Unanswered[F]]:
        """End the session at ``t`` seconds: the requests that the driver had time to answer and did not."""
        for function, a in list(self._open.items()):
            waited = t - a.since if a.waited is None else a.waited
            if waited >= ANSWER_WITHIN:
                words = f"{many(a.pages)} asked for {waited:.1f} s before, neither GIVE nor CANT_GIVE came"
                yield Unanswered(function, a.pages, words)
        self.clear()
