"""One interpreter of a scenario's steps, for everything that carries them out.

Four back ends carry out a scenario: ``runner`` with our own host and firmware, ``served_runner`` with a driver in a
virtual machine, ``driven_runner`` with a device, and the explorer, which offers every step in every order. A back end
knows actions, not steps: it implements ``Actions``, one method for each kind of step, and returns from them whatever it
needs (nothing; whether the driver has followed; a value, for an action that may be made later).

``planned`` reads the steps of a scenario: it finds the functions that a pattern stands for and the ``Moment`` that
``after`` names, and refuses what cannot be. ``PlannedStep.perform`` is the one place that distinguishes the kinds
of steps. To add a kind of step: a class in ``format``, a case in ``perform`` and one in ``_functions``, a method of
``Actions``; mypy then names every back end that lacks it.

``Schedule`` holds the order where there is a clock: a row of steps, one after the other, and beside it the steps with
a trigger (``at``, ``after``, ``command``), each due when its trigger has come. The explorer has no clock and keeps no
schedule: it branches its states, so that all it needs of a step has to be a value. ``PlannedStep`` and ``Moment`` are
frozen and hold no state; where a user stands, and which moments have come, is part of the explorer's own state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import repeat, takewhile
from types import MappingProxyType
from typing import Protocol, TypeVar

from fwpages.host import WantedMode
from fwpages.host.io import OperationKind
from fwpages.pages.words import either, meant, nearest
from fwpages.prm.identity import Mode
from fwpages.prm.opcodes import Teardown
from fwpages.scenario.format import (
    CloseStep,
    DisableStep,
    EnableStep,
    HealthStep,
    LoseStep,
    OpenStep,
    RequestStep,
    ResetStep,
    Scenario,
    ScenarioError,
    Step,
    WaitStep,
)

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

#: the supplier's name in a scenario
OWN = "self"
_TEARDOWNS = {"graceful": Teardown.GRACEFUL, "fast": Teardown.PREPARE_FAST, "forced": Teardown.FORCE}


class MomentKind(StrEnum):
    """The kinds of events that a step may wait for: four operations that ended, and a page request."""

    OPEN = "open"
    CLOSE = "close"
    ENABLE = "enable"
    DISABLE = "disable"
    REQUEST = "request"


@dataclass(frozen=True, order=True, slots=True)
class Moment:
    """An event that a step may wait for, with the function that it is about; printed as ``after`` names it."""

    kind: MomentKind
    function: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.function}".rstrip()


def moment_of(kind: OperationKind, function: str) -> Moment | None:
    """The moment at which a host's operation ends, None for one that no step can wait for."""
    of = _OPERATIONS.get(kind)
    return None if of is None else Moment(of, function)


_OPERATIONS: Mapping[OperationKind, MomentKind] = MappingProxyType(
    {
        OperationKind.OPEN: MomentKind.OPEN,
        OperationKind.CLOSE: MomentKind.CLOSE,
        OperationKind.ENABLE: MomentKind.ENABLE,
        OperationKind.DISABLE: MomentKind.DISABLE,
    }
)


class Actions(Protocol[R_co]):
    """The actions of a back end, one for each kind of step; a step about several functions calls it for each."""

    def open(self, mode: WantedMode) -> R_co:
        """Open the device."""

    def close(self, teardown: Teardown) -> R_co:
        """Close the device."""

    def enable(self, function: str) -> R_co:
        """Enable a function through the e-switch."""

    def disable(self, function: str) -> R_co:
        """Disable a function through the e-switch."""

    def request(self, function: str, pages: int) -> R_co:
        """Let firmware want so many more 4 KiB pages for a function, or give so many back if negative."""

    def reset(self, function: str) -> R_co:
        """Reset a function (function-level reset)."""

    def health(self, reason: str) -> R_co:
        """Let the health buffer report a fatal syndrome."""

    def lose_link(self, reason: str, seconds: float) -> R_co:
        """Let the device stop answering; ``seconds`` are those of the waits that follow in the row."""

    def wait(self, seconds: float) -> R_co:
        """Let time pass."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of a scenario with what its words stand for. Printed as ``step[2] (enable)``.

    ``number`` counts the file's steps from 0; ``functions`` are those that its pattern fits, in the file's order;
    ``after`` is the moment that it waits for; ``waits_after`` are the seconds of the wait steps that follow in the row.
    """

    number: int
    step: Step
    functions: tuple[str, ...] = ()
    after: Moment | None = None
    waits_after: float = 0.0

    def __str__(self) -> str:
        return f"step[{self.number}] ({self.step.kind})"

    def applies(self, mode: Mode | None) -> bool:
        """Tell whether the step is taken in a session of this mode (None: no session yet)."""
        return self.step.only is None or self.step.only == mode

    def due(
        self, moments: AbstractSet[Moment], now: float = 0.0, commands: int = 0, begun: float | None = None
    ) -> bool:
        """Tell whether its trigger has come: all of ``at``, ``after`` and ``command`` that it names.

        ``now`` is in seconds; ``at`` counts from ``begun``, and has not come while that is None.
        """
        at, command = self.step.at, self.step.command
        return (
            (self.after is None or self.after in moments)
            and (at is None or (begun is not None and now >= begun + at))
            and (command is None or commands >= command)
        )

    def perform(self, actions: Actions[R]) -> tuple[R, ...]:
        """Carry the step out; returns what each action returned, in the order of the functions."""
        match self.step:
            case OpenStep(mode=mode):
                return (actions.open(mode),)
            case CloseStep(how=how):
                return (actions.close(_TEARDOWNS[how]),)
            case EnableStep():
                return tuple(map(actions.enable, self.functions))
            case DisableStep():
                return tuple(map(actions.disable, self.functions))
            case RequestStep(pages=pages):
                return tuple(map(actions.request, self.functions, repeat(pages)))
            case ResetStep():
                return tuple(map(actions.reset, self.functions))
            case HealthStep(reason=reason):
                return (actions.health(reason),)
            case LoseStep(reason=reason):
                return (actions.lose_link(reason, self.waits_after),)
            case WaitStep(seconds=seconds):
                return (actions.wait(seconds),)


