"""The clock of a machine on a busy computer: it stands still while the machine, or its device, waits for a processor.

A time-out that counts the computer's own time takes a machine that others keep from running for one that hangs. A
machine that sleeps or waits for its device wants no processor, and its time passes as anybody's.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

#: times slower than the computer's own clock that a machine's may be: a play has an end on any computer
MOST_SLOWER: Final = 6.0

#: seconds between two marks by which the past is told, and how many are kept: those of some 17 minutes
_APART: Final = 0.5
_MOST_MARKS: Final = 2048

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
        #: the computer's clock, and the machine's time then
        self._marks = deque([(self._wall, 0.0)], maxlen=_MOST_MARKS)

    def now(self) -> float:
        """The seconds so far: it never goes back, and goes on with a ``MOST_SLOWER``-th of the computer's time."""
        wall, all_waited = time.monotonic(), self._all_waited()
        passed = wall - self._wall
        self._had += max(passed / MOST_SLOWER, passed - max(0.0, all_waited - self._waited))
        self._wall, self._waited = wall, all_waited
        if wall - self._marks[-1][0] >= _APART:
            self._marks.append((wall, self._had))
        return self._had

    def had_in_last(self, seconds: float) -> float:
        """The time that it has had in so many last seconds of the computer's clock, to the nearest mark before them."""
        had, since = self.now(), self._wall - seconds
        before = next((then for wall, then in reversed(self._marks) if wall <= since), self._marks[0][1])
        return had - before

    def _all_waited(self) -> float:
        return sum(waited(process, self._proc) for process in self._processes)
