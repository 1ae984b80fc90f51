"""Drivers of one key stand for each other: what differs between them is renumbered in the world.

Theory of operation. Two drivers of one key have equal futures; what may differ are labels: the numbers of their
commands, and the time from which deadlines count. Paths that cross bring forth many such drivers. ``share`` puts the
first driver of a key into a world in the place of a later one, sets the clock to its time, and gives the commands and
answers that are pending the numbers that they have there. So few drivers serve many states, and what one was fed need
not be fed to another.

Some labels mean something, and so two drivers stand for each other only where these are equal: the session's number (a
second session is a point that a world may ask for), and whether a finding was made in it (a host reports one once).

A number that no command of the driver has (its command was given up) must stay in its place in the order of all,
below the driver's next one, and be no number of a command: where there is no room for it, the world keeps its driver.
"""

from __future__ import annotations

from msgspec.structs import replace

from fwpages.device import FaultyFirmware
from fwpages.explore.model.machines import Standing
from fwpages.explore.model.world import HeldBack, World
from fwpages.host import Answered, LinkLost, PageRequest


def share(w: World) -> World:
    """The world with the driver that stands for its own; changes ``w``, which is the same state afterwards."""
    facts = w.machines.driver(w.driver)
    name = facts.key, w.session, bool(w.found)
    found = w.machines.standing.get(name)
    if found is None:
        w.machines.standing[name] = Standing(w.driver, w.now, facts.pending, w.driver.next_id)
    elif found.driver is not w.driver:
        numbers = _numbers(w, found)
        if numbers is not None:
            _renumber(w, numbers)
            w.driver, w.now = found.driver, found.now
    return w


def settled(worlds: list[World]) -> list[World]:
    """Worlds that were unpacked, with the machines that are here for theirs; changes the worlds."""
    firmware: dict[int, FaultyFirmware] = {}
    for w in worlds:
        its = id(w.firmware)
        if its not in firmware:
            firmware[its] = w.machines.one(w.firmware)
        w.firmware = firmware[its]
        share(w)
    return worlds


def _numbers(w: World, found: Standing) -> dict[int, int] | None:
    """The new number of each command that is pending in the world; None where one has no room."""
    used = _used(w)
    if not used:
        return {}
    taken = dict(zip(w.machines.driver(w.driver).pending, found.pending, strict=True))
    numbers: dict[int, int] = {}
    last = 0
    for n in sorted(used | taken.keys()):
        new = taken.get(n, last + 1)
        if new <= last:
            return None
        numbers[n] = last = new
    return numbers if last < found.next_id else None


def _used(w: World) -> set[int]:
    """The numbers of the commands that are pending in the world, of their answers, and of those given up."""
    used = {e.id for e in w.sent} | {x.answered.id for x in w.held_back} | w.given_up
    return used | {x.id for x in w.inbox if isinstance(x, Answered)}


def _renumber(w: World, numbers: dict[int, int]) -> None:
    """Give every command and answer its new number."""
    if all(n == new for n, new in numbers.items()):
        return
    w.sent = tuple(replace(e, id=numbers[e.id]) for e in w.sent)
    w.inbox = tuple(_renumbered(x, numbers) for x in w.inbox)
    w.held_back = tuple(HeldBack(x.function, replace(x.answered, id=numbers[x.answered.id])) for x in w.held_back)
    w.given_up = frozenset(numbers[n] for n in w.given_up)


def _renumbered(x: Answered | PageRequest | LinkLost, numbers: dict[int, int]) -> Answered | PageRequest | LinkLost:
    return replace(x, id=numbers[x.id]) if isinstance(x, Answered) else x
