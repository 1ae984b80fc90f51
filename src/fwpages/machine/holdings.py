"""The pages that firmware holds of a kernel, function by function, as values. Schema ``inspect/1``.

``None`` stands for a figure that is not known: it is never taken for zero. Pages are blocks of 4 KiB whatever the page
size of the kernel.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from fwpages.custody.accounts import Count, FindingAccount, Missing, Verdict, verdict_of
from fwpages.prm.identity import FunctionType


class FunctionHoldings(msgspec.Struct, frozen=True, kw_only=True):
    """A function for which a driver keeps a list of pages, though the list may be empty.

    ``identity`` is the function's name in the mode's terms. ``type`` is UNKNOWN where the driver does not know it, or
    has noted several; ``by_type`` has the pages of each type that their entries name. ``vport`` is the e-switch's
    number of it, where the driver's e-switch says; ``vport_enabled`` is False for a function that has no enabled vport:
    it is gone, or not there yet. ``idle`` are blocks of its pages that firmware does not have: a
    page larger than 4 KiB stays with its function until all of its blocks are back. ``by_node`` has the pages by NUMA
    node, "unknown" for those whose node is not known.
    """

    identity: str
    type: FunctionType
    vport: int | None = None
    vport_enabled: bool | None = None
    pages: Count = None
    idle: Count = None
    by_node: dict[str, int] = {}
    by_type: dict[str, int] = {}


class DeviceHoldings(msgspec.Struct, frozen=True, kw_only=True):
    """A device that mlx5_core drives, and the functions that it gives pages for.

    ``device`` is its name in sysfs: a PCI address, or ``mlx5_core.sf.N``; ``supplier`` is its kind, and ``vhca_id`` its
    own. ``numa_node`` is the node that the driver prefers, None where it prefers none. ``fw_pages`` and ``counters``
    are the driver's counters; ``pages`` and ``functions`` are from its lists. ``settled`` says that the lists hold
    together; without it ``pages`` is None and ``functions`` is empty. ``readings`` is how many times they were read:
    more than once where they changed meanwhile. ``notes`` name the lists of functions that are gone.
    """

    device: str
    mode: Literal["func_id", "vhca_id"] | None = None
    supplier: Literal["pf", "ecpf", "vf", "sf"] | None = None
    vhca_id: int | None = None
    numa_node: int | None = None
    verdict: Verdict
    settled: bool
    readings: Count = None
    fw_pages: Count = None
    counters: dict[str, Count] = {}
    pages: Count = None
    idle: Count = None
    by_node: dict[str, int] = {}
    by_type: dict[str, int] = {}
    functions: list[FunctionHoldings] = []
    findings: list[FindingAccount] = []
    missing: list[Missing] = []
    notes: list[str] = []


class Holdings(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The report of ``fwpages inspect``; make one with ``of``, which judges.

    ``source`` is the file that was read; ``page_size`` is the kernel's, in bytes. The verdict is never *clean*: the
    driver is at work, and firmware is not asked.
    """

    schema_: str = "inspect/1"
    verdict: Verdict
    clean: bool | None
    source: str
    kernel: str | None = None
    machine: str | None = None
    page_size: int | None = None
    devices: list[DeviceHoldings] = []
    missing: list[Missing] = []
    notes: list[str] = []

    @classmethod
    def of(
        cls,
        source: str,
        devices: list[DeviceHoldings],
        *,
        kernel: str | None = None,
        machine: str | None = None,
        page_size: int | None = None,
        missing: list[Missing] | None = None,
        notes: list[str] | None = None,
    ) -> Holdings:
        """The report of these devices, with the worst of their verdicts; a report of none is not known."""
        verdict = verdict_of([d.verdict for d in devices] + [Verdict.NOT_KNOWN] * bool(missing))
        return cls(
            verdict=verdict,
            clean=verdict.clean,
            source=source,
            kernel=kernel,
            machine=machine,
            page_size=page_size,
            devices=devices,
            missing=missing or [],
            notes=notes or [],
        )
