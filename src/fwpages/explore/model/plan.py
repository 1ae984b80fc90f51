"""What the users of a world do: the driver's caller, the e-switch's, and what happens inside the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fwpages.device import FunctionSpec, ResetFunction, Want
from fwpages.host import Close, DisableVport, EnableVport, HealthFatal, LinkLost, Open, VportInfo
from fwpages.host import Input as HostInput
from fwpages.host.io import CLOSE, OPEN, Operation, OperationKind
from fwpages.pages.words import many
from fwpages.prm.identity import Mode
from fwpages.prm.opcodes import Teardown
from fwpages.scenario import Scenario, ScenarioError
from fwpages.scenario.format import (
    CloseStep,
    DisableStep,
    EnableStep,
    HealthStep,
    LoseStep,
    OpenStep,
    RequestStep,
    ResetStep,
    Step,
    WaitStep,
)
from fwpages.scenario.topology import check_moments, fitting

_HOW = {"graceful": Teardown.GRACEFUL, "fast": Teardown.PREPARE_FAST, "forced": Teardown.FORCE}


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that a user does. ``awaits``: what must have ended before the same user goes on, as Done names it."""

    words: str
    act: HostInput | Want | ResetFunction
    awaits: Operation | None = None
    after: str | None = None
    only: Mode | None = None


#: a user → what it does, in order
Plan = Mapping[str, tuple[Deed, ...]]


def plan(scenario: Scenario, pairs: tuple[tuple[FunctionSpec, VportInfo], ...]) -> Plan:
    """The deeds of every user, in the file's order.

    Users: ``driver`` opens and closes, ``eswitch`` enables and disables vports, and each function has a life of its
    own (``vf0``). A user's next deed waits until the last one has ended, unless that says ``settle = false``;
    different users wait for each other only where ``after`` says so. ScenarioError for what a world cannot have.
    """
    lanes: dict[str, list[Deed]] = {"driver": [], "eswitch": []}
    vports = {spec.name: info.vport for spec, info in pairs}
    check_moments(scenario, vports)
    for n, step in enumerate(scenario.step):
        if step.at is not None or step.command is not None or isinstance(step, WaitStep):
            raise ScenarioError(f"step[{n}]: a world has no clock: say `after`, or leave the moment open")
        for lane, deed in _deeds(n, step, vports):
            lanes.setdefault(lane, []).append(deed)
    return {lane: tuple(deeds) for lane, deeds in lanes.items() if deeds}


def _deeds(n: int, step: Step, vports: dict[str, int]) -> list[tuple[str, Deed]]:
    match step:
        case OpenStep():
            return [("driver", _deed(step, "open", Open(step.mode), OPEN))]
        case CloseStep():
            how = "" if step.how == "graceful" else f" ({step.how})"
            return [("driver", _deed(step, f"close{how}", Close(_HOW[step.how]), CLOSE))]
        case HealthStep():
            return [("driver", _deed(step, "fatal health", HealthFatal(step.reason), None))]
        case LoseStep():
            return [("driver", _deed(step, "link lost", LinkLost(step.reason), None))]
        case EnableStep() | DisableStep():
            enable = isinstance(step, EnableStep)
            kind, make = (OperationKind.ENABLE, EnableVport) if enable else (OperationKind.DISABLE, DisableVport)
            return [
                ("eswitch", _deed(step, f"{kind} {f}", make(vports[f]), Operation(kind, vports[f])))
                for f in fitting(n, step.function, list(vports))
            ]
        case RequestStep():
            found = fitting(n, step.function, [*vports, "self"])
            return [(f, _deed(step, wants(f, step.pages), Want(f, step.pages), None)) for f in found]
        case ResetStep():
            return [
                (f, _deed(step, f"reset of {f}", ResetFunction(f), None))
                for f in fitting(n, step.function, list(vports))
            ]
        case _:  # a wait was refused before
            return []


def _deed(step: Step, words: str, act: HostInput | Want | ResetFunction, awaits: Operation | None) -> Deed:
    only = None if step.only is None else Mode(step.only)
    return Deed(words, act, awaits if step.settle else None, step.after, only)


def wants(function: str, pages: int) -> str:
    """A function that asks for pages, or that returns some (negative), in words."""
    return f"{function} wants {many(pages)}" if pages > 0 else f"{function} returns {many(-pages)}"