def planned(scenario: Scenario, names: Sequence[str]) -> tuple[PlannedStep, ...]:
    """The steps of a scenario with functions of these names, in the file's order.

    ScenarioError, which names the key path, for a pattern that fits no function and a moment that never comes.
    """
    moments = {str(m): m for m in _possible(names)}
    return tuple(
        PlannedStep(n, step, _functions(n, step, names), _after(n, step, moments), _waits(scenario.step[n + 1 :]))
        for n, step in enumerate(scenario.step)
    )


def _functions(n: int, step: Step, names: Sequence[str]) -> tuple[str, ...]:
    match step:
        case RequestStep(function=pattern):
            return _fitting(n, pattern, [*names, OWN])
        case EnableStep(function=pattern) | DisableStep(function=pattern) | ResetStep(function=pattern):
            return _fitting(n, pattern, names)
        case OpenStep() | CloseStep() | HealthStep() | LoseStep() | WaitStep():
            return ()


def _fitting(n: int, pattern: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names that fit the pattern, in their order; ScenarioError where there are none."""
    found = tuple(name for name in names if fnmatchcase(name, pattern))
    if not found:
        why = f"fits none of {_offered(pattern, names)}" if names else "fits nothing: the scenario has no functions"
        raise ScenarioError(f"step[{n}].function: {pattern!r} {why}")
    return found


def _offered(pattern: str, names: Sequence[str]) -> str:
    near = nearest(pattern, names)
    return ", ".join(names) + (f"; did you mean {either(near)}?" if near else "")


def _possible(names: Sequence[str]) -> Iterator[Moment]:
    """Every moment that can come with functions of these names."""
    yield from (Moment(MomentKind.OPEN), Moment(MomentKind.CLOSE), Moment(MomentKind.REQUEST, OWN))
    for name in names:
        yield from (Moment(kind, name) for kind in (MomentKind.ENABLE, MomentKind.DISABLE, MomentKind.REQUEST))


def _after(n: int, step: Step, moments: dict[str, Moment]) -> Moment | None:
    if step.after is None:
        return None
    if step.after not in moments:
        raise ScenarioError(f"step[{n}].after: {step.after!r} never happens; {meant(step.after, moments)}")
    return moments[step.after]


def _waits(following: Sequence[Step]) -> float:
    """Seconds of the wait steps at the beginning of ``following``."""
    waits = takewhile(lambda s: isinstance(s, WaitStep) and not s.triggered, following)
    return sum(s.seconds for s in waits if isinstance(s, WaitStep))


class Schedule:
    """The steps that are still to be taken: a row, in the file's order, and those with a trigger of their own."""

    def __init__(self, steps: Sequence[PlannedStep], begun: float | None = None) -> None:
        self._row = [s for s in steps if not s.step.triggered]
        self._triggered = [s for s in steps if s.step.triggered]
        #: the time from which ``at`` counts, in seconds; None before it has come
        self.begun = begun

    @property
    def next_in_row(self) -> PlannedStep | None:
        """The step of the row whose turn it is; None after the last."""
        return self._row[0] if self._row else None

    @property
    def left(self) -> tuple[PlannedStep, ...]:
        """The steps not yet taken, in the file's order."""
        return tuple(sorted(self._row + self._triggered, key=lambda s: s.number))

    @property
    def times(self) -> tuple[float, ...]:
        """The times (seconds) at which a trigger of the steps not yet taken comes, those that have passed included."""
        begun = self.begun
        times = (s.step.at for s in self._triggered if s.step.at is not None)
        return () if begun is None else tuple(begun + at for at in times)

    def due(self, moments: AbstractSet[Moment], now: float, commands: int) -> Iterator[PlannedStep]:
        """The triggered steps whose trigger has come; a moment that comes while they are taken counts as well."""
        return (s for s in tuple(self._triggered) if s.due(moments, now, commands, self.begun))

    def taken(self, step: PlannedStep) -> None:
        """The step was taken: it is no longer left."""
        (self._triggered if step.step.triggered else self._row).remove(step)
