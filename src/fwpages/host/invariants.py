"""A host's state looked at as a whole: its invariants, and the canonical form that an explorer compares."""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np

from fwpages.custody.ledger import CustodyError, State
from fwpages.custody.records import Record
from fwpages.host.session import Flight, Session
from fwpages.host.state import HostState


def state_key(h: HostState, *, by_slot: bool) -> bytes:
    """Equal keys, equal futures. ``by_slot``: commands that are out stand in the order of their slots.

    Left out: session and command numbers (only their order counts), cumulative counts, findings and notes. Times are
    counted from now. Records are numbered anew by those that are still of interest.
    """
    rows = [r for r in h.records if r.outstanding or _live(h, r) or _named(h, r)]
    names = np.zeros(len(h.records.rows) + 1, np.uint32)
    names[1:] = len(rows) + 1  # owners that are of the past are all the same
    for n, row in enumerate(rows):
        names[row.number + 1] = n + 1
    flights = sorted(h.flights, key=lambda n: h.flights[n].slot if by_slot else n)
    order = {n: i for i, n in enumerate(flights)}
    op = h.path.op
    parts = (
        [_record(h, r) for r in rows],
        h.pool.space.size,
        h.pool.asked,
        [_flight(h, h.flights[n]) for n in flights],
        list(h.path.queues.items()),
        list(h.path.cannot),
        op and (order.get(op.flight), op.kind, op.identity, op.origin, op.asked, int(names[op.record + 1]), op.crossed),
        sorted(h.vports.items()),
        h.reopen,
        _session(h, h.session),
    )
    digest = hashlib.blake2b(msgspec.msgpack.encode(parts), digest_size=16)
    digest.update(h.ledger.state(names))
    digest.update(h.pool.indices().tobytes())
    for name in sorted(h.session.eq_memory):
        digest.update(h.session.eq_memory[name].tobytes())
    if op is not None:
        digest.update(op.index.tobytes())
    return digest.digest()


def check_host(h: HostState) -> None:
    """Every invariant that a host can see by itself; raises CustodyError."""
    h.ledger.check()
    _check_offered(h)
    _check_memory(h)
    op = h.path.op
    if op is not None and op.flight not in h.flights:
        raise CustodyError(f"page command {op.flight} is out, but its slot was given back")
    if h.path.waiting > h.config.bounds.queue + 2:
        raise CustodyError(f"{h.path.waiting} page requests wait, the bound is {h.config.bounds.queue}")


def _check_offered(h: HostState) -> None:
    """The blocks that are offered are those of the GIVE that is out."""
    op = h.path.op
    offered = {n: c for (n, state), c in h.ledger.counts().items() if state is State.OFFERED}
    expected = {}
    if op is not None and op.index.size and op.flight in h.flights and not h.flights[op.flight].overdue:
        expected = {op.record: int(op.index.size)} if op.record >= 0 else {}
    if offered != expected:
        raise CustodyError(f"offered blocks {offered}, but the GIVE that is out names {expected}")


def _check_memory(h: HostState) -> None:
    """Each block of the memory that is mapped is free, lent or an event queue's, and one of them alone."""
    free = h.pool.indices()
    if not h.ledger.is_free(free).all():
        raise CustodyError("a block that firmware may own is among the free ones")
    owned = sum(h.ledger.counts().values())
    queues = sum(index.size for index in h.session.eq_memory.values())
    if free.size + owned + queues != h.pool.space.size:
        raise CustodyError(
            f"{free.size} free, {owned} lent and {queues} blocks of event queues are not {h.pool.space.size}"
        )


def _live(h: HostState, row: Record) -> bool:
    return h.records.current.get(row.identity) == row.number


def _record(h: HostState, r: Record) -> object:
    return r.session == h.session.number, r.identity, r.type, r.outstanding, _live(h, r), r.announced


def _named(h: HostState, row: Record) -> bool:
    return h.path.op is not None and h.path.op.record == row.number


def _flight(h: HostState, f: Flight) -> object:
    c = f.command
    left = None if f.overdue else round(f.deadline - h.now, 6)
    return f.slot, c.opcode, c.op_mod, sorted(c.fields.items()), c.pas.tobytes(), c.data, left


def _session(h: HostState, s: Session) -> object:
    def left(t: float | None) -> float | None:
        return None if t is None else round(t - h.now, 6)

    p, r = s.progress, s.reclaim
    return (
        (
            s.wanted,
            s.own,
            s.phase,
            s.mode,
            s.boot,
            s.issi,
            s.told,
            s.uar,
            s.eqs,
            s.enabled,
            s.initialized,
            s.release_all,
        ),
        (sorted(s.caps.items()), sorted(s.max_caps.items()), s.cap_page),
        p and (p.program, p.subject, p.index, p.entered, p.flight is not None),
        s.queue,
        sorted(s.vports.items()),
        [(w.operation, sorted(w.types), w.patience.left, *map(left, w.patience.limits)) for w in s.waits],
        r and (r.identity, left(r.progress), left(r.next_try)),
        (left(s.reclaim_until), sorted(s.stubborn), sorted(s.closing_types), s.failure, left(s.fence), s.end),
    )
