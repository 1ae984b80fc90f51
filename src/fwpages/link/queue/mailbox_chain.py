"""A mailbox chain as a device reads and writes it over a bus. The driver made it, so nothing in it is trusted.

Theory of operation. A message of more than 16 bytes continues in a chain of mailboxes: 512 bytes of data and a control
part with the address of the next one, a block number and the command's token. A chain is followed for exactly as many
mailboxes as the message takes, so no cycle can hold the device up: a mailbox that comes a second time has the wrong
block number. A chain may be longer than needed (Linux keeps long chains for later), not shorter.

A large GIVE has thousands of mailboxes, and an access to a guest's memory for each is slow. But drivers allocate
mailboxes in bulk, so their addresses often ascend or descend evenly. ``follow`` therefore predicts: after ``STREAK``
steps of equal length it reads many control parts at once from where the next ones would lie (``_many``), and keeps as
many as really continue the chain. A prediction that fails costs one access and changes nothing. The result is a list of
``Run``s, each evenly spaced, and data is read and written run by run (``blocks``).

Only data and signatures are written to an output chain; its control parts are the driver's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fwpages.link.bus import Bus, BusError
from fwpages.link.queue.blocks import NEAR, read_blocks, write_blocks
from fwpages.prm.delivery import Delivery, DeliveryError
from fwpages.prm.mailbox import (
    ALIGNMENT,
    CONTROL,
    CONTROL_SIZE,
    Message,
    check,
    column,
    put,
    sign,
    signed,
)
from fwpages.prm.queue import INLINE, MAILBOX, MAILBOX_DATA, MAILBOX_SIZE, mailboxes_for

Rows = npt.NDArray[np.uint8]

#: steps of one length before the next ones are predicted, and mailboxes predicted at first; more after a success
STREAK = 2
RUN = 64
#: delivery statuses of a pointer that is not aligned, and of a chain that is too short
_ALIGN = {"input": Delivery.IN_PTR_ALIGN_ERR, "output": Delivery.OUT_PTR_ALIGN_ERR}
_SHORT = {"input": Delivery.IN_LENGTH_ERR, "output": Delivery.OUT_LENGTH_ERR}
_ALL_ONES = (1 << 64) - 1


@dataclass(slots=True)
class Run:
    """Mailboxes of a chain that lie evenly spaced: ``count`` from I/O address ``first`` on, ``stride`` bytes apart."""

    first: int
    count: int
    stride: int = 0


#: a chain that was followed: its runs, in order
Runs: TypeAlias = Sequence[Run]


def _slice(name: str) -> slice:
    """Return the bytes of a field within the control part of a mailbox."""
    f = MAILBOX.by_name[name]
    start = f.bit // 8 - CONTROL
    return slice(start, start + f.width // 8)


_NEXT, _NUMBER, _TOKEN = (_slice(name) for name in ("next", "block_number", "token"))


def follow(bus: Bus, first: int, count: int, token: int, what: str) -> list[Run]:
    """Follow ``count`` mailboxes of the chain at ``first`` and return them as runs.

    ``what`` is ``input`` or ``output``. DeliveryError where the chain is not sound, BusError where it cannot be read.
    """
    runs: list[Run] = []
    at, n, streak, size = first, 0, 0, RUN
    while n < count:
        if not at or at % ALIGNMENT:
            raise _unsound(at, n, count, what)
        run = runs[-1] if runs else None
        k = following = 0
        if run is not None and streak >= STREAK and at == run.first + run.count * run.stride:
            k, following = _many(bus, at, run.stride, n, min(size, count - n), token)
        if k and run is not None:
            run.count += k
            size *= 16
        else:
            k, following = 1, _one(bus, at, n, token)
            streak = _append(runs, at, streak)
            size = RUN
        at, n = following, n + k
    return runs


def _append(runs: list[Run], at: int, streak: int) -> int:
    """Append a mailbox, to the last run where it continues it; return the number of steps of one length so far."""
    last = runs[-1] if runs else None
    if last is None or (last.count > 1 and at != last.first + last.count * last.stride):
        runs.append(Run(at, 1))
        return 0
    if last.count == 1:
        if not 0 < abs(at - last.first) <= NEAR:
            runs.append(Run(at, 1))
            return 0
        last.stride = at - last.first
    last.count += 1
    return streak + 1


def _unsound(at: int, n: int, count: int, what: str) -> DeliveryError:
    if not at:
        return DeliveryError(_SHORT[what], f"the {what} chain ends after {n} mailboxes, the message takes {count}")
    return DeliveryError(_ALIGN[what], f"{what} mailbox {n} at {at:#x} is not a multiple of {ALIGNMENT}")


def _one(bus: Bus, at: int, n: int, token: int) -> int:
    """Check mailbox ``n`` of the chain and return the address of the next one."""
    control = bus.read(at + CONTROL, CONTROL_SIZE)
    if int.from_bytes(control[_NUMBER], "big") != n or control[_TOKEN][0] != token:
        check(np.frombuffer(control, np.uint8).reshape(1, -1), n, token)
    return int.from_bytes(control[_NEXT], "big")


def _many(bus: Bus, at: int, stride: int, n: int, k: int, token: int) -> tuple[int, int]:
    """Check up to ``k`` mailboxes that are predicted to follow evenly from ``at``.

    Return how many do, and the address after the last of them; 0 where the predicted addresses cannot be read.
    """
    control = np.empty((k, CONTROL_SIZE), np.uint8)
    try:
        read_blocks(bus, at + CONTROL, stride, control)
    except BusError:
        return 0, 0
    after = column(control, "next", CONTROL)
    even = np.arange(1, k, dtype=np.int64).view(np.uint64) * np.uint64(stride & _ALL_ONES) + np.uint64(at)
    broken = np.flatnonzero(after[:-1] != even)
    # the prediction ends at the first pointer that leads elsewhere
    k = int(broken[0]) + 1 if broken.size else k
    check(control[:k], n, token)
    return k, int(after[k - 1])


def read_message(bus: Bus, runs: Runs, inline: bytes, length: int) -> Rows:
    """Return a message, shape (length,): ``inline`` from the entry, then the data of the mailboxes.

    BusError where a mailbox cannot be read.
    """
    need = mailboxes_for(length)
    whole = np.empty(INLINE + need * MAILBOX_DATA, np.uint8)
    whole[:INLINE] = np.frombuffer(inline, np.uint8)
    rows = whole[INLINE:].reshape(need, MAILBOX_DATA)
    for n, run in _numbered(runs):
        read_blocks(bus, run.first, run.stride, rows[n : n + run.count])
    return whole[:length]


def check_signatures(bus: Bus, runs: Runs, what: str) -> None:
    """Check that every mailbox of the chain is signed; DeliveryError names the first that is not."""
    for n, run in _numbered(runs):
        rows = np.empty((run.count, MAILBOX_SIZE), np.uint8)
        read_blocks(bus, run.first, run.stride, rows)
        wrong = np.flatnonzero(~signed(rows))
        if wrong.size:
            raise DeliveryError(Delivery.SIGNAT_ERR, f"{what} mailbox {n + int(wrong[0])}")


def write_message(bus: Bus, runs: Runs, m: Message, *, signatures: bool) -> None:
    """Write the mailbox part of an answer into the data of the chain; with ``signatures``, sign it.

    BusError where a mailbox cannot be written.
    """
    count = sum(run.count for run in runs)
    rows = np.zeros((count, MAILBOX_SIZE if signatures else MAILBOX_DATA), np.uint8)
    put(rows, m)
    for n, run in _numbered(runs):
        part = rows[n : n + run.count]
        if signatures:
            read_blocks(bus, run.first + CONTROL, run.stride, part[:, CONTROL:])
            sign(part)
            write_blocks(bus, run.first + MAILBOX_SIZE - 2, run.stride, part[:, MAILBOX_SIZE - 2 :])
        write_blocks(bus, run.first, run.stride, part[:, :MAILBOX_DATA])


def _numbered(runs: Runs) -> Iterator[tuple[int, Run]]:
    """Yield each run with the number of its first mailbox."""
    n = 0
    for run in runs:
        yield n, run
        n += run.count
