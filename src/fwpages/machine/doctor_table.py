"""The report of ``fwpages doctor`` for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rich.console import Console
from rich.text import Text

from fwpages.machine.doctor import Diagnosis, State
from fwpages.report.grids import readable, say

_STYLES: Mapping[State, str] = MappingProxyType(
    {State.YES: "", State.PART: "yellow", State.NO: "red", State.NOT_KNOWN: "bold yellow"}
)
#: the columns of a state
_STATE = max(len(state) for state in State)


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print what there is to look with, a line each, and then what each command could say, with the lines to type."""
    console = readable(console)
    console.print(Text("To look with", "bold"))
    width = max(len(p.name) for p in diagnosis.probes)
    for p in diagnosis.probes:
        words = f"{p.name:{width}}  {p.state:{_STATE}}  {p.detail}"
        say(console, words, _STYLES[p.state], 2, width + _STATE + 4)
    console.print()
    console.print(Text("What each command could say", "bold"))
    for a in diagnosis.abilities:
        say(console, f"{a.name}: {a.state}: {a.says}", _STYLES[a.state], 2, 2)
        for why in a.because:
            say(console, why, "dim", 6, 2)
        for command in a.commands:
            console.print(Text(f"      $ {command}"), soft_wrap=True)
