"""The names of faults in a scenario and on the command line: ``NAME[@MOMENT[:N]|@N][xTIMES]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from fwpages.device import DEVICE_FAULTS, Moment, PlannedFault
from fwpages.device.faults.injector import DeviceFault
from fwpages.link.faults.byte_faults import BYTE_FAULTS
from fwpages.link.faults.link_faults import LINK_FAULTS, LinkFault
from fwpages.pages.words import either, nearest
from fwpages.scenario.format import ScenarioError

#: a row of the tables of faults: its words, and the findings that name it (none where it harms neither side)
Fault: TypeAlias = DeviceFault | LinkFault
FAULTS: Mapping[str, Fault] = {**DEVICE_FAULTS, **LINK_FAULTS}
#: with those of bytes, which are injected only where there are bytes (``link="queue"``)
EVERY_FAULT: Mapping[str, Fault] = {**FAULTS, **BYTE_FAULTS}

_GRAMMAR = re.compile(
    rf"([a-z][a-z0-9-]*)(?:@(?:({'|'.join(Moment)})(?::([0-9]{{1,9}}))?|([0-9]{{1,9}})))?(?:x([0-9]{{1,9}}|\*))?"
)


def fault(text: str) -> PlannedFault:
    """The fault that ``NAME[@MOMENT[:N]|@N][xTIMES]`` names; ScenarioError for another form and an unknown name.

    N counts opportunities from 1 (the default), with a MOMENT those of that moment alone; TIMES is how many in a row
    the fault is injected at, ``*`` all that follow.
    """
    m = _GRAMMAR.fullmatch(text)
    if m is None:
        raise ScenarioError(
            f"fault {text!r}: write NAME, NAME@N or NAME@NxTIMES, with TIMES a number or *; "
            f"for N also a moment ({either(list(Moment))}), or a moment and a number (runtime:2)"
        )
    at, times = int(m[3] or m[4] or 1), 0 if m[5] == "*" else int(m[5] or 1)
    if at < 1 or (m[5] != "*" and times < 1):
        raise ScenarioError(f"fault {text!r}: opportunities and times are counted from 1; TIMES * is all that follow")
    return known(PlannedFault(m[1], at, times, Moment(m[2]) if m[2] else None))


def known(f: PlannedFault) -> PlannedFault:
    """Return the fault; ScenarioError if no fault has its name, or its moment is one that a link does not know."""
    if f.name not in EVERY_FAULT:
        near = nearest(f.name, EVERY_FAULT)
        hint = f"did you mean {either(near)}?" if near else "`fwpages list faults` shows what there is"
        raise ScenarioError(f"there is no fault {f.name!r}; {hint}")
    if f.during is not None and f.name not in DEVICE_FAULTS:
        raise ScenarioError(f"fault {f.name!r} is one of the link, which knows no {f.during}: give it a number")
    return f


def split(faults: Iterable[PlannedFault]) -> tuple[tuple[PlannedFault, ...], tuple[PlannedFault, ...]]:
    """Divide faults into those of the device and those of the link."""
    every = [known(f) for f in faults]
    return tuple(f for f in every if f.name in DEVICE_FAULTS), tuple(f for f in every if f.name not in DEVICE_FAULTS)


def when(f: PlannedFault) -> str:
    """The opportunities at which the fault is injected, as ``fault`` reads them after the ``@``."""
    times = "" if f.times == 1 else f"x{f.times or '*'}"
    if f.during is None:
        return f"{f.at}{times}"
    return f"{f.during}{'' if f.at == 1 else f':{f.at}'}{times}"


def text(f: PlannedFault) -> str:
    """The fault in the form that ``fault`` reads."""
    return f"{f.name}@{when(f)}"
