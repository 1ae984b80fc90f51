"""The remedies that several findings share: each says what it interrupts, and stands where it helps.

ADDRESS stands for the function's PCI address; ``addressed`` puts the address in its place where it is known, or the
handles of a sub-function, whose card keeps the word: a card's firmware is restarted by way of its PCI functions. A
function-level reset is the proof that a device no longer reaches memory (a fence), and helps against nothing else.
mlx5's driver is not prepared for a reset behind its back, so the reset is always one of a function that no driver is
bound to.
"""

from __future__ import annotations

import re
from typing import Final

_PCI: Final = re.compile(r"[0-9a-f:]+\.[0-7]$", re.IGNORECASE)
#: a sub-function: a device of the auxiliary bus, which has no PCI address of its own
_SF: Final = re.compile(r"mlx5_core\.sf\.\d+$")
_OF_FUNCTION: Final = re.compile(r"pci/ADDRESS(?! action fw_activate)")

TICKET: Final = (
    "for the vendor's ticket: `devlink health dump show pci/ADDRESS reporter fw_fatal`, `devlink dev info pci/ADDRESS`"
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

OPEN_AGAIN: Final = f"a new open ({REINIT})"
LATE: Final = f"a late answer settles it; else {FENCE}, and until then the memory must not be used"
SLOT: Final = (
    "`devlink dev reload pci/ADDRESS action driver_reinit`, which gives the slot back and takes down the function's "
    "interfaces and VFs; for a device that no kernel driver is bound to, a function-level reset"
)
REFUSE: Final = f"refuse the page, count the rest; {OTHER_FIRMWARE}"
AGAIN: Final = "see status and syndrome; the request can be made again"
RIGHT: Final = "a driver that sends a valid command: another finding says what is wrong with this one"
LOAD_AGAIN: Final = "load it again, `echo ADDRESS > /sys/bus/pci/drivers/mlx5_core/bind`, which interrupts nothing else"
WHOLE_INPUT: Final = (
    "the whole input; of a log, a larger kernel buffer (log_buf_len=), no rate limits (printk.devkmsg, journald)"
)
RELOAD: Final = f"if the driver has not recovered by itself, {REINIT}, or for the card {FW_ACTIVATE}"
COOL: Final = (
    "cool the card: airflow, fans, dust, the temperature of the room; where it has shut down, then "
    f"{POWER_CYCLE}: no reset helps before it is cool"
)
READ_LOG: Final = "the kernel log from that time, which has each failed command and its status: `fwpages audit`"
READ_BACK: Final = f"{OPEN_AGAIN}; if it comes again, {FW_ACTIVATE}"


def addressed(remedy: str, device: str) -> str:
    """The remedy with the device in its commands, if that is a PCI address or a sub-function's name."""
    if _PCI.match(device):
        return remedy.replace("ADDRESS", device)
    if _SF.match(device):
        words = _OF_FUNCTION.sub(f"auxiliary/{device}", remedy)
        return words.replace(
            "echo ADDRESS > /sys/bus/pci/drivers/mlx5_core/",
            f"echo {device} > /sys/bus/auxiliary/drivers/mlx5_core.sf/",
        )
    return remedy
