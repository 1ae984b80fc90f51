"""The page commands (pagealloc.c): the worker, give_pages, page_notify_fail, reclaim_pages, release_all_pages.

Theory of operation. A page request lies in ``requests`` until the one worker of ``pg_wq`` takes it. The worker decides
three things only then, and not when the event came: the function's key, the mode, and with it if the ec bit counts.

give_pages collects blocks (``pages.alloc_4k``), maps a system page where none is free, and sends one GIVE however many
pages it has. What follows depends on the error number alone. 0: firmware has the pages. -ENXIO, not delivered: the
same, as cmd.c pretends that MANAGE_PAGES was carried out. All others: the pages are freed, whatever firmware did;
and CANT_GIVE follows, except where firmware refused a GIVE that answered its own request.

reclaim_pages sends one TAKE and frees each page that the answer names. Not delivered, it names pages from the
function's own tree, the highest first. ``posted`` counts after the answer, by the number in the command, and takes
``state_lock`` to look up the type in VHCA_ID mode: there the worker can stand still. ``merged`` counts in ``alloc_4k``
and ``free_4k``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fwpages.custody.findings import Cause
from fwpages.explore.designs.linux import pages as tree
from fwpages.explore.designs.linux.errors import EEXIST, EINVAL, ENOMEM, ENXIO, EREMOTEIO
from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.threads import (
    Crashed,
    ForPageSlot,
    Frame,
    Kernel,
    Outcome,
    Reply,
    ReplyFrame,
    Thread,
)
from fwpages.pages.words import many
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode

#: bytes of manage_pages_in and _out before the addresses
_FIXED = 16


@dataclass(frozen=True, slots=True)
class Work(Frame):
    """pages_work_handler: the worker takes the first request. In VHCA_ID mode the ec bit does not count."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """req_pages_handler cut what it takes at MAX_RECLAIM_NPAGES, and forgot the rest."""
        first, *rest = kernel.requests
        kernel.requests = tuple(rest)
        event = first.event
        ec = event.ec and not kernel.vhca_mode
        if event.release_all:
            return _release_all(kernel, event.number, ec)
        if event.num_pages < 0:
            n = min(-event.num_pages, kernel.config.bounds.pages_per_command)
            return Take(event.number, ec, n).resume(kernel, 0)
        if event.num_pages:
            return Give(event.number, ec, event.num_pages, event=True).resume(kernel, 0)
        return 0


# -- give_pages -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Give(Frame):
    """give_pages to the function with this number and ec bit. ``event``: firmware asked by an event."""

    number: int
    ec: bool
    n: int
    event: bool

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Room for the command first; its length is counted in 32 bits with a sign, and is not checked."""
        n, key = self.n, self.key(kernel)
        length = (_FIXED + 8 * n + (1 << 31)) % (1 << 32) - (1 << 31)
        if length < 0:
            kernel.find(LinuxCause.VZALLOC_FAILED, key, n, f"no memory for a command of {many(length, 'byte')}")
            return _failed(kernel, self, ENOMEM)
        if length < _FIXED + 8 * max(n, 0):
            detail = f"a command for {many(n)} is written into {many(length, 'byte')}"
            kernel.find(LinuxCause.HEAP_OVERRUN, key, n, detail)
            return Crashed()
        kind = tree.type_of(kernel, self.number, ec=self.ec) if kernel.choices.cached else None
        return _fill(kernel, self, kind, ())

    def key(self, kernel: Kernel) -> int:
        """The function's tree, in the mode of this moment."""
        return tree.key_of(kernel, self.number, ec=self.ec)


