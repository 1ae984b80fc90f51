"""A Linux model's state looked at as a whole: what must hold of it, and the form in which states are compared."""

from __future__ import annotations

import hashlib
import marshal
from typing import TYPE_CHECKING

from fwpages.host import CustodyError

if TYPE_CHECKING:
    from fwpages.explore.designs.linux.driver import Linux
    from fwpages.explore.designs.linux.types import Thread, Wait
    from fwpages.prm.message import Command


def check_linux(d: Linux) -> None:
    """The model's own consistency; raises CustodyError. What Linux may get wrong is not looked at."""
    if not d.mapped.issuperset(d.pages):
        raise CustodyError("a tracked page is not mapped")
    if len(set(d.free_list)) != len(d.free_list) or not set(d.free_list) <= d.pages.keys():
        raise CustodyError("the free list is no list of tracked pages")
    for key, root in d.roots.items():
        if not root <= d.pages.keys():
            raise CustodyError(f"the tree of {key:#x} lists pages that are not tracked")
    for name, owner in d.locks.items():
        if owner not in d.running:
            raise CustodyError(f"{name} is held by {owner}, which has ended")


def linux_key(d: Linux) -> bytes:
    """Equal keys, equal futures. Session and command numbers and cumulative counts are left out; times from now."""
    flights = [
        (f.slot, f.thread, _command(f.command), None if f.late else _left(d, f.deadline)) for f in d.flights.values()
    ]
    waiting = [n for n, t in d.running.items() if t.wait is not None and t.wait.kind in ("lock", "slot")]
    parts = (
        (d.wanted, d.vhca_mode, d.up, d.error, d.cmd_up, d.notifier, d.enabled, d.initialized, d.issi, d.uar, d.eqs),
        [(n, _thread(d, d.running[n])) for n in sorted(d.running)],
        (waiting, sorted(d.locks.items()), flights),
        [(r.event.number, r.event.num_pages, r.event.ec, r.event.release_all) for r in d.requests],
        (d.asked, [(n, v.vhca_id, v.enabled, v.hca, v.info.function_id) for n, v in sorted(d.vports.items())]),
        sorted(d.types.items()),
        [(n, _left(d, t) if n not in ("number", "pages") else t) for n, t in sorted(d.ends.items())],
        (d.fw_pages, sorted((k, n) for k, n in d.counters.items() if n)),
        (d.caps_tag, d.eswitch),
    )
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=16)
    memory = (
        [tuple(d.pages[i]) for i in sorted(d.pages)],
        [(k, sorted(d.roots[k])) for k in sorted(d.roots)],
        sorted(d.mapped - d.pages.keys()),
        d.free_list,
    )
    # version 2 has no references, so equal values have equal bytes
    digest.update(marshal.dumps(memory, 2))
    return digest.digest()


def _thread(d: Linux, t: Thread) -> object:
    return t.what, [tuple(f) for f in t.stack], t.wait and _wait(d, t.wait)


def _wait(d: Linux, w: Wait) -> object:
    deadline = None if w.deadline is None else _left(d, w.deadline)
    return w.kind, w.what, w.count, deadline, w.command and _command(w.command)


def _command(c: Command) -> object:
    return c.opcode, c.op_mod, sorted(c.fields.items()), c.pas.tobytes(), c.data


def _left(d: Linux, t: float) -> float:
    return round(t - d.now, 6)
