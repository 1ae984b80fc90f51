"""Tests of progress: operations that end, requests that are answered, and what may stand in their way."""

from __future__ import annotations

from fwpages.explore.model.world import MANY_FRUITLESS, World
from fwpages.host.io import OperationKind
from fwpages.pages.words import many


def deadlock(w: World) -> str | None:
    """Nothing moves without a time-out, and no fault was injected: an answer waits for pages that do not come."""
    waiting = w.view.waiting
    if w.quiet and w.faultless and w.held_back:
        owed = ", ".join(sorted({x.function for x in w.held_back}))
        waits = "; ".join(f"{who} waits for {what}" for who, what in waiting.items())
        return f"firmware answers only when {owed} has its pages, and {waits or 'no thread gives them'}"
    return None


def busy(w: World) -> str | None:
    """An operation has not ended."""
    operations = w.view.busy
    return f"not ended: {', '.join(map(str, operations))}" if operations else None


def early_end(w: World) -> str | None:
    """A disabling succeeded while firmware has pages of functions of its type, none of which is enabled."""
    names = [w.rules.function(d.operation) for d in w.ended if d.ok and d.operation.kind is OperationKind.DISABLE]
    for name in names:
        # where a vhca_id is reused, the pages may be those of the next function that has it
        held = _held_of_type(w, name) if name in w.rules.specs and name not in w.rules.sharing else {}
        if held:
            return f"disabling {name} is done, firmware has " + ", ".join(f"{k} of {n}" for n, k in held.items())
    return None


def _held_of_type(w: World, name: str) -> dict[str, int]:
    """The pages that firmware has of each function of this one's type; none where one of them is enabled."""
    inner = w.firmware.inner
    same = [s.name for s in w.rules.specs.values() if s.type is w.rules.specs[name].type]
    if any(inner.is_enabled(n) for n in same):
        return {}
    return {n: inner.held(n) for n in same if inner.held(n)}


def request_forgotten(w: World) -> str | None:
    """At rest in an open session, firmware waits for pages that it asked for, and no thread will give them."""
    view, inner = w.view, w.firmware.inner
    if not (w.quiet and view.open) or inner.pages_eqn is None:
        return None
    if not w.held_back and (view.busy or w.deadline is not None):
        return None
    asks = [f"{many(inner.asks(spec.name))} for {spec.name}" for spec in inner.specs if inner.asks(spec.name)]
    return f"asked for and never answered: {', '.join(asks)}" if asks else None


def fruitless(w: World) -> str | None:
    """TAKE is sent again and again, and no page is returned."""
    words = f"{w.fruitless} TAKEs in a row returned no page, more than any deadline leaves room for"
    return words if w.fruitless == MANY_FRUITLESS else None


def unreported_end(w: World) -> str | None:
    """At rest, a user waits for the end of an operation that is not pending any more."""
    if not w.quiet:
        return None
    pending = w.view.busy
    waits = [operation for operation in w.awaited if operation is not None and operation not in pending]
    return f"the end of {w.rules.moment(waits[0])} is never reported" if waits else None
