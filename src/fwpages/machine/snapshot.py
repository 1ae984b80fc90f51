"""The counters of a machine's functions at one moment, as values. Schema ``top/1``.

``None`` stands for a figure that is not known, and ``not_known`` has the reason of each: a file that is missing, or may
not be read, is never taken for zero. Pages are of 4 KiB whatever the host's page size; memory is in bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

import msgspec

from fwpages.custody.accounts import Count, FindingAccount, Missing, Verdict

#: the size of a page of this protocol
PAGE_BYTES = 4096

#: types of functions that the driver counts beside its own, by their keys in ``by_type``
TYPES = ("vf", "sf", "host_pf", "ec_vf", "spf")


class PageCommands(msgspec.Struct, frozen=True, kw_only=True):
    """The driver's statistics of MANAGE_PAGES since it was loaded, or since they were reset.

    ``average_ns`` is the mean time of a command; ``failed`` counts commands that failed in the driver, and
    ``failed_status`` those that firmware refused. The last failure has an errno, a status and a syndrome, 0 where
    none has failed.
    """

    n: Count = None
    average_ns: Count = None
    failed: Count = None
    failed_status: Count = None
    last_errno: Count = None
    last_status: Count = None
    last_syndrome: Count = None


class Untold(StrEnum):
    """The reason why firmware's own count is not known."""

    NO_LIBRARY = "pyroute2 is not installed"
    NO_DEVLINK = "the kernel has no devlink"
    DENIED = "permission denied"
    GONE = "devlink does not have the function"
    NO_HEALTH = "devlink does not say if the function is healthy, so its firmware is not asked"
    UNHEALTHY = "a health reporter says that the function is not healthy, so its firmware is not asked"
    ABSENT = "the driver or the firmware does not tell it; Linux 6.15 and newer do, where firmware does"
    LATE = "no answer in time: the function is busy, or recovers"
    STUCK = "an earlier question still waits for its answer"
    FAILED = "the question failed"


class FirmwareAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a function's firmware: the pages that the function uses, or the reason why that is not known."""

    pages: Count = None
    not_known: str = ""


class FunctionCounters(msgspec.Struct, frozen=True, kw_only=True):
    """One function, and the pages that its driver has given to firmware for it and for the functions under it.

    ``device`` is the name in sysfs: a PCI address, or ``mlx5_core.sf.N``. ``pages`` is the driver's total, ``source``
    the place that it was read from, ``by_type`` the part of each type of function that the driver counts apart. Its
    ``rest`` is the total without those: the own function's pages, and those that were given before the type of their
    function was known. ``numa_node`` is the node that the driver prefers; pages may lie on another.
    ``share_of_node`` and ``share_of_machine`` are parts of the memory there, 0 to 1. ``firmware`` is what the
    function's firmware answered; None where it was not asked.
    """

    device: str
    kind: Literal["pf", "vf", "sf"] | None
    parent: str | None
    pci_id: str | None = None
    driver: str = "mlx5_core"
    vhca_id: int | None = None
    mode: Literal["func_id", "vhca_id"] | None = None
    fw_version: str | None = None
    numa_node: int | None = None
    rdma: list[str] = []
    net: list[str] = []
    pages: Count = None
    source: Literal["debugfs", "infiniband"] | None = None
    by_type: dict[str, Count] = {}
    alloc_failed: Count = None
    give_dropped: Count = None
    reclaim_discarded: Count = None
    slots_inuse: Count = None
    commands: PageCommands = PageCommands()
    share_of_node: float | None = None
    share_of_machine: float | None = None
    firmware: FirmwareAnswer | None = None
    not_known: dict[str, str] = {}
    notes: list[str] = []


class NodeMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Memory in bytes: of a NUMA node, or of the machine (``node`` is None)."""

    node: int | None = None
    total: int | None = None
    free: int | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The counters of every mlx5 function at one moment; ``fwpages top --json`` prints it.

    ``taken`` is in seconds since 1970. ``verdict`` is *findings* if a driver counts pages that it could not move, else
    *not known* if a function's total is not known (``missing`` says what would tell), else *consistent so far*:
    counters never prove that all is well.
    """

    schema_: str = "top/1"
    taken: float
    verdict: Verdict
    clean: bool | None = None
    kernel: str | None = None
    driver_version: str | None = None
    machine: NodeMemory = NodeMemory()
    nodes: list[NodeMemory] = []
    functions: list[FunctionCounters]
    findings: list[FindingAccount] = []
    missing: list[Missing] = []

    @property
    def pages(self) -> Count:
        """The sum of all totals; None if one of them is not known, or there is no function."""
        return total(f.pages for f in self.functions)


def total(counts: Iterable[Count]) -> Count:
    """The sum; None if one is not known, or there are none."""
    rows = list(counts)
    known = [c for c in rows if c is not None]
    return sum(known) if rows and len(known) == len(rows) else None
