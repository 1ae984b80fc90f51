"""The entries of a step's log: an input that a machine was fed, or an effect that it had, in the order of the step.

Structs and not dataclasses, as every transition of a search makes several, and these are made in a third of the time.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from fwpages.device import Effect as DeviceEffect
from fwpages.device import Input as DeviceInput
from fwpages.explore.model.driver import Input as DriverInput
from fwpages.host import Effect as DriverEffect


class ToDriver(msgspec.Struct, frozen=True):
    """An input of the driver."""

    input: DriverInput


class FromDriver(msgspec.Struct, frozen=True):
    """An effect of the driver."""

    effect: DriverEffect


class ToDevice(msgspec.Struct, frozen=True):
    """An input of the device."""

    input: DeviceInput


class FromDevice(msgspec.Struct, frozen=True):
    """An effect of the device."""

    effect: DeviceEffect


LogEntry: TypeAlias = ToDriver | FromDriver | ToDevice | FromDevice
