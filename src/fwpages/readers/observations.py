"""What a reader saw, whatever the file's format: small values that the audit is fed with, each with its place."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Mode, Supplier

#: byte ranges of a message that the input does not have: [start, end)
Holes: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was seen. ``time`` is in seconds where the input has seconds, else as it is written there."""

    file: str
    line: int
    time: float | str | None = None

    def at(self) -> dict[str, Any]:
        """The place as a finding shows it."""
        return {"file": self.file, "line": self.line, "time": self.time}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Something that concerns one device; ``session`` is the number that a trace gives to its session."""

    place: Place
    device: str
    session: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header(Seen):
    """A trace says whose it is; ``numbered``: it tells by numbers that no line is lost, and when a host gives up."""

    supplier: Supplier | None = None
    numbered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted(Seen):
    """A command was handed to the device. ``key`` is what its answer is matched by; bytes in ``holes`` are unknown.

    ``cut``: nothing is lost, this kernel's dumps leave the last mailboxes out.
    """

    key: Hashable
    message: bytes
    slot: int | None = None
    holes: Holes = ()
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed(Seen):
    """The device answered; ``delivery`` is the queue entry's delivery status, 0 where it arrived well.

    ``holes`` and ``cut`` as in ``Submitted``.
    """

    key: Hashable
    message: bytes
    holes: Holes = ()
    cut: bool = False
    delivery: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered(Seen):
    """Somebody gave up waiting for an answer: the link (``by_link``) or the driver, who ``said`` so in a log."""

    key: Hashable
    by_link: bool = False
    said: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Seen):
    """A page request; ``ec_known`` is False where the input does not tell the ec bit (a kernel log's line)."""

    request: PageRequestEvent
    ec_known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChanged(Seen):
    """Something happened beside the commands and events: reset, fenced, lost, back; ``key``: of which command."""

    what: str
    detail: str = ""
    key: Hashable = None


class What(StrEnum):
    """What a kernel log's line states."""

    FIRMWARE = "firmware version"
    REQUESTED = "start-up pages requested"
    GAVE = "pages given"
    GIVE_FAILED = "giving failed"
    TAKING = "taking back"
    RELEASED = "all released"
    REQUEST = "page request"
    RELEASE_REQUEST = "release_all"
    LEFT = "counter not zero"
    GAVE_UP = "gave up reclaiming"
    RECLAIM_FAILED = "reclaiming failed"
    NOT_FOUND = "page not found"
    OVER_ASKED = "more returned than asked"
    ALLOC_FAILED = "no memory"
    REQUEST_DROPPED = "no room for a request"
    NOTIFY_FAILED = "CANT_GIVE failed"
    REFUSED = "command refused"
    TIMEOUT = "command timed out"
    NO_DONE = "no completion in time"
    NOT_SENT = "command not sent"
    LATE = "late completion"
    PENDING = "pages pending"
    DEVICE_ERROR = "device in error"
    NO_TEARDOWN = "teardown failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Seen):
    """A line of the driver's. Fields are None where that line, or that kernel, does not say them."""

    what: What
    text: str
    number: int | None = None
    ec: bool | None = None
    mode: Mode | None = None
    pages: int | None = None
    asked: int | None = None
    err: int | None = None
    opcode: int | None = None
    op_mod: int | None = None
    status: int | None = None
    slot: int | None = None
    boot: bool = False
    kind: FunctionType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost(Seen):
    """Part of the input is missing or cannot be attributed.

    ``opcode`` and ``number`` say what it was about, where that is known. ``harmless``: nothing that the accounts
    need. ``key``: the command whose answer will not be seen. An empty ``device`` concerns every device of the input.
    """

    name: str
    detail: str
    opcode: int | None = None
    number: int | None = None
    ec: bool = False
    harmless: bool = False
    key: Hashable = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark(Seen):
    """Something to note that is nobody's fault."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted(Seen):
    """The machine was started anew: what was open is no more. Concerns every device. ``detail``: what tells it."""

    device: str = field(default="")
    detail: str = ""
