"""Which injected fault caused an offence of the driver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from fwpages.custody.requests_asked import REQUESTS_LOST
from fwpages.device import DEVICE_FAULTS, Offence
from fwpages.link.faults.byte_faults import BYTE_FAULTS
from fwpages.link.faults.link_faults import LINK_FAULTS
from fwpages.link.queue.offences import WireOffence, WireOffenceName


@dataclass(frozen=True, slots=True)
class Excused:
    """An offence of the driver, in this session, that an injected fault caused: it is not blamed on the driver."""

    session: int
    offence: Offence | WireOffence
    fault: str


#: offences of the wire that faults of the device cause: the device itself knows nothing of the wire
_OF_THE_WIRE: Mapping[str, frozenset[StrEnum]] = MappingProxyType(
    {name: frozenset({WireOffenceName.EQ_OVERRUN, WireOffenceName.REQUEST_UNANSWERED}) for name in REQUESTS_LOST}
)

_OFFENCES: Mapping[str, frozenset[StrEnum]] = MappingProxyType(
    {
        **{name: fault.offences | _OF_THE_WIRE.get(name, frozenset()) for name, fault in DEVICE_FAULTS.items()},
        **{name: fault.offences for name, fault in (*LINK_FAULTS.items(), *BYTE_FAULTS.items())},
    }
)


def cause_of(offence: Offence | WireOffence, took: Iterable[str]) -> str | None:
    """Return the fault among ``took``, faults that took effect, that causes this offence; None: the driver does."""
    return next((name for name in took if offence.name in _OFFENCES.get(name, ())), None)
