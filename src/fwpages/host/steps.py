"""The rows of an operation's table: a command and what its answer means, or a condition to wait for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fwpages.host.state import HostState
from fwpages.prm.message import Answer, Command


class Refused(StrEnum):
    """The consequence of an answer with a status other than OK."""

    FAIL = "the operation fails"
    FENCE = "the device is fenced off"
    GO_ON = "a finding, and on as if it were done"


@dataclass(frozen=True, slots=True)
class Step:
    """One row of an operation's table: a command and what its answer means, or a condition to wait for.

    ``send`` may return None: the step does not apply. With ``again`` the step is repeated until it does. The number
    that the functions get is the operation's subject: a vport, a teardown profile. ``denied`` undoes what ``send``
    assumed when the device refuses; ``unanswered`` notes what it may have done where it does not answer.
    """

    name: str
    send: Callable[[HostState, int], Command | None] | None = None
    answered: Callable[[HostState, int, Answer], None] | None = None
    enter: Callable[[HostState, int], None] | None = None
    until: Callable[[HostState, int], bool] | None = None
    denied: Callable[[HostState], None] | None = None
    unanswered: Callable[[HostState, int], None] | None = None
    refused: Refused = Refused.FAIL
    again: bool = False
