"""The firmware's side: command execution, functions and their demand, profiles, faults.

``Firmware`` is a device as one page supplier sees it: feed it inputs (``Submitted``, ``Want``, ``ResetFunction``,
``HostVfs``, ``Reset``), perform the effects that it hands back (``Completed``, ``Raised``, ``Notified``, ``Offence``,
``ResetDone``). It refuses the commands that hardware would refuse and names the broken rule (``OffenceName``). All
counts are 4 KiB pages.
"""

from fwpages.device.faults.catalogue import DEVICE_FAULTS, faulty
from fwpages.device.faults.injector import CommandFault, DeviceFault, EventFault, FaultyFirmware
from fwpages.device.faults.plan import FaultPlan, Moment, PlannedFault
from fwpages.device.firmware.firmware import Firmware
from fwpages.device.firmware.functions import Asks, FunctionSpec
from fwpages.device.firmware.io import (
    Completed,
    Effect,
    Executed,
    HostVfs,
    Input,
    Notified,
    Offence,
    Raised,
    Reset,
    ResetDone,
    ResetFunction,
    Submitted,
    Tick,
    Triggered,
    Want,
)
from fwpages.device.firmware.offences import OffenceName
from fwpages.device.firmware.page_order import Order
from fwpages.device.firmware.state import Phase
from fwpages.device.firmware.store import FirmwareError
from fwpages.device.profiles import DERIVED, Profile, ProfileError, names, parse, profile

__all__ = [
    "DERIVED",
    "DEVICE_FAULTS",
    "Asks",
    "CommandFault",
    "Completed",
    "DeviceFault",
    "Effect",
    "EventFault",
    "Executed",
    "FaultPlan",
    "FaultyFirmware",
    "Firmware",
    "FirmwareError",
    "FunctionSpec",
    "HostVfs",
    "Input",
    "Moment",
    "Notified",
    "Offence",
    "OffenceName",
    "Order",
    "Phase",
    "PlannedFault",
    "Profile",
    "ProfileError",
    "Raised",
    "Reset",
    "ResetDone",
    "ResetFunction",
    "Submitted",
    "Tick",
    "Triggered",
    "Want",
    "faulty",
    "names",
    "parse",
    "profile",
]
