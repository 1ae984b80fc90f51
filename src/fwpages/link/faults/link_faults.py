"""The faults of a link by name: commands given up, answers changed, memory not mapped, resets not confirmed.

The class of a row is its trigger, the kind of thing at which the fault has its opportunity; its field is the effect.
Any link has these faults; those of ``byte_faults`` need a command queue. To add a fault is to add a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from msgspec.structs import replace

from fwpages.custody.findings import FindingName
from fwpages.device import OffenceName
from fwpages.device.faults import causes
from fwpages.host import Map
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFault:
    """A fault of a link in words; a subclass for each trigger.

    ``findings`` are the findings by which a driver names it: none where it does no harm. ``offences`` are those that
    it may make a correct driver commit, and that are therefore not blamed on the driver. Where the trigger is a
    command, ``match`` says which ones are opportunities.
    """

    words: str
    findings: tuple[FindingName, ...] = ()
    offences: frozenset[OffenceName] = frozenset()
    match: Callable[[Command], bool] = lambda _: True


class Fate(Enum):
    """The fate of a command between driver and device."""

    CARRIED = auto()
    #: given up by the link; the device never sees it
    DROPPED = auto()
    #: given up by the link; the device executes it and the answer is dropped
    ANSWER_DROPPED = auto()
    #: the device is unreachable from here on, until it is reset
    LINK_LOST = auto()
    LINK_LOST_FOR_GOOD = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFault(LinkFault):
    """A fault that decides the fate of a command."""

    fate: Fate


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFault(LinkFault):
    """A fault that changes which answers arrive in the place of one."""

    arrive: Callable[[Answer], tuple[Answer, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFault(LinkFault):
    """A fault that changes the I/O address at which a chunk of memory is mapped; None: it is not mapped."""

    place: Callable[[Map], int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetFault(LinkFault):
    """A reset is not carried out, and so never confirmed."""


def garbled(a: Answer) -> Answer:
    """Return the answer as one to another command."""
    return replace(a, opcode=Opcode.QUERY_ADAPTER if a.opcode != Opcode.QUERY_ADAPTER else Opcode.INIT_HCA)


def _manage(kind: ManagePages) -> Callable[[Command], bool]:
    return lambda c: c.opcode == Opcode.MANAGE_PAGES and c.op_mod == kind


_GIVE, _TAKE = _manage(ManagePages.GIVE), _manage(ManagePages.TAKE)

LINK_FAULTS: Mapping[str, LinkFault] = MappingProxyType(
    {
        "give-aborted-lost": DeliveryFault(
            words="the link gives up a GIVE that the device never saw",
            match=_GIVE,
            fate=Fate.DROPPED,
            findings=(FindingName.GIVE_UNANSWERED,),
        ),
        "give-aborted-done": DeliveryFault(
            words="the link gives up a GIVE that the device carries out",
            match=_GIVE,
            fate=Fate.ANSWER_DROPPED,
            findings=(FindingName.GIVE_UNANSWERED,),
        ),
        "take-aborted-lost": DeliveryFault(
            words="the link gives up a TAKE that the device never saw",
            match=_TAKE,
            fate=Fate.DROPPED,
            findings=(FindingName.TAKE_UNANSWERED,),
        ),
        "take-aborted-done": DeliveryFault(
            words="the link gives up a TAKE that the device carries out",
            match=_TAKE,
            fate=Fate.ANSWER_DROPPED,
            findings=(FindingName.TAKE_UNANSWERED,),
        ),
        "link-lost": DeliveryFault(
            words="the device is gone, and back after a reset", fate=Fate.LINK_LOST, findings=(FindingName.LINK_LOST,)
        ),
        "link-lost-for-good": DeliveryFault(
            words="the device is gone and cannot be reset",
            fate=Fate.LINK_LOST_FOR_GOOD,
            findings=(FindingName.LINK_LOST,),
        ),
        "not-fenced": ResetFault(words="a reset is never confirmed", findings=(FindingName.NOT_FENCED,)),
        "map-fails": MapFault(
            words="there is no memory, or it cannot be mapped",
            place=lambda _: None,
            findings=(FindingName.ALLOC_FAILED,),
        ),
        "map-at-zero": MapFault(
            words="memory is mapped at address 0", place=lambda _: 0, findings=(FindingName.ALLOC_FAILED,)
        ),
        "map-elsewhere": MapFault(
            words="memory is mapped elsewhere than asked",
            place=lambda m: m.iova + (1 << 40),
            findings=(FindingName.ALLOC_FAILED,),
        ),
        "answer-twice": AnswerFault(
            words="an answer arrives twice", arrive=lambda a: (a, a), findings=(FindingName.LATE_ANSWER,)
        ),
        "answer-garbled": AnswerFault(
            words="an answer arrives as one to another command",
            arrive=lambda a: (garbled(a),),
            findings=(FindingName.ANSWER_MALFORMED,),
            offences=causes.SWITCHED,
        ),
    }
)
