"""Offences that a fault made a driver commit, which did what it should after what it had been told, or had not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fwpages.device import Offence

#: the two sides disagree about which functions are on: an enabling or disabling was refused, or its answer did not come
_SWITCHED = frozenset({"already-enabled", "not-enabled", "sf-allocated", "sf-not-allocated"})
#: a close goes on after a refusal, and leaves the device as it is: with its pages, or opened
_REFUSED = _SWITCHED | {"disabled-with-pages", "wrong-state"}
_KEPT = frozenset({"disabled-with-pages"})
_TOO_FEW = frozenset({"pages-missing", "wrong-state"})
_NOT_WANTED = frozenset({"unrequested-give"})

#: fault → the offences that are its own doing and not the driver's; faults that are not here mislead nobody
MISLEADS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **dict.fromkeys(("pages-zero", "pages-negative", "pages-least"), _TOO_FEW),
        **dict.fromkeys(("take-refused", "take-nothing", "take-invented"), _KEPT),
        **dict.fromkeys(("request-unmeant", "request-twice"), _NOT_WANTED),
        "boot-other-function": _NOT_WANTED | {"unknown-function"},
        "mode-not-told": frozenset({"identity-mode"}),
        **dict.fromkeys(("enable-refused", "enable-unanswered-lost", "enable-unanswered-done"), _SWITCHED),
        **dict.fromkeys(("disable-refused", "disable-unanswered-lost", "disable-unanswered-done"), _SWITCHED),
        **dict.fromkeys(("command-unanswered-lost", "command-unanswered-done"), _SWITCHED),
        **dict.fromkeys(("answer-garbled", "ownership-kept", "answer-token"), _SWITCHED),
        "command-refused": _REFUSED,
        **dict.fromkeys(("entry-type", "entry-reserved", "input-length", "output-length"), _REFUSED),
        **dict.fromkeys(("input-unaligned", "output-unaligned", "input-token", "output-token"), _REFUSED),
        **dict.fromkeys(("input-order", "input-loop", "input-short", "output-short"), _REFUSED),
    }
)


def misled(offence: Offence, took: Iterable[str]) -> str | None:
    """The one of these faults that made the driver do it; None where it is the driver's own offence."""
    return next((name for name in took if offence.name in MISLEADS.get(name, ())), None)