def _fill(kernel: Kernel, give: Give, kind: str | None, got: tuple[int, ...]) -> Outcome:
    """Blocks for the command, and system pages for the blocks; then the command."""
    key = give.key(kernel)
    while len(got) < give.n:
        address = tree.alloc_4k(kernel, key)
        if address == ENOMEM:
            kernel.push(Mapped(give, kind, got))
            return kernel.map()
        if address < 0:
            return _no_memory(kernel, give, got, address)
        got = (*got, address)
    fields = {
        "function_id": give.number,
        "input_num_entries": give.n % (1 << 32),
        "embedded_cpu_function": _ec(kernel, give.ec),
    }
    command = Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, fields, np.array(got, np.uint64))
    return kernel.command(command, Given(give, got))


@dataclass(frozen=True, slots=True)
class Mapped(Frame):
    """alloc_system_page's end within give_pages; ``kind`` is the type that the page will keep (merged)."""

    give: Give
    kind: str | None
    got: tuple[int, ...]

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """The address of a system page, or -ENOMEM; insert_page has no room for two at one address."""
        if result < 0:
            return _no_memory(kernel, self.give, self.got, result)
        if result in kernel.pages:
            return _no_memory(kernel, self.give, self.got, EEXIST)
        tree.insert_page(kernel, result, self.give.key(kernel), self.kind)
        return _fill(kernel, self.give, self.kind, self.got)


@dataclass(frozen=True, slots=True)
class Given(ReplyFrame):
    """give_pages after the command."""

    give: Give
    got: tuple[int, ...]

    def resume(self, kernel: Kernel, reply: Reply) -> Outcome:
        """See the theory of operation."""
        give = self.give
        if reply.err in (0, ENXIO):  # cmd.c:mlx5_internal_err_ret_value
            return 0 if kernel.choices.by_page else _count(kernel, give.number, give.ec, give.n)
        kernel.give_dropped += give.n
        dropped = give.event and reply.err == EREMOTEIO
        key = give.key(kernel)
        if not dropped:
            detail = f"GIVE ended with {reply.err}; its pages are freed"
            kernel.find(LinuxCause.GIVE_FAILED, key, give.n, detail)
        _put_back(kernel, self.got, key)
        return 0 if dropped else _failed(kernel, give, reply.err)


def _no_memory(kernel: Kernel, give: Give, got: tuple[int, ...], err: int) -> Outcome:
    key, missing = give.key(kernel), give.n - len(got)
    kernel.alloc_failed += missing
    kernel.find(Cause.ALLOC_FAILED, key, missing, "no memory for a page")
    _put_back(kernel, got, key)
    return _failed(kernel, give, err)


def _put_back(kernel: Kernel, got: tuple[int, ...], key: int) -> None:
    for address in reversed(got):
        tree.free_4k(kernel, address, key)


def _failed(kernel: Kernel, give: Give, err: int) -> Outcome:
    """page_notify_fail where an event asked for the pages; give_pages then returns ``err``."""
    if not give.event:
        return err
    fields = {"function_id": give.number, "embedded_cpu_function": _ec(kernel, give.ec)}
    command = Command(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, fields)
    return kernel.command(command, Notified(give.key(kernel), err))


@dataclass(frozen=True, slots=True)
class Notified(ReplyFrame):
    """page_notify_fail's end: a CANT_GIVE that failed is only logged. ``err`` is the result of give_pages."""

    key: int
    err: int

    def resume(self, kernel: Kernel, reply: Reply) -> Outcome:
        """The result of give_pages."""
        if reply.err not in (0, ENXIO):
            detail = f"CANT_GIVE ended with {reply.err}"
            kernel.find(LinuxCause.PAGE_NOTIFY_FAILED, self.key, detail=detail)
        return self.err


def giving(thread: Thread) -> bool:
    """The thread has collected pages for a GIVE that it has not sent."""
    if any(isinstance(frame, Mapped) for frame in thread.stack):
        return True
    return isinstance(thread.wait, ForPageSlot) and isinstance(thread.wait.then, Given)


