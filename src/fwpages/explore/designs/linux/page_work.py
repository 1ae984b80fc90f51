"""The page commands (pagealloc.c): give_pages, page_notify_fail, reclaim_pages, release_all_pages, and the worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fwpages.custody.findings import Cause
from fwpages.explore.designs.linux import pages as tree
from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.types import EEXIST, EINVAL, ENOMEM, ENXIO, EREMOTEIO, Reply, Wait
from fwpages.pages.words import many
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode

if TYPE_CHECKING:
    from fwpages.explore.designs.linux.driver import Linux

#: bytes of manage_pages_in and _out before the addresses
_FIXED = 16


def work(d: Linux, _: Any) -> None:
    """pages_work_handler: the worker takes the first request. In VHCA_ID mode the ec bit was not looked at."""
    first, *rest = d.requests
    d.requests = tuple(rest)
    e = first.event
    ec = e.ec and not d.vhca_mode
    if e.release_all:
        d.push("release-all", e.number, ec)
    elif e.num_pages < 0:
        # req_pages_handler: no more than MAX_RECLAIM_NPAGES, the rest is forgotten
        d.push("reclaim", e.number, ec, min(-e.num_pages, d.config.bounds.pages_per_command), True)
    elif e.num_pages:
        d.push("give", e.number, ec, e.num_pages, True)


def give(d: Linux, _: Any, number: int, ec: bool, n: int, event: bool) -> Any:
    """give_pages: room for the command first; its length is counted in 32 bits with a sign."""
    length = (_FIXED + 8 * n + (1 << 31)) % (1 << 32) - (1 << 31)
    key = tree.key_of(d, number, ec=ec)
    if length < 0:
        d.find(LinuxCause.VZALLOC_FAILED, key, n, f"no memory for a command of {many(length, 'byte')}")
        return _failed(d, ENOMEM, number, ec, event)
    if length < _FIXED + 8 * max(n, 0):
        d.find(
            LinuxCause.HEAP_OVERRUN,
            key,
            n,
            f"a command for {many(n)} is written into {many(length, 'byte')}",
        )
        return Wait("crash", "nothing: memory was overwritten")
    kind = tree.type_of(d, number, ec=ec) if d.choices.cached else None
    d.push("give-fill", number, ec, n, event, kind, ())
    return None


def give_fill(
    d: Linux, _: Any, number: int, ec: bool, n: int, event: bool, kind: str | None, got: tuple[int, ...]
) -> Any:
    """Blocks for the command, and system pages for the blocks."""
    key = tree.key_of(d, number, ec=ec)
    while len(got) < n:
        address = tree.alloc_4k(d, key)
        if address == ENOMEM:
            wait = d.map()
            d.push("give-mapped", number, ec, n, event, kind, got)
            return wait
        if address < 0:
            return _no_memory(d, number, ec, n, event, got, address)
        got = (*got, address)
    d.push("give-answer", number, ec, n, event, got)
    fields = {"function_id": number, "input_num_entries": n % (1 << 32), "embedded_cpu_function": int(_ec(d, ec))}
    return d.command(Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, fields, np.array(got, np.uint64)))


def give_mapped(
    d: Linux,
    at: int | None,
    number: int,
    ec: bool,
    n: int,
    event: bool,
    kind: str | None,
    got: tuple[int, ...],
) -> Any:
    """A system page, or none; insert_page has no room for two at one address."""
    if at is None:
        return _no_memory(d, number, ec, n, event, got, ENOMEM)
    if at in d.pages:
        return _no_memory(d, number, ec, n, event, got, EEXIST)
    tree.insert_page(d, at, tree.key_of(d, number, ec=ec), kind)
    d.push("give-fill", number, ec, n, event, kind, got)
    return None


def _no_memory(d: Linux, number: int, ec: bool, n: int, event: bool, got: tuple[int, ...], err: int) -> Any:
    key = tree.key_of(d, number, ec=ec)
    d.alloc_failed += n - len(got)
    d.find(Cause.ALLOC_FAILED, key, n - len(got), "no memory for a page")
    _put_back(d, got, key)
    return _failed(d, err, number, ec, event)


def give_answer(d: Linux, reply: Reply, number: int, ec: bool, n: int, event: bool, got: tuple[int, ...]) -> Any:
    """Counted when firmware took them; refused, or not answered: freed. In error state it looks as if it took them."""
    key = tree.key_of(d, number, ec=ec)
    if reply.err in (0, ENXIO):  # cmd.c:mlx5_internal_err_ret_value: MANAGE_PAGES that is not delivered is OK
        if not d.choices.by_page:
            d.push("count", number, ec, n)
        return 0
    notify = event and reply.err != EREMOTEIO
    d.give_dropped += n
    if not (event and reply.err == EREMOTEIO):
        d.find(LinuxCause.GIVE_FAILED, key, n, f"GIVE ended with {reply.err}; its pages are freed")
    _put_back(d, got, key)
    return _failed(d, 0 if event and reply.err == EREMOTEIO else reply.err, number, ec, notify)


def _put_back(d: Linux, got: tuple[int, ...], key: int) -> None:
    for address in reversed(got):
        tree.free_4k(d, address, key)


def _failed(d: Linux, err: int, number: int, ec: bool, notify: bool) -> Any:
    """page_notify_fail; give_pages then returns ``err``."""
    if not notify:
        return err
    d.push("notified", err, tree.key_of(d, number, ec=ec))
    fields = {"function_id": number, "embedded_cpu_function": int(_ec(d, ec))}
    return d.command(Command(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, fields))


def notified(d: Linux, reply: Reply, err: int, key: int) -> int:
    """Whether firmware heard it is only logged."""
    if reply.err not in (0, ENXIO):
        d.find(LinuxCause.PAGE_NOTIFY_FAILED, key, detail=f"CANT_GIVE ended with {reply.err}")
    return err


def count(d: Linux, value: Any, number: int, ec: bool, n: int) -> Any:
    """posted: after the command, by its number, under the type that the function has now, for which a lock is taken."""
    d.push("counted", number, ec, n, value)
    return d.lock("state_lock") if tree.needs_lock(d, number) else None


def counted(d: Linux, _: Any, number: int, ec: bool, n: int, value: Any) -> Any:
    """The lock is let go before the counters are changed."""
    kind = tree.type_of(d, number, ec=ec)
    if tree.needs_lock(d, number):
        d.unlock("state_lock")
    tree.count(d, kind, n)
    d.fw_pages += n
    return value


def reclaim(d: Linux, _: Any, number: int, ec: bool, n: int, event: bool) -> Any:
    """reclaim_pages: returns its error and how many pages were claimed."""
    d.push("reclaim-answer", number, ec, n, event)
    fields = {"function_id": number, "input_num_entries": n, "embedded_cpu_function": int(_ec(d, ec))}
    return d.command(Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, fields))


def reclaim_answer(d: Linux, reply: Reply, number: int, ec: bool, n: int, event: bool) -> tuple[int, int]:
    """Each page that the answer names is freed if the tree has it; not delivered: the tree says what it would name."""
    key = tree.key_of(d, number, ec=ec)
    err = reply.err
    named: tuple[int, ...] = ()
    claimed = 0
    if err == ENXIO and key not in d.roots:
        d.find(LinuxCause.WARN_NO_ROOT, key, detail="nothing to take by force")
        err = EEXIST
    elif err == ENXIO:
        named, err = tree.own_pages(d, key, n), 0
        claimed = len(named)
    elif reply.answer is not None and not err:
        claimed = reply.answer["output_num_entries"]
        named = tuple(reply.answer.pas[: min(claimed, n)].tolist())
        claimed -= (claimed >> 31) << 32
    if err:
        d.reclaim_discard += n
        if event and err == EREMOTEIO:
            return 0, 0
        d.find(LinuxCause.RECLAIM_FAILED, key, n, f"TAKE ended with {err}")
        return err, 0
    if claimed > n:
        d.find(Cause.COUNT_OVER_ASKED, key, claimed, f"firmware returned {claimed}, asked for {n}")
        return EINVAL, 0
    for address in (*named, *(0,) * (claimed - len(named))):
        tree.free_4k(d, address, key)
    if not d.choices.by_page:
        d.push("count", number, ec, -claimed)
    return 0, claimed


def release_all(d: Linux, _: Any, number: int, ec: bool) -> None:
    """release_all_pages: whatever the tree has when the worker comes to it."""
    released = tree.release_all(d, tree.key_of(d, number, ec=ec))
    if released is not None and not d.choices.by_page:
        d.push("count", number, ec, -released)


def _ec(d: Linux, ec: bool) -> bool:
    return ec and not d.vhca_mode


STEPS: dict[str, Callable[..., Any]] = {
    "work": work,
    "give": give,
    "give-fill": give_fill,
    "give-mapped": give_mapped,
    "give-answer": give_answer,
    "notified": notified,
    "count": count,
    "counted": counted,
    "reclaim": reclaim,
    "reclaim-answer": reclaim_answer,
    "release-all": release_all,
}
