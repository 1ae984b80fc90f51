"""Tests of points that a world may reach: what it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from fwpages.device import Phase, Submitted
from fwpages.explore.model.world import World
from fwpages.host.io import OperationKind
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType, Mode
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode

Test: TypeAlias = Callable[[World], str | None]


def ended(kind: OperationKind) -> Test:
    """A test that sees an operation of this kind succeed."""

    def test(w: World) -> str | None:
        return next((str(d.operation) for d in w.ended if d.ok and d.operation.kind is kind), None)

    return test


def executed(kind: ManagePages) -> Test:
    """A test that sees a page command of this kind for a function other than the supplier."""

    def test(w: World) -> str | None:
        found = (c for c in _page_commands(w) if c.op_mod == kind)
        return next((str(c) for c in found if w.function_of(c, w.firmware.mode) != "self"), None)

    return test


def _page_commands(w: World) -> list[Command]:
    commands = [x.command for x in w.device_inputs if isinstance(x, Submitted)]
    return [c for c in commands if c.opcode == Opcode.MANAGE_PAGES]


def fault(w: World) -> str | None:
    """A fault was injected, or a time-out came early."""
    return None if w.faultless else "a fault was injected"


def early_give(w: World) -> str | None:
    """Firmware has pages of a function before the e-switch knows what it is."""
    for name, spec in w.rules.specs.items():
        who = spec.identity(w.firmware.mode)
        known = who is not None and w.driver.counted_as(who) not in (None, FunctionType.UNKNOWN.value)
        if who is not None and not known and w.firmware.inner.held(name):
            return f"{name} has {many(w.firmware.inner.held(name))}"
    return None


def late_return(w: World) -> str | None:
    """Pages of a function that is disabled come back."""
    names = (w.function_of(c, w.firmware.mode) for c in _page_commands(w) if c.op_mod == ManagePages.TAKE)
    disabled = (n for n in names if n in w.rules.specs and not w.firmware.inner.is_enabled(n))
    return next((f"pages of {name} come back" for name in disabled), None)


def vhca_id_mode(w: World) -> str | None:
    """Both sides are in VHCA_ID mode."""
    return "VHCA_ID mode" if w.view.mode is w.firmware.mode is Mode.VHCA_ID else None


def all_given(w: World) -> str | None:
    """Every function of the world has pages."""
    inner = w.firmware.inner
    if inner.phase is Phase.WORKING and all(inner.held(name) for name in w.rules.specs):
        return "every function has pages"
    return None


def opened_again(w: World) -> str | None:
    """A second session is open."""
    return "the device is open again" if w.session > 1 and ended(OperationKind.OPEN)(w) else None
