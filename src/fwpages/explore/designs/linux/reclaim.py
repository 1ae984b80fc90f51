"""Pages that must come back (pagealloc.c): mlx5_reclaim_startup_pages at a close, mlx5_wait_for_pages of a type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fwpages.custody.findings import Cause
from fwpages.explore.designs.linux import pages as tree
from fwpages.explore.designs.linux.errors import ETIMEDOUT
from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.page_commands import Take
from fwpages.explore.designs.linux.threads import BetweenTakes, ForPages, Frame, Kernel, Outcome
from fwpages.prm.identity import FunctionType

#: pagealloc.c:optimal_reclaimed_pages: the addresses that fill twelve mailboxes
OPTIMAL = 768

#: the types whose counters are checked at the end, in the order of the checks
_CHECKED = (FunctionType.VF, FunctionType.HOST_PF, FunctionType.SPF, FunctionType.EC_VF)


@dataclass(frozen=True, slots=True)
class ReclaimAll(Frame):
    """mlx5_reclaim_startup_pages: tree by tree, in the order of their keys; each is freed, empty or not."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """The next tree, or the checks at the end."""
        if not kernel.roots:
            _warn_counters(kernel)
            return 0
        key = min(kernel.roots)
        kernel.push(self)
        kernel.push(RootDone(key))
        kernel.reclaim_end = kernel.now + kernel.config.bounds.reclaim_progress
        return _reclaim_root(kernel, key)


@dataclass(frozen=True, slots=True)
class RootDone(Frame):
    """The tree is freed, with the pages that are still in it."""

    key: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """xa_erase, kfree."""
        kernel.reclaim_end = None
        tree.drop_root(kernel, self.key)
        return 0


@dataclass(frozen=True, slots=True)
class ReclaimRoot(Frame):
    """mlx5_reclaim_root_pages: TAKE after TAKE while pages come, or until the time without progress is over."""

    key: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """The next TAKE."""
        return _reclaim_root(kernel, self.key)


def _reclaim_root(kernel: Kernel, key: int) -> Outcome:
    if not kernel.roots[key]:
        return 0
    n = min(OPTIMAL, kernel.config.bounds.pages_per_command)
    return RootTake(key & 0xFFFF, bool(key >> 16), n).resume(kernel, 0)


@dataclass(frozen=True, slots=True)
class RootTake(Take):
    """reclaim_pages for mlx5_reclaim_root_pages. An error ends the tree: it goes to ``RootDone``."""

    event: ClassVar[bool] = False

    def claimed(self, kernel: Kernel, n: int) -> None:
        """The loop goes on when the pages have been counted."""
        kernel.push(Claimed(self.number | self.ec << 16, n))


@dataclass(frozen=True, slots=True)
class Claimed(Frame):
    """mlx5_reclaim_root_pages after a TAKE: any number in an answer is progress, whatever the pages are.

    Between two fruitless TAKEs Linux waits for nothing; here ``reclaim_retry`` passes, for the time that commands take.
    """

    key: int
    n: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """The next TAKE, or the end of the tree."""
        bounds = kernel.config.bounds
        if self.n:
            kernel.reclaim_end = kernel.now + bounds.reclaim_progress
        assert kernel.reclaim_end is not None
        if kernel.now >= kernel.reclaim_end:
            left = len(kernel.roots[self.key])
            kernel.find(LinuxCause.NOT_ALL_RETURNED, self.key, left, "firmware did not return all pages")
            return 0
        kernel.push(ReclaimRoot(self.key))
        return 0 if self.n else BetweenTakes(kernel.now + bounds.reclaim_retry)


def _warn_counters(kernel: Kernel) -> None:
    """The WARNs of mlx5_reclaim_startup_pages."""
    total = kernel.fw_pages
    if total:
        kernel.find(LinuxCause.WARN_PAGES_LEFT, None, total, f"fw_pages is {total} after all was taken back")
    if kernel.choices.guard and kernel.vhca_mode and not kernel.eswitch:
        return
    for kind in _CHECKED:
        n = kernel.counters.get(kind, 0)
        if n:
            detail = f"the counter of {kind} is {n} after all was taken back"
            kernel.find(LinuxCause.WARN_COUNTER_LEFT, None, n, detail)


@dataclass(frozen=True, slots=True)
class WaitPages(Frame):
    """mlx5_wait_for_pages: until the type's counter is 0, not in error state. The poll every 50 ms is a Run."""

    type: str

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """The first look."""
        return _look(kernel, self.type)


def _look(kernel: Kernel, kind: str) -> Outcome:
    n = kernel.counters.get(kind, 0)
    if kernel.error or not n:
        return 0
    kernel.push(Polled(kind, n))
    return ForPages(kind, n, kernel.now + kernel.config.bounds.wait_progress)


@dataclass(frozen=True, slots=True)
class Polled(Frame):
    """mlx5_wait_for_pages: one more look. A counter below zero is waited for like any other."""

    type: str
    count: int

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """Zero, some progress, or too late."""
        n = kernel.counters.get(self.type, 0)
        if n and result == ETIMEDOUT and n >= self.count:
            detail = f"waiting for the pages of {self.type}: the counter is still {n}"
            kernel.find(Cause.WAIT_TIMEOUT, None, n, detail)
            return ETIMEDOUT
        return _look(kernel, self.type)
