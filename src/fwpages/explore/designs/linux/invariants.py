"""A Linux model's state looked at as a whole: what must hold of it, and the form in which states are compared.

Two states with the same key must have the same futures. So the key has everything that decides what can happen: data,
threads with their frames, waits and the order in which they began, commands under way. Left out are the numbers of
sessions and commands, and counts that only grow. Times are counted from now.
"""

from __future__ import annotations

import hashlib
import marshal

import msgspec

from fwpages.explore.designs.linux.threads import Flight, ForLock, ForPageSlot, Kernel, Thread
from fwpages.host import CustodyError


def check_kernel(kernel: Kernel) -> None:
    """The model's own consistency; raises CustodyError. What Linux may get wrong is not looked at."""
    if not kernel.mapped.issuperset(kernel.pages):
        raise CustodyError("a tracked page is not mapped")
    if len(set(kernel.free_list)) != len(kernel.free_list) or not set(kernel.free_list) <= kernel.pages.keys():
        raise CustodyError("the free list is no list of tracked pages")
    for key, root in kernel.roots.items():
        if not root <= kernel.pages.keys():
            raise CustodyError(f"the tree of {key:#x} lists pages that are not tracked")
    for name, owner in kernel.locks.items():
        if owner not in kernel.running:
            raise CustodyError(f"{name} is held by {owner}, which has ended")


def kernel_key(k: Kernel, *, by_slot: bool = False) -> bytes:
    """Equal keys, equal futures. ``by_slot``: commands stand in the order of their slots, not in that of their ids."""
    flights = [_flight(k, k.flights[n]) for n in sorted(k.flights, key=lambda n: k.flights[n].slot if by_slot else n)]
    waiting = [n for n, t in k.running.items() if isinstance(t.wait, ForLock | ForPageSlot)]
    parts = (
        (k.wanted, k.vhca_mode, k.up, k.error, k.cmd_up, k.notifier, k.enabled, k.initialized, k.issi, k.uar, k.eqs),
        [(n, _thread(k, k.running[n])) for n in sorted(k.running)],
        (waiting, sorted(k.locks.items()), flights),
        [(r.event.number, r.event.num_pages, r.event.ec, r.event.release_all) for r in k.requests],
        [str(operation) for operation in k.asked],
        [(n, v.vhca_id, v.enabled, v.hca, v.info.function_id) for n, v in sorted(k.vports.items())],
        sorted(k.types.items()),
        None if k.reclaim_end is None else _left(k, k.reclaim_end),
        (k.fw_pages, sorted((t, n) for t, n in k.counters.items() if n)),
        (k.caps_tag, k.eswitch),
    )
    digest = hashlib.blake2b(msgspec.msgpack.encode(parts), digest_size=16)
    digest.update(_memory(k))
    return digest.digest()


def _memory(kernel: Kernel) -> bytes:
    """The page allocator's state."""
    memory = (
        [tuple(kernel.pages[i]) for i in sorted(kernel.pages)],
        [(key, sorted(kernel.roots[key])) for key in sorted(kernel.roots)],
        sorted(kernel.mapped - kernel.pages.keys()),
        kernel.free_list,
    )
    # version 2 has no references, so equal values have equal bytes
    return marshal.dumps(memory, 2)


def _flight(kernel: Kernel, flight: Flight) -> object:
    left = None if flight.late else _left(kernel, flight.deadline)
    return flight.values, left


def _thread(kernel: Kernel, thread: Thread) -> object:
    until = None if thread.wait is None else thread.wait.until
    return thread.values, None if until is None else _left(kernel, until)


def _left(kernel: Kernel, time: float) -> float:
    return round(time - kernel.now, 6)
