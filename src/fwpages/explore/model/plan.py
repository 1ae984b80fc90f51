"""The deeds of the users of a world: the driver's caller, the e-switch's caller, and each function's firmware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fwpages.device import FunctionSpec, ResetFunction, Want
from fwpages.host import Close, DisableVport, EnableVport, HealthFatal, LinkLost, Open, VportInfo, WantedMode
from fwpages.host import Input as HostInput
from fwpages.host.io import CLOSE, OPEN, Operation, OperationKind
from fwpages.pages.words import many
from fwpages.prm.opcodes import Teardown
from fwpages.scenario import Scenario, ScenarioError, about
from fwpages.scenario.interpreter import PlannedStep, planned


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that a user does. ``awaits``: the operation that must have ended before the same user goes on."""

    step: PlannedStep
    words: str
    act: HostInput | Want | ResetFunction
    awaits: Operation | None = None


#: a user → what it does, in order
Plan = Mapping[str, tuple[Deed, ...]]


def plan(scenario: Scenario, pairs: tuple[tuple[FunctionSpec, VportInfo], ...]) -> Plan:
    """The deeds of every user, in the file's order.

    Users: ``driver`` opens and closes, ``eswitch`` enables and disables vports, and each function is a user of its own
    (``vf0``). A user's next deed waits until the last one has ended, unless that says ``settle = false``; different
    users wait for each other only where ``after`` says so. Raises ScenarioError for a scenario that no world can be.
    """
    deeds: dict[str, list[Deed]] = {"driver": [], "eswitch": []}
    vports = {spec.name: info.vport for spec, info in pairs}
    users = _Users(vports)
    for step in planned(scenario, list(vports)):
        if step.step.at is not None or step.step.command is not None:
            raise ScenarioError(f"step[{step.number}]: {_NO_CLOCK}")
        with about(f"step[{step.number}]"):
            acts = step.perform(users)
        for a in acts:
            awaits = a.operation if step.step.settle else None
            deeds.setdefault(a.user, []).append(Deed(step, a.words, a.act, awaits))
    return {user: tuple(row) for user, row in deeds.items() if row}


_NO_CLOCK = "a world has no clock: say `after`, or leave the moment open"


@dataclass(frozen=True, slots=True)
class _UserAction:
    """A user's action, in words and as an input; ``operation`` is the one that it begins."""

    user: str
    words: str
    act: HostInput | Want | ResetFunction
    operation: Operation | None = None


@dataclass(frozen=True, slots=True)
class _Users:
    """The steps' actions as values: a world's moves carry them out later. ``vports`` has the functions by name."""

    vports: Mapping[str, int]

    def open(self, mode: WantedMode) -> _UserAction:
        return _UserAction("driver", "open", Open(mode), OPEN)

    def close(self, teardown: Teardown) -> _UserAction:
        return _UserAction("driver", _CLOSES[teardown], Close(teardown), CLOSE)

    def enable(self, function: str) -> _UserAction:
        vport = self.vports[function]
        return _UserAction("eswitch", f"enable {function}", EnableVport(vport), Operation(OperationKind.ENABLE, vport))

    def disable(self, function: str) -> _UserAction:
        vport = self.vports[function]
        return _UserAction(
            "eswitch", f"disable {function}", DisableVport(vport), Operation(OperationKind.DISABLE, vport)
        )

    def request(self, function: str, pages: int) -> _UserAction:
        return _UserAction(function, wants(function, pages), Want(function, pages))

    def reset(self, function: str) -> _UserAction:
        return _UserAction(function, f"reset of {function}", ResetFunction(function))

    def health(self, reason: str) -> _UserAction:
        return _UserAction("driver", "fatal health", HealthFatal(reason))

    def lose_link(self, reason: str, seconds: float) -> _UserAction:  # noqa: ARG002  # a world has no clock
        return _UserAction("driver", "link lost", LinkLost(reason))

    def wait(self, seconds: float) -> _UserAction:  # noqa: ARG002  # a world has no clock
        raise ScenarioError(_NO_CLOCK)


_CLOSES = {
    Teardown.GRACEFUL: "close",
    Teardown.PREPARE_FAST: "close (fast)",
    Teardown.FORCE: "close (forced)",
}


def wants(function: str, pages: int) -> str:
    """A function that asks for pages, or that returns some (negative), in words."""
    return f"{function} wants {many(pages)}" if pages > 0 else f"{function} returns {many(-pages)}"