# -- reclaim_pages, release_all_pages ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Take(Frame):
    """reclaim_pages: up to ``n`` pages of the function with this number and ec bit."""

    number: int
    ec: bool
    n: int
    #: firmware asked by an event
    event: ClassVar[bool] = True

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Send the command."""
        fields = {
            "function_id": self.number,
            "input_num_entries": self.n,
            "embedded_cpu_function": _ec(kernel, self.ec),
        }
        return kernel.command(Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, fields), Taken(self))

    def claimed(self, kernel: Kernel, n: int) -> None:
        """``nclaimed``: the number that the answer claims. The worker does not use it."""


@dataclass(frozen=True, slots=True)
class Taken(ReplyFrame):
    """reclaim_pages after the command."""

    take: Take

    def resume(self, kernel: Kernel, reply: Reply) -> Outcome:
        """Free each page that the answer names, if the tree has it."""
        take = self.take
        key = tree.key_of(kernel, take.number, ec=take.ec)
        err, claimed, named = _named(kernel, key, take.n, reply)
        if err:
            kernel.reclaim_discard += take.n
            if take.event and err == EREMOTEIO:
                return 0
            kernel.find(LinuxCause.RECLAIM_FAILED, key, take.n, f"TAKE ended with {err}")
            return err
        if claimed > take.n:
            detail = f"firmware returned {claimed}, asked for {take.n}"
            kernel.find(Cause.COUNT_OVER_ASKED, key, claimed, detail)
            return EINVAL
        # mailboxes are zeros where firmware wrote nothing; the count has a sign, and below zero nothing is freed
        for address in (*named, *(0,) * (claimed - len(named))):
            tree.free_4k(kernel, address, key)
        take.claimed(kernel, claimed)
        return 0 if kernel.choices.by_page else _count(kernel, take.number, take.ec, -claimed)


def _named(kernel: Kernel, key: int, n: int, reply: Reply) -> tuple[int, int, tuple[int, ...]]:
    """reclaim_pages_cmd: an error, the number that is claimed as an int, and the addresses that are looked at."""
    if reply.err == ENXIO:
        if key not in kernel.roots:
            kernel.find(LinuxCause.WARN_NO_ROOT, key, detail="nothing to take by force")
            return EEXIST, 0, ()
        own = tree.own_pages(kernel, key, n)
        return 0, len(own), own
    if reply.err or reply.answer is None:
        return reply.err, 0, ()
    claimed = reply.answer["output_num_entries"]
    claimed -= (claimed >> 31) << 32
    named = tuple(reply.answer.pas[: min(max(claimed, 0), n)].tolist())
    return 0, claimed, named


def _release_all(kernel: Kernel, number: int, ec: bool) -> Outcome:
    """release_all_pages: the tree as it is when the worker takes the request."""
    released = tree.release_all(kernel, tree.key_of(kernel, number, ec=ec))
    return 0 if released is None or kernel.choices.by_page else _count(kernel, number, ec, -released)


# -- counting as posted -----------------------------------------------------------------------------------------------


def _count(kernel: Kernel, number: int, ec: bool, n: int) -> Outcome:
    """After the command, by its number, under the type that the function has now, for which a lock is taken."""
    kernel.push(Counted(number, ec, n))
    return kernel.lock("state_lock") if tree.needs_lock(kernel, number) else 0


@dataclass(frozen=True, slots=True)
class Counted(Frame):
    """mlx5_esw_vhca_id_to_func_type under the lock; the lock is let go of before the counters are changed."""

    number: int
    ec: bool
    n: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Add ``n``."""
        kind = tree.type_of(kernel, self.number, ec=self.ec)
        if tree.needs_lock(kernel, self.number):
            kernel.unlock("state_lock")
        tree.count(kernel, kind, self.n)
        kernel.fw_pages += self.n
        return 0


def _ec(kernel: Kernel, ec: bool) -> int:
    """The field ``embedded_cpu_function``: without a meaning in VHCA_ID mode."""
    return int(ec and not kernel.vhca_mode)
