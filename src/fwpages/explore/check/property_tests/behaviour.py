"""Tests of the driver's behaviour: its offences, its findings, its closes and resets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fwpages.custody.findings import FindingName
from fwpages.device import Offence, ResetFunction, Submitted
from fwpages.device.firmware.offences import OffenceName
from fwpages.explore.designs.linux.findings import LinuxFindingName
from fwpages.explore.model.world import World
from fwpages.host import Blame, Finding, HealthFatal, LinkLost, Reset
from fwpages.host.io import OperationKind
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType
from fwpages.prm.opcodes import Opcode

#: offences of a correct driver after a fault: firmware's words about pages or the mode were not true
_CAUSED = (
    OffenceName.PAGES_MISSING,
    OffenceName.DISABLED_WITH_PAGES,
    OffenceName.UNKNOWN_FUNCTION,
    OffenceName.IDENTITY_MODE,
)
#: offences of a driver whose device switches the mode later than it is assumed to
_OF_MODE = (OffenceName.IDENTITY_MODE, OffenceName.UNKNOWN_FUNCTION)
#: findings that blame a device without any fault: it departs from what is assumed, or answers after a time-out
_WITHOUT_FAULT = (FindingName.STARTUP_IDENTITY, FindingName.LATE_ANSWER)


def offence(w: World) -> str | None:
    """Without a fault, the driver commits an offence; naming a function in the agreed mode is none."""
    excused = () if w.rules.assume["switch_at_set_cap"] else _OF_MODE
    return _first(o for o in w.offences if w.faultless and o.name not in excused)


def out_of_turn(w: World) -> str | None:
    """After a fault, the driver commits an offence that the fault does not cause.

    A start-up goes on to ACCESS_REG when firmware said, with a fault, that it needs no boot pages: in a wrong state.
    """
    if w.faultless:
        return None
    misled = [x.command.opcode for x in w.device_inputs if isinstance(x, Submitted)] == [Opcode.ACCESS_REG]
    excused = (*_CAUSED, OffenceName.WRONG_STATE) if misled else _CAUSED
    return _first(o for o in w.offences if o.name not in excused)


def blamed(w: World) -> str | None:
    """A finding blames the device, and no fault was injected."""
    if not w.faultless or not w.rules.assume["switch_at_set_cap"]:
        return None  # to our host, a device that switches the mode later is at fault
    found = (f for f in w.driver_effects if isinstance(f, Finding) and f.blame is Blame.DEVICE)
    return _first(f for f in found if f.name not in _WITHOUT_FAULT)


def doubt_left(w: World) -> str | None:
    """At rest, every command is answered, and the driver's books are still unknown.

    Not asked where a function is reset: a GIVE that crosses its release_all is doubtful for good.
    """
    if not w.quiet or any(isinstance(d.act, ResetFunction) for d in w.rules.deeds):
        return None
    view = w.view
    if not view.open or view.waiting or w.held is not None:
        return None
    return "every command is answered, and the driver still has doubtful pages"


def reopen_failed(w: World) -> str | None:
    """An open fails in a session without a fault, after a session with one."""
    failed = [d.detail for d in w.ended if d.operation.kind is OperationKind.OPEN and not d.ok]
    can = w.rules.assume["switch_at_set_cap"]  # else none succeeds, whatever came before
    return f"open failed: {failed[0]}" if failed and can and 0 < w.faulted_session < w.session else None


def needless_reset(w: World) -> str | None:
    """The driver asks for a reset without a fault, without a report of trouble, and without a fast or forced close."""
    if not w.faultless or not w.rules.assume["switch_at_set_cap"]:
        return None  # to our host, a device that switches the mode later is at fault
    if any(isinstance(x, HealthFatal | LinkLost) for x in w.driver_inputs) or w.rules.closes_fast:
        return None
    reason = next((e.reason for e in w.driver_effects if isinstance(e, Reset)), None)
    return None if reason is None else f"a reset is asked for: {reason}"


def early_teardown(w: World) -> str | None:
    """Without a fault, the device is torn down while firmware has pages of a function that the e-switch knew."""
    down = [x for x in w.device_inputs if isinstance(x, Submitted) and x.command.opcode == Opcode.TEARDOWN_HCA]
    if not w.faultless or not down:
        return None
    for name, spec in w.rules.specs.items():
        who, pages = spec.identity(w.firmware.mode), w.firmware.inner.held(name)
        if pages and who is not None and w.driver.counted_as(who) not in (None, FunctionType.UNKNOWN.value):
            return f"{down[0].command}, and firmware has {many(pages)} of {name}"
    return None


def failed_open(w: World) -> str | None:
    """An open fails, firmware has pages, and the driver does not say that it cannot get at the device."""
    if not any(d.operation.kind is OperationKind.OPEN and not d.ok for d in w.ended):
        return None
    if any(isinstance(e, Finding) and e.name == FindingName.NOT_FENCED for e in w.driver_effects):
        return None
    left = sum(p.size for p in w.holds.values())
    return f"the open failed, and firmware has {many(left)}" if left else None


def silent_leak(w: World) -> str | None:
    """A close ended, pages are left, and there is no finding in this session."""
    if not any(d.operation.kind is OperationKind.CLOSE for d in w.ended) or w.found:
        return None
    left = w.holds
    if left:
        return f"closed without a finding, firmware has {many(sum(p.size for p in left.values()))}"
    held = w.held
    if held is None or held:
        return "closed without a finding, the driver's books have pages"
    return None


def finds(*names: LinuxFindingName) -> Callable[[World], str | None]:
    """A test that sees a finding of one of these names."""
    return lambda w: _first(f for f in w.driver_effects if isinstance(f, Finding) and f.name in names)


def _first(found: Iterator[Finding] | Iterator[Offence]) -> str | None:
    return next((f"{x.name}: {x.detail}" for x in found), None)
