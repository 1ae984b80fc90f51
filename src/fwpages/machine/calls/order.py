"""Events in the order of their times.

Each processor has a buffer: events of different processors come in the order of their times but for those that are
being written. And the task that sent a command runs some time after the device has completed it: a page request may
come in between. The answer to a page command has the time of its completion, where that was seen. Events are thus held
back for a moment. A completion is an interrupt, where the kernel may skip a probe: an answer without one says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

from fwpages.machine.calls.lines import Call, Garbled, Lost
from fwpages.machine.calls.probes import Event

#: seconds that an event is held back: longer than a processor takes to write one, and a task to wake up
SETTLE = 0.5
#: tasks with a command under way that are remembered
_MOST = 1 << 16

Entry: TypeAlias = Call | Lost | Garbled


class Order:
    """Takes events as they come, and gives them back in order."""

    def __init__(self) -> None:
        self._held: list[tuple[float, Entry]] = []
        #: the device's structure by the task that has a command under way; and the completion of its page command
        self._sender: dict[int, int] = {}
        self._completed: dict[int, float] = {}
        #: devices whose page commands were seen to be completed
        self._completing: set[int] = set()

    def add(self, entry: Entry) -> None:
        """Take the next event."""
        newest = self._held[-1][0] if self._held else 0.0
        if not isinstance(entry, Call):
            self._held.append((newest, entry))
            return
        device = entry.number("dev")
        match entry.event:
            case Event.COMMAND | Event.LONG_COMMAND if device is not None:
                if len(self._sender) >= _MOST:
                    self._sender.clear()
                self._sender[entry.task] = device
                if entry.of_pages:
                    self._completed.pop(device, None)
            case Event.COMPLETED if device is not None:
                if len(self._completing) >= _MOST:
                    self._completing.clear()
                self._completing.add(device)
                self._completed.setdefault(device, entry.time)
                return
            case Event.ANSWER if entry.of_pages:
                entry = self._at_completion(entry)
            case Event.ANSWER:
                self._sender.pop(entry.task, None)
        self._held.append((entry.time, entry))

    def _at_completion(self, answer: Call) -> Call:
        """The answer to a page command, at the time at which the device completed it."""
        sender = self._sender.pop(answer.task, None)
        if sender in self._completed:
            return replace(answer, time=min(answer.time, self._completed.pop(sender)))
        return replace(answer, completed=sender not in self._completing)

    def ready(self, until: float | None) -> Iterator[Entry]:
        """The events up to this time of the kernel's clock, in order; all of them where it is None."""
        self._held.sort(key=lambda pair: pair[0])
        ready = [pair for pair in self._held if until is None or pair[0] <= until]
        del self._held[: len(ready)]
        yield from (entry for _, entry in ready)
