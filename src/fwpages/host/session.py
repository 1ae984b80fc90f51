"""One open of a device: what is known of it, its operations, its findings. Data, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

import msgspec

from fwpages.custody.findings import Finding
from fwpages.custody.judgements import Patience
from fwpages.host.io import CLOSE, FUNCTIONS, OPEN, End, Operation, OperationKind, WantedMode
from fwpages.pages.space import Indices
from fwpages.prm.esw_functions import OtherFunctions
from fwpages.prm.identity import FunctionType, Identity, Mode
from fwpages.prm.message import Command


class Phase(StrEnum):
    """The phase of a session."""

    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    FENCING = "fencing"
    ENDED = "ended"


def not_open(s: Session) -> str:
    """Why the caller cannot have done with this session what needs an open one."""
    return f"session {s.number} is {s.phase}, not open" if s.number else "the device was not opened before"


class Program(StrEnum):
    """The operations of the control plane; ``control.PROGRAMS`` has the table of steps of each."""

    OPEN = "open"
    CLOSE = "close"
    #: tears down fast or by force: pages are fenced, not taken
    FAST_CLOSE = "fast close"
    ENABLE = "enable"
    DISABLE = "disable"
    FUNCTIONS = "functions"

    def operation(self, subject: int) -> Operation:
        """The operation that the caller asked for; of a vport's, the subject is the vport."""
        match self:
            case Program.ENABLE | Program.DISABLE:
                return Operation(OperationKind(self.value), subject)
            case Program.OPEN:
                return OPEN
            case Program.CLOSE | Program.FAST_CLOSE:
                return CLOSE
            case Program.FUNCTIONS:
                return FUNCTIONS


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an operation is. ``flight`` is the command that it waits for."""

    program: Program
    subject: int = 0
    index: int = 0
    entered: bool = False
    flight: int | None = None

    @property
    def operation(self) -> Operation:
        """The operation that the program carries out."""
        return self.program.operation(self.subject)


class Flight(msgspec.Struct, frozen=True):
    """A command that the device has: its slot is taken until it is answered, however late, or fenced off.

    A Struct, made in a third of a dataclass's time: there is one for every command.
    """

    id: int
    slot: int
    command: Command
    deadline: float
    #: its time is over, or the link gave it up; what it named is doubtful
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Waiting until no page of disabled functions of these types is out."""

    operation: Operation
    types: frozenset[FunctionType]
    patience: Patience


@dataclass(frozen=True, slots=True)
class Reclaim:
    """Taking everything back from one function at close."""

    identity: Identity
    #: give this function up then, unless it returns a page before
    progress: float
    next_try: float


@dataclass(frozen=True, slots=True)
class VportState:
    """A vport that was enabled: the identity that it was announced under, None while that is not known."""

    identity: Identity | None


@dataclass(slots=True)
class Session:
    """One open of a device, from ENABLE_HCA to DISABLE_HCA or the fence. It owns the mode."""

    number: int
    wanted: WantedMode
    own: Identity
    phase: Phase = Phase.OPENING
    #: None while it is not known (SET_HCA_CAP was not answered): then no page command may follow
    mode: Mode | None = Mode.FUNC_ID
    #: the function that the boot pages were given to, by the device's own answer
    boot: Identity | None = None
    max_caps: dict[str, int] = field(default_factory=dict)
    caps: dict[str, int] = field(default_factory=dict)
    cap_page: bytes = b""
    issi: int = 0
    #: seconds for pages to come back, as the device tells them: at close, and of functions that are disabled
    told: tuple[float, float] | None = None
    #: the functions of other hosts, and the first vport of EC VFs, as the device tells them; None: it was not asked
    others: OtherFunctions | None = None
    ec_vport_base: int | None = None
    uar: int | None = None
    #: name and number of each event queue that was made, destroyed or not
    eqs: tuple[tuple[str, int], ...] = ()
    #: blocks that each event queue lies in: the device's from CREATE_EQ until DESTROY_EQ is answered OK
    eq_memory: dict[str, Indices] = field(default_factory=dict)
    #: how far the device was brought up: what a close has to undo
    enabled: bool = False
    initialized: bool = False
    release_all: bool = False
    progress: Progress | None = None
    queue: tuple[tuple[Program, int], ...] = ()
    vports: dict[int, VportState] = field(default_factory=dict)
    waits: tuple[Wait, ...] = ()
    #: types of the vports that the close disables, whose pages it waits for
    closing_types: frozenset[FunctionType] = frozenset()
    reclaim: Reclaim | None = None
    reclaim_until: float | None = None
    #: functions that did not return their pages at close
    stubborn: tuple[Identity, ...] = ()
    #: why the start-up failed, and why the device is being fenced off
    failure: str = ""
    fence: float | None = None
    end: End = "open"
    findings: dict[tuple[str, str, Identity | None], Finding] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    alloc_failed: int = 0
    give_dropped: int = 0
    reclaim_discard: int = 0

    @property
    def cut_off(self) -> bool:
        """A fast or forced close: what firmware has is fenced off, nothing more is given or taken."""
        return self.phase is Phase.CLOSING and self.end == "forced"

    @property
    def events(self) -> bool:
        """The event queue for page requests exists, or may: an event can be seen before the answer that made it."""
        return "pages" in self.eq_memory

    def copy(self) -> Session:
        """A session of its own."""
        return replace(
            self,
            vports=dict(self.vports),
            findings=dict(self.findings),
            eq_memory=dict(self.eq_memory),
        )
