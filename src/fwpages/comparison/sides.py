"""One side of a comparison: what an input of any kind tells, in one shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from fwpages.comparison.kinds import Kind
from fwpages.comparison.values import Form
from fwpages.custody.accounts import COLUMNS, Count, FindingAccount, Missing
from fwpages.custody.series import Series
from fwpages.prm.identity import FunctionType

#: the columns that an input of each kind can have; which it has, each count says
COUNTS: Mapping[Form, tuple[str, ...]] = MappingProxyType(
    {
        Form.TRACE: COLUMNS,
        Form.LOG: COLUMNS,
        Form.AUDIT: COLUMNS,
        Form.RUN: COLUMNS,
        Form.DRIVE: COLUMNS,
        Form.SERVE: ("given", "returned", "released", "held", "peak"),
        Form.INSPECT: ("held",),
        Form.TOP: ("held",),
    }
)
#: inputs that show one moment: it is compared with the last session of the other
MOMENTS = frozenset({Form.INSPECT, Form.TOP})
#: the own function and those of unknown type, where an input counts by type alone
REST = "own, and unknown"


@dataclass(frozen=True, slots=True)
class Step:
    """A command or a page request in words, and the function that it is about, by its identity at the end."""

    before: str
    function: str | None = None
    after: str = ""


@dataclass(slots=True)
class Steps:
    """A sequence of steps, the first ones of it; ``more`` counts those that are not kept."""

    rows: list[Step] = field(default_factory=list)
    more: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSide:
    """One function of a session. ``identity`` is None where the input counts by type alone."""

    identity: str | None
    type: FunctionType | None
    counts: Mapping[str, Count]
    generation: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSide:
    """One session. ``lacks`` is the evidence without which its counts prove nothing; ``partial``: it lacks some of its
    lines, so that what it does not show may have been there.

    ``peak`` is the most that was out at one time of all functions together. ``steps`` are from commands, ``lines`` from
    the driver's one-line messages; a kind that is not there is one that the input does not tell. ``commands`` counts
    those after the start-up, None where the input shows no commands. ``series`` is its pages over time.
    """

    device: str
    number: int
    mode: str | None
    end: str
    supplier: str | None
    functions: tuple[FunctionSide, ...]
    findings: tuple[FindingAccount, ...] = ()
    lacks: tuple[Missing, ...] = ()
    partial: bool = False
    peak: Count = None
    commands: Mapping[str, int] | None = None
    counters: Mapping[str, Count] = field(default_factory=dict)
    steps: Mapping[Kind, Steps] = field(default_factory=dict)
    lines: Mapping[Kind, Steps] = field(default_factory=dict)
    series: Series | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One input. ``events`` are those of a run beside its sessions: how often each came, by kind."""

    name: str
    form: Form
    sessions: tuple[SessionSide, ...]
    findings: tuple[FindingAccount, ...] = ()
    lacks: tuple[Missing, ...] = ()
    events: Mapping[Kind, Mapping[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
