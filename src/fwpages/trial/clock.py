"""The clock of a machine on a busy computer: it stands still while the machine, or its device, waits for a processor.

A time-out that counts the computer's own time takes a machine that others keep from running for one that hangs. A
machine that sleeps or waits for its device wants no processor, and its time passes as anybody's.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

#: times slower than the computer's own clock that a machine's may be: a play has an end on any computer
MOST_SLOWER: Final = 6.0

_PROC: Final = Path("/proc")
_NANOSECONDS: Final = 1e9


def waited(process: int, proc: Path = _PROC) -> float:
    """The seconds for which a thread of this process has waited for a processor: those of the one that waited longest.

    0 where the kernel does not tell (the second number of ``/proc/PID/task/TID/schedstat``), or the process is gone.
    """
    longest = 0
    for file in (proc / str(process) / "task").glob("*/schedstat"):
        with suppress(OSError, ValueError, IndexError):
            longest = max(longest, int(file.read_text().split()[1]))
    return longest / _NANOSECONDS


class MachineClock:
    """Seconds that the machine of this process, with its device in our own process, has had since the clock began.

    Looks that are seconds apart are enough for it.
    """

    def __init__(self, machine: int, proc: Path = _PROC) -> None:
        self._processes = (machine, os.getpid())
        self._proc = proc
        self._had = 0.0
        self._wall, self._waited = time.monotonic(), self._all_waited()

    def now(self) -> float:
        """The seconds so far: it never goes back, and goes on with a ``MOST_SLOWER``-th of the computer's time."""
        wall, all_waited = time.monotonic(), self._all_waited()
        passed = wall - self._wall
        self._had += max(passed / MOST_SLOWER, passed - max(0.0, all_waited - self._waited))
        self._wall, self._waited = wall, all_waited
        return self._had

    def _all_waited(self) -> float:
        return sum(waited(process, self._proc) for process in self._processes)
