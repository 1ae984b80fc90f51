"""The result of a campaign, as values: each row with its plays, their books and their verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fwpages.trial.effects import Effect, NotJudged
from fwpages.trial.judged import Judged
from fwpages.trial.rows import Row
from fwpages.trial.seen import Instruments, Reading, StageSeen


@dataclass(frozen=True, slots=True)
class SessionBooks:
    """One open of the device by the firmware's books: its end, and pages of 4 KiB. ``dropped``: by a reset."""

    number: int
    mode: str
    end: str
    given: int
    returned: int
    released: int
    held: int
    dropped: bool


@dataclass(frozen=True, slots=True)
class Play:
    """One play of a row: its verdict, and what of it a report shows. ``seconds``: its duration.

    ``kernel`` is the version of the kernel that ran ("" where none did), ``compiler`` what built it; ``readings`` has
    both sides' books at rest, ``sessions`` the firmware's at the end of each.
    """

    judged: Judged
    seconds: float = 0.0
    kernel: str = ""
    compiler: str = ""
    instruments: Instruments | None = None
    stages: tuple[StageSeen, ...] = ()
    readings: tuple[Reading, ...] = ()
    sessions: tuple[SessionBooks, ...] = ()


#: plays a row in this folder, which is there; it is called in a process of its own
Turn = Callable[[Row, Path], Play]


@dataclass(frozen=True, slots=True)
class Played:
    """A row and its plays: three where an effect was seen that was not known, else one. ``folder`` has their files."""

    row: Row
    plays: tuple[Play, ...]
    folder: str = ""

    @property
    def flaky(self) -> bool:
        """The plays differ in their worst effect, or one of them was not judged."""
        return len({(p.judged.effect, p.judged.not_judged) for p in self.plays}) > 1

    @property
    def worst(self) -> Play:
        """The first play with the worst effect."""
        return max(self.plays, key=lambda p: list(Effect).index(p.judged.effect) if p.judged.effect else -1)

    @property
    def judged(self) -> Judged:
        """The verdict of the worst play."""
        return self.worst.judged


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of all that took part; "" is not known. ``commit`` and ``config`` are the kernel's."""

    fwpages: str
    qemu: str = ""
    kernel: str = ""
    commit: str = ""
    compiler: str = ""
    config: str = ""


@dataclass(frozen=True, slots=True)
class Campaign:
    """Every row of a campaign, in its order. ``interrupted`` says why rows were not played, "" where all were."""

    rows: tuple[Played, ...]
    versions: Versions
    seconds: float
    interrupted: str = ""


#: why a row was not played whose campaign ended, by Ctrl-C or its time
ENDED_BEFORE = "the campaign ended before"


def unplayed(row: Row, reason: NotJudged, why: str) -> Play:
    """A play that did not come to a verdict, for this reason."""
    return Play(Judged(row, title=reason.value, not_judged=reason, why=why))
