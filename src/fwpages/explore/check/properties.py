"""The table of properties: each a name, words, and a test of a state or of the step that led to it.

A test returns what it saw, or None. One test serves three lists of ``[expect]``: *always* and *never* (it must see
nothing) and *sometimes* (it must see something once). *Eventually* asks whether a state comes in which a test sees
nothing: those are the goals, in a table of their own.

To add a property: a test in ``property_tests`` and a row here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from fwpages.explore.check.property_tests import behaviour, identities, pages, points, progress
from fwpages.explore.designs.linux.findings import LinuxFindingName
from fwpages.explore.model.world import World
from fwpages.host.io import OperationKind
from fwpages.prm.opcodes import ManagePages

#: returns what it saw in a world; None where there is nothing
Test: TypeAlias = Callable[[World], str | None]


@dataclass(frozen=True, slots=True)
class Property:
    """A property in words, and its test. ``of_step``: the test looks at the step that led to a state."""

    words: str
    test: Test
    of_step: bool = False


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal of *eventually*: it is met in a state in which the property's test sees nothing.

    ``users_act``: users do all that they may; without it each of them may stop for good at any moment.
    """

    words: str
    property: str
    users_act: bool


def _state(words: str, test: Test) -> Property:
    return Property(words, test)


def _step(words: str, test: Test) -> Property:
    return Property(words, test, of_step=True)


_N = LinuxFindingName

PROPERTIES: Mapping[str, Property] = MappingProxyType(
    {
        "custody": _state("no page that firmware holds is free on the driver's side", pages.custody),
        "agreement": _state("at rest, both sides name the same pages for every function", pages.agreement),
        "no-offence": _step("with no fault, the driver breaks no rule of the device", behaviour.offence),
        "out-of-turn": _step("after a fault, the driver breaks a rule without need", behaviour.out_of_turn),
        "blamed": _step("a finding blames the device without a fault", behaviour.blamed),
        "needless-reset": _step("the driver asks for a reset without a fault", behaviour.needless_reset),
        "early-teardown": _step("a teardown while functions of the device have pages", behaviour.early_teardown),
        "untold": _state("the end of an operation is never reported to its user", progress.unreported_end),
        "doubt-left": _state("at rest, every command is answered and pages are still doubtful", behaviour.doubt_left),
        "counter-negative": _state("a page counter is below zero", pages.counter_negative),
        "counter-left": _state("at rest, a counter counts pages that are not out", pages.counter_left),
        "miscounted": _state("at rest, the driver counts other pages than it lists", pages.miscounted),
        "wrong-type": _state("pages of a function are counted under another type", pages.wrong_type),
        "uncounted": _state("at rest, pages of a function are counted under no type", pages.uncounted),
        "deadlock": _state("without a fault, nothing moves but by a time-out", progress.deadlock),
        "early-end": _step("a disabling is done while pages of the type are out", progress.early_end),
        "request-forgotten": _state("a page request that will never be answered", progress.request_forgotten),
        "mode-disagreement": _state(
            "a session is in use, and the two sides are in different modes", identities.mode_disagreement
        ),
        "misnamed": _step("a page command is read as of another function, or of none", identities.misnamed),
        "stale-request": _step("a page request of an earlier session is served", identities.stale_request),
        "failed-open": _step("an open fails, and the device is left with pages", behaviour.failed_open),
        "silent-leak": _step("a close ends with pages left and without a finding", behaviour.silent_leak),
        "fruitless": _state("TAKE is sent again and again, and no page is returned", progress.fruitless),
        "overrun": _step("a count makes the driver write beyond its memory", behaviour.finds(_N.HEAP_OVERRUN)),
        "not-found": _step(
            "a page that was given cannot be found", behaviour.finds(_N.PAGE_NOT_FOUND, _N.WARN_NO_ROOT)
        ),
        "reopen-failed": _step("an open fails because of what an earlier session left", behaviour.reopen_failed),
        "lost": _state("after a session, the driver keeps memory that firmware does not have", pages.lost),
        "unsettled": _state("the two sides disagree about the pages of a function", pages.disagreement),
        "busy": _state("an operation has not ended", progress.busy),
        "open": _step("the device is open", points.ended(OperationKind.OPEN)),
        "closed": _step("a close succeeded", points.ended(OperationKind.CLOSE)),
        "enabled": _step("a vport is enabled", points.ended(OperationKind.ENABLE)),
        "disabled": _step("a vport is disabled", points.ended(OperationKind.DISABLE)),
        "given": _step("a page is given to another function", points.executed(ManagePages.GIVE)),
        "taken": _step("a page is taken from another function", points.executed(ManagePages.TAKE)),
        "cannot-give": _step("the driver says CANT_GIVE", points.executed(ManagePages.CANT_GIVE)),
        "fault": _state("a fault was injected", points.fault),
        "early-give": _state("a function has pages before the e-switch knows it", points.early_give),
        "late-return": _step("pages of a disabled function come back", points.late_return),
        "vhca-id-mode": _state("VHCA_ID mode is in use", points.vhca_id_mode),
        "all-given": _state("every function has pages", points.all_given),
        "opened-again": _step("a second session is open", points.opened_again),
    }
)

EVENTUALLY: Mapping[str, Goal] = MappingProxyType(
    {
        "operations-end": Goal("every operation ends", "busy", users_act=False),
        "agree-again": Goal("once faults stop, both sides agree about every page", "unsettled", users_act=True),
    }
)
