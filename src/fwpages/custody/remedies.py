"""The remedies that several findings share: each says what it interrupts, and stands where it helps.

ADDRESS stands for the function's PCI address; ``addressed`` puts the address in its place where it is known, or the
handles of a sub-function, whose card keeps the word: a card's firmware is restarted by way of its PCI functions. A
sub-function has no reset of its own, and FreeBSD has none of Linux's commands: both get other words there. A
function-level reset is the proof that a device no longer reaches memory (a fence), and helps against nothing else.
mlx5's driver is not prepared for a reset behind its back, so the reset is always one of a function that no driver is
bound to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_PCI: Final = re.compile(r"[0-9a-f:]+\.[0-7]$", re.IGNORECASE)
#: a sub-function: a device of the auxiliary bus, which has no PCI address of its own
_SF: Final = re.compile(r"mlx5_core\.sf\.\d+$")
#: a device as FreeBSD names it
_FREEBSD: Final = re.compile(r"mlx5_core\d+$")
_OF_FUNCTION: Final = re.compile(r"pci/ADDRESS(?! action fw_activate)")

TICKET: Final = (
    "for the vendor's ticket, where mlx5_core has the function: "
    "`devlink health dump show pci/ADDRESS reporter fw_fatal`, `devlink dev info pci/ADDRESS`"
)
#: firmware that does what it must not: nothing that is done here helps for long
OTHER_FIRMWARE: Final = f"another firmware if it comes again; {TICKET}"
POWER_CYCLE: Final = "power the machine off and on again, which ends everything that runs on it"

REINIT: Final = (
    "`devlink dev reload pci/ADDRESS action driver_reinit`, which takes down the function's interfaces and VFs"
)
FW_ACTIVATE: Final = (
    "`devlink dev reload pci/ADDRESS action fw_activate`, which restarts the card's firmware and takes down the "
    "interfaces and VFs of all its functions"
)
FLR: Final = (
    "a function-level reset with no driver bound (unbind, reset, bind), which takes down the function's interfaces "
    "and VFs"
)
FENCE: Final = f"{FLR}: only that proves that firmware no longer writes there"

#: what stands in for a kernel driver's commands where a program drives the device by itself, or nothing does
_UNBOUND: Final = "; for a device that no kernel driver is bound to, a function-level reset"
_PROGRAM: Final = "; of a program in user space, its end and a new start"
OPEN_AGAIN: Final = f"a new open ({REINIT}{_PROGRAM})"
LATE: Final = f"a late answer settles it; else {FENCE}, and until then the memory must not be used"
#: a driver that frees the pages of a GIVE at its timeout does so before a late answer can say where they are
LATE_GIVE: Final = (
    "a late answer settles it where the driver kept the pages; where it freed them at its timeout, as mlx5_core does, "
    f"no answer undoes that: {FENCE}, and until then the memory must not be used"
)
_REINIT_SLOT: Final = (
    "`devlink dev reload pci/ADDRESS action driver_reinit`, which gives the slot back and takes down the function's "
    "interfaces and VFs"
)
SLOT: Final = _REINIT_SLOT + _UNBOUND
REFUSE: Final = f"refuse the page, count the rest; {OTHER_FIRMWARE}"
AGAIN: Final = "see status and syndrome; the request can be made again"
RIGHT: Final = "a driver that sends a valid command: another finding says what is wrong with this one"
LOAD_AGAIN: Final = "load it again, `echo ADDRESS > /sys/bus/pci/drivers/mlx5_core/bind`, which interrupts nothing else"
WHOLE_INPUT: Final = (
    "the whole input; of a log, a larger kernel buffer (log_buf_len=), no rate limits (printk.devkmsg, journald)"
)
RELOAD: Final = f"if the driver has not recovered by itself, {REINIT}, or for the card {FW_ACTIVATE}{_UNBOUND}"
COOL: Final = (
    "cool the card: airflow, fans, dust, the temperature of the room; where it has shut down, then "
    f"{POWER_CYCLE}: no reset helps before it is cool"
)
SCAN_AGAIN: Final = (
    "`echo 1 > /sys/bus/pci/devices/ADDRESS/remove` and `echo 1 > /sys/bus/pci/rescan`, which take down its interfaces"
)
MODULE: Final = "`ethtool -m INTERFACE` shows the module"
READ_LOG: Final = "the kernel log from that time, which has each failed command and its status: `fwpages audit`"
READ_BACK: Final = f"{OPEN_AGAIN}; if it comes again, {FW_ACTIVATE}"


#: of a sub-function, which has no PCI reset of its own
_SF_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        FLR: "`devlink dev reload pci/ADDRESS action driver_reinit`, which disables the sub-function and takes down "
        "its interfaces; if that fails, a function-level reset of its PF with no driver bound (unbind, reset, bind), "
        "which takes down the interfaces of the PF and of all its functions",
        _UNBOUND: "",
        _PROGRAM: "",
    }
)
_KLD: Final = "`kldunload mlx5en`, `kldunload mlx5` and `kldload mlx5en`"
_KLD_DOWN: Final = "which takes down the interfaces of all mlx5 cards"
#: FreeBSD's own means; a row that has another in it stands before that one
_FREEBSD_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        TICKET: "for the vendor's ticket: a firmware dump by mlx5tool(8), and the firmware's version in the log",
        REINIT: f"{_KLD}, {_KLD_DOWN}",
        _REINIT_SLOT: f"{_KLD}, which gives the slot back and takes down the interfaces of all mlx5 cards",
        _UNBOUND: "",
        _PROGRAM: "",
        f", or for the card {FW_ACTIVATE}": f"; if that fails, {POWER_CYCLE}",
        FW_ACTIVATE: POWER_CYCLE,
        FLR: "`devctl reset -d ADDRESS`, which detaches the driver for the reset and takes down the interfaces",
        LOAD_AGAIN: f"load it again, {_KLD}, {_KLD_DOWN}",
        SCAN_AGAIN: POWER_CYCLE,
        MODULE: "`ifconfig -v INTERFACE` shows the module",
        WHOLE_INPUT: "the whole input; of a log, a larger kernel message buffer (kern.msgbufsize)",
    }
)


def addressed(remedy: str, device: str) -> str:
    """The remedy with the device in its commands: a PCI address, a sub-function's name, or FreeBSD's name of it."""
    if _PCI.match(device):
        return remedy.replace("ADDRESS", device)
    if _FREEBSD.match(device):
        return _in_words_of(_FREEBSD_WORDS, remedy).replace("ADDRESS", device)
    if _SF.match(device):
        words = _OF_FUNCTION.sub(f"auxiliary/{device}", _in_words_of(_SF_WORDS, remedy))
        return words.replace(
            "echo ADDRESS > /sys/bus/pci/drivers/mlx5_core/",
            f"echo {device} > /sys/bus/auxiliary/drivers/mlx5_core.sf/",
        )
    return remedy


def _in_words_of(words: Mapping[str, str], remedy: str) -> str:
    for general, own in words.items():
        remedy = remedy.replace(general, own)
    return remedy
