"""Every bound of the supplier's side, with its reason: a host keeps them, an audit judges by them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Every bound of the supplier's side. Pages are 4 KiB, times seconds."""

    #: pages per GIVE or TAKE: firmware was seen to return at most 50,000 in one go (Linux: MAX_RECLAIM_NPAGES)
    pages_per_command: int = 50_000
    #: page requests that may wait; a burst from every function of a large device fits, a runaway device does not
    queue: int = 4_096
    #: pages lent in all, 64 GiB: twice the most that was seen (30.5 GiB on a ConnectX-5)
    memory: int = 1 << 24
    #: an answer takes no longer (Linux: MLX5_TO_CMD_MS 60 s, and 5 s for the device's own time-out)
    command: float = 65.0
    #: at close: since firmware last returned a page (Linux: RECLAIM_PAGES), between two tries, and in all
    reclaim_progress: float = 5.0
    reclaim_retry: float = 0.05
    reclaim_overall: float = 300.0
    #: waiting for a type's pages: since the last one came back (Linux: RECLAIM_VFS_PAGES), and in all
    wait_progress: float = 120.0
    wait_overall: float = 600.0
    #: a function-level reset is over in 100 ms by the PCIe specification; firmware then needs up to 2 s (FW_INIT)
    fence: float = 10.0
