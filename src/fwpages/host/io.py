"""The inputs and effects of a host: frozen values. The runner around it performs the effects.

Those of every page command are Structs, which are made in a third of a dataclass's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

from fwpages.custody.findings import Finding
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity, func_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Teardown

WantedMode: TypeAlias = Literal["auto", "func_id", "vhca_id"]
#: how a session ended, or that it has not
End: TypeAlias = Literal["closed", "forced", "open", "reset", "lost", "failed"]


class OperationKind(StrEnum):
    """The operations that a caller asks for, and those of the host's own: the wait of a close, and its questions."""

    OPEN = "open"
    CLOSE = "close"
    ENABLE = "enable"
    DISABLE = "disable"
    WAIT = "wait for the pages of disabled functions"
    FUNCTIONS = "ask the device for its functions"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; ``vport`` is the number that an enabling or disabling is about. Its text is for people."""

    kind: OperationKind
    vport: int | None = None

    def __str__(self) -> str:
        return self.kind.value if self.vport is None else f"{self.kind.value} vport {self.vport:#x}"

    __repr__ = __str__


OPEN, CLOSE = Operation(OperationKind.OPEN), Operation(OperationKind.CLOSE)
FUNCTIONS = Operation(OperationKind.FUNCTIONS)


class Misuse(ValueError):
    """The caller asked for what cannot be asked for now; nothing was changed."""


class Proof(StrEnum):
    """A proof that a device can no longer touch the memory that it was given."""

    FUNCTION_LEVEL_RESET = "function-level reset completed"
    BUS_MASTER_OFF = "bus mastering off, transactions drained"
    IO_UNMAPPED = "I/O mapping removed and flushed"


class Scope(StrEnum):
    """The scope of a fence: this supplier's own function, or one of the functions it supplies."""

    SUPPLIER = "supplier"
    OTHER = "other function"


@dataclass(frozen=True, slots=True)
class VportInfo:
    """A vport that the e-switch may enable: its number, kind, and how commands name its function.

    ``vhca_id`` is set where it is known beforehand (of an SPF, which FUNC_ID mode has no name for).
    """

    vport: int
    type: FunctionType
    function_id: int
    ec: bool = False
    vhca_id: int | None = None

    @property
    def identity(self) -> Identity:
        """The function in FUNC_ID mode."""
        return func_id(self.function_id, ec=self.ec)


@dataclass(frozen=True, slots=True)
class Open:
    """Open the device. ``mode``: ``auto`` takes VHCA_ID where it is offered."""

    mode: WantedMode = "auto"


@dataclass(frozen=True, slots=True)
class Close:
    """Close it: take every page back, or (fast, forced: kexec, firmware reset) fence it off."""

    how: Teardown = Teardown.GRACEFUL


@dataclass(frozen=True, slots=True)
class FunctionsChanged:
    """The vports that there are now, as the caller names them: replaces what was known, and what the device tells."""

    vports: tuple[VportInfo, ...]


@dataclass(frozen=True, slots=True)
class EswFunctionsChanged:
    """The event ESW_FUNCTIONS_CHANGED of the session it came in on: the device has other functions than before."""

    session: int


@dataclass(frozen=True, slots=True)
class EnableVport:
    """Enable a vport's function and learn its vhca_id."""

    vport: int


@dataclass(frozen=True, slots=True)
class DisableVport:
    """Disable a vport's function; done when, for the last of its type, what is gone of the type has no page out."""

    vport: int


class Answered(msgspec.Struct, frozen=True):
    """The device answered command ``id`` of ``session``, in time or late."""

    session: int
    id: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Aborted:
    """The link gave up on command ``id``; whether the device executed it is not known."""

    session: int
    id: int
    reason: str


class PageRequest(msgspec.Struct, frozen=True):
    """A page-request event of the session it came in on."""

    session: int
    event: PageRequestEvent


@dataclass(frozen=True, slots=True)
class Mapped:
    """A Map was done: the chunk lies at ``at``; None says that there was no memory or no mapping."""

    iova: int
    pages: int
    at: int | None


@dataclass(frozen=True, slots=True)
class Tick:
    """Nothing came until the deadline."""


@dataclass(frozen=True, slots=True)
class HealthFatal:
    """The health buffer reports a fatal syndrome. No proof of anything: the device may still write."""

    reason: str


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The device does not answer any more (all-ones reads, link down, process gone)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fenced:
    """The function in ``scope`` is fenced, by ``proof``."""

    proof: Proof
    scope: Scope = Scope.SUPPLIER


Input: TypeAlias = (
    Open
    | Close
    | FunctionsChanged
    | EswFunctionsChanged
    | EnableVport
    | DisableVport
    | Answered
    | Aborted
    | PageRequest
    | Mapped
    | Tick
    | HealthFatal
    | LinkLost
    | Fenced
)


class Send(msgspec.Struct, frozen=True):
    """Hand this command to the device on this slot."""

    session: int
    id: int
    slot: int
    command: Command


@dataclass(frozen=True, slots=True)
class Map:
    """Make ``pages`` 4 KiB pages of memory and map them for the device at ``iova``; answer with Mapped."""

    iova: int
    pages: int


@dataclass(frozen=True, slots=True)
class Unmap:
    """The device no longer needs this range: unmap and free it."""

    iova: int
    pages: int


@dataclass(frozen=True, slots=True)
class Reset:
    """Fence the supplier's function off (a function-level reset, or what else gives a Proof); answer with Fenced."""

    session: int
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """An operation has ended."""

    session: int
    operation: Operation
    ok: bool
    detail: str = ""


Effect: TypeAlias = Send | Map | Unmap | Reset | Done | Finding
