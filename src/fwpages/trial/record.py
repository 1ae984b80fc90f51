"""The record of a play in progress, and the errors that end one early."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fwpages.report.serve import ServeReport
from fwpages.trial.effects import NotJudged
from fwpages.trial.rows import Row, Supplier
from fwpages.trial.seen import Halt, HangTold, Instruments, Outcome, Reading, Seen, Stage, StageSeen

#: bytes of the kernel's log that are kept, half from its beginning and half from its end: a boot has some 60 KB, an
#: Oops 10 KB
MOST_CONSOLE: Final = 512 << 10
#: characters of a stage's output that are kept, the last of them
MOST_TEXT: Final = 4 << 10


class StoppedError(Exception):
    """The play cannot go on, and the driver is not the reason."""

    def __init__(self, reason: NotJudged, why: str) -> None:
        super().__init__(why)
        self.reason, self.why = reason, why


class HungError(Exception):
    """The guest takes no more commands, or none that would show more."""


@dataclass(slots=True)
class Record:
    """The course of a play so far. ``pace`` is how many times slower than usual its machine is."""

    row: Row
    kernel: str
    stages: dict[Stage, StageSeen] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    console: str = ""
    hangs: tuple[HangTold, ...] = ()
    leaks: str | None = None
    served: ServeReport | None = None
    halt: Halt = Halt.KILLED
    instruments: Instruments = field(default_factory=Instruments)
    stopped: NotJudged | None = None
    why: str = ""
    pace: float = 1.0

    def note(self, stage: Stage, outcome: Outcome, seconds: float, text: str = "") -> None:
        """Note the end of a stage that took so many seconds of its machine's time."""
        self.stages[stage] = StageSeen(stage, outcome, round(seconds, 3), text.strip()[-MOST_TEXT:])

    def stop(self, reason: NotJudged, why: str) -> None:
        """Note why the play ended, unless that is known already."""
        if self.stopped is None:
            self.stopped, self.why = reason, why.strip()

    def seen(self) -> Seen:
        """The play as a value."""
        console, lost = bounded(self.console)
        return Seen(
            row=self.row,
            stages=tuple(self.stages.get(s, StageSeen(s, Outcome.NOT_REACHED)) for s in stages_of(self.row)),
            readings=tuple(self.readings),
            console=console,
            lost=lost,
            served=self.served,
            halt=self.halt,
            kernel=self.kernel,
            instruments=self.instruments,
            stopped=self.stopped,
            why=self.why,
            hangs=self.hangs,
            leaks=self.leaks,
        )


def stages_of(row: Row) -> tuple[Stage, ...]:
    """The stages that a row has: an embedded CPU switches no VFs on, those of its host are among the requests."""
    return tuple(s for s in Stage if s is not Stage.VFS or row.supplier is Supplier.PF)


def bounded(text: str) -> tuple[str, int]:
    """The text, without its middle where it is longer than ``MOST_CONSOLE``, and the bytes that this left out."""
    data = text.encode()
    if len(data) <= MOST_CONSOLE:
        return text, 0
    half = MOST_CONSOLE // 2
    lost = len(data) - 2 * half
    head, tail = (part.decode("utf-8", "replace") for part in (data[:half], data[-half:]))
    return f"{head}\n[{lost} bytes left out]\n{tail}", lost
