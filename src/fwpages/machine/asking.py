"""Ask the firmware of each function how many pages it has: one function at a time, and never for long.

The question is asked by another process (``devlink``): it can get stuck in the kernel, where no signal ends it, and
this one then goes on without it. While one is stuck no other is asked.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec

import msgspec

from fwpages.machine.snapshot import FirmwareAnswer, Untold

#: seconds for all functions of a machine: a healthy one answers in less than a millisecond
LIMIT = 5.0
#: seconds in which the other process must have started: a busy machine imports slowly
START = 30.0
#: seconds in which a process that is killed ends, unless it is stuck in the kernel
_GRACE = 0.5
#: bytes of an answer: a line
_MOST_BYTES = 1 << 16
_PROGRAM = (sys.executable, "-m", "fwpages.machine.devlink")


class Asker:
    """Asks, and remembers the process that did not answer."""

    def __init__(self, program: Sequence[str] = _PROGRAM, limit: float = LIMIT, start: float = START) -> None:
        self._program = tuple(program)
        self._limit = limit
        self._start = start
        self._stuck: subprocess.Popen[bytes] | None = None

    def ask(self, handles: Sequence[str]) -> list[FirmwareAnswer]:
        """The answers of the functions with these names (``BUS/DEVICE``), in this order."""
        if not handles:
            return []
        if find_spec("pyroute2") is None:
            return [FirmwareAnswer(not_known=Untold.NO_LIBRARY)] * len(handles)
        if self._stuck is not None and self._stuck.poll() is None:
            return [FirmwareAnswer(not_known=Untold.STUCK)] * len(handles)
        self._stuck = None
        process = subprocess.Popen(  # noqa: S603  # our own program, with names from sysfs
            [*self._program, *handles], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        late = True
        try:
            answers, late = self._read(process)
        finally:
            if late:
                process.kill()
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._stuck = process
        failed = f"{Untold.FAILED}: its process ended with code {process.returncode}"
        lacking = FirmwareAnswer(not_known=Untold.LATE if late else failed)
        return (answers + [lacking] * len(handles))[: len(handles)]

    def _read(self, process: subprocess.Popen[bytes]) -> tuple[list[FirmwareAnswer], bool]:
        """The answers that came in time; True if the time was over before the last."""
        assert process.stdout is not None
        end, text = time.monotonic() + self._start, b""
        with process.stdout as pipe, selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                left = end - time.monotonic()
                if left <= 0 or not selector.select(left):
                    return _answers(text), True
                data = os.read(pipe.fileno(), _MOST_BYTES)
                if not data:
                    return _answers(text), False
                if not text:
                    end = time.monotonic() + self._limit
                text += data


def _answers(text: bytes) -> list[FirmwareAnswer]:
    """The answers in whole lines; the first line says that the process has started."""
    return [msgspec.json.decode(row, type=FirmwareAnswer) for row in text.split(b"\n")[1:-1]]


#: the one of this process: what is stuck is remembered from snapshot to snapshot
ASKER = Asker()
