"""The judgements that a host makes of its device, and an audit of what it reads: once each, as functions of values.

A host judges while it runs and can act upon it; an audit judges afterwards, and knows whether its input is whole. Both
ask here what is wrong, and add for themselves in what circumstances it counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fwpages.custody.bounds import Bounds
from fwpages.custody.findings import Cause
from fwpages.custody.ledger import Returned
from fwpages.pages.space import Addresses

# -- requests


def more_than_lent(pages: int, bounds: Bounds) -> bool:
    """Firmware asks for more pages than are lent in all: such a request is answered with CANT_GIVE."""
    return pages > bounds.memory


def wrong_release(*, own: bool, negotiated: bool) -> Cause | None:
    """Return the offence of a release_all, None where there is none.

    ``own``: it is for the supplier's own function, which is open. ``negotiated``: SET_HCA_CAP has set
    release_all_pages.
    """
    if own and negotiated:
        return Cause.RELEASE_ALL_OWN
    return None if negotiated else Cause.RELEASE_ALL_NOT_NEGOTIATED


# -- a TAKE's answer


def count_fits(count: int, asked: int, addresses: int) -> bool:
    """A TAKE's answer counts no more pages than it was asked for, and no more than it has addresses."""
    return count <= min(asked, addresses)


def not_returned(asked: int, named: int, *, crossed: bool) -> int:
    """Return how many pages are missing where firmware itself wanted ``asked`` pages taken back and named fewer.

    A release_all that crossed the TAKE has freed some of them, or all.
    """
    return 0 if crossed else max(0, asked - named)


def wrong_pages(returned: Returned, *, crossed: bool) -> Iterator[tuple[Cause, Addresses]]:
    """Yield the pages that a TAKE's answer names and that the function cannot have had to return, by offence.

    A release_all that crossed the TAKE has freed what its answer names: firmware then reports the same pages twice,
    which is no offence.
    """
    if returned.foreign.size:
        yield Cause.RETURNED_FOREIGN, returned.foreign
    if returned.twice.size and not crossed:
        yield Cause.RETURNED_TWICE, returned.twice
    if returned.unknown.size:
        yield Cause.RETURNED_NEVER_GIVEN, returned.unknown


# -- waits


@dataclass(frozen=True, slots=True)
class Patience:
    """The limits of a wait for pages of functions that are gone; times are seconds.

    ``left`` pages are out. ``progress`` is moved on whenever pages come back, ``overall`` never is.
    """

    left: int
    progress: float
    overall: float

    @property
    def limits(self) -> tuple[float, float]:
        """The limit since pages last came back, and the one in all."""
        return self.progress, self.overall

    @property
    def deadline(self) -> float:
        """The time at which the wait is given up unless pages come back."""
        return min(self.limits)

    def exhausted(self, left: int, now: float) -> bool:
        """The time is up, and no page has come back at the last moment."""
        return now >= self.deadline and left >= self.left

    def looked_at(self, left: int, now: float, bounds: Bounds) -> Patience:
        """Return the limits after a look at ``now``: pages that came back give it more time."""
        return replace(self, left=left, progress=now + bounds.wait_progress if left < self.left else self.progress)


def patience(left: int, now: float, bounds: Bounds) -> Patience:
    """Return the limits of a wait that begins now."""
    return Patience(left, now + bounds.wait_progress, now + bounds.wait_overall)


# -- a session that ends without DISABLE_HCA


def reset_is_right(*, torn: bool, forced: bool, gone: bool, trouble: bool) -> bool:
    """A driver may leave it to a reset to free its pages: after trouble of the device, or after TEARDOWN_HCA.

    ``torn``: TEARDOWN_HCA was done; ``forced``: by force or fast, as drivers do it at a shutdown. The machine may be
    ``gone`` only after such a one: before, it was ended in the middle of things.
    """
    return forced if gone else trouble or torn
