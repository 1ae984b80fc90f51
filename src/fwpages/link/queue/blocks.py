"""Equal pieces of memory at equal distances, read and written over a bus at once: the mailboxes of a chain.

A bus over memory that this process can address may offer ``blocks(iova, count, stride, length)``: a writable ``uint8``
array of shape (count, length) in place, or None where it cannot. Any other bus is read and written piece by piece.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fwpages.link.bus import Bus, BusError

Rows = npt.NDArray[np.uint8]

#: pieces that lie at most this far apart are read together with the bytes between them
NEAR = 4096


#: ``blocks`` of a bus over memory that this process can address
InPlace: TypeAlias = Callable[[int, int, int, int], Rows | None]


def _in_place(bus: Bus, iova: int, count: int, stride: int, length: int) -> Rows | None:
    blocks: InPlace | None = getattr(bus, "blocks", None)
    return None if blocks is None else blocks(iova, count, stride, length)


def read_blocks(bus: Bus, iova: int, stride: int, out: Rows) -> None:
    """Read ``out.shape[0]`` pieces of ``out.shape[1]`` bytes, ``stride`` apart from ``iova`` on, into ``out``.

    ``stride`` may be negative. BusError where one of them cannot be read.
    """
    count, length = out.shape
    here = _in_place(bus, iova, count, stride, length)
    if here is not None:
        out[:] = here
        return
    if count > 1 and length <= abs(stride) <= NEAR:
        low = min(iova, iova + (count - 1) * stride)
        try:
            span = bus.read(low, (count - 1) * abs(stride) + length)
        except BusError:
            pass
        else:
            rows: Rows = np.ndarray((count, length), np.uint8, span, 0, (abs(stride), 1))
            out[:] = rows if stride > 0 else rows[::-1]
            return
    for n in range(count):
        out[n] = np.frombuffer(bus.read(iova + n * stride, length), np.uint8)


def write_blocks(bus: Bus, iova: int, stride: int, rows: Rows) -> None:
    """Write each row, shape (n, length), to its place and nothing between. BusError where one cannot be written."""
    count, length = rows.shape
    here = _in_place(bus, iova, count, stride, length)
    if here is not None:
        here[:] = rows
        return
    for n in range(count):
        bus.write(iova + n * stride, rows[n].data)
