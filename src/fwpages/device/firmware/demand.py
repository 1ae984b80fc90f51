"""The demand of each function: pages that firmware wants for it, pages it asks back, and the page requests about both.

Theory of operation. A function's demand has two counts in 4 KiB pages: ``wanted``, not given yet, and ``asked_back``,
held and to be returned. Of each count a part is *announced*: the driver knows of it by a page request event or by the
answer to QUERY_PAGES. ``new_requests`` makes an event of the part that is not announced and announces it. So an event
is raised once, when there is a queue to raise it on, and a driver that queries gets no second event.

An announced request stands until the driver answers it by GIVE or CANT_GIVE. If the need for it has gone by then,
because the function was disabled or reset, the announced pages become ``unneeded``: firmware still accepts the GIVE and
asks for the pages back at once. A driver that answers a moment too late thus breaks no rule. CANT_GIVE drops what was
announced. A GIVE of more than is wanted is refused: firmware cannot use pages that it did not ask for.

Demand is kept by *home*: the slot of the function that first had a name. In VHCA_ID mode a function may reuse the
vhca_id of another, disabled one. ``begin`` hands the name over: all that is left of the earlier user is asked back, and
is returned before any page of the new user. ``end`` ends a function's use of its name, at disabling and at reset.
"""

from __future__ import annotations

from fwpages.device.firmware.functions import MOST_PAGES, Function
from fwpages.device.firmware.state import Phase, State
from fwpages.prm.event import PageRequestEvent


def want(f: Function, pages: int, held: int) -> None:
    """Raise the demand by ``pages``, or ask that many of the ``held`` pages back where negative.

    Bounds: at most what is held is asked back, and at most what a page request can name is wanted.
    """
    if pages > 0:
        f.wanted = min(f.wanted + pages, MOST_PAGES)
    elif pages < 0:
        f.asked_back += min(-pages, held - f.asked_back)


def given(f: Function, n: int) -> None:
    """Count ``n`` pages as given; those that are not needed any more are asked back."""
    back = min(n, f.unneeded)
    f.unneeded -= back
    f.asked_back += back
    f.wanted -= n
    f.announced = max(0, f.announced - n)


def refused(f: Function) -> None:
    """Drop the announced demand: the driver cannot give."""
    f.wanted -= f.announced
    f.announced = f.unneeded = 0


def taken(f: Function, n: int, held: int) -> None:
    """Count ``n`` pages as returned; ``held`` are left."""
    f.asked_back = min(max(0, f.asked_back - n), held)
    f.announced_back = min(max(0, f.announced_back - n), f.asked_back)


def dismiss(f: Function, held: int) -> None:
    """Want nothing more, and ask all ``held`` pages back."""
    f.wanted = f.unneeded = f.announced
    f.asked_back = held


def begin(s: State, slot: int) -> None:
    """Make this function the user of its name; the use by the function that had it before ends."""
    home = s.home(slot)
    last = s.user(home)
    if last != slot:
        end(s, last)
        s.users = {n: user for n, user in s.users.items() if n != home} | ({} if slot == home else {home: slot})


def end(s: State, slot: int) -> None:
    """End this function's use of its name: all its pages are asked back, and returned before later ones."""
    home = s.home(slot)
    s.store.retire(slot)
    dismiss(s.functions[home], s.held(home))


def forget(f: Function) -> None:
    """Drop all demand and switch the function off: a session closes or begins."""
    f.enabled = f.allocated = f.activated = False
    f.wanted = f.announced = f.unneeded = f.asked_back = f.announced_back = 0


def outstanding(s: State, slot: int) -> int:
    """Return the answer to QUERY_PAGES for regular pages: pages wanted, or a negative count of pages asked back."""
    f = s.functions[slot]
    if s.phase is Phase.CLOSING:
        return -s.held(slot)
    if s.phase is not Phase.WORKING:
        return 0
    return f.wanted or -f.asked_back


def answered(s: State, slot: int) -> None:
    """Count the ``outstanding`` pages as announced: QUERY_PAGES answered them, so no event follows."""
    f = s.functions[slot]
    if s.phase is Phase.WORKING:
        f.announced = f.wanted
        if not f.wanted:
            f.announced_back = f.asked_back


def event(s: State, slot: int, pages: int, *, release_all: bool = False) -> PageRequestEvent:
    """Make a page request for this function, which must have a name in the current mode."""
    who = s.identity(slot)
    assert who is not None
    return PageRequestEvent(who.number, pages, who.ec, release_all)


def new_requests(s: State) -> list[PageRequestEvent]:
    """Announce what is not announced yet, by one page request a function and direction: pages back come first."""
    found = []
    for f in s.functions:
        if s.identity(f.slot) is None:
            continue
        if f.asked_back > f.announced_back:
            found.append(event(s, f.slot, f.announced_back - f.asked_back))
            f.announced_back = f.asked_back
        if f.wanted > f.announced:
            found.append(event(s, f.slot, f.wanted - f.announced))
            f.announced = f.wanted
    return found
