"""The page requests that a driver has not answered yet: neither by GIVE nor by CANT_GIVE."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fwpages.pages.words import many

#: seconds in which a driver begins to answer a request, however busy its machine: Linux, under emulation, takes less
#: than one
ANSWER_WITHIN = 5.0


@dataclass(slots=True)
class Asked:
    """Pages (4 KiB) that firmware asked for and that no command has answered, since the first such request."""

    since: float
    pages: int


class RequestsAsked:
    """Unanswered requests by function. What a command answers counts from its submission, whatever becomes of it."""

    def __init__(self) -> None:
        self._open: dict[str, Asked] = {}

    def raised(self, t: float, function: str, pages: int) -> None:
        """Firmware asked for so many pages."""
        if pages <= 0:
            return
        known = self._open.setdefault(function, Asked(t, 0))
        known.pages += pages

    def given(self, function: str, pages: int) -> None:
        """The driver sends a GIVE of so many pages."""
        known = self._open.get(function)
        if known is not None:
            known.pages -= pages
            if known.pages <= 0:
                del self._open[function]

    def declined(self, function: str) -> None:
        """The driver sends a CANT_GIVE, or firmware needs nothing of this function any more."""
        self._open.pop(function, None)

    def end(self, t: float) -> Iterator[tuple[str, str]]:
        """End the session: the functions whose requests the driver had time to answer and did not, each in words."""
        for function, a in self._open.items():
            if t - a.since >= ANSWER_WITHIN:
                words = f"{many(a.pages)} asked for {t - a.since:.1f} s before, neither GIVE nor CANT_GIVE came"
                yield function, words
        self._open.clear()
