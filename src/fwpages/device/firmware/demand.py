"""What firmware wants for its functions and gives back of what they have; and the page requests that say so.

Counts are 4 KiB pages. A request that was told stands until it is answered by GIVE or CANT_GIVE: where the need for
it is gone by then (the function was disabled or reset), firmware takes the pages and asks for them back at once. A
driver that answers a request a moment too late thus breaks no rule.
"""

from __future__ import annotations

from fwpages.device.firmware.functions import MOST_PAGES, Function
from fwpages.device.firmware.state import Phase, State
from fwpages.prm.event import PageRequestEvent


def want(f: Function, pages: int, held: int) -> None:
    """The function is under load (positive), or lets go of pages (negative).

    It lets go of at most what it holds, and wants in all at most what a page request can say.
    """
    if pages > 0:
        f.wanted = min(f.wanted + pages, MOST_PAGES)
    elif pages < 0:
        f.asked_back += min(-pages, held - f.asked_back)


def given(f: Function, n: int) -> None:
    """``n`` of the wanted pages came; those for a life that is over go back."""
    back = min(n, f.unneeded)
    f.unneeded -= back
    f.asked_back += back
    f.wanted -= n
    f.told = max(0, f.told - n)


def refused(f: Function) -> None:
    """The driver cannot give: what it was told of is wanted no longer."""
    f.wanted -= f.told
    f.told = f.unneeded = 0


def taken(f: Function, n: int, held: int) -> None:
    """``n`` pages went back, ``held`` are left."""
    f.asked_back = min(max(0, f.asked_back - n), held)
    f.told_back = min(max(0, f.told_back - n), f.asked_back)


def dismiss(f: Function, held: int) -> None:
    """The function's life is over: it wants nothing more, and all that it holds goes back."""
    f.wanted = f.unneeded = f.told
    f.asked_back = held


def begin(s: State, slot: int) -> None:
    """The function's name is its own from now on; whoever had it before has had its life."""
    home = s.home(slot)
    last = s.user(home)
    if last != slot:
        end(s, last)
        s.users = {n: user for n, user in s.users.items() if n != home} | ({} if slot == home else {home: slot})


def end(s: State, slot: int) -> None:
    """The life of this function, which has its name now, is over."""
    home = s.home(slot)
    s.store.retire(slot)
    dismiss(s.functions[home], s.held(home))


def forget(f: Function) -> None:
    """The session is closing, or another one begins: nothing stands."""
    f.enabled = f.allocated = f.activated = False
    f.wanted = f.told = f.unneeded = f.asked_back = f.told_back = 0


def outstanding(s: State, slot: int) -> int:
    """What QUERY_PAGES for regular pages answers: wanted, or as a negative count what should be taken back."""
    f = s.functions[slot]
    if s.phase is Phase.CLOSING:
        return -s.held(slot)
    if s.phase is not Phase.WORKING:
        return 0
    return f.wanted or -f.asked_back


def answered(s: State, slot: int) -> None:
    """QUERY_PAGES told the driver the ``outstanding`` count: no event tells it again."""
    f = s.functions[slot]
    if s.phase is Phase.WORKING:
        f.told = f.wanted
        if not f.wanted:
            f.told_back = f.asked_back


def event(s: State, slot: int, pages: int, *, release_all: bool = False) -> PageRequestEvent:
    """A page request for this function, which must have a name in the current mode."""
    who = s.identity(slot)
    assert who is not None
    return PageRequestEvent(who.number, pages, who.ec, release_all)


def untold(s: State) -> list[PageRequestEvent]:
    """The page requests that the driver does not know of yet, back before forth; from now on it knows."""
    found = []
    for f in s.functions:
        if s.identity(f.slot) is None:
            continue
        if f.asked_back > f.told_back:
            found.append(event(s, f.slot, f.told_back - f.asked_back))
            f.told_back = f.asked_back
        if f.wanted > f.told:
            found.append(event(s, f.slot, f.wanted - f.told))
            f.told = f.wanted
    return found
