"""Everything that one play of a row showed: the stages and the kernel's log, and the firmware's books.

A play gathers it and judges nothing (``judge`` does).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from types import MappingProxyType

from fwpages.report.serve import ServeReport
from fwpages.trial.effects import NotJudged
from fwpages.trial.rows import Row


@unique
class Stage(Enum):
    """A stage of a play, in their order."""

    BOOT = "boot"
    LOAD = "load"
    REQUESTS = "requests"
    VFS = "VFs"
    UNLOAD = "unload"
    LOAD_AGAIN = "second load"
    UNLOAD_AGAIN = "second unload"


@unique
class Outcome(Enum):
    """The end of a stage."""

    DONE = "done"
    #: the command in the guest failed: the driver, or the kernel, refused
    REFUSED = "refused"
    #: it had not ended when its time was over
    NOT_ENDED = "not ended"
    NOT_REACHED = "not reached"


@unique
class Halt(Enum):
    """The end of the virtual machine."""

    OFF = "powered off"
    KILLED = "ended by the trial, as it did not power off"
    PANIC = "the kernel panicked"
    DIED = "QEMU ended by itself"


@dataclass(frozen=True, slots=True)
class StageSeen:
    """A stage, its end, its duration (seconds of the machine's time) and what the guest printed meanwhile."""

    stage: Stage
    outcome: Outcome
    seconds: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """Both sides' figures at rest, after a stage (pages of 4 KiB; free memory of the guest in KiB).

    A stage has one, that of the VFs one each time that some were switched on or off, a trouble a second one at the end.
    ``held``: by function, by the firmware's books; ``counters``: debugfs' page files by name, empty where the driver
    has none; ``mem_free``: MemFree of /proc/meminfo.
    """

    after: Stage
    held: Mapping[str, int]
    counters: Mapping[str, int]
    mem_free: int


@dataclass(frozen=True, slots=True)
class HangTold:
    """A line of the console by which the kernel reports a hang of ``seconds``.

    ``had``: the seconds of the machine's own time in these.
    """

    line: str
    seconds: float
    had: float


@dataclass(frozen=True, slots=True)
class Instruments:
    """The instruments that the kernel has against errors of its own memory and locks, and the state of its IOMMU.

    Read from the running kernel's own files. None: not known.
    """

    slub_debug: bool | None = None
    kasan: bool | None = None
    lockdep: bool | None = None
    kmemleak: bool | None = None
    dma_debug: bool | None = None
    hung_task: bool | None = None
    strict_iommu: bool | None = None


#: the instruments against the kernel's own errors, as a report names them
INSTRUMENT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "slub_debug": "slab_debug",
        "kasan": "KASAN",
        "lockdep": "lockdep",
        "kmemleak": "kmemleak",
        "dma_debug": "DMA-API debugging",
        "hung_task": "the detector of hung tasks",
    }
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One play of a row. ``stopped`` is why it was not played to its end, where that is no fault of its driver.

    ``stages`` are those that the row has, in their order; an embedded CPU switches no VFs on. ``kernel`` is what the
    kernel says of itself (``/proc/version``), or its release where it did not come so far.
    """

    row: Row
    stages: tuple[StageSeen, ...]
    readings: tuple[Reading, ...]
    #: the kernel's log, bounded; ``lost`` says how many bytes of its middle were left out
    console: str
    lost: int
    served: ServeReport | None
    halt: Halt
    kernel: str
    instruments: Instruments
    stopped: NotJudged | None = None
    why: str = ""
    hangs: tuple[HangTold, ...] = ()
    #: kmemleak's list after the last unload; None where it was not asked
    leaks: str | None = None
