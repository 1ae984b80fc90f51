"""How a driver conducts itself: towards the device, towards its user, and in what it says of both.

Tests for ``properties``: each hands back what it saw, or None.
"""

from __future__ import annotations

from fwpages.device import ResetFunction, Submitted
from fwpages.explore.model.world import World
from fwpages.host import Blame, Close, Finding, HealthFatal, LinkLost, Reset
from fwpages.host.io import OperationKind
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType
from fwpages.prm.opcodes import Opcode, Teardown

#: what a driver may not be able to help once a fault has struck: what it was told of pages or of the mode was not so
_MISLED = ("pages-missing", "disabled-with-pages", "unknown-function", "identity-mode")
#: what a device can be blamed for without any fault: it departs from what is assumed, or answers after a time-out
_ODD = ("startup-identity", "late-answer")


def offence(w: World) -> str | None:
    """What firmware holds against the driver; not that it named a function by the mode that was agreed upon."""
    offences = w.offences if w.faultless else []
    if not w.rules.assume["switch_at_set_cap"]:
        offences = [o for o in offences if o.name not in ("identity-mode", "unknown-function")]
    return f"{offences[0].name}: {offences[0].detail}" if offences else None


def out_of_turn(w: World) -> str | None:
    """The same after a fault, but for what a driver does because of it.

    A start-up goes on to ACCESS_REG when firmware said that it needs no boot pages, though it does.
    """
    if w.faultless:
        return None
    misled = [x.command.opcode for x in w.device_inputs if isinstance(x, Submitted)] == [Opcode.ACCESS_REG]
    offences = [o for o in w.offences if o.name not in _MISLED and not (misled and o.name == "wrong-state")]
    return f"{offences[0].name}: {offences[0].detail}" if offences else None


def blamed(w: World) -> str | None:
    """A finding says that the device is at fault, and no fault has struck."""
    if not w.faultless or not w.rules.assume["switch_at_set_cap"]:
        return None  # the other way of switching is a fault of the device by our host's rules
    found = [f for f in w.driver_effects if isinstance(f, Finding) and f.blame is Blame.DEVICE and f.name not in _ODD]
    return f"{found[0].name}: {found[0].detail}" if found else None


def untold(w: World) -> str | None:
    """At rest, a user waits for the end of an operation that is not under way any more."""
    busy = w.driver.view().busy if w.quiet else ()
    waits = [what for what in w.awaited if what is not None and what not in busy] if w.quiet else []
    return f"nobody will say how {w.rules.moment(waits[0])} ended" if waits else None


def doubt_left(w: World) -> str | None:
    """At rest, every command is answered, and the driver still does not know who holds what.

    Where a function is reset, a GIVE may cross its release_all: then nobody can know.
    """
    if not w.quiet or any(isinstance(d.act, ResetFunction) for deeds in w.rules.plan.values() for d in deeds):
        return None
    view = w.driver.view()
    if not view.open or view.waiting or w.driver.held() is not None:
        return None
    return "every command is answered, and the driver still has pages of which it does not know who holds them"


def reopen_failed(w: World) -> str | None:
    """An open fails in which no fault struck, after one in which some did."""
    failed = [d.detail for d in w.ended if d.operation.kind is OperationKind.OPEN and not d.ok]
    can = w.rules.assume["switch_at_set_cap"]  # else none succeeds, whatever came before
    return f"open failed: {failed[0]}" if failed and can and 0 < w.faulted_session < w.session else None


def needless_reset(w: World) -> str | None:
    """The driver wants the device reset, no fault has struck, and nobody told it of trouble or wants a fast close."""
    if not w.faultless or not w.rules.assume["switch_at_set_cap"]:
        return None  # the other way of switching is a fault of the device by our host's rules
    asked = [e.reason for e in w.driver_effects if isinstance(e, Reset)]
    told = any(isinstance(x, HealthFatal | LinkLost) for x in w.driver_inputs)
    fast = any(isinstance(d.act, Close) and d.act.how is not Teardown.GRACEFUL for d in sum(w.rules.plan.values(), ()))
    return f"a reset is asked for: {asked[0]}" if asked and not told and not fast else None


def early_teardown(w: World) -> str | None:
    """With no fault, the device is torn down while firmware has pages of a function that the e-switch knew."""
    down = [x for x in w.device_inputs if isinstance(x, Submitted) and x.command.opcode == Opcode.TEARDOWN_HCA]
    if not w.faultless or not down:
        return None
    for name, spec in w.rules.specs.items():
        who, pages = spec.identity(w.firmware.mode), w.firmware.inner.held(name)
        if pages and who is not None and w.driver.counted_as(who) not in (None, FunctionType.UNKNOWN.value):
            return f"{down[0].command}, and firmware has {many(pages)} of {name}"
    return None
