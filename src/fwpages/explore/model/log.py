"""The entries of a step's log: an input that a machine was fed, or an effect that it had, in the order of the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from fwpages.device import Effect as DeviceEffect
from fwpages.device import Input as DeviceInput
from fwpages.explore.model.driver import Input as DriverInput
from fwpages.host import Effect as DriverEffect


@dataclass(frozen=True, slots=True)
class ToDriver:
    """An input of the driver."""

    input: DriverInput


@dataclass(frozen=True, slots=True)
class FromDriver:
    """An effect of the driver."""

    effect: DriverEffect


@dataclass(frozen=True, slots=True)
class ToDevice:
    """An input of the device."""

    input: DeviceInput


@dataclass(frozen=True, slots=True)
class FromDevice:
    """An effect of the device."""

    effect: DeviceEffect


LogEntry: TypeAlias = ToDriver | FromDriver | ToDevice | FromDevice
