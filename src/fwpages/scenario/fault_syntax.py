"""Faults as a scenario and the command line name them: ``NAME[@N][xTIMES]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from fwpages.device import DEVICE_FAULTS, PlannedFault
from fwpages.link.faults.byte_faults import BYTE_FAULTS
from fwpages.link.faults.link_faults import LINK_FAULTS
from fwpages.scenario.format import ScenarioError

#: every fault: what goes wrong, and the findings that name it (none where it harms nobody)
FAULTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **{name: (fault.words, fault.findings) for name, fault in DEVICE_FAULTS.items()},
    **{name: (fault.words, fault.findings) for name, fault in LINK_FAULTS.items()},
}
#: those of bytes as well, which strike only where there is a wire (``link="queue"``)
EVERY_FAULT: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **FAULTS,
    **{name: (fault.words, fault.findings) for name, fault in BYTE_FAULTS.items()},
}

_GRAMMAR = re.compile(r"([a-z][a-z0-9-]*)(?:@([0-9]{1,9}))?(?:x([0-9]{1,9}|\*))?")


def fault(text: str) -> PlannedFault:
    """The fault that ``NAME[@N][xTIMES]`` names; ScenarioError for what is none.

    N counts opportunities from 1 (the default); TIMES says at how many in a row it strikes, ``*`` at all that follow.
    """
    m = _GRAMMAR.fullmatch(text)
    if m is None:
        raise ScenarioError(f"fault {text!r}: write NAME, NAME@N or NAME@NxTIMES, with TIMES a number or *")
    at, times = int(m[2] or 1), 0 if m[3] == "*" else int(m[3] or 1)
    if at < 1 or (m[3] is not None and m[3] != "*" and times < 1):
        raise ScenarioError(f"fault {text!r}: opportunities and times are counted from 1; TIMES * is all that follow")
    return known(PlannedFault(m[1], at, times))


def known(f: PlannedFault) -> PlannedFault:
    """The fault itself; ScenarioError where there is none of its name."""
    if f.name not in EVERY_FAULT:
        near = [n for n in EVERY_FAULT if f.name.split("-")[0] in n.split("-")]
        hint = f"near it: {', '.join(near)}" if near else "`fwpages list faults` shows what there is"
        raise ScenarioError(f"there is no fault {f.name!r}; {hint}")
    return f


def split(faults: Iterable[PlannedFault]) -> tuple[tuple[PlannedFault, ...], tuple[PlannedFault, ...]]:
    """Those of the device, and those of the link."""
    every = [known(f) for f in faults]
    return tuple(f for f in every if f.name in DEVICE_FAULTS), tuple(f for f in every if f.name not in DEVICE_FAULTS)


def text(f: PlannedFault) -> str:
    """The fault as ``fault`` reads it."""
    times = "" if f.times == 1 else f"x{f.times or '*'}"
    return f"{f.name}@{f.at}{times}"
