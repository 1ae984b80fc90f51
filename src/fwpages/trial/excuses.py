"""The effects that a fault forces on any driver: what the device made unavoidable is not blamed on the driver."""

from __future__ import annotations

from typing import Final

from fwpages.device import PlannedFault
from fwpages.trial.rows import Row, Trouble

#: firmware keeps the pages that a TAKE asks back; the driver can ask again, unless the fault comes at every TAKE
_KEPT: Final = frozenset(
    {"take-nothing", "take-invented", "take-refused", "take-unanswered-lost", "take-unanswered-done"}
)
#: firmware lets go of pages that its answer does not name, or names none that the driver sees: a driver cannot know
#: that it has them back
_UNNAMED: Final = frozenset(
    {
        "take-short",
        "take-long",
        "take-count-over",
        "take-count-huge",
        "take-twice",
        "take-again",
        "take-foreign",
        "take-never-given",
        "take-unaligned",
        "take-unanswered-done",
        "take-too-late",
        "take-next-session",
    }
)
#: troubles that no load of the driver ends
_LASTING: Final = frozenset({Trouble.LINK_LOST_FOR_GOOD, Trouble.STUCK})


def keeps_for_ever(row: Row) -> bool:
    """The device gives back no page, however often it is asked: pages that are left are not the driver's."""
    return _named(row.fault, _KEPT) and row.fault is not None and row.fault.times == 0


def lets_go_unnamed(row: Row) -> bool:
    """The device lets go of pages without naming them: a driver that counts more than firmware holds is right to."""
    return _named(row.fault, _UNNAMED)


def leaves_mapped(row: Row) -> bool:
    """A driver must leave pages mapped that the device does not give back, or of which it does not say so."""
    return keeps_for_ever(row) or lets_go_unnamed(row)


def lasts(row: Row) -> bool:
    """The fault may come again in a later session, or the device stays as it is until somebody else resets it."""
    return row.trouble in _LASTING or (row.fault is not None and row.fault.times == 0)


def _named(fault: PlannedFault | None, names: frozenset[str]) -> bool:
    return fault is not None and fault.name in names
