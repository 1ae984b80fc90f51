"""The findings of Linux's models: what the kernel log would say where the host has no name for it."""

from __future__ import annotations

from enum import StrEnum, unique

from fwpages.custody.findings import Blame, Causes, Row
from fwpages.custody.remedies import (
    FENCE,
    FW_ACTIVATE,
    LATE,
    LOAD_AGAIN,
    OTHER_FIRMWARE,
    SLOT,
)


@unique
class LinuxFindingName(StrEnum):
    """The names under which Linux's models report."""

    ALLOC_4K_BUG = "alloc-4k-bug"
    WARN_NO_ROOT = "warn-no-root"
    PAGE_NOT_FOUND = "page-not-found"
    COMMAND_FAILED = "command-failed"
    MIGRATE_FAILED = "migrate-failed"
    REQUEST_LOST = "request-lost"
    LATE_COMPLETION = "late-completion"
    COMMAND_TIMEOUT = "command-timeout"
    TEARDOWN_FAILED = "teardown-failed"
    NOT_ALL_RETURNED = "not-all-returned"
    WARN_PAGES_LEFT = "warn-pages-left"
    WARN_COUNTER_LEFT = "warn-counter-left"
    RECOVERY_FAILED = "recovery-failed"
    RESET_LATE = "reset-late"
    VZALLOC_FAILED = "vzalloc-failed"
    HEAP_OVERRUN = "heap-overrun"
    GIVE_FAILED = "give-failed"
    PAGE_NOTIFY_FAILED = "page-notify-failed"
    RECLAIM_FAILED = "reclaim-failed"


_N = LinuxFindingName
_DRIVER = "a change of the driver"


@unique
class LinuxCause(Causes):
    """Every finding of Linux's models that is none of the host's."""

    ALLOC_4K_BUG = Row(_N.ALLOC_4K_BUG, Blame.HOST, "a page on the free list has no free block (alloc_4k)", _DRIVER)
    WARN_NO_ROOT = Row(_N.WARN_NO_ROOT, Blame.HOST, "a function has no tree of pages (WARN)", _DRIVER)
    PAGE_NOT_FOUND = Row(
        _N.PAGE_NOT_FOUND,
        Blame.DEVICE,
        "firmware returned a page that is not in the function's tree (free_4k)",
        OTHER_FIRMWARE,
    )
    COMMAND_FAILED = Row(_N.COMMAND_FAILED, Blame.DEVICE, "a command of the load failed", LOAD_AGAIN)
    MIGRATE_FAILED = Row(_N.MIGRATE_FAILED, Blame.HOST, "the boot pages could not get the own vhca_id", _DRIVER)
    REQUEST_LOST = Row(_N.REQUEST_LOST, Blame.HOST, "the driver had no memory to queue a page request", "free memory")
    LATE_COMPLETION = Row(
        _N.LATE_COMPLETION,
        Blame.DEVICE,
        "a command was completed after the driver gave it up",
        "nothing: its slot is free again",
    )
    COMMAND_TIMEOUT = Row(_N.COMMAND_TIMEOUT, Blame.DEVICE, "the device did not answer a command in time", SLOT)
    TEARDOWN_FAILED = Row(_N.TEARDOWN_FAILED, Blame.DEVICE, "TEARDOWN_HCA failed: the close stops there", FENCE)
    NOT_ALL_RETURNED = Row(_N.NOT_ALL_RETURNED, Blame.DEVICE, "firmware did not return all pages at the close", FENCE)
    WARN_PAGES_LEFT = Row(_N.WARN_PAGES_LEFT, Blame.HOST, "fw_pages is not 0 after the close (WARN)", _DRIVER)
    WARN_COUNTER_LEFT = Row(
        _N.WARN_COUNTER_LEFT, Blame.HOST, "a type's counter is not 0 after the close (WARN)", _DRIVER
    )
    RECOVERY_FAILED = Row(_N.RECOVERY_FAILED, Blame.LINK, "the device did not come back after a reset", FW_ACTIVATE)
    RESET_LATE = Row(_N.RESET_LATE, Blame.LINK, "a reset by software was not done in time", FW_ACTIVATE)
    VZALLOC_FAILED = Row(_N.VZALLOC_FAILED, Blame.HOST, "the driver had no memory for a command", "free memory")
    HEAP_OVERRUN = Row(_N.HEAP_OVERRUN, Blame.HOST, "the driver wrote past the end of a command's buffer", _DRIVER)
    GIVE_FAILED = Row(_N.GIVE_FAILED, Blame.DEVICE, "a GIVE failed: the driver freed its pages", LATE)
    PAGE_NOTIFY_FAILED = Row(_N.PAGE_NOTIFY_FAILED, Blame.DEVICE, "a CANT_GIVE failed", "nothing: firmware asks again")
    RECLAIM_FAILED = Row(_N.RECLAIM_FAILED, Blame.DEVICE, "a TAKE failed", "the TAKE again, at the latest when closing")
