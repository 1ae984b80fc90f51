"""The device's side of a path of the explorer, as values: what a served device does, and what its user does with it.

A path is a row of moves of a world. The device decides its own: which command it carries out with a fault, which answer
it holds back, when a function asks for pages. The user's are played in the guest. All others are the driver's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from fwpages.device import PlannedFault, ResetFunction, Want
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages, opcode_name
from fwpages.scenario.format import Scenario
from fwpages.trial.rows import Trouble

#: the commands by which a path and a driver are compared: those about pages, and those that begin and end a function
COMPARED = frozenset(
    {
        Opcode.ENABLE_HCA,
        Opcode.QUERY_PAGES,
        Opcode.MANAGE_PAGES,
        Opcode.INIT_HCA,
        Opcode.TEARDOWN_HCA,
        Opcode.DISABLE_HCA,
    }
)


class UndecidedError(ValueError):
    """A device cannot play this path to a driver; the text says which of its steps, and why."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A command of the driver's, as far as it is compared. ``pages``: those of a GIVE; a TAKE may ask for any number.

    ``kind`` is the op_mod of a page command; ``function`` and ``ec`` are the fields that name the function.
    """

    opcode: int
    kind: int = 0
    function: int = 0
    ec: int = 0
    pages: int | None = None

    @property
    def asks_again(self) -> bool:
        """A driver sends it again and again until it has its pages or no more time."""
        return self.opcode == Opcode.MANAGE_PAGES and self.kind == ManagePages.TAKE

    def __str__(self) -> str:
        who = f"{self.function:#x}{'/ec' if self.ec else ''}"
        match self.opcode:
            case Opcode.MANAGE_PAGES:
                count = "" if self.pages is None else f" {self.pages}"
                return f"{ManagePages(self.kind).name}{count} ({who})"
            case Opcode.QUERY_PAGES:
                return f"QUERY_PAGES({QueryPages(self.kind).name.lower()}) ({who})"
            case Opcode.ENABLE_HCA | Opcode.DISABLE_HCA:
                return f"{opcode_name(self.opcode)} ({who})"
            case _:
                return opcode_name(self.opcode)


def sent(c: Command) -> Sent | None:
    """The command as it is compared; None for one that is not."""
    match c.opcode:
        case Opcode.MANAGE_PAGES:
            pages = c["input_num_entries"] if c.op_mod == ManagePages.GIVE else None
            return Sent(c.opcode, c.op_mod, c["function_id"], c["embedded_cpu_function"], pages)
        case Opcode.QUERY_PAGES:
            return Sent(c.opcode, c.op_mod, c["function_id"], c["embedded_cpu_function"])
        case Opcode.ENABLE_HCA | Opcode.DISABLE_HCA:
            return Sent(c.opcode, function=c["function_id"], ec=c["embedded_cpu_function"])
        case _:
            return Sent(c.opcode) if c.opcode in COMPARED else None


@dataclass(frozen=True, slots=True)
class Load:
    """The user loads the driver."""


@dataclass(frozen=True, slots=True)
class Unload:
    """The user unloads the driver."""


@dataclass(frozen=True, slots=True)
class SwitchVfs:
    """The user switches so many VFs on; 0: off."""

    number: int


@dataclass(frozen=True, slots=True)
class FailDevice:
    """Firmware reports a fatal state; ``resets``: the reset by software that the driver asks for then is done."""

    resets: bool = True


Deed: TypeAlias = Load | Unload | SwitchVfs | FailDevice | Want | ResetFunction


@dataclass(frozen=True, slots=True)
class PathStep:
    """Something that happens once the driver has sent ``after`` of the commands that are compared.

    ``at_once``: something is pending at that time, and nothing may be waited for; else the driver comes to rest first.
    """

    after: int
    deed: Deed
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class DevicePath:
    """A path as a device plays it. ``broken`` says in words what does not hold at the path's end, by property.

    ``fault`` is the device's fault, or the answer that it holds back; None where it has neither. ``expected`` are the
    driver's commands in the path's order. ``chance`` says which of its moves were not the device's to make.
    """

    replay: str
    world: str
    design: str
    scenario: Scenario
    steps: tuple[PathStep, ...]
    fault: PlannedFault | None
    expected: tuple[Sent, ...]
    chance: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def trouble(self) -> Trouble | None:
        """The trouble of the whole device in it."""
        failing = next((s.deed for s in self.steps if isinstance(s.deed, FailDevice)), None)
        if failing is None:
            return None
        resets = failing.resets and self.scenario.assume.get("software_reset") is not False
        return Trouble.FATAL if resets else Trouble.STUCK


@dataclass(frozen=True, slots=True)
class Parting:
    """The place where a driver left a path: the number of the command, from 1, the path's and the driver's.

    ``kernel`` is None where the driver sent no further one.
    """

    number: int
    path: Sent
    kernel: Sent | None

    def __str__(self) -> str:
        did = "sent nothing more" if self.kernel is None else f"sent {self.kernel}"
        return f"command {self.number}: the path has {self.path}, the kernel {did}"


def parting(expected: Iterable[Sent], seen: Iterable[Sent]) -> Parting | None:
    """The first command by which these differ; None where the driver sent all of the path's, in their order.

    A driver may send the same TAKE again more often than the path: how often it asks in the time that it has is a
    bound of the world's.
    """
    kernel: Iterator[Sent] = iter(seen)
    before: Sent | None = None
    for number, path in enumerate(expected, 1):
        did = next(kernel, None)
        while did is not None and did != path and did == before and did.asks_again:
            did = next(kernel, None)
        if did != path:
            return Parting(number, path, did)
        before = path
    return None
