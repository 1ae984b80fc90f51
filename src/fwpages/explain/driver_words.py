"""The meaning of mlx5_core's lines in words: a sentence for each kind of line that an audit reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from typing import Final

from fwpages.explain.explanation import Value
from fwpages.prm.errnos import errno_words
from fwpages.prm.health import sensor_words
from fwpages.prm.identity import Mode
from fwpages.readers import observations as o
from fwpages.readers.driver_lines import named_line
from fwpages.readers.driver_messages import read_message
from fwpages.readers.observations import MissingInput, Observation, PagesRequested, Place

MEANINGS: Final[dict[type[Observation], str]] = {
    o.FirmwareVersion: "a load begins: the driver reads firmware's version",
    o.FirmwareAwaited: "the load waits for firmware to be ready",
    o.LoadStepFailed: "a step of the load failed, and the load with it",
    o.LoadFailed: "the load failed: the driver does not use the function",
    o.StartupPagesRequested: "firmware said how many pages it needs to start, and the driver gives them",
    o.PagesRequested: "firmware asks for pages (npages above 0), or wants some taken back (below 0)",
    o.PagesGiven: "the driver gave pages to firmware (GIVE)",
    o.GiveFailed: "a GIVE failed: firmware did not get these pages",
    o.GiveWithheld: "the driver gives fewer pages than firmware asks for, or none",
    o.TakeBegun: "the driver is about to take back at most this many pages (TAKE)",
    o.TakeFailed: "a TAKE failed: firmware keeps the pages",
    o.ReclaimAbandoned: "firmware returned no page for seconds: the driver stops asking",
    o.AllPagesReleased: "firmware released all pages of the function at once, and the driver freed them",
    o.PagesLeft: "a counter of pages is not zero after the driver took everything back",
    o.UnknownPageReturned: "firmware returned an address that the driver never gave",
    o.PageReturnedTwice: "firmware returned an address that it had returned before",
    o.TooManyReturned: "firmware returned more pages than the TAKE asked for",
    o.AllocationFailed: "the host had no memory for a GIVE",
    o.PageRequestDropped: "the driver had no memory to queue a page request: firmware gets no answer",
    o.CantGiveFailed: "the driver could not tell firmware that it gives no pages (CANT_GIVE)",
    o.PagesPending: "the device failed while the driver waited for pages to come back",
    o.PageWorkFailed: "the GIVE or TAKE of a page request failed",
    o.CommandRefused: "firmware refused the command",
    o.CommandTimedOut: "the driver stops waiting; the command keeps its slot until it is answered",
    o.CommandNotDone: "no completion came in time; the driver looks into the queue entry itself",
    o.CommandNotSent: "the command got no slot in the queue in time, and was not sent",
    o.LateCompletion: "the answer came after the driver had stopped waiting: the slot is free again",
    o.CompletionsRecovered: "the answer was there, only its event was not: an interrupt was lost",
    o.DeviceInError: "the driver treats the device as failed",
    o.RecoveryLine: "the driver's attempt to get a failed device to work again",
    o.DriverLetGo: "the driver leaves the function, or the function is removed",
    o.ObjectKept: "the driver keeps the object, as something uses it; firmware keeps its pages",
    o.HealthCompromised: "firmware's health counter stands still",
    o.FatalError: "the driver found a fatal error of the device",
    o.HealthIssue: "firmware reports an error: the health buffer follows",
    o.HealthCode: "firmware's error, by its syndrome",
    o.AssertVar: "a variable of firmware's assertion, for the vendor's ticket",
    o.HealthLine: "a field of firmware's health buffer, for the vendor's ticket",
    o.ColdResetRequired: "firmware asks for a cold reset: power off and on",
    o.HighTemperature: "sensors of the card are too hot",
    o.HotSensor: "this sensor of the card is too hot",
    o.SlotPowerShort: "the PCIe slot offers less power than the card needs",
    o.ModuleError: "the cable or transceiver of a port is in error",
    o.TeardownFailed: "firmware did not carry out a forced or fast TEARDOWN_HCA",
    o.TeardownSkipped: "TEARDOWN_HCA failed, and the driver leaves everything as it is",
    MissingInput: "a damaged line: the driver cannot have printed such numbers",
}

#: names of fields as the driver's lines have them
_NAMES: Final = {"number": "function", "pages": "npages", "ec": "ec_function"}
#: fields that every line has, and that the line itself shows
_APART: Final = frozenset({"place", "device", "session", "text", "request", "harmless", "key", "cause", "ec_known"})


def read_line(line: str) -> Observation | None:
    """The observation that a line of mlx5_core's is, with or without its surroundings; None where it is none."""
    named = named_line(line)
    if named is None:
        return read_message(Place("", 0), "", None, line)
    return read_message(Place("", 0), named.device, named.function, named.message)


def values_of(found: Observation) -> Iterator[Value]:
    """The numbers that a line has, with their meaning."""
    if isinstance(found, PagesRequested):
        yield Value(name="function", at="", value=found.request.number)
        yield Value(name="npages", at="", value=found.request.num_pages)
    for field in fields(found):
        value = getattr(found, field.name)
        if field.name not in _APART and isinstance(value, int) and type(value) is not bool:
            yield Value(
                name=_NAMES.get(field.name, field.name), at="", value=value, meaning=_meaning(field.name, value)
            )
        elif field.name == "ec" and value is not None:
            yield Value(name="ec_function", at="", value=int(value))


def notes_of(found: Observation) -> list[str]:
    """The parts of a line that are words: the step of a load, the outcome of a recovery, a field's name."""
    notes = [f"about {found.device}"] if found.device else []
    if isinstance(found, PagesRequested) and found.request.release_all:
        notes.append("release_all: firmware has released all pages of the function")
    for field in fields(found):
        value = getattr(found, field.name)
        if field.name in _APART:
            continue
        if isinstance(value, Enum) and not isinstance(value, Mode):
            notes.append(f"{field.name}: {value.value}")
        elif isinstance(value, str) and value:
            notes.append(f"{field.name}: {value}")
    if getattr(found, "link", False):
        notes.append("the device cannot be reached: its PCI channel is gone, or reads nothing")
    return notes


def _meaning(name: str, value: int) -> str:
    match name:
        case "err":
            return errno_words(value) if value else "no error"
        case "sensor":
            return sensor_words(value)
        case _:
            return ""
