"""One event of a card, and the lines that its functions printed of it.

An event collects a block of lines for each function. When the input has ended, the longest block becomes the finding
and the account: the fields that a vendor's ticket asks for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import msgspec

from fwpages.custody.accounts import FindingAccount, HealthAccount
from fwpages.custody.findings import Cause
from fwpages.custody.remedies import addressed
from fwpages.prm.health import FatalSensor, HealthSyndrome, sensor_words, severity_name, syndrome_of
from fwpages.readers.observations import (
    AssertVar,
    CardMessage,
    ColdResetRequired,
    DriverMessage,
    FatalError,
    HealthCode,
    HealthField,
    HealthIssue,
    HealthLine,
    HighTemperature,
    HotSensor,
    ModuleError,
    Place,
    SlotPowerShort,
)

#: seconds between two lines of one event, at most: drivers poll every second or two, and wait for resets in between
WINDOW: Final = 60.0
#: functions of one event that are listed, in all and in a finding's text
MAX_FUNCTIONS: Final = 1024
MAX_NAMED: Final = 8

_ALL_ONES = frozenset({"65535.65535.65535", "0xffffffff"})
_SLOT = re.compile(r"power on the PCIe slot", re.IGNORECASE)


class Kind(Enum):
    """The subject of an event."""

    HEALTH = "health"
    TEMPERATURE = "temperature"
    POWER = "power"
    MODULE = "module"


_SYNDROMES = {
    HealthSyndrome.HARDWARE: Cause.DEVICE_ERROR_HARDWARE,
    HealthSyndrome.ICM_PAGE: Cause.DEVICE_ERROR_HARDWARE,
    HealthSyndrome.ICM_FETCH_PCI: Cause.DEVICE_ERROR_ICM,
    HealthSyndrome.ICM_PCI_POISONED: Cause.DEVICE_ERROR_ICM,
    HealthSyndrome.TRUST_LOCKDOWN: Cause.DEVICE_ERROR_LOCKDOWN,
    HealthSyndrome.HIGH_TEMPERATURE: Cause.HIGH_TEMPERATURE,
}
#: sensors that tell what became of a function, and not why
_DISABLED = frozenset({FatalSensor.NIC_DISABLED, FatalSensor.NIC_RESET})
_KINDS = {
    Kind.TEMPERATURE: Cause.TEMPERATURE_WARNING,
    Kind.POWER: Cause.SLOT_POWER,
    Kind.MODULE: Cause.MODULE_ERROR,
}


@dataclass(slots=True, eq=False)
class Block:
    """The lines of one function about one event; of a field that is printed twice the first counts."""

    device: str
    slot: int
    first: DriverMessage
    lines: int = 0
    synd: int | None = None
    words: str = ""
    sensor: int | None = None
    cold: bool = False
    fields: dict[HealthField, int | str] = field(default_factory=dict)
    assert_var: dict[int, str] = field(default_factory=dict)

    def add(self, v: CardMessage) -> None:
        """Take a line."""
        self.lines += 1
        match v:
            case HealthIssue():
                self.words = self.words or v.words
                self.fields.setdefault(HealthField.SEVERITY, v.severity)
            case HealthCode():
                self.synd, self.words = v.synd, v.words.strip()
            case HealthLine():
                self.fields.setdefault(v.field, v.value)
            case AssertVar():
                self.assert_var.setdefault(v.index, v.value)
            case FatalError():
                self.sensor = v.sensor
            case ColdResetRequired():
                self.cold = True

    @property
    def reads_nothing(self) -> bool:
        """The device reads all ones."""
        versions = {self.fields.get(HealthField.FW_VER), self.fields.get(HealthField.RAW_FW_VER)}
        return self.synd == 0xFF or bool(versions & _ALL_ONES)

    @property
    def cold_reset(self) -> bool:
        """Firmware asks for a cold reset."""
        return self.cold or bool(self.fields.get(HealthField.CRR))

    @property
    def severity(self) -> str:
        """The severity's name, empty where no line has it."""
        level = self.fields.get(HealthField.SEVERITY)
        return severity_name(level) if isinstance(level, int) else ""

    def facts(self) -> list[str]:
        """The values that tell most, in words."""
        words = [self.words] if self.words else []
        facts = words if self.synd is None else [f"synd {self.synd:#x}: {self.words}"]
        shown = (HealthField.EXT_SYND, HealthField.FW_VER)
        facts += [f"{f.value} {self.fields[f]}" for f in shown if f in self.fields]
        if self.severity:
            facts.append(f"severity {self.fields[HealthField.SEVERITY]} ({self.severity})")
        if self.sensor is not None:
            facts.append(f"Fatal error {self.sensor}: {sensor_words(self.sensor)}")
        return facts

    @property
    def syndrome(self) -> HealthSyndrome | None:
        """The syndrome, where it has a name here."""
        return syndrome_of(self.words, self.synd)


