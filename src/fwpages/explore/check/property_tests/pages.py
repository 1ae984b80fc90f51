"""Tests of pages: custody, agreement of both sides, and the driver's counters."""

from __future__ import annotations

from fwpages.explore.model.world import World
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType


def custody(w: World) -> str | None:
    """A machine's own invariants do not hold, or a page that firmware holds is free on the driver's side."""
    broken = w.broken
    if broken is not None:
        return broken
    for who, pages in w.released.items():
        pages_of = f"{many(pages.size)} of {w.name(who)}"
        return f"firmware has {pages_of} that the driver has released, {int(pages[0]):#x} first"
    return None


def agreement(w: World) -> str | None:
    """At rest and without a fault, the two sides name different pages for some function."""
    return disagreement(w) if w.quiet and w.faultless and not w.view.busy else None


def disagreement(w: World) -> str | None:
    """The two sides name different pages for some function; nothing while the driver's books are unknown."""
    mine, theirs = w.held, w.holds
    if mine is None:
        return None
    ours: dict[str, set[int]] = {}
    firmwares: dict[str, set[int]] = {}
    for side, books in ((ours, mine), (firmwares, theirs)):
        for who, pages in books.items():
            side.setdefault(w.name(who), set()).update(pages.tolist())
    for name in sorted(ours.keys() | firmwares.keys()):
        a, b = ours.get(name, set()), firmwares.get(name, set())
        if a != b:
            return f"{name}: {many(len(a))} by the driver's books, {len(b)} with firmware"
    return None


def counter_negative(w: World) -> str | None:
    """A page counter is below zero."""
    below = [f"{name} {n}" for name, n in w.view.counters.items() if n < 0]
    return f"counters below zero: {', '.join(below)}" if below else None


def counter_left(w: World) -> str | None:
    """At rest and without a fault, a counter of a type is above zero, and firmware has no page of that type."""
    if not (w.quiet and w.faultless) or w.held is None:
        return None
    truth = _held_by_type(w)
    left = [
        f"{name} {n}"
        for name, n in w.view.counters.items()
        if n > 0 and not (sum(truth.values()) if name in ("total", "unknown") else truth.get(name, 0))
    ]
    return f"counters that count pages which are not out: {', '.join(left)}" if left else None


def _held_by_type(w: World) -> dict[str, int]:
    """The number of pages that firmware holds, by type; the supplier's own as ``self``.

    Where two functions share a vhca_id, each of its pages counts for both: it may have been given to the first and be
    used by the second.
    """
    inner = w.firmware.inner
    out = {FunctionType.SELF.value: inner.held(inner.specs[0].name)}
    for spec in w.rules.specs.values():
        sharing = [other.name for other in w.rules.specs.values() if other.vhca_id == spec.vhca_id]
        out[spec.type.value] = out.get(spec.type.value, 0) + sum(inner.held(name) for name in sharing)
    return out


def miscounted(w: World) -> str | None:
    """At rest, the driver's counter of all pages is not the number of pages that it lists."""
    held = w.held
    if not w.quiet or held is None:
        return None
    listed, counted = sum(p.size for p in held.values()), w.view.counters["total"]
    return None if listed == counted else f"its lists have {many(listed)}, its counter says {counted}"


def wrong_type(w: World) -> str | None:
    """Pages of a function are counted under another type; to count them as unknown, or not at all, is not wrong."""
    for name, spec in w.rules.specs.items():
        who = spec.identity(w.firmware.mode)
        if who is None or not w.firmware.inner.held(name) or name in w.rules.sharing:
            continue  # its pages may be another's
        counted = w.driver.counted_as(who)
        if counted not in (None, spec.type.value, FunctionType.UNKNOWN.value):
            return f"pages of {name}, a {spec.type.value}, are counted as {counted}"
    return None


def uncounted(w: World) -> str | None:
    """At rest, pages of a function are in no counter of a type."""
    if not w.quiet:
        return None
    for name, spec in w.rules.specs.items():
        who = spec.identity(w.firmware.mode)
        if who is not None and w.firmware.inner.held(name) and w.driver.counted_as(who) is None:
            return f"{many(w.firmware.inner.held(name))} of {name}: counted under no type"
    return None


def lost(w: World) -> str | None:
    """A session is over, firmware holds nothing, and the driver has memory that it will never free."""
    if not w.quiet or w.view.open or w.view.busy or w.holds:
        return None
    held = w.held
    if not held:
        return None
    return f"{many(sum(p.size for p in held.values()))} that firmware does not have, and the driver keeps them"
