"""The inputs and effects of a firmware: frozen values without behaviour. Counts are 4 KiB pages.

Those of every command are Structs, which are made in a third of a dataclass's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from fwpages.device.firmware.offences import OffenceName
from fwpages.prm.event import EswitchEvent, PageRequestEvent
from fwpages.prm.identity import Identity
from fwpages.prm.message import Answer, Command


class Submitted(msgspec.Struct, frozen=True, eq=False):
    """A command arrived. ``reply_length``: the bytes that the driver set aside for the answer."""

    id: int
    command: Command
    reply_length: int


@dataclass(frozen=True, slots=True)
class Want:
    """Firmware wants ``pages`` more for the named function, or asks that many back if negative.

    A function whose vhca_id another one has used takes the name over with the first pages that it wants. While the
    other one is enabled, or an SF that is allocated, nothing happens.
    """

    function: str
    pages: int


@dataclass(frozen=True, slots=True)
class ResetFunction:
    """A function-level reset of one function other than the supplier: firmware lets go of its pages.

    Nothing happens where another function uses its vhca_id now: its own pages are asked back already.
    """

    function: str


@dataclass(frozen=True, slots=True)
class HostVfs:
    """The external host of an embedded CPU has so many of its VFs switched on, the first ones.

    A host changes the number through 0: so does Linux, whose driver of the embedded CPU relies on it.
    """

    count: int


@dataclass(frozen=True, slots=True)
class Reset:
    """A function-level reset of the supplier itself, or a power cycle: everything is dropped."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The firmware's deadline has come."""


class Completed(msgspec.Struct, frozen=True):
    """The answer to the command with this id."""

    id: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Executed:
    """The command with this id was executed, and an injected fault keeps its answer back, for good or for some time.

    The driver does not see it: it is no effect, and reported for the books beside them.
    """

    id: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Triggered:
    """The injected fault of this name took effect. No effect either."""

    fault: str


class Raised(msgspec.Struct, frozen=True):
    """A page request, on the event queue with this number."""

    eqn: int
    event: PageRequestEvent


@dataclass(frozen=True, slots=True)
class Notified:
    """An event about the e-switch, on the event queue with this number."""

    eqn: int
    event: EswitchEvent


@dataclass(frozen=True, slots=True)
class Offence:
    """The driver broke a rule; the command was refused, unless the name's ``status`` is OK: then it is only recorded.

    ``function`` is the one that the command was about, where that is known.
    """

    name: OffenceName
    function: Identity | None
    detail: str


@dataclass(frozen=True, slots=True)
class ResetDone:
    """The reset is complete: the device no longer touches any page that it was given."""


Input: TypeAlias = Submitted | Want | ResetFunction | HostVfs | Reset | Tick
Effect: TypeAlias = Completed | Raised | Notified | Offence | ResetDone
