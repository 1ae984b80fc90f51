"""The fastest processor that a machine with a kernel can have here: this machine's own by KVM, or an emulated one."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from fwpages.trial.errors import GuestTimeoutError, MachineOffError
from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.qemu import Accelerator, Machine

#: seconds in which a kernel boots by KVM, on a machine that has much else to do; by emulation it takes longer
BOOT_BY_KVM: Final = 20.0
#: the words of QEMU when KVM cannot go on, as where it runs in a virtual machine itself
_KVM_FAILED: Final = ("KVM internal error", "failed to initialize kvm")


def fastest(kernel: Kernel, folder: Path) -> Accelerator:
    """Boot the kernel by KVM in this folder, where there is a /dev/kvm; return the way in which it runs.

    That a KVM can be opened does not say that it works: in a virtual machine it may fail at some instruction.
    """
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        with suppress(MachineOffError), Guest(kernel, None, folder, Machine(accelerator=Accelerator.KVM)) as guest:
            return Accelerator.KVM if _boots(guest) else Accelerator.TCG
    return Accelerator.TCG


def _boots(guest: Guest) -> bool:
    end = time.monotonic() + BOOT_BY_KVM
    while time.monotonic() < end and not any(words in guest.qemu_said() for words in _KVM_FAILED):
        with suppress(GuestTimeoutError):
            guest.ready(1.0)
            return True
    return False
