"""The effects of a fault on a driver, the reasons for having no verdict, and who can cause a fault."""

from __future__ import annotations

from enum import Enum, unique


@unique
class Effect(Enum):
    """An effect on the driver, as it is printed, from the least to the worst.

    ``NONE`` says that nothing was seen, and not that nothing happened: a kernel without instruments hides much.
    """

    NONE = "no effect seen"
    #: a WARN or another complaint of the kernel's about its own state, which panic_on_warn makes a panic
    WARNED = "warned"
    #: the driver broke a rule of the protocol, and no fault excuses it
    OFFENDED = "broke a rule"
    #: a load that fails although no fault strikes any more
    UNUSABLE = "lost the device until a reset"
    #: pages that the driver lost for good, or until a reset or the next boot
    LEAKED = "leaked"
    #: memory given to the device until the kernel had none left
    EXHAUSTED = "ran out of memory"
    #: pages unmapped or freed while firmware held them
    LET_GO = "let go of held memory"
    #: a stage, a task or the whole machine that does not go on
    HUNG = "hung"
    #: memory of the kernel that was overwritten, by its own instruments
    CORRUPTED = "corrupted memory"
    #: a panic, an Oops, a BUG
    CRASHED = "crashed"

    def __lt__(self, other: Effect) -> bool:
        order = list(Effect)
        return order.index(self) < order.index(other)


@unique
class NotJudged(Enum):
    """The reason for which a row has no verdict on the driver."""

    NOT_TRIGGERED = "the fault was never triggered"
    NOT_BOOTED = "the kernel did not boot"
    NO_MODULE = "a module is missing, or does not load"
    NO_DEVICE = "the driver did not find the device"
    MACHINE_DIED = "the virtual machine ended by itself"
    DISK_FULL = "the disk is full"
    OUR_BUG = "a bug of fwpages"
    NOT_PLAYED = "not played"


@unique
class Causer(Enum):
    """The least that has to be wrong, or hostile, for a fault to happen."""

    NORMAL = "normal operation"
    GUEST = "a guest with a VF"
    FIRMWARE = "slow or buggy firmware"
    HOSTILE = "only a hostile or emulated device"