@dataclass(slots=True, eq=False)
class Event:
    """An event of one card: a block of lines for each function's session that saw it."""

    card: str
    kind: Kind
    last: Place
    blocks: dict[tuple[str, int], Block] = field(default_factory=dict)
    sensors: str = ""
    names: dict[int, str] = field(default_factory=dict)

    def add(self, v: CardMessage, slot: int) -> None:
        """Take a line of a function's session."""
        self.last = v.place
        block = self.blocks.get((v.device, slot))
        if block is None:
            if len(self.blocks) >= MAX_FUNCTIONS:
                return
            block = self.blocks[v.device, slot] = Block(v.device, slot, v)
        block.add(v)
        if isinstance(v, HighTemperature):
            self.sensors = self.sensors or v.sensors
        elif isinstance(v, HotSensor):
            self.names[v.index] = v.name

    def takes(self, v: CardMessage, slot: int) -> bool:
        """The line can belong to this event."""
        if not near(self.last, v.place) or any(d == v.device and n != slot for d, n in self.blocks):
            return False
        words = v.words.strip() if isinstance(v, HealthIssue | HealthCode) else ""
        return not words or all(b.words in ("", words) for b in self.blocks.values())

    @property
    def most(self) -> Block:
        """The function that printed most of it; of several the one that began."""
        return max(self.blocks.values(), key=lambda b: (b.lines, -b.first.place.line))

    @property
    def of_itself(self) -> bool:
        """The card said something of itself, beside what its driver concluded."""
        return self.kind is not Kind.HEALTH or any(b.synd or b.words or b.cold for b in self.blocks.values())

    @property
    def cause(self) -> Cause:
        """The finding that the event is."""
        if self.kind is not Kind.HEALTH:
            return _KINDS[self.kind]
        b = self.most
        if b.syndrome is HealthSyndrome.HIGH_TEMPERATURE:
            return Cause.HIGH_TEMPERATURE
        if b.cold_reset:
            return Cause.DEVICE_ERROR_COLD
        if b.syndrome is None:
            disabled = b.sensor in _DISABLED and (b.synd == 0 or not b.words)
            return Cause.DEVICE_ERROR_DISABLED if disabled else Cause.DEVICE_ERROR
        return _SYNDROMES.get(b.syndrome, Cause.DEVICE_ERROR_FIRMWARE)

    def absorb(self, other: Event) -> None:
        """The warnings before a shutdown for heat are of the same event."""
        self.sensors = self.sensors or other.sensors
        self.names = other.names | self.names
        for key, block in other.blocks.items():
            self.blocks.setdefault(key, block).first = block.first

    @property
    def first(self) -> DriverMessage:
        """Its first line."""
        return min((b.first for b in self.blocks.values()), key=lambda v: v.place.line)

    @property
    def slots(self) -> set[int]:
        """The sessions that saw it, by their places in the report."""
        return {slot for _, slot in self.blocks}

    def account(self) -> HealthAccount:
        """The event as the report has it."""
        b, values = self.most, {f.value: v for f, v in self.most.fields.items()}
        content = values | {
            "card": self.card,
            "device": b.device,
            "functions": sorted({x.device for x in self.blocks.values()}),
            "finding": self.cause.finding.value,
            "at": self.first.place.at(),
            "synd": None if b.synd is None else f"{b.synd:#x}",
            "synd_words": b.words,
            "severity_name": b.severity,
            "fatal_error": b.sensor,
            "cold_reset": b.cold_reset,
            "assert_var": [b.assert_var[i] for i in sorted(b.assert_var)],
            "temperature_sensors": self.sensors,
            "sensor_names": self._names(),
        }
        return msgspec.convert(content, HealthAccount)

    def finding(self) -> FindingAccount:
        """The event as a finding."""
        others = sorted({x.device for x in self.blocks.values()} - {self.most.device})
        listed = ", ".join(others[:MAX_NAMED])
        more = f" and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
        beside = f"; one event of the card, which {listed}{more} saw too" if others else ""
        return finding_of(self.cause, self.words() + beside, self.first, self.most.device)

    def words(self) -> str:
        """The event in a line."""
        if self.kind is not Kind.HEALTH:
            names = ", ".join(self._names())
            return f"{self.first.text}{f' ({names})' if names else ''}"
        facts = self.most.facts()
        if self.sensors:
            facts.append(f"before it a warning of high temperature, sensors {self.sensors}")
        return ", ".join(facts) or self.first.text

    def _names(self) -> list[str]:
        return [self.names[i] for i in sorted(self.names)]


def finding_of(cause: Cause, detail: str, line: DriverMessage, device: str = "") -> FindingAccount:
    """A finding of this cause at a line; its remedy's commands name the device."""
    remedy = addressed(cause.remedy, device or line.device)
    return FindingAccount(name=cause.finding, blame=cause.blame.value, detail=detail, remedy=remedy, at=line.place.at())


def kind_of(v: CardMessage) -> Kind:
    """The subject of a line."""
    match v:
        case HighTemperature() | HotSensor():
            return Kind.TEMPERATURE
        case SlotPowerShort():
            return Kind.POWER
        case ModuleError():
            return Kind.POWER if _SLOT.search(v.words) else Kind.MODULE
        case _:
            return Kind.HEALTH


def near(a: Place, b: Place) -> bool:
    """Within ``WINDOW`` of each other; taken as such where the input has no seconds."""
    if not isinstance(a.time, (int, float)) or not isinstance(b.time, (int, float)):
        return True
    return abs(b.time - a.time) <= WINDOW
