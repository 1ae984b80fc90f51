"""Faults as a scenario and the command line name them: ``NAME[@N][xTIMES]``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from fwpages.device import FAULT_WORDS, Fault
from fwpages.link.faults.link_faults import LINK_FAULTS, WIRE_FAULTS
from fwpages.scenario.format import ScenarioError

#: every fault: what goes wrong, and the findings that name it (none where it harms nobody)
FAULTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **FAULT_WORDS,
    **{name: (rule.words, rule.named) for name, rule in LINK_FAULTS.items()},
}
#: those of bytes as well, which strike only where there is a wire (``link="queue"``)
EVERY_FAULT: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **FAULTS,
    **{name: (rule.words, rule.named) for name, rule in WIRE_FAULTS.items()},
}

_GRAMMAR = re.compile(r"([a-z][a-z0-9-]*)(?:@([0-9]{1,9}))?(?:x([0-9]{1,9}|\*))?")


def fault(text: str) -> Fault:
    """The fault that ``NAME[@N][xTIMES]`` names; ScenarioError for what is none.

    N counts opportunities from 1 (the default); TIMES says at how many in a row it strikes, ``*`` at all that follow.
    """
    m = _GRAMMAR.fullmatch(text)
    if m is None:
        raise ScenarioError(f"fault {text!r}: write NAME, NAME@N or NAME@NxTIMES, with TIMES a number or *")
    at, times = int(m[2] or 1), 0 if m[3] == "*" else int(m[3] or 1)
    if at < 1 or (m[3] is not None and m[3] != "*" and times < 1):
        raise ScenarioError(f"fault {text!r}: opportunities and times are counted from 1; TIMES * is all that follow")
    return known(Fault(m[1], at, times))


def known(f: Fault) -> Fault:
    """The fault itself; ScenarioError where there is none of its name."""
    if f.name not in EVERY_FAULT:
        near = [n for n in EVERY_FAULT if f.name.split("-")[0] in n.split("-")]
        hint = f"near it: {', '.join(near)}" if near else "`fwpages list faults` shows what there is"
        raise ScenarioError(f"there is no fault {f.name!r}; {hint}")
    return f


def split(faults: Iterable[Fault]) -> tuple[tuple[Fault, ...], tuple[Fault, ...]]:
    """Those of the device, and those of the link."""
    every = [known(f) for f in faults]
    return tuple(f for f in every if f.name in FAULT_WORDS), tuple(f for f in every if f.name not in FAULT_WORDS)


def text(f: Fault) -> str:
    """The fault as ``fault`` reads it."""
    times = "" if f.times == 1 else f"x{f.times or '*'}"
    return f"{f.name}@{f.at}{times}"
