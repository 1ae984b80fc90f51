"""Lines of ``trace_pipe`` into values: an event with its fields, or events that the kernel had no room for.

A line has the task's name and number, the processor, flags, the time in seconds, the event's name, the place, and the
fields. A field that could not be read is ``(fault)``, and is None here.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TypeAlias

from fwpages.machine.calls.probes import Event, as_read
from fwpages.prm.opcodes import Opcode

Value: TypeAlias = int | str | tuple[int, ...] | None

_LINE = re.compile(
    r"^\s*.*-(?P<task>\d+)\s+\[\d+\]\s+(?:\S+\s+)?(?P<time>\d+\.\d+): (?P<event>\w+): \(.*?\)(?P<fields>(?: \w+=.*)?)$"
)
_FIELD = re.compile(r" (\w+)=(\"[^\"]*\"|\{[^}]*\}|\S+)")
_PAGES = as_read(Opcode.MANAGE_PAGES)
_LOST = re.compile(r"^CPU:\d+ \[LOST (?:(?P<count>\d+) )?EVENTS\]$")


@dataclass(frozen=True, slots=True)
class Call:
    """An event: the task in which it happened (by its number), the time in seconds, and its fields.

    ``completed`` is False for the answer to a page command whose completion was not seen, as it is of all others.
    """

    event: Event
    task: int
    time: float
    fields: dict[str, Value]
    completed: bool = True

    @property
    def of_pages(self) -> bool:
        """It is about a MANAGE_PAGES."""
        return self.number("op") == _PAGES

    def number(self, key: str) -> int | None:
        """The number in a field; None where it could not be read."""
        value = self.fields.get(key)
        return value if isinstance(value, int) else None

    def text(self, key: str) -> str | None:
        """The text in a field; None where it could not be read."""
        value = self.fields.get(key)
        return value if isinstance(value, str) else None

    def bytes_of(self, *keys: str) -> bytes | None:
        """The bytes as they are in memory, of fields of words one after the other; None where one was not read.

        A field that the event does not have is left out.
        """
        data = b""
        for key in (k for k in keys if k in self.fields):
            words = self.fields[key]
            if not isinstance(words, tuple):
                return None
            data += struct.pack(f"={len(words)}I", *words)
        return data


@dataclass(frozen=True, slots=True)
class Lost:
    """The kernel overwrote events before they were read: ``count`` of them, None where it does not say."""

    count: int | None


@dataclass(frozen=True, slots=True)
class Garbled:
    """A line that is no event of a record."""

    text: str


def parse(line: str, group: str) -> Call | Lost | Garbled | None:
    """One line of ``trace_pipe``; None for a blank one. ``group`` is that of the record's events."""
    lost = _LOST.match(line.strip())
    if lost is not None:
        return Lost(None if lost["count"] is None else int(lost["count"]))
    if not line.strip():
        return None
    match = _LINE.match(line)
    label = match["event"].removeprefix(f"{group}_") if match else ""
    if match is None or label not in _EVENTS:
        return Garbled(line)
    try:
        fields = {key: _value(text) for key, text in _FIELD.findall(match["fields"])}
    except ValueError:
        return Garbled(line)
    return Call(_EVENTS[label], int(match["task"]), float(match["time"]), fields)


_EVENTS = {event.value: event for event in Event}


def _value(text: str) -> Value:
    """A number, a text, or numbers in braces; None for what could not be read."""
    if text.startswith('"'):
        return text.strip('"')
    if text.startswith("{"):
        return tuple(int(word, 0) for word in text.strip("{}").split(","))
    return None if text.startswith("(") else int(text, 0)
